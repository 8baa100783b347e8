# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zstandard (RFC 8878): the headers of frames and blocks, and the library that decompresses them.

Headers give the size of the content without decompressing it, and what a file requires of its decompressor. Python has
a library from 3.14 on; older releases need the optional package `backports.zstd`.
"""

from __future__ import annotations

import functools
import importlib
import os
import typing as t

MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = 0x184D2A50
_LIBRARIES = ("compression.zstd", "backports.zstd")


class Frame(t.NamedTuple):
    """The header of a frame: `window` in bytes, 0 when the content itself is the window; `content_size` in bytes, None
    when undeclared; `dictionary` by its number, 0 for none; `blocks` is the offset of the first block in the file.
    """

    window: int
    dictionary: int
    content_size: int | None
    has_checksum: bool
    blocks: int


@functools.cache
def library() -> t.Any:
    """The module that decompresses, None when this Python has none."""
    for name in _LIBRARIES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def decompressor(largest_window: int | None) -> t.Any:
    """A decompressor for one frame.

    It refuses a window above `largest_window` bytes; by default it accepts all that the library can.
    """
    parameter = library().DecompressionParameter.window_log_max
    log = parameter.bounds()[1] if largest_window is None else largest_window.bit_length() - 1
    return library().ZstdDecompressor(options={parameter: log})


def is_skippable(magic: bytes) -> bool:
    """Whether a frame that begins with these four bytes holds no data."""
    return int.from_bytes(magic, "little") & 0xFFFFFFF0 == _SKIPPABLE


def is_frame(magic: bytes) -> bool:
    """Whether a frame, skippable or not, begins with these four bytes."""
    return magic == MAGIC or is_skippable(magic)


def frame_at(descriptor: int, at: int) -> Frame:
    """The header of the frame at this offset. Raises EOFError."""
    flags = _number(descriptor, at + 4, 1)
    is_single, at = bool(flags & 0x20), at + 5
    window = 0
    if not is_single:
        value, at = _number(descriptor, at, 1), at + 1
        window = (8 + (value & 7) << 10 + (value >> 3)) >> 3
    length = (0, 1, 2, 4)[flags & 3]
    dictionary, at = _number(descriptor, at, length), at + length
    length = (1 if is_single else 0, 2, 4, 8)[flags >> 6]
    size = _number(descriptor, at, length) + (256 if length == 2 else 0) if length else None
    return Frame(window, dictionary, size, bool(flags & 4), at + length)


def measured(descriptor: int, file_size: int) -> tuple[int | None, int]:
    """The bytes of content in all frames, None when a frame does not declare them, and the offset at which the last
    frame ends.

    Reads headers only. Raises EOFError for a file that is truncated.
    """
    total: int | None = 0
    at = 0
    while at < file_size:
        magic = os.pread(descriptor, 4, at)
        if is_skippable(magic):
            at += 8 + _number(descriptor, at + 4, 4)
            continue
        if magic != MAGIC:
            break
        frame = frame_at(descriptor, at)
        total = None if total is None or frame.content_size is None else total + frame.content_size
        at, is_last = frame.blocks, False
        while not is_last:
            header = _number(descriptor, at, 3)
            is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            if kind == 3:
                raise EOFError("its zstd frame is damaged (reserved block type)")
            at += 3 + (1 if kind == 1 else size)  # Kind 1 is one repeated byte.
        at += 4 if frame.has_checksum else 0
    if at > file_size:
        raise EOFError("its zstd frame ends too early")
    return total, at


def _number(descriptor: int, at: int, length: int) -> int:
    data = os.pread(descriptor, length, at)
    if len(data) < length:
        raise EOFError("its zstd frame ends too early")
    return int.from_bytes(data, "little")
