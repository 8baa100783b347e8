# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes out of a zstd file, compared with what went into the zstd program; and what a damaged one does."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image import zstd as _zstd
from hypothesis import given, settings
from hypothesis import strategies as st

LARGEST_BLOCK = 128 * 1024


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zstd")


def _compressed(content: bytes, *options: str) -> bytes:
    return subprocess.run(["zstd", "-q", *options], input=content, stdout=-1, check=True).stdout


def _blocks(folder: Path, compressed: bytes) -> list[bytes]:
    path = folder / "file.zst"
    path.write_bytes(compressed)
    with open(path, "rb") as file:
        return list(_zstd.pieces(file.fileno(), len(compressed)))


@settings(max_examples=30, deadline=None)
@given(
    level=st.sampled_from(["--fast=5", "-1", "-3", "-9", "-19"]),
    words=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=200),
    seed=st.integers(0, 2**32),
    length=st.integers(1, 60_000),
)
def test_zstd_is_decoded_to_the_last_byte(folder: Path, level: str, words: list[bytes], seed: int, length: int) -> None:
    chosen = random.Random(seed)
    content = b"".join(chosen.choice(words) for _word in range(length // 8)) + chosen.randbytes(length % 1000)
    assert b"".join(_blocks(folder, _compressed(content, level))) == content


_CHOSEN = random.Random(7)
_NOISE = _CHOSEN.randbytes(LARGEST_BLOCK)
_WORDS = [_CHOSEN.randbytes(_CHOSEN.randint(1, 20)) for _word in range(200)]
# Each makes zstd pack its blocks in other ways.
CONTENTS = {
    "words": b"".join(_CHOSEN.choices(_WORDS, k=40_000)),
    "digits": _CHOSEN.randbytes(150_000).hex().encode(),
    "few values": bytes(_CHOSEN.choices(range(6), weights=[9, 5, 3, 2, 1, 1], k=3000)),
    "one byte": b"x" * 1_000_000,
    "one byte between repetitions": _NOISE + b"".join(_NOISE[at : at + 60] + b"x" for at in range(0, 60_000, 150)),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("level", ["-1", "-9", "-19"])
def test_large_blocks_and_those_that_lean_on_the_one_before(folder: Path, level: str, content: bytes) -> None:
    blocks = _blocks(folder, _compressed(content, level))
    assert b"".join(blocks) == content
    assert max(map(len, blocks)) <= LARGEST_BLOCK


def test_frames_without_data_between_others_are_passed_over(folder: Path) -> None:
    frame, no_data = _compressed(b"a" * 1000, "--stream-size=1000"), b"\x5f\x2a\x4d\x18\3\0\0\0abc"
    joined = frame + no_data + frame + no_data
    assert b"".join(_blocks(folder, joined)) == b"a" * 2000
    with open(folder / "file.zst", "rb") as file:
        assert _zstd.measured(file.fileno(), len(joined)) == (2000, len(joined))


def _frame(block: bytes, kind: int = 2) -> bytes:
    """A frame of one block; kind 2 is a compressed one."""
    return _zstd.MAGIC + b"\0\x58" + (1 | kind << 1 | len(block) << 3).to_bytes(3, "little") + block


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (_compressed(b"whole" * 9)[:-8], "ends too early"),
        (b"\0" + _frame(b""), "is damaged"),
        (_frame(b"", kind=3), "bad block"),
        (_frame(b""), "index out of range"),
        # One literal, then a repetition from behind the start.
        (_frame(bytes.fromhex("08 61 01 54 00 03 00 01")), "bad offset"),
        (_frame(bytes.fromhex("08 61 01 54 00 03 00 00")), "no end mark"),
        (_frame(bytes.fromhex("08 61 01 80 00")), "bad table"),
        (_frame(bytes.fromhex("13 40 00 01")), "no tree"),
        (_frame(bytes.fromhex("12 c0 00 81 f1 01")), "bad tree"),
        # A Huffman tree with two weights of 149, where 11 is the most (RFC 8878, section 4.2.1).
        (_frame(bytes.fromhex("12 80 04 11 10 e3" + "ff" * 11 + "7f 3e ff ff")), "bad tree"),
        # All states the same and no bits to read: its weights would never end.
        (_frame(bytes.fromhex("12 40 01 04 f0 03 ff 07")), "bad weights"),
        # 17 bytes that would become 6 MB.
        (_frame(bytes.fromhex("08 61 64 54 01 02 34 01")), "too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "frame",
)
def test_a_damaged_file_is_told_and_takes_no_more_memory_than_a_whole_one(
    folder: Path, frame: bytes, said: str
) -> None:
    with pytest.raises(EOFError, match=f"its zstd frame .*{said}"):
        _blocks(folder, frame)
