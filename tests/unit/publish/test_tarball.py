# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of the tarball."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.runner import tarball
from tests.runner.tree import copy_checkout

ROOT_FILES = {
    *("CHANGELOG.rst", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "COPYING", "README.md", "REUSE.toml", "SECURITY.md"),
    *("FILES.json", "MANIFEST.json"),
}
DIRECTORIES = {"LICENSES", "changelogs", "docs", "meta", "playbooks", "plugins", "roles"}
# Files of tests, editors and packaging tools.
LEFT_BEHIND = [
    *(
        ".mypy_cache/3.11/cache.json",
        ".pytest_cache/README.md",
        ".ruff_cache/0.1/x",
        ".venv/bin/python",
        "venv/bin/python",
    ),
    *(".tox/py/log", ".ansible/x", ".cache/x", ".idea/workspace.xml", ".vscode/settings.json", ".coverage", ".env"),
    *("tests/output/junit/x.xml", "plugins/modules/__pycache__/cdi.cpython-311.pyc", "plugins/.mypy_cache/x"),
    *("roles/config/.pytest_cache/x", "docs/.DS_Store", "docs/docsite/.cache/x", "plugins/modules/cdi.py~"),
    *("kubevirt-cdi-0.9.0.tar.gz", "other-1.0.0.tar.gz", "build/kubevirt-cdi-1.0.0.tar.gz", "dist/x.whl"),
    *("kubevirt_cdi.egg-info/PKG-INFO", "changelogs/.plugin-cache.yaml", "playbooks/site.retry", "LICENSES/.swp"),
]


def names(built: Path) -> set[str]:
    with tarfile.open(built) as archive:
        return set(archive.getnames())


def manifest(built: Path) -> dict[str, Any]:
    with tarfile.open(built) as archive:
        member = archive.extractfile("MANIFEST.json")
        assert member
        found: dict[str, Any] = json.load(member)["collection_info"]
        return found


def test_tarball_has_only_the_collection_and_its_documents(built: Path) -> None:
    found = names(built)
    assert {name.partition("/")[0] for name in found} == ROOT_FILES | DIRECTORIES
    assert not [name for name in found if name.startswith(("tests", "extensions", ".")) or "/." in name]
    assert not [name for name in found if name.endswith((".go", ".pyc", ".mod", ".sum"))]
    assert not [name for name in found if name.startswith(("changelogs/fragments", "docs/docsite/sphinx"))]


def test_tarball_has_each_plugin_role_playbook_and_guide(built: Path, pytestconfig: pytest.Config) -> None:
    found = names(built)
    for pattern in (
        "plugins/**/*.py",
        "roles/**/*.yml",
        "roles/*/README.md",
        "roles/**/*.j2",
        "playbooks/**/*.yml",
        "docs/*.md",
        "meta/*",
    ):
        expected = {str(path.relative_to(pytestconfig.rootpath)) for path in pytestconfig.rootpath.glob(pattern)}
        assert expected and expected <= found, pattern


def test_files_of_other_tools_are_left_out(built: Path, tmp_path: Path) -> None:
    tree = tmp_path / "cdi"
    copy_checkout(tree)
    for name in LEFT_BEHIND:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("left behind")
    assert names(tarball.build(tree, tmp_path)) == names(built)


def test_metadata_meets_the_rules_of_galaxy(built: Path) -> None:
    info = manifest(built)
    assert info["authors"] and all(len(author) <= 64 for author in info["authors"])
    assert len(info["tags"]) <= 20 and {"infrastructure", "storage", "cloud"} <= set(info["tags"])
    assert info["license"] == ["GPL-3.0-or-later"] and info["license_file"] is None
    assert info["dependencies"] == {}
    assert all(
        info[link].startswith("https://github.com/kubevirt/kubevirt.cdi")
        for link in ("repository", "issues", "homepage", "documentation")
    )


def test_license_is_included_once(built: Path) -> None:
    with tarfile.open(built) as archive:
        link = archive.getmember("LICENSES/GPL-3.0-or-later.txt")
        text = archive.extractfile("COPYING")
        assert link.issym() and link.linkname == "../COPYING"
        assert text and b"GNU GENERAL PUBLIC LICENSE" in text.read(200)
