# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the data of a disk in a temporary file, so that what takes long to decompress is decompressed once."""

from __future__ import annotations

import os
import tempfile
import typing as t

from .._kubernetes.quantity import MIB
from .blocks import Piece
from .raw import Raw

# For large files, also where /tmp is in memory (Filesystem Hierarchy Standard 3.0, section 5.15).
_DIRECTORY = "/var/tmp"
_LEFT_FREE_BYTES = 1024 * MIB


class Spool:
    """A file without a name, in TMPDIR or /var/tmp, which is made for the first piece.

    Its file system keeps 1 GiB free: beyond that, or if a write fails, nothing is kept.
    """

    def __init__(self, left_free: int = _LEFT_FREE_BYTES) -> None:
        self._left_free = left_free
        self._descriptor: int | None = None
        self._is_given_up = False

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_exception: t.Any) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def add(self, piece: Piece) -> None:
        """Keep a piece of the disk."""
        try:
            self._is_given_up = self._is_given_up or not self._has_written(piece)
        except OSError:
            self._is_given_up = True

    def _has_written(self, piece: Piece) -> bool:
        if self._descriptor is None:
            self._descriptor, name = tempfile.mkstemp(dir=os.environ.get("TMPDIR") or _DIRECTORY)
            os.unlink(name)
        free = os.fstatvfs(self._descriptor)
        room = free.f_bavail * free.f_frsize - self._left_free
        return len(piece.data) <= room and os.pwrite(self._descriptor, piece.data, piece.offset) == len(piece.data)

    def disk(self, size: int) -> Raw | None:
        """The disk of `size` bytes, whose pieces were all added. None if they were not kept."""
        if self._descriptor is None or self._is_given_up:
            return None
        os.truncate(self._descriptor, size)
        return Raw(self._descriptor, size)
