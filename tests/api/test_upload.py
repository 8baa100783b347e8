# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module volume_upload before it sends a byte: its requests, check mode, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
)

from tests.api.objects import body, fetch, patch_status
from tests.api.upload_service import MIB
from tests.modules import RunModule
from tests.wire import Wire


@pytest.fixture
def filled(connection: Connection, namespace: str) -> Callable[..., None]:
    """Creates a DataVolume and its claim as they are after an upload of the file."""

    def fill(
        name: str, path: Path, phase: str = "Succeeded", size: str = "2Mi", content_type: str = "kubevirt"
    ) -> None:
        storage = {"resources": {"requests": {"storage": size}}}
        spec = {"source": {"upload": {}}, "storage": storage, "contentType": content_type}
        connection.create(DATA_VOLUME, body(DATA_VOLUME, name, spec=spec), namespace, dry_run=False)
        patch_status(connection, DATA_VOLUME, name, namespace, {"phase": phase})
        digest = {"kubevirt.cdi/uploaded-sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        metadata = {"annotations": digest if phase == "Succeeded" else {}}
        requested = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        claim = body(PERSISTENT_VOLUME_CLAIM, name, metadata=metadata, spec=requested)
        connection.create(PERSISTENT_VOLUME_CLAIM, claim, namespace, dry_run=False)

    return fill


def test_uploaded_file_takes_two_gets(
    wire: Wire, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    wire.requests.clear()
    result = module("volume_upload", name="disk", namespace=namespace, path=str(image)).result
    assert not result["changed"] and result["action"] == "unchanged" and result["bytes_sent"] == 0
    assert [method for method, _path in wire.requests] == ["GET", "GET"]


def test_twenty_uploaded_files_take_two_lists(
    wire: Wire, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    names = [f"disk-{number}" for number in range(20)]
    for name in names:
        filled(name, image)
    wire.requests.clear()
    uploads = [{"name": name, "path": str(image)} for name in names]
    assert not module("volume_upload", namespace=namespace, uploads=uploads).result["changed"]
    assert len(wire.requests) == 2


def test_check_mode_predicts_actions_without_writing(
    wire: Wire, module: RunModule, namespace: str, image: Path, filled: Callable[..., None], tmp_path: Path
) -> None:
    other = tmp_path / "other.raw"
    other.write_bytes(os.urandom(2 * MIB))
    filled("same", image)
    filled("other", other)
    filled("empty", image, phase="UploadReady")
    uploads = [
        {"name": name, "path": str(image), "overwrite": "different"} for name in ("same", "other", "empty", "missing")
    ]
    wire.requests.clear()
    result = module("volume_upload", check=True, namespace=namespace, uploads=uploads).result
    predicted = {item["name"]: (item["action"], item["changed"], item["bytes_sent"]) for item in result["uploads"]}
    assert predicted == {
        "same": ("unchanged", False, 0),
        "other": ("replaced", True, 0),
        "empty": ("uploaded", True, 0),
        "missing": ("uploaded", True, 0),
    }
    assert wire.writes() == []
    assert result["uploads"][3]["data_volume"]["spec"]["storage"]["resources"]["requests"]["storage"] == "2Mi"


def test_forbidden_namespace_does_not_stop_the_others(
    wire: Wire, module: RunModule, namespace: str, image: Path
) -> None:
    uploads = [{"name": "disk", "path": str(image), "namespace": each} for each in ("aaa-not-ours", namespace)]
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "Forbidden",
        "message": "no",
        "code": 403,
    }
    wire.faults = [(403, {"Content-Type": "application/json"}, json.dumps(status).encode())]
    result = module("volume_upload", check=True, uploads=uploads).result
    assert result["failed"] and "aaa-not-ours" in result["msg"]
    assert [(item["action"], "error" in item) for item in result["uploads"]] == [
        ("unchanged", True),
        ("uploaded", False),
    ]


def test_check_mode_deletes_nothing(
    connection: Connection, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    options = {"name": "disk", "namespace": namespace, "path": str(image), "overwrite": "always"}
    assert module("volume_upload", check=True, **options).result["action"] == "replaced"
    assert connection.get(DATA_VOLUME, "disk", namespace) is not None


def test_labels_of_a_filled_volume_are_set_beside_others(
    connection: Connection, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    connection.merge(DATA_VOLUME, "disk", namespace, {"metadata": {"labels": {"theirs": "x"}}}, dry_run=False)
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "path": str(image), "labels": {"ours": "y"}}
    result = module("volume_upload", **options).result
    assert result["changed"] and result["action"] == "unchanged" and result["bytes_sent"] == 0
    assert fetch(connection, DATA_VOLUME, "disk", namespace)["metadata"]["labels"] == {"theirs": "x", "ours": "y"}
    assert not module("volume_upload", **options).result["changed"]


def test_labels_that_are_no_strings_are_set_once(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    options: dict[str, Any] = {
        "name": "disk",
        "namespace": namespace,
        "path": str(image),
        "labels": {"backup": True, "version": 12},
    }
    labels = module("volume_upload", **options).result["data_volume"]["metadata"]["labels"]
    assert labels == {"backup": "true", "version": "12"}
    assert not module("volume_upload", **options).result["changed"]


def _checksum(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_labels_are_set_without_reading_the_file_with_a_checksum(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None], tmp_path: Path
) -> None:
    filled("disk", image)
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "checksum": _checksum(image)}
    result = module("volume_upload", labels={"ours": "y"}, path=str(tmp_path / "nowhere"), **options).result
    assert result["changed"] and result["action"] == "unchanged"
    assert result["data_volume"]["metadata"]["labels"] == {"ours": "y"}


def test_other_difference_is_refused_with_a_checksum(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "checksum": _checksum(image)}
    result = module("volume_upload", preallocation=True, path=str(image), **options).result
    assert result["failed"] and "preallocation: unset on the cluster, true requested" in result["msg"]


def test_upload_that_is_recorded_late_gets_its_labels(
    connection: Connection, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    annotations = {
        "kubevirt.cdi/uploaded-sha256": None,
        "kubevirt.cdi/upload-sha256": hashlib.sha256(image.read_bytes()).hexdigest(),
    }
    connection.merge(
        PERSISTENT_VOLUME_CLAIM, "disk", namespace, {"metadata": {"annotations": annotations}}, dry_run=False
    )
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "path": str(image), "labels": {"ours": "y"}}
    result = module("volume_upload", **options).result
    assert result["action"] == "recorded" and result["diff"]["after"]["metadata"]["labels"] == {"ours": "y"}
    assert not module("volume_upload", **options).result["changed"]


def test_volume_that_is_being_deleted_counts_as_missing(
    connection: Connection, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    keep = {"metadata": {"finalizers": ["kubevirt.cdi/test"]}}
    connection.merge(DATA_VOLUME, "disk", namespace, keep, dry_run=False)
    connection.delete(DATA_VOLUME, "disk", namespace, dry_run=False)
    connection.delete(PERSISTENT_VOLUME_CLAIM, "disk", namespace, dry_run=False)
    result = module("volume_upload", name="disk", namespace=namespace, path=str(image), check=True).result
    connection.merge(DATA_VOLUME, "disk", namespace, {"metadata": {"finalizers": None}}, dry_run=False)
    assert result["changed"] and result["action"] == "uploaded"


def test_disk_is_not_sent_to_a_volume_for_archives(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("files", image, phase="UploadReady", content_type="archive")
    result = module("volume_upload", name="files", namespace=namespace, path=str(image)).result
    assert result["failed"] and "content_type: 'archive' on the cluster, 'kubevirt' requested" in result["msg"]
    assert result["bytes_sent"] == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"checksum": "md5:12"}, "checksum of disk is 'md5:12'; give sha256:"),
        ({"name": "Bad_Name"}, "name is 'Bad_Name'"),
        ({"storage": {"size": "ten"}}, "'ten' is not a Kubernetes quantity"),
        ({"storage": {"size": "1Gi"}, "pvc": {"size": "1Gi"}}, "storage and pvc"),
        ({"content_type": "archive", "storage": {"volume_mode": "Block"}}, "an archive needs a file system"),
        ({"parallel": 0}, "parallel is 0"),
        ({"retries": -1}, "retries is -1"),
        (
            {"content_type": "archive", "format": "raw"},
            "disk has content_type=archive and format=raw; give one of them",
        ),
    ],
)
def test_invalid_option_is_refused_before_a_request(
    wire: Wire, module: RunModule, namespace: str, image: Path, options: dict[str, Any], expected: str
) -> None:
    result = module("volume_upload", **{"name": "disk", "namespace": namespace, "path": str(image), **options}).result
    assert result["failed"] and expected in result["msg"], result["msg"]
    assert wire.requests == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"path": "/nowhere"}, "File /nowhere was not found on the host that runs the task ("),
        ({"path": "ftp://example.com/disk.img"}, "of URLs, module volume_upload accepts those of http and https"),
        ({"path": "/dev/zero"}, "is a character device, which cannot be uploaded"),
        (
            {"path": "/etc"},
            "is a directory, which cannot be uploaded; set a file or a block device. With option paths, ",
        ),
        ({"checksum": f"sha256:{'0' * 64}"}, "does not match checksum: expected sha256:0000"),
        ({"storage": {"size": "1Mi "}}, "size is '1Mi'"),
        ({"content_type": "archive"}, "is a disk image (raw)"),
    ],
)
def test_unsuitable_file_is_refused_before_a_write(
    wire: Wire, module: RunModule, namespace: str, image: Path, options: dict[str, Any], expected: str
) -> None:
    result = module("volume_upload", **{"name": "disk", "namespace": namespace, "path": str(image), **options}).result
    assert result["failed"] and expected in result["msg"], result["msg"]
    assert wire.writes() == [] and result["bytes_sent"] == 0


def test_predicted_volume_has_all_requested_fields(module: RunModule, namespace: str, image: Path) -> None:
    made = module(
        "volume_upload",
        check=True,
        name="disk",
        namespace=namespace,
        path=str(image),
        labels={"a": "b"},
        annotations={"c": "d"},
        preallocation=True,
        pvc={"access_modes": ["ReadWriteOnce"], "volume_mode": "Block", "storage_class_name": "thin"},
    ).result["data_volume"]
    assert made["metadata"]["labels"] == {"a": "b"}
    assert made["metadata"]["annotations"] == {"c": "d", "cdi.kubevirt.io/storage.bind.immediate.requested": "true"}
    assert made["spec"] == {
        "source": {"upload": {}},
        "preallocation": True,
        "pvc": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Mi"}},
            "storageClassName": "thin",
            "volumeMode": "Block",
        },
    }


def test_ignored_preallocation_gives_a_warning(module: RunModule, namespace: str, image: Path, tmp_path: Path) -> None:
    archive = tmp_path / "files.tar"
    with tarfile.open(archive, "w") as file:
        file.add(image, "disk.raw")
    uploads = [
        {"name": "disk", "path": str(image), "preallocation": True},
        {"name": "files", "path": str(archive), "preallocation": True},
        {"name": "unasked", "path": str(archive)},
    ]
    ran = module("volume_upload", check=True, namespace=namespace, uploads=uploads)
    ignored = "CDI does not preallocate archives."
    assert [warning for warning in ran.warnings if "preallocated" in warning] == [
        f"DataVolume {namespace}/files is not preallocated: {ignored}"
    ]
    assert [item["preallocation"]["ignored"] for item in ran.result["uploads"]] == [None, ignored, None]


def test_incomplete_upload_of_another_file_is_replaced(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image, phase="UploadReady")
    annotations = {"metadata": {"annotations": {"kubevirt.cdi/upload-sha256": "0" * 64}}}
    connection.merge(PERSISTENT_VOLUME_CLAIM, "disk", namespace, annotations, dry_run=False)
    wire.requests.clear()
    result = module("volume_upload", check=True, name="disk", namespace=namespace, path=str(image)).result
    assert result["action"] == "replaced" and "0" * 64 in result["reason"]
    assert wire.writes() == []


def test_missing_right_is_named(module: RunModule, namespace: str, image: Path) -> None:
    result = module(
        "volume_upload", token="test-limited-token", name="disk", namespace=namespace, path=str(image)
    ).result
    assert result["failed"] and "Cannot get DataVolume" in result["msg"] and "grant the verb" in result["msg"]


def test_token_is_never_in_the_result(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    ran = module("volume_upload", name="disk", namespace=namespace, path=str(image))
    assert "test-admin-token" not in ran.output and json.loads(ran.output)
