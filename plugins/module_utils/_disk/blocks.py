# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a virtual disk as its blocks that are not zero, and the digest of that content.

The digest does not depend on the format of the file. It is the SHA-256 of these bytes: for each block of 64 KiB that
has a byte other than zero, in ascending order, its number as 8 bytes (big-endian) and its content, and at the end the
size of the disk in bytes as 8 bytes. The last block of a disk can be shorter.
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
    blocks: int
    has_data: bool


class Survey(t.NamedTuple):
    """A disk that was read once. `has_data` has a byte for each block, which is 1 if the block has data, else 0.

    `content_sha256` is the SHA-256 of all bytes of the disk, empty if it was not computed.
    """

    size: int
    has_data: bytes
    digest: str
    content_sha256: str = ""

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


def ignore(_piece: Piece) -> None:
    """The piece is not kept."""


class Surveyor:
    """Makes a survey of the pieces of a disk, or of its content from start to end, whichever is given.

    `with_content`: with the SHA-256 of all bytes, for which zeros are hashed, too. `keep` gets each piece.
    """

    def __init__(self, keep: t.Callable[[Piece], None] = ignore, *, with_content: bool = False) -> None:
        self._keep = keep
        self._digest, self._has_data = hashlib.sha256(), bytearray()
        self._content, self._hashed = hashlib.sha256() if with_content else None, 0
        self._whole_bytes, self._rest = 0, b""

    def add(self, piece: Piece) -> None:
        first = piece.offset // BLOCK_BYTES
        self._extend(first)
        self._hash_content(piece.offset, piece.data)
        self._keep(piece)
        for number, place in enumerate(range(0, len(piece.data), BLOCK_BYTES), first):
            self._digest.update(number.to_bytes(8, "big"))
            self._digest.update(piece.data[place : place + BLOCK_BYTES])
            self._has_data.append(1)

    @property
    def fed(self) -> int:
        """How many bytes were fed."""
        return self._whole_bytes + len(self._rest)

    def feed(self, data: bytes) -> None:
        """The next bytes of the content."""
        data = self._rest + data
        whole = len(data) - len(data) % BLOCK_BYTES
        self._rest = data[whole:]
        self._add_all(data[:whole])

    def _add_all(self, data: bytes) -> None:
        for piece in non_zero(self._whole_bytes, data):
            self.add(piece)
        self._whole_bytes += len(data)

    def _hash_content(self, offset: int, data: bytes) -> None:
        """The zeros before the data, and the data."""
        if self._content is None:
            return
        for place in range(self._hashed, offset, BLOCK_BYTES):
            self._content.update(_ZEROS[: offset - place])
        self._content.update(data)
        self._hashed = offset + len(data)

    def _extend(self, blocks: int) -> None:
        self._has_data.extend(bytes(max(blocks - len(self._has_data), 0)))

    def survey(self, size: int) -> Survey:
        """The survey of a disk of `size` bytes, after its last piece."""
        self._add_all(self._rest)
        self._rest = b""
        self._extend(-(-size // BLOCK_BYTES))
        digest = self._digest.copy()
        digest.update(size.to_bytes(8, "big"))
        self._hash_content(size, b"")
        content = self._content.hexdigest() if self._content else ""
        return Survey(size, bytes(self._has_data), digest.hexdigest(), content)


def surveyed(disk: Disk, *, with_content: bool = False) -> Survey:
    """Read the disk once."""
    surveyor = Surveyor(with_content=with_content)
    for piece in disk.pieces():
        surveyor.add(piece)
    return surveyor.survey(disk.size)
