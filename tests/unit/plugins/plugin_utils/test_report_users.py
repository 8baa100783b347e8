# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The users of volumes in the report."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.plugin_utils import _report_view as view
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build

from tests.report_facts import TEMPLATE, facts, found

LAUNCHER = {"name": "virt-launcher-vm-1-x", "machine": "VirtualMachine/vm-1"}


def users(in_use: bool | None = True, **more: Any) -> dict[str, Any]:
    return {"in_use": in_use, "pods": [], "virtual_machines": [], "clones": [], **more}


def machine(name: str = "vm-1", *, running: bool = True) -> dict[str, Any]:
    return {"name": name, "running": running}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        (users(False), ["nobody"]),
        (users(None, virtual_machines=None), ["unknown"]),
        (users(None, clones=None), ["unknown"]),
        (users(pods=[{"name": "app", "machine": None}]), ["pod app"]),
        (users(pods=[{"name": "app", "machine": None}], clones=None), ["pod app", "possibly others"]),
        (users(pods=[LAUNCHER], virtual_machines=[machine()]), ["VirtualMachine vm-1 (running)"]),
        (users(virtual_machines=[machine(running=False)]), ["VirtualMachine vm-1 (not running)"]),
        (
            users(pods=None, virtual_machines=[{"name": "vm-1", "running": None}]),
            ["VirtualMachine vm-1", "possibly others"],
        ),
        (users(None, pods=None), ["unknown"]),
        (users(virtual_machines=[machine()]), ["VirtualMachine vm-1 (running, not attached)"]),
        (
            users(
                pods=[
                    LAUNCHER,
                    {"name": "hp-volume-x", "machine": "VirtualMachine/vm-1"},
                    {"name": "backup", "machine": None},
                    {"name": "virt-launcher-alone-x", "machine": "VirtualMachineInstance/alone"},
                ],
                virtual_machines=[machine("vm-0", running=False), machine()],
                clones=["images/vm-2"],
            ),
            [
                "VirtualMachine vm-0 (not running)",
                "VirtualMachine vm-1 (running)",
                "VirtualMachineInstance alone",
                "pod backup",
                "clone to images/vm-2",
            ],
        ),
    ],
)
def test_users_are_listed_once_each(given: dict[str, Any] | None, expected: list[str]) -> None:
    assert view.used_by(given) == expected


def test_report_shows_the_users_of_each_volume() -> None:
    used = users(pods=[LAUNCHER], virtual_machines=[machine()], clones=["images/copy"])
    report = build(facts(found("a", users=used), found("b", users=users(False)), found("c", users=None)))
    assert [volume["users"] for volume in report["volumes"]] == [used, users(False), None]
    lines = view.lines(report)
    expected = ["    used by: VirtualMachine vm-1 (running), clone to images/copy", "    used by: nobody"]
    assert [line for line in lines if "used by" in line] == expected
    assert lines[lines.index(expected[0]) - 1].startswith("images/a ")
    page = view.page(report, TEMPLATE)
    assert '<th scope="col">Used by</th>' in page and page.count('data-label="Used by"') == 3
    for text in ("VirtualMachine vm-1 (running)", "clone to images/copy", "nobody"):
        assert page.count(f'<span class="user">{text}</span>') == 1
    assert page.count('data-label="Used by" class="none"') == 1


def test_report_has_no_users_unless_they_were_looked_for() -> None:
    for volume in (found("a"), found("a", users=None)):
        report = build(facts(volume))
        assert report["volumes"][0]["users"] is None
        shown = "\n".join(view.lines(report)) + view.page(report, TEMPLATE)
        assert "used by" not in shown.lower() and "nobody" not in shown
