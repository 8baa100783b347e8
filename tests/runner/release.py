# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a release: changelog, checks, tarball and, with --tag, the commit and the tag. Publishes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.cluster.errors import ClusterError
from tests.runner import role_readmes, tarball
from tests.runner.tree import ROOT, checkout_dir

# Semantic versions as Galaxy accepts them. Pre-releases are not published.
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_IDENTITY = ("user.name", "user.email")


def run(version: str, *, tag: bool, check: Callable[[Path], int] | None = None) -> int:
    """Make the release in a clone, so that this checkout stays unchanged until all checks pass. Returns an exit code.

    `check` runs the stages `checks` and `unit` in the clone; tests of this command replace it.
    """
    branch = _refuse_early(version)
    clone = checkout_dir() / "release" / "kubevirt.cdi"
    shutil.rmtree(clone.parent, ignore_errors=True)
    _git("clone", "--quiet", "--branch", branch, str(ROOT), str(clone))
    for setting in _IDENTITY:
        _git("config", setting, _git("config", setting), at=clone)
    write(clone, version)
    _git("add", "--all", at=clone)
    _git("commit", "--quiet", "--allow-empty", "--signoff", "--message", f"Release {version}", at=clone)
    code = (check or _stages)(clone)
    if code:
        print(f"{version} is not released: fix the findings of the checks, then run the same command again.")
        return code
    built = tarball.build(clone, clone.parent)
    print(_git("show", "--stat", "--format=%s", at=clone))
    if not tag:
        print(f"{version} can be released: users would install {built}. Add --tag to commit and tag it.")
        return 0
    _git("tag", "--annotate", version, "--message", f"kubevirt.cdi {version}", at=clone)
    _git("fetch", "--quiet", str(clone), f"refs/tags/{version}:refs/tags/{version}")
    _git("merge", "--quiet", "--ff-only", version)
    print(f"Committed and tagged {version}. To publish it:")
    print(f"  git push origin {branch} {version}\n  ansible-galaxy collection publish {built}")
    return 0


def write(tree: Path, version: str) -> None:
    """Write the version in galaxy.yml, the changelog, and the READMEs of the roles.

    The first release has no changes: its entry is the summary in changelog.yaml, and its fragments are deleted. In
    later releases, each fragment becomes a line of the changelog.
    """
    galaxy = tree / "galaxy.yml"
    galaxy.write_text(re.sub(r"(?m)^version: .*$", f"version: {version}", galaxy.read_text()))
    changelogs = tree / "changelogs"
    releases = yaml.safe_load((changelogs / "changelog.yaml").read_text())["releases"]
    command = ["antsibull-changelog", "release", "--version", version]
    if version in releases:
        for fragment in (changelogs / "fragments").glob("*.y*ml"):
            fragment.unlink()
        command += ["--update-existing", "--refresh-plugins", "--reload-plugins"]
    _call(*command, at=tree)
    role_readmes.write(tree / "roles")


def _refuse_early(version: str) -> str:
    """The branch to release. Raises ClusterError when it cannot be released."""
    if not _VERSION.fullmatch(version):
        raise ClusterError(f"'{version}' is not a version: use MAJOR.MINOR.PATCH, for example 1.2.0.")
    branch = _git("branch", "--show-current")
    if branch != "main" and not branch.startswith("stable-"):
        raise ClusterError(f"This is branch '{branch}': release from main or from a branch stable-N.")
    if _git("status", "--porcelain"):
        raise ClusterError("The working tree has uncommitted changes: commit or stash them first.")
    if any(not _git("config", "--default", "", setting) for setting in _IDENTITY):
        raise ClusterError(f"git lacks the author of the release: set {' and '.join(_IDENTITY)} with `git config`.")
    tags = [tag for tag in _git("tag", "--list").split() if _VERSION.fullmatch(tag)]
    newest = max(tags, key=_numbers, default=None)
    if newest and branch == "main" and _numbers(version) <= _numbers(newest):
        raise ClusterError(f"{version} is not newer than {newest}, the newest tag: choose a higher version.")
    if version in tags:
        raise ClusterError(f"The tag {version} already exists: choose a higher version.")
    return branch


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _stages(clone: Path) -> int:
    """Run the stages that need no cluster; docs/releasing.md lists those to run before."""
    return subprocess.run([str(clone / "tests" / "run"), "test", "checks", "unit"], cwd=clone, check=False).returncode


def _git(*arguments: str, at: Path = ROOT) -> str:
    return _call("git", *arguments, at=at)


def _call(*command: str, at: Path) -> str:
    # git and antsibull-changelog rely on PWD.
    ended = subprocess.run(
        command, cwd=at, check=False, capture_output=True, text=True, env=os.environ | {"PWD": str(at)}
    )
    if ended.returncode:
        raise ClusterError(f"`{' '.join(command[:3])}` failed: {(ended.stderr or ended.stdout).strip()}")
    return ended.stdout.strip()
