# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are uploaded by mistake, and images that CDI does not convert, are named with a remedy."""

from __future__ import annotations

import lzma
import os
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.image_files import MIB, RAW, TOOLS, luks, pack, run

Make = Callable[[Path], object]


def _by(*command: str) -> Make:
    """The output of a command for a raw disk on its standard input."""
    return lambda path: path.write_bytes(run(*command, data=RAW))


def _is(content: bytes) -> Make:
    return lambda path: path.write_bytes(content.ljust(4096, b"\0"))


def _text(content: str, encoding: str = "utf-8") -> Make:
    return lambda path: path.write_bytes((content * (1 + 3000 // len(content))).encode(encoding))


def _qemu(*arguments: str) -> Make:
    return lambda path: run("qemu-img", "create", *arguments, path, "2M")


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("disk.img", RAW[:200_000])


def _7z(path: Path) -> None:
    (path.parent / "member").write_bytes(RAW[:200_000])
    run("7z", "a", "-bd", f"{path}.7z", path.parent / "member")
    Path(f"{path}.7z").rename(path)


def _cpio(form: str) -> Make:
    def make(path: Path) -> None:
        (path.parent / "member").write_bytes(RAW[:200_000])
        path.write_bytes(run("cpio", "-o", "-H", form, data=b"member\n", cwd=path.parent))

    return make


def _ar(path: Path) -> None:
    (path.parent / "debian-binary").write_bytes(b"2.0\n" * 200)
    run("ar", "q", path, path.parent / "debian-binary")


def _database(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as database:
        database.execute("create table t (a)")


def _git_pack(path: Path) -> None:
    run("git", "init", "-q", path.parent / "repository")
    name = run("git", "hash-object", "-w", "--stdin", data=RAW[:5000], cwd=path.parent / "repository").strip()
    path.write_bytes(run("git", "pack-objects", "--stdout", data=name + b"\n", cwd=path.parent / "repository"))


WEB_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>There is no such file: §</body></html>\n"
)
DESCRIPTOR = 'CID=fffffffe\nparentCID=ffffffff\ncreateType="twoGbMaxExtentSparse"\nRW 4192256 SPARSE "disk-s001.vmdk"\n'
NO_DISK: dict[str, tuple[Make, str]] = {
    "html": (_text(WEB_PAGE), "is a web page .HTML., perhaps an error page.*download the image again"),
    "html-latin-1": (_text(WEB_PAGE, "latin-1"), "is a web page"),
    "html-utf-16": (_text(WEB_PAGE, "utf-16"), "is a web page"),
    "html-upper-and-blank": (_text("\r\n  <HTML><BODY>Bad Gateway</BODY></HTML>"), "is a web page"),
    "xhtml": (_text('<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'), "is an XML document"),
    "json": (_text('{"error": "unauthorized"}'), "is a JSON document"),
    "text": (_text("There is no such file.\n"), "is a text file"),
    "blank": (_text(" \n"), "is an empty text file"),
    "script": (_text("#!/bin/sh\nexit 0\n"), "is a script"),
    "self-extracting": (lambda p: p.write_bytes(b"#!/bin/sh\nexec tail -c+99\n" + RAW[:200_000]), "is a script"),
    "checksums": (_text(f"{'0' * 64}  disk.qcow2\n"), "is a list of checksums"),
    "git-lfs": (
        _text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "Git LFS pointer.*git lfs pull",
    ),
    "pdf": (_is(b"%PDF-1.7\n%\xe2\xe3"), "is a PDF document"),
    "zip": (_zip, "is a zip archive; .*unpack it with: unzip .*then upload the disk image that is inside"),
    "7z": (_7z, "is a 7z archive; .*unpack it with: 7z x "),
    "rar": (_is(b"Rar!\x1a\x07\x01\0"), "is a rar archive; .*unpack it with: unrar x "),
    "cpio": (_cpio("newc"), "is a cpio archive; .*unpack it with: cpio -idF "),
    "cpio-crc": (_cpio("crc"), "is a cpio archive"),
    "cpio-odc": (_cpio("odc"), "is a cpio archive"),
    "cpio-binary": (_cpio("bin"), "is a cpio archive"),
    "deb": (_ar, "is an ar archive or a Debian package"),
    "rpm": (_is(b"\xed\xab\xee\xdb\3\0"), "is an RPM package"),
    "bzip2": (_by("bzip2"), "compressed with bzip2, which CDI does not unpack; .*unpack it with: bzip2 -dc .* > "),
    "lz4": (_by("lz4"), "compressed with lz4, .*lz4 -dc "),
    "lz4-legacy": (_by("lz4", "-l"), "compressed with lz4"),
    "lzma": (_by("xz", "--format=lzma"), "compressed with lzma, .*xz --format=lzma -dc "),
    "lzma-by-python": (
        lambda p: p.write_bytes(lzma.compress(RAW[:200_000], lzma.FORMAT_ALONE)),
        "compressed with lzma",
    ),
    "lzip": (_by("lzip"), "compressed with lzip, .*lzip -dc "),
    "lzop": (_by("lzop"), "compressed with lzop, .*lzop -dc "),
    "compress": (_by("compress", "-c", "-f"), "compressed with compress, .*gzip -dc "),
    "dmg": (lambda p: p.write_bytes(RAW[:200_000] + b"koly".ljust(512, b"\0")), "is an Apple disk image .dmg."),
    "android-sparse": (_is(b"\x3a\xff\x26\xed\1\0\0\0"), "is an Android sparse image; .*unpack it with: simg2img "),
    "elf": (lambda p: p.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes()[:MIB]), "is an ELF executable"),
    "windows-program": (lambda p: p.write_bytes(_windows_program()), "is a Windows program"),
    "gif": (_is(b"GIF89a\1\0\1\0"), "is a GIF picture"),
    "png": (_is(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "is a PNG picture"),
    "jpeg": (_is(b"\xff\xd8\xff\xe0\0\x10JFIF"), "is a JPEG picture"),
    "sqlite": (_database, "is an SQLite database"),
    "office": (_is(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "is a Microsoft Office document"),
    "cabinet": (_is(b"MSCF\0\0\0\0"), "is a cabinet archive"),
    "wim": (_is(b"MSWIM\0\0\0"), "is a Windows imaging file"),
    "openssl": (_by("openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-k", "x"), "is encrypted with openssl"),
    "git-pack": (_git_pack, "is a Git pack"),
    "luks": (partial(luks, size="2M"), "encrypted with LUKS, which CDI does not decrypt; .*driver=luks"),
    "parallels": (_qemu("-f", "parallels"), "is a Parallels disk.*qemu-img convert -O qcow2 "),
    "qed": (_qemu("-f", "qed"), "is a QED image.*qemu-img convert -O qcow2 "),
    "cowd": (_is(b"COWD\1\0\0\0"), "COWD.*qemu-img convert -f vmdk -O qcow2 "),
    "sesparse": (_is(b"\xbe\xba\xfe\xca\0\0\0\0"), "SESPARSE"),
    "descriptor-crlf": (
        _text(("# Disk DescriptorFile\n" + DESCRIPTOR).replace("\n", "\r\n")),
        "only the descriptor of a vmdk",
    ),
    "descriptor-bom": (_text("# Disk DescriptorFile\n" + DESCRIPTOR, "utf-8-sig"), "only the descriptor of a vmdk"),
    "descriptor-first-line": (
        _text("# made by hand\n\n" + DESCRIPTOR),
        "only the descriptor of a vmdk.*qemu-img convert -f vmdk",
    ),
    "cd-bin": (_is(b"\0" + b"\xff" * 10 + b"\0\0\2\0\1"), "is a raw CD image .bin.; .*bchunk "),
}


# Whatever the user says: QEMU knows them, and CDI asks QEMU.
REFUSED_BY_CDI = ("luks", "parallels", "qed", "cowd", "sesparse")


def _windows_program() -> bytes:
    return b"MZ".ljust(60, b"\0") + (128).to_bytes(4, "little") + bytes(64) + b"PE\0\0" + RAW[:5000]


@pytest.mark.parametrize("compression", [None, "gz", "xz", "zst"])
@pytest.mark.parametrize("kind", NO_DISK)
def test_file_that_is_not_a_disk_is_refused_with_a_remedy(folder: Path, kind: str, compression: str | None) -> None:
    make, named = NO_DISK[kind]
    path = folder / f"{kind}.qcow2"
    if not path.exists():
        make(path)
    if compression:
        path = pack(path, compression)
    raw = "" if kind in REFUSED_BY_CDI else ".*set format=raw"
    with pytest.raises(CdiError, match=f"(?s)is not a disk image that CDI accepts: .*{named}{raw}") as refused:
        inspect(str(path), lambda _data: None)
    message = str(refused.value)
    assert message.startswith(f"{path} ") and (
        not compression
        or f"decompress it with: {TOOLS[compression]} -dc {path} > {folder}/{kind}.qcow2; then" in message
    )
    if kind in REFUSED_BY_CDI:
        with pytest.raises(CdiError, match=named) as insisted:
            inspect(str(path), lambda _data: None, insist=True)
        assert "format=raw" not in str(insisted.value)
        return
    found = inspect(str(path), lambda _data: None, insist=True)
    assert (found.format, found.compression) == ("raw", compression)


@pytest.mark.parametrize("outer", ["gz", "xz", "zst"])
@pytest.mark.parametrize("inner", ["gz", "xz", "zst"])
def test_file_compressed_twice_names_both_compressions(folder: Path, inner: str, outer: str) -> None:
    (folder / "twice.img").write_bytes(RAW[:200_000])
    path = pack(pack(folder / "twice.img", inner), outer)
    remedy = f"decompress the outer layer with: {TOOLS[outer]} -dc .* and set {folder}/twice.img.{inner} as path"
    with pytest.raises(CdiError, match=f"is compressed twice .{inner} in {outer}., .*{remedy}"):
        inspect(str(path))


@pytest.mark.parametrize("magic", ["1f8b", "1f9d", "1fa0", "1f1e", "c771", "71c7", "60ea", "2321", "4d5a"])
def test_boot_sector_may_begin_with_a_short_magic_number(folder: Path, magic: str) -> None:
    path = folder / "disk"
    run("truncate", "-s", "64M", path)
    run("sfdisk", "-q", path, data=b"label: dos\n,,L\n")
    with open(path, "r+b") as file:
        file.write(bytes.fromhex(magic))
    if magic != "1f8b":  # Which CDI itself takes for gzip.
        assert inspect(str(path)).format == "raw"


@pytest.mark.parametrize("form", ["ext4", "xfs", "swap", "gpt"])
def test_file_system_or_partition_table_is_a_disk(folder: Path, form: str) -> None:
    path = folder / form
    path.unlink(missing_ok=True)
    run("truncate", "-s", "400M", path)
    commands: dict[str, list[str | Path]] = {
        "ext4": ["mkfs.ext4", "-q", path],
        "xfs": ["mkfs.xfs", "-q", path],
        "swap": ["mkswap", path],
        "gpt": ["sfdisk", "-q", path],
    }
    run(*commands[form], data=b"label: gpt\n,,L\n")
    image = inspect(str(path))
    assert (image.format, image.virtual_size) == ("raw", 400 * MIB)
    path.unlink()
