# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout as Ansible wants it: below ansible_collections/kubevirt/cdi."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.paths import cache_dir

ROOT = Path(__file__).parents[2]


def checkout_dir() -> Path:
    """A directory of this checkout's own: two that run at the same time must not see each other's code."""
    return cache_dir() / "checkouts" / hashlib.sha256(bytes(ROOT)).hexdigest()[:12]


def collections_path() -> Path:
    """A directory in which this checkout is the collection kubevirt.cdi, by a link."""
    path = checkout_dir() / "tree"
    link = path / "ansible_collections" / "kubevirt" / "cdi"
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise ClusterError(f"{link} is no link of ours: move it away.")
    link.symlink_to(ROOT)
    return path


def copy_checkout(target: Path) -> None:
    """What git has of this checkout, or would have after `git add`: without caches and other left-overs."""
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
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def environment(more: dict[str, str]) -> dict[str, str]:
    """For processes that use the collection from this checkout."""
    path = str(collections_path())
    return (
        os.environ
        | {"ANSIBLE_COLLECTIONS_PATH": path, "PYTHONPATH": f"{path}:{ROOT}", "ANSIBLE_LOCALHOST_WARNING": "false"}
        | more
    )
