# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a zstd file, compared with the input of the zstd program; damaged files; and a Python without the
library.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image import zstd
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.compression import TooLarge, content_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.image_files import MIB, RAW, convert, run, tar

PIECE_BYTES = MIB


def _compressed(content: bytes, *options: str) -> bytes:
    return run("zstd", "-q", *options, data=content)


def _pieces(folder: Path, compressed: bytes, *, whole: bool = True) -> list[bytes]:
    path = folder / "file.zst"
    path.write_bytes(compressed)
    with open(path, "rb", buffering=0) as file:
        reader = content_of(file, len(compressed)).file(whole=whole)
        return list(iter(lambda: reader.read(1 << 30), b""))


@settings(max_examples=30, deadline=None)
@given(
    level=st.sampled_from(["--fast=5", "-1", "-3", "-9", "-19"]),
    words=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=200),
    seed=st.integers(0, 2**32),
    length=st.integers(1, 60_000),
)
def test_content_is_decompressed_to_the_last_byte(
    folder: Path, level: str, words: list[bytes], seed: int, length: int
) -> None:
    chosen = random.Random(seed)
    content = b"".join(chosen.choice(words) for _word in range(length // 8)) + chosen.randbytes(length % 1000)
    assert b"".join(_pieces(folder, _compressed(content, level))) == content


_CHOSEN = random.Random(7)
_NOISE = _CHOSEN.randbytes(128 * 1024)
_WORDS = [_CHOSEN.randbytes(_CHOSEN.randint(1, 20)) for _word in range(200)]
# Each makes zstd write different kinds of blocks.
CONTENTS = {
    "words": b"".join(_CHOSEN.choices(_WORDS, k=400_000)),
    "digits": _CHOSEN.randbytes(150_000).hex().encode(),
    "few values": bytes(_CHOSEN.choices(range(6), weights=[9, 5, 3, 2, 1, 1], k=3000)),
    "one byte": b"x" * 30_000_000,
    "one byte between repetitions": _NOISE + b"".join(_NOISE[at : at + 60] + b"x" for at in range(0, 60_000, 150)),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("level", ["-1", "-9", "-19"])
def test_pieces_stay_small_when_the_content_compresses_well(folder: Path, level: str, content: bytes) -> None:
    pieces = _pieces(folder, _compressed(content, level))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE_BYTES


def test_skippable_frames_between_others_are_passed_over(folder: Path) -> None:
    frame, skippable = _compressed(b"a" * 1000, "--stream-size=1000"), b"\x5f\x2a\x4d\x18\3\0\0\0abc"
    joined = frame + skippable + frame + skippable
    assert b"".join(_pieces(folder, joined)) == b"a" * 2000
    with open(folder / "file.zst", "rb") as file:
        assert zstd.measured(file.fileno(), len(joined)) == (2000, len(joined))


def _frame(block: bytes, kind: int = 2) -> bytes:
    """A frame of one block; kind 2 is a compressed one."""
    return zstd.MAGIC + b"\0\x58" + (1 | kind << 1 | len(block) << 3).to_bytes(3, "little") + block


DAMAGED = {
    "cut off": _compressed(b"whole" * 9)[:-8],
    "reserved block type": _frame(b"", kind=3),
    # One literal, then a repetition from before the start.
    "bad offset": _frame(bytes.fromhex("08 61 01 54 00 03 00 01")),
    "no end mark": _frame(bytes.fromhex("08 61 01 54 00 03 00 00")),
    "bad table": _frame(bytes.fromhex("08 61 01 80 00")),
    "no tree": _frame(bytes.fromhex("13 40 00 01")),
    "bad tree": _frame(bytes.fromhex("12 c0 00 81 f1 01")),
    # A Huffman tree with two weights of 149, where 11 is the most (RFC 8878, section 4.2.1).
    "deep tree": _frame(bytes.fromhex("12 80 04 11 10 e3" + "ff" * 11 + "7f 3e ff ff")),
    # All states are the same and there are no bits to read: the weights would never end.
    "endless weights": _frame(bytes.fromhex("12 40 01 04 f0 03 ff 07")),
    # 17 bytes that would become 6 MB.
    "large block": _frame(bytes.fromhex("08 61 64 54 01 02 34 01")),
    # A frame whose window is its content: 4 EiB.
    "large content": zstd.MAGIC + b"\xe0" + (1 << 62).to_bytes(8, "little") + b"\1\0\0",
}


@pytest.mark.parametrize("frame", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_frame_is_an_eof_error_and_not_a_traceback(folder: Path, frame: bytes, whole: bool) -> None:
    with pytest.raises(EOFError, match=r"^its zstd frame (ends too early|is damaged|requires too much memory)"):
        _pieces(folder, frame, whole=whole)


def test_a_block_without_content_is_empty(folder: Path) -> None:
    assert _pieces(folder, _frame(b"")) == []


def test_a_large_window_is_decompressed_at_its_start_only(folder: Path) -> None:
    """`zstd --long=29` requires 512 MiB of memory, as much as CDI accepts, to decompress all."""
    compressed = _compressed(RAW * 9, "--long=29")
    assert b"".join(_pieces(folder, compressed, whole=False)) == RAW * 9
    with pytest.raises(TooLarge, match="requires too much memory"):
        _pieces(folder, compressed)


# A Python without the library.

HIDDEN = """
import hashlib, json, sys
sys.modules.update({"compression.zstd": None, "backports.zstd": None})
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
path, insist = sys.argv[1], sys.argv[2] == "raw"
digest = hashlib.sha256()
try:
    print(json.dumps([*inspect(path, digest.update, insist=insist), digest.hexdigest()]))
except CdiError as exc:
    print(json.dumps(str(exc)))
"""


def _inspect_without_library(path: Path, form: str = "auto") -> Any:
    return json.loads(run(sys.executable, "-c", HIDDEN, path, form))


def test_without_the_library_only_headers_are_read(folder: Path, disk: Path) -> None:
    for path in (disk, convert(disk, "qcow2", folder / "hidden.qcow2"), tar(folder / "hidden.tar", {"a": b"x"})):
        packed = folder / f"{path.name}.zst"
        run("zstd", "-q", "-f", path, "-o", packed)
        whole = packed.read_bytes()
        size, digest = len(whole), run("sha256sum", packed).decode()[:64]
        assert _inspect_without_library(packed) == [None, "zst", None, None, size, 0, "", digest]
        raw = path.stat().st_size
        assert _inspect_without_library(packed, "raw") == ["raw", "zst", raw, raw, size, 0, "", digest]
        packed.write_bytes(whole + b"tail")
        assert _inspect_without_library(packed)[5] == 4
        packed.write_bytes(whole[:-1])
        assert "is truncated or damaged: its zstd frame ends too early" in _inspect_without_library(packed)


@pytest.mark.parametrize(
    ("command", "named"),
    [(("zstd", "--ultra", "--long=31", "-1"), "with a window of 2048 MiB"), (("pzstd",), "as pzstd writes it")],
)
def test_without_the_library_a_file_that_cdi_cannot_decompress_is_refused(
    folder: Path, command: tuple[str, ...], named: str
) -> None:
    path = folder / "refused.zst"
    path.write_bytes(subprocess.run([*command, "-q", "-c"], input=RAW, stdout=-1, check=True).stdout)
    assert named in _inspect_without_library(path)
