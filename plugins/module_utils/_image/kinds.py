# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognizes files that are certainly not a disk, or a disk that CDI does not convert, with the remedy for each.

CDI stores any file that it does not recognize as a raw disk, and reports success.
"""

from __future__ import annotations

import codecs
import re
import shlex
import typing as t

_END_BYTES = 512
_SECTOR = 512


class Kind(t.NamedTuple):
    """The kind of a file, and the remedy with {path}, the file, and {raw} and {qcow2}, images to create from it."""

    name: str
    remedy: str
    # QEMU recognizes it, so that CDI also refuses it as a raw disk.
    refused_by_cdi: bool = False

    def remedy_for(self, path: str) -> str:
        """The remedy for the file at `path`."""
        return self.remedy.format(
            path=shlex.quote(path), raw=shlex.quote(renamed(path, ".img")), qcow2=shlex.quote(renamed(path, ".qcow2"))
        )


def renamed(path: str, suffix: str) -> str:
    """The path of a file that is created from this one, never the same path."""
    folder, slash, name = path.rpartition("/")
    stem = name.rpartition(".")[0] or name
    made = stem + suffix
    return folder + slash + (f"{stem}-new{suffix}" if made == name else made)


def unpack_command(compression: str, path: str) -> str:
    """The command that decompresses a file, for the compressions that CDI supports."""
    return f"{_TOOLS[compression]} -dc {shlex.quote(path)} > {shlex.quote(unpacked_name(path))}"


def unpacked_name(path: str) -> str:
    """`disk.img` for `disk.img.gz`."""
    stem = re.sub(r"\.(gz|xz|zst|bz2|lz4|lzma|lz|lzo|z)$", "", path, flags=re.IGNORECASE)
    return stem if stem != path else f"{path}.img"


_TOOLS = {"gz": "gzip", "xz": "xz", "zst": "zstd"}
_CONVERT = "convert it with: qemu-img convert -O qcow2 {path} {qcow2}"
_ARCHIVE = "unpack it with: {tool} {{path}}; then upload the disk image that is inside"
_NO_IMAGE = "use the disk image itself"


def _archive(name: str, tool: str) -> Kind:
    return Kind(name, _ARCHIVE.format(tool=tool))


def _packed(name: str, tool: str) -> Kind:
    return Kind(f"compressed with {name}, which CDI does not unpack", f"unpack it with: {tool} {{path}} > {{raw}}")


def _convertible(name: str, command: str = _CONVERT) -> Kind:
    return Kind(f"{name}, which CDI does not convert", command, refused_by_cdi=True)


def _document(name: str) -> Kind:
    return Kind(name, _NO_IMAGE)


# CDI decompresses these once.
TWICE = {"gz": b"\x1f\x8b\x08", "xz": b"\xfd7zXZ\0", "zst": b"\x28\xb5\x2f\xfd"}
_LUKS = (
    "decrypt it with: qemu-img convert --object secret,id=key,file=PASSPHRASE_FILE --image-opts "
    "driver=luks,file.filename={path},key-secret=key "
    "-O qcow2 {qcow2}; a machine can unlock a LUKS partition of a partitioned disk by itself"
)
_DELTA = "convert it, with its parents beside it, with: qemu-img convert -O qcow2 {path} {qcow2}"
# Offset, bytes, kind. `_SHORT` has those that are so short that a boot sector can begin with them.
_MAGICS: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"PK\x03\x04", _archive("a zip archive", "unzip")),
    (0, b"PK\x05\x06", _archive("an empty zip archive", "unzip")),
    (0, b"PK\x07\x08", _archive("a part of a split zip archive", "7z x")),
    (0, b"7z\xbc\xaf\x27\x1c", _archive("a 7z archive", "7z x")),
    (0, b"Rar!\x1a\x07", _archive("a rar archive", "unrar x")),
    (0, b"MSCF\0\0\0\0", _archive("a cabinet archive", "cabextract")),
    (0, b"!<arch>\n", _archive("an ar archive or a Debian package", "ar x")),
    (0, b"070701", _archive("a cpio archive", "cpio -idF")),
    (0, b"070702", _archive("a cpio archive", "cpio -idF")),
    (0, b"070707", _archive("a cpio archive", "cpio -idF")),
    (0, b"xar!\0\x1c", _archive("a xar archive", "xar -xf")),
    (0, b"MSWIM\0\0\0", _archive("a Windows imaging file (WIM)", "7z x")),
    (0, b"WLPWM\0\0\0", _archive("a Windows imaging file (WIM)", "7z x")),
    (7, b"**ACE**", _archive("an ACE archive", "unace x")),
    (2, b"-lh5-", _archive("an LHA archive", "lha x")),
    (0, b"\xed\xab\xee\xdb", _archive("an RPM package", "rpm2archive")),
    (0, b"ZPAQ", _archive("a zpaq archive", "zpaq x")),
    (0, b"7kSt", _archive("a zpaq archive", "zpaq x")),
    (0, b"partclone-image", Kind("a Partclone image", "restore it with: partclone.restore -C -s {path} -O {raw}")),
    (0, b"d8:announce", Kind("a torrent file", "download the file that it names, and upload that file")),
    (0, b"Cr24", _document("a browser extension")),
    (0, b"BZh", _packed("bzip2", "bzip2 -dc")),
    (0, b"\x04\x22\x4d\x18", _packed("lz4", "lz4 -dc")),
    (0, b"\x02\x21\x4c\x18", _packed("lz4 (legacy)", "lz4 -dc")),
    (0, b"LZIP", _packed("lzip", "lzip -dc")),
    (0, b"\x89LZO\0\r\n\x1a\n", _packed("lzop", "lzop -dc")),
    (0, b"LRZI", _packed("lrzip", "lrzip -dqo -")),
    (0, b"\xff\x06\0\0sNaPpY", _packed("snappy", "snzip -dc")),
    *(
        (0, bytes([0x22 + number, 0xB5, 0x2F, 0xFD]), _packed("an old release of zstd", "zstd -dc"))
        for number in range(6)
    ),
    (
        0,
        b"bvx",
        Kind("compressed with lzfse, which CDI does not unpack", "unpack it with: lzfse -decode -i {path} -o {raw}"),
    ),
    (0, b"\x3a\xff\x26\xed", Kind("an Android sparse image", "unpack it with: simg2img {path} {raw}")),
    (0, b"LUKS\xba\xbe", Kind("encrypted with LUKS, which CDI does not decrypt", _LUKS, refused_by_cdi=True)),
    (0, b"WithoutFreeSpace", _convertible("a Parallels disk")),
    (0, b"WithouFreSpacExt", _convertible("a Parallels disk")),
    (0, b"QED\0", _convertible("a QED image")),
    (
        0,
        b"COWD",
        _convertible(
            "a sparse extent of ESX (COWD)", "convert it with: qemu-img convert -f vmdk -O qcow2 {path} {qcow2}"
        ),
    ),
    (
        0,
        b"\xbe\xba\xfe\xca\0\0\0\0",
        _convertible("a sparse extent of vSphere (SESPARSE)", _DELTA.replace("{path}", "DESCRIPTOR.vmdk")),
    ),
    (0, b"Bochs Virtual HD Image", _convertible("a Bochs disk")),
    (0, b"OOOM", Kind("a User Mode Linux COW file", "merge it into its backing file with: uml_moo {path} {raw}")),
    (
        0,
        b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop",
        _convertible("a cloop image", "convert it with: qemu-img convert -f cloop -O qcow2 {path} {qcow2}"),
    ),
    (0, b"EVF\x09\x0d\x0a\xff\0", Kind("an EnCase image", "convert it with: ewfexport -t - {path} > {raw}")),
    (0, b"EVF2\r\n\x81\0", Kind("an EnCase image", "convert it with: ewfexport -t - {path} > {raw}")),
    (0, b"\xce\x24\xb9\xa2", Kind("an Acronis backup", "restore it with the program that created it")),
    (0, b"\x00" + b"\xff" * 10 + b"\0", Kind("a raw CD image (bin)", "convert it with: bchunk {path} CUE_FILE {raw}")),
    (
        0,
        b"sprs",
        Kind("an Apple sparse image", "convert it on a Mac with: hdiutil convert {path} -format UDTO -o {raw}"),
    ),
    (
        0,
        b"encrcdsa",
        Kind("an encrypted Apple disk image", "convert it on a Mac with: hdiutil convert {path} -format UDTO -o {raw}"),
    ),
    (
        8,
        b"\xac\xcb\xba\xf5\x02\0\0\0",
        Kind("a ZFS send stream", "receive it into a volume, and upload a copy of that volume"),
    ),
    (0, b"btrfs-stream\0", Kind("a Btrfs send stream", "receive it into a file system, and upload a copy of its disk")),
    (0, b"%PDF-", _document("a PDF document")),
    (0, b"{\\rtf", _document("a Rich Text document")),
    (0, b"%!PS", _document("a PostScript document")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _document("a Microsoft Office document or installer")),
    (0, b"SQLite format 3\0", _document("an SQLite database")),
    (0, b"GIF8", _document("a GIF picture")),
    (0, b"\x89PNG\r\n\x1a\n", _document("a PNG picture")),
    (0, b"\xff\xd8\xff", _document("a JPEG picture")),
    (8, b"WEBPVP8", _document("a WebP picture")),
    (0, b"II*\0", _document("a TIFF picture")),
    (0, b"MM\0*", _document("a TIFF picture")),
    (4, b"ftyp", _document("an MP4 video")),
    (0, b"\x1a\x45\xdf\xa3", _document("a Matroska video")),
    (0, b"OggS", _document("an Ogg file")),
    (0, b"fLaC", _document("a FLAC file")),
    (0, b"ID3", _document("an MP3 file")),
    (8, b"WAVEfmt ", _document("a WAV file")),
    (8, b"AVI LIST", _document("an AVI video")),
    (0, b"\x7fELF", _document("an ELF executable or core dump")),
    (0, b"\xca\xfe\xba\xbe", _document("a Java class or a Mach-O executable")),
    (0, b"\xcf\xfa\xed\xfe", _document("a Mach-O executable")),
    (0, b"\0asm", _document("a WebAssembly module")),
    (0x202, b"HdrS", _document("a Linux kernel")),
    (0, b"\x27\x05\x19\x56", _document("a U-Boot image")),
    (0, b"\xd0\x0d\xfe\xed", _document("a device tree or U-Boot image")),
    (0, b"PACK\0\0\0", _document("a Git pack")),
    (
        0,
        b"Salted__",
        Kind(
            "encrypted with openssl",
            "decrypt it with: openssl enc -d -in {path} -out {raw} and the cipher that encrypted it",
        ),
    ),
    (0, b"age-encryption.org/", Kind("encrypted with age", "decrypt it with: age -d -o {raw} {path}")),
    (
        0,
        b"-----BEGIN PGP",
        Kind(
            "a PGP message or signature",
            "decrypt it with: gpg -o {raw} -d {path}; of a detached signature give the signed file",
        ),
    ),
)
# Only for files without partitions.
_SHORT: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x1f\x9d", _packed("compress", "gzip -dc")),
    (0, b"\x1f\xa0", _packed("compress (SCO)", "gzip -dc")),
    (0, b"\x1f\x1e", _packed("pack", "gzip -dc")),
    (0, b"\xc7\x71", _archive("a cpio archive", "cpio -idF")),
    (0, b"\x71\xc7", _archive("a cpio archive", "cpio -idF")),
    (0, b"\x60\xea", _archive("an ARJ archive", "arj x")),
    (0, b"#!", _document("a script")),
)
_LFS = "fetch the file that it stands for with: git lfs pull"
_WEB_PAGE = Kind(
    "a web page (HTML), perhaps an error page of the server that it was downloaded from",
    "open it, and download the image again",
)
_VMDK_DESCRIPTOR = Kind(
    "only the descriptor of a vmdk, without its data",
    "make one file of it, with its extents beside it, with: qemu-img convert -f vmdk -O qcow2 {path} {qcow2}",
)
# By the beginning of a text in lower case; an empty pattern matches any text.
_TEXTS: tuple[tuple[str, Kind], ...] = (
    (r"<!doctype html|<html|<head|<body|<!--.*<html", _WEB_PAGE),
    (r"version https://git-lfs", Kind("a Git LFS pointer", _LFS)),
    (r"<\?xml|<!doctype", Kind("an XML document", _NO_IMAGE + "; an .ovf or .xml only describes one")),
    (r"[\[{]", Kind("a JSON document", _NO_IMAGE)),
    (r"#!", Kind("a script", _NO_IMAGE)),
    (r"[0-9a-f]{32,128}\s", Kind("a list of checksums", _NO_IMAGE)),
    (r"", Kind("a text file", _NO_IMAGE)),
)
_BLANK = Kind("an empty text file", _NO_IMAGE)
_DMG = Kind(
    "an Apple disk image (dmg), which CDI does not convert",
    "convert it with: qemu-img convert -f dmg -O qcow2 {path} {qcow2}",
)


def kind_of(head: bytes, end: bytes | None) -> Kind | None:
    """The kind of a file that is certainly not an image for CDI, None for a possible raw disk.

    `head`: its first bytes, 64 KiB at most; `end`: its last 512, if they are known.
    """
    found = _by_magic(head, _MAGICS) or _text(head) or (None if _has_partitions(head) else _by_magic(head, _SHORT))
    if found:
        return found
    if end is not None and end[-_END_BYTES:][:4] == b"koly":
        return _DMG
    if _is_lzma(head):
        return _packed("lzma", "xz --format=lzma -dc")
    if _is_windows_program(head):
        return _document("a Windows program")
    return None


def _by_magic(head: bytes, magics: tuple[tuple[int, bytes, Kind], ...]) -> Kind | None:
    return next((kind for offset, magic, kind in magics if head[offset : offset + len(magic)] == magic), None)


def _has_partitions(head: bytes) -> bool:
    """Whether a file begins like a partitioned or bootable disk."""
    return head[510:512] == b"\x55\xaa" or head[_SECTOR : _SECTOR + 8] == b"EFI PART" or head[32769:32774] == b"CD001"


def _text(head: bytes) -> Kind | None:
    """The kind of a text. No disk begins with 64 KiB of text, and none is that small."""
    text = _decoded(head)
    if not text or re.search(r"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]", text):
        return None
    begin = text.lstrip().lower()
    if not begin:
        return _BLANK
    if "createtype" in begin[:4096] and re.search(r"^\s*cid\s*=", begin, re.MULTILINE):
        return _VMDK_DESCRIPTOR
    return next(kind for pattern, kind in _TEXTS if re.match(pattern, begin, re.DOTALL))


def _decoded(head: bytes) -> str | None:
    """The text in UTF-8 or, with a byte order mark, UTF-16; in Latin-1 if most bytes are ASCII."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        ascii_bytes = sum(0x09 <= byte < 0x7F for byte in head)
        return head.decode("latin-1") if ascii_bytes * 10 > len(head) * 7 else None


def _is_lzma(head: bytes) -> bool:
    """Whether a file begins with a header of LZMA alone: usual properties, a round dictionary size, and a size."""
    if head[:1] != b"\x5d" or len(head) < 14 or head[13] != 0:
        return False
    dictionary, size = int.from_bytes(head[1:5], "little"), head[5:13]
    is_round = dictionary == 0xFFFFFFFF or any(dictionary in (1 << bits, 3 << bits - 1) for bits in range(12, 31))
    return is_round and (size == b"\xff" * 8 or int.from_bytes(size, "little") < 1 << 46)


def _is_windows_program(head: bytes) -> bool:
    at = int.from_bytes(head[60:64], "little")
    return head[:2] == b"MZ" and head[at : at + 4] == b"PE\0\0" and not _has_partitions(head)
