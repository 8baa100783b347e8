# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk as a gzip stream: what it unpacks to, its size, and what of it is compressed."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import BLOCK_BYTES, Piece
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.gzip_stream import gzip_stream
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.pace import Pace
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.image_files import MIB, run
from tests.unit.plugins._disk.block_disks import DISKS, BlockDisk, disk, disks
from tests.unit.plugins._disk.paces import FAST, SLOW, pace_of

PACES = pytest.mark.parametrize("speed", [FAST, SLOW])
ROW = disk(40 * 16, *range(40 * 16))


def stream_of(made: BlockDisk, pace: Pace) -> bytes:
    return b"".join(gzip_stream(made.survey()).chunks(made.pieces(), pace))


def with_noise(made: BlockDisk, noisy: set[int], most: int = 16) -> Iterator[Piece]:
    """The pieces of at most so many blocks, of which those with these numbers cannot be compressed."""
    for number, piece in enumerate(made.pieces(most)):
        noise = random.Random(number).randbytes(len(piece.data))
        yield piece._replace(data=noise) if number in noisy else piece


def content_of(size: int, pieces: Iterator[Piece]) -> bytes:
    content = bytearray(size)
    for offset, data in pieces:
        content[offset : offset + len(data)] = data
    return bytes(content)


@given(disks(100), st.sampled_from([FAST, SLOW]))
def test_stream_unpacks_to_the_disk(made: BlockDisk, speed: float) -> None:
    assert gzip.decompress(stream_of(made, pace_of(speed))) == made.content()


@PACES
@pytest.mark.parametrize("name", [name for name, each in DISKS.items() if each.size < 100 * MIB])
def test_gzip_unpacks_the_stream_without_a_complaint(name: str, speed: float) -> None:
    assert run("gzip", "-dc", data=stream_of(DISKS[name], pace_of(speed))) == DISKS[name].content()


MIXED = disk(120, *range(7), *range(9, 50), *range(60, 117), 119, last=777)


@settings(max_examples=50)
@given(noisy=st.sets(st.integers(0, 60)), speeds=st.lists(st.sampled_from([SLOW, FAST]), min_size=1, max_size=30))
def test_members_of_stored_and_compressed_pieces_are_the_disk(noisy: set[int], speeds: list[float]) -> None:
    """The network changes its speed with each chunk."""
    pace, received = pace_of(speeds[0]), b""
    for number, chunk in enumerate(gzip_stream(MIXED.survey()).chunks(with_noise(MIXED, noisy, 2), pace)):
        received += chunk
        for _chunk in range(9):
            pace.sent(MIB, 1 / speeds[number % len(speeds)])
    assert gzip.decompress(received) == content_of(MIXED.size, with_noise(MIXED, noisy, 2))


def test_mixed_stream_is_read_by_gzip() -> None:
    noisy = {0, 3, 4, 25, 30, 51}
    received = b"".join(gzip_stream(MIXED.survey()).chunks(with_noise(MIXED, noisy, 2), pace_of(SLOW)))
    assert run("gzip", "-dc", data=received) == content_of(MIXED.size, with_noise(MIXED, noisy, 2))
    assert 2 * MIB < len(received) < 6 * MIB


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
    assert len(stream_of(made, pace_of(FAST))) <= most * made.size


@pytest.mark.parametrize(
    ("noisy", "stored"),
    [
        (set[int](), 0),
        # Each piece that is not worth it, and the eight after it.
        ({5}, 9),
        ({5, 9}, 9),
        ({5, 14}, 18),
        ({5, 15}, 18),
        ({39}, 1),
        (set(range(40)), 40),
    ],
)
def test_slow_network_gets_compressed_pieces_but_those_that_do_not_get_smaller(noisy: set[int], stored: int) -> None:
    stream = gzip_stream(ROW.survey())
    size = sum(map(len, stream.chunks(with_noise(ROW, noisy), pace_of(SLOW))))
    assert stored <= size / MIB < stored + 0.5


@pytest.mark.parametrize(("speed", "stored"), [(0.1, 0), (11, 0), (100, 0), (120, 40), (FAST, 40), (5000, 40)])
def test_pieces_are_compressed_only_if_the_network_is_slower_than_that(speed: float, stored: int) -> None:
    assert stored <= len(stream_of(ROW, pace_of(speed))) / MIB < stored + 0.5


def test_piece_whose_first_block_only_gets_smaller_is_stored() -> None:
    made = disk(16, *range(16))
    noise = random.Random(0).randbytes(made.size - BLOCK_BYTES)
    piece = Piece(0, b"text" * (BLOCK_BYTES // 4) + noise)
    received = b"".join(gzip_stream(made.survey()).chunks([piece], pace_of(SLOW)))
    assert made.size < len(received) and gzip.decompress(received) == piece.data


def test_pieces_are_compressed_when_the_network_becomes_slow_and_stored_when_it_is_fast_again() -> None:
    made, sizes = disk(120 * 16, *range(120 * 16)), []
    half = random.Random(0).randbytes(BLOCK_BYTES // 2) + bytes(BLOCK_BYTES // 2)
    pieces = (Piece(piece.offset, half * 16) for piece in made.pieces())
    pace = pace_of(FAST)
    for number, chunk in enumerate(gzip_stream(made.survey()).chunks(pieces, pace)):
        pace.sent(len(chunk), len(chunk) / MIB / (SLOW if 40 <= number < 80 else FAST))
        sizes.append(len(chunk) / MIB)
    is_compressed = [each < 0.6 for each in sizes]
    assert not any(is_compressed[:41]) and all(is_compressed[51:81]) and not any(is_compressed[95:-1]), sizes


def test_run_of_more_than_4_gib_ends_as_the_format_demands() -> None:
    """The trailer of a member has the lower 32 bits of its size."""
    count = (4 << 30) // BLOCK_BYTES + 16
    made = disk(count, *range(count))
    piece = next(made.pieces())
    parts = (piece._replace(offset=offset) for offset in range(0, made.size, len(piece.data)))
    last = b""
    for chunk in gzip_stream(made.survey()).chunks(parts, pace_of(FAST)):
        last = chunk
    assert int.from_bytes(last[-4:], "little") == 16 * BLOCK_BYTES
