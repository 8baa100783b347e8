# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads of disks with zeros: what is sent, what is kept, and what counts as the same disk."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import PERSISTENT_VOLUME_CLAIM

from tests.api.upload_service import MIB, Upload, UploadService
from tests.modules import RunModule
from tests.wire import Wire

DATA, DISK_BYTES = b"\xeb\x63\x90\0" + os.urandom(2 * MIB - 4), 200 * MIB


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A raw disk with data at its start and at 100 MiB."""
    path = tmp_path / "sparse.raw"
    with path.open("wb") as file:
        file.write(DATA)
        file.seek(100 * MIB)
        file.write(DATA[: MIB + 100])
        file.truncate(DISK_BYTES)
    return path


def disk_in(folder: Path, body: bytes, encoding: str) -> str:
    """The SHA-256 of the disk in what was sent."""
    if encoding == "raw_gz":
        return hashlib.sha256(gzip.decompress(body)).hexdigest()
    path = folder / "sent"
    path.write_bytes(body)
    if encoding == "qcow2":
        subprocess.run(["qemu-img", "convert", "-O", "raw", str(path), f"{path}.raw"], check=True)
        path = path.with_suffix(".raw")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("options", "sent", "most", "reason"),
    [
        ({}, "qcow2", 4 * MIB, "4 MiB of 200 MiB are not zero"),
        ({"encoding": "qcow2"}, "qcow2", 4 * MIB, "encoding is qcow2"),
        ({"encoding": "raw_gz"}, "raw_gz", 4 * MIB, "encoding is raw_gz"),
        ({"encoding": "file"}, "file", DISK_BYTES, "encoding is file"),
    ],
)
def test_zeros_are_not_sent_and_the_disk_is_the_same(
    upload: Upload,
    service: UploadService,
    sparse: Path,
    tmp_path: Path,
    options: dict[str, str],
    sent: str,
    most: int,
    reason: str,
) -> None:
    predicted = upload(check=True, name="disk", path=str(sparse), **options)
    result = upload(name="disk", path=str(sparse), **options)
    assert (result["action"], result["encoding"], result["encoding_reason"]) == ("uploaded", sent, reason), result
    assert predicted["changed"] and (predicted["encoding"], predicted["encoding_reason"]) == (sent, reason)
    assert service.received == [result["bytes_sent"]] and service.received[0] <= most
    assert disk_in(tmp_path, service.body, sent) == hashlib.sha256(sparse.read_bytes()).hexdigest()
    again = upload(name="disk", path=str(sparse), **options)
    assert not again["changed"] and again["digest"] == result["digest"] and again["encoding"] is None


def test_progress_ends_with_the_whole_disk(
    module: RunModule, service: UploadService, sparse: Path, namespace: str, tmp_path: Path
) -> None:
    progress = tmp_path / "progress"
    route = {"upload_proxy_url": service.proxy_url, "progress_file": str(progress)}
    options: dict[str, Any] = {"path": str(sparse), "encoding": "raw_gz", **route}
    result = module("volume_upload", name="disk", namespace=namespace, **options).result
    *_earlier, last = [line for line in map(json.loads, progress.read_text().splitlines()) if "sent" in line]
    assert last["sent"] == last["size"] == result["bytes_sent"], result.get("msg")
    assert last["disk"] == last["disk_size"] == DISK_BYTES


def test_same_disk_in_another_format_is_not_sent_again(
    upload: Upload, service: UploadService, sparse: Path, tmp_path: Path
) -> None:
    first = upload(name="disk", path=str(sparse))
    converted, packed = tmp_path / "disk.qcow2", tmp_path / "disk.raw.gz"
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", str(sparse), str(converted)], check=True)
    packed.write_bytes(gzip.compress(sparse.read_bytes(), 1))
    for path in (converted, packed):
        result = upload(name="disk", path=str(path))
        assert not result["changed"] and result["digest"] == first["digest"], result.get("msg")
    assert len(service.received) == 1


def test_volume_with_the_digest_of_the_file_is_not_sent_again(
    upload: Upload, service: UploadService, sparse: Path, direct: Connection, namespace: str
) -> None:
    """The digest of earlier releases, and of `checksum`."""
    upload(name="disk", path=str(sparse))
    digest = hashlib.sha256(sparse.read_bytes()).hexdigest()
    body = {"metadata": {"annotations": {"kubevirt.cdi/uploaded-sha256": digest, "kubevirt.cdi/upload-sha256": digest}}}
    direct.merge(PERSISTENT_VOLUME_CLAIM, "disk", namespace, body, dry_run=False)
    result = upload(name="disk", path=str(sparse))
    assert not result["changed"] and result["digest"] == result["sha256"] == digest and len(service.received) == 1


def test_checksum_is_that_of_the_file_in_each_encoding(upload: Upload, service: UploadService, sparse: Path) -> None:
    digest = hashlib.sha256(sparse.read_bytes()).hexdigest()
    result = upload(name="disk", path=str(sparse), checksum=f"sha256:{digest}")
    assert (result["encoding"], result["digest"], result["sha256"]) == ("qcow2", digest, digest)
    sparse.unlink()
    assert not upload(name="disk", path=str(sparse), checksum=f"sha256:{digest}")["changed"]
    assert len(service.received) == 1


@pytest.mark.parametrize("encoding", ["auto", "raw_gz", "qcow2", "file"])
def test_file_that_changes_before_it_is_sent_is_not_uploaded(
    wire: Wire, upload: Upload, sparse: Path, encoding: str
) -> None:
    def change(method: str, path: str) -> str:
        if method == "POST" and "/uploadtokenrequests" in path:
            with sparse.open("r+b") as file:
                file.seek(50 * MIB)
                file.write(b"changed")
        return ""

    wire.trouble = change
    result = upload(name="disk", path=str(sparse), encoding=encoding)
    assert result["failed"] and "changed during the upload" in result["msg"] and not result["changed"]


@pytest.mark.parametrize("encoding", ["raw_gz", "qcow2", "file"])
def test_end_of_a_file_that_changes_while_it_is_sent_is_held_back(
    upload: Upload, service: UploadService, tmp_path: Path, encoding: str
) -> None:
    """The volume is deleted, as after each task that fails."""
    path = tmp_path / "disk.raw"
    path.write_bytes(b"\xeb\x63\x90\0" + os.urandom(48 * MIB - 4))
    service.on_request = lambda: os.truncate(path, 40 * MIB)
    result = upload(name="disk", path=str(path), encoding=encoding)
    assert result["failed"] and "changed during the upload" in result["msg"], result
    assert not service.settled("disk")


@pytest.mark.parametrize("encoding", ["raw_gz", "qcow2"])
def test_impossible_encoding_is_refused_before_anything_is_written(
    wire: Wire, upload: Upload, tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "disk.vmdk"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", str(path), "10M"], check=True)
    result = upload(name="disk", path=str(path), encoding=encoding)
    assert result["failed"] and f"encoding of disk is {encoding}" in result["msg"] and wire.writes() == []


@pytest.mark.parametrize("encoding", ["auto", "raw_gz", "qcow2"])
def test_failed_attempt_is_repeated_with_the_whole_disk(
    upload: Upload, service: UploadService, sparse: Path, tmp_path: Path, encoding: str
) -> None:
    service.statuses = [502]
    result = upload(name="disk", path=str(sparse), encoding=encoding)
    assert result["action"] == "uploaded" and result["retries"] == 1 and len(service.received) == 2
    assert disk_in(tmp_path, service.body, result["encoding"]) == hashlib.sha256(sparse.read_bytes()).hexdigest()
