# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed images: truncated, damaged, of several streams, with trailing bytes, and with unusual compression."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.image_files import MIB, RAW, convert, pack, run


@pytest.mark.parametrize("inner", ["raw", "qcow2", "vmdk-stream"])
@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_truncated_compressed_file_is_detected_while_hashing(
    folder: Path, disk: Path, compression: str, inner: str
) -> None:
    path = disk if inner == "raw" else convert(disk, inner, folder / f"packed-{inner}")
    packed = pack(path, compression)
    whole, hashed = packed.read_bytes(), hashlib.sha256()
    image = inspect(str(packed), hashed.update)
    assert hashed.digest() == hashlib.sha256(whole).digest() and image.tail == 0
    for cut in (1, 9, len(whole) // 3):
        packed.write_bytes(whole[:-cut])
        with pytest.raises(CdiError, match="is truncated or damaged"):
            inspect(str(packed), lambda _data: None)


@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_damaged_compressed_file_is_detected_while_hashing(folder: Path, compression: str) -> None:
    path = folder / "damaged.img"
    path.write_bytes(RAW)
    packed = pack(path, compression)
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 1
    packed.write_bytes(content)
    with pytest.raises(CdiError, match=r"is truncated or damaged: its (gzip stream|xz stream|zstd frame) is damaged"):
        inspect(str(packed), lambda _data: None)


def test_compressed_truncated_image_is_detected(folder: Path, disk: Path) -> None:
    path = convert(disk, "vmdk-stream", folder / "early-cut")
    path.write_bytes(path.read_bytes()[:-MIB])
    with pytest.raises(CdiError, match="is truncated"):
        inspect(str(pack(path, "gz")), lambda _data: None)


TAILS = {"zeros": bytes(700_000), "one zero": b"\0", "metadata": b"FWx0 " + os.urandom(3_000_000), "a line end": b"\n"}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_bytes_after_the_compressed_data_are_not_sent(folder: Path, compression: str, tail: str) -> None:
    path = folder / "tail.img"
    path.write_bytes(RAW)
    packed = pack(path, compression)
    whole = packed.read_bytes()
    packed.write_bytes(whole + TAILS[tail])
    hashed = hashlib.sha256()
    image = inspect(str(packed), hashed.update)
    assert hashed.digest() == hashlib.sha256(whole + TAILS[tail]).digest(), "the digest is the file's"
    assert inspect(str(packed)).tail in (image.tail, 0)
    padding = compression == "xz" and tail == "zeros"  # Which belongs to the format, by fours.
    assert image.sent_size == len(whole) + (len(TAILS[tail]) if padding else 0)
    assert image.virtual_size == len(RAW)


def test_all_streams_of_a_file_are_sent(folder: Path) -> None:
    for compression, compress in (("gz", gzip.compress), ("xz", lzma.compress)):
        path = folder / f"parts.{compression}"
        path.write_bytes(compress(RAW[:200_000]) + compress(RAW[200_000:]) + (bytes(8) if compression == "xz" else b""))
        image = inspect(str(path), lambda _data: None)
        assert (image.virtual_size, image.tail) == (len(RAW), 0)


# What only CDI cannot unpack


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (
            ("xz", "--x86", "--lzma2"),
            "by xz with the filter x86, and CDI knows only lzma2; compress it again with: xz -dc .* | xz > ",
        ),
        (("xz", "--arm64", "--lzma2"), "the filter arm64"),
        (("xz", "--delta=dist=4", "--lzma2"), "the filter delta"),
        (("xz", "--delta", "--x86", "--lzma2"), "the filter delta and x86"),
        (
            ("zstd", "--ultra", "--long=31", "-1"),
            "with a window of 2048 MiB, and CDI takes at most 512 MiB; compress it again with: zstd --long=31 -dc .* | "
            "zstd > ",
        ),
        (("zstd", "--long=30", "-1"), "with a window of 1024 MiB"),
    ],
)
def test_unsupported_compression_is_named(folder: Path, command: tuple[str, ...], named: str) -> None:
    path = folder / "packed"
    path.write_bytes(run(*command, "-c", data=RAW))
    with pytest.raises(CdiError, match=named):
        inspect(str(path))


def test_zstd_dictionary_is_named(folder: Path) -> None:
    for number in range(100):
        (folder / f"sample-{number}").write_bytes(b"some words that occur again and again %d" % number * 9)
    run(
        "zstd",
        "-q",
        "--train",
        *(folder / f"sample-{number}" for number in range(100)),
        "-o",
        folder / "dictionary",
        "--maxdict=2000",
    )
    path = folder / "with-dictionary"
    path.write_bytes(run("zstd", "-q", "-c", "-D", folder / "dictionary", data=RAW))
    with pytest.raises(CdiError, match=r"with the dictionary [0-9]+, which CDI does not have"):
        inspect(str(path))


@pytest.mark.parametrize(
    "command",
    [
        ("zstd", "-q", "--long=29"),
        ("xz", "-0"),
        ("xz", "--check=none", "-0"),
        ("xz", "--lzma2=preset=0,dict=512MiB"),
        ("xz", "-T2", "-0", "--block-size=1MiB"),
        ("pigz",),
    ],
)
def test_other_ways_of_compression_are_accepted(folder: Path, command: tuple[str, ...]) -> None:
    if command == ("pigz",):
        content = gzip.compress(RAW[:200_000]) + gzip.compress(RAW[200_000:])
    else:
        content = run(*command, "-c", data=RAW)
    path = folder / "packed"
    path.write_bytes(content)
    hashed = hashlib.sha256()
    assert inspect(str(path), hashed.update).virtual_size in (len(RAW), None)
    assert hashed.digest() == hashlib.sha256(content).digest()


# What only CDI's QEMU does not take
