# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of filled volumes: growth, claims that are kept and adopted, and data that are only lost on request."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.spec import desired
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import parse
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
)

from tests.cluster.digests import digests
from tests.modules import run_module
from tests.real.objects import existing, new_namespace
from tests.refused_volumes import ACCEPTED, BY_CDI, volume

KUBECONFIG = os.environ["KUBECONFIG"]
DISK_BYTES = 64 << 20
IMPORT: dict[str, Any] = {"http": {"url": f"{os.environ['KUBEVIRT_CDI_TEST_HTTP']}/disk.qcow2"}}
STORAGE: dict[str, Any] = {"size": "128Mi", "storage_class_name": "thin"}
DISK = (Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"]) / "disk.raw.sha256").read_text().split()[0]


def declare(namespace: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    arguments = {"kubeconfig": KUBECONFIG, "namespace": namespace, "wait_timeout": 300, **options}
    return run_module("data_volume", arguments, check=check).result


@pytest.fixture(scope="module")
def other_namespace(connection: Connection, cdi: None) -> Iterator[str]:
    with new_namespace(connection, "changes") as name:
        yield name


@pytest.fixture(scope="module")
def filled(connection: Connection, cdi: None, other_namespace: str) -> Iterator[str]:
    """A namespace with filled volumes, one for each test below."""
    with new_namespace(connection, "changes") as namespace:
        blank: dict[str, Any] = {"source": {"blank": {}}}
        imported = ("files", "kept", "recreated")
        volumes: list[dict[str, Any]] = [{"name": name, "source": IMPORT, "storage": STORAGE} for name in imported]
        volumes += [
            {"name": "device", **blank, "storage": {**STORAGE, "volume_mode": "Block"}},
            {"name": "verbatim", **blank, "pvc": {**STORAGE, "access_modes": ["ReadWriteOnce"]}},
            {"name": "fixed", **blank, "storage": {**STORAGE, "storage_class_name": "thin-fixed"}},
        ]
        made = declare(namespace, data_volumes=volumes)
        assert not made.get("failed"), made["msg"]
        clone = {"pvc": {"name": "files", "namespace": namespace}}
        made = declare(other_namespace, name="clone", source=clone, storage=STORAGE)
        assert made["phase"] == "Succeeded", made["msg"]
        yield namespace


def _claim(connection: Connection, namespace: str, name: str) -> dict[str, Any]:
    return existing(connection, PERSISTENT_VOLUME_CLAIM, name, namespace)


def test_grown_volumes_equal_volumes_created_with_the_size(connection: Connection, filled: str) -> None:
    larger = {**STORAGE, "size": "256Mi"}
    volumes: list[dict[str, Any]] = [
        {"name": "files", "source": IMPORT, "storage": larger},
        {"name": "device", "source": {"blank": {}}, "storage": {**larger, "volume_mode": "Block"}},
        {"name": "verbatim", "source": {"blank": {}}, "pvc": {**larger, "access_modes": ["ReadWriteOnce"]}},
        {"name": "fresh", "source": {"blank": {}}, "storage": larger},
    ]
    predicted = declare(filled, check=True, data_volumes=volumes)
    grown = declare(filled, data_volumes=volumes)
    assert not grown.get("failed"), grown["msg"]
    assert {item["name"]: item["drift"] for item in grown["data_volumes"]} == {
        **dict.fromkeys(("files", "device", "verbatim"), "growable"),
        "fresh": "missing",
    }
    assert predicted["diff"][:3] == grown["diff"][:3]
    sizes = {
        item["name"]: _claim(connection, filled, item["name"])["spec"]["resources"]["requests"] for item in volumes
    }
    assert sizes["files"] == sizes["fresh"] and parse(sizes["device"]["storage"]) == parse("256Mi")
    assert parse(sizes["verbatim"]["storage"]) == parse("256Mi")
    assert not declare(filled, data_volumes=volumes)["changed"]
    # A pod uses the volume, so its file system also grows.
    assert digests(KUBECONFIG, [f"{filled}/files"], DISK_BYTES)[f"{filled}/files"] == DISK
    status = _claim(connection, filled, "files")["status"]
    assert parse(status["capacity"]["storage"]) >= parse(sizes["files"]["storage"]) and not status.get("conditions")


def test_volume_does_not_shrink(filled: str) -> None:
    refused = declare(filled, name="kept", source=IMPORT, storage={**STORAGE, "size": "64Mi"})
    assert refused["failed"] and "storage.size: '128Mi' on the cluster, '64Mi' requested" in refused["msg"]
    refused = declare(filled, name="files", source=IMPORT, storage={**STORAGE, "size": "200Mi"})
    assert refused["failed"] and "has grown to 256Mi and cannot shrink to 200Mi" in refused["msg"]


def test_class_without_expansion_is_reported(filled: str) -> None:
    larger: dict[str, Any] = {
        "name": "fixed",
        "source": {"blank": {}},
        "storage": {"size": "256Mi", "storage_class_name": "thin-fixed"},
    }
    for check in (True, False):
        refused = declare(filled, check=check, **larger)
        assert refused["failed"] and "its storage class 'thin-fixed' does not allow it" in refused["msg"], refused[
            "msg"
        ]


def test_volume_grows_instead_of_being_recreated(connection: Connection, filled: str) -> None:
    before = _claim(connection, filled, "recreated")["metadata"]["uid"]
    larger: dict[str, Any] = {
        "name": "recreated",
        "source": IMPORT,
        "storage": {**STORAGE, "size": "192Mi"},
        "on_drift": "recreate",
    }
    assert declare(filled, **larger)["drift"] == "growable"
    assert _claim(connection, filled, "recreated")["metadata"]["uid"] == before
    other: dict[str, Any] = {"name": "recreated", "source": {"blank": {}}, "storage": STORAGE, "on_drift": "recreate"}
    predicted = declare(filled, check=True, **other)
    real = declare(filled, **other)
    assert real["drift"] == "recreate" and real["phase"] == "Succeeded", real["msg"]
    assert _claim(connection, filled, "recreated")["metadata"]["uid"] != before
    assert predicted["changed"] and predicted["diff"]["after"]["spec"] == real["diff"]["after"]["spec"]


@pytest.mark.parametrize(("name", "kind"), [("kept", "import"), ("clone", "clone across namespaces")])
def test_claim_is_kept_and_adopted(
    connection: Connection, filled: str, other_namespace: str, name: str, kind: str
) -> None:
    namespace = other_namespace if kind.startswith("clone") else filled
    before = _claim(connection, namespace, name)
    gone = declare(namespace, name=name, state="absent", keep_claim=True)
    assert gone["changed"] and not gone.get("failed"), gone["msg"]
    time.sleep(3)  # The garbage collector would have deleted the claim by now.
    assert connection.get(DATA_VOLUME, name, namespace) is None
    left = _claim(connection, namespace, name)
    assert left["metadata"]["uid"] == before["metadata"]["uid"] and not left["metadata"].get("ownerReferences")
    assert not left["metadata"].get("deletionTimestamp") and left["status"]["phase"] == "Bound"
    assert digests(KUBECONFIG, [f"{namespace}/{name}"], DISK_BYTES) == {f"{namespace}/{name}": DISK}

    volume: dict[str, Any] = {"name": name, "source": {"blank": {}}, "storage": STORAGE}
    for check in (True, False):
        refused = declare(namespace, check=check, **volume)
        assert refused["failed"] and "set adopt_claim=true" in refused["msg"], refused["msg"]
    small = declare(namespace, adopt_claim=True, **{**volume, "storage": {**STORAGE, "size": "1Gi"}})
    assert small["failed"] and "cannot adopt the claim of its name: storage.size: " in small["msg"]
    adopted = declare(namespace, adopt_claim=True, **volume)
    assert (adopted["drift"], adopted["phase"]) == ("adoptable", "Succeeded"), adopted.get("msg")
    after = _claim(connection, namespace, name)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert [owner["kind"] for owner in after["metadata"]["ownerReferences"]] == ["DataVolume"]
    assert digests(KUBECONFIG, [f"{namespace}/{name}"], DISK_BYTES) == {f"{namespace}/{name}": DISK}
    assert not declare(namespace, adopt_claim=True, **volume)["changed"]


def test_volume_deleted_without_waiting_is_created_again(connection: Connection, filled: str) -> None:
    volume: dict[str, Any] = {"name": "again", "source": {"blank": {}}, "storage": STORAGE}
    declare(filled, **volume)
    before = _claim(connection, filled, "again")["metadata"]["uid"]
    declare(filled, name="again", state="absent", wait=False)
    made = declare(filled, **volume)
    assert made["changed"] and made["phase"] == "Succeeded", made.get("msg")
    assert _claim(connection, filled, "again")["metadata"]["uid"] != before


def test_claim_of_an_unfilled_volume_is_not_kept(filled: str) -> None:
    waiting: dict[str, Any] = {"storage": {"size": "64Mi", "storage_class_name": "thin-wffc"}, "source": {"blank": {}}}
    declare(filled, name="unfilled", **waiting)
    refused = declare(filled, name="unfilled", state="absent", keep_claim=True)
    assert refused["failed"] and "is not filled (phase PendingPopulation)" in refused["msg"]
    larger = declare(filled, name="unfilled", **{**waiting, "storage": {**waiting["storage"], "size": "128Mi"}})
    assert larger["drift"] == "unfilled" and larger["phase"] == "PendingPopulation", larger["msg"]


def _tried(connection: Connection, namespace: str, options: dict[str, Any]) -> str:
    """The error of CDI for a volume, empty when CDI accepts it, by a dry run."""
    wanted = desired(volume(**{**options, "namespace": namespace}))
    body = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}
    try:
        connection.create(DATA_VOLUME, body, namespace, dry_run=True)
    except ApiError as error:
        return str(error)
    return ""


def test_cdi_and_the_collection_refuse_the_same_volumes(connection: Connection, filled: str) -> None:
    accepted = [options for options, _message in BY_CDI if not _tried(connection, filled, options)]
    assert accepted == []
    refused = {str(options): _tried(connection, filled, options) for options in ACCEPTED}
    assert {options: error for options, error in refused.items() if error} == {}


def test_diff_of_a_clone_has_no_token(connection: Connection, filled: str) -> None:
    clone: dict[str, Any] = {
        "name": "tokens",
        "source": {"pvc": {"name": "kept"}},
        "storage": {**STORAGE, "storage_class_name": "thin-wffc"},
    }
    predicted = declare(filled, check=True, **clone)
    real = declare(filled, **clone)
    assert predicted["diff"] == real["diff"] and ".token" not in str(real)
    stored = connection.get(DATA_VOLUME, "tokens", filled)
    assert stored and "cdi.kubevirt.io/storage.clone.token" in stored["metadata"]["annotations"]
