# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container disks: names of images, files that KubeVirt does not start, and the layer that contains the disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.container_disk import container_disk
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.registry import Name, parse
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from hypothesis import given
from hypothesis import strategies as st

from tests.image_files import MIB, RAW, run
from tests.image_server import qcow2


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("registry.example.com/debian:13", Name("registry.example.com", "debian", "13")),
        ("registry.example.com:5000/a/b-c/d__e.f:v1.2_x", Name("registry.example.com:5000", "a/b-c/d__e.f", "v1.2_x")),
        ("localhost/debian", Name("localhost", "debian", "latest")),
        ("registry:5000/debian", Name("registry:5000", "debian", "latest")),
        ("[::1]:5000/debian:1", Name("[::1]:5000", "debian", "1")),
        ("192.0.2.1/debian", Name("192.0.2.1", "debian", "latest")),
    ],
)
def test_name_of_an_image_has_a_registry(image: str, name: Name) -> None:
    assert parse(image) == name


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        ("docker://registry.example.com/debian:13", "leave out the scheme"),
        ("https://ann:secret@registry.example.com/debian", "leave out the scheme"),
        (f"registry.example.com/debian@sha256:{'0' * 64}", "give a tag"),
        ("debian:13", "give HOST"),
        ("disks/debian:13", "give HOST"),
        ("registry.example.com", "give HOST"),
        ("registry.example.com/", "give HOST"),
        ("registry.example.com/Debian", "in lower case"),
        ("registry.example.com/debian:", "give HOST"),
        ("registry.example.com/debian:13 ", "give HOST"),
        ("registry.example.com/../debian", "give HOST"),
        ("registry.example.com:port/debian", "give HOST"),
        ("", "give HOST"),
    ],
)
def test_name_without_a_registry_is_refused_with_an_example(image: str, remedy: str) -> None:
    with pytest.raises(CdiError, match=r"for example registry\.example\.com/disks/debian:13") as refused:
        parse(image)
    assert remedy in str(refused.value) and "ann:secret" not in str(refused.value)


@given(st.text(max_size=40))
def test_any_name_is_accepted_or_refused_in_one_sentence(image: str) -> None:
    try:
        name = parse(image)
    except CdiError as exc:
        assert "\n" not in str(exc)
    else:
        assert str(name) in (image, f"{image}:latest")


@pytest.mark.parametrize("size", [MIB, MIB + 511, 3 * MIB + 512])
def test_layer_is_an_archive_of_its_stated_length_and_digest(tmp_path: Path, size: int) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(RAW.ljust(size, b"x")[:size])
    disk = container_disk(str(path), "amd64")
    counted: list[int] = []
    layer = disk.layer(counted.append)
    content = b"".join(layer)
    assert len(content) == len(layer) == disk.layer_size == counted[-1]
    assert disk.layer_digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert [(member.name, member.size) for member in archive] == [("disk", 0), ("disk/disk.img", size)]


def test_disk_of_more_than_8_gib_fits_into_the_layer(tmp_path: Path) -> None:
    """A plain tar header has 11 octal digits for the size. Only the begin of the layer is read here."""
    path = tmp_path / "disk.img"
    path.write_bytes(RAW)
    disk = container_disk(str(path), "amd64")
    large = disk._replace(identity=disk.identity._replace(size=9 << 30))
    head = next(iter(large.layer(lambda _done: None)))
    with tarfile.open(fileobj=io.BytesIO(head + bytes(1024)), mode="r|") as archive:
        archive.next()
        member = archive.next()
    assert member is not None and member.size == 9 << 30


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_image_depends_only_on_content_and_architecture(tmp_path: Path, architecture: str) -> None:
    for name in ("one.img", "two.img"):
        (tmp_path / name).write_bytes(RAW)
    one, two = (container_disk(str(tmp_path / name), architecture) for name in ("one.img", "two.img"))
    assert (one.digest, one.config, one.layer_digest) == (two.digest, two.config, two.layer_digest)
    assert architecture.encode() in one.config


def test_file_that_kubevirt_does_not_start_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "disk.img.gz"
    packed.write_bytes(gzip.compress(RAW))
    other = tmp_path / "disk.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", other, "1M")
    backed = tmp_path / "backed.qcow2"
    backed.write_bytes(qcow2(MIB, backing=512))
    missing = tmp_path / "missing.img"
    for path, remedy in (
        (packed, f"decompress it with: gzip -dc {packed} > {tmp_path}/disk.img."),
        (other, f"convert it with: qemu-img convert -O qcow2 {other} {tmp_path}/disk.qcow2."),
        (backed, "backing file"),
        (missing, "check path"),
        (tmp_path, "is a directory"),
    ):
        with pytest.raises(CdiError) as refused:
            container_disk(str(path), "amd64")
        assert remedy in str(refused.value)
