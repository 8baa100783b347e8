# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The blocks of a disk that are not zero, and the digest of the disk."""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import (
    BLOCK_BYTES,
    Piece,
    Run,
    Survey,
    Surveyor,
    non_zero,
)
from hypothesis import given
from hypothesis import strategies as st

ZERO, DATA = bytes(BLOCK_BYTES), b"\1".ljust(BLOCK_BYTES, b"\0")
# Blocks by their first byte, and the bytes of a last block that is short.
CONTENTS = st.tuples(st.lists(st.sampled_from([0, 1, 2]), max_size=12), st.sampled_from([0, 1, 512, BLOCK_BYTES - 1]))


def content(blocks: list[int], rest: int) -> bytes:
    return b"".join(bytes([first]).ljust(BLOCK_BYTES, b"\0") for first in blocks) + bytes(rest)


def survey(data: bytes, step: int = 100_000) -> Survey:
    surveyor = Surveyor()
    for place in range(0, len(data), step):
        surveyor.feed(data[place : place + step])
    assert surveyor.fed == len(data)
    return surveyor.survey(len(data))


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"", []),
        (ZERO * 3, []),
        (b"\0" * 100, []),
        (DATA, [Piece(0, DATA)]),
        (DATA * 2, [Piece(0, DATA * 2)]),
        (ZERO + DATA + ZERO, [Piece(BLOCK_BYTES, DATA)]),
        (DATA + ZERO + DATA, [Piece(0, DATA), Piece(2 * BLOCK_BYTES, DATA)]),
        (ZERO + b"\0" * 9 + b"\1", [Piece(BLOCK_BYTES, b"\0" * 9 + b"\1")]),
        (DATA + b"\0" * 9, [Piece(0, DATA)]),
    ],
)
def test_pieces_have_no_block_that_is_zero(data: bytes, pieces: list[Piece]) -> None:
    assert list(non_zero(0, data)) == pieces
    moved = [Piece(piece.offset + BLOCK_BYTES, piece.data) for piece in pieces]
    assert list(non_zero(BLOCK_BYTES, data)) == moved


def test_digest_is_the_documented_one() -> None:
    data = DATA + ZERO + DATA + b"\2" * 10
    documented = hashlib.sha256()
    for number, block in ((0, DATA), (2, DATA), (3, b"\2" * 10)):
        documented.update(struct.pack(">Q", number) + block)
    documented.update(struct.pack(">Q", len(data)))
    assert survey(data).digest == documented.hexdigest()


@given(CONTENTS, st.integers(1, 3 * BLOCK_BYTES))
def test_survey_does_not_depend_on_how_the_content_is_read(made: tuple[list[int], int], step: int) -> None:
    data = content(*made)
    assert survey(data, step) == survey(data, len(data) or 1)


@given(CONTENTS)
def test_runs_cover_the_disk_and_tell_data_from_zeros(made: tuple[list[int], int]) -> None:
    data = content(*made)
    found = survey(data)
    runs = list(found.runs())
    assert b"".join(bytes([run.has_data]) * run.blocks for run in runs) == found.has_data
    assert [run.first for run in runs] == [sum(run.blocks for run in runs[:number]) for number in range(len(runs))]
    assert all(one.has_data != other.has_data for one, other in pairwise(runs))
    assert found.data_bytes == sum(len(piece.data) for piece in non_zero(0, data))


@pytest.mark.parametrize("size", [1, BLOCK_BYTES, BLOCK_BYTES + 1, 10 * BLOCK_BYTES])
def test_disks_of_zeros_differ_by_their_size(size: int) -> None:
    found, larger = Surveyor().survey(size), Surveyor().survey(size + 1)
    assert (found.data_bytes, list(found.runs())) == (0, [Run(0, len(found.has_data), False)])
    assert found.digest != larger.digest


@given(CONTENTS)
def test_sha256_of_the_content_has_the_zeros_too(made: tuple[list[int], int]) -> None:
    data = content(*made)
    surveyor = Surveyor(with_content=True)
    for piece in non_zero(0, data):
        surveyor.add(piece)
    found = surveyor.survey(len(data))
    assert found.content_sha256 == hashlib.sha256(data).hexdigest()
    assert found._replace(content_sha256="") == survey(data)
