# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that people upload by accident, damaged images, and images that CDI does not convert: each is named, with what to do."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import socket
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.kubevirt.cdi.plugins.module_utils._errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._image import Image, inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload_source import FileIdentity

MIB = 1024 * 1024
# A raw disk without anything that could be recognised.
RAW = b"\xeb\x63\x90\0" + os.urandom(MIB)
Make = Callable[[Path], object]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


def _run(*command: str | Path, data: bytes | None = None, cwd: Path | None = None) -> bytes:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, input=data, cwd=cwd).stdout


def _by(*command: str) -> Make:
    """What a command makes of a raw disk on its standard input."""
    return lambda path: path.write_bytes(_run(*command, data=RAW))


def _is(content: bytes) -> Make:
    return lambda path: path.write_bytes(content.ljust(4096, b"\0"))


def _text(content: str, encoding: str = "utf-8") -> Make:
    return lambda path: path.write_bytes((content * (1 + 3000 // len(content))).encode(encoding))


def _qemu(*arguments: str) -> Make:
    return lambda path: _run("qemu-img", "create", *arguments, path, "2M")


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("disk.img", RAW[:200_000])


def _7z(path: Path) -> None:
    (path.parent / "member").write_bytes(RAW[:200_000])
    _run("7z", "a", "-bd", f"{path}.7z", path.parent / "member")
    Path(f"{path}.7z").rename(path)


def _cpio(form: str) -> Make:
    def make(path: Path) -> None:
        (path.parent / "member").write_bytes(RAW[:200_000])
        path.write_bytes(_run("cpio", "-o", "-H", form, data=b"member\n", cwd=path.parent))

    return make


def _ar(path: Path) -> None:
    (path.parent / "debian-binary").write_bytes(b"2.0\n" * 200)
    _run("ar", "q", path, path.parent / "debian-binary")


def _database(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as database:
        database.execute("create table t (a)")


def _luks(path: Path) -> None:
    _run("qemu-img", "create", "-f", "luks", "--object", "secret,id=s,data=x", "-o", "key-secret=s,iter-time=10", path, "2M")


def _git_pack(path: Path) -> None:
    _run("git", "init", "-q", path.parent / "repository")
    name = _run("git", "hash-object", "-w", "--stdin", data=RAW[:5000], cwd=path.parent / "repository").strip()
    path.write_bytes(_run("git", "pack-objects", "--stdout", data=name + b"\n", cwd=path.parent / "repository"))


WEB_PAGE = "<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>There is no such file: §</body></html>\n"
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
    "git-lfs": (_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), "Git LFS pointer.*git lfs pull"),
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
    "lzma-by-python": (lambda p: p.write_bytes(lzma.compress(RAW[:200_000], lzma.FORMAT_ALONE)), "compressed with lzma"),
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
    "luks": (_luks, "encrypted with LUKS, which CDI does not decrypt; .*driver=luks"),
    "parallels": (_qemu("-f", "parallels"), "is a Parallels disk.*qemu-img convert -O qcow2 "),
    "qed": (_qemu("-f", "qed"), "is a QED image.*qemu-img convert -O qcow2 "),
    "cowd": (_is(b"COWD\1\0\0\0"), "COWD.*qemu-img convert -f vmdk -O qcow2 "),
    "sesparse": (_is(b"\xbe\xba\xfe\xca\0\0\0\0"), "SESPARSE"),
    "descriptor-crlf": (_text(("# Disk DescriptorFile\n" + DESCRIPTOR).replace("\n", "\r\n")), "only the descriptor of a vmdk"),
    "descriptor-bom": (_text("# Disk DescriptorFile\n" + DESCRIPTOR, "utf-8-sig"), "only the descriptor of a vmdk"),
    "descriptor-first-line": (_text("# made by hand\n\n" + DESCRIPTOR), "only the descriptor of a vmdk.*qemu-img convert -f vmdk"),
    "cd-bin": (_is(b"\0" + b"\xff" * 10 + b"\0\0\2\0\1"), "is a raw CD image .bin.; .*bchunk "),
}


# Whatever the user says: QEMU knows them, and CDI asks QEMU.
REFUSED_BY_CDI = ("luks", "parallels", "qed", "cowd", "sesparse")


def _windows_program() -> bytes:
    return b"MZ".ljust(60, b"\0") + (128).to_bytes(4, "little") + bytes(64) + b"PE\0\0" + RAW[:5000]


@pytest.mark.parametrize("compression", [None, "gz", "xz", "zst"])
@pytest.mark.parametrize("kind", NO_DISK)
def test_what_is_certainly_no_disk_is_named_with_what_to_do(folder: Path, kind: str, compression: str | None) -> None:
    make, named = NO_DISK[kind]
    path = folder / f"{kind}.qcow2"
    if not path.exists():
        make(path)
    if compression:
        path = _packed(path, compression)
    if compression == "zst" and kind == "dmg":
        return  # Its mark is at its end, and zst is unpacked only at its start.
    raw = "" if kind in REFUSED_BY_CDI else ".*set format=raw"
    with pytest.raises(CdiError, match=f"(?s)is not a disk image that CDI accepts: .*{named}{raw}") as refused:
        inspect(str(path), lambda _data: None)
    message = str(refused.value)
    assert message.startswith(f"{path} ") and (not compression or f"unpack it with: {_TOOLS[compression]} -dc {path} > {folder}/{kind}.qcow2; then" in message)
    if kind in REFUSED_BY_CDI:
        with pytest.raises(CdiError, match=named) as insisted:
            inspect(str(path), lambda _data: None, insist=True)
        assert "format=raw" not in str(insisted.value)
        return
    told = inspect(str(path), lambda _data: None, insist=True)
    assert (told.format, told.compression) == ("raw", compression)


_TOOLS = {"gz": "gzip", "xz": "xz", "zst": "zstd", "bz2": "bzip2"}


def _packed(path: Path, compression: str) -> Path:
    packed = path.with_name(f"{path.name}.{compression}")
    packed.write_bytes(_run(_TOOLS[compression], "-1", "-c", path))
    return packed


@pytest.mark.parametrize("outer", ["gz", "xz", "zst"])
@pytest.mark.parametrize("inner", ["gz", "xz", "zst"])
def test_what_is_packed_twice_is_named_with_both(folder: Path, inner: str, outer: str) -> None:
    (folder / "twice.img").write_bytes(RAW[:200_000])
    path = _packed(_packed(folder / "twice.img", inner), outer)
    remedy = f"unpack the outer with: {_TOOLS[outer]} -dc .* and give {folder}/twice.img.{inner} as path"
    with pytest.raises(CdiError, match=f"is packed twice .{inner} in {outer}., .*{remedy}"):
        inspect(str(path))


@pytest.mark.parametrize("magic", ["1f8b", "1f9d", "1fa0", "1f1e", "c771", "71c7", "60ea", "2321", "4d5a"])
def test_a_boot_sector_may_begin_with_anything_short(folder: Path, magic: str) -> None:
    path = folder / "disk"
    _run("truncate", "-s", "64M", path)
    _run("sfdisk", "-q", path, data=b"label: dos\n,,L\n")
    with open(path, "r+b") as file:
        file.write(bytes.fromhex(magic))
    if magic != "1f8b":  # Which CDI itself takes for gzip.
        assert inspect(str(path)).format == "raw"


@pytest.mark.parametrize("form", ["ext4", "xfs", "swap", "gpt"])
def test_a_file_system_or_partition_table_is_a_disk(folder: Path, form: str) -> None:
    path = folder / form
    path.unlink(missing_ok=True)
    _run("truncate", "-s", "400M", path)
    command = {"ext4": ["mkfs.ext4", "-q", path], "xfs": ["mkfs.xfs", "-q", path], "swap": ["mkswap", path], "gpt": ["sfdisk", "-q", path]}[form]
    _run(*command, data=b"label: gpt\n,,L\n")
    image = inspect(str(path))
    assert (image.format, image.virtual_size) == ("raw", 400 * MIB)
    path.unlink()


# Cut off

CREATE = {
    "qcow2": ["-O", "qcow2"],
    "qcow2-compressed": ["-c", "-O", "qcow2"],
    "qcow2-zstd": ["-c", "-O", "qcow2", "-o", "compression_type=zstd"],
    "qcow2-extended": ["-O", "qcow2", "-o", "extended_l2=on,cluster_size=128k"],
    "qcow2-old": ["-O", "qcow2", "-o", "compat=0.10"],
    "qcow2-small": ["-O", "qcow2", "-o", "cluster_size=512"],
    "qcow2-metadata": ["-O", "qcow2", "-o", "preallocation=metadata"],
    "qcow2-falloc": ["-O", "qcow2", "-o", "preallocation=falloc"],
    "qcow2-full": ["-O", "qcow2", "-o", "preallocation=full"],
    "qcow2-sparse": ["-S", "4k", "-O", "qcow2"],
    "vmdk": ["-O", "vmdk"],
    "vmdk-stream": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
    "vdi": ["-O", "vdi"],
    "vdi-static": ["-O", "vdi", "-o", "static=on"],
    "vhd": ["-O", "vpc"],
    "vhdx": ["-O", "vhdx"],
    "vhdx-fixed": ["-O", "vhdx", "-o", "subformat=fixed"],
}


def _convert(source: Path, kind: str, target: Path) -> Path:
    _run("qemu-img", "convert", "-f", "raw", *CREATE[kind], source, target)
    return target


@pytest.fixture(scope="module")
def disk(folder: Path) -> Path:
    """Data at the start, in the middle and at the very end, with holes between, and a size that is no whole cluster."""
    path = folder / "source.img"
    with open(path, "wb") as file:
        for at, length in ((0, 3 * MIB), (20 * MIB + 4096, 70_000), (64 * MIB - 7 * 512, 8 * 512)):
            file.seek(at)
            file.write(os.urandom(length))
    return path


@pytest.mark.parametrize("kind", CREATE)
def test_a_whole_image_is_taken_and_each_cut_is_seen(folder: Path, disk: Path, kind: str) -> None:
    path = _convert(disk, kind, folder / f"whole-{kind}")
    whole = path.read_bytes()
    assert inspect(str(path)).virtual_size in (64 * MIB + 512, None) or kind == "vhd"
    for part in (0.99, 0.9, 0.5, 0.1, 0.02):
        path.write_bytes(whole[: int(len(whole) * part)])
        if part >= 0.9 and _is_only_zeros(whole[int(len(whole) * part) :]):
            continue
        with pytest.raises(CdiError, match="is cut off"):
            inspect(str(path))
    path.unlink()


def _is_only_zeros(data: bytes) -> bool:
    return not data.strip(b"\0")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(CREATE)),
    sectors=st.integers(1, 20_000),
    writes=st.lists(st.tuples(st.integers(0, 19_999), st.integers(1, 300)), max_size=8),
)
def test_no_image_that_qemu_makes_is_taken_for_one_that_is_cut(folder: Path, kind: str, sectors: int, writes: list[tuple[int, int]]) -> None:
    source = folder / "random.img"
    with open(source, "wb") as file:
        file.truncate(sectors * 512)
        for first, count in writes:
            if first < sectors:
                file.seek(first * 512)
                file.write(os.urandom(min(count, sectors - first) * 512))
    target = folder / "random"
    target.unlink(missing_ok=True)
    _convert(source, kind, target)
    inspect(str(target))


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(["qcow2", "qcow2-extended", "vdi", "vmdk", "vhd", "vhdx"]),
    commands=st.lists(st.tuples(st.sampled_from(["write -P 7", "discard", "write -z"]), st.integers(0, 4000), st.integers(1, 200)), max_size=8),
)
def test_no_image_that_a_guest_has_written_to_is_taken_for_one_that_is_cut(folder: Path, kind: str, commands: list[tuple[str, int, int]]) -> None:
    source, target = folder / "guest.img", folder / "guest"
    source.write_bytes(bytes(2_200_064 + 448))
    target.unlink(missing_ok=True)
    _convert(source, kind, target)
    form = {"qcow2-extended": "qcow2", "vhd": "vpc"}.get(kind, kind)
    for command, first, count in commands:
        subprocess.run(["qemu-io", "-f", form, "-c", f"{command} {first * 512} {count * 512}", str(target)], check=False, capture_output=True)
    inspect(str(target))


def test_an_iso_and_a_partitioned_disk_that_are_cut_off_are_refused_unless_raw_is_insisted_on(folder: Path) -> None:
    (folder / "tree").mkdir(exist_ok=True)
    (folder / "tree" / "file").write_bytes(os.urandom(MIB))
    iso, gpt = folder / "cut.iso", folder / "cut.img"
    _run("xorriso", "-as", "mkisofs", "-quiet", "-o", iso, folder / "tree")
    _run("truncate", "-s", "64M", gpt)
    _run("sfdisk", "-q", gpt, data=b"label: gpt\n,,L\n")
    assert (inspect(str(iso)).format, inspect(str(gpt)).format) == ("iso", "raw")
    for path, named in ((iso, "its volume ends at byte"), (gpt, f"its partition table ends at byte {64 * MIB}, and it has {32 * MIB}")):
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(CdiError, match=f"is cut off: {named}"):
            inspect(str(path))
        assert inspect(str(path), insist=True).format == "raw"


@pytest.mark.parametrize("inner", ["raw", "qcow2", "vmdk-stream"])
@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_a_packed_file_that_is_cut_off_is_seen_while_it_is_hashed(folder: Path, disk: Path, compression: str, inner: str) -> None:
    path = disk if inner == "raw" else _convert(disk, inner, folder / f"packed-{inner}")
    packed = _packed(path, compression)
    whole, hashed = packed.read_bytes(), hashlib.sha256()
    image = inspect(str(packed), hashed.update)
    assert hashed.digest() == hashlib.sha256(whole).digest() and image.tail == 0
    for cut in (1, 9, len(whole) // 3):
        packed.write_bytes(whole[:-cut])
        with pytest.raises(CdiError, match="is cut off or damaged"):
            inspect(str(packed), lambda _data: None)


@pytest.mark.parametrize("compression", ["gz", "xz"])
def test_a_packed_file_that_is_damaged_inside_is_seen_while_it_is_hashed(folder: Path, compression: str) -> None:
    path = folder / "damaged.img"
    path.write_bytes(RAW)
    packed = _packed(path, compression)
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 1
    packed.write_bytes(content)
    with pytest.raises(CdiError, match="is cut off or damaged: its (gzip|xz) stream is damaged"):
        inspect(str(packed), lambda _data: None)


def test_an_image_that_is_cut_off_and_then_packed_is_seen(folder: Path, disk: Path) -> None:
    path = _convert(disk, "vmdk-stream", folder / "early-cut")
    path.write_bytes(path.read_bytes()[:-MIB])
    with pytest.raises(CdiError, match="is cut off"):
        inspect(str(_packed(path, "gz")), lambda _data: None)


TAILS = {"zeros": bytes(700_000), "one zero": b"\0", "metadata": b"FWx0 " + os.urandom(3_000_000), "a line end": b"\n"}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_what_is_behind_the_end_of_a_packed_file_is_not_sent(folder: Path, compression: str, tail: str) -> None:
    path = folder / "tail.img"
    path.write_bytes(RAW)
    packed = _packed(path, compression)
    whole = packed.read_bytes()
    packed.write_bytes(whole + TAILS[tail])
    hashed = hashlib.sha256()
    image = inspect(str(packed), hashed.update)
    assert hashed.digest() == hashlib.sha256(whole + TAILS[tail]).digest(), "the digest is the file's"
    assert inspect(str(packed)).tail in (image.tail, 0)
    padding = compression == "xz" and tail == "zeros"  # Which belongs to the format, by fours.
    assert image.sent_size == len(whole) + (len(TAILS[tail]) if padding else 0)
    assert compression == "zst" or image.virtual_size == len(RAW)


def test_the_parts_of_a_file_of_several_streams_are_all_sent(folder: Path) -> None:
    for compression, pack in (("gz", gzip.compress), ("xz", lzma.compress)):
        path = folder / f"parts.{compression}"
        path.write_bytes(pack(RAW[:200_000]) + pack(RAW[200_000:]) + (bytes(8) if compression == "xz" else b""))
        image = inspect(str(path), lambda _data: None)
        assert (image.virtual_size, image.tail) == (len(RAW), 0)


# What only CDI cannot unpack

@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("xz", "--x86", "--lzma2"), "by xz with the filter x86, and CDI knows only lzma2; pack it anew with: xz -dc .* | xz > "),
        (("xz", "--arm64", "--lzma2"), "the filter arm64"),
        (("xz", "--delta=dist=4", "--lzma2"), "the filter delta"),
        (("xz", "--delta", "--x86", "--lzma2"), "the filter delta and x86"),
        (
            ("zstd", "--ultra", "--long=31", "-1"),
            "with a window of 2048 MiB, and CDI takes at most 512 MiB; pack it anew with: zstd --long=31 -dc .* | zstd > ",
        ),
        (("zstd", "--long=30", "-1"), "with a window of 1024 MiB"),
    ],
)
def test_how_it_was_packed_is_named_when_cdi_cannot_unpack_it(folder: Path, command: tuple[str, ...], named: str) -> None:
    path = folder / "packed"
    path.write_bytes(_run(*command, "-c", data=RAW))
    with pytest.raises(CdiError, match=named):
        inspect(str(path))


def test_a_dictionary_of_zstd_is_named(folder: Path) -> None:
    for number in range(100):
        (folder / f"sample-{number}").write_bytes(b"some words that occur again and again %d" % number * 9)
    _run("zstd", "-q", "--train", *(folder / f"sample-{number}" for number in range(100)), "-o", folder / "dictionary", "--maxdict=2000")
    path = folder / "with-dictionary"
    path.write_bytes(_run("zstd", "-q", "-c", "-D", folder / "dictionary", data=RAW))
    with pytest.raises(CdiError, match="with the dictionary [0-9]+, which CDI does not have"):
        inspect(str(path))


@pytest.mark.parametrize(
    "command",
    [
        ("zstd", "-q", "--long=29"),
        ("xz", "-0"),
        ("xz", "--check=none", "-0"),
        ("xz", "--lzma2=preset=0,dict=512MiB"),
        ("xz", "-T2", "-0", "--block-size=1MiB"),
        ("pigz",),
    ],
)
def test_how_else_it_was_packed_does_not_matter(folder: Path, command: tuple[str, ...]) -> None:
    if command == ("pigz",):
        content = gzip.compress(RAW[:200_000]) + gzip.compress(RAW[200_000:])
    else:
        content = _run(*command, "-c", data=RAW)
    path = folder / "packed"
    path.write_bytes(content)
    assert inspect(str(path), lambda _data: None).virtual_size in (len(RAW), None)


# What only CDI's QEMU does not take

def _patch(path: Path, at: int, new: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(new)


@pytest.mark.parametrize(
    ("kind", "at", "new", "named"),
    [
        ("qcow2", 72, (2).to_bytes(8, "big"), "marked as corrupt.*qemu-img check -r all "),
        ("qcow2", 72, (1 << 40).to_bytes(8, "big"), "features that CDI's QEMU does not know .0x10000000000."),
        ("qcow2", 8, (512).to_bytes(8, "big"), "needs a backing file.*qemu-img convert -O qcow2 "),
        ("qcow2", 40, (1 << 50).to_bytes(8, "big"), "is cut off"),
        ("qcow2", 20, (63).to_bytes(4, "big"), "is cut off or damaged"),
        ("vmdk", 4, (9).to_bytes(4, "little"), "is a vmdk of version 9"),
        ("vmdk", 28, bytes(16), "an extent of a split vmdk.*qemu-img convert -f vmdk -O qcow2 DESCRIPTOR.vmdk"),
        ("vhdx", 64 * 1024 + 48, b"\1" * 16, "has a log that was not replayed.*qemu-img check -r all "),
    ],
)
def test_a_header_that_qemu_would_refuse_is_named(folder: Path, kind: str, at: int, new: bytes, named: str) -> None:
    path = folder / "patched"
    path.unlink(missing_ok=True)
    _run("qemu-img", "create", "-f", kind, path, "8M")
    if kind == "vhdx":
        _patch(path, 128 * 1024 + 48, new)
    _patch(path, at, new)
    with pytest.raises(CdiError, match=named):
        inspect(str(path))


def test_the_extents_of_a_split_vmdk_are_no_disk(folder: Path) -> None:
    path = folder / "split.vmdk"
    _run("qemu-img", "create", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", path, "3G")
    descriptor = "holds [0-9]+ bytes .only the descriptor of a vmdk, .*qemu-img convert -f vmdk -O qcow2 .*split.vmdk "
    for name, named in (("split.vmdk", descriptor), ("split-s001.vmdk", "an extent of a split vmdk")):
        with pytest.raises(CdiError, match=named):
            inspect(str(folder / name))


def test_a_dirty_qcow2_is_taken(folder: Path) -> None:
    """QEMU reads one that was not closed, it only does not write to it."""
    path = folder / "dirty"
    _run("qemu-img", "create", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "8M")
    _patch(path, 72, (1).to_bytes(8, "big"))
    assert inspect(str(path)).format == "qcow2"
    assert json.loads(_run("qemu-img", "info", "--output=json", path))["dirty-flag"]


@pytest.mark.parametrize("kind", ["qcow2", "vdi", "vhdx"])
def test_what_cdi_converts_in_any_case_is_no_raw_disk(folder: Path, kind: str) -> None:
    path = folder / "insisted"
    path.unlink(missing_ok=True)
    _run("qemu-img", "create", "-f", kind, path, "8M")
    with pytest.raises(CdiError, match=f"is {kind}, which CDI converts in any case; leave out format=raw"):
        inspect(str(path), insist=True)


# Archives

def _tar(path: Path, members: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("compression", [None, "gz"])
@pytest.mark.parametrize(
    ("members", "named"),
    [
        (["a.ovf", "a.mf", "disk one.vmdk"], "an OVA with the disk disk one.vmdk; unpack that with: tar -xf .* 'disk one.vmdk', and give it as path"),
        (["Vagrantfile", "metadata.json", "box.img"], "a Vagrant box with the disk box.img"),
        (["ova.xml", "Ref:1/00000000"], "an XVA of XenServer; export the disk as vhd"),
        (["oci-layout", "index.json", f"blobs/sha256/{'a' * 64}"], "a container image; .*source.registry"),
        (["manifest.json", f"{'a' * 64}/layer.tar"], "a container image"),
    ],
)
def test_an_archive_that_wraps_a_machine_says_which_disk_to_take(folder: Path, members: list[str], named: str, compression: str | None) -> None:
    path = _tar(folder / "wrapped.ova", dict.fromkeys(members, b"x" * 1000))
    path = _packed(path, compression) if compression else path
    image = inspect(str(path))
    import re

    assert image.format == "tar" and re.match(named, image.wraps), image.wraps


def test_an_archive_of_disk_images_alone_wraps_nothing(folder: Path) -> None:
    assert inspect(str(_tar(folder / "plain.tar", {"disk.img": b"x" * 1000, "metadata.json": b"{}"}))).wraps == ""


@pytest.mark.parametrize("options", [["--format=v7"], ["--format=ustar"], ["--format=gnu"], ["--format=pax"], ["--format=oldgnu"], ["--sparse"]])
def test_every_format_of_tar_is_taken(folder: Path, options: list[str]) -> None:
    (folder / "tree").mkdir(exist_ok=True)
    (folder / "tree" / "file").write_bytes(os.urandom(100_000))
    path = folder / "any.tar"
    _run("tar", *options, "-C", folder, "-cf", path, "tree")
    image = inspect(str(path))
    assert image.format == "tar" and image.virtual_size and image.virtual_size > 100_000


@pytest.mark.parametrize(
    ("member", "named"),
    [("./", "an entry for its top directory"), ("lost+found/", "the entry lost.found"), ("./lost+found/", "the entry lost.found")],
)
def test_what_cdi_cannot_unpack_from_an_archive_is_named(folder: Path, member: str, named: str) -> None:
    path = _tar(folder / "obstacle.tar", {"./": b""} if member == "./" else {member: b""})
    with pytest.raises(CdiError, match=f"has {named}.*make it anew without it: mkdir files && tar -xf .* -C files") as refused:
        inspect(str(path))
    command = str(refused.value).partition("anew without it: ")[2].rstrip(".")
    if member == "./":
        with tarfile.open(path, "w") as archive:
            for name, kind in ((".", tarfile.DIRTYPE), ("./.hidden one", tarfile.REGTYPE), ("./dir", tarfile.DIRTYPE)):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = kind, 0o755
                archive.addfile(entry)
        for left in folder.glob("files/*"):
            left.unlink()
        subprocess.run(command, shell=True, check=True, cwd=folder)
        made = folder / "obstacle-new.tar"
        assert inspect(str(made)).format == "tar"
        assert sorted(tarfile.open(made).getnames()) == [".hidden one", "dir"], "the command helps"


# What is read

def test_a_block_device_is_as_large_as_it_is(folder: Path) -> None:
    (folder / "backing").write_bytes(RAW.ljust(4 * MIB))
    device = _run("losetup", "--show", "-f", folder / "backing").decode().strip()
    try:
        image, identity = inspect(device), FileIdentity.of(device)
        assert (image.format, image.virtual_size, image.file_size) == ("raw", 4 * MIB, 4 * MIB)
        assert identity.size == 4 * MIB and identity.is_device
    finally:
        _run("losetup", "-d", device)


@pytest.fixture
def others(tmp_path: Path) -> Iterator[dict[str, str]]:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        os.symlink(tmp_path / "pipe", tmp_path / "link")
        yield {
            "pipe": f"{tmp_path}/pipe",
            "link": f"{tmp_path}/link",
            "socket": f"{tmp_path}/socket",
            "directory": str(tmp_path),
            "zero": "/dev/zero",
            "null": "/dev/null",
        }


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("pipe", "a pipe"),
        ("link", "a pipe"),
        ("socket", "a socket"),
        ("directory", "a directory"),
        ("zero", "a character device"),
        ("null", "a character device"),
    ],
)
def test_what_is_neither_file_nor_block_device_is_refused_at_once(others: dict[str, str], name: str, what: str) -> None:
    for read in (inspect, FileIdentity.of):
        with pytest.raises(CdiError, match=f"{others[name]} is {what}, which cannot be uploaded; give a file or a block device"):
            read(others[name])


def test_a_pipe_is_not_waited_for_although_it_came_in_the_place_of_a_file(others: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    regular = os.stat(__file__)
    monkeypatch.setattr(os, "stat", lambda *_arguments, **_options: regular)
    assert stat.S_ISREG(os.stat(others["pipe"]).st_mode)
    with pytest.raises(CdiError, match="is a pipe"):
        inspect(others["pipe"])


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/nowhere/disk.img", "File /nowhere/disk.img was not found on the host that runs the task .*; check path"),
        ("https://example.com/disk.img", "for a URL use module data_volume with source.http"),
        ("/etc/hostname/x", "Cannot read /etc/hostname/x on the host that runs the task .*Not a directory"),
        ("/" + "x" * 300, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_opened_is_named_with_its_host(path: str, named: str) -> None:
    with pytest.raises(CdiError, match=named):
        inspect(path)


# Never a traceback

@pytest.fixture(scope="module")
def whole_images(folder: Path, disk: Path) -> dict[str, bytes]:
    made = {}
    small = folder / "small.img"
    small.write_bytes(disk.read_bytes()[: 3 * MIB + 512])
    for kind in CREATE:
        made[kind] = _convert(small, kind, folder / f"mutated-{kind}").read_bytes()
    made["tar"] = _tar(folder / "mutated.tar", {"a": b"x" * 3000, "b": b"y" * 20_000}).read_bytes()
    made["iso"] = (folder / "tiny.iso").read_bytes() if (folder / "tiny.iso").exists() else bytes(32768) + b"\1CD001\1".ljust(4096, b"\0")
    made["gz"], made["xz"] = gzip.compress(made["qcow2"]), lzma.compress(made["vhdx"])
    made["zst"], made["tar.gz"] = _run("zstd", "-q", "-c", data=made["vdi"]), gzip.compress(made["tar"])
    made["bz2"] = bz2.compress(made["tar"])
    return made


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_an_image_ends_in_a_traceback(folder: Path, whole_images: dict[str, bytes], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(whole_images)))
    content = bytearray(whole_images[kind])
    end = min(len(content), 400_000)
    places = st.one_of(st.integers(0, 600), st.integers(0, end))
    bits = st.one_of(st.binary(max_size=8), st.sampled_from([b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7]))
    for at, new in data.draw(st.lists(st.tuples(places, bits), max_size=6)):
        content[at : at + len(new)] = new
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path = folder / "mutated"
    path.write_bytes(content)
    for insist in (False, True):
        try:
            image = inspect(str(path), lambda _data: None, insist=insist)
        except CdiError as exc:
            assert str(path) in str(exc) and "\n" not in str(exc)
        else:
            assert isinstance(image, Image) and image.file_size == len(content)
