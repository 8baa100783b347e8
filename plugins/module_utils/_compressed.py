# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The bytes inside a file that may be compressed: some of its start, and how many there are. Memory is bounded."""

from __future__ import annotations

import lzma
import os
import struct
import typing as t
import zlib

from . import _zstd

# Enough for the header of every format; an ISO's is the last at 34 KiB.
PREFIX_BYTES = 64 * 1024
# A VHDX says its size in its metadata region, at 2 or 3 MiB.
_WINDOW_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_XZ_MAGIC = b"\xfd7zXZ\0"
_LARGEST_XZ_INDEX_BYTES = 64 * 1024 * 1024


class OutOfSight(Exception):
    """These bytes of a compressed file are too far from its start to be read."""


class Content:
    """What is inside a plain file."""

    compression: str | None = None

    def __init__(self, file: t.BinaryIO, file_size: int) -> None:
        self._file = file
        self._file_size = file_size

    def at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`. Raises OutOfSight."""
        return os.pread(self._file.fileno(), length, offset) if offset < self._file_size else b""

    def size(self, *, exact: bool) -> int | None:
        """The number of bytes. Without `exact` only when it can be told without reading all of the file."""
        return self._file_size

    def file(self) -> t.Any:
        """What reads it from its start, once; of what is compressed no further than needed, and without seeking."""
        return self._file


class _Reader:
    """Pieces, read as a file."""

    def __init__(self, pieces: t.Iterator[bytes]) -> None:
        self._pieces, self._piece, self._ended = pieces, memoryview(b""), False

    def read(self, length: int) -> bytes:
        """Up to `length` bytes, none at the end. Who reads on nevertheless, as tarfile does to where a damaged size leads, gets EOFError."""
        if self._ended:
            raise EOFError("its content ends too early")
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                return b""
            self._piece = memoryview(piece)
        data, self._piece = self._piece[:length], self._piece[length:]
        return bytes(data)


class _Decompressed(Content):
    """The start of a compressed file is kept, nothing else."""

    def __init__(self, file: t.BinaryIO, file_size: int) -> None:
        super().__init__(file, file_size)
        self._window = b""

    def at(self, offset: int, length: int) -> bytes:
        if offset + length > _WINDOW_BYTES:
            raise OutOfSight
        if len(self._window) < offset + length:
            self._window = self._start(offset + length)
        return self._window[offset : offset + length]

    def _start(self, length: int) -> bytes:
        start = b""
        for piece in self._pieces():
            start += piece
            if len(start) >= length:
                break
        return start

    def file(self) -> _Reader:
        return _Reader(self._pieces())

    def _pieces(self) -> t.Iterator[bytes]:
        raise NotImplementedError


class _Gzip(_Decompressed):
    compression = "gz"

    def _pieces(self) -> t.Iterator[bytes]:
        """All members; what follows the last is padding."""
        self._file.seek(0)
        decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
        data = b""
        try:
            while True:
                data = data or self._file.read(_PIECE_BYTES)
                if not data and not decompressor.eof:
                    raise EOFError("its gzip stream ends too early")
                if not data:
                    return
                if decompressor.eof:
                    if data.strip(b"\0") == b"":
                        data = b""
                        continue
                    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
                yield decompressor.decompress(data, _PIECE_BYTES)
                data = decompressor.unconsumed_tail or decompressor.unused_data
        except zlib.error as exc:
            raise EOFError(f"its gzip stream is damaged ({exc})") from exc

    def size(self, *, exact: bool) -> int | None:
        return sum(map(len, self._pieces())) if exact else None


class _Xz(_Decompressed):
    compression = "xz"

    def _pieces(self) -> t.Iterator[bytes]:
        """All streams; between them, and behind the last, there may be zeros as padding."""
        self._file.seek(0)
        data = self._file.read(_PIECE_BYTES)
        try:
            while data:
                decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ)
                while not decompressor.eof:
                    if not data and decompressor.needs_input:
                        data = self._file.read(_PIECE_BYTES)
                        if not data:
                            raise EOFError("its xz stream ends too early")
                    yield decompressor.decompress(data, _PIECE_BYTES)
                    data = b""
                data = decompressor.unused_data.lstrip(b"\0")
                while not data:
                    piece = self._file.read(_PIECE_BYTES)
                    if not piece:
                        return
                    data = piece.lstrip(b"\0")
        except lzma.LZMAError as exc:
            raise EOFError(f"its xz stream is damaged ({exc})") from exc

    def size(self, *, exact: bool) -> int | None:
        """The sum of the sizes in the indexes at the ends of its streams (xz file format 1.2.0, sections 2.1.2 and 4)."""
        end, total = self._file_size, 0
        while end > 0:
            footer = self._at_file(end - 12, 12)
            if footer[8:] == b"\0\0\0\0":
                end -= 4  # Padding between streams comes in fours.
                continue
            if footer[10:] != b"YZ":
                raise EOFError("its xz stream has no footer")
            index_size = (struct.unpack("<I", footer[4:8])[0] + 1) * 4
            if index_size > _LARGEST_XZ_INDEX_BYTES:
                return None
            index = self._at_file(end - 12 - index_size, index_size)
            count, at = _variable(index, 1)
            blocks = 0
            for _record in range(count):
                unpadded, at = _variable(index, at)
                size, at = _variable(index, at)
                blocks += -(-unpadded // 4) * 4
                total += size
            end -= 24 + index_size + blocks
        return total

    def _at_file(self, offset: int, length: int) -> bytes:
        data = os.pread(self._file.fileno(), length, offset) if offset >= 0 else b""
        if len(data) < length:
            raise EOFError("its xz stream ends too early")
        return data


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits in each byte, and where the next begins."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise EOFError("its xz index is damaged")
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


class _Zstandard(_Decompressed):
    compression = "zst"

    def _pieces(self) -> t.Iterator[bytes]:
        return _zstd.pieces(self._file.fileno(), self._file_size)

    def size(self, *, exact: bool) -> int | None:
        return _zstd.content_size(self._file.fileno(), self._file_size)


def content_of(file: t.BinaryIO, file_size: int) -> Content:
    """The bytes inside the file, which is decompressed when it begins as gz, xz or zst do."""
    magic = os.pread(file.fileno(), 6, 0)
    if magic[:2] == b"\x1f\x8b":
        return _Gzip(file, file_size)
    if magic == _XZ_MAGIC:
        return _Xz(file, file_size)
    if magic[:4] == _zstd.MAGIC:
        return _Zstandard(file, file_size)
    return Content(file, file_size)
