# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a qcow2 image: QEMU finds no error in it, and the same content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import BLOCK_BYTES
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.qcow2_stream import qcow2_stream
from hypothesis import given, settings

from tests.image_files import MIB, run
from tests.unit.plugins._disk.block_disks import DISKS, BlockDisk, disk, disks
from tests.unit.plugins._disk.paces import FAST, pace_of

TIB = MIB << 20


def written(made: BlockDisk, path: Path) -> Path:
    with open(path, "wb") as file:
        file.writelines(qcow2_stream(made.survey()).chunks(made.pieces(), pace_of(FAST)))
    return path


def info(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("qemu-img", "info", "--output=json", path))
    return found


def verify(made: BlockDisk, folder: Path) -> None:
    image, raw = written(made, folder / "disk.qcow2"), made.write(folder / "disk.img")
    assert b"No errors were found" in run("qemu-img", "check", "-f", "qcow2", image)
    assert b"Images are identical" in run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", image, raw)
    assert info(image)["virtual-size"] == -(-made.size // 512) * 512


@pytest.mark.parametrize("name", DISKS)
def test_image_has_no_errors_and_the_content_of_the_disk(folder: Path, name: str) -> None:
    verify(DISKS[name], folder)


@settings(max_examples=30)
@given(made=disks(20_000))
def test_image_of_any_disk_has_no_errors_and_the_same_content(folder: Path, made: BlockDisk) -> None:
    verify(made, folder)


def test_converted_image_has_the_bytes_of_the_disk(folder: Path) -> None:
    made = DISKS["alternating, from a zero block"]
    target = folder / "converted.img"
    run("qemu-img", "convert", "-O", "raw", written(made, folder / "source.qcow2"), target)
    assert target.read_bytes() == made.content() + bytes(-made.size % 512)


def test_image_has_no_errors_after_it_was_written_to(folder: Path) -> None:
    image = written(disk(100, 10), folder / "used.qcow2")
    run("qemu-io", "-f", "qcow2", "-c", f"write 0 {100 * BLOCK_BYTES}", image)
    assert b"No errors were found" in run("qemu-img", "check", image)
    assert image.stat().st_size < 110 * BLOCK_BYTES


def test_image_is_one_of_version_3_without_features(folder: Path) -> None:
    found = info(written(DISKS["alternating"], folder / "features.qcow2"))
    assert (found["format"], found["cluster-size"]) == ("qcow2", BLOCK_BYTES)
    assert found["format-specific"]["data"] == {
        "compat": "1.1",
        "compression-type": "zlib",
        "lazy-refcounts": False,
        "refcount-bits": 16,
        "corrupt": False,
        "extended-l2": False,
    }


@pytest.mark.parametrize(
    ("made", "clusters"),
    [
        # The header, refcounts (2), the L1 table.
        (disk(TIB // BLOCK_BYTES), 4),
        # Also an L2 table and a cluster for each.
        (disk(TIB // BLOCK_BYTES, 0, 12_345_678, TIB // BLOCK_BYTES - 1), 10),
        # An L2 table for 512 MiB, a refcount block for 2 GiB, which the data alone fill.
        (disk(4 * 8192, *range(4 * 8192)), 4 + 1 + 4 + 4 * 8192),
    ],
    ids=["empty", "three blocks", "full"],
)
def test_image_has_tables_only_for_data(made: BlockDisk, clusters: int) -> None:
    assert qcow2_stream(made.survey()).length == clusters * BLOCK_BYTES


def test_image_of_a_large_disk_has_no_errors(folder: Path) -> None:
    verify(disk(TIB // BLOCK_BYTES, 0, *range(9_000_000, 9_000_020), TIB // BLOCK_BYTES - 1, last=512), folder)
