# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DataVolumes of every source that can be served here, by one task; binding, and what CDI makes of our words."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
    Resource,
)

from tests.cluster.digests import digests
from tests.cluster.runtime.fixtures_objects import ACCESS_KEY, OBJECT, PRIVATE_BUCKET, PUBLIC_BUCKET, SECRET_KEY
from tests.modules import run_module

KUBECONFIG = os.environ["KUBECONFIG"]
HTTP, HTTPS = os.environ["KUBEVIRT_CDI_TEST_HTTP"], os.environ["KUBEVIRT_CDI_TEST_HTTPS"]
REGISTRY = os.environ["KUBEVIRT_CDI_TEST_REGISTRY"]
OBJECTS, OBJECTS_TLS = os.environ["KUBEVIRT_CDI_TEST_OBJECTS"], os.environ["KUBEVIRT_CDI_TEST_OBJECTS_TLS"]
IMAGES = Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"])
DISK_BYTES = 64 << 20
CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap", True)
SECRET = Resource("", "v1", "secrets", "Secret", True)
DATA_SOURCE = Resource("cdi.kubevirt.io", "v1beta1", "datasources", "DataSource", True)
SNAPSHOT = Resource("snapshot.storage.k8s.io", "v1", "volumesnapshots", "VolumeSnapshot", True)
STORAGE = {"size": "128Mi", "storage_class_name": "thin"}
CLAIM = {**STORAGE, "access_modes": ["ReadWriteOnce"]}
SNAPSHOT_REFERENCE = {"api_group": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "golden"}


def sha256_of(image: str) -> str:
    return (IMAGES / f"{image}.sha256").read_text().split()[0]


def declare(namespace: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    arguments = {"kubeconfig": KUBECONFIG, "namespace": namespace, "wait_timeout": 300, **options}
    return run_module("data_volume", arguments, check=check).result


def create(connection: Connection, resource: Resource, namespace: str, name: str, **fields: Any) -> None:
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **fields}
    connection.create(resource, body, namespace, dry_run=False)


@pytest.fixture(scope="module")
def own_namespace(connection: Connection, cdi: None) -> Iterator[str]:
    name = f"volumes-{uuid.uuid4().hex[:6]}"
    connection.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run=False)
    yield name
    connection.delete(NAMESPACE, name, dry_run=False)


@pytest.fixture(scope="module")
def golden(connection: Connection, own_namespace: str) -> str:
    """A filled volume with a snapshot and a DataSource, and the Secrets and the CA that imports need."""
    create(
        connection,
        CONFIG_MAP,
        own_namespace,
        "ca",
        data={"ca.crt": Path(os.environ["KUBEVIRT_CDI_TEST_CA"]).read_text()},
    )
    keys = {"basic": ("test-user", "test-password"), "s3": (ACCESS_KEY, SECRET_KEY)}
    for name, (access, secret) in keys.items():
        create(connection, SECRET, own_namespace, name, stringData={"accessKeyId": access, "secretKey": secret})
    made = declare(own_namespace, name="golden", source={"http": {"url": f"{HTTP}/disk.qcow2"}}, storage=STORAGE)
    assert made["phase"] == "Succeeded", made["msg"]
    spec = {"volumeSnapshotClassName": "thin", "source": {"persistentVolumeClaimName": "golden"}}
    create(connection, SNAPSHOT, own_namespace, "golden", spec=spec)
    source = {"source": {"pvc": {"name": "golden", "namespace": own_namespace}}}
    create(connection, DATA_SOURCE, own_namespace, "golden", spec=source)
    return own_namespace


def of_every_source() -> list[dict[str, Any]]:
    """Volumes that all hold the test disk, but for `blank` and `archive`."""
    checksum = f"sha256:{sha256_of('disk.qcow2')}"
    secured = {"url": f"{HTTPS}/auth/disk.qcow2", "secret_ref": "basic", "cert_config_map": "ca", "checksum": checksum}
    over_tls = f"docker://{urlsplit(HTTPS).netloc}/container-disk:1"
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    pod = {"url": over_tls, "cert_config_map": "ca", "platform": {"architecture": architecture}}
    node = {"url": f"docker://{REGISTRY}/container-disk:1", "pull_method": "node"}
    s3 = {"url": f"{OBJECTS_TLS}/{PRIVATE_BUCKET}/{OBJECT}", "secret_ref": "s3", "cert_config_map": "ca"}
    sources: dict[str, dict[str, Any]] = {
        "http": {"source": {"http": secured}},
        "s3": {"source": {"s3": s3}},
        # Without a key, the object store answers as Google Cloud Storage's XML API does.
        "gcs": {"source": {"gcs": {"url": f"{OBJECTS}/{PUBLIC_BUCKET}/{OBJECT}"}}},
        "registry-pod": {"source": {"registry": pod}},
        "registry-node": {"source": {"registry": node}},
        "blank": {"source": {"blank": {}}, "preallocation": True, "priority_class_name": "system-node-critical"},
        "archive": {"source": {"http": {"url": f"{HTTP}/disk.tar"}}, "content_type": "archive"},
        "clone": {"source": {"pvc": {"name": "golden"}}},
        # CDI wants a snapshot's whole restore size, the file system's overhead included.
        "snapshot": {"source": {"snapshot": {"name": "golden"}}, "storage": {**STORAGE, "size": "160Mi"}},
        "source-ref": {"source_ref": {"name": "golden"}, "storage": {"storage_class_name": "thin"}},
        "pvc-api": {
            "source": {"http": {"url": f"{HTTP}/disk.raw.gz"}},
            "storage": None,
            "pvc": {**CLAIM, "volume_mode": "Block"},
        },
        "external-snapshot": {
            "storage": {**STORAGE, "size": "160Mi", "data_source_ref": SNAPSHOT_REFERENCE},
            "wait_for": "bound",
        },
        "external-claim": {
            "storage": None,
            "pvc": {**CLAIM, "size": "200Mi", "data_source": {"kind": "PersistentVolumeClaim", "name": "golden"}},
        },
    }
    return [{"name": name, "storage": STORAGE, **options} for name, options in sources.items()]


@pytest.fixture(scope="module")
def volumes(golden: str) -> dict[str, dict[str, Any]]:
    """The results of one task, by name, and of its second run as `again`."""
    declared = of_every_source()
    first = declare(golden, data_volumes=declared)
    assert not first.get("failed"), first["msg"]
    again = declare(golden, data_volumes=declared)
    return {"again": again, **{item["name"]: item for item in first["data_volumes"]}}


def test_the_second_run_changes_nothing(volumes: dict[str, dict[str, Any]]) -> None:
    assert not volumes["again"]["changed"], [item for item in volumes["again"]["data_volumes"] if item["changed"]]


def test_every_source_fills_its_volume(volumes: dict[str, dict[str, Any]]) -> None:
    phases = {name: item["phase"] for name, item in volumes.items() if name != "again"}
    assert phases == dict.fromkeys(phases, "Succeeded") and len(phases) == 13


def test_all_that_hold_the_disk_hold_the_same(golden: str, volumes: dict[str, dict[str, Any]]) -> None:
    others = ("again", "blank", "archive")
    claims = [f"{golden}/{name}" for name in volumes if name not in others]
    found = digests(KUBECONFIG, claims, DISK_BYTES)
    assert found == dict.fromkeys(claims, sha256_of("disk.raw"))


def test_an_archive_is_unpacked(golden: str, volumes: dict[str, dict[str, Any]]) -> None:
    size = (IMAGES / "disk.qcow2").stat().st_size
    found = digests(KUBECONFIG, [f"{golden}/archive"], size, file="disk.qcow2")
    assert found == {f"{golden}/archive": sha256_of("disk.qcow2")}


def test_a_blank_disk_is_preallocated(volumes: dict[str, dict[str, Any]]) -> None:
    assert volumes["blank"]["preallocation"]["applied"] is True


def test_a_clone_by_data_source_has_the_size_of_its_source(
    connection: Connection, golden: str, volumes: dict[str, dict[str, Any]]
) -> None:
    claims = {name: connection.get(PERSISTENT_VOLUME_CLAIM, name, golden) for name in ("golden", "source-ref")}
    sizes = {claim["spec"]["resources"]["requests"]["storage"] for claim in claims.values()}
    assert len(sizes) == 1, sizes


def test_what_another_fills_is_there_when_it_is_bound(golden: str) -> None:
    """CDI says Succeeded although the driver refuses the claim: it is smaller than the snapshot."""
    small = {"name": "too-small", "storage": {**STORAGE, "size": "64Mi", "data_source_ref": SNAPSHOT_REFERENCE}}
    assert declare(golden, **small)["phase"] == "Succeeded"
    told = declare(golden, wait_for="bound", wait_timeout=12, **small)
    assert told["failed"] and "is less than the size" in told["msg"], told.get("msg")


def test_without_a_consumer_a_volume_waits_and_is_bound_when_that_is_said(
    connection: Connection, own_namespace: str
) -> None:
    waiting = {"storage": {"size": "64Mi", "storage_class_name": "thin-wffc"}, "source": {"blank": {}}}
    bulk = [{"name": "at-once", "binding": "immediate", **waiting}, {"name": "later", **waiting}]
    made = {item["name"]: item for item in declare(own_namespace, data_volumes=bulk)["data_volumes"]}
    assert (made["at-once"]["phase"], made["later"]["phase"]) == ("Succeeded", "PendingPopulation")
    assert not declare(own_namespace, name="later", **waiting)["changed"]
    now = declare(own_namespace, name="later", binding="immediate", **waiting)
    assert now["changed"] and now["drift"] == "metadata" and now["phase"] == "Succeeded", now.get("msg")


def test_what_cdi_spells_anew_is_no_conflict(connection: Connection, own_namespace: str) -> None:
    volume = {"name": "spelt", "source": {"blank": {}}, "storage": {"size": "65536Ki", "storage_class_name": "thin"}}
    declare(own_namespace, **volume)
    stored = connection.get(DATA_VOLUME, "spelt", own_namespace)
    assert stored and stored["spec"]["storage"]["resources"]["requests"]["storage"] == "64Mi"
    assert not declare(own_namespace, **volume)["changed"]
    labelled = declare(own_namespace, labels={"tier": "gold"}, **volume)
    assert labelled["changed"] and not labelled.get("failed"), labelled["msg"]


@pytest.mark.parametrize(
    "source",
    [
        {
            "imageio": {
                "url": "https://ovirt/ovirt-engine/api",
                "disk_id": "1",
                "secret_ref": "s",
                "cert_config_map": "c",
            }
        },
        {"imageio": {"url": "https://ovirt/", "disk_id": "1", "secret_ref": "s", "insecure_skip_verify": True}},
        {
            "vddk": {
                "url": "https://vcenter.example.com/sdk",
                "uuid": "u",
                "backing_file": "[ds] vm/vm.vmdk",
                "thumbprint": "20:6C",
                "secret_ref": "s",
                "init_image_url": "registry/vddk:1",
                "extra_args": "m",
            }
        },
    ],
)
def test_what_cannot_be_served_here_is_accepted_by_cdi(own_namespace: str, source: dict[str, Any]) -> None:
    checkpoints = {"checkpoints": [{"previous": "", "current": "one"}], "final_checkpoint": True}
    tried = declare(own_namespace, check=True, name="tried", source=source, storage=STORAGE, **checkpoints)
    assert tried["changed"] and not tried.get("failed"), tried["msg"]
