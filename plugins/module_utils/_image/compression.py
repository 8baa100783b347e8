# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes inside a file that may be compressed: some of its start, and how many there are. Memory is bounded.

What Python's and CDI's decompressors take differs: CDI (v1.65.0) has Go's compress/gzip, ulikunitz/xz and klauspost/compress.
"""

from __future__ import annotations

import io
import lzma
import os
import struct
import typing as t
import zlib

from . import zstd as _zstd

# Enough for the header of every format; an ISO's is the last at 34 KiB.
PREFIX_BYTES = 64 * 1024
# A VHDX says its size in its metadata region, at 2 or 3 MiB.
_WINDOW_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b\x08"
_XZ_MAGIC = b"\xfd7zXZ\0"
_XZ_HEADER_BYTES = 12
_LARGEST_XZ_INDEX_BYTES = 64 * 1024 * 1024
# What is packed with a larger dictionary is not unpacked here: its parts are only counted.
_LARGEST_XZ_MEMORY_BYTES = 96 * 1024 * 1024
_XZ_LZMA2 = 0x21
_XZ_FILTERS = {
    3: "delta",
    4: "x86",
    5: "powerpc",
    6: "ia64",
    7: "arm",
    8: "armthumb",
    9: "sparc",
    10: "arm64",
    11: "riscv",
}
# klauspost/compress, zstd/framedec.go.
_LARGEST_ZSTD_WINDOW_BYTES = 512 * 1024 * 1024
_END_BYTES = 512


class OutOfSight(Exception):
    """These bytes of a compressed file are too far from its start to be read."""


class _NoFooter(EOFError):
    """The last bytes of a file are not the end of an xz stream."""


class _TooLarge(Exception):
    """To unpack this would take too much memory."""


class Content:
    """What is inside a plain file."""

    compression: str | None = None
    # How many bytes behind the end of what is packed belong to nothing; known when all is read.
    tail = 0

    def __init__(self, file: io.FileIO, file_size: int) -> None:
        self._file = file
        self._file_size = file_size

    def scan(self, update: t.Callable[[bytes], t.Any]) -> None:
        """Unpack all of a packed file, to see that it is whole, and give its bytes as they are to `update`. Raises EOFError."""

    def obstacle(self) -> str:
        """What keeps CDI from unpacking a file that others unpack, empty when nothing does."""
        return ""

    def end(self) -> bytes | None:
        """The last 512 bytes, None when they are not known."""
        return self.at(max(self._file_size - _END_BYTES, 0), _END_BYTES)

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

    def __init__(self, file: io.FileIO, file_size: int) -> None:
        super().__init__(file, file_size)
        self._window = b""
        self._update: t.Callable[[bytes], t.Any] | None = None
        self._scanned: int | None = None
        self._end: bytes | None = None

    def scan(self, update: t.Callable[[bytes], t.Any]) -> None:
        self._file.seek(0)
        self._update = update
        try:
            self._scanned = self._unpack_all()
            while self._read(_PIECE_BYTES):
                """What is behind the end belongs to the file, too."""
        finally:
            self._update = None

    def _unpack_all(self) -> int | None:
        size, end = 0, b""
        for piece in self._pieces():
            size += len(piece)
            end = (end + piece[-_END_BYTES:])[-_END_BYTES:]
        self._end = end
        return size

    def _read(self, length: int) -> bytes:
        data = self._file.read(length) or b""
        if self._update and data:
            self._update(data)
        return data

    def end(self) -> bytes | None:
        return self._end

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
        """All members; what follows the last, zeros or others, Go's decompressor does not take."""
        self._file.seek(0)
        decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
        data, taken = b"", 0
        try:
            while True:
                if not data:
                    data = self._read(_PIECE_BYTES)
                    taken += len(data)
                if not data and not decompressor.eof:
                    raise EOFError("its gzip stream ends too early")
                if not data:
                    return
                if decompressor.eof:
                    if len(data) < len(_GZIP_MAGIC):
                        more = self._read(_PIECE_BYTES)
                        data, taken = data + more, taken + len(more)
                    if data[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
                        self.tail = self._file_size - (taken - len(data))
                        return
                    decompressor = zlib.decompressobj(zlib.MAX_WBITS | 16)
                yield decompressor.decompress(data, _PIECE_BYTES)
                data = decompressor.unconsumed_tail or decompressor.unused_data
        except zlib.error as exc:
            raise EOFError(f"its gzip stream is damaged ({exc})") from exc

    def size(self, *, exact: bool) -> int | None:
        if self._scanned is None and exact:
            self._scanned = sum(map(len, self._pieces()))
        return self._scanned


class _Xz(_Decompressed):
    compression = "xz"

    def obstacle(self) -> str:
        """The first block's header says how it was filtered (xz file format 1.2.0, section 3.1); CDI knows LZMA2 alone."""
        header = os.pread(self._file.fileno(), 1024, _XZ_HEADER_BYTES)
        at, filters = 2, []
        try:
            if not header[0]:
                return ""  # The index: there is no block.
            for flag in (0x40, 0x80):
                if header[1] & flag:
                    _size, at = _variable(header, at)
            for _filter in range((header[1] & 3) + 1):
                number, at = _variable(header, at)
                length, at = _variable(header, at)
                filters.append(number)
                at += length
        except (EOFError, IndexError):
            return ""  # Which is seen when it is unpacked.
        foreign = [_XZ_FILTERS.get(number, f"number {number}") for number in filters if number != _XZ_LZMA2]
        return f"was packed by xz with the filter {' and '.join(foreign)}, and CDI knows only lzma2" if foreign else ""

    def _unpack_all(self) -> int | None:
        try:
            return super()._unpack_all()
        except _TooLarge:
            self._file.seek(self._file_size)
            return self._indexed_size()

    def _pieces(self) -> t.Iterator[bytes]:
        """All streams; between them, and behind the last, there may be zeros as padding, by four."""
        self._file.seek(0)
        data = self._read(_PIECE_BYTES)
        taken = len(data)
        try:
            while data:
                # For the start of the content a large dictionary is never filled.
                decompressor = lzma.LZMADecompressor(
                    lzma.FORMAT_XZ, memlimit=_LARGEST_XZ_MEMORY_BYTES if self._update else None
                )
                while not decompressor.eof:
                    if not data and decompressor.needs_input:
                        data = self._read(_PIECE_BYTES)
                        taken += len(data)
                        if not data:
                            raise EOFError("its xz stream ends too early")
                    yield decompressor.decompress(data, _PIECE_BYTES)
                    data = b""
                data = decompressor.unused_data
                end = taken - len(data)
                while len(rest := data.lstrip(b"\0")) < len(_XZ_MAGIC) and (piece := self._read(_PIECE_BYTES)):
                    data, taken = rest + piece, taken + len(piece)
                data = rest
                padding = taken - len(data) - end
                if data[: len(_XZ_MAGIC)] != _XZ_MAGIC or padding % 4:
                    self.tail = self._file_size - end if data or padding % 4 else 0
                    return
        except lzma.LZMAError as exc:
            if "limit" in str(exc).lower():
                raise _TooLarge from exc
            raise EOFError(f"its xz stream is damaged ({exc})") from exc

    def size(self, *, exact: bool) -> int | None:
        if self._scanned is None:
            try:
                return self._indexed_size()
            except _NoFooter:
                # Behind the end may be something else.
                self._scanned = sum(map(len, self._pieces()))
        return self._scanned

    def _indexed_size(self) -> int | None:
        """The sum of the sizes in the indexes at the ends of its streams (xz file format 1.2.0, sections 2.1.2 and 4)."""
        end, total = self._file_size, 0
        while end > 0:
            footer = self._at_file(end - 12, 12)
            if footer[8:] == b"\0\0\0\0":
                end -= 4  # Padding between streams comes in fours.
                continue
            if footer[10:] != b"YZ":
                raise _NoFooter("its xz stream has no footer")
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
    """Of which only the start is unpacked; that all of its blocks are there is seen by their headers."""

    compression = "zst"

    def obstacle(self) -> str:
        window, dictionary = _zstd.demands(self._file.fileno())
        if dictionary:
            return f"was packed by zstd with the dictionary {dictionary}, which CDI does not have"
        if window > _LARGEST_ZSTD_WINDOW_BYTES:
            return f"was packed by zstd with a window of {-(-window >> 20)} MiB, and CDI takes at most {_LARGEST_ZSTD_WINDOW_BYTES >> 20} MiB"
        return ""

    def _unpack_all(self) -> int | None:
        size, end = _zstd.measured(self._file.fileno(), self._file_size)
        self.tail = self._file_size - end
        return size

    def _pieces(self) -> t.Iterator[bytes]:
        return _zstd.pieces(self._file.fileno(), self._file_size)

    def size(self, *, exact: bool) -> int | None:
        return _zstd.measured(self._file.fileno(), self._file_size)[0]


def content_of(file: io.FileIO, file_size: int) -> Content:
    """The bytes inside the file, which is decompressed when it begins as gz, xz or zst do."""
    magic = os.pread(file.fileno(), 6, 0)
    if magic[:2] == b"\x1f\x8b":
        return _Gzip(file, file_size)
    if magic == _XZ_MAGIC:
        return _Xz(file, file_size)
    if magic[:4] == _zstd.MAGIC:
        return _Zstandard(file, file_size)
    return Content(file, file_size)
