# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which digest of a file is computed: the kind that the target has, and no other."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import surveyed
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.qcow2_stream import qcow2_stream
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.spool import Spool
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import FileIdentity
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.outcome import File
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.reading import (
    OF_DISK,
    inspected,
    with_digest,
    with_survey,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.source import SourceDisk

from tests.upload_samples import upload_options

MIB = 1024 * 1024
DATA = os.urandom(MIB) + bytes(MIB)
SHA256 = hashlib.sha256(DATA).hexdigest()


def read(path: Path, recorded: str | None, *, whole: bool = False, **options: str) -> File:
    upload = upload_options(path=str(path), format="auto", **options)
    return with_digest(upload, inspected(upload, print, 60, whole=whole), recorded, print)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize("recorded", [None, OF_DISK + "0" * 64])
def test_disk_is_digested_and_the_bytes_of_the_file_are_not(raw: Path, recorded: str | None) -> None:
    file = read(raw, recorded)
    assert file.survey and file.digest == OF_DISK + file.survey.digest and file.sha256 == ""


def test_volume_with_the_sha256_of_its_file_keeps_it(raw: Path) -> None:
    file = read(raw, "0" * 64)
    assert (file.digest, file.sha256, file.survey) == (SHA256, SHA256, None)


def test_checksum_is_kept_for_a_new_volume(raw: Path) -> None:
    file = read(raw, None, checksum=f"sha256:{SHA256}")
    assert (file.digest, file.survey) == (SHA256, None)


def test_checksum_is_verified_for_a_volume_with_the_digest_of_its_disk(raw: Path) -> None:
    file = read(raw, OF_DISK + "0" * 64, checksum=f"sha256:{SHA256}")
    assert file.survey and (file.digest, file.sha256) == (OF_DISK + file.survey.digest, SHA256)


@pytest.mark.parametrize("recorded", [None, "0" * 64, OF_DISK + "0" * 64])
def test_wrong_checksum_is_an_error(raw: Path, recorded: str | None) -> None:
    with pytest.raises(CdiError, match=r"does not match checksum: expected sha256:1{64}, got sha256:"):
        read(raw, recorded, checksum="sha256:" + "1" * 64)


def test_archive_is_digested_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("disk"))
    file = read(path, None, content_type="archive")
    assert file.digest == file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() and file.survey is None


def test_packed_disk_is_read_once_for_its_check_and_both_digests(tmp_path: Path, raw: Path) -> None:
    path = tmp_path / "disk.raw.gz"
    path.write_bytes(gzip.compress(DATA))
    upload = upload_options(path=str(path), format="auto")
    checked = inspected(upload, print, 60, whole=True)
    path.unlink()  # Whatever is needed later is known now.
    file = with_digest(upload, checked, None, print)
    assert file.sha256 and file.survey and file.survey == read(raw, None).survey
    assert file.digest == OF_DISK + file.survey.digest


@pytest.mark.parametrize(
    "suffix, encoding, kept",
    [("xz", "auto", True), ("xz", "qcow2", True), ("xz", "file", False), ("gz", "auto", False)],
)
def test_disk_in_xz_is_decompressed_once(tmp_path: Path, suffix: str, encoding: str, kept: bool) -> None:
    """What takes long to decompress is kept, and read from there, unless the file is sent as it is."""
    path = tmp_path / f"disk.raw.{suffix}"
    path.write_bytes({"xz": lzma, "gz": gzip}[suffix].compress(DATA))
    upload = upload_options(path=str(path), format="auto", encoding=encoding)
    with Spool() as spool:
        file = inspected(upload, print, 60, whole=True, spool=spool)
        assert file.survey and (file.unpacked is not None) == kept
        if file.unpacked:
            assert surveyed(file.unpacked) == file.survey
            identity, stream = FileIdentity.of(file.path), qcow2_stream(file.survey)
            sources = [
                SourceDisk(file.path, identity, file.image, file.survey, stream, disk) for disk in (file.unpacked, None)
            ]
            assert sent(sources[0]) == sent(sources[1])


def sent(source: SourceDisk) -> bytes:
    with source.opened() as chunks:
        return b"".join(chunk for chunk, _reached in chunks)


@pytest.fixture
def device(raw: Path) -> Iterator[Path]:
    attach = ["losetup", "--show", "-f", str(raw)]
    path = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    yield Path(path)
    subprocess.run(["losetup", "-d", path], check=True)


def test_digests_of_a_device_are_of_the_same_moment(device: Path) -> None:
    file = read(device, None)
    assert file.survey and file.sha256 == file.survey.content_sha256 == SHA256


def test_device_with_a_qcow2_is_digested_as_a_file(raw: Path, device: Path) -> None:
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", f"{raw}.qcow2", "1M"], check=True)
    header = Path(f"{raw}.qcow2").read_bytes()
    with device.open("r+b") as opened:
        opened.write(header)
    file = read(device, None)
    assert (file.image.format, file.survey, file.digest) == ("qcow2", None, file.sha256)


def test_device_that_changes_between_its_digests_is_refused(device: Path) -> None:
    upload = upload_options(path=str(device), format="auto", checksum=f"sha256:{SHA256}")
    file = with_digest(upload, inspected(upload, print, 60, whole=True), None, print)
    assert file.digest == SHA256
    with device.open("r+b") as opened:
        opened.write(b"changed")
    with pytest.raises(CdiError, match="changed during the upload"):
        with_survey(upload, file, print)
