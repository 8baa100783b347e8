# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same disk arrives in each encoding: in each kind of volume, also preallocated, and after interruptions."""

from __future__ import annotations

import lzma
import os
import signal
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import PERSISTENT_VOLUME_CLAIM, POD

from tests.cluster.digests import digests
from tests.cluster.versions import HELPER_IMAGE
from tests.real.objects import create, existing, until
from tests.real.uploads import KUBECONFIG, MIB, THIN, Images, module_process, upload_server_killed, when_sent

INPUTS = ("raw", "qcow2", "raw-gz", "raw-xz", "raw-zst")
ENCODINGS = ("file", "raw_gz", "qcow2")
RECORD = "kubevirt.cdi/uploaded-sha256"
BLOCK = {**THIN, "volume_mode": "Block"}


def _name(*parts: str) -> str:
    return "-".join(parts).replace("_", "-")


def test_disk_is_the_same_in_each_encoding_and_kind_of_volume(images: Images, namespace: str, ok: Any) -> None:
    """Each input in each encoding; each encoding in each other kind of volume."""
    uploads: list[dict[str, Any]] = [
        {"name": _name(name, encoding), "path": images.disks[name], "encoding": encoding, "storage": THIN}
        for name, encoding in product(INPUTS, ENCODINGS)
    ]
    for encoding in ENCODINGS:
        each: dict[str, Any] = {"path": images.disks["raw"], "encoding": encoding}
        uploads += [
            {**each, "name": _name("block", encoding), "storage": BLOCK, "verify_content": True},
            {**each, "name": _name("thick", encoding), "storage": THIN, "preallocation": True},
            {**each, "name": _name("thick-block", encoding), "storage": BLOCK, "preallocation": True},
        ]
    result = ok("volume_upload", namespace=namespace, uploads=uploads, parallel=4)
    claims = [f"{namespace}/{upload['name']}" for upload in uploads]
    assert digests(KUBECONFIG, claims, images.size) == dict.fromkeys(claims, images.sha256)
    for item, upload in zip(result["uploads"], uploads, strict=True):
        assert item["encoding"] == upload["encoding"]
        assert item["content_sha256"] == (images.sha256 if upload.get("verify_content") else None)
        assert not upload.get("preallocation") or item["preallocation"]["applied"], item["name"]
    assert len({item["digest"] for item in result["uploads"]}) == 1
    again = ok(
        "volume_upload", namespace=namespace, uploads=[{**each, "path": images.disks["raw"]} for each in uploads]
    )
    assert not again["changed"]


def test_image_that_cdi_corrupts_arrives_whole(namespace: str, ok: Any, module: Any, tmp_path: Path) -> None:
    """CDI 1.65 loses bytes of an xz file whose first bytes unpack to much."""
    disk = bytes(80 * MIB) + os.urandom(MIB)
    path = tmp_path / "disk.raw.xz"
    path.write_bytes(lzma.compress(disk, preset=0))
    options = {"namespace": namespace, "path": str(path), "storage": THIN}
    result = ok("volume_upload", name="whole", verify_content=True, **options)
    assert (result["encoding"], result["content_sha256"]) == ("qcow2", sha256(disk).hexdigest())
    assert result["bytes_sent"] < 3 * MIB
    spoiled = module("volume_upload", name="spoiled", verify_content=True, encoding="file", retries=0, **options).result
    assert spoiled["failed"], "CDI no longer corrupts it: say so in docs/uploads.md"


@pytest.mark.parametrize("encoding", ["raw_gz", "qcow2"])
def test_interrupted_upload_is_completed_in_each_encoding(
    images: Images, namespace: str, ok: Any, connection: Connection, tmp_path: Path, encoding: str
) -> None:
    """The module is killed midway, then the upload server of the next run."""
    progress = tmp_path / "progress"
    options = {
        "name": "disk",
        "namespace": namespace,
        "path": str(images.large),
        "encoding": encoding,
        "progress_file": str(progress),
        "storage": {**THIN, "size": "300Mi"},
    }
    with module_process("volume_upload", options) as process:
        when_sent(progress, 20)
        process.send_signal(signal.SIGKILL)
    progress.unlink()
    with upload_server_killed(connection, namespace, progress, 20) as killed:
        result = ok("volume_upload", **options, verify_content=True)
    assert killed and result["encoding"] == encoding
    content = images.large.read_bytes()
    assert result["content_sha256"] == sha256(content).hexdigest()
    claim = f"{namespace}/disk"
    assert digests(KUBECONFIG, [claim], len(content)) == {claim: sha256(content).hexdigest()}
    assert ok("volume_upload", **options)["action"] == "unchanged"


def _run_with_volume(connection: Connection, namespace: str, script: str) -> None:
    """Run a script in a pod that has the volume `disk` at /volume."""
    writer = {
        "name": "writer",
        "image": HELPER_IMAGE,
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
    }
    volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": "disk"}}]
    spec = {"restartPolicy": "Never", "containers": [writer], "volumes": volumes}
    create(connection, POD, "writer", namespace, spec=spec)
    until(
        lambda: existing(connection, POD, "writer", namespace)["status"].get("phase") == "Succeeded",
        120,
        "the script did not succeed",
    )
    connection.delete(POD, "writer", namespace, dry_run=False)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_full_file_system_is_reported_in_each_encoding(
    images: Images, namespace: str, module: Any, connection: Connection, encoding: str
) -> None:
    """The claim has other files, so that the disk does not fit into it."""
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "thin",
        "resources": {"requests": {"storage": "160Mi"}},
    }
    accepts = {"annotations": {"cdi.kubevirt.io/storage.upload.target": ""}}
    create(connection, PERSISTENT_VOLUME_CLAIM, "disk", namespace, metadata=accepts, spec=claim)
    _run_with_volume(connection, namespace, "head -c 120M /dev/urandom > /volume/others")
    options = {"name": "disk", "namespace": namespace, "path": images.disks["raw"], "encoding": encoding}
    result = module("volume_upload", **options, retries=1).result
    assert result["failed"] and result["action"] == "begun", result["msg"]
    assert "larger than the reported available storage" in result["msg"], result["msg"]
    assert "remove other files from the volume" in result["msg"], result["msg"]


def test_volume_with_other_content_is_reported(
    images: Images, namespace: str, ok: Any, module: Any, connection: Connection
) -> None:
    """As if the storage had lost a write after the data were sent, and the task had been killed then."""
    options = {"name": "disk", "namespace": namespace, "path": images.disks["raw"], "storage": THIN}
    claim = ok("volume_upload", **options)["persistent_volume_claim"]
    recorded = {RECORD: None, "kubevirt.cdi/upload-sha256": claim["metadata"]["annotations"][RECORD]}
    connection.merge(PERSISTENT_VOLUME_CLAIM, "disk", namespace, {"metadata": {"annotations": recorded}}, dry_run=False)
    _run_with_volume(connection, namespace, "printf changed | dd of=/volume/disk.img bs=1 seek=1000000 conv=notrunc")
    result = module("volume_upload", **options, verify_content=True).result
    assert result["failed"] and "does not contain the disk that was sent" in result["msg"]
    assert images.sha256 in result["msg"] and "overwrite=different" in result["msg"]
    unknown = module("volume_upload", **options).result
    assert unknown["failed"] and "it is not known which file it contains" in unknown["msg"]
    replaced = ok("volume_upload", **options, verify_content=True, overwrite="different")
    assert (replaced["action"], replaced["content_sha256"]) == ("replaced", images.sha256)
