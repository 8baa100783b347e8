# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspects a tar archive: the space for its members, entries that CDI cannot unpack, and a disk image inside it."""

from __future__ import annotations

import re
import shlex
import tarfile
import typing as t

from .._kubernetes.errors import CdiError
from .._kubernetes.quantity import MIB
from .compression import Content, TooLarge
from .kinds import renamed

# The space of a file: whole blocks, and a share of an inode. The headroom is for the file system, by the defaults of
# ext4.
_BLOCK_BYTES = 4096
_INODE_SHARE_BYTES = 16384
_HEADROOM_BYTES = 16 * MIB
# For entries that tar cannot create as the user of CDI's importer (UnArchiveTar in pkg/util/util.go, v1.65.0).
_REPACK = (
    "recreate it without the entry: mkdir files && tar -xf {path} -C files --exclude=lost+found && "
    "find files -mindepth 1 -maxdepth 1 -printf '%P\\0' | tar -C files --null -T - -cf {new}"
)


class Archive(t.NamedTuple):
    """`size`: the space in bytes, None if unknown. `wraps`: the kind of machine image, with the remedy, else empty."""

    size: int | None
    wraps: str


def is_tar(head: bytes) -> bool:
    """Whether a file begins with the header of a tar archive, also of the old format without a magic number."""
    header = head[:512]
    if len(header) < 512 or not header[0]:
        return False
    if header[257:262] == b"ustar":
        return True
    try:
        found = int(header[148:156].strip(b" \0"), 8)
        int(header[124:136].strip(b" \0") or b"0", 8)
    except ValueError:
        return False
    return found == sum(header[:148]) + 8 * 0x20 + sum(header[156:])


def inspected(path: str, content: Content) -> Archive:
    """Reads a compressed archive once. Raises CdiError if it is damaged, or if CDI cannot unpack it."""
    taken, names, obstacle = 0, _Names(), ""
    try:
        # tarfile itself would stop after the first of several streams.
        with tarfile.open(fileobj=content.file(), mode="r|" if content.compression else "r:") as archive:
            for member in archive:
                taken += -(-(member.size if member.isreg() else 0) // _BLOCK_BYTES) * _BLOCK_BYTES + _INODE_SHARE_BYTES
                obstacle = obstacle or _obstacle(member)
                names.add(member.name)
                # tarfile keeps all members, and an archive can have millions.
                vars(archive)["members"] = []
    except TooLarge:
        return Archive(None, "")
    except (tarfile.TarError, ValueError, OverflowError, MemoryError) as exc:
        raise CdiError(
            f"{path} is not a complete tar archive: {str(exc) or 'a header is damaged'}; create it again."
        ) from exc
    wraps = names.wraps(path)
    if obstacle and not wraps:
        remedy = _REPACK.format(path=shlex.quote(path), new=shlex.quote(renamed(path, ".tar")))
        raise CdiError(f"{path} has {obstacle}, which CDI cannot unpack; {remedy}.")
    return Archive(taken + taken // 10 + _HEADROOM_BYTES, wraps)


def _obstacle(member: tarfile.TarInfo) -> str:
    if member.isdir() and member.name.rstrip("/") in (".", ""):
        return "an entry for its top directory (./)"
    if member.name.removeprefix("./").rstrip("/").split("/")[0] == "lost+found":
        return "the entry lost+found"
    return ""


class _Names:
    """Recognizes machine images by the names of their members."""

    _WRAPPED = (
        ("an OVA", re.compile(r".*\.ovf$"), re.compile(r".*\.(vmdk|vdi|vhdx?|img|qcow2)(\.gz)?$")),
        ("a Vagrant box", re.compile(r"(Vagrantfile|metadata\.json)$"), re.compile(r"box.*\.(img|vmdk|vdi|qcow2)$")),
        ("an XVA of XenServer", re.compile(r"ova\.xml$"), None),
        ("a container image", re.compile(r"(oci-layout|manifest\.json)$"), None),
    )
    _REMEDIES: t.ClassVar[dict[str, str]] = {
        "an XVA of XenServer": "export the disk as vhd, and upload that",
        "a container image": "push it to a registry and import it by module data_volume with source.registry",
    }

    def __init__(self) -> None:
        self._marks: set[str] = set()
        self._disks: dict[str, str] = {}
        self._layers = False

    def add(self, name: str) -> None:
        plain = name.removeprefix("./")
        self._layers = self._layers or bool(
            re.fullmatch(r"[0-9a-f]{64}(/layer\.tar|\.json|\.tar)|blobs/sha256/.*", plain)
        )
        for what, mark, disk in self._WRAPPED:
            if mark.match(plain):
                self._marks.add(what)
            if disk and disk.match(plain):
                self._disks.setdefault(what, name)

    def wraps(self, path: str) -> str:
        for what, _mark, disk in self._WRAPPED:
            if (
                what not in self._marks
                or (disk and what not in self._disks)
                or (what == "a container image" and not self._layers)
            ):
                continue
            if not disk:
                return f"{what}; {self._REMEDIES[what]}"
            name = self._disks[what]
            command = f"tar -xf {shlex.quote(path)} {shlex.quote(name)}"
            return f"{what} with the disk {name}; unpack that with: {command}, and set it as path"
        return ""
