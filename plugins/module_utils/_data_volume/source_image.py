# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first and last bytes of an image on a server reveal, by the rules for files. Pure rules."""

from __future__ import annotations

import struct
import tempfile
import typing as t

from .._image.archive import is_tar
from .._image.compression import PREFIX_BYTES, Content, OutOfSight, content_of
from .._image.formats import Image, inspect_content
from .._image.kinds import TWICE
from .._kubernetes.errors import CdiError
from .._kubernetes.public import public_url
from .._kubernetes.quantity import MIB

# Bytes of a compressed image that are unpacked.
_MOST_UNPACKED = 4 * MIB


# Scheme, host and port of a URL.
Place: t.TypeAlias = "tuple[str, str | None, int | None]"


class Version(t.NamedTuple):
    """Which server sent a file, and its `mark`: the ETag or the time of the last change, empty if it sent neither."""

    place: Place
    mark: str

    def differs(self, later: Version) -> bool:
        """Whether the file has certainly changed. Mirrors of a file need not agree on its marks."""
        return self.place == later.place and self.mark != later.mark


class Answer(t.NamedTuple):
    """What a server sent of a file: the first bytes, the last ones or none, and the file's size, None when unknown.

    `partial`: the server sent the range that was requested, and not the whole file.
    """

    head: bytes
    end: bytes = b""
    size: int | None = None
    partial: bool = False
    version: Version = Version(("", None, None), "")


class Fetched(t.NamedTuple):
    """The result of a request: an answer, or why there is none. `refusal`: why an import is impossible."""

    answer: Answer | None = None
    reason: str = ""
    refusal: str = ""


class SourceImage(t.NamedTuple):
    """What is known of an image before its import. `reason`: why nothing is. `refusal`: why CDI cannot import it."""

    image: Image | None = None
    reason: str = ""
    refusal: str = ""

    @property
    def facts(self) -> dict[str, t.Any]:
        """The image as results show it."""
        found = self.image
        return {
            "checked": found is not None,
            "reason": self.reason or None,
            "format": found.format if found else None,
            "compression": found.compression if found else None,
            "virtual_size": found.virtual_size if found else None,
            "file_size": found.file_size if found and found.file_size >= 0 else None,
        }


class _Unreadable(Exception):
    """This Python cannot decompress the image."""


class _Seen(Content):
    """A file on a server, of which only the ends are here."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def at(self, offset: int, length: int) -> bytes:
        head, end, size = self._answer[:3]
        if offset + length <= len(head) or size == len(head):
            return head[offset : offset + length]
        if size is not None and offset >= size:
            return b""
        if size is not None and offset >= size - len(end):
            return end[offset - (size - len(end)) :][:length]
        if offset == 0:
            return head[:length]
        raise OutOfSight

    def end(self) -> bytes | None:
        return self._answer.end[-512:] or None

    def size(self, *, exact: bool) -> int | None:
        return self._answer.size

    def file(self, *, whole: bool = True) -> t.Any:
        raise OutOfSight


class _Unpacked(_Seen):
    """The first bytes of what a compressed file contains, or the `obstacle` to its decompression by CDI."""

    def __init__(self, content: bytes, compression: str, obstacle: str) -> None:
        super().__init__(Answer(content))
        self.compression, self._obstacle = compression, obstacle

    def obstacle(self) -> str:
        return self._obstacle

    def end(self) -> bytes | None:
        return None


def inspect_answer(url: str, answer: Answer, content_type: str | None) -> SourceImage:
    """Format and size of an image, and whether CDI can import it. An answer may show too little to know."""
    shown, found = public_url(url), image_of(url, answer)
    # There is no option for the format of a file that CDI imports.
    found = found._replace(refusal=found.refusal.replace("set format=raw", "set check_source=never"))
    form = found.image.format if found.image else None
    if form == "tar" and content_type != "archive":
        problem = "is a tar archive, and CDI would store it as a raw disk"
        return SourceImage(refusal=f"{shown} {problem}; set content_type=archive, or give a disk image")
    if form not in (None, "tar") and content_type == "archive":
        problem = f"is a disk image ({form}), and content_type is archive"
        return SourceImage(refusal=f"{shown} {problem}; leave content_type out, or give a tar archive")
    return found


def image_of(url: str, answer: Answer, *, insist: bool = False) -> SourceImage:
    """Format and size of an image, by the rules for files. `insist`: the content is a raw disk, whatever it looks
    like.

    Of a tar archive, no size is known.
    """
    shown = public_url(url)
    packed = next((name for name, magic in TWICE.items() if answer.head[: len(magic)] == magic), None)
    size = -1 if answer.size is None else answer.size
    try:
        content = _unpacked(answer, packed) if packed else _Seen(answer)
        if not insist and is_tar(content.at(0, PREFIX_BYTES)):
            return SourceImage(Image("tar", packed, None, None, size))
        return SourceImage(inspect_content(shown, content, size, insist=insist))
    except _Unreadable:
        return SourceImage(
            reason=f"{shown} is compressed with zstd, and this Python has no decompressor for it; "
            "install one on the host that runs the task: pip install backports.zstd"
        )
    except OutOfSight:
        return SourceImage(Image("raw", packed, None if packed else answer.size, None, size))
    except (EOFError, struct.error) as exc:
        return SourceImage(refusal=f"{shown} is truncated or damaged: {exc}; use a complete image")
    except CdiError as exc:
        return SourceImage(refusal=str(exc).rstrip("."))


def _unpacked(answer: Answer, compression: str) -> _Seen:
    """The first bytes of what the file contains. They may end early, with the part that was fetched."""
    found, wanted = b"", _MOST_UNPACKED
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(answer.head)
        content = content_of(file, len(answer.head))
        if obstacle := content.obstacle():
            return _Unpacked(b"", compression, obstacle)
        if not content.is_readable:
            raise _Unreadable
        reader = content.file(whole=False)
        try:
            while len(found) < wanted and (piece := reader.read(wanted - len(found))):
                found += piece
        except (EOFError, struct.error):
            if len(answer.head) == answer.size:
                raise
    return _Unpacked(found, compression, "")
