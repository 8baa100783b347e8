# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers that QEMU or CDI refuses, and archives."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.image_files import pack, run, tar


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
        ("qcow2", 40, (1 << 50).to_bytes(8, "big"), "is truncated"),
        ("qcow2", 20, (63).to_bytes(4, "big"), "is truncated or damaged"),
        ("vmdk", 4, (9).to_bytes(4, "little"), "is a vmdk of version 9"),
        ("vmdk", 28, bytes(16), "an extent of a split vmdk.*qemu-img convert -f vmdk -O qcow2 DESCRIPTOR.vmdk"),
        ("vhdx", 64 * 1024 + 48, b"\1" * 16, "has a log that was not replayed.*qemu-img check -r all "),
    ],
)
def test_header_that_qemu_refuses_is_refused(folder: Path, kind: str, at: int, new: bytes, named: str) -> None:
    path = folder / "patched"
    path.unlink(missing_ok=True)
    run("qemu-img", "create", "-f", kind, path, "8M")
    if kind == "vhdx":
        _patch(path, 128 * 1024 + 48, new)
    _patch(path, at, new)
    with pytest.raises(CdiError, match=named):
        inspect(str(path))


def test_extent_of_a_split_vmdk_is_refused(folder: Path) -> None:
    path = folder / "split.vmdk"
    run("qemu-img", "create", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", path, "3G")
    descriptor = "holds [0-9]+ bytes .only the descriptor of a vmdk, .*qemu-img convert -f vmdk -O qcow2 .*split.vmdk "
    for name, named in (("split.vmdk", descriptor), ("split-s001.vmdk", "an extent of a split vmdk")):
        with pytest.raises(CdiError, match=named):
            inspect(str(folder / name))


def test_dirty_qcow2_is_accepted(folder: Path) -> None:
    """QEMU reads an image that was not closed."""
    path = folder / "dirty"
    run("qemu-img", "create", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "8M")
    _patch(path, 72, (1).to_bytes(8, "big"))
    assert inspect(str(path)).format == "qcow2"
    assert json.loads(run("qemu-img", "info", "--output=json", path))["dirty-flag"]


@pytest.mark.parametrize("kind", ["qcow2", "vdi", "vhdx"])
def test_convertible_image_is_refused_as_raw(folder: Path, kind: str) -> None:
    path = folder / "insisted"
    path.unlink(missing_ok=True)
    run("qemu-img", "create", "-f", kind, path, "8M")
    with pytest.raises(CdiError, match=f"is {kind}, which CDI converts in any case; leave out format=raw"):
        inspect(str(path), insist=True)


# Archives


@pytest.mark.parametrize("compression", [None, "gz"])
@pytest.mark.parametrize(
    ("members", "named"),
    [
        (
            ["a.ovf", "a.mf", "disk one.vmdk"],
            "an OVA with the disk disk one.vmdk; unpack that with: tar -xf .* 'disk one.vmdk', and set it as path",
        ),
        (["Vagrantfile", "metadata.json", "box.img"], "a Vagrant box with the disk box.img"),
        (["ova.xml", "Ref:1/00000000"], "an XVA of XenServer; export the disk as vhd"),
        (["oci-layout", "index.json", f"blobs/sha256/{'a' * 64}"], "a container image; .*source.registry"),
        (["manifest.json", f"{'a' * 64}/layer.tar"], "a container image"),
    ],
)
def test_machine_image_in_an_archive_names_its_disk(
    folder: Path, members: list[str], named: str, compression: str | None
) -> None:
    path = tar(folder / "wrapped.ova", dict.fromkeys(members, b"x" * 1000))
    path = pack(path, compression) if compression else path
    image = inspect(str(path))
    assert image.format == "tar" and re.match(named, image.wraps), image.wraps


def test_archive_of_disk_images_is_not_a_machine_image(folder: Path) -> None:
    assert inspect(str(tar(folder / "plain.tar", {"disk.img": b"x" * 1000, "metadata.json": b"{}"}))).wraps == ""


@pytest.mark.parametrize(
    "options",
    [["--format=v7"], ["--format=ustar"], ["--format=gnu"], ["--format=pax"], ["--format=oldgnu"], ["--sparse"]],
)
def test_each_tar_format_is_accepted(folder: Path, options: list[str]) -> None:
    (folder / "tree").mkdir(exist_ok=True)
    (folder / "tree" / "file").write_bytes(os.urandom(100_000))
    path = folder / "any.tar"
    run("tar", *options, "-C", folder, "-cf", path, "tree")
    image = inspect(str(path))
    assert image.format == "tar" and image.virtual_size and image.virtual_size > 100_000


@pytest.mark.parametrize(
    ("member", "named"),
    [
        ("./", "an entry for its top directory"),
        ("lost+found/", "the entry lost.found"),
        ("./lost+found/", "the entry lost.found"),
    ],
)
def test_archive_entry_that_cdi_cannot_unpack_is_named(folder: Path, member: str, named: str) -> None:
    path = tar(folder / "obstacle.tar", {"./": b""} if member == "./" else {member: b""})
    with pytest.raises(
        CdiError, match=f"has {named}.*recreate it without the entry: mkdir files && tar -xf .* -C files"
    ) as refused:
        inspect(str(path))
    command = str(refused.value).partition("without the entry: ")[2].rstrip(".")
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
        with tarfile.open(made) as archive:
            assert sorted(archive.getnames()) == [".hidden one", "dir"], "the command helps"
