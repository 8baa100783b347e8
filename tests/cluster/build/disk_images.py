# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk images that the fixtures serve: one small disk in the formats that CDI reads."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.errors import ClusterError

DISK_BYTES = 64 << 20
_RANDOM_BYTES = 8 << 20  # Incompressible: enough for slow and broken transfers.


def _make_images(directory: Path, _built: Built) -> None:
    """Write disk.raw (ext4 with files), disk.qcow2, both with .gz, .xz and .zst, disk.tar, and NAME.sha256 for each."""
    raw = directory / "disk.raw"
    with tempfile.TemporaryDirectory() as content:
        shutil.copytree("/usr/share/common-licenses", Path(content) / "licenses")
        (Path(content) / "random").write_bytes(os.urandom(_RANDOM_BYTES))
        raw.touch()
        os.truncate(raw, DISK_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-d", content, str(raw))
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(directory / "disk.qcow2"))
    for image in (raw, directory / "disk.qcow2"):
        with image.open("rb") as disk, gzip.open(f"{image}.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(disk, packed, 1 << 20)
        # CDI 1.65 cannot read the qcow2 of `xz -0`: "writeMatch: distance out of range".
        _run("xz", "-1", "--keep", "--force", str(image))
        _run("zstd", "-1", "--quiet", "--force", str(image))
    with tarfile.open(directory / "disk.tar", "w") as archive:
        archive.add(directory / "disk.qcow2", "disk.qcow2")
    for image in [*directory.glob("disk.*")]:
        with image.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        (directory / f"{image.name}.sha256").write_text(f"{digest}  {image.name}\n")


def _run(*command: str) -> None:
    """Raises ClusterError with the program's own message."""
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise ClusterError(
            f"`{command[0]}` cannot create {command[-1]} ({ended.stderr.strip()}): free some disk space and try again."
        )


DISK_IMAGES = Recipe("disk-images", (Path(__file__),), _make_images)
