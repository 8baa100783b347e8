# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the readers find in images equals what QEMU finds in them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.assembly import assembled
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import BLOCK_BYTES, Disk, Piece
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.opening import open_disk
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.raw import Raw
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.image_files import MIB, run
from tests.unit.plugins._disk.reading import PACKED, QCOW2, Extent, content_of, data_of, digest_of, make, read, write

KINDS = ("raw", *QCOW2, *PACKED)
# At the start, across the borders of blocks and pieces, small ones within a block, and the last sector.
EXTENTS = [
    Extent(0, 512, "noise"),
    Extent(BLOCK_BYTES - 512, 1024, "text"),
    Extent(MIB - 4096, 2 * MIB + 8192, "noise"),
    Extent(4 * MIB, 300_000, "zeros"),
    Extent(5 * MIB + 1024, 2 * MIB, "text"),
    Extent(8 * MIB + 512, 512, "noise"),
    Extent(8 * MIB + 9 * 4096, 4096, "text"),
    Extent(12 * MIB, 3 * 512, "noise"),
]
SIZE = 12 * MIB + 3 * 512


@pytest.fixture(scope="module")
def source(folder: Path) -> Path:
    return write(folder / "source", SIZE, EXTENTS)


@pytest.mark.parametrize("kind", KINDS)
def test_disk_has_the_same_content_and_digest_in_each_format(folder: Path, source: Path, kind: str) -> None:
    path = make(source, kind, folder / kind)
    assert read(path) == source.read_bytes()
    assert digest_of(path) == digest_of(source)


# Sectors, so that all places in clusters, parts of clusters and blocks occur.
_EXTENTS = st.lists(
    st.builds(
        lambda first, count, kind: Extent(first * 512, count * 512, kind),
        st.integers(0, 12_000),
        st.one_of(st.integers(1, 40), st.integers(1, 3000)),
        st.sampled_from(["noise", "text", "zeros"]),
    ),
    max_size=8,
)


@given(kind=st.sampled_from(KINDS), sectors=st.integers(1, 12_000), extents=_EXTENTS)
@examples(40)
def test_any_disk_is_read_as_it_was_converted(folder: Path, kind: str, sectors: int, extents: list[Extent]) -> None:
    # Empty files and texts are refused before.
    source = write(folder / "any", sectors * 512, [*extents, Extent(0, 512, "noise")])
    assert read(make(source, kind, folder / "any-image")) == source.read_bytes()


_OPTIONS = (
    "compat=0.10",
    "compat=1.1",
    "cluster_size=512",
    "cluster_size=4k",
    "cluster_size=2M",
    "extended_l2=on",
    "extended_l2=on,cluster_size=16k",
    "extended_l2=on,compression_type=zstd",
    "lazy_refcounts=on,compression_type=zstd",
    "preallocation=metadata",
    "preallocation=metadata,extended_l2=on",
)
_COMMANDS = ("write -s", "write -s", "write -z", "write -z -u", "discard", "write -c -s")


@given(
    options=st.sampled_from(_OPTIONS),
    sectors=st.integers(1, 12_000),
    commands=st.lists(
        st.tuples(st.sampled_from(_COMMANDS), st.integers(0, 11_999), st.integers(1, 600)), min_size=1, max_size=8
    ),
)
@examples(40)
def test_disk_that_a_guest_has_written_is_read_as_by_qemu(
    folder: Path, options: str, sectors: int, commands: list[tuple[str, int, int]]
) -> None:
    path, noise, raw = folder / "guest.qcow2", folder / "noise", folder / "guest.raw"
    noise.write_bytes(data_of("noise", 70_000) + data_of("text", 200_000))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, str(sectors * 512))
    _change(path, noise, [(command, first, min(count, sectors - first)) for command, first, count in commands])
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw)
    assert read(path) == raw.read_bytes()


def test_disk_with_internal_snapshots_is_read_as_it_is_now(folder: Path) -> None:
    path, noise, raw = folder / "snapshots.qcow2", folder / "noise", folder / "now.raw"
    noise.write_bytes(data_of("noise", 70_000))
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "4M")
    for number in range(3):
        _change(path, noise, [("write -s", 1000 * number, 2000), ("discard", 128 * number, 128)])
        run("qemu-img", "snapshot", "-c", f"s{number}", path)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw)
    assert read(path) == raw.read_bytes() != bytes(4 * MIB)


def _change(path: Path, noise: Path, commands: list[tuple[str, int, int]]) -> None:
    """Each command has its first sector, and their number."""
    words = []
    for command, first, count in commands:
        if " -c " in command:
            # A compressed write has whole clusters, and fails for one that has data already.
            first, count = first // 128 * 128, 128
        if count > 0:
            pattern = [str(noise)] if command.endswith("-s") else []
            words += ["-c", " ".join([command, *pattern, str(first * 512), str(count * 512)])]
    subprocess.run(["qemu-io", "-t", "unsafe", "-f", "qcow2", *words, path], check=False, capture_output=True)


@given(
    size=st.integers(1, 300_000),
    lengths=st.lists(st.tuples(st.integers(0, 70_000), st.integers(1, 140_000)), max_size=6),
)
@examples(200)
def test_parts_of_any_length_are_joined_to_blocks(size: int, lengths: list[tuple[int, int]]) -> None:
    content, parts, place = bytearray(size), [], 0
    for number, (gap, length) in enumerate(lengths):
        data = data_of("noise", min(length, size - place - gap), number) if place + gap < size else b""
        if data:
            content[place + gap : place + gap + len(data)] = data
            parts.append((place + gap, data))
        place += gap + length

    class Joined:
        def __init__(self) -> None:
            self.size = size

        def pieces(self) -> Iterator[Piece]:
            return assembled(parts, size)

    joined: Disk = Joined()
    assert content_of(joined) == bytes(content)


def test_disk_can_be_read_again_after_it_was_read_in_part(folder: Path, source: Path) -> None:
    for kind in ("raw", "qcow2-compressed", "xz"):
        with open_disk(str(path := make(source, kind, folder / kind)), inspect(str(path))) as disk:
            assert disk is not None
            first = next(disk.pieces())
            assert first.offset == 0 and content_of(disk) == content_of(disk) == source.read_bytes()


@pytest.mark.parametrize("size", [513, BLOCK_BYTES - 1, BLOCK_BYTES + 1, 3 * MIB + 1])
def test_size_of_a_raw_disk_is_that_of_its_content(folder: Path, size: int) -> None:
    source = write(folder / "odd", size, [Extent(size - 100, 100, "noise")])
    for kind in ("raw", *PACKED):
        assert read(make(source, kind, folder / "unused")) == source.read_bytes()


def test_block_device_is_read(folder: Path) -> None:
    source = write(folder / "backing", 4 * MIB, [Extent(0, 512, "noise"), Extent(2 * MIB + 512, MIB, "noise")])
    device = Path(run("losetup", "--show", "-f", source).decode().strip())
    try:
        assert read(device) == source.read_bytes()
        assert digest_of(device) == digest_of(source)
    finally:
        run("losetup", "-d", device)


def test_file_whose_holes_are_unknown_is_read_as_a_whole() -> None:
    with open("/proc/version", "rb", buffering=0) as file:
        with pytest.raises(OSError, match="Invalid argument"):
            os.lseek(file.fileno(), 0, os.SEEK_DATA)
        content = file.read()
        assert content_of(Raw(file.fileno(), len(content))) == content


def test_two_readings_of_one_raw_file_do_not_disturb_each_other(folder: Path, source: Path) -> None:
    with open(source, "rb", buffering=0) as file:
        first, second = Raw(file.fileno(), SIZE).pieces(), Raw(file.fileno(), SIZE).pieces()
        assert all(piece == next(second) for piece in first)
