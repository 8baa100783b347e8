# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format of a disk image or archive, the size of its disk, and whether it is complete and CDI can convert it.

The content determines the format, as in CDI (pkg/image/filefmt.go, v1.65.0); names do not count.
"""

from __future__ import annotations

import io
import re
import shlex
import struct
import typing as t
import uuid

from .._kubernetes.errors import CdiError
from .._kubernetes.quantity import MIB
from . import tables
from . import zstd as _zstd
from .archive import inspected, is_tar
from .compression import PREFIX_BYTES, Content, OutOfSight, Update, content_of, ignore
from .file import open_source, size_of
from .kinds import TWICE, kind_of, renamed, unpack_command, unpacked_name
from .tables import field

# CDI reads as much to detect a format, and rejects a shorter file (pkg/image/filefmt.go, v1.65.0).
_SMALLEST_BYTES = 512
_SECTOR = 512
_VHDX_METADATA_REGION = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_VHDX_VIRTUAL_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_VHDX_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_VHDX_LOGICAL_SECTOR = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le
# Creators of VHDs whose size is that of the geometry (QEMU 10.0, block/vpc.c). Older releases use the geometry also for
# unknown creators, which gives a smaller size.
_VHD_CHS_CREATORS = (b"vpc ", b"qemu")
_VHD_LARGEST_GEOMETRY = 65535 * 16 * 255
# Incompatible features of a qcow2 that QEMU converts: dirty, compression type, extended entries.
_QCOW2_KNOWN, _QCOW2_CORRUPT, _QCOW2_EXTERNAL = 1 | 8 | 16, 2, 4


class Image(t.NamedTuple):
    """A file to upload. Sizes are bytes; `virtual_size` and `stored_size` are None if the whole file must be read.

    `format` is raw, iso, qcow2, vmdk, vdi, vhd, vhdx or tar, and None when this Python cannot decompress the file;
    `compression` is gz, xz, zst or None. `virtual_size` is the size of the disk, for tar the space for its
    members; `stored_size` is the size without compression. `tail` bytes at the end follow the compressed data and
    must not be sent; `wraps` says which machine image a tar archive is, with a remedy, else it is empty.
    """

    format: str | None
    compression: str | None
    virtual_size: int | None
    stored_size: int | None
    file_size: int
    tail: int = 0
    wraps: str = ""

    @property
    def needed_size(self) -> int | None:
        """The size of the disk to request, in whole MiB.

        A converted image must also fit into the scratch space, which is as large as the disk.
        """
        if self.virtual_size is None:
            return None
        size = max(self.virtual_size, self.stored_size or 0)
        return max(-(-size // MIB), 1) * MIB

    @property
    def sent_size(self) -> int:
        """How many bytes of the file are sent."""
        return self.file_size - self.tail


def inspect(
    path: str,
    update: Update | None = None,
    feed: Update = ignore,
    *,
    insist: bool = False,
    read: t.Callable[[io.FileIO, int], Content] = content_of,
) -> Image:
    """The format and the sizes of a file.

    With `update`, a compressed file is read and decompressed to its end. Each piece of the file is passed to `update`,
    and each piece of a raw disk in it to `feed`. `insist`: the content is a raw disk, whatever it looks like. `read`
    gives the content. Raises CdiError for a file that CDI does not accept, OSError for one that cannot be read.
    """
    with open_source(path) as file:
        file_size = size_of(file.fileno())
        try:
            content = read(file, file_size)
            return inspect_content(path, content, file_size, update, feed, insist=insist)
        except (EOFError, struct.error) as exc:
            raise CdiError(f"{path} is truncated or damaged: {exc}; use a complete image.") from exc


def inspect_content(
    path: str,
    content: Content,
    file_size: int,
    update: Update | None = None,
    feed: Update = ignore,
    *,
    insist: bool = False,
) -> Image:
    """As `inspect`, for content. Raises EOFError and struct.error for a damaged file."""
    obstacle = content.obstacle()
    if obstacle:
        packed = content.compression or ""
        raise CdiError(
            f"{path} {obstacle}; compress it again with: "
            f"{_REPACK[packed].format(path=shlex.quote(path), new=shlex.quote(renamed(path, '.' + packed)))}."
        )
    if not content.is_readable:
        if update:
            content.scan(update, feed)
        disk = content.size(exact=False) if insist else None
        return Image("raw" if insist else None, content.compression, disk, disk, file_size, content.tail)
    head = content.at(0, PREFIX_BYTES)
    if _zstd.is_skippable(head[:4]):
        raise CdiError(
            f"{path} begins with a skippable zstd frame, as pzstd writes it, which CDI would store compressed; "
            "compress it with zstd instead."
        )
    if len(head) < _SMALLEST_BYTES:
        kind = kind_of(head, None)
        looks, remedy = (f" ({kind.name})", kind.remedy_for(path)) if kind else ("", "use a complete image")
        raise CdiError(
            f"{path} holds {len(head)} bytes{looks}, and CDI accepts no image below {_SMALLEST_BYTES}; {remedy}."
        )
    _refuse_kinds(path, content, head, insist)
    name = next((name for name, form in _FORMATS.items() if form.matches(head)), None)
    is_archive = not name and is_tar(head) and not insist
    if update and content.compression:
        content.scan(update, ignore if name or is_archive else feed)
        _refuse_kinds(path, content, head, insist)  # Some kinds are recognized by the end.

    def image(form: str, disk: int | None, stored: int | None, wraps: str = "") -> Image:
        return Image(form, content.compression, disk, stored, file_size, content.tail, wraps)

    if name:
        if insist:
            raise CdiError(f"{path} is {name}, which CDI converts in any case; leave out format=raw.")
        return image(name, _in_sight(_FORMATS[name], path, content), content.size(exact=False))
    if is_archive:
        archive = inspected(path, content)
        return image("tar", archive.size, None, archive.wraps)
    stored = content.size(exact=True)
    if insist:
        return image("raw", stored, stored)
    if head[32769:32774] == b"CD001":
        _refuse_cut(path, stored, tables.iso_end(content), "its volume ends at")
        return image("iso", stored, stored)
    if content.compression is None and stored and content.at(stored - _SECTOR, 8) == b"conectix":
        # CDI does not recognize a VHD without a header at its start, and stores a raw disk with the footer after it.
        return image("vhd", _vhd_size(path, content, stored - _SECTOR), stored)
    _refuse_cut(path, stored, tables.gpt_end(content), "its partition table ends at")
    return image("raw", stored, stored)


_REPACK = {"xz": "xz -dc {path} | xz > {new}", "zst": "zstd --long=31 -dc {path} | zstd > {new}"}


def _refuse_kinds(path: str, content: Content, head: bytes, insist: bool) -> None:
    """Refuse files that are certainly not images for CDI; with `insist`, only those that CDI itself refuses."""
    unpack, inner = "", path
    if content.compression:
        unpack, inner = unpack_command(content.compression, path), unpacked_name(path)
        for compression, magic in TWICE.items():
            if not insist and head[: len(magic)] == magic:
                raise CdiError(
                    f"{path} is compressed twice ({compression} in {content.compression}), and CDI decompresses once; "
                    f"decompress the outer layer with: {unpack}, and set {inner} as path."
                )
    kind = kind_of(head, content.end())
    if kind and (kind.refused_by_cdi or not insist):
        first = f"decompress it with: {unpack}; then " if unpack else ""
        what = f"its content ({content.compression})" if content.compression else "it"
        raw = "" if kind.refused_by_cdi else " If these bytes are the disk, set format=raw."
        raise CdiError(
            f"{path} is not a disk image that CDI accepts: {what} is {kind.name}; {first}{kind.remedy_for(inner)}.{raw}"
        )


def _refuse_cut(path: str, size: int | None, end: int, what: str) -> None:
    if size is not None and end > size:
        raise CdiError(f"{path} is truncated: {what} byte {end}, and it has {size}; copy or download it again.")


def _in_sight(form: _Format, path: str, content: Content) -> int | None:
    """The size of the disk. Refuses a truncated image, as far as its tables can be read."""
    try:
        disk = form.read_size(path, content)
    except OutOfSight:
        return None
    try:
        _refuse_cut(path, content.size(exact=False), form.end(content), "its tables point to")
    except OutOfSight:
        """The tables are far inside a compressed image."""
    return disk


def _made_whole(path: str, *options: str) -> str:
    command = ("qemu-img", "convert", *options, "-O", "qcow2", shlex.quote(path), shlex.quote(renamed(path, ".qcow2")))
    return f"with: {' '.join(command)}"


def _qcow2_size(path: str, content: Content) -> int:
    version = field(content, 4, ">I")
    if version not in (2, 3):
        raise CdiError(
            f"{path} is a qcow of version {version}, which CDI does not accept; convert it {_made_whole(path)}."
        )
    if field(content, 8, ">Q"):
        raise CdiError(
            f"{path} needs a backing file, and CDI accepts no such image; make it self-contained, with its backing "
            "file beside "
            f"it, {_made_whole(path)}."
        )
    if field(content, 32, ">I"):
        image = f"driver=qcow2,file.filename={shlex.quote(path)},encrypt.key-secret=key"
        source = f"--object secret,id=key,file=PASSPHRASE_FILE --image-opts {image}"
        command = f"qemu-img convert {source} -O qcow2 {shlex.quote(renamed(path, '.qcow2'))}"
        raise CdiError(f"{path} is encrypted, and CDI cannot convert it; decrypt it with: {command}.")
    features = field(content, 72, ">Q") if version == 3 else 0
    if features & _QCOW2_EXTERNAL:
        raise CdiError(
            f"{path} keeps its data in an external file, and CDI accepts no such image; make it self-contained, with "
            "that file "
            f"beside it, {_made_whole(path)}."
        )
    if features & _QCOW2_CORRUPT:
        raise CdiError(
            f"{path} is marked as corrupt, and CDI accepts no such image; repair it with: qemu-img check -r all "
            f"{shlex.quote(path)}."
        )
    if features & ~_QCOW2_KNOWN or (features & 8 and field(content, 104, ">B") > 1):
        how = _made_whole(path, "-o", "compat=1.1")
        raise CdiError(
            f"{path} has features that CDI's QEMU does not know (0x{features:x}); with the QEMU that made it, "
            f"convert it {how}."
        )
    return int(field(content, 24, ">Q"))


def _vmdk_size(path: str, content: Content) -> int:
    if field(content, 4, "<I") not in (1, 2, 3):
        raise CdiError(
            f"{path} is a vmdk of version {field(content, 4, '<I')}, which CDI does not accept; convert it "
            f"{_made_whole(path)}."
        )
    offset, length = field(content, 28, "<Q"), field(content, 36, "<Q")
    descriptor = content.at(offset * _SECTOR, min(length * _SECTOR, PREFIX_BYTES)) if offset else b""
    if b"createtype" not in descriptor.lower():
        made = shlex.quote(renamed(path, ".qcow2"))
        raise CdiError(
            f"{path} is an extent of a split vmdk; make one file of all with: qemu-img convert -f vmdk -O qcow2 "
            f"DESCRIPTOR.vmdk {made}."
        )
    parent = re.search(rb"parentcid\s*=\s*(\w+)", descriptor.lower())
    if parent and parent.group(1) != b"ffffffff":
        raise CdiError(
            f"{path} is a vmdk that needs its parent; make it self-contained, with its parent beside it, "
            f"{_made_whole(path)}."
        )
    return int(field(content, 12, "<Q")) * _SECTOR


def _vdi_size(path: str, content: Content) -> int:
    if field(content, 0x4C, "<I") not in (1, 2):
        command = f"VBoxManage clonemedium {shlex.quote(path)} {shlex.quote(renamed(path, '.vdi'))}"
        raise CdiError(f"{path} is a differencing vdi that needs its parent; make it whole with: {command}.")
    return -(-int(field(content, 0x170, "<Q")) // _SECTOR) * _SECTOR


def _vhd_size(path: str, content: Content, footer: int = 0) -> int:
    if field(content, footer + 60, ">I") not in (2, 3):
        raise CdiError(
            f"{path} is a differencing vhd that needs its parent; merge it into its parent with: Merge-VHD "
            "(Hyper-V), and give that."
        )
    cylinders, heads, sectors = (
        field(content, footer + offset, form) for offset, form in ((56, ">H"), (58, ">B"), (59, ">B"))
    )
    geometry = cylinders * heads * sectors
    if content.at(footer + 28, 4) in _VHD_CHS_CREATORS and geometry != _VHD_LARGEST_GEOMETRY:
        return int(geometry) * _SECTOR
    return int(field(content, footer + 48, ">Q")) // _SECTOR * _SECTOR


class _Vhdx(t.NamedTuple):
    """Where the regions of a VHDX begin, and where the items of its metadata."""

    regions: dict[bytes, int]
    items: dict[bytes, int]

    @classmethod
    def of(cls, content: Content) -> _Vhdx:
        """The region table leads to the metadata region, whose table leads to the items (MS-VHDX 2.2.3, 2.6)."""
        table = 192 * 1024
        regions = {
            content.at(entry, 16): field(content, entry + 16, "<Q")
            for entry in _entries(table + 16, field(content, table + 8, "<I"))
        }
        start = regions.get(_VHDX_METADATA_REGION)
        if start is None or content.at(start, 8) != b"metadata":
            raise EOFError("its metadata region is missing")
        items = {
            content.at(entry, 16): start + field(content, entry + 16, "<I")
            for entry in _entries(start + 32, field(content, start + 10, "<H"))
        }
        if not {_VHDX_VIRTUAL_DISK_SIZE, _VHDX_FILE_PARAMETERS, _VHDX_LOGICAL_SECTOR} <= set(items):
            raise EOFError("its metadata have no size")
        return cls(regions, items)


def _vhdx_size(path: str, content: Content) -> int:
    headers = [
        (field(content, at + 8, "<Q"), content.at(at + 48, 16))
        for at in (64 * 1024, 128 * 1024)
        if content.at(at, 4) == b"head"
    ]
    if not headers:
        raise EOFError("its header is missing")
    vhdx = _Vhdx.of(content)
    if field(content, vhdx.items[_VHDX_FILE_PARAMETERS] + 4, "<I") & 2:
        raise CdiError(
            f"{path} is a differencing vhdx that needs its parent; merge it into its parent with: Merge-VHD "
            "(Hyper-V), and give that."
        )
    if any(max(headers)[1]):
        raise CdiError(
            f"{path} has a log that was not replayed, and CDI accepts no such image; replay it with: qemu-img check -r "
            f"all {shlex.quote(path)}."
        )
    return int(field(content, vhdx.items[_VHDX_VIRTUAL_DISK_SIZE], "<Q"))


def _vhdx_end(content: Content) -> int:
    regions, items = _Vhdx.of(content)
    block, sector = (
        field(content, items[_VHDX_FILE_PARAMETERS], "<I"),
        field(content, items[_VHDX_LOGICAL_SECTOR], "<I"),
    )
    return tables.vhdx_end(content, regions, block, sector, field(content, items[_VHDX_VIRTUAL_DISK_SIZE], "<Q"))


def _entries(first: int, count: int) -> range:
    """Where the entries of one of the two tables begin; there are at most 2047."""
    return range(first, first + 32 * min(count, 2047), 32)


class _Format(t.NamedTuple):
    offset: int
    magic: bytes
    read_size: t.Callable[[str, Content], int]
    end: t.Callable[[Content], int]

    def matches(self, head: bytes) -> bool:
        return head[self.offset : self.offset + len(self.magic)] == self.magic


_FORMATS = {
    "qcow2": _Format(0, b"QFI\xfb", _qcow2_size, tables.qcow2_end),
    "vmdk": _Format(0, b"KDMV", _vmdk_size, tables.vmdk_end),
    "vdi": _Format(0x40, b"\x7f\x10\xda\xbe", _vdi_size, tables.vdi_end),
    "vhd": _Format(0, b"conectix", _vhd_size, tables.vhd_end),
    "vhdx": _Format(0, b"vhdxfile", _vhdx_size, _vhdx_end),
}
