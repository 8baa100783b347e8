# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a qcow2 in place (QEMU 10.0, docs/interop/qcow2.rst): version 2 and 3, without other files and encryption."""

from __future__ import annotations

import io
import itertools
import typing as t
import zlib

from .._image import zstd
from .._image.compression import Content
from .._image.file import size_of
from .._image.tables import QCOW2_COMPRESSED, QCOW2_OFFSET, field, numbers
from .._image.tables import Qcow2 as Header
from .assembly import assembled
from .blocks import Piece
from .raw import stored

_READS_AS_ZEROS = 1
_PARTS = 32
_COMPRESSION_TYPE = 8
# The limit of libzstd, and therefore of QEMU.
_LARGEST_ZSTD_WINDOW_BYTES = 128 * 1024 * 1024


class _Run(t.NamedTuple):
    """Bytes of the disk from `offset` on that are at `start` in the file. Compressed, they have `packed` bytes there,
    else that is 0.
    """

    offset: int
    length: int
    start: int
    packed: int


class Qcow2:
    """The disk in a qcow2, which `_image.formats` has accepted. Raises EOFError."""

    def __init__(self, file: io.FileIO) -> None:
        self._descriptor = file.fileno()
        self._content = Content(file, size_of(self._descriptor))
        self._header = Header.of(self._content)
        self.size = self._header.disk
        self._is_zstd = (
            self._header.version == 3
            and bool(field(self._content, 72, ">Q") & _COMPRESSION_TYPE)
            and field(self._content, 104, ">B") == 1
        )

    @property
    def is_readable(self) -> bool:
        """False when this Python cannot decompress the clusters."""
        return not self._is_zstd or zstd.library() is not None

    def pieces(self) -> t.Iterator[Piece]:
        return assembled(self._parts(), self.size)

    def _parts(self) -> t.Iterator[tuple[int, bytes]]:
        for run in self._runs():
            length = min(run.length, self.size - run.offset)
            if run.packed:
                yield run.offset, self._unpacked(run)[:length]
            else:
                for place, data in stored(self._descriptor, run.start, run.start + length):
                    yield run.offset + place - run.start, data

    def _runs(self) -> t.Iterator[_Run]:
        """What is allocated, as few runs: most clusters follow the previous one in the file too."""
        offset = length = start = 0
        for at, count, place, packed in self._clusters():
            if packed or at != offset + length or place != start + length:
                if length:
                    yield _Run(offset, length, start, 0)
                offset, length, start = at, 0, place
            if packed:
                yield _Run(at, count, place, packed)
            else:
                length += count
        if length:
            yield _Run(offset, length, start, 0)

    def _clusters(self) -> t.Iterator[tuple[int, int, int, int]]:
        """The fields of a run for each cluster, or part of one, that is allocated."""
        header = self._header
        for first, table in header.tables(self._content):
            if table % header.cluster:
                raise EOFError(f"its table at byte {table} begins within a cluster")
            words = (word for _place, word in numbers(self._content, table, header.cluster // 8, "Q"))
            for offset in itertools.count(first * header.cluster, header.cluster):
                entry = next(words, None)
                if entry is None or offset >= self.size:
                    break
                parts = next(words, 0) if header.is_extended else 0
                if entry & QCOW2_COMPRESSED:
                    start, end = header.compressed(entry)
                    yield offset, header.cluster, start, end - start
                elif entry or parts:
                    yield from self._allocated(offset, entry, parts)

    def _allocated(self, offset: int, entry: int, parts: int) -> t.Iterator[tuple[int, int, int, int]]:
        """As `_clusters`, for a cluster that is not compressed. What QEMU takes for damage is damage here too
        (QEMU 10.0, block/qcow2-cluster.c).
        """
        start, cluster = entry & QCOW2_OFFSET, self._header.cluster
        if start % cluster:
            raise EOFError(f"its data at byte {start} begin within a cluster")
        if self._header.is_extended:
            allocated, zero = parts & ((1 << _PARTS) - 1), parts >> _PARTS
            if allocated & zero or (allocated and not start):
                raise EOFError(f"the cluster at byte {offset} of its disk has parts without a place")
            part = cluster // _PARTS
            for place in range(0, cluster, part):
                if allocated & 1:
                    yield offset + place, part, start + place, 0
                allocated >>= 1
        elif not entry & _READS_AS_ZEROS:
            if start:
                yield offset, cluster, start, 0
        elif self._header.version < 3:
            raise EOFError(f"the cluster at byte {offset} of its disk reads as zeros, which version 2 does not know")

    def _unpacked(self, run: _Run) -> bytes:
        data = self._content.at(run.start, run.packed)
        try:
            content = _by_zstd(data, run.length) if self._is_zstd else _by_zlib(data, run.length)
        except EOFError as exc:
            raise EOFError(f"its compressed cluster at byte {run.start} is damaged ({exc})") from exc
        if len(content) < run.length:
            raise EOFError(f"its compressed cluster at byte {run.start} ends after {len(content)} bytes")
        return content


def _by_zlib(data: bytes, length: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, length)
    except zlib.error as exc:
        raise EOFError(str(exc)) from exc


def _by_zstd(data: bytes, length: int) -> bytes:
    """What follows the last frame is not part of the cluster."""
    content = b""
    try:
        while data and len(content) < length:
            frame = zstd.decompressor(_LARGEST_ZSTD_WINDOW_BYTES)
            content += frame.decompress(data, length - len(content))
            data = frame.unused_data if frame.eof else b""
    except zstd.library().ZstdError as exc:
        raise EOFError(str(exc)) from exc
    return content
