# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins what a reader finds on a disk to pieces of whole blocks."""

from __future__ import annotations

import typing as t

from .blocks import BLOCK_BYTES, PIECE_BYTES, Piece, non_zero


def assembled(parts: t.Iterable[tuple[int, bytes]], size: int) -> t.Iterator[Piece]:
    """The pieces of a disk of `size` bytes.

    `parts` are offsets with their bytes, in ascending order and of any length. What is between them is zero.
    """
    start, held = 0, bytearray()
    for offset, data in parts:
        end = start + len(held)
        if offset > end and offset >= end + -len(held) % BLOCK_BYTES:
            # It is in a later block, so that the held ones are complete.
            yield from non_zero(start, _padded(start, held, size))
            held.clear()
        if not held and len(data) <= PIECE_BYTES and (offset | len(data)) % BLOCK_BYTES == 0:
            yield from non_zero(offset, data)  # Not copied, because most data come like this.
            continue
        if not held:
            start = offset - offset % BLOCK_BYTES
        held += bytes(offset - start - len(held))
        held += data
        while len(held) >= PIECE_BYTES:
            yield from non_zero(start, bytes(held[:PIECE_BYTES]))
            del held[:PIECE_BYTES]
            start += PIECE_BYTES
    yield from non_zero(start, _padded(start, held, size))


def _padded(start: int, data: bytearray, size: int) -> bytes:
    return bytes(data) + bytes(min(-len(data) % BLOCK_BYTES, size - start - len(data)))
