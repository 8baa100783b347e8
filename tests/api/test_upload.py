# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module volume_upload on the wire: what is asked before a byte moves, what check mode says, what is refused."""

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
from kubernetes import client, config

from tests.api.conftest import fetch
from tests.modules import RunModule
from tests.wire import Wire

MIB = 1024 * 1024


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(os.urandom(2 * MIB))
    return path


@pytest.fixture
def filled(connection: Connection, namespace: str) -> Callable[..., None]:
    """Makes a DataVolume as CDI leaves it after an upload of the file."""
    objects = client.CustomObjectsApi(config.new_client_from_config(os.environ["KUBECONFIG"]))

    def fill(
        name: str, path: Path, phase: str = "Succeeded", size: str = "2Mi", content_type: str = "kubevirt"
    ) -> None:
        storage = {"resources": {"requests": {"storage": size}}}
        spec = {"source": {"upload": {}}, "storage": storage, "contentType": content_type}
        volume = {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", "metadata": {"name": name}, "spec": spec}
        connection.create(DATA_VOLUME, volume, namespace, dry_run=False)
        kind = (DATA_VOLUME.group, DATA_VOLUME.version, namespace, DATA_VOLUME.plural, name)
        objects.patch_namespaced_custom_object_status(*kind, {"status": {"phase": phase}})
        noted = {"kubevirt.cdi/uploaded-sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "annotations": noted if phase == "Succeeded" else {}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        }
        connection.create(PERSISTENT_VOLUME_CLAIM, body, namespace, dry_run=False)

    return fill


def test_an_uploaded_file_costs_two_gets(
    wire: Wire, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    wire.requests.clear()
    result = module("volume_upload", name="disk", namespace=namespace, path=str(image)).result
    assert not result["changed"] and result["action"] == "unchanged" and result["bytes_sent"] == 0
    assert [method for method, _path in wire.requests] == ["GET", "GET"]


def test_twenty_uploaded_files_cost_two_lists(
    wire: Wire, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    names = [f"disk-{number}" for number in range(20)]
    for name in names:
        filled(name, image)
    wire.requests.clear()
    uploads = [{"name": name, "path": str(image)} for name in names]
    assert not module("volume_upload", namespace=namespace, uploads=uploads).result["changed"]
    assert len(wire.requests) == 2


def test_check_mode_says_what_would_be_done_and_writes_nothing(
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
    told = {item["name"]: (item["action"], item["changed"], item["bytes_sent"]) for item in result["uploads"]}
    assert told == {
        "same": ("unchanged", False, 0),
        "other": ("replaced", True, 0),
        "empty": ("uploaded", True, 0),
        "missing": ("uploaded", True, 0),
    }
    assert wire.writes() == []
    assert result["uploads"][3]["data_volume"]["spec"]["storage"]["resources"]["requests"]["storage"] == "2Mi"


def test_a_namespace_that_may_not_be_read_keeps_nothing_from_others(
    wire: Wire, module: RunModule, namespace: str, image: Path
) -> None:
    uploads = [{"name": "disk", "path": str(image), "namespace": each} for each in ("aaa-not-ours", namespace)]
    said = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "Forbidden",
        "message": "no",
        "code": 403,
    }
    wire.faults = [(403, {"Content-Type": "application/json"}, json.dumps(said).encode())]
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


def test_labels_of_a_filled_volume_follow_and_others_stay(
    connection: Connection, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    connection.merge(DATA_VOLUME, "disk", namespace, {"metadata": {"labels": {"theirs": "x"}}}, dry_run=False)
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "path": str(image), "labels": {"ours": "y"}}
    result = module("volume_upload", **options).result
    assert result["changed"] and result["action"] == "unchanged" and result["bytes_sent"] == 0
    assert fetch(connection, DATA_VOLUME, "disk", namespace)["metadata"]["labels"] == {"theirs": "x", "ours": "y"}
    assert not module("volume_upload", **options).result["changed"]


def test_labels_that_yaml_does_not_take_for_texts_are_set_once(
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


def test_with_a_checksum_the_labels_follow_and_nothing_is_read(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None], tmp_path: Path
) -> None:
    filled("disk", image)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    options: dict[str, Any] = {
        "name": "disk",
        "namespace": namespace,
        "path": str(tmp_path / "nowhere"),
        "checksum": f"sha256:{digest}",
    }
    result = module("volume_upload", labels={"ours": "y"}, **options).result
    assert result["changed"] and result["action"] == "unchanged"
    assert result["data_volume"]["metadata"]["labels"] == {"ours": "y"}


def test_a_checksum_hides_no_other_difference(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    digest = hashlib.sha256(image.read_bytes()).hexdigest()
    options: dict[str, Any] = {
        "name": "disk",
        "namespace": namespace,
        "path": str(image),
        "checksum": f"sha256:{digest}",
    }
    result = module("volume_upload", preallocation=True, **options).result
    assert result["failed"] and "preallocation: unset on the cluster, true requested" in result["msg"]


def test_what_is_recorded_late_is_labelled_too(
    connection: Connection, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    noted = {
        "kubevirt.cdi/uploaded-sha256": None,
        "kubevirt.cdi/upload-sha256": hashlib.sha256(image.read_bytes()).hexdigest(),
    }
    connection.merge(PERSISTENT_VOLUME_CLAIM, "disk", namespace, {"metadata": {"annotations": noted}}, dry_run=False)
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "path": str(image), "labels": {"ours": "y"}}
    result = module("volume_upload", **options).result
    assert result["action"] == "recorded" and result["diff"]["after"]["metadata"]["labels"] == {"ours": "y"}
    assert not module("volume_upload", **options).result["changed"]


def test_a_volume_that_is_being_deleted_holds_nothing(
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


def test_a_disk_is_not_sent_to_a_volume_for_archives(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("files", image, phase="UploadReady", content_type="archive")
    result = module("volume_upload", name="files", namespace=namespace, path=str(image)).result
    assert result["failed"] and "content_type: 'archive' on the cluster, 'kubevirt' requested" in result["msg"]
    assert result["bytes_sent"] == 0


@pytest.mark.parametrize(
    ("options", "named"),
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
def test_bad_options_end_before_any_request(
    wire: Wire, module: RunModule, namespace: str, image: Path, options: dict[str, Any], named: str
) -> None:
    result = module("volume_upload", **{"name": "disk", "namespace": namespace, "path": str(image), **options}).result
    assert result["failed"] and named in result["msg"], result["msg"]
    assert wire.requests == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"path": "/nowhere"}, "File /nowhere was not found on the host that runs the task ("),
        ({"path": "https://example.com/disk.img"}, "for a URL use module data_volume with source.http"),
        ({"path": "/dev/zero"}, "is a character device, which cannot be uploaded"),
        ({"path": "/etc"}, "is a directory, which cannot be uploaded"),
        ({"checksum": f"sha256:{'0' * 64}"}, "does not match checksum: expected sha256:0000"),
        ({"storage": {"size": "1Mi "}}, "size is '1Mi'"),
        ({"content_type": "archive"}, "is a disk image (raw)"),
    ],
)
def test_a_file_that_does_not_fit_ends_before_any_write(
    wire: Wire, module: RunModule, namespace: str, image: Path, options: dict[str, Any], named: str
) -> None:
    result = module("volume_upload", **{"name": "disk", "namespace": namespace, "path": str(image), **options}).result
    assert result["failed"] and named in result["msg"], result["msg"]
    assert wire.writes() == [] and result["bytes_sent"] == 0


def test_the_volume_that_would_be_made_carries_what_was_asked_for(
    module: RunModule, namespace: str, image: Path
) -> None:
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


def test_a_preallocation_that_cdi_ignores_is_warned_of(
    module: RunModule, namespace: str, image: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "files.tar"
    with tarfile.open(archive, "w") as file:
        file.add(image, "disk.raw")
    uploads = [
        {"name": "disk", "path": str(image), "preallocation": True},
        {"name": "files", "path": str(archive), "preallocation": True},
        {"name": "unasked", "path": str(archive)},
    ]
    ran = module("volume_upload", check=True, namespace=namespace, uploads=uploads)
    told = "CDI does not preallocate archives."
    assert [warning for warning in ran.warnings if "preallocated" in warning] == [
        f"DataVolume {namespace}/files is not preallocated: {told}"
    ]
    assert [item["preallocation"]["ignored"] for item in ran.result["uploads"]] == [None, told, None]


def test_the_remains_of_another_file_are_replaced(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image, phase="UploadReady")
    noted = {"metadata": {"annotations": {"kubevirt.cdi/upload-sha256": "0" * 64}}}
    connection.merge(PERSISTENT_VOLUME_CLAIM, "disk", namespace, noted, dry_run=False)
    wire.requests.clear()
    result = module("volume_upload", check=True, name="disk", namespace=namespace, path=str(image)).result
    assert result["action"] == "replaced" and "0" * 64 in result["reason"]
    assert wire.writes() == []


def test_without_a_right_the_refusal_names_it(module: RunModule, namespace: str, image: Path) -> None:
    result = module(
        "volume_upload", token="test-limited-token", name="disk", namespace=namespace, path=str(image)
    ).result
    assert result["failed"] and "Cannot get DataVolume" in result["msg"] and "grant the verb" in result["msg"]


def test_nothing_secret_is_in_a_result(
    module: RunModule, namespace: str, image: Path, filled: Callable[..., None]
) -> None:
    filled("disk", image)
    ran = module("volume_upload", name="disk", namespace=namespace, path=str(image))
    assert "test-admin-token" not in ran.output and json.loads(ran.output)
