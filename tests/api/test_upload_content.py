# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an upload sends: the file without trailing bytes, or a block device; and which files it refuses."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.api.upload_service import MIB, Upload, UploadService
from tests.wire import Wire


def test_upload_records_its_digest(wire: Wire, upload: Upload, service: UploadService, image: Path) -> None:
    result = upload(name="disk", path=str(image))
    assert (result.get("msg"), result["action"], result["changed"], result["phase"]) == (
        None,
        "uploaded",
        True,
        "Succeeded",
    )
    assert service.received == [2 * MIB]
    annotations = result["persistent_volume_claim"]["metadata"]["annotations"]
    assert annotations["kubevirt.cdi/uploaded-sha256"] == result["digest"] and result["digest"].startswith("disk:")
    assert "kubevirt.cdi/upload-begun" not in annotations
    assert not upload(name="disk", path=str(image))["changed"]


def test_trailing_bytes_of_a_compressed_file_are_not_sent(
    upload: Upload, service: UploadService, tmp_path: Path
) -> None:
    path = tmp_path / "router.img.gz"
    packed = gzip.compress(b"\xeb\x63\x90\0" + os.urandom(MIB))
    path.write_bytes(packed + b"metadata")
    result = upload(name="disk", path=str(path))
    assert result["action"] == "uploaded" and service.received == [len(packed)] and result["bytes_sent"] == len(packed)
    assert result["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert any(f"The last 8 bytes of {path} follow the end" in warning for warning in result["warnings"])
    assert not upload(name="disk", path=str(path))["changed"]


@pytest.mark.parametrize("name", ["page.qcow2", "cut.gz", "twice.gz"])
def test_refused_file_creates_nothing(
    wire: Wire, upload: Upload, service: UploadService, tmp_path: Path, name: str
) -> None:
    content = gzip.compress(os.urandom(MIB))
    path = tmp_path / name
    path.write_bytes(
        {"page.qcow2": b"<html>" + b"no such file " * 99, "cut.gz": content[:-9], "twice.gz": gzip.compress(content)}[
            name
        ]
    )
    wire.requests.clear()
    result = upload(name="disk", path=str(path))
    assert result["failed"] and (result["changed"], result["action"], result["retries"]) == (False, "unchanged", 0)
    assert wire.writes() == [] and service.received == []


def test_format_raw_accepts_any_content(upload: Upload, service: UploadService, tmp_path: Path) -> None:
    path = tmp_path / "page.img"
    path.write_bytes(b"<html>" + b"no such file " * 99)
    assert upload(name="disk", path=str(path))["failed"]
    result = upload(name="disk", path=str(path), format="raw")
    assert (result["action"], result["format"]) == ("uploaded", "raw") and service.received == [path.stat().st_size]


@pytest.mark.parametrize("changes", [False, True])
def test_block_device_is_uploaded_unless_it_changes(
    wire: Wire, upload: Upload, service: UploadService, tmp_path: Path, changes: bool
) -> None:
    backing = tmp_path / "backing"
    backing.write_bytes(b"\xeb\x63\x90\0" + os.urandom(3 * MIB - 4))
    setup = ["losetup", "--show", "-f", str(backing)]
    device = subprocess.run(setup, check=True, capture_output=True, text=True).stdout.strip()

    def change_after_hashing(method: str, path: str) -> str:
        """The token is requested after the device has been read once."""
        if method == "POST" and "/uploadtokenrequests" in path:
            with open(device, "r+b") as opened:
                opened.seek(MIB)
                opened.write(b"changed")
        return ""

    try:
        if changes:
            wire.trouble = change_after_hashing
        result = upload(name="disk", path=device)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
    if changes:
        assert result["failed"] and "changed during the upload" in result["msg"] and not result["changed"]
    else:
        assert result["action"] == "uploaded" and service.received == [3 * MIB]
        assert result["sha256"] == hashlib.sha256(backing.read_bytes()).hexdigest()
