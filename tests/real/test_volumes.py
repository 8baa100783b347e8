# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DataVolumes from all sources that the test cluster serves, created by one task; binding, and spellings of CDI."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    Resource,
)

from tests.cluster.digests import digests
from tests.cluster.runtime.fixtures_objects import ACCESS_KEY, OBJECT, PRIVATE_BUCKET, PUBLIC_BUCKET, SECRET_KEY
from tests.modules import run_module
from tests.real.objects import Results, create, existing, new_namespace

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
STORAGE: dict[str, Any] = {"size": "128Mi", "storage_class_name": "thin"}
CLAIM = {**STORAGE, "access_modes": ["ReadWriteOnce"]}
SNAPSHOT_REFERENCE = {"api_group": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "golden"}


def sha256_of(image: str) -> str:
    return (IMAGES / f"{image}.sha256").read_text().split()[0]


def declare(namespace: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    arguments = {"kubeconfig": KUBECONFIG, "namespace": namespace, "wait_timeout": 300, **options}
    return run_module("data_volume", arguments, check=check).result


@pytest.fixture(scope="module")
def own_namespace(connection: Connection, cdi: None) -> Iterator[str]:
    with new_namespace(connection, "volumes") as name:
        yield name


@pytest.fixture(scope="module")
def golden(connection: Connection, own_namespace: str) -> str:
    """A filled volume with a snapshot and a DataSource, and the Secrets and the ConfigMap that imports need."""
    ca = Path(os.environ["KUBEVIRT_CDI_TEST_CA"]).read_text()
    create(connection, CONFIG_MAP, "ca", own_namespace, data={"ca.crt": ca})
    keys = {"basic": ("test-user", "test-password"), "s3": (ACCESS_KEY, SECRET_KEY)}
    for name, (access, secret) in keys.items():
        create(connection, SECRET, name, own_namespace, stringData={"accessKeyId": access, "secretKey": secret})
    made = declare(own_namespace, name="golden", source={"http": {"url": f"{HTTP}/disk.qcow2"}}, storage=STORAGE)
    assert made["phase"] == "Succeeded", made["msg"]
    spec = {"volumeSnapshotClassName": "thin", "source": {"persistentVolumeClaimName": "golden"}}
    create(connection, SNAPSHOT, "golden", own_namespace, spec=spec)
    source = {"source": {"pvc": {"name": "golden", "namespace": own_namespace}}}
    create(connection, DATA_SOURCE, "golden", own_namespace, spec=source)
    return own_namespace


def of_every_source() -> list[dict[str, Any]]:
    """Volumes that contain the test disk, except `blank` and `archive`."""
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
        # CDI requires the restore size of the snapshot, including the overhead of the file system.
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
    """The results of a task, by name, and of its second run as `again`."""
    declared = of_every_source()
    first = declare(golden, data_volumes=declared)
    assert not first.get("failed"), first["msg"]
    again = declare(golden, data_volumes=declared)
    return {"again": again, **{item["name"]: item for item in first["data_volumes"]}}


def test_second_run_changes_nothing(volumes: Results) -> None:
    assert not volumes["again"]["changed"], [item for item in volumes["again"]["data_volumes"] if item["changed"]]


def test_each_source_fills_its_volume(volumes: Results) -> None:
    phases = {name: item["phase"] for name, item in volumes.items() if name != "again"}
    assert phases == dict.fromkeys(phases, "Succeeded") and len(phases) == 13


def test_volumes_have_the_content_of_the_image(golden: str, volumes: Results) -> None:
    others = ("again", "blank", "archive")
    claims = [f"{golden}/{name}" for name in volumes if name not in others]
    found = digests(KUBECONFIG, claims, DISK_BYTES)
    assert found == dict.fromkeys(claims, sha256_of("disk.raw"))


def test_archive_is_unpacked(golden: str, volumes: Results) -> None:
    size = (IMAGES / "disk.qcow2").stat().st_size
    found = digests(KUBECONFIG, [f"{golden}/archive"], size, file="disk.qcow2")
    assert found == {f"{golden}/archive": sha256_of("disk.qcow2")}


def test_blank_disk_is_preallocated(volumes: Results) -> None:
    assert volumes["blank"]["preallocation"]["applied"] is True


def test_clone_of_a_data_source_has_the_size_of_its_source(
    connection: Connection, golden: str, volumes: Results
) -> None:
    claims = [existing(connection, PERSISTENT_VOLUME_CLAIM, name, golden) for name in ("golden", "source-ref")]
    sizes = {claim["spec"]["resources"]["requests"]["storage"] for claim in claims}
    assert len(sizes) == 1, sizes


def test_externally_filled_volume_is_ready_when_it_is_bound(golden: str) -> None:
    """CDI reports Succeeded although the driver refuses the claim, which is smaller than the snapshot."""
    small: dict[str, Any] = {
        "name": "too-small",
        "storage": {**STORAGE, "size": "64Mi", "data_source_ref": SNAPSHOT_REFERENCE},
    }
    assert declare(golden, **small)["phase"] == "Succeeded"
    result = declare(golden, wait_for="bound", wait_timeout=120, **small)
    assert result["failed"] and "is less than the size" in result["msg"], result.get("msg")


def test_volume_waits_for_its_consumer_unless_binding_is_immediate(connection: Connection, own_namespace: str) -> None:
    waiting: dict[str, Any] = {"storage": {"size": "64Mi", "storage_class_name": "thin-wffc"}, "source": {"blank": {}}}
    bulk = [{"name": "immediate", "binding": "immediate", **waiting}, {"name": "later", **waiting}]
    made = {item["name"]: item for item in declare(own_namespace, data_volumes=bulk)["data_volumes"]}
    assert (made["immediate"]["phase"], made["later"]["phase"]) == ("Succeeded", "PendingPopulation")
    assert not declare(own_namespace, name="later", **waiting)["changed"]
    now = declare(own_namespace, name="later", binding="immediate", **waiting)
    assert now["changed"] and now["drift"] == "metadata" and now["phase"] == "Succeeded", now.get("msg")


def test_quantity_normalized_by_cdi_is_no_drift(connection: Connection, own_namespace: str) -> None:
    volume: dict[str, Any] = {
        "name": "normalized",
        "source": {"blank": {}},
        "storage": {"size": "65536Ki", "storage_class_name": "thin"},
    }
    declare(own_namespace, **volume)
    stored = connection.get(DATA_VOLUME, "normalized", own_namespace)
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
def test_cdi_accepts_sources_that_the_test_cluster_lacks(own_namespace: str, source: dict[str, Any]) -> None:
    checkpoints: dict[str, Any] = {"checkpoints": [{"previous": "", "current": "one"}], "final_checkpoint": True}
    tried = declare(own_namespace, check=True, name="tried", source=source, storage=STORAGE, **checkpoints)
    assert tried["changed"] and not tried.get("failed"), tried["msg"]
