# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file on a web server as what an upload sends: fetched and sent at the same time, without a copy on this host.

The last bytes are sent after the SHA-256 of all of them was verified.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import typing as t

from .._data_volume.source_fetch import Request, Stopped, fetch, fetched_whole
from .._data_volume.source_image import Fetched, Version, image_of
from .._image.compression import OutOfSight, content_in
from .._image.formats import Image
from .._kubernetes.errors import CdiError
from .._kubernetes.public import public_url
from .source import Chunk, FileChanged, Interrupted
from .url import DOWNLOAD, request_of

# For the first and the last bytes, which are read before anything is written.
_SECONDS_FOR_ENDS = 30.0
_CHECK = "check the web server, and that the host that runs the task reaches and trusts it, and run the task again"


class Remote(t.NamedTuple):
    """A file on a web server, as it was when its ends were read.

    `patience`: the time in seconds for which the server can send nothing.
    """

    request: Request
    size: int
    version: Version
    patience: float

    @property
    def shown(self) -> str:
        """The URL without its secrets."""
        return public_url(self.request.url)

    @contextlib.contextmanager
    def opened(self) -> t.Iterator[t.Iterator[bytes]]:
        """All bytes of the file, in pieces. Raises FileChanged, Interrupted, and CdiError for what will not change."""
        with contextlib.ExitStack() as stack:
            try:
                whole = stack.enter_context(fetched_whole(self.request, self.patience))
            except Stopped as exc:
                raise _error(exc.outcome) from exc
            if whole.size not in (None, self.size) or self.version.differs(whole.version):
                raise FileChanged(self.shown)
            yield self._pieces(whole.pieces)

    def _pieces(self, pieces: t.Iterator[bytes]) -> t.Iterator[bytes]:
        read = 0
        try:
            for piece in pieces:
                read += len(piece)
                if read > self.size:
                    raise FileChanged(self.shown)
                yield piece
        except Stopped as exc:
            raise _error(exc.outcome) from exc
        if read < self.size:
            raise _error(Fetched(reason=f"the connection to {self.shown} ended after {read} of {self.size} bytes"))


def _error(fetched: Fetched) -> CdiError:
    if fetched.refusal:
        return CdiError(f"The file cannot be fetched: {fetched.refusal}.")
    return Interrupted(f"The file cannot be fetched: {fetched.reason}; {_CHECK}.")


def look(path: str, patience: float, *, insist: bool) -> tuple[Remote, Image]:
    """What the first and last bytes of a file reveal. `insist`: the content is a raw disk, whatever it looks like.

    Raises CdiError for a file that cannot be fetched, or that CDI does not accept.
    """
    request = request_of(path)
    fetched = fetch(request, time.monotonic() + min(_SECONDS_FOR_ENDS, patience))
    answer, shown = fetched.answer, public_url(request.url)
    if answer is None:
        raise _error(fetched)
    if answer.size is None:
        raise CdiError(f"{shown} is of unknown size, because the server sends no Content-Length; {DOWNLOAD}.")
    found = image_of(request.url, answer, insist=insist)
    if found.refusal:
        raise CdiError(f"{found.refusal}.")
    # The only image without facts is one that this Python cannot decompress.
    image = found.image or Image("raw" if insist else None, "zst", None, None, answer.size)
    return Remote(request, answer.size, answer.version, patience), image


def read_whole(remote: Remote, image: Image) -> tuple[str, Image]:
    """The SHA-256 of a file, and what is known of its image after it was decompressed. Nothing is kept.

    Raises FileChanged, and CdiError for a file that is damaged, or that is not fetched to its end.
    """
    digest = hashlib.sha256()
    with remote.opened() as pieces:
        if image.compression and image.format:
            content = content_in(image.compression, _Stream(pieces), remote.size)
            try:
                content.scan(digest.update)
                size = content.size(exact=False)
                image = image._replace(tail=content.tail, stored_size=None if image.format == "tar" else size)
                if image.format in ("raw", "iso"):
                    image = image._replace(virtual_size=size)
            except EOFError as exc:
                raise CdiError(f"{remote.shown} is truncated or damaged: {exc}; use a complete image.") from exc
            except OutOfSight:
                """Decompressing it requires too much memory."""
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest(), image


class _Stream:
    """Pieces as a file that is read once, from its start. A piece is smaller than what decompressors ask for."""

    def __init__(self, pieces: t.Iterator[bytes]) -> None:
        self._pieces, self._position = pieces, 0

    def read(self, _length: int) -> bytes:
        piece = next(self._pieces, b"")
        self._position += len(piece)
        return piece

    def seek(self, offset: int) -> int:
        if offset != self._position:
            raise OutOfSight
        return offset

    def tell(self) -> int:
        return self._position

    def fileno(self) -> int:
        raise OutOfSight


class SourceUrl(t.NamedTuple):
    """The file as it is. Only its first `sent_size` bytes are sent. `digest` is its SHA-256.

    `is_expected`: the digest is that of option `checksum`, and not of what was fetched before.
    """

    remote: Remote
    digest: str
    sent_size: int
    is_expected: bool

    @contextlib.contextmanager
    def opened(self) -> t.Iterator[t.Iterator[Chunk]]:
        with self.remote.opened() as pieces:
            yield ((chunk, None) for chunk in self._verified(pieces))

    def _verified(self, pieces: t.Iterator[bytes]) -> t.Iterator[bytes]:
        """The last piece that is sent is held back until all bytes are read."""
        digest, left, held = hashlib.sha256(), self.sent_size, b""
        for piece in pieces:
            digest.update(piece)
            if left:
                if held:
                    yield held
                held = piece[:left]
                left -= len(held)
        found = digest.hexdigest()
        if found != self.digest and self.is_expected:
            raise CdiError(
                f"{self.remote.shown} does not match checksum: expected sha256:{self.digest}, got sha256:{found}; its "
                "last bytes were not sent, so that CDI discards the others. Correct checksum, or the file."
            )
        if found != self.digest:
            raise FileChanged(self.remote.shown)
        yield held
