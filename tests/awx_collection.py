# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection awx.awx, from the package `ansible`, which has many more collections."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.cluster.paths import cache_dir

_RELEASE = "12.3.0"
_FOLDER = "ansible_collections/awx/awx/"


def awx_collections_path() -> Path:
    """A collections path with awx.awx, which is downloaded once."""
    path = cache_dir() / "collections" / f"awx-of-ansible-{_RELEASE}"
    if not (path / _FOLDER / "MANIFEST.json").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                folder,
                f"ansible=={_RELEASE}",
            ]
            subprocess.run(command, check=True)
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(
                    Path(folder) / "tree", [name for name in archive.namelist() if name.startswith(_FOLDER)]
                )
            (Path(folder) / "tree").replace(path)
    return path
