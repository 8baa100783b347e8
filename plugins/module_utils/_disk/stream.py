# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A form in which a disk is sent, which is made while the disk is read.

The disk is read twice: once for its survey, and once for its content.
"""

from __future__ import annotations

import typing as t

from .blocks import BLOCK_BYTES, Piece, Survey
from .pace import Pace

# Few calls of the sender, and little memory.
CHUNK_BYTES = 256 * 1024


class Mismatch(Exception):
    """The disk has data where its survey has zeros, or zeros where its survey has data."""


class Stream(t.NamedTuple):
    """A disk as a stream of `length` bytes, None if that depends on the pace.

    `chunks` takes the pieces of the disk, and the pace at which the chunks are sent. No chunk is empty. It raises
    Mismatch before the first byte of a piece that differs from the survey in place or size, and never yields the last
    chunk before the pieces have ended. So who takes the pieces from the disk can compare their digest with that of the
    survey, and raise before the stream is complete.
    """

    length: int | None
    chunks: t.Callable[[t.Iterable[Piece], Pace], t.Iterator[bytes]]


def matched(survey: Survey, pieces: t.Iterable[Piece]) -> t.Iterator[Piece]:
    """The pieces, which have to cover the blocks that have data in the survey. They can be divided differently."""
    has_data, place = survey.has_data, 0
    for piece in pieces:
        first = has_data.find(1, place)
        place = first + -(-len(piece.data) // BLOCK_BYTES)
        if (
            piece.offset != first * BLOCK_BYTES
            or len(piece.data) != min(place * BLOCK_BYTES, survey.size) - piece.offset
            or has_data.count(1, first, place) != place - first
        ):
            raise Mismatch(f"the disk changed near byte {piece.offset} after it was read first")
        yield piece
    if (first := has_data.find(1, place)) >= 0:
        raise Mismatch(f"the disk changed near byte {first * BLOCK_BYTES} after it was read first")


def joined(parts: t.Iterable[bytes]) -> t.Iterator[bytes]:
    """The parts, joined to chunks of at least CHUNK_BYTES. The last chunk can be shorter; it follows the last part."""
    held: list[bytes] = []
    size = 0
    for part in parts:
        if size >= CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
        held.append(part)
        size += len(part)
    yield b"".join(held)
