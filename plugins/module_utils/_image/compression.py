# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a file that may be compressed: some of its first bytes, and its size. Memory is bounded.

Python's decompressors accept more than those of CDI (v1.65.0): Go's compress/gzip, ulikunitz/xz and klauspost/compress.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import typing as t
import zlib

from .._kubernetes.quantity import MIB
from . import xz, zstd

# Enough for the header of every format; an ISO has the last, at 34 KiB.
PREFIX_BYTES = 64 * 1024
# A VHDX has its size in its metadata region, at 2 or 3 MiB.
_WINDOW_BYTES = 8 * MIB
_PIECE_BYTES = MIB
_GZIP_MAGIC = b"\x1f\x8b\x08"
# What was compressed with a larger dictionary or window is not decompressed as a whole: its size comes from its
# headers.
_LARGEST_XZ_MEMORY_BYTES = 96 * MIB
_LARGEST_ZSTD_WINDOW_BYTES = 128 * MIB
# The limit of klauspost/compress, zstd/framedec.go.
_CDI_ZSTD_WINDOW_BYTES = 512 * MIB
_END_BYTES = 512

Update = t.Callable[[bytes], t.Any]


def ignore(_data: bytes) -> None:
    """Nothing is done with these bytes."""


class OutOfSight(Exception):
    """These bytes of a compressed file are too far from its start to be read."""


class _Undeclared(Exception):
    """The headers of a compressed file do not declare the size of its content."""


class TooLarge(EOFError):
    """Decompressing requires too much memory."""


class Content:
    """The content of a plain file.

    `is_readable` is false when this Python cannot decompress it. `tail` is the number of bytes behind the end of the
    compressed data, and is known after `scan`.
    """

    compression: str | None = None
    is_readable = True
    tail = 0

    def __init__(self, file: io.FileIO, file_size: int) -> None:
        self._file = file
        self._file_size = file_size

    def scan(self, update: Update, feed: Update = ignore) -> None:
        """Read a compressed file to its end, and pass its bytes as they are to `update`, and its content to `feed`.

        Not all of the content is passed if decompressing it requires too much memory. Raises EOFError for a damaged
        file.
        """

    def obstacle(self) -> str:
        """Why CDI cannot decompress a file that other tools can, else empty."""
        return ""

    def end(self) -> bytes | None:
        """The last 512 bytes, None when they are not known."""
        return self.at(max(self._file_size - _END_BYTES, 0), _END_BYTES)

    def at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`. Raises OutOfSight."""
        return os.pread(self._file.fileno(), length, offset) if offset < self._file_size else b""

    def size(self, *, exact: bool) -> int | None:
        """The number of bytes. Without `exact` only if that is known without reading the whole file."""
        return self._file_size

    def file(self, *, whole: bool = True) -> t.Any:
        """A reader from the start, to be used once, which does not seek in compressed data.

        Not `whole`: only its start will be read.
        """
        return self._file


class _Reader:
    """Pieces, read as a file."""

    def __init__(self, pieces: t.Iterator[bytes]) -> None:
        self._pieces, self._piece, self._ended = pieces, memoryview(b""), False

    def read(self, length: int) -> bytes:
        """Up to `length` bytes, none at the end.

        Reading on after that, as tarfile does after a damaged size, raises EOFError.
        """
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


class _Decompressor(t.Protocol):
    """What the decompressors of `lzma` and Zstandard have in common: each is for one stream."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _GzipDecompressor:
    """`zlib` with the interface of the others."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, max_length)


class _Decompressed(Content):
    """A compressed file, which consists of one or more streams. The start of its content is kept, nothing else."""

    _stream: str
    _errors: tuple[type[Exception], ...]

    def __init__(self, file: io.FileIO, file_size: int) -> None:
        super().__init__(file, file_size)
        self._window = b""
        self._update: Update | None = None
        self._counted: int | None = None
        self._end: bytes | None = None

    def _decompressor(self, whole: bool) -> _Decompressor:
        """One for the next stream; memory is limited when the `whole` content is read."""
        raise NotImplementedError

    def _next_stream(self, data: bytes) -> bytes:
        """What follows the end of a stream, from the start of the next one; empty, and `tail` set, when there is
        none.
        """
        raise NotImplementedError

    def _size_by_headers(self) -> int | None:
        """The number of bytes, None when it stays unknown.

        Raises _Undeclared when only decompressing would tell, and EOFError.
        """
        raise _Undeclared

    def scan(self, update: Update, feed: Update = ignore) -> None:
        self._file.seek(0)
        self._update = update
        try:
            self._count(feed)
            while self._read(_PIECE_BYTES):
                """What is behind the end belongs to the file, and to its digest."""
        finally:
            self._update = None

    def _count(self, feed: Update = ignore) -> None:
        size, end = 0, b""
        try:
            for piece in self._pieces():
                feed(piece)
                size += len(piece)
                end = (end + piece[-_END_BYTES:])[-_END_BYTES:]
        except TooLarge:
            with contextlib.suppress(_Undeclared):
                self._counted = self._size_by_headers()
        else:
            self._counted, self._end = size, end

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
        for piece in self._pieces(whole=False):
            start += piece
            if len(start) >= length:
                break
        return start

    def size(self, *, exact: bool) -> int | None:
        if self._counted is None:
            try:
                self._counted = self._size_by_headers()
            except _Undeclared:
                if exact:
                    self._count()
        return self._counted

    def file(self, *, whole: bool = True) -> _Reader:
        return _Reader(self._pieces(whole))

    def _pieces(self, whole: bool = True) -> t.Iterator[bytes]:
        """The content of all streams. Raises EOFError, and TooLarge."""
        self._file.seek(0)
        try:
            yield from self._decompressed(whole)
        except MemoryError as exc:
            raise TooLarge(f"its {self._stream} requires too much memory") from exc
        except self._errors as exc:
            if "memory" in str(exc).lower():
                raise TooLarge(f"its {self._stream} requires too much memory") from exc
            raise EOFError(f"its {self._stream} is damaged ({exc})") from exc

    def _decompressed(self, whole: bool) -> t.Iterator[bytes]:
        """As `_pieces`, with the errors of the library."""
        data = self._read(_PIECE_BYTES)
        while data:
            decompressor = self._decompressor(whole)
            while not decompressor.eof:
                if not data and decompressor.needs_input:
                    data = self._read(_PIECE_BYTES)
                    if not data:
                        raise EOFError(f"its {self._stream} ends too early")
                yield decompressor.decompress(data, _PIECE_BYTES)
                data = b""
            data = self._next_stream(decompressor.unused_data)

    def _set_tail(self, data: bytes) -> None:
        """`data`, the last that was read, is behind the end."""
        self.tail = self._file_size - (self._file.tell() - len(data))


class _Gzip(_Decompressed):
    compression = "gz"
    _stream, _errors = "gzip stream", (zlib.error,)

    def _decompressor(self, whole: bool) -> _Decompressor:
        return _GzipDecompressor()

    def _next_stream(self, data: bytes) -> bytes:
        """Go's decompressor accepts nothing but members, not even zeros behind the last."""
        if len(data) < len(_GZIP_MAGIC):
            data += self._read(_PIECE_BYTES)
        if data[: len(_GZIP_MAGIC)] == _GZIP_MAGIC:
            return data
        self._set_tail(data)
        return b""


class Xz(_Decompressed):
    compression = "xz"
    _stream, _errors = "xz stream", (lzma.LZMAError,)

    def obstacle(self) -> str:
        foreign = xz.foreign_filters(self._file.fileno())
        return f"was packed by xz with the filter {' and '.join(foreign)}, and CDI knows only lzma2" if foreign else ""

    def _decompressor(self, whole: bool) -> _Decompressor:
        # The start of the content never fills a large dictionary.
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_LARGEST_XZ_MEMORY_BYTES if whole else None)

    def _next_stream(self, data: bytes) -> bytes:
        """Zeros may follow each stream as padding, by four."""
        end = self._file.tell() - len(data)
        rest = data.lstrip(b"\0")
        while len(rest) < len(xz.MAGIC) and (piece := self._read(_PIECE_BYTES)):
            rest = (rest + piece).lstrip(b"\0")
        padding = self._file.tell() - len(rest) - end
        if rest[: len(xz.MAGIC)] == xz.MAGIC and padding % 4 == 0:
            return rest
        self.tail = self._file_size - end if rest or padding % 4 else 0
        return b""

    def _size_by_headers(self) -> int | None:
        try:
            return xz.indexed_size(self._file.fileno(), self._file_size)
        except xz.NoFooter as exc:
            raise _Undeclared from exc


class _Zstandard(_Decompressed):
    compression = "zst"
    _stream = "zstd frame"

    def __init__(self, file: io.FileIO, file_size: int) -> None:
        super().__init__(file, file_size)
        self.is_readable = zstd.library() is not None
        self._errors = (zstd.library().ZstdError,) if self.is_readable else ()

    def obstacle(self) -> str:
        frame = zstd.frame_at(self._file.fileno(), 0)
        if frame.dictionary:
            return f"was packed by zstd with the dictionary {frame.dictionary}, which CDI does not have"
        if frame.window > _CDI_ZSTD_WINDOW_BYTES:
            return (
                f"was packed by zstd with a window of {-(-frame.window // MIB)} MiB, "
                f"and CDI takes at most {_CDI_ZSTD_WINDOW_BYTES // MIB} MiB"
            )
        return ""

    def _decompressor(self, whole: bool) -> _Decompressor:
        return t.cast(_Decompressor, zstd.decompressor(_LARGEST_ZSTD_WINDOW_BYTES if whole else None))

    def _count(self, feed: Update = ignore) -> None:
        if self.is_readable:
            super()._count(feed)
        else:
            with contextlib.suppress(_Undeclared):
                self._counted = self._size_by_headers()

    def _next_stream(self, data: bytes) -> bytes:
        if len(data) < len(zstd.MAGIC):
            data += self._read(_PIECE_BYTES)
        if zstd.is_frame(data[: len(zstd.MAGIC)]):
            return data
        self._set_tail(data)
        return b""

    def _size_by_headers(self) -> int | None:
        size, end = zstd.measured(self._file.fileno(), self._file_size)
        self.tail = self._file_size - end
        if size is None:
            raise _Undeclared
        return size


def content_of(file: io.FileIO, file_size: int) -> Content:
    """The content of the file, which is decompressed when it begins like gz, xz or zst."""
    magic = os.pread(file.fileno(), 6, 0)
    if magic[:2] == _GZIP_MAGIC[:2]:
        return _Gzip(file, file_size)
    if magic == xz.MAGIC:
        return Xz(file, file_size)
    if magic[:4] == zstd.MAGIC:
        return _Zstandard(file, file_size)
    return Content(file, file_size)


def content_in(compression: str, stream: t.Any, file_size: int) -> Content:
    """The content of a compressed file that can be read only once: it can be scanned.

    Scanning raises OutOfSight if the method `fileno` of the stream does so.
    """
    return {"gz": _Gzip, "xz": Xz, "zst": _Zstandard}[compression](stream, file_size)
