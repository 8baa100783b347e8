# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads disks by their pieces, and makes the images that are read."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import NamedTuple

from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import BLOCK_BYTES, PIECE_BYTES, Disk, surveyed
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.opening import open_disk
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image, inspect

from tests.image_files import CREATE, convert, pack

QCOW2 = {
    **{kind: options for kind, options in CREATE.items() if kind.startswith("qcow2")},
    "qcow2-large": ["-O", "qcow2", "-o", "cluster_size=2M"],
    "qcow2-4k": ["-O", "qcow2", "-o", "cluster_size=4k"],
    "qcow2-small-parts": ["-O", "qcow2", "-o", "extended_l2=on,cluster_size=16k"],
    "qcow2-large-parts": ["-S", "4k", "-O", "qcow2", "-o", "extended_l2=on,cluster_size=2M"],
    "qcow2-small-compressed": ["-c", "-O", "qcow2", "-o", "cluster_size=512"],
    "qcow2-large-compressed": ["-c", "-O", "qcow2", "-o", "cluster_size=2M"],
    "qcow2-old-compressed": ["-c", "-O", "qcow2", "-o", "compat=0.10"],
    "qcow2-extended-zstd": ["-c", "-O", "qcow2", "-o", "extended_l2=on,compression_type=zstd"],
}
PACKED = ("gz", "xz", "zst")


class Extent(NamedTuple):
    """What is written to a disk, in bytes."""

    offset: int
    length: int
    kind: str


def write(path: Path, size: int, extents: list[Extent]) -> Path:
    """A raw disk, whose holes are holes in the file too. What is beyond its end is left out."""
    with open(path, "wb") as file:
        file.truncate(size)
        for number, extent in enumerate(extents):
            length = min(extent.length, size - extent.offset)
            if length > 0:
                file.seek(extent.offset)
                file.write(data_of(extent.kind, length, number))
    return path


def data_of(kind: str, length: int, seed: int = 0) -> bytes:
    if kind == "zeros":
        return bytes(length)
    if kind == "text":
        return (b"All work and no play %d. " % seed * (length // 22 + 1))[:length]
    return random.Random(seed).randbytes(length)


def make(source: Path, kind: str, target: Path) -> Path:
    """The raw disk `source` in another format, or packed."""
    target.unlink(missing_ok=True)
    if kind == "raw":
        return source
    if kind in PACKED:
        return pack(source, kind)
    if kind in CREATE:
        return convert(source, kind, target)
    subprocess.run(["qemu-img", "convert", "-f", "raw", *QCOW2[kind], source, target], check=True, capture_output=True)
    return target


def read(path: Path, image: Image | None = None) -> bytes:
    """The content of the disk in an image."""
    with open_disk(str(path), image or inspect(str(path))) as disk:
        assert disk is not None
        return content_of(disk)


def digest_of(path: Path) -> str:
    with open_disk(str(path), inspect(str(path))) as disk:
        assert disk is not None
        return surveyed(disk).digest


def content_of(disk: Disk) -> bytes:
    """The content by the pieces, which have to be as `Piece` and `Disk` promise."""
    content, end = bytearray(disk.size), 0
    for offset, data in disk.pieces():
        assert offset >= end and offset % BLOCK_BYTES == 0 and 0 < len(data) <= PIECE_BYTES
        end = offset + len(data)
        assert end == disk.size or (len(data) % BLOCK_BYTES == 0 and end < disk.size)
        assert all(data[place : place + BLOCK_BYTES].strip(b"\0") for place in range(0, len(data), BLOCK_BYTES))
        content[offset:end] = data
    return bytes(content)
