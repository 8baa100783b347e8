# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both streams promise: their chunks, memory, and that they end early when the disk has changed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import BLOCK_BYTES, Piece, Survey
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.gzip_stream import gzip_stream
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.qcow2_stream import qcow2_stream
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.stream import CHUNK_BYTES, Mismatch, Stream
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.image_files import MIB
from tests.unit.plugins._disk.block_disks import DISKS, BlockDisk, disk, disks
from tests.unit.plugins._disk.paces import FAST, SLOW, pace_of

TIB = MIB << 20
STREAMS = pytest.mark.parametrize("make", [gzip_stream, qcow2_stream])
Make = Callable[[Survey], Stream]


SPEEDS = pytest.mark.parametrize("speed", [SLOW, FAST])


def whole(stream: Stream, pieces: Iterable[Piece], speed: float = FAST) -> bytes:
    return b"".join(stream.chunks(pieces, pace_of(speed)))


def received(stream: Stream, pieces: Iterable[Piece], error: type[Exception], speed: float) -> bytes:
    """What arrives before the error."""
    chunks = []
    with pytest.raises(error):
        for chunk in stream.chunks(pieces, pace_of(speed)):
            chunks.append(chunk)
    return b"".join(chunks)


@pytest.mark.parametrize("name", DISKS)
def test_length_is_that_of_all_chunks(name: str) -> None:
    stream = qcow2_stream(DISKS[name].survey())
    assert len(whole(stream, DISKS[name].pieces())) == stream.length


def test_stream_that_may_be_compressed_has_no_length() -> None:
    assert gzip_stream(DISKS["full"].survey()).length is None


@STREAMS
@SPEEDS
@pytest.mark.parametrize("name", DISKS)
def test_chunks_are_large_and_never_empty(make: Make, name: str, speed: float) -> None:
    stream = make(DISKS[name].survey())
    sizes = [len(chunk) for chunk in stream.chunks(DISKS[name].pieces(), pace_of(speed))]
    assert all(CHUNK_BYTES <= size < CHUNK_BYTES + MIB + BLOCK_BYTES for size in sizes[:-1]) and sizes[-1]


@STREAMS
@settings(max_examples=50)
@given(made=disks(200), most=st.integers(1, 15))
def test_stream_does_not_depend_on_how_the_disk_is_divided_into_pieces(make: Make, made: BlockDisk, most: int) -> None:
    stream = make(made.survey())
    once, again = (whole(stream, made.pieces(blocks)) for blocks in (most, 16))
    assert once == again


class Changed(Exception):
    """The digest of the pieces is a different one."""


def changed_at_the_end(pieces: Iterable[Piece]) -> Iterator[Piece]:
    yield from pieces
    raise Changed


@STREAMS
@settings(max_examples=50)
@given(made=disks(200), speed=st.sampled_from([SLOW, FAST]))
def test_last_chunk_waits_for_the_end_of_the_pieces(make: Make, made: BlockDisk, speed: float) -> None:
    stream = make(made.survey())
    complete = whole(stream, made.pieces(), speed)
    part = received(stream, changed_at_the_end(made.pieces()), Changed, speed)
    assert complete.startswith(part) and len(part) < len(complete)


BLOCK = b"\1" * BLOCK_BYTES
SURVEYED = disk(60, *range(10, 20), *range(30, 40), 59, last=1000)
FIRST, SECOND, LAST = SURVEYED.pieces()
MISMATCHES = {
    "no piece": [],
    "no first piece": [SECOND, LAST],
    "no second piece": [FIRST, LAST],
    "no last piece": [FIRST, SECOND],
    "no first block": [Piece(FIRST.offset + BLOCK_BYTES, FIRST.data[BLOCK_BYTES:]), SECOND, LAST],
    "no block in the middle": [
        Piece(FIRST.offset, FIRST.data[:BLOCK_BYTES]),
        Piece(FIRST.offset + 2 * BLOCK_BYTES, FIRST.data[2 * BLOCK_BYTES :]),
        SECOND,
        LAST,
    ],
    "no last block": [FIRST._replace(data=FIRST.data[:-BLOCK_BYTES]), SECOND, LAST],
    "a block before": [Piece(FIRST.offset - BLOCK_BYTES, BLOCK + FIRST.data), SECOND, LAST],
    "a block behind": [FIRST._replace(data=FIRST.data + BLOCK), SECOND, LAST],
    "a piece before": [Piece(0, BLOCK), FIRST, SECOND, LAST],
    "a piece between": [FIRST, Piece(25 * BLOCK_BYTES, BLOCK), SECOND, LAST],
    "a piece twice": [FIRST, FIRST, SECOND, LAST],
    "a wrong order": [SECOND, FIRST, LAST],
    "a larger disk": [FIRST, SECOND, LAST._replace(data=BLOCK)],
    "a block behind the end": [FIRST, SECOND, LAST, Piece(60 * BLOCK_BYTES, BLOCK)],
    "blocks behind the end": [FIRST, SECOND, LAST._replace(data=BLOCK * 2)],
    "a smaller disk": [FIRST, SECOND, LAST._replace(data=LAST.data[:-1])],
    "a part of a block": [FIRST._replace(data=FIRST.data[:-1]), SECOND, LAST],
    "no first byte": [Piece(FIRST.offset + 1, FIRST.data[1:]), SECOND, LAST],
    "an offset in a block": [FIRST._replace(offset=FIRST.offset + 1), SECOND, LAST],
}


@STREAMS
@SPEEDS
@pytest.mark.parametrize("name", MISMATCHES)
def test_pieces_that_differ_from_the_survey_end_the_stream_early(make: Make, name: str, speed: float) -> None:
    stream, pieces = make(SURVEYED.survey()), MISMATCHES[name]
    part = received(stream, pieces, Mismatch, speed)
    complete = whole(stream, SURVEYED.pieces(), speed)
    assert complete.startswith(part) and len(part) < len(complete)


@STREAMS
@SPEEDS
def test_memory_does_not_grow_with_the_disk(make: Make, speed: float) -> None:
    large = disk(TIB // BLOCK_BYTES, 0, *range(8_000_000, 8_000_100), TIB // BLOCK_BYTES - 1)
    survey = large.survey()
    tracemalloc.start()
    try:
        stream = make(survey)
        assert sum(len(chunk) for chunk in stream.chunks(large.pieces(), pace_of(speed)))
        assert tracemalloc.get_traced_memory()[1] < 12 * MIB
    finally:
        tracemalloc.stop()
