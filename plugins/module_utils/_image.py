# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""What a disk image or archive is, and how large its disk is, by its first and last bytes.

Formats are told by content, as CDI does (pkg/image/filefmt.go, v1.65.0); names do not count.
"""

from __future__ import annotations

import os
import re
import struct
import tarfile
import typing as t
import uuid

from . import _zstd
from ._compressed import PREFIX_BYTES, Content, OutOfSight, content_of
from ._errors import CdiError

MIB = 1024 * 1024
# CDI reads that much to tell a format, and gives up on a shorter file (pkg/image/filefmt.go, v1.65.0).
_SMALLEST_BYTES = 512
_SECTOR = 512
_VHDX_METADATA_REGION = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_VHDX_VIRTUAL_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_VHDX_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
# Whose VHDs have the size that their geometry tells (QEMU 10.0, block/vpc.c; before, also all creators that QEMU did not know: a smaller size).
_VHD_CHS_CREATORS = (b"vpc ", b"qemu")
_VHD_LARGEST_GEOMETRY = 65535 * 16 * 255
# A file in a file system: whole blocks, an inode's share; then the file system's own, by ext4's defaults.
_BLOCK_BYTES = 4096
_INODE_SHARE_BYTES = 16384
_ARCHIVE_HEADROOM_BYTES = 16 * MIB


class Image(t.NamedTuple):
    """A file to upload. Sizes are bytes; `virtual_size` and `stored_size` are None when only reading all of it would tell.

    `format` is raw, iso, qcow2, vmdk, vdi, vhd, vhdx or tar; `compression` is gz, xz, zst or None.
    `virtual_size` is the disk's, for tar the room that its members take; `stored_size` is the file's own without compression.
    """

    format: str
    compression: str | None
    virtual_size: int | None
    stored_size: int | None
    file_size: int

    @property
    def needed_size(self) -> int | None:
        """The disk to ask for, in whole MiB. A format that is converted must fit into the scratch space, too, which is as large as the disk."""
        if self.virtual_size is None:
            return None
        size = max(self.virtual_size, self.stored_size or 0)
        return max(-(-size // MIB), 1) * MIB


def inspect(path: str) -> Image:
    """Tell format and sizes of the file. Raises CdiError for a file that CDI cannot take, OSError for one that cannot be read."""
    with open(path, "rb") as file:
        file_size = os.fstat(file.fileno()).st_size
        try:
            content = content_of(file, file_size)
            return _inspect(path, content, file_size)
        except (EOFError, struct.error) as exc:
            raise CdiError(f"{path} is cut off or damaged: {exc}; give a whole image.") from exc


def _inspect(path: str, content: Content, file_size: int) -> Image:
    head = content.at(0, PREFIX_BYTES)
    if head[:21] == b"# Disk DescriptorFile":
        raise CdiError(f"{path} is only the descriptor of a vmdk; give the file with the data, or one file made by: qemu-img convert -O qcow2.")
    if _zstd.is_skippable(head[:4]):
        raise CdiError(f"{path} begins with a skippable zstd frame, as pzstd writes it, which CDI would store compressed; compress it with zstd instead.")
    if len(head) < _SMALLEST_BYTES:
        raise CdiError(f"{path} holds {len(head)} bytes, and CDI takes no image below {_SMALLEST_BYTES}; give a whole image.")
    if head[257:262] == b"ustar":
        size = _archive_size(path, content)
        return Image("tar", content.compression, size, None, file_size)
    for name, (offset, magic, read_size) in _FORMATS.items():
        if head[offset : offset + len(magic)] == magic:
            return Image(name, content.compression, _size_in_sight(read_size, path, content), content.size(exact=False), file_size)
    stored = content.size(exact=True)
    if head[32769:32774] == b"CD001":
        return Image("iso", content.compression, stored, stored, file_size)
    if content.compression is None and stored and content.at(stored - _SECTOR, 8) == b"conectix":
        # CDI sees no VHD without its header at the start, and stores it as it is: a raw disk with the footer behind it.
        return Image("vhd", None, _vhd_size(path, content, stored - _SECTOR), stored, file_size)
    return Image("raw", content.compression, stored, stored, file_size)


def _size_in_sight(read_size: t.Callable[[str, Content], int], path: str, content: Content) -> int | None:
    try:
        return read_size(path, content)
    except OutOfSight:
        return None


def _field(content: Content, offset: int, form: str) -> t.Any:
    """One value of the image's header, by `struct`'s form."""
    data = content.at(offset, struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise EOFError(f"its header ends before byte {offset + struct.calcsize(form)}")
    (value,) = struct.unpack(form, data)
    return value


def _qcow2_size(path: str, content: Content) -> int:
    version = _field(content, 4, ">I")
    if version not in (2, 3):
        raise CdiError(f"{path} is a qcow of version {version}, which CDI does not take; convert it with: qemu-img convert -O qcow2.")
    if _field(content, 8, ">Q"):
        raise CdiError(f"{path} needs a backing file, and CDI takes no such image; make it whole with: qemu-img convert -O qcow2.")
    if _field(content, 32, ">I"):
        raise CdiError(f"{path} is encrypted, and CDI cannot convert it; decrypt it first.")
    if version == 3 and _field(content, 72, ">Q") & 4:
        raise CdiError(f"{path} keeps its data in an external file, and CDI takes no such image; make it whole with: qemu-img convert -O qcow2.")
    return int(_field(content, 24, ">Q"))


def _vmdk_size(path: str, content: Content) -> int:
    offset, length = _field(content, 28, "<Q"), _field(content, 36, "<Q")
    descriptor = content.at(offset * _SECTOR, min(length * _SECTOR, PREFIX_BYTES)) if offset else b""
    parent = re.search(rb"parentcid\s*=\s*(\w+)", descriptor.lower())
    if parent and parent.group(1) != b"ffffffff":
        raise CdiError(f"{path} is a vmdk that needs its parent; make it whole with: qemu-img convert -O qcow2.")
    return int(_field(content, 12, "<Q")) * _SECTOR


def _vdi_size(path: str, content: Content) -> int:
    if _field(content, 0x4C, "<I") not in (1, 2):
        raise CdiError(f"{path} is a differencing vdi that needs its parent; make it whole with: qemu-img convert -O qcow2.")
    return -(-int(_field(content, 0x170, "<Q")) // _SECTOR) * _SECTOR


def _vhd_size(path: str, content: Content, footer: int = 0) -> int:
    if _field(content, footer + 60, ">I") not in (2, 3):
        raise CdiError(f"{path} is a differencing vhd that needs its parent; make it whole with: qemu-img convert -O qcow2.")
    cylinders, heads, sectors = (_field(content, footer + offset, form) for offset, form in ((56, ">H"), (58, ">B"), (59, ">B")))
    geometry = cylinders * heads * sectors
    if content.at(footer + 28, 4) in _VHD_CHS_CREATORS and geometry != _VHD_LARGEST_GEOMETRY:
        return int(geometry) * _SECTOR
    return int(_field(content, footer + 48, ">Q")) // _SECTOR * _SECTOR


def _vhdx_size(path: str, content: Content) -> int:
    """The region table leads to the metadata region, whose table leads to the items (MS-VHDX 2.2.3, 2.6)."""
    table = 192 * 1024
    regions = {
        content.at(entry, 16): _field(content, entry + 16, "<Q") for entry in _entries(table + 16, _field(content, table + 8, "<I"))
    }
    start = regions.get(_VHDX_METADATA_REGION)
    if start is None or content.at(start, 8) != b"metadata":
        raise EOFError("its metadata region is missing")
    items = {
        content.at(entry, 16): start + _field(content, entry + 16, "<I") for entry in _entries(start + 32, _field(content, start + 10, "<H"))
    }
    if _VHDX_VIRTUAL_DISK_SIZE not in items or _VHDX_FILE_PARAMETERS not in items:
        raise EOFError("its metadata have no size")
    if _field(content, items[_VHDX_FILE_PARAMETERS] + 4, "<I") & 2:
        raise CdiError(f"{path} is a differencing vhdx that needs its parent; make it whole with: qemu-img convert -O qcow2.")
    return int(_field(content, items[_VHDX_VIRTUAL_DISK_SIZE], "<Q"))


def _entries(first: int, count: int) -> range:
    """Where the entries of one of the two tables begin; there are at most 2047."""
    return range(first, first + 32 * min(count, 2047), 32)


_FORMATS: dict[str, tuple[int, bytes, t.Callable[[str, Content], int]]] = {
    "qcow2": (0, b"QFI\xfb", _qcow2_size),
    "vmdk": (0, b"KDMV", _vmdk_size),
    "vdi": (0x40, b"\x7f\x10\xda\xbe", _vdi_size),
    "vhd": (0, b"conectix", _vhd_size),
    "vhdx": (0, b"vhdxfile", _vhdx_size),
}


def _archive_size(path: str, content: Content) -> int | None:
    """The room that the members take in a file system, with headroom for the file system's own. Reads a compressed archive once."""
    if content.compression == "zst":
        return None  # Which is read too slowly here, at 1.5 MiB/s.
    taken = 0
    try:
        # tarfile itself would end with the first of several streams.
        with tarfile.open(fileobj=content.file(), mode="r|" if content.compression else "r:") as archive:
            for member in archive:
                taken += -(-(member.size if member.isreg() else 0) // _BLOCK_BYTES) * _BLOCK_BYTES + _INODE_SHARE_BYTES
                # tarfile remembers all members, and an archive may have millions.
                archive.members = []  # type: ignore[attr-defined]
    except (tarfile.TarError, ValueError, OverflowError, MemoryError) as exc:
        raise CdiError(f"{path} is no whole tar archive: {str(exc) or 'a header is damaged'}; make it anew.") from exc
    return taken + taken // 10 + _ARCHIVE_HEADROOM_BYTES
