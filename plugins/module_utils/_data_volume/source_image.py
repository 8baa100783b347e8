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


class Answer(t.NamedTuple):
    """What a server sent of a file: the first bytes, the last ones or none, and the file's size, None when unknown.

    `partial`: the server sent the range that was requested, and not the whole file.
    """

    head: bytes
    end: bytes = b""
    size: int | None = None
    partial: bool = False


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
    """The first bytes of what a compressed file contains."""

    def __init__(self, answer: Answer, compression: str) -> None:
        super().__init__(answer)
        self.compression = compression

    def end(self) -> bytes | None:
        return None


def inspect_answer(url: str, answer: Answer, content_type: str | None) -> SourceImage:
    """Format and size of an image, and whether CDI can import it. An answer may show too little to know."""
    shown = public_url(url)
    packed = next((name for name, magic in TWICE.items() if answer.head[: len(magic)] == magic), None)
    try:
        content: _Seen = _Unpacked(Answer(_unpacked(answer)), packed) if packed else _Seen(answer)
        head = content.at(0, PREFIX_BYTES)
        size = -1 if answer.size is None else answer.size
        image = Image("tar", packed, None, None, size) if is_tar(head) else inspect_content(shown, content, size)
    except _Unreadable:
        return SourceImage(
            reason=f"{shown} is compressed with zstd, and this Python has no decompressor for it; "
            "install one on the host that runs the task: pip install backports.zstd"
        )
    except OutOfSight:
        image = Image("raw", packed, None if packed else answer.size, None, -1 if answer.size is None else answer.size)
    except (EOFError, struct.error) as exc:
        return SourceImage(refusal=f"{shown} is truncated or damaged: {exc}; use a complete image")
    except CdiError as exc:
        # There is no option for the format of a file on a server.
        return SourceImage(refusal=str(exc).rstrip(".").replace("set format=raw", "set check_source=never"))
    if image.format == "tar" and content_type != "archive":
        problem = "is a tar archive, and CDI would store it as a raw disk"
        return SourceImage(refusal=f"{shown} {problem}; set content_type=archive, or give a disk image")
    if image.format != "tar" and content_type == "archive":
        problem = f"is a disk image ({image.format}), and content_type is archive"
        return SourceImage(refusal=f"{shown} {problem}; leave content_type out, or give a tar archive")
    return SourceImage(image)


def _unpacked(answer: Answer) -> bytes:
    """The first bytes of what the file contains. They may end early, with the part that was fetched."""
    found, wanted = b"", _MOST_UNPACKED
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(answer.head)
        content = content_of(file, len(answer.head))
        if not content.is_readable:
            raise _Unreadable
        reader = content.file(whole=False)
        try:
            while len(found) < wanted and (piece := reader.read(wanted - len(found))):
                found += piece
        except (EOFError, struct.error):
            if len(answer.head) == answer.size:
                raise
    return found
