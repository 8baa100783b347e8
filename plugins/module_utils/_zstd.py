# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The frames of a Zstandard file (RFC 8878), which Python's library reads only from 3.14 on."""

from __future__ import annotations

import os
import typing as t

MAGIC = b"\x28\xb5\x2f\xfd"


class Frame(t.NamedTuple):
    """A frame's header: where its blocks begin, the size of its content in bytes when it says one, and whether a checksum ends it."""

    blocks: int
    content_size: int | None
    checksum: bool


def content_size(descriptor: int, file_size: int) -> int | None:
    """The bytes in all frames, None when a frame does not say. Reads headers only."""
    total = at = 0
    while at < file_size:
        if _number(descriptor, at, 4) & 0xFFFFFFF0 == 0x184D2A50:
            at += 8 + _number(descriptor, at + 4, 4)  # A skippable frame.
            continue
        frame = _frame(descriptor, at)
        if frame.content_size is None:
            return None
        total += frame.content_size
        at = frame.blocks
        last = False
        while not last:
            header = _number(descriptor, at, 3)
            last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            at += 3 + (1 if kind == 1 else size)
        at += 4 if frame.checksum else 0
    return total


def _frame(descriptor: int, at: int) -> Frame:
    if os.pread(descriptor, 4, at) != MAGIC:
        raise EOFError("its zstd frame is damaged")
    flags = _number(descriptor, at + 4, 1)
    single, at = bool(flags & 0x20), at + 5
    at += 0 if single else 1
    at += (0, 1, 2, 4)[flags & 3]
    length = (1 if single else 0, 2, 4, 8)[flags >> 6]
    size = _number(descriptor, at, length) + (256 if length == 2 else 0) if length else None
    return Frame(at + length, size, bool(flags & 4))


def _number(descriptor: int, at: int, length: int) -> int:
    data = os.pread(descriptor, length, at)
    if len(data) < length:
        raise EOFError("its zstd frame ends too early")
    return int.from_bytes(data, "little")
