# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads of all files of a directory, to volumes with their names."""

from __future__ import annotations

import lzma
import os
from pathlib import Path
from typing import Any

import pytest

from tests.api.upload_service import MIB, Upload, UploadService
from tests.modules import RunModule
from tests.wire import Wire

NAMES = ["debian-12-5", "fedora", "windows"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, and what is not uploaded."""
    path = tmp_path / "images"
    (path / "older").mkdir(parents=True)
    for name in ("Debian_12.5.img", "windows.raw", "older/fedora.raw", ".windows.raw.part"):
        (path / name).write_bytes(_disk())
    (path / "fedora.raw.xz").write_bytes(lzma.compress(_disk(), preset=0))
    return path


def _disk() -> bytes:
    return b"\xeb\x63\x90\0" + os.urandom(2 * MIB - 4)


def test_each_file_of_a_directory_is_uploaded_once(
    wire: Wire, upload: Upload, service: UploadService, folder: Path
) -> None:
    options: dict[str, Any] = {"paths": [str(folder), f"{folder}/*.xz"], "labels": {"from": "images"}}
    predicted = upload(check=True, **options)
    assert [(item["name"], item["action"]) for item in predicted["uploads"]] == [(name, "uploaded") for name in NAMES]
    assert predicted["changed"] and wire.writes() == [] and len(predicted["diff"]) == 3
    result = upload(**options)
    assert [(item["name"], item.get("error"), item["action"]) for item in result["uploads"]] == [
        (name, None, "uploaded") for name in NAMES
    ]
    assert result["changed"] and len(service.received) == 3
    assert {item["compression"] for item in result["uploads"]} == {None, "xz"}
    assert all(item["data_volume"]["metadata"]["labels"] == {"from": "images"} for item in result["uploads"])
    again = upload(**options)
    assert not again["changed"] and {item["action"] for item in again["uploads"]} == {"unchanged"}
    assert len(service.received) == 3 and again["diff"] == []


def test_error_of_a_file_does_not_stop_the_others(upload: Upload, service: UploadService, folder: Path) -> None:
    (folder / "checksums.txt").write_text("these are not disks\n" * 99)
    result = upload(paths=[str(folder)])
    assert result["failed"] and "checksums.txt" in result["msg"]
    assert {item["name"]: item["action"] for item in result["uploads"]} == {
        "checksums-txt": "unchanged",
        **dict.fromkeys(NAMES, "uploaded"),
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"paths": ["FOLDER", "FOLDER/older/*"]}, "would both be uploaded to volume fedora; set them in uploads"),
        ({"paths": ["FOLDER", "FOLDER/*.iso"]}, "No file was found for 'FOLDER/*.iso' in paths on the host that runs"),
        (
            {"paths": ["FOLDER"], "checksum": f"sha256:{'0' * 64}"},
            "checksum is that of one file, and paths is set; set",
        ),
        (
            {"paths": ["FOLDER", "https://example.com/disk.img?token=hidden"]},
            "paths contains the URL https://example.com/disk.img?***, and only files are searched for; set it",
        ),
        ({"paths": ["FOLDER"], "name": "disk"}, "mutually exclusive: name|uploads|paths"),
        ({"paths": ["FOLDER"], "path": "/images/disk.raw"}, "mutually exclusive: path|uploads|paths"),
        (
            {"paths": ["FOLDER"], "storage": {"size": "1Gi"}, "pvc": {"size": "1Gi"}},
            "DataVolume debian-12-5 has storage and pvc; give one of them",
        ),
    ],
)
def test_invalid_paths_are_refused_before_a_request(
    wire: Wire, module: RunModule, namespace: str, folder: Path, options: dict[str, Any], expected: str
) -> None:
    paths = [path.replace("FOLDER", str(folder)) for path in options["paths"]]
    result = module("volume_upload", namespace=namespace, **{**options, "paths": paths}).result
    assert result["failed"] and expected.replace("FOLDER", str(folder)) in result["msg"], result["msg"]
    assert wire.requests == []
