# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a virtual disk as its blocks that are not zero, and the digest of that content.

The digest does not depend on the format of the file. It is the SHA-256 of these bytes: for each block of 64 KiB that has
a byte other than zero, in ascending order, its number as 8 bytes (big-endian) and its content, and at the end the size
of the disk in bytes as 8 bytes. The last block of a disk can be shorter.
"""

from __future__ import annotations

import hashlib
import typing as t

from .._kubernetes.quantity import MIB

# Also the size of a cluster of the qcow2 images that are written.
BLOCK_BYTES = 64 * 1024
PIECE_BYTES = MIB
_ZEROS = bytes(BLOCK_BYTES)


class Piece(t.NamedTuple):
    """Adjacent blocks, none of which is zero. `offset` is that of the first one on the disk, in bytes."""

    offset: int
    data: bytes


class Disk(t.Protocol):
    """A virtual disk that can be read again and again, in bounded memory.

    `size` is in bytes. `pieces` are in ascending order, and have at most PIECE_BYTES each. Reading raises EOFError for
    an image that is damaged, and OSError.
    """

    @property
    def size(self) -> int: ...

    def pieces(self) -> t.Iterator[Piece]: ...


def non_zero(offset: int, data: bytes) -> t.Iterator[Piece]:
    """The pieces of `data`, whose `offset` on the disk is that of a block."""
    start = None
    for place in range(0, len(data), BLOCK_BYTES):
        block = data[place : place + BLOCK_BYTES]
        is_zero = block == (_ZEROS if len(block) == BLOCK_BYTES else bytes(len(block)))
        if is_zero and start is not None:
            yield Piece(offset + start, data[start:place])
            start = None
        elif not is_zero and start is None:
            start = place
    if start is not None:
        yield Piece(offset + start, data[start:])


class Run(t.NamedTuple):
    """Adjacent blocks, by their numbers: all have data, or all are zero."""

    first: int
    count: int
    has_data: bool


class Survey(t.NamedTuple):
    """A disk that was read once. `has_data` has a byte for each block, which is 1 if the block has data, else 0."""

    size: int
    has_data: bytes
    digest: str

    @property
    def data_bytes(self) -> int:
        """The bytes of the blocks that have data."""
        last = self.has_data[-1:] == b"\1"
        short = -self.size % BLOCK_BYTES if last else 0
        return self.has_data.count(1) * BLOCK_BYTES - short

    def runs(self) -> t.Iterator[Run]:
        place, end = 0, len(self.has_data)
        while place < end:
            kind = self.has_data[place]
            after = self.has_data.find(1 - kind, place)
            after = end if after < 0 else after
            yield Run(place, after - place, bool(kind))
            place = after


class Surveyor:
    """Makes a survey of the pieces that pass."""

    def __init__(self, size: int) -> None:
        self._size, self._digest = size, hashlib.sha256()
        self._has_data = bytearray(-(-size // BLOCK_BYTES))

    def add(self, piece: Piece) -> None:
        first = piece.offset // BLOCK_BYTES
        for number, place in enumerate(range(0, len(piece.data), BLOCK_BYTES), first):
            self._digest.update(number.to_bytes(8, "big"))
            self._digest.update(piece.data[place : place + BLOCK_BYTES])
            self._has_data[number] = 1

    def survey(self) -> Survey:
        digest = self._digest.copy()
        digest.update(self._size.to_bytes(8, "big"))
        return Survey(self._size, bytes(self._has_data), digest.hexdigest())


def surveyed(disk: Disk) -> Survey:
    """Read the disk once."""
    surveyor = Surveyor(disk.size)
    for piece in disk.pieces():
        surveyor.add(piece)
    return surveyor.survey()
