# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload sends: a file as it is, or the disk in it as a stream that leaves out zeros.

Both are as they were when their digest was computed, or end before their last bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
import typing as t

from .._disk.ahead import read_ahead
from .._disk.blocks import Disk, Piece, Survey, Surveyor
from .._disk.opening import open_disk
from .._disk.pace import Pace
from .._disk.stream import Mismatch, Stream
from .._image.file import FileIdentity, open_source, unreadable
from .._image.formats import Image
from .._kubernetes.errors import CdiError

# Small enough for a processor's cache, and large enough for few packets.
_CHUNK_BYTES = 256 * 1024

# How far the disk in the file is: the bytes of it that are done, and its size.
Reached: t.TypeAlias = "tuple[int, int]"
Chunk: t.TypeAlias = "tuple[bytes | memoryview, Reached | None]"


class FileChanged(CdiError):
    """The file changed after its digest was computed."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} changed during the upload, which was aborted; run the task again when nothing writes to the file."
        )


class Interrupted(CdiError):
    """The file cannot be read now, and a later attempt may succeed."""


class Source(t.Protocol):
    """What is sent. `opened` gives chunks of `sent_size` bytes in all, None if that is known only at the end; each is
    valid until the next one is read, and none is empty. With each comes how far the disk is, None for a file as it is.

    Instead of the first or the last chunk it raises FileChanged if the file has changed, Interrupted if the next
    attempt may succeed, and CdiError if the file can no longer be read.
    """

    @property
    def sent_size(self) -> int | None: ...

    def opened(self) -> contextlib.AbstractContextManager[t.Iterator[Chunk]]: ...


class SourceFile(t.NamedTuple):
    """The file as it is. Only its first `sent_size` bytes are sent. `digest` is its SHA-256."""

    path: str
    identity: FileIdentity
    digest: str
    sent_size: int

    @contextlib.contextmanager
    def opened(self) -> t.Iterator[t.Iterator[Chunk]]:
        with open_source(self.path) as opened:
            yield ((chunk, None) for chunk in unchanged_chunks(opened, self))


class SourceDisk(t.NamedTuple):
    """The disk in a file, as a stream for the disk that was surveyed. It is read from `unpacked` if that was kept.

    `clock` measures, in seconds, whether the network is slow.
    """

    path: str
    identity: FileIdentity
    image: Image
    survey: Survey
    stream: Stream
    unpacked: Disk | None = None
    clock: t.Callable[[], float] = time.monotonic

    @property
    def sent_size(self) -> int | None:
        return self.stream.length

    @contextlib.contextmanager
    def opened(self) -> t.Iterator[t.Iterator[Chunk]]:
        with contextlib.nullcontext(self.unpacked) if self.unpacked else open_disk(self.path, self.image) as disk:
            if disk is None or FileIdentity.of(self.path) != self.identity:
                raise FileChanged(self.path)
            pace = Pace(self.clock)
            with read_ahead(self._chunks(disk, pace)) as chunks:
                yield self._timed(chunks, pace)

    def _timed(self, chunks: t.Iterator[Chunk], pace: Pace) -> t.Iterator[Chunk]:
        for chunk in chunks:
            started = self.clock()
            yield chunk
            pace.sent(len(chunk[0]), self.clock() - started)

    def _chunks(self, disk: Disk, pace: Pace) -> t.Iterator[Chunk]:
        """Each with the end of the last piece that the stream has taken by then, at the end the size of the disk."""
        reached = 0

        def taken() -> t.Iterator[Piece]:
            nonlocal reached
            for piece in self._unchanged(disk):
                reached = piece.offset + len(piece.data)
                yield piece
            reached = disk.size

        try:
            for chunk in self.stream.chunks(taken(), pace):
                yield chunk, (reached, disk.size)
        except (Mismatch, EOFError) as exc:  # It was complete when it was surveyed.
            raise FileChanged(self.path) from exc
        except OSError as exc:
            raise unreadable(self.path, exc) from exc

    def _unchanged(self, disk: Disk) -> t.Iterator[Piece]:
        """The pieces of the disk. Raises FileChanged behind the last one, while the end of the stream is held back."""
        surveyor = Surveyor()
        for piece in disk.pieces():
            surveyor.add(piece)
            yield piece
        if surveyor.survey(disk.size).digest != self.survey.digest or FileIdentity.of(self.path) != self.identity:
            raise FileChanged(self.path)


def unchanged_chunks(opened: io.FileIO, file: SourceFile) -> t.Iterator[memoryview]:
    """The file in chunks. All share one buffer: a chunk is valid until the next one is read.

    Raises FileChanged instead of the first or the last chunk if the file has changed. The identity of a device does not
    show changes, so its content is hashed again.
    """
    buffer, read, sent_size = memoryview(bytearray(_CHUNK_BYTES)), 0, file.sent_size
    digest = hashlib.sha256() if file.identity.is_device else None
    while read < sent_size:
        try:
            chunk = buffer[: opened.readinto(buffer[: sent_size - read])]
        except OSError as exc:
            raise CdiError(f"{file.path} can no longer be read ({exc}); run the task again when it can.") from exc
        first, read = read == 0, read + len(chunk)
        if digest:
            digest.update(chunk)
        if (
            not chunk
            or ((first or read == sent_size) and FileIdentity.of(opened.fileno()) != file.identity)
            or not _is_whole(opened, file, read, digest)
        ):
            raise FileChanged(file.path)
        yield chunk


def _is_whole(opened: io.FileIO, file: SourceFile, read: int, digest: t.Any) -> bool:
    """Whether the digest of a device, which includes the bytes that are not sent, is the same after the last chunk."""
    if digest is None or read < file.sent_size:
        return True
    while more := opened.read(_CHUNK_BYTES):
        digest.update(more)
    return bool(digest.hexdigest() == file.digest)
