# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a qcow2 image of version 3 that is written from start to end (QEMU 10.0, docs/interop/qcow2.txt).

Clusters have the size of a block: those of the header, the refcount table and blocks, the L1 table, the L2 tables that
have an entry, and the data in the order of the disk. Each is in use once.
"""

from __future__ import annotations

import itertools
import struct
import typing as t

from .blocks import BLOCK_BYTES, Piece, Survey
from .stream import Stream, joined, matched

_CLUSTER_BITS = BLOCK_BYTES.bit_length() - 1
# A refcount is 2 to the power of this in bits, and it is 1.
_REFCOUNT_ORDER = 4
_REFCOUNT = b"\0\1"
_REFCOUNTS = BLOCK_BYTES // len(_REFCOUNT)
# Of 8 bytes, in a cluster of a table.
_ENTRIES = BLOCK_BYTES // 8
# In an entry of an L1 or L2 table: the cluster is in use once, so that it can be changed in place.
_COPIED = 1 << 63
_SECTOR_BYTES = 512
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")


class _Layout(t.NamedTuple):
    """The first cluster of each part, which is the end of the part before it, and the first block of each L2 table."""

    refcount_blocks: int
    l1: int
    l2: int
    data: int
    end: int
    tables: list[int]


def qcow2_stream(survey: Survey) -> Stream:
    """The stream. The size of the disk is rounded up to 512 bytes, as QEMU does with the size of each disk."""
    layout = _layout(survey)
    return Stream(
        layout.end * BLOCK_BYTES, lambda pieces, _pace: joined(_parts(survey, layout, matched(survey, pieces)))
    )


def _layout(survey: Survey) -> _Layout:
    has_data = survey.has_data
    tables = [first for first in range(0, len(has_data), _ENTRIES) if has_data.find(1, first, first + _ENTRIES) >= 0]
    l1, data = _clusters(_clusters(len(has_data))), has_data.count(1)
    sizes, needed = [1, 0, l1, len(tables), data], 1
    while sizes[1] != needed:  # The clusters of the refcounts are counted too.
        sizes[:2] = 1 + _clusters(needed), needed
        needed = -(-sum(sizes) // _REFCOUNTS)
    at_refcount_blocks, at_l1, at_l2, at_data, end = itertools.accumulate(sizes)
    return _Layout(at_refcount_blocks, at_l1, at_l2, at_data, end, tables)


def _clusters(entries: int) -> int:
    """Of a table with so many entries."""
    return -(-entries // _ENTRIES)


def _parts(survey: Survey, layout: _Layout, pieces: t.Iterator[Piece]) -> t.Iterator[bytes]:
    blocks, has_table = range(0, len(survey.has_data), _ENTRIES), set(layout.tables)
    yield _whole(_header(survey, layout))
    yield _table(_offsets(layout.refcount_blocks, layout.l1))
    for first in range(0, layout.end, _REFCOUNTS):
        yield _whole(_REFCOUNT * min(_REFCOUNTS, layout.end - first))
    tables = iter(_offsets(layout.l2, layout.data))
    yield _table(_COPIED | next(tables, 0) if first in has_table else 0 for first in blocks)
    data = iter(_offsets(layout.data, layout.end))
    for first in layout.tables:
        yield _table(_COPIED | next(data, 0) if used else 0 for used in survey.has_data[first : first + _ENTRIES])
    for piece in pieces:
        yield _whole(piece.data)


def _header(survey: Survey, layout: _Layout) -> bytes:
    size = -(-survey.size // _SECTOR_BYTES) * _SECTOR_BYTES
    no_backing_file, no_encryption, no_snapshots, no_features = (0, 0), 0, (0, 0), (0, 0, 0)
    return _HEADER.pack(
        *(b"QFI\xfb", 3, *no_backing_file, _CLUSTER_BITS, size, no_encryption),
        *(_clusters(len(survey.has_data)), layout.l1 * BLOCK_BYTES),
        *(BLOCK_BYTES, layout.refcount_blocks - 1, *no_snapshots),
        *(*no_features, _REFCOUNT_ORDER, _HEADER.size),
    )


def _offsets(first: int, end: int) -> range:
    return range(first * BLOCK_BYTES, end * BLOCK_BYTES, BLOCK_BYTES)


def _table(entries: t.Iterable[int]) -> bytes:
    numbers = tuple(entries)
    return _whole(struct.pack(f">{len(numbers)}Q", *numbers))


def _whole(data: bytes) -> bytes:
    """Padded with zeros to whole clusters."""
    return data + bytes(-len(data) % BLOCK_BYTES)
