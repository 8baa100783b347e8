# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`ansible-doc` on the installed collection: no warning, and a sample of each return value."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runner import tarball
from tests.runner.tree import ROOT

KINDS = {
    "module": [path.stem for path in sorted((ROOT / "plugins" / "modules").glob("[!_]*.py"))],
    "lookup": [path.stem for path in sorted((ROOT / "plugins" / "lookup").glob("[!_]*.py"))],
    "filter": [path.stem for path in sorted((ROOT / "plugins" / "filter").glob("[!_]*.py"))],
    "role": [path.name for path in sorted((ROOT / "roles").iterdir())],
}


def ansible_doc(installed: Path, kind: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = tarball.users_environment(installed) | {"PAGER": "cat"}
    names = [f"kubevirt.cdi.{name}" for name in KINDS[kind]]
    return subprocess.run(
        ["ansible-doc", "--type", kind, *arguments, *names], check=False, capture_output=True, text=True, env=variables
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ansible_doc_prints_no_warning(installed: Path, kind: str) -> None:
    ended = ansible_doc(installed, kind)
    assert ended.returncode == 0 and KINDS[kind]
    assert ended.stderr == ""
    for name in KINDS[kind]:
        assert f"kubevirt.cdi.{name}" in ended.stdout


def leaves(values: dict[str, Any], where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in values.items():
        if value.get("contains"):
            yield from leaves(value["contains"], f"{where}{name}.")
        else:
            yield f"{where}{name}", value


@pytest.mark.parametrize("kind", ["module", "lookup", "filter"])
def test_return_values_have_a_description_and_a_sample(installed: Path, kind: str) -> None:
    documented = json.loads(ansible_doc(installed, kind, "--json").stdout)
    assert len(documented) == len(KINDS[kind])
    missing = [
        f"{plugin}: {name} has no {part}"
        for plugin, texts in documented.items()
        for name, value in leaves(texts["return"] or {})
        for part in ("description", "type", "sample")
        if part not in value
    ]
    assert not missing


@pytest.mark.parametrize("kind", ["module", "lookup", "filter"])
def test_plugins_have_an_example_and_version_added(installed: Path, kind: str) -> None:
    for plugin, texts in json.loads(ansible_doc(installed, kind, "--json").stdout).items():
        assert plugin.rpartition(".")[2] in texts["examples"], plugin
        assert texts["doc"]["version_added"], plugin
