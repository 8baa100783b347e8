# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a gzip stream (RFC 1952), which CDI unpacks into the volume while it receives it, without scratch space.

Data is stored without compression (RFC 1951, section 3.2.4), or compressed while the network is slow. Zeros are
members that were compressed once. A reader joins members (section 2.2; CDI reads by Go's compress/gzip: pkg/importer/
format-readers.go, v1.65.0).
"""

from __future__ import annotations

import functools
import gzip
import itertools
import struct
import typing as t
import zlib

from .blocks import BLOCK_BYTES, Piece, Run, Survey
from .pace import Pace, Trial, is_worth
from .stream import Mismatch, Stream, joined, matched

# Deflate, without a name and a time, from an unknown operating system.
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
# Of a stored block, at most 65535. They divide a block of the disk, so the layout does not depend on the pieces.
_STORED_BYTES = BLOCK_BYTES // 2
# The kind of the block, the size and its complement. The member ends with an empty one, the CRC-32 and the size.
_STORED, _END = struct.Struct("<BHH"), struct.Struct("<BHHII")
# zlib's fastest, as blocks without a header.
_LEVEL, _RAW = 1, -15
# So many pieces are not tried after one that was not worth compressing.
_NOT_TRIED = 8
# In the members of zeros: from 4 MiB, which are 4 KiB there, down to one block.
_ZERO_BYTES = tuple(BLOCK_BYTES << power for power in range(6, -1, -1))


def gzip_stream(survey: Survey) -> Stream:
    """The stream of a disk of at least one byte."""
    return Stream(None, lambda pieces, pace: joined(_parts(survey, matched(survey, pieces), _Packer(pace))))


def _runs(survey: Survey) -> t.Iterator[tuple[Run, int]]:
    """The runs, each with its size in bytes."""
    for run in survey.runs():
        start = run.first * BLOCK_BYTES
        yield run, min(start + run.blocks * BLOCK_BYTES, survey.size) - start


def _parts(survey: Survey, pieces: t.Iterator[Piece], packer: _Packer) -> t.Iterator[bytes]:
    """A member for each run of data, whose pieces are stored or compressed, and a few ready-made ones for zeros."""
    for run, size in _runs(survey):
        if not run.has_data:
            for member, count in _zeros(size):
                yield from itertools.repeat(member, count)
            continue
        yield _HEADER
        crc, left = 0, size
        while left:
            piece = next(pieces, None)
            if piece is None:  # `matched` has raised it before.
                raise Mismatch(f"the disk ended {left} bytes too early")
            crc, left = zlib.crc32(piece.data, crc), left - len(piece.data)
            yield packer.blocks(piece.data)
        yield _END.pack(1, 0, 0xFFFF, crc, size & 0xFFFFFFFF)
    # No piece is left, which `matched` verifies.
    next(pieces, None)


class _Packer:
    """Stores or compresses each piece, whichever is faster."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._not_tried = 0

    def blocks(self, data: bytes) -> bytes:
        """The blocks of deflate for a piece, none of which is the last one of its member."""
        if self._not_tried:
            self._not_tried -= 1
            return _stored(data)
        packed = b""
        for part in (data[:BLOCK_BYTES], data):  # A sample, and if it is worth it, all.
            started = self._pace.clock()
            packed = _compressed(part)
            trial = Trial(len(part), len(packed), self._pace.clock() - started)
            if not is_worth(trial, self._pace.send_seconds):
                self._not_tried = _NOT_TRIED
                return _stored(data)
        return packed


def _compressed(data: bytes) -> bytes:
    """Blocks that end with a byte, and with which other blocks can be joined."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _stored(data: bytes) -> bytes:
    view = memoryview(data)
    parts: list[bytes | memoryview] = []
    for place in range(0, len(data), _STORED_BYTES):
        block = view[place : place + _STORED_BYTES]
        parts += _STORED.pack(0, len(block), len(block) ^ 0xFFFF), block
    return b"".join(parts)


def _zeros(size: int) -> t.Iterator[tuple[bytes, int]]:
    """The members for so many zeros, each with its count."""
    for each in _ZERO_BYTES:
        count, size = divmod(size, each)
        if count:
            yield _zero_member(each), count
    if size:
        yield _zero_member(size), 1


@functools.cache
def _zero_member(size: int) -> bytes:
    return gzip.compress(bytes(size), mtime=0)
