# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be said of the code without running it: ansible-test sanity, ansible-lint and mypy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.runner.tree import ROOT, checkout_dir, environment

# ansible-test 2.19 would fetch this file to put pip into its environments; Python brings pip along.
_GET_PIP = Path.home() / ".ansible" / "test" / "cache" / "get_pip_24_2.py"
_GET_PIP_TEXT = "import ensurepip\nensurepip.bootstrap(upgrade=True, default_pip=True)\n"


def run() -> int:
    """0 when all of them are content."""
    return max(check() for check in (_sanity, _lint, _types))


def _sanity() -> int:
    """On a copy: ansible-test wants the collection in its place, and what a user gets is what git has."""
    if not _GET_PIP.exists():
        _GET_PIP.parent.mkdir(parents=True, exist_ok=True)
        _GET_PIP.write_text(_GET_PIP_TEXT)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return subprocess.run(
        ["ansible-test", "sanity", "--venv", "--python", python, "--color", "no"], cwd=_copy(), check=False
    ).returncode


def _copy() -> Path:
    target = checkout_dir() / "sanity" / "ansible_collections" / "kubevirt" / "cdi"
    shutil.rmtree(target, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    subprocess.run(["git", "init", "--quiet"], cwd=target, check=True)
    return target


def _lint() -> int:
    return subprocess.run(
        ["ansible-lint", "--offline", "--profile", "production", "--strict"],
        cwd=_copy(),
        check=False,
        env=environment({}),
    ).returncode


def _types() -> int:
    common = [
        "mypy",
        "--strict",
        "--ignore-missing-imports",
        "--explicit-package-bases",
        f"--cache-dir={checkout_dir() / 'mypy'}",
    ]
    return subprocess.run([*common, "tests/cluster", "tests/runner"], cwd=ROOT, check=False).returncode
