# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format and the size of images, compared with qemu-img."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image import zstd
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image, inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.image_files import MIB, pack, run

CREATE = {
    "qcow2": ["-f", "qcow2", "-o", "compat=1.1"],
    "qcow2 of version 2": ["-f", "qcow2", "-o", "compat=0.10"],
    "qcow2 with large clusters": ["-f", "qcow2", "-o", "cluster_size=2M"],
    "vmdk": ["-f", "vmdk"],
    "vmdk streamOptimized": ["-f", "vmdk", "-o", "subformat=streamOptimized"],
    "vdi": ["-f", "vdi"],
    "vdi static": ["-f", "vdi", "-o", "static=on"],
    "vhd": ["-f", "vpc"],
    "vhd of exact size": ["-f", "vpc", "-o", "force_size=on"],
    "vhd fixed": ["-f", "vpc", "-o", "subformat=fixed"],
    "vhdx": ["-f", "vhdx"],
    "vhdx fixed": ["-f", "vhdx", "-o", "subformat=fixed"],
}
MAGICS = [b"QFI\xfb", b"KDMV", b"vhdxfile", b"conectix", b"\x1f\x8b", b"\xfd7zXZ\0", zstd.MAGIC, b""]
# Larger than what is read of it.
XZ = lzma.compress(bytes(3 * MIB))
COMPRESSIONS = ("gz", "xz", "zst")


def _qemu(*arguments: str) -> bytes:
    return subprocess.run(["qemu-img", *arguments], check=True, capture_output=True).stdout


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(sorted(CREATE)), sectors=st.integers(1, 64 * 2048))
def test_format_and_size_equal_those_of_qemu(folder: Path, kind: str, sectors: int) -> None:
    path = folder / "image"
    path.unlink(missing_ok=True)
    _qemu("create", *CREATE[kind], str(path), str(sectors * 512))
    # A fixed VHD has no header, only a footer: neither qemu-img nor CDI see that it is one.
    found = json.loads(_qemu("info", *(["-f", "vpc"] if kind == "vhd fixed" else []), "--output=json", str(path)))
    image = inspect(str(path))
    assert image.format == {"vpc": "vhd"}.get(found["format"], found["format"])
    assert image.virtual_size == found["virtual-size"]
    assert image.needed_size is not None and image.needed_size % MIB == 0
    assert found["virtual-size"] <= image.needed_size


OLD_QEMU_BY_GEOMETRY = b"vs  ", b"wa\0\0", b"vbox", b"new!"


@pytest.mark.parametrize(
    "creator", [b"vpc ", b"qemu", b"qem2", b"win ", b"d2v ", b"tap\0", b"CTXS", *OLD_QEMU_BY_GEOMETRY]
)
def test_size_of_a_vhd_depends_on_its_creator_as_in_qemu(folder: Path, creator: bytes) -> None:
    """Before 10.0, QEMU also used the geometry, which is smaller, for unknown creators."""
    path = folder / "creator.vhd"
    _qemu("create", "-f", "vpc", str(path), "30M")
    geometry = json.loads(_qemu("info", "--output=json", str(path)))["virtual-size"]
    content = _patched(_patched(path.read_bytes(), 28, creator), 48, (geometry + MIB).to_bytes(8, "big"))
    unsigned = _patched(content, 64, bytes(4))
    path.write_bytes(_patched(unsigned, 64, (0xFFFFFFFF - sum(unsigned[:512])).to_bytes(4, "big")))
    size = inspect(str(path)).virtual_size
    assert size == geometry + (0 if creator in (b"vpc ", b"qemu") else MIB)
    found = json.loads(_qemu("info", "--output=json", str(path)))["virtual-size"]
    assert size == found or (creator in OLD_QEMU_BY_GEOMETRY and found == geometry)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["qcow2", "vmdk", "vdi", "vhd", "vhdx"]),
    compression=st.sampled_from(COMPRESSIONS),
    mib=st.integers(1, 64),
)
def test_image_is_recognized_inside_compression(folder: Path, kind: str, compression: str, mib: int) -> None:
    path = folder / "inner"
    path.unlink(missing_ok=True)
    _qemu("create", *CREATE[kind], str(path), f"{mib}M")
    plain, image = inspect(str(path)), inspect(str(pack(path, compression)))
    assert (image.format, image.virtual_size, image.compression) == (plain.format, plain.virtual_size, compression)


@settings(max_examples=30, deadline=None)
@given(
    compression=st.sampled_from(COMPRESSIONS),
    pieces=st.lists(st.tuples(st.sampled_from(["zeros", "text", "noise"]), st.integers(1, 300_000)), min_size=1),
)
def test_size_of_a_compressed_raw_disk_is_that_of_its_content(
    folder: Path, compression: str, pieces: list[tuple[str, int]]
) -> None:
    filler = {"zeros": b"\0", "text": b"All work and no play. "}
    content = b"".join(
        os.urandom(length) if kind == "noise" else (filler[kind] * length)[:length] for kind, length in pieces
    )
    content = b"\xeb\x63\x90\0" + content.ljust(512, b"\0")  # As a boot sector begins: what is all text is no disk.
    path = folder / "disk"
    path.write_bytes(content)
    image = inspect(str(pack(path, compression)))
    assert image == Image("raw", compression, len(content), len(content), image.file_size)


def test_header_far_inside_a_compressed_file_gives_no_size(folder: Path) -> None:
    """A VHDX of many small blocks stores its size after their table."""
    path = folder / "deep.vhdx"
    _qemu("create", "-f", "vhdx", "-o", "block_size=1M", str(path), "1T")
    assert inspect(str(path)).virtual_size == 1 << 40
    image = inspect(str(pack(path, "gz")))
    assert image == Image("vhdx", "gz", None, None, image.file_size)
    assert image.needed_size is None


def test_xz_index_too_large_to_read_gives_no_size(folder: Path) -> None:
    path = folder / "many-blocks.xz"
    path.write_bytes(_patched(XZ, -8, b"\xff\xff\xff\x7f"))
    assert inspect(str(path)) == Image("raw", "xz", None, None, path.stat().st_size)


def test_sizes_of_several_streams_are_added(folder: Path) -> None:
    """As made by pigz, pixz or concatenation."""
    halves = [os.urandom(700_000), b"\0" * 3_000_000]
    frames = b"".join(run("zstd", "-q", data=half) for half in halves)
    for name, content in (
        ("gz", b"".join(map(gzip.compress, halves)) + b"\0" * 100),
        ("xz", b"".join(map(lzma.compress, halves)) + b"\0" * 8),
        ("zst", frames),  # From a pipe: its frames do not declare their sizes.
    ):
        path = folder / f"streams.{name}"
        path.write_bytes(content)
        assert inspect(str(path)).virtual_size == 3_700_000


def test_iso_is_distinguished_from_a_disk(folder: Path) -> None:
    path = folder / "image.iso"
    path.write_bytes(b"\0" * 32768 + b"\x01CD001\x01" + b"\0" * 100_000)
    assert inspect(str(path)).format == "iso"
    assert inspect(str(pack(path, "xz"))).format == "iso"


def test_size_of_a_raw_disk_is_rounded_up_to_mebibytes(folder: Path) -> None:
    path = folder / "raw"
    path.write_bytes(b"\0" * (3 * MIB + 1))
    assert inspect(str(path)).needed_size == 4 * MIB


def test_converted_image_requires_scratch_space_for_its_file(folder: Path) -> None:
    """Internal snapshots can make a qcow2 larger than its disk, which determines the scratch space."""
    path = folder / "snapshots.qcow2"
    _qemu("create", "-f", "qcow2", str(path), "8M")
    for number in range(3):
        subprocess.run(["qemu-io", "-c", f"write -P {number + 1} 0 8M", str(path)], check=True, capture_output=True)
        _qemu("snapshot", "-c", f"s{number}", str(path))
    image = inspect(str(path))
    assert image.virtual_size == 8 * MIB and image.file_size > 24 * MIB
    assert image.needed_size is not None and image.needed_size >= image.file_size


# A member is its header of 512 bytes and its content in whole such blocks.
MEMBER_BYTES = 101 * 1024


@pytest.mark.parametrize(
    "part",
    [1 << 30, MEMBER_BYTES, 70_001],
    ids=["whole", "a stream for each member, as eStargz has them", "streams that end within members"],
)
@pytest.mark.parametrize("compression", ["", "gz", "xz", "zst"])
def test_size_of_an_archive_includes_its_members(folder: Path, compression: str, part: int) -> None:
    content = _tar(*(os.urandom(MEMBER_BYTES - 512) for _number in range(50)))
    compress: dict[str, Callable[[bytes], bytes]] = {
        "": bytes,
        "gz": gzip.compress,
        "xz": lambda data: lzma.compress(data) + bytes(4),
        "zst": lambda data: run("zstd", "-q", data=data),
    }
    path = folder / f"archive.tar.{compression}"
    path.write_bytes(b"".join(compress[compression](content[at : at + part]) for at in range(0, len(content), part)))
    image = inspect(str(path))
    assert (image.format, image.compression) == ("tar", compression or None)
    assert image.needed_size is not None and 5_000_000 * 1.1 + 16 * MIB < image.needed_size < 40 * MIB


@pytest.mark.parametrize(
    ("name", "make", "named"),
    [
        ("backing file", lambda p: _overlay(p, "qcow2"), "needs a backing file"),
        ("vmdk parent", lambda p: _overlay(p, "vmdk"), "needs its parent"),
        (
            "external data",
            lambda p: _qemu("create", "-f", "qcow2", "-o", f"data_file={p}.data,data_file_raw=on", str(p), "1M"),
            "external file",
        ),
        (
            "encrypted",
            lambda p: _qemu(
                *("create", "-f", "qcow2", "--object", "secret,id=s,data=x", "-o"),
                *("encrypt.format=aes,encrypt.key-secret=s", str(p), "1M"),
            ),
            "is encrypted",
        ),
        ("old qcow", lambda p: _qemu("create", "-f", "qcow", str(p), "1M"), "qcow of version 1"),
        (
            "descriptor only",
            lambda p: _qemu("create", "-f", "vmdk", "-o", "subformat=monolithicFlat", str(p), "1M"),
            "only the descriptor",
        ),
        ("pzstd", lambda p: p.write_bytes(_pzstd(os.urandom(5000))), "as pzstd writes it.*with zstd instead"),
        ("too short", lambda p: p.write_bytes(b"x" * 511), "511 bytes"),
        ("empty", lambda p: p.write_bytes(b""), "0 bytes"),
        ("cut gzip", lambda p: p.write_bytes(gzip.compress(os.urandom(5000))[:2000]), "truncated or damaged"),
        ("cut xz", lambda p: p.write_bytes(lzma.compress(os.urandom(5000))[:2000]), "truncated or damaged"),
        ("xz without end", lambda p: p.write_bytes(XZ[:-20] + bytes(20)), "is damaged"),
        ("xz index", lambda p: p.write_bytes(_patched(XZ, -23, b"\xff" * 7)), "index is damaged"),
        ("xz footer", lambda p: p.write_bytes(_patched(XZ, -8, b"\xff\xff\0")), "ends too early"),
        ("cut tar", lambda p: p.write_bytes(_tar(b"x" * 5000)[:3000]), "not a complete tar archive"),
        ("cut tar.gz", lambda p: p.write_bytes(gzip.compress(_tar(os.urandom(5000)))[:3000]), "truncated or damaged"),
        ("cut tar in gz", lambda p: p.write_bytes(gzip.compress(_tar(b"x" * 5000)[:3000])), "content ends too early"),
        (
            "tar with a huge size",
            lambda p: p.write_bytes(_resized(b"\x80" + b"\x7f" * 11)),
            "not a complete tar archive",
        ),
        (
            "tar with a long name without end",
            lambda p: p.write_bytes(_resized(b"\x80" + b"\0" * 4 + b"\x7f" * 7, b"L")),
            "not a complete tar archive: a header is damaged",
        ),
        (
            "huge size in gz",
            lambda p: p.write_bytes(gzip.compress(_resized(b"\x80" + b"\x7f" * 11))),
            "truncated or damaged",
        ),
        ("vdi parent", lambda p: _damage(p, "vdi", b"\x7f\x10\xda\xbe", 12, b"\4"), "needs its parent"),
        ("vhdx parent", lambda p: _damage(p, "vhdx", b"metadata", 0x10004, b"\2"), "needs its parent"),
        ("vhdx without a size", lambda p: _damage(p, "vhdx", b"metadata", 32, bytes(64)), "have no size"),
        ("cut qcow2", lambda p: p.write_bytes(b"QFI\xfb\0\0\0\3".ljust(512, b"\0")[:512]), "truncated or damaged"),
        ("cut vhdx", lambda p: p.write_bytes(b"vhdxfile".ljust(4096, b"\0")), "truncated or damaged"),
    ],
)
def test_image_that_cdi_refuses_is_refused_first(
    folder: Path, name: str, make: Callable[[Path], object], named: str
) -> None:
    path = folder / name.replace(" ", "-")
    make(path)
    with pytest.raises(CdiError, match=named):
        inspect(str(path))


def _patched(content: bytes, at: int, new: bytes) -> bytes:
    at %= len(content)
    return content[:at] + new + content[at + len(new) :]


def _damage(path: Path, form: str, mark: bytes, after: int, new: bytes) -> None:
    """An image with different bytes at a distance from its first `mark`."""
    _qemu("create", "-f", form, str(path), "1M")
    content = path.read_bytes()
    path.write_bytes(_patched(content, content.index(mark) + after, new))


def _tar(*contents: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for number, content in enumerate(contents):
            member = tarfile.TarInfo(f"file-{number}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _resized(size: bytes, kind: bytes = b"0") -> bytes:
    """An archive whose first header has a different size and type."""
    header = bytearray(_patched(_patched(_tar(b"x" * 5000), 124, size), 156, kind)[:512])
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + _tar(b"x" * 5000)[512:]


def _pzstd(content: bytes) -> bytes:
    return subprocess.run(["pzstd", "-q"], input=content, stdout=-1, check=True).stdout


def _overlay(path: Path, form: str) -> None:
    base = path.with_name(f"base.{form}")
    _qemu("create", "-f", form, str(base), "1M")
    _qemu("create", "-f", form, "-F", form, "-b", str(base), str(path))


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=2000), head=st.sampled_from(MAGICS))
def test_any_file_leads_to_a_result_or_an_error(folder: Path, content: bytes, head: bytes) -> None:
    path = folder / "anything"
    path.write_bytes((head + content).ljust(600, b"\0"))
    try:
        image = inspect(str(path))
    except CdiError as exc:
        assert str(path) in str(exc)
    else:
        assert image.file_size == path.stat().st_size


def test_content_determines_the_format_not_the_name(folder: Path) -> None:
    path = folder / "liar.qcow2"
    path.write_bytes(os.urandom(10_000))
    assert inspect(str(path)).format == "raw"
