# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The headers and indexes of xz files (xz file format 1.2.0): filters, and the size of the content without
decompressing it.
"""

from __future__ import annotations

import os
import struct
import typing as t

MAGIC = b"\xfd7zXZ\0"
HEADER_BYTES = FOOTER_BYTES = 12
END = b"YZ"
_LARGEST_INDEX_BYTES = 64 * 1024 * 1024
_LZMA2 = 0x21
_FILTERS = {
    3: "delta",
    4: "x86",
    5: "powerpc",
    6: "ia64",
    7: "arm",
    8: "armthumb",
    9: "sparc",
    10: "arm64",
    11: "riscv",
}


class NoFooter(EOFError):
    """The last bytes of a file are not the end of an xz stream."""


def foreign_filters(descriptor: int) -> list[str]:
    """The filters of the first block (section 3.1) beside LZMA2. A damaged header is left to the decompressor."""
    header = os.pread(descriptor, 1024, HEADER_BYTES)
    at, filters = 2, []
    try:
        if not header[0]:
            return []  # The index follows at once: there is no block.
        for flag in (0x40, 0x80):
            if header[1] & flag:
                _size, at = _variable(header, at)
        for _filter in range((header[1] & 3) + 1):
            number, at = _variable(header, at)
            length, at = _variable(header, at)
            filters.append(number)
            at += length
    except (EOFError, IndexError):
        return []
    return [_FILTERS.get(number, f"number {number}") for number in filters if number != _LZMA2]


class LargeIndex(Exception):
    """An index is too large to read."""


class Stream(t.NamedTuple):
    """A stream, whose ends were not verified: its last 12 bytes, its index, where its first block begins in the file,
    and the bytes of its content.
    """

    footer: bytes
    index_data: bytes
    start: int
    size: int

    def records(self) -> t.Iterator[tuple[int, int]]:
        """The bytes of each block, without padding, and those of its content. Raises EOFError."""
        return _records(self.index_data)


def streams(descriptor: int, file_size: int, largest_index: int) -> t.Iterator[Stream]:
    """The streams of a file, from the last to the first, by the indexes at their ends (sections 2.1.2 and 4).

    Raises LargeIndex for one above `largest_index` bytes, NoFooter when something else follows the last stream, and
    EOFError for a file that is truncated or damaged.
    """
    end = file_size
    while end > 0:
        footer = _bytes(descriptor, end - FOOTER_BYTES, FOOTER_BYTES)
        if footer[8:] == b"\0\0\0\0":
            end -= 4  # Padding between streams comes in fours.
            continue
        if footer[10:] != END:
            raise NoFooter("its xz stream has no footer")
        index_size = (struct.unpack("<I", footer[4:8])[0] + 1) * 4
        if index_size > largest_index:
            raise LargeIndex
        at_index = end - FOOTER_BYTES - index_size
        index = _bytes(descriptor, at_index, index_size)
        blocks = size = 0
        for unpadded, each in _records(index):
            blocks += padded(unpadded)
            size += each
        yield Stream(footer, index, at_index - blocks, size)
        end = at_index - blocks - HEADER_BYTES


def indexed_size(descriptor: int, file_size: int) -> int | None:
    """The bytes of content of all streams; None when an index is too large to read. Raises NoFooter and EOFError."""
    try:
        return sum(stream.size for stream in streams(descriptor, file_size, _LARGEST_INDEX_BYTES))
    except LargeIndex:
        return None


def padded(unpadded: int) -> int:
    """The bytes of a block in the file."""
    return -(-unpadded // 4) * 4


def _records(index: bytes) -> t.Iterator[tuple[int, int]]:
    count, at = _variable(index, 1)
    for _record in range(count):
        unpadded, at = _variable(index, at)
        size, at = _variable(index, at)
        yield unpadded, size


def _bytes(descriptor: int, offset: int, length: int) -> bytes:
    data = os.pread(descriptor, length, offset) if offset >= 0 else b""
    if len(data) < length:
        raise EOFError("its xz stream ends too early")
    return data


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A number with seven bits in each byte, and the offset behind it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise EOFError("its xz index is damaged")
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at
