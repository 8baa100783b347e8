# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads raw images in place: files, without the holes that the file system knows, and block devices."""

from __future__ import annotations

import errno
import os
import typing as t

from .blocks import BLOCK_BYTES, PIECE_BYTES, Piece, non_zero


class Raw:
    """The disk in an open file, whose `size` is in bytes."""

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor, self.size = descriptor, size

    def pieces(self) -> t.Iterator[Piece]:
        for offset, data in stored(self._descriptor, 0, self.size):
            yield from non_zero(offset, data)


def stored(descriptor: int, start: int, end: int) -> t.Iterator[tuple[int, bytes]]:
    """What the file has between two offsets, without its holes: offsets with at most PIECE_BYTES each.

    The lengths are whole blocks, counted from `start`. Raises EOFError for a file that ends before `end`.
    """
    for first, last in _ranges(descriptor, start, end):
        for offset in range(first, last, PIECE_BYTES):
            length = min(PIECE_BYTES, last - offset)
            data = os.pread(descriptor, length, offset)
            if len(data) < length:
                raise EOFError(f"it ends at byte {offset + len(data)}, and its data at byte {end}")
            yield offset, data


def _ranges(descriptor: int, start: int, end: int) -> t.Iterator[tuple[int, int]]:
    """Where the data begin and end, in whole blocks from `start`: everything, if the file system does not tell."""
    place = start
    while place < end:
        try:
            data = os.lseek(descriptor, place, os.SEEK_DATA)
            hole = os.lseek(descriptor, data, os.SEEK_HOLE)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                _require(descriptor, end)
                return
            if exc.errno != errno.EINVAL:
                raise
            data, hole = place, end
        if data >= end:
            return
        place = min(hole + -(hole - start) % BLOCK_BYTES, end)
        yield data - (data - start) % BLOCK_BYTES, place


def _require(descriptor: int, end: int) -> None:
    """A hole reaches to the end of the file: raises EOFError if that is before `end`."""
    found = os.lseek(descriptor, 0, os.SEEK_END)
    if found < end:
        raise EOFError(f"it ends at byte {found}, and its data at byte {end}")
