# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preallocation: the claims of CDI's documentation (P1 to P17), as CDI behaves today.

P17 is a rule of KubeVirt: the test applies it to what CDI records.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
)
from kubernetes import client

from tests.cluster.build.disk_images import DISK_BYTES
from tests.cluster.digests import digests
from tests.cluster.versions import HELPER_IMAGE
from tests.modules import official_client, run_on_cluster
from tests.real.objects import create, until
from tests.real.scratch_setup import HTTP, IMAGES, SIZE, Cell, cdi_config, effective, namespace_with_credentials

KUBECONFIG = os.environ["KUBECONFIG"]
BLOCK = {**SIZE, "volume_mode": "Block"}
RETAINED = {"cdi.kubevirt.io/storage.pod.retainAfterCompletion": "true"}
METHOD = "cdi.kubevirt.io/cloneType"
_IMAGE = {"http": {"url": f"{HTTP}/disk.qcow2"}}


def _volume(name: str, source: dict[str, Any], preallocation: bool | None, **more: Any) -> dict[str, Any]:
    return {"name": name, "source": source, "storage": SIZE, "preallocation": preallocation, **more}


def _clone(name: str, method: str, preallocation: bool) -> dict[str, Any]:
    return _volume(name, {"pvc": {"name": "http-thin"}}, preallocation, annotations={METHOD: method})


VOLUMES = [
    _volume("http-thick", _IMAGE, True, annotations=RETAINED),
    _volume("http-thin", _IMAGE, False),
    {
        "name": "pvc-thick",
        "source": _IMAGE,
        "pvc": {**SIZE, "size": "72Mi", "access_modes": ["ReadWriteOnce"]},
        "preallocation": True,
    },
    _volume("http-block-thick", _IMAGE, True, storage=BLOCK, annotations=RETAINED),
    {**Cell("qcow2", "Registry").volume, "name": "registry-thick", "preallocation": True},
    {**Cell("tar", "HTTP").volume, "name": "archive-thick", "preallocation": True},
    _volume("blank-thick", {"blank": {}}, True, annotations=RETAINED),
    _volume("blank-thin", {"blank": {}}, False),
    _volume("blank-unset", {"blank": {}}, None),
    _volume("blank-block-thick", {"blank": {}}, True, storage=BLOCK),
]
CLONES = [
    _clone("copy-thick", "copy", True),
    _clone("copy-thin", "copy", False),
    _clone("snapshot-thick", "snapshot", True),
    _clone("csi-clone-thick", "csi-clone", True),
]


class Filled(NamedTuple):
    namespace: str
    facts: dict[str, dict[str, Any]]
    warnings: list[str]


@pytest.fixture(scope="module")
def filled(connection: Connection) -> Iterator[Filled]:
    """Volumes of all kinds, with their measured allocation."""
    with namespace_with_credentials(connection) as namespace:
        first = run_on_cluster("data_volume", namespace=namespace, data_volumes=VOLUMES, wait_timeout=300)
        upload = {"name": "upload-thick", "path": str(IMAGES / "disk.qcow2"), "storage": SIZE, "preallocation": True}
        run_on_cluster("volume_upload", namespace=namespace, uploads=[upload], wait_timeout=300)
        second = run_on_cluster("data_volume", namespace=namespace, data_volumes=CLONES, wait_timeout=300)
        info = run_on_cluster("data_volume_info", namespace=namespace, verify_allocation=True).result
        facts = {each["name"]: each for each in info["data_volumes"]}
        yield Filled(namespace, facts, first.warnings + second.warnings)


@pytest.fixture(scope="module")
def by_default(connection: Connection) -> dict[str, Any]:
    """Volumes without the option and with `false`, while the cluster's default is on; it is off before and after."""
    with namespace_with_credentials(connection) as namespace, cdi_config(connection, preallocation=None):
        until(lambda: not effective(connection).get("preallocation"), 300, "preallocation stays on")
        before = run_on_cluster("cdi_info").result
        first = run_on_cluster("cdi_config", preallocation=True).result
        second = run_on_cluster("cdi_config", preallocation=True).result
        volumes = [_volume("unset", {"blank": {}}, None), _volume("no", {"blank": {}}, False)]
        ran = run_on_cluster("data_volume", namespace=namespace, data_volumes=volumes, verify_allocation=True).result
        facts = {each["name"]: each for each in ran["data_volumes"]}
    return {"before": before, "first": first, "second": second, "facts": facts}


def allocated(facts: dict[str, Any]) -> float:
    """The allocated fraction of a volume's disk, at least 1 if all of it is allocated."""
    found = facts["allocation"]
    assert found["not_measured"] is None, found
    return float(found["allocated_bytes"] / found["size_bytes"])


def is_thick(facts: dict[str, Any]) -> bool:
    return facts["preallocation"]["applied"] is True and allocated(facts) >= 1


def is_thin(facts: dict[str, Any]) -> bool:
    return facts["preallocation"]["applied"] is False and allocated(facts) < 0.5


def backing_bytes(connection: Connection, namespace: str, name: str) -> int:
    """The bytes that the storage has allocated for a volume, in the pool of the test cluster."""
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace) or {}
    source = (connection.get(PERSISTENT_VOLUME, claim["spec"]["volumeName"]) or {})["spec"]["csi"]
    state = IMAGES.parent
    supervisor = (state / "pid").read_text().strip()
    child = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0]
    pool = Path(f"/proc/{child}/root{state}/pool/{source['driver']}")
    (image,) = pool.rglob(f"{source['volumeHandle']}.img")
    return image.stat().st_blocks * 512


@pytest.fixture
def worker_log(connection: Connection, filled: Filled) -> Callable[[str], str]:
    """Reads the log of the retained worker pod of a volume."""

    def read(name: str) -> str:
        claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, filled.namespace) or {}
        pods, _version = connection.list(POD, filled.namespace)
        (pod,) = [each for each in pods if claim["metadata"]["uid"] in each["metadata"]["name"]]
        core = client.CoreV1Api(official_client())
        return str(core.read_namespaced_pod_log(pod["metadata"]["name"], filled.namespace))

    return read


def _tried(log: str) -> list[str]:
    return re.findall(r"Adding preallocation method: \[(.*)\]", log)


def test_p2_cdi_uses_the_first_method_that_works(worker_log: Callable[[str], str]) -> None:
    """The conversion and the resize of the image try the methods in the same order."""
    assert _tried(worker_log("http-thick"))[0] == "-o preallocation=falloc"
    assert "full" not in "".join(_tried(worker_log("http-thick")))


def test_p3_cdi_writes_zeros_to_a_block_device_when_other_methods_fail(
    connection: Connection, filled: Filled, worker_log: Callable[[str], str]
) -> None:
    tried = _tried(worker_log("http-block-thick"))
    assert tried == ["-o preallocation=falloc", "-o preallocation=full", "-S 0"]
    assert backing_bytes(connection, filled.namespace, "http-block-thick") >= DISK_BYTES


@pytest.mark.parametrize("name", ["http-thick", "upload-thick", "blank-thick"])
def test_p4_preallocation_works_for_all_sources(filled: Filled, name: str) -> None:
    assert is_thick(filled.facts[name]), filled.facts[name]


@pytest.mark.parametrize("name", ["http-thick", "pvc-thick"])
def test_p5_preallocation_works_with_storage_and_pvc(filled: Filled, name: str) -> None:
    assert is_thick(filled.facts[name]), filled.facts[name]


@pytest.mark.parametrize("name", ["http-thin", "blank-thin"])
def test_p6_volume_is_sparse_without_preallocation(filled: Filled, name: str) -> None:
    assert is_thin(filled.facts[name]), filled.facts[name]


@pytest.mark.alone("changes the default of preallocation")
def test_p7_cdi_object_sets_the_default(by_default: dict[str, Any]) -> None:
    assert by_default["first"]["changed"] and by_default["first"]["effective"]["preallocation"] is True
    assert not by_default["second"]["changed"]


@pytest.mark.alone("changes the default of preallocation")
def test_p8_default_applies_to_a_volume_without_the_option(by_default: dict[str, Any]) -> None:
    assert by_default["facts"]["unset"]["preallocation"]["requested"] is True
    assert is_thick(by_default["facts"]["unset"])


@pytest.mark.alone("changes the default of preallocation")
def test_p9_option_of_a_volume_overrides_the_default(by_default: dict[str, Any]) -> None:
    assert by_default["facts"]["no"]["preallocation"]["requested"] is False
    assert is_thin(by_default["facts"]["no"])


@pytest.mark.alone("changes the default of preallocation")
def test_p10_default_is_off_unless_configured(by_default: dict[str, Any]) -> None:
    assert by_default["before"]["effective"]["preallocation"] is False


def test_p10_volume_without_the_option_is_sparse(filled: Filled) -> None:
    assert filled.facts["blank-unset"]["preallocation"]["requested"] is False and is_thin(filled.facts["blank-unset"])


@pytest.mark.parametrize("name", ["http-thick", "registry-thick"])
def test_p11_imports_preallocate(filled: Filled, name: str) -> None:
    assert is_thick(filled.facts[name]), filled.facts[name]


def test_p12_uploads_preallocate(filled: Filled) -> None:
    assert is_thick(filled.facts["upload-thick"]), filled.facts["upload-thick"]


def test_p13_copy_of_a_sparse_source_preallocates(filled: Filled) -> None:
    assert filled.facts["copy-thick"]["clone"]["method"] == "copy"
    assert is_thick(filled.facts["copy-thick"]), filled.facts["copy-thick"]
    # CDI records each copy of files as preallocated, also a sparse one. The collection reports the real state.
    assert is_thin(filled.facts["copy-thin"]), filled.facts["copy-thin"]


@pytest.mark.parametrize("method", ["snapshot", "csi-clone"])
def test_p13_clone_that_shares_blocks_warns_that_it_is_sparse(filled: Filled, method: str) -> None:
    name = f"{method}-thick"
    assert filled.facts[name]["clone"]["method"] == method
    facts = filled.facts[name]["preallocation"]
    assert (facts["requested"], facts["applied"], facts["supported"]) == (True, False, False)
    assert allocated(filled.facts[name]) < 0.5
    assert any(f"{filled.namespace}/{name} is not preallocated" in warning for warning in filled.warnings)


def test_archive_warns_that_it_is_sparse(filled: Filled) -> None:
    facts = filled.facts["archive-thick"]["preallocation"]
    assert (facts["requested"], facts["applied"], facts["supported"]) == (True, False, False)
    assert any(f"{filled.namespace}/archive-thick is not preallocated" in warning for warning in filled.warnings)


def test_p14_blank_disk_uses_only_fallocate(filled: Filled, worker_log: Callable[[str], str]) -> None:
    """On a file system without fallocate CDI fails: unlike an import, it has no other method."""
    assert is_thick(filled.facts["blank-thick"])
    assert _tried(worker_log("blank-thick")) == [] and "Added preallocation" in worker_log("blank-thick")


def test_p15_blank_block_device_is_filled_with_zeros(connection: Connection, filled: Filled) -> None:
    assert backing_bytes(connection, filled.namespace, "blank-block-thick") >= DISK_BYTES
    name = f"{filled.namespace}/blank-block-thick"
    assert digests(KUBECONFIG, [name], DISK_BYTES)[name] == hashlib.sha256(bytes(DISK_BYTES)).hexdigest()


def test_p16_claim_records_the_request_and_the_result(connection: Connection, filled: Filled) -> None:
    for name in ("http-thick", "http-thin", "snapshot-thick"):
        claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, filled.namespace) or {}
        recorded = claim["metadata"]["annotations"]
        facts = filled.facts[name]["preallocation"]
        assert recorded["cdi.kubevirt.io/storage.preallocation.requested"] == str(facts["requested"]).lower()
        assert (recorded.get("cdi.kubevirt.io/storage.preallocation") == "true") is facts["applied"]


def _preallocated_to_kubevirt(annotations: dict[str, str]) -> bool:
    """IsPreallocated of KubeVirt v1.8.2 (pkg/storage/types/pvc.go): if true, it turns off discard for a disk."""
    marks = ("/storage.preallocation", "/storage.thick-provisioned")
    return any(mark in key and value == "true" for key, value in annotations.items() for mark in marks)


@pytest.mark.parametrize(
    ("name", "expected"), [("http-thick", True), ("http-thin", False), ("snapshot-thick", True), ("copy-thin", True)]
)
def test_p17_kubevirt_treats_some_sparse_clones_as_preallocated(
    connection: Connection, filled: Filled, name: str, expected: bool
) -> None:
    """Its rule also applies to a request without effect, and to any copy of files: no discard for their VMs."""
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, filled.namespace) or {}
    assert _preallocated_to_kubevirt(claim["metadata"]["annotations"]) is expected
    assert is_thick(filled.facts[name]) is (name == "http-thick")


def test_block_volume_reports_that_it_cannot_be_measured(filled: Filled) -> None:
    found = filled.facts["http-block-thick"]["allocation"]
    assert found["allocated_bytes"] is None and "block device" in found["not_measured"]


def test_measuring_pods_are_deleted(connection: Connection, filled: Filled) -> None:
    def left() -> list[str]:
        pods, _version = connection.list(POD, filled.namespace)
        return [each["metadata"]["name"] for each in pods if each["metadata"]["name"].startswith("kubevirt-cdi-")]

    until(lambda: not left(), 300, "measuring pods are left")


def test_p1_first_write_is_measured(connection: Connection, filled: Filled, capsys: Any) -> None:
    """For information only: the speed depends on the storage, which is a file in the test cluster."""
    rates = {name: _first_write(connection, filled.namespace, name) for name in ("blank-thin", "blank-thick")}
    with capsys.disabled():
        print("\nfirst write of 48 MiB:", ", ".join(f"{name} {rate:.0f} MiB/s" for name, rate in rates.items()))
    assert all(rate > 0 for rate in rates.values())


def _first_write(connection: Connection, namespace: str, name: str) -> float:
    """MiB per second of dd to a disk image, without the page cache."""
    dd = "dd if=/dev/zero of=/volume/disk.img bs=1M count=48 conv=notrunc oflag=direct 2>&1 | tail -1"
    container = {
        "name": "write",
        "image": HELPER_IMAGE,
        "command": ["sh", "-c", f"{dd} > /dev/termination-log"],
        "volumeMounts": [{"name": "volume", "mountPath": "/volume"}],
    }
    volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": name}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    pod = f"write-{name}"
    create(connection, POD, pod, namespace, spec=spec)

    def result() -> Any:
        statuses = ((connection.get(POD, pod, namespace) or {}).get("status") or {}).get("containerStatuses") or [{}]
        return ((statuses[0].get("state") or {}).get("terminated") or {}).get("message")

    message = until(result, 300, "dd has not ended")
    (seconds,) = re.findall(r"([\d.e-]+) s,", message)
    return 48 / float(seconds)
