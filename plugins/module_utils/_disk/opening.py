# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the disk in an image, if it can be read in place."""

from __future__ import annotations

import contextlib
import io
import typing as t

from .._image.compression import TooLarge
from .._image.file import open_source, size_of
from .._image.formats import Image
from .blocks import Disk
from .packed import Packed
from .qcow2 import Qcow2
from .raw import Raw
from .xz_blocks import content_of

# Of a larger disk, the map of its blocks would take up too much memory (1 byte for 64 KiB).
_LARGEST_BYTES = 2 << 40


@contextlib.contextmanager
def open_disk(path: str, image: Image) -> t.Iterator[Disk | None]:
    """The disk in a file, whose inspection gave `image`. None for what is sent as it is: other formats than raw and
    qcow2, a qcow2 that is compressed as a whole, what this Python cannot decompress, and disks above 2 TiB.

    Raises CdiError for a file that cannot be opened, EOFError for one that is damaged.
    """
    with open_source(path) as file:
        yield _disk(file, image)


def _disk(file: io.FileIO, image: Image) -> Disk | None:
    if image.virtual_size is None or image.virtual_size > _LARGEST_BYTES:
        return None
    if image.format == "qcow2" and not image.compression:
        qcow2 = Qcow2(file)
        return qcow2 if qcow2.is_readable else None
    if image.format != "raw":
        return None
    if not image.compression:
        return Raw(file.fileno(), image.virtual_size)
    content = content_of(file, size_of(file.fileno()))
    if not content.is_readable:
        return None
    try:
        content.file().read(1)
    except TooLarge:
        return None
    return Packed(content, image.virtual_size)
