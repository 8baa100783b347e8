# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a run in the report, also in check mode."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.plugin_utils import _report_view as view
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build

from tests.report_facts import TEMPLATE, facts, found

RESULTS = {
    "install": {
        "changed": True,
        "version": {"from": None, "to": "v1.65.0"},
        "changed_objects": ["Namespace cdi", "CDI cdi"],
    },
    "config": {"changed": True, "config": {"cloneStrategyOverride": "copy", "config": {"preallocation": True}}},
    "storage_profiles": {
        "storage_profiles": [
            {"changed": True, "name": "thin", "storage_profile": {}},
            {"changed": False, "name": "plain", "storage_profile": {}},
        ]
    },
    "volumes": {
        "data_volumes": [
            {**found("golden", phase=None, ready_after=None, capacity=None, storage_class_name=None), "changed": True},
            {"name": "old", "namespace": "images", "changed": True, "data_volume": {}},
        ]
    },
}


def test_check_mode_shows_the_plan_for_an_empty_cluster() -> None:
    cdi = {"installed": False, "ready": False, "version": None, "asked": {}, "effective": {"preallocation": False}}
    report = build(facts(cdi=cdi, results=RESULTS, check_mode=True))
    assert view.lines(report)[:8] == [
        "CDI is not installed.",
        "",
        "This run would do (+ changed, = unchanged):",
        "  + CDI v1.65.0 would be installed (2 objects).",
        "  + cloneStrategyOverride=copy, preallocation=true would be set.",
        "  + 1 storage profile would be set: thin; 1 storage profile as declared.",
        "  + 1 volume would be created or changed: images/golden; 1 volume would be deleted: images/old.",
        "",
    ]
    assert [(volume["name"], volume["phase"]) for volume in report["volumes"]] == [("golden", "Planned")]
    assert report["configuration"] == []
    assert "check mode: nothing was written" in view.page(report, TEMPLATE)


@pytest.mark.parametrize(
    ("install", "expected"),
    [
        ({"changed": False, "version": {"from": "v1", "to": "v1"}}, "= CDI v1 is as declared."),
        (
            {"changed": True, "version": {"from": "v1", "to": "v2"}, "changed_objects": ["a"]},
            "+ CDI v2 upgraded (1 object).",
        ),
        (
            {"changed": True, "version": {"from": "v1", "to": "v1"}, "changed_objects": ["a"]},
            "+ CDI v1 changed (1 object).",
        ),
        (
            {"changed": True, "version": {"from": "v1", "to": None}, "changed_objects": ["a"]},
            "+ CDI v1 removed (1 object).",
        ),
    ],
)
def test_the_steps_describe_the_changes(install: dict[str, Any], expected: str) -> None:
    assert f"  {expected}" in view.lines(build(facts(results={"install": install})))


def test_an_upload_shows_its_size_and_rate() -> None:
    sent = {"name": "a", "namespace": "images", "changed": True, "bytes_sent": 3 << 30, "mib_per_second": 118.8}
    same = {"name": "b", "namespace": "images", "changed": False, "bytes_sent": 0, "mib_per_second": None}
    lines = view.lines(build(facts(results={"uploads": {"uploads": [sent, same]}})))
    assert "  + 1 upload sent: images/a (3,072 MiB at 119 MiB/s); 1 upload as declared." in lines


def test_a_failed_volume_is_named_in_the_steps() -> None:
    items = [
        {"name": "a", "namespace": "images", "changed": False, "error": "E."},
        {"name": "b", "namespace": "images"},
    ]
    lines = view.lines(build(facts(results={"volumes": {"data_volumes": items}})))
    assert "  ! volumes FAILED: 1 volume failed: images/a; 1 volume as declared." in lines


def test_a_deleted_volume_is_reported_as_deleted() -> None:
    """A module returns an empty DataVolume for a deleted, failed or missing volume."""
    made = {**found("made"), "changed": True}
    gone: list[dict[str, Any]] = [
        {"name": name, "namespace": "images", "changed": True, "data_volume": {}} for name in ("old", "older")
    ]
    failed = {"name": "ill", "namespace": "images", "changed": True, "data_volume": {}, "error": "E."}
    never = {"name": "never", "namespace": "images", "changed": False, "data_volume": {}}
    items = [gone[0], made, gone[1], failed, never]
    (step,) = build(facts(results={"volumes": {"data_volumes": items}}))["steps"]
    assert step["text"] == (
        "1 volume failed: images/ill; 2 volumes deleted: images/old, images/older; "
        "1 volume created or changed: images/made; 1 volume as declared."
    )


def test_an_upload_into_a_claim_without_a_data_volume_is_reported() -> None:
    sent = {"name": "a", "namespace": "images", "changed": True, "data_volume": {}, "persistent_volume_claim": {}}
    (step,) = build(facts(results={"uploads": {"uploads": [sent]}}))["steps"]
    assert step["text"] == "1 upload sent: images/a."


def test_machines_show_their_changes_and_the_disks_that_need_a_restart() -> None:
    def machine(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "namespace": "demo", "changed": True, "restart_required": [], **more}

    machines = [
        machine("web"),
        machine("db", restart_required=["root", "data"]),
        machine("old", changed=False),
        machine("ill", changed=False, error="E."),
    ]
    (step,) = build(facts(results={"virtual_machine_disks": {"machines": machines, "failed": True}}))["steps"]
    assert step["text"] == (
        "1 virtual machine failed: demo/ill; 2 virtual machines changed: demo/web, demo/db; 1 virtual machine as "
        "declared. A restart is required: demo/db (root, data)."
    )
    assert (step["failed"], step["message"]) == (True, "E.")


def moved(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "demo", "target": f"{name}-3f9a1c", "state": "finished", "changed": True, **more}


REFUSED = "VirtualMachine demo/db runs on node one."


@pytest.mark.parametrize(
    ("result", "text", "failed"),
    [
        ({}, "1 volume moved: demo/root; 1 volume as declared.", False),
        (
            {"failed": True, "failed_when_result": True},
            "1 volume failed: demo/db; 1 volume moved: demo/root; 1 volume as declared.",
            True,
        ),
        (
            {"failed": False, "failed_when_result": False},
            f"1 volume moved: demo/root; 1 volume as declared. 1 volume not moved: demo/db. {REFUSED}",
            False,
        ),
    ],
)
def test_moves_show_volumes_that_stay_thin(result: dict[str, Any], text: str, failed: bool) -> None:
    volumes = [moved("root"), moved("data", changed=False)]
    if result:
        volumes.append(moved("db", changed=False, state="needed", error=REFUSED))
    (step,) = build(facts(results={"thick_volumes": {**result, "volumes": volumes}}))["steps"]
    assert (step["role"], step["text"], step["failed"]) == ("thick_volumes", text, failed)


def test_thin_volumes_are_declared_volumes() -> None:
    thin = {**found("web-root"), "changed": True}
    report = build(facts(thin, results={"thin_volumes": {"data_volumes": [thin]}}))
    assert [step["text"] for step in report["steps"]] == ["1 volume created or changed: images/web-root."]
    assert report["summary"]["declared"] == 1


def test_proof_is_only_shown_when_it_fails() -> None:
    item = {"key": "demo/root", "value": {}}
    ended = {"item": item, "failed": True, "msg": "Volume demo/root is not thick."}
    skipped = {"item": item, "skipped": True}
    assert build(facts(results={"proof": {"results": [skipped]}}))["steps"] == []
    (step,) = build(facts(results={"proof": {"failed": True, "results": [skipped, ended]}}))["steps"]
    assert (step["text"], step["failed"]) == ("Volume demo/root is not thick.", True)


def test_page_shows_what_was_moved_and_what_may_share_blocks() -> None:
    source = [{"kind": "PersistentVolumeClaim", "namespace": "images", "name": "golden", "reason": "R."}]
    report = build(
        facts(
            found("a", depends_on=source),
            found("b", depends_on=source, phase="CloneInProgress"),
            found("c", depends_on=[], moved_from="web-root"),
            found("d"),
        )
    )
    assert [volume["depends_on"] for volume in report["volumes"]] == [source, source, [], None]
    assert [line for line in view.lines(report) if "moved" in line] == ["    moved from: web-root"]
    page = view.page(report, TEMPLATE)
    assert page.count("<small>can share blocks with its source</small>") == 1
    assert page.count("<small>moved from web-root</small>") == 1
