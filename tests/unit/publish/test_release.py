# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release command in a clone: what it refuses, and what it writes only after all checks succeed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.runner.tree import copy_checkout

# The command as it is, except for the stages `checks` and `unit`, which would run this test again.
COMMAND = """
import sys
from tests.cluster.errors import ClusterError
from tests.runner import release
try:
    print(release.run(sys.argv[1], tag="--tag" in sys.argv, check=lambda clone: int(sys.argv[2])))
except ClusterError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with this checkout on main, before the first release. No test writes to it."""
    path = tmp_path_factory.mktemp("origin") / "checkout"
    copy_checkout(path)
    git(path, "init", "--quiet", "--initial-branch=main")
    identify(path)
    commit(path)
    return path


@pytest.fixture
def checkout(origin: Path, tmp_path: Path) -> Path:
    path = tmp_path / "checkout"
    git(tmp_path, "clone", "--quiet", str(origin), str(path))
    identify(path)
    return path


def identify(path: Path) -> None:
    git(path, "config", "user.name", "A Maintainer")
    git(path, "config", "user.email", "maintainer@example.com")


def git(path: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True, text=True).stdout.strip()


def commit(path: Path) -> None:
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "Change")


def fragment(path: Path, text: str) -> None:
    (path / "changelogs" / "fragments" / "topic.yml").write_text(f"---\nminor_changes:\n  - data_volume - {text}.\n")
    commit(path)


def release(path: Path, version: str, *arguments: str, checks: int = 0) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"PYTHONPATH": str(path), "XDG_CACHE_HOME": str(path.parent / "cache")}
    command = ["python", "-c", COMMAND, version, str(checks), *arguments]
    return subprocess.run(command, cwd=path, check=False, capture_output=True, text=True, env=variables)


def state(path: Path) -> tuple[str, str, str]:
    return git(path, "rev-parse", "HEAD"), git(path, "tag"), git(path, "status", "--porcelain")


def changelog(path: Path, version: str) -> dict[str, Any]:
    return dict(yaml.safe_load((path / "changelogs" / "changelog.yaml").read_text())["releases"][version])


def test_release_without_tag_builds_a_tarball_and_changes_nothing(origin: Path) -> None:
    before = state(origin)
    ended = release(origin, "1.0.0")
    assert ended.returncode == 0 and "1.0.0 can be released" in ended.stdout, ended.stderr
    assert state(origin) == before
    (tarball,) = origin.parent.glob("cache/kubevirt.cdi/checkouts/*/release/*.tar.gz")
    assert tarball.name == "kubevirt-cdi-1.0.0.tar.gz"


def test_failed_checks_change_nothing(origin: Path) -> None:
    before = state(origin)
    ended = release(origin, "1.0.0", "--tag", checks=3)
    assert "1.0.0 is not released" in ended.stdout and ended.stdout.strip().endswith("3")
    assert state(origin) == before


def test_first_release_has_a_summary_and_the_current_plugins(checkout: Path) -> None:
    fragment(checkout, "something that was never released differently")
    module = (checkout / "plugins" / "modules" / "cdi_info.py").read_text()
    (checkout / "plugins" / "modules" / "cdi_extra.py").write_text(
        module.replace("module: cdi_info", "module: cdi_extra")
    )
    commit(checkout)
    ended = release(checkout, "1.0.0", "--tag")
    assert ended.returncode == 0, ended.stderr
    assert git(checkout, "tag") == "1.0.0" and not git(checkout, "status", "--porcelain")
    assert git(checkout, "log", "-1", "--format=%s") == "Release 1.0.0"
    assert list(changelog(checkout, "1.0.0")["changes"]) == ["release_summary"]
    text = (checkout / "CHANGELOG.rst").read_text()
    assert "never released" not in text and "kubevirt.cdi.cdi_extra" in text
    assert not list((checkout / "changelogs" / "fragments").glob("*.yml"))
    assert "git push origin main 1.0.0" in ended.stdout


def test_later_release_collects_fragments_and_sets_the_version(checkout: Path) -> None:
    assert release(checkout, "1.0.0", "--tag").returncode == 0
    fragment(checkout, "something new")
    ended = release(checkout, "1.1.0", "--tag")
    assert ended.returncode == 0, ended.stderr
    assert changelog(checkout, "1.1.0")["changes"] == {"minor_changes": ["data_volume - something new."]}
    assert "something new" in (checkout / "CHANGELOG.rst").read_text()
    assert "\nversion: 1.1.0\n" in (checkout / "galaxy.yml").read_text()
    for version in ("1.1.0", "1.0.1"):
        assert "not newer than 1.1.0" in release(checkout, version).stderr


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0 ", ""])
def test_invalid_version_is_refused(origin: Path, version: str) -> None:
    assert f"'{version}' is not a version" in release(origin, version).stderr


def test_changed_tree_or_other_branch_is_refused(checkout: Path) -> None:
    (checkout / "README.md").write_text("changed")
    assert "uncommitted" in release(checkout, "1.0.0", "--tag").stderr
    git(checkout, "checkout", "--quiet", "README.md")
    git(checkout, "checkout", "--quiet", "-b", "topic")
    assert "This is branch 'topic'" in release(checkout, "1.0.0", "--tag").stderr
