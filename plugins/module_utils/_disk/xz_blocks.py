# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompresses xz files ahead: the blocks of a file in two threads, and a file of one block in one.

`xz -T` writes several blocks; by default, xz does since release 5.6. A block can be decompressed alone: it becomes a
stream of its own, with the flags of its stream and an index for it (xz file format 1.2.0).
"""

from __future__ import annotations

import collections
import contextlib
import io
import os
import struct
import typing as t
import zlib

from .._image import xz
from .._image.compression import Content, Xz
from .._image.compression import content_of as content_of_any
from .._kubernetes.quantity import MIB
from .ahead import read_ahead
from .blocks import PIECE_BYTES

_THREADS = 2
_PIECES_AHEAD = 8
# The packed block is in memory. The dictionary has no more bytes in use than the content of a block.
_LARGEST_BLOCK_BYTES = 32 * MIB
# Of all streams: it is for some 100,000 blocks.
_LARGEST_INDEX_BYTES = MIB
# Blocks of zeros are all the same, and smaller: 24 MiB are 3.7 KiB. Decompressing each of them would take a third of
# the time for a system image.
_SMALL_BYTES = 16 * 1024
_ZEROS = bytes(PIECE_BYTES)


class Block(t.NamedTuple):
    """`start` is the offset in the file, `unpadded` the size without the bytes up to the next multiple of four, `size`
    that of the content. `flags` are those of the stream.
    """

    start: int
    unpadded: int
    size: int
    flags: bytes

    @property
    def packed(self) -> int:
        """The size in the file."""
        return xz.padded(self.unpadded)


class _Small(t.NamedTuple):
    """What the content of a block depends on."""

    size: int
    flags: bytes
    packed: bytes


def content_of(file: io.FileIO, file_size: int) -> Content:
    """The content of the file, in xz decompressed ahead."""
    content = content_of_any(file, file_size)
    return _Ahead(file, file_size) if content.compression == "xz" else content


def blocks_of(descriptor: int, file_size: int) -> list[Block]:
    """The blocks of all streams, in order. None unless there are several, all of bounded size, in a file without damage
    at the ends of its streams. Damage is found where the file is decompressed from start to end.
    """
    streams: list[list[Block]] = []
    left = _LARGEST_INDEX_BYTES
    try:
        for stream in xz.streams(descriptor, file_size, _LARGEST_INDEX_BYTES):
            left -= len(stream.index_data)
            if left < 0 or not _has_valid_ends(descriptor, stream):
                return []
            streams.append(list(_blocks(stream)))
    except (EOFError, OSError, xz.LargeIndex):
        return []
    found = [block for blocks in reversed(streams) for block in blocks]
    return found if len(found) > 1 and max(block.size for block in found) <= _LARGEST_BLOCK_BYTES else []


def _has_valid_ends(descriptor: int, stream: xz.Stream) -> bool:
    """Whether the header, the index and the footer have their checksums, and the same flags."""
    flags = stream.footer[8:10]
    return (
        stream.footer == _footer(len(stream.index_data), flags)
        and stream.index_data[-4:] == _crc(stream.index_data[:-4])
        and os.pread(descriptor, xz.HEADER_BYTES, stream.start - xz.HEADER_BYTES) == _header(flags)
    )


def _blocks(stream: xz.Stream) -> t.Iterator[Block]:
    place = stream.start
    for unpadded, size in stream.records():
        yield Block(place, unpadded, size, stream.footer[8:10])
        place += xz.padded(unpadded)


def alone(block: Block, parts: collections.deque[bytes]) -> t.Iterator[bytes]:
    """A stream of this block, whose bytes in the file are in `parts`, which are removed when their turn comes."""
    index = b"\0" + b"".join(_encoded(number) for number in (1, block.unpadded, block.size))
    index += bytes(-len(index) % 4)
    index += _crc(index)
    yield _header(block.flags)
    while parts:
        yield parts.popleft()
    yield index + _footer(len(index), block.flags)


def _encoded(number: int) -> bytes:
    """With seven bits in each byte (section 1.2)."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(data) + bytes([number])


def _header(flags: bytes) -> bytes:
    return xz.MAGIC + flags + _crc(flags)


def _footer(index_bytes: int, flags: bytes) -> bytes:
    fields = struct.pack("<I", index_bytes // 4 - 1) + flags
    return _crc(fields) + fields + xz.END


def _crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data))


class _Ahead(Xz):
    def _decompressed(self, whole: bool) -> t.Iterator[bytes]:
        blocks = blocks_of(self._file.fileno(), self._file_size) if whole else []
        if blocks:
            yield from self._by_blocks(blocks)
        elif whole:
            with read_ahead(super()._decompressed(whole)) as pieces:
                yield from pieces
        else:
            yield from super()._decompressed(whole)

    def _by_blocks(self, blocks: list[Block]) -> t.Iterator[bytes]:
        under_way: collections.deque[tuple[contextlib.ExitStack, t.Iterator[bytes]]] = collections.deque()
        zeros: set[_Small] = set()
        try:
            for block in blocks:
                if len(under_way) == _THREADS:
                    yield from _taken(*under_way.popleft())
                self._parts(block.start)
                pieces = self._pieces_of(block, self._parts(block.start + block.packed), zeros)
                with contextlib.ExitStack() as context:
                    ahead = context.enter_context(read_ahead(pieces, _PIECES_AHEAD))
                    under_way.append((context.pop_all(), ahead))
            while under_way:
                yield from _taken(*under_way.popleft())
        finally:
            for context, _ahead in under_way:
                context.close()

    def _parts(self, end: int) -> collections.deque[bytes]:
        """What the file has up to `end`. What is between blocks also belongs to the digest of the file."""
        parts: collections.deque[bytes] = collections.deque()
        while part := self._read(min(end - self._file.tell(), PIECE_BYTES)):
            parts.append(part)
        return parts

    def _pieces_of(self, block: Block, packed: collections.deque[bytes], zeros: set[_Small]) -> t.Iterator[bytes]:
        """The content of a block. `zeros` has the small blocks that were found to be zero."""
        small = _Small(block.size, block.flags, b"".join(packed)) if block.packed <= _SMALL_BYTES else None
        if small in zeros:
            yield from (_ZEROS[: block.size - place] for place in range(0, block.size, PIECE_BYTES))
            return
        decompressor, stream, left, is_zero = self._decompressor(True), alone(block, packed), block.size, True
        while not decompressor.eof:
            data = next(stream, None) if decompressor.needs_input else b""
            if data is None or left < 0:
                raise EOFError(f"its xz block at byte {block.start} is damaged")
            piece = decompressor.decompress(data, PIECE_BYTES)
            left -= len(piece)
            is_zero = is_zero and piece == _ZEROS[: len(piece)]
            yield piece
        if small and is_zero:
            zeros.add(small)


def _taken(context: contextlib.ExitStack, pieces: t.Iterator[bytes]) -> t.Iterator[bytes]:
    with context:
        yield from pieces
