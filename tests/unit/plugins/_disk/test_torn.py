# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged images give EOFError with words, and never another error or zeros in place of data."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.opening import open_disk
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image, inspect
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.image_files import MIB, run
from tests.unit.plugins._disk.reading import PACKED, QCOW2, Extent, data_of, make, read, write

_CLUSTER = 65536
# The last cluster of each image has data, and so has the last sector of the disk.
EXTENTS = [
    Extent(0, 200_000, "noise"),
    Extent(MIB, 200_000, "text"),
    Extent(2 * MIB + 2560, 900_000, "text"),
    Extent(3 * MIB - 65_536, 65_536, "noise"),
]


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A directory with images, which have their kinds as names."""
    (folder / "whole").mkdir()
    source = write(folder / "whole" / "raw", 3 * MIB, EXTENTS)
    for kind in (*QCOW2, *PACKED):
        make(source, kind, folder / "whole" / kind).replace(folder / "whole" / kind)
    return folder / "whole"


def _image(kind: str, size: int) -> Image:
    """What the inspection of the whole image has found."""
    if kind in PACKED:
        return Image("raw", kind, 3 * MIB, 3 * MIB, size)
    return Image(kind.partition("-")[0], None, 3 * MIB, size, size)


@pytest.mark.parametrize("kind", ["raw", *QCOW2, *PACKED])
def test_each_truncation_is_detected(folder: Path, whole: Path, kind: str) -> None:
    content, path = (whole / kind).read_bytes(), folder / f"cut-{kind}"
    for part in (0.98, 0.9, 0.5, 0.1, 0.01, 0):
        path.write_bytes(content[: int(len(content) * part)])
        if part >= 0.9 and not content[int(len(content) * part) :].strip(b"\0"):
            continue  # Space that was reserved.
        with pytest.raises(EOFError, match=r"^its? "):
            read(path, _image(kind, len(content)))


def test_raw_file_that_has_lost_a_hole_is_detected(folder: Path) -> None:
    path = write(folder / "holes", 3 * MIB, EXTENTS[:1])
    os.truncate(path, 2 * MIB)
    with pytest.raises(EOFError, match=rf"it ends at byte {2 * MIB}, and its data at byte {3 * MIB}"):
        read(path, _image("raw", 3 * MIB))


class Patch:
    """Changes an image in place. `entry` is the offset of the first entry in the first table of the second level."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.first = self.word(40)
        self.entry = self.word(self.first) & 0xFFFFFFFFFFFE00

    def word(self, at: int) -> int:
        return int.from_bytes(self.content[at : at + 8], "big")

    def put(self, at: int, value: int, length: int = 8) -> None:
        self.content[at : at + length] = value.to_bytes(length, "big")

    def add(self, at: int, value: int) -> None:
        self.put(at, self.word(at) + value)

    def spoil(self, data: bytes, from_end: int = 0) -> None:
        """Other data in the first compressed cluster."""
        place = next(at for at in range(self.entry, self.entry + _CLUSTER, 8) if self.word(at) >> 62 & 1)
        start = self.word(place) & (1 << 54) - 1
        self.content[start : start + len(data)] = data

    def append(self, data: bytes) -> None:
        """A compressed cluster at the end of the file, which is the first one of the disk."""
        self.content += bytes(-len(self.content) % 512)
        self.put(self.entry, 1 << 62 | (len(data) - 1) // 512 << 54 | len(self.content))
        self.content += data


_DAMAGED: dict[str, tuple[str, Callable[[Patch], None], str]] = {
    "table beyond the end": ("qcow2", lambda p: p.put(p.first, 1 << 40), "its table at byte 1099511627776 has 65536"),
    "table within a cluster": ("qcow2", lambda p: p.add(p.first, 512), "its table at byte .* begins within a cluster"),
    "first table beyond the end": ("qcow2", lambda p: p.put(40, 1 << 40), "its table at byte 1099511627776 has 8"),
    "first table too short": ("qcow2", lambda p: p.put(36, 0, 4), "its table has 0 entries, and its disk"),
    "cluster beyond the end": ("qcow2", lambda p: p.put(p.entry, 1 << 40), "it ends at byte .*, and its data at byte"),
    "cluster within a cluster": ("qcow2", lambda p: p.add(p.entry, 512), "its data at byte .* begin within a cluster"),
    "cluster in the last bits": ("qcow2", lambda p: p.put(p.entry, 0xFFFFFFFFFF0000), "it ends at byte"),
    "zeros in version 2": (
        "qcow2-old",
        lambda p: p.put(p.entry, 1),
        "the cluster at byte 0 .* reads as zeros",
    ),
    "clusters too large": ("qcow2", lambda p: p.put(20, 22, 4), r"its clusters have 2\^22 bytes"),
    "clusters too small": ("qcow2", lambda p: p.put(20, 8, 4), r"its clusters have 2\^8 bytes"),
    "parts too small": ("qcow2-extended", lambda p: p.put(20, 13, 4), "its clusters have 8192 bytes.* for 32 parts"),
    "header cut": ("qcow2", lambda p: p.content.__delitem__(slice(50, None)), "its header ends before byte"),
    "part both zero and data": (
        "qcow2-extended",
        lambda p: p.put(p.entry + 8, 1 << 32 | 1),
        "the cluster at byte 0 of its disk",
    ),
    "part without a place": (
        "qcow2-extended",
        lambda p: p.put(p.entry, 0),
        "the cluster at byte 0 .* has parts",
    ),
    "compressed beyond the end": (
        "qcow2-compressed",
        lambda p: p.put(p.entry, 1 << 62 | 1 << 40),
        "its compressed cluster at byte 1099511627776 ends after 0 bytes",
    ),
    "compressed with garbage": (
        "qcow2-compressed",
        lambda p: p.spoil(b"\xff" * 64),
        "its compressed cluster at byte .* is damaged .*invalid block type",
    ),
    "compressed too short": (
        "qcow2-compressed",
        lambda p: p.spoil(b"\x03\x00"),
        "its compressed cluster at byte .* ends after 0 bytes",
    ),
    "zstd with garbage": (
        "qcow2-zstd",
        lambda p: p.spoil(b"\xff" * 64),
        "its compressed cluster at byte .* is damaged",
    ),
    "zstd too short": (
        "qcow2-zstd",
        lambda p: p.spoil(bytes.fromhex("28b52ffd 20 00 010000")),
        "its compressed cluster at byte .* is damaged|its compressed cluster at byte .* ends after 0 bytes",
    ),
}


@pytest.mark.parametrize("name", _DAMAGED)
def test_damage_of_a_qcow2_is_named(folder: Path, whole: Path, name: str) -> None:
    kind, change, named = _DAMAGED[name]
    patch, path = Patch((whole / kind).read_bytes()), folder / "damaged"
    change(patch)
    path.write_bytes(patch.content)
    with pytest.raises(EOFError, match=f"^{named}"):
        read(path, _image(kind, len(patch.content)))


_TEXT = data_of("text", _CLUSTER)
_HALVES = [run("zstd", "-q", data=part) for part in (_TEXT[: _CLUSTER // 2], _TEXT[_CLUSTER // 2 :])]


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(b"".join(_HALVES), id="two frames"),
        pytest.param(run("zstd", "-q", "--check", data=_TEXT), id="one frame with a checksum"),
        pytest.param(run("zstd", "-q", "--no-check", data=_TEXT).ljust(600, b"\xff"), id="other bytes follow"),
    ],
)
def test_clusters_of_other_writers_are_read_as_by_qemu(folder: Path, whole: Path, stored: bytes) -> None:
    patch, path = Patch((whole / "qcow2-zstd").read_bytes()), folder / "other-writer"
    patch.append(stored)
    path.write_bytes(patch.content)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, folder / "by-qemu")
    assert read(path, _image("qcow2", len(patch.content))) == (folder / "by-qemu").read_bytes()


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize(
    ("size", "named"),
    [(3 * MIB - 1, f"it has more than the {3 * MIB - 1} bytes"), (4 * MIB, f"it has {3 * MIB} of the {4 * MIB} bytes")],
)
def test_packed_disk_of_another_size_than_before_is_refused(whole: Path, kind: str, size: int, named: str) -> None:
    path = whole / kind
    with pytest.raises(EOFError, match=named):
        read(path, _image(kind, path.stat().st_size)._replace(virtual_size=size))


@pytest.mark.parametrize("kind", PACKED)
def test_packed_disk_may_be_followed_by_other_bytes(folder: Path, whole: Path, kind: str) -> None:
    path = folder / f"tail.{kind}"
    path.write_bytes((whole / kind).read_bytes() + b"signature")
    assert read(path, inspect(str(path), lambda _data: None)) == (whole / "raw").read_bytes()


@given(data=st.data())
@examples(200)
def test_any_damage_gives_a_disk_or_an_error(folder: Path, whole: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([*QCOW2, *PACKED]))
    content, path = bytearray((whole / kind).read_bytes()), folder / "any"
    places = st.one_of(st.integers(0, 120), st.integers(0, len(content)))
    if kind in QCOW2:
        patch = Patch((whole / kind).read_bytes())
        tables = st.integers(0, 64)
        places = st.one_of(places, tables.map(lambda at: patch.first + at), tables.map(lambda at: patch.entry + at))
    bits = st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7]))
    for at, new in data.draw(st.lists(st.tuples(places, bits), min_size=1, max_size=6)):
        content[at : at + len(new)] = new
    path.write_bytes(content)
    try:
        with open_disk(str(path), _image(kind, len(content))) as disk:
            assert disk is not None
            for piece in itertools.islice(disk.pieces(), 100):
                assert piece.data.strip(b"\0")
    except EOFError as exc:
        assert "\n" not in str(exc) and str(exc).startswith(("its ", "it ", "the cluster at byte "))
