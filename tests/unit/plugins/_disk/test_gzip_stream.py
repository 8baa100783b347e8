# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a gzip stream: what it unpacks to, and its size."""

from __future__ import annotations

import gzip

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import BLOCK_BYTES
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.gzip_stream import gzip_stream
from hypothesis import given

from tests.image_files import MIB, run
from tests.unit.plugins._disk.block_disks import DISKS, BlockDisk, disk, disks


def stream_of(made: BlockDisk) -> bytes:
    return b"".join(gzip_stream(made.survey()).chunks(made.pieces()))


@given(disks(100))
def test_stream_unpacks_to_the_disk(made: BlockDisk) -> None:
    assert gzip.decompress(stream_of(made)) == made.content()


@pytest.mark.parametrize("name", [name for name, each in DISKS.items() if each.size < 100 * MIB])
def test_gzip_unpacks_the_stream_without_a_complaint(name: str) -> None:
    assert run("gzip", "-dc", data=stream_of(DISKS[name])) == DISKS[name].content()


@pytest.mark.parametrize(
    ("made", "most"),
    [
        (disk(16 * 64, *range(16 * 64)), 1.0002),
        (disk(16 * 64), 1 / 1000),
        (disk(16 * 64 - 1), 1 / 1000),
        (disk(2 * 64, *range(0, 2 * 64, 2)), 0.503),
    ],
    ids=["full", "empty", "empty, not a power of two", "alternating"],
)
def test_stream_costs_what_the_data_cost(made: BlockDisk, most: float) -> None:
    assert gzip_stream(made.survey()).length <= most * made.size


def test_run_of_more_than_4_gib_ends_as_the_format_demands() -> None:
    """The trailer of a member has the lower 32 bits of its size."""
    count = (4 << 30) // BLOCK_BYTES + 16
    made = disk(count, *range(count))
    piece = next(made.pieces())
    parts = (piece._replace(offset=offset) for offset in range(0, made.size, len(piece.data)))
    last = b""
    for chunk in gzip_stream(made.survey()).chunks(parts):
        last = chunk
    assert int.from_bytes(last[-4:], "little") == 16 * BLOCK_BYTES
