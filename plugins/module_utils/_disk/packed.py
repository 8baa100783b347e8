# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the raw disk that a gz, xz or zst file unpacks to."""

from __future__ import annotations

import typing as t

from .._image.compression import Content
from .assembly import assembled
from .blocks import PIECE_BYTES, Piece


class Packed:
    """The disk in a compressed file, whose `size` is in bytes. Each reading decompresses the file from its start, and
    ends the one before.

    Reading raises TooLarge, an EOFError, if that requires too much memory.
    """

    def __init__(self, content: Content, size: int) -> None:
        self._content, self.size = content, size

    def pieces(self) -> t.Iterator[Piece]:
        return assembled(self._parts(), self.size)

    def _parts(self) -> t.Iterator[tuple[int, bytes]]:
        reader, offset = self._content.file(), 0
        while data := reader.read(PIECE_BYTES):
            if offset + len(data) > self.size:
                raise EOFError(f"it has more than the {self.size} bytes of its disk")
            yield offset, data
            offset += len(data)
        if offset < self.size:
            raise EOFError(f"it has {offset} of the {self.size} bytes of its disk")
