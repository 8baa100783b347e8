# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks by the numbers of the blocks that have data, so that they can be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import BLOCK_BYTES, Piece, Survey
from hypothesis import strategies as st


class BlockDisk(NamedTuple):
    """A disk of `size` bytes. The content of each of its `blocks` is a different one."""

    size: int
    blocks: frozenset[int]

    def survey(self) -> Survey:
        has_data = bytearray(-(-self.size // BLOCK_BYTES))
        for number in self.blocks:
            has_data[number] = 1
        return Survey(self.size, bytes(has_data), "")

    def pieces(self, most: int = 16) -> Iterator[Piece]:
        """Each has at most so many blocks."""
        first = None
        for number in sorted(self.blocks):
            first = number if first is None else first
            if number + 1 not in self.blocks or number + 1 - first == most:
                yield Piece(first * BLOCK_BYTES, b"".join(map(self._data, range(first, number + 1))))
                first = None

    def _data(self, number: int) -> bytes:
        data = (2 * number + 1).to_bytes(8, "little") * (BLOCK_BYTES // 8)
        return data[: self.size - number * BLOCK_BYTES]

    def content(self) -> bytes:
        content = bytearray(self.size)
        for offset, data in self.pieces():
            content[offset : offset + len(data)] = data
        return bytes(content)

    def write(self, path: Path) -> Path:
        """To a raw file with holes."""
        with open(path, "wb") as file:
            file.truncate(self.size)
            for offset, data in self.pieces():
                file.seek(offset)
                file.write(data)
        return path


def disk(count: int, *blocks: int, last: int = BLOCK_BYTES) -> BlockDisk:
    """A disk of so many blocks. The last one has `last` bytes."""
    return BlockDisk((count - 1) * BLOCK_BYTES + last, frozenset(blocks))


def disks(largest: int) -> st.SearchStrategy[BlockDisk]:
    """Disks of at most so many blocks: some blocks at random, and some in a row."""
    last = st.one_of(st.just(BLOCK_BYTES), st.integers(1, BLOCK_BYTES), st.integers(1, 127).map(lambda n: n * 512))

    def of(count: int) -> st.SearchStrategy[BlockDisk]:
        number = st.integers(0, count - 1)
        rows = st.lists(st.tuples(number, st.integers(1, 40)), max_size=3)
        return st.builds(
            lambda single, rows, last: disk(
                count, *single, *(n for at, length in rows for n in range(at, min(at + length, count))), last=last
            ),
            st.sets(number, max_size=12),
            rows,
            last,
        )

    return st.integers(1, largest).flatmap(of)


# By what they are.
DISKS = {
    "a byte": disk(1, 0, last=1),
    "a zero byte": disk(1, last=1),
    "a sector": disk(1, 0, last=512),
    "a block": disk(1, 0),
    "full": disk(40, *range(40)),
    "full, the last block short": disk(40, *range(40), last=1000),
    "empty": disk(300),
    "empty, the last block short": disk(300, last=513),
    "alternating": disk(101, *range(0, 101, 2)),
    "alternating, from a zero block": disk(100, *range(1, 100, 2), last=40_000),
    "data at both ends": disk(1000, 0, 999, last=512),
    "around the tables": disk(3 * 8192 + 1, 8191, 8192, 3 * 8192, last=4096),
}
