# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What xz files contain, decompressed by their blocks: the same as the program xz finds, or an error."""

from __future__ import annotations

import hashlib
import lzma
import random
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.xz_blocks import blocks_of, content_of
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.compression import Content
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.compression import content_of as from_start_to_end
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import open_source

from tests.unit.plugins._disk.reading import data_of

MIB = 1024 * 1024
DATA = data_of("noise", MIB) + bytes(2 * MIB) + data_of("text", MIB + 1)
OPTIONS = {
    "four blocks": ["-0", "-T2", "--block-size=1MiB"],
    "no check": ["-0", "--check=none", "--block-size=1MiB"],
    "crc32": ["-0", "--check=crc32", "--block-size=700KiB"],
    "sha256": ["-0", "--check=sha256", "--block-size=1MiB"],
    "sizes in the headers": ["-0", "-T1", "--block-list=1MiB,512KiB,0"],
    "another dictionary": ["--lzma2=preset=0,dict=64MiB", "--block-size=2MiB"],
}


def xz(data: bytes, *options: str) -> bytes:
    return subprocess.run(["xz", "-c", *options], input=data, check=True, capture_output=True).stdout


def listed(path: Path) -> int:
    """How many blocks the program finds."""
    command = ["xz", "--robot", "--list", str(path)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return next(int(line.split("\t")[2]) for line in lines if line.startswith("file"))


def found(path: Path) -> int:
    with open_source(str(path)) as file:
        return len(blocks_of(file.fileno(), path.stat().st_size))


def scanned(path: Path, read: Callable[..., Content] = content_of) -> tuple[bytes, str, int]:
    """The content, the SHA-256 of the file that was read for it, and the bytes behind its end."""
    content, digest = bytearray(), hashlib.sha256()
    with open_source(str(path)) as file:
        opened = read(file, path.stat().st_size)
        opened.scan(digest.update, content.extend)
    return bytes(content), digest.hexdigest(), opened.tail


@pytest.mark.parametrize("name", OPTIONS)
def test_blocks_are_those_that_xz_finds(tmp_path: Path, name: str) -> None:
    path = tmp_path / "disk.xz"
    path.write_bytes(xz(DATA, *OPTIONS[name]))
    assert found(path) == listed(path) > 1
    assert scanned(path) == (DATA, hashlib.sha256(path.read_bytes()).hexdigest(), 0)


@pytest.mark.parametrize("padding", [0, 4, 64])
def test_blocks_of_several_streams(tmp_path: Path, padding: int) -> None:
    path = tmp_path / "disk.xz"
    parts = [xz(DATA, *OPTIONS["four blocks"]), xz(b""), xz(DATA[:5]), xz(DATA, *OPTIONS["no check"])]
    path.write_bytes(b"".join(part + bytes(padding) for part in parts))
    assert found(path) == listed(path) == 11
    assert scanned(path) == (DATA + DATA[:5] + DATA, hashlib.sha256(path.read_bytes()).hexdigest(), 0)


@pytest.mark.parametrize(
    "data, tail",
    [
        (xz(DATA), b""),
        (xz(b""), b""),
        (xz(bytes(67 * MIB), "-0", "--block-size=33MiB"), b""),
        (xz(DATA, *OPTIONS["four blocks"]), b"tail"),
        (xz(DATA, *OPTIONS["four blocks"]), bytes(6)),
    ],
    ids=["one block", "no block", "large blocks", "tail", "odd padding"],
)
def test_other_files_are_read_from_start_to_end(tmp_path: Path, data: bytes, tail: bytes) -> None:
    path = tmp_path / "disk.xz"
    path.write_bytes(data + tail)
    assert found(path) == 0
    assert scanned(path) == (lzma.decompress(data), hashlib.sha256(data + tail).hexdigest(), len(tail))


def outcome(path: Path, read: Callable[..., Content]) -> tuple[bytes, str, int] | None:
    """As `scanned`, None for a damaged file."""
    try:
        return scanned(path, read)
    except EOFError:
        return None


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_found_as_from_start_to_end(tmp_path: Path, seed: int) -> None:
    whole, chance, path = xz(DATA, *OPTIONS["crc32"]), random.Random(seed), tmp_path / "disk.xz"
    before, damaged = threading.active_count(), 0
    for _attempt in range(40):
        near_end = chance.random() < 0.5
        place = len(whole) - chance.randrange(1, 80) if near_end else chance.randrange(len(whole))
        flipped = whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :]
        path.write_bytes(flipped if chance.random() < 0.8 else whole[:place])
        found = outcome(path, content_of)
        assert found == outcome(path, from_start_to_end), place
        damaged += found is None
    assert damaged > 30 and threading.active_count() == before


def test_zeros_between_data_stay_zeros(tmp_path: Path) -> None:
    """A block of zeros is decompressed once. Others of its size are not taken for it."""
    path = tmp_path / "disk.xz"
    zeros, other = bytes(MIB), b"0" * MIB
    data = zeros * 3 + DATA[:MIB] + zeros * 2 + other * 2 + zeros + bytes(MIB - 1) + b"1" + zeros + bytes(MIB // 2)
    parts = [xz(data, "-0", f"--check={check}", "--block-size=1MiB") for check in ("crc32", "none")]
    path.write_bytes(b"".join(parts))
    assert found(path) == listed(path) == 24
    assert scanned(path)[0] == 2 * data


def test_damaged_block_of_zeros_is_found(tmp_path: Path) -> None:
    path = tmp_path / "disk.xz"
    whole = xz(bytes(8 * MIB), "-0", "--block-size=1MiB")
    with path.open("wb+") as file:
        file.write(whole)
        file.flush()
        last = blocks_of(file.fileno(), len(whole))[-1]
        file.seek(last.start + last.packed - 6)
        file.write(b"damage")
    assert outcome(path, content_of) is None


def test_block_with_more_than_its_index_says_is_damaged(tmp_path: Path) -> None:
    """Else a small file could fill the memory."""
    block = xz(bytes(64 * MIB), "-0", "--check=none")
    packed = block[12 : -12 - 4 * (1 + struct.unpack("<I", block[-8:-4])[0])]
    index = b"\0\2" + 2 * (_number(len(packed)) + _number(MIB))
    index += bytes(-len(index) % 4)
    fields = struct.pack("<I", len(index) // 4) + b"\0\0"
    path = tmp_path / "disk.xz"
    path.write_bytes(block[:12] + 2 * packed + index + _crc(index) + _crc(fields) + fields + b"YZ")
    assert found(path) == 2
    with pytest.raises(EOFError, match="its xz block at byte 12 is damaged"):
        scanned(path)


def _number(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _number(high) if high else bytes([low])


def _crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data))


def test_threads_end_with_the_reading(tmp_path: Path) -> None:
    path = tmp_path / "disk.xz"
    path.write_bytes(xz(DATA, *OPTIONS["four blocks"]))
    before = threading.active_count()
    with open_source(str(path)) as file:
        reader = content_of(file, path.stat().st_size).file()
        assert DATA.startswith(reader.read(MIB))
        del reader
    assert threading.active_count() == before
