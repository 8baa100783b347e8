# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checkout as Ansible requires it: at ansible_collections/kubevirt/cdi."""

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
    """A cache directory for this checkout only, so that several checkouts can run at the same time."""
    return cache_dir() / "checkouts" / hashlib.sha256(bytes(ROOT)).hexdigest()[:12]


def collections_path() -> Path:
    """A directory in which a link makes this checkout the collection kubevirt.cdi."""
    path = checkout_dir() / "tree"
    link = path / "ansible_collections" / "kubevirt" / "cdi"
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise ClusterError(f"{link} is not a link: move it away.")
    link.symlink_to(ROOT)
    return path


def copy_checkout(target: Path) -> None:
    """Copy the files that git tracks or would track after `git add`, without caches and other ignored files."""
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
    """The environment for processes that use the collection from this checkout, with the variables of `more`.

    Their bytecode is kept outside the checkout, also where the environment forbids to write it: each stage has several
    processes that import the tests.
    """
    path = str(collections_path())
    ours = {
        "ANSIBLE_COLLECTIONS_PATH": path,
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPATH": f"{path}:{ROOT}",
        "PYTHONPYCACHEPREFIX": str(cache_dir() / "bytecode"),
    }
    return os.environ | ours | more
