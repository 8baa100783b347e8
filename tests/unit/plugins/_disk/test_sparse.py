# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holes cost nothing: what is read of a large disk is about what it has, in bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import Survey, surveyed
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.opening import open_disk
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image

from tests.image_files import MIB, run
from tests.unit.plugins._disk.reading import PACKED, Extent, data_of, make, write

TIB = 1 << 40
PLACES = (0, TIB // 3 // MIB * MIB, TIB - 65536)


def _sparse_raw(path: Path) -> Image:
    write(path, TIB, [Extent(place, 65536, "noise") for place in PLACES])
    return Image("raw", None, TIB, TIB, TIB)


def _sparse_qcow2(path: Path) -> Image:
    (path.parent / "noise").write_bytes(data_of("noise", 65536))
    run("qemu-img", "create", "-q", "-f", "qcow2", path, str(TIB))
    _write(path, *PLACES)
    return Image("qcow2", None, TIB, path.stat().st_size, path.stat().st_size)


def _preallocated(path: Path) -> Image:
    """Each cluster has its place in the file, and the file has a hole there."""
    (path.parent / "noise").write_bytes(data_of("noise", 65536))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata,cluster_size=2M", path, str(TIB // 8))
    _write(path, *(place // 8 // MIB * MIB for place in PLACES))
    return Image("qcow2", None, TIB // 8, path.stat().st_size, path.stat().st_size)


def _write(path: Path, *places: int) -> None:
    commands = [word for place in places for word in ("-c", f"write -s {path.parent / 'noise'} {place} 65536")]
    run("qemu-io", "-f", "qcow2", *commands, path)


@pytest.mark.parametrize("make_sparse", [_sparse_raw, _sparse_qcow2, _preallocated])
def test_holes_are_not_read(folder: Path, make_sparse: Callable[[Path], Image]) -> None:
    path = folder / "sparse"
    image = make_sparse(path)
    before = _bytes_read()
    survey = _surveyed(path, image)
    assert _bytes_read() - before < 3 * MIB
    assert survey.size == image.virtual_size and survey.data_bytes == 3 * 65536
    path.unlink()


def _bytes_read() -> int:
    """By this process, from all files."""
    words = Path("/proc/self/io").read_text().split()
    return int(words[words.index("rchar:") + 1])


def _surveyed(path: Path, image: Image) -> Survey:
    with open_disk(str(path), image) as disk:
        assert disk is not None
        return surveyed(disk)


@pytest.fixture(scope="module")
def dense(folder: Path) -> Path:
    return write(folder / "dense", 24 * MIB, [Extent(0, 4 * MIB, "noise"), Extent(4 * MIB, 20 * MIB, "text")])


@pytest.mark.parametrize("kind", ["raw", "qcow2", "qcow2-4k", "qcow2-large-compressed", "qcow2-large-parts", *PACKED])
def test_memory_does_not_depend_on_the_size_of_the_disk(folder: Path, dense: Path, kind: str) -> None:
    path = make(dense, kind, folder / "large")
    form, packed = ("raw", kind) if kind in PACKED else (kind.partition("-")[0], None)
    image = Image(form, packed, 24 * MIB, None, path.stat().st_size)
    tracemalloc.start()
    try:
        survey = _surveyed(path, image)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert survey.data_bytes == 24 * MIB and peak < 16 * MIB
