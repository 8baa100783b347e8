# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small real disk images in the formats that CDI reads."""

from __future__ import annotations

import hashlib
import random
import subprocess
import tarfile
from pathlib import Path

RAW_BYTES = 64 << 20
_CONTENT_BYTES = 8 << 20
_SEED = 20261120


def make_images(directory: Path) -> None:
    """disk.raw (64 MiB, 8 MiB of them random), the same as .qcow2, .raw.gz, .raw.xz and .raw.zst, archive.tar, and SHA256SUMS.

    disk.raw.sha256 has the digest of the disk's content, which is the same in all of them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    raw = directory / "disk.raw"
    with raw.open("wb") as stream:
        stream.write(random.Random(_SEED).randbytes(_CONTENT_BYTES))
        stream.truncate(RAW_BYTES)
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(directory / "disk.qcow2"))
    _run("gzip", "--keep", "--force", "--fast", str(raw))
    _run("xz", "--keep", "--force", "-0", str(raw))
    _run("zstd", "--quiet", "--force", str(raw))
    with tarfile.open(directory / "archive.tar", "w") as archive:
        archive.add(Path(__file__), arcname="fixture.txt")
    (directory / "disk.raw.sha256").write_text(f"{_digest(raw)}  disk.raw\n")
    images = sorted(path for path in directory.iterdir() if path.name.partition(".")[0] in ("disk", "archive") and path.suffix != ".sha256")
    (directory / "SHA256SUMS").write_text("".join(f"{_digest(path)}  {path.name}\n" for path in images))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
