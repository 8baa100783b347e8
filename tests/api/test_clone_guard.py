# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones that are checked before they are created: the same task creates their source, or it is a snapshot in error."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    NAMESPACE,
    VOLUME_SNAPSHOT,
)
from kubernetes import client

from tests.api.objects import SetStatus, fetch
from tests.modules import RunModule, official_client

SOURCE: dict[str, Any] = {"name": "golden", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
CLONE: dict[str, Any] = {
    "name": "clone",
    "source": {"pvc": {"name": "golden"}},
    "storage": {"size": "1Gi"},
    "require_clone_method": ["snapshot"],
}


@pytest.mark.parametrize(("volumes", "planned"), [([CLONE, SOURCE], []), ([CLONE], ["golden"])])
def test_check_mode_accepts_an_unpredictable_method(
    module: RunModule, namespace: str, volumes: list[Any], planned: list[Any]
) -> None:
    result = module(
        "data_volume", namespace=namespace, data_volumes=volumes, planned_sources=planned, check=True
    ).result
    assert not result.get("failed"), result["msg"]
    predicted = result["data_volumes"][0]["clone"]["predicted"]
    assert (predicted["method"], predicted["reason"]) == (None, "CDI chooses the method when the source exists.")


def test_required_method_needs_a_source(module: RunModule, connection: Connection, namespace: str) -> None:
    """A task with wait=false does not wait for a source either."""
    result = module("data_volume", namespace=namespace, data_volumes=[CLONE, SOURCE], wait=False).result
    assert result["failed"]
    assert "has no predictable clone method" in result["msg"]
    assert result["msg"].endswith("which does not exist; create the source in an earlier task.")
    assert [item["changed"] for item in result["data_volumes"]] == [False, True]
    assert connection.get(DATA_VOLUME, "clone", namespace) is None


def test_clone_is_skipped_when_its_source_in_the_task_fails(
    module: RunModule, connection: Connection, namespace: str
) -> None:
    result = module("data_volume", namespace=namespace, data_volumes=[CLONE, SOURCE], wait_timeout=1).result
    clone, source = result["data_volumes"]
    assert source["error"]
    skipped = f"DataVolume {namespace}/clone was skipped because its source failed; fix the source first: "
    assert clone["error"] == skipped + source["error"]
    assert connection.get(DATA_VOLUME, "clone", namespace) is None


@pytest.fixture
def other(connection: Connection) -> Iterator[str]:
    """Another namespace, whose name sorts after that of the first."""
    name = f"zzz-{uuid.uuid4().hex[:8]}"
    connection.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run=False)
    yield name
    connection.delete(NAMESPACE, name, dry_run=False)


@pytest.fixture
def cloned(connection: Connection, namespace: str) -> dict[str, Any]:
    """A finished clone: bound, 1Gi, by copy; its source does not exist, and its class does not allow expansion."""
    spec = {
        "source": {"pvc": {"name": "golden", "namespace": namespace}},
        "storage": {"resources": {"requests": {"storage": "1Gi"}}},
    }
    body = {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", "metadata": {"name": "clone"}, "spec": spec}
    volume = connection.create(DATA_VOLUME, body, namespace, dry_run=False)
    core = client.CoreV1Api(official_client())
    size = {"storage": "1Gi"}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": size},
        "volumeName": f"pv-{namespace}",
        "storageClassName": "thin-fixed",
    }
    recorded = {"cdi.kubevirt.io/cloneType": "copy", "cdi.kubevirt.io/clonePhase": "Succeeded"}
    core.create_namespaced_persistent_volume_claim(
        namespace, {"metadata": {"name": "clone", "annotations": recorded}, "spec": claim}
    )
    core.patch_namespaced_persistent_volume_claim_status(
        "clone", namespace, {"status": {"phase": "Bound", "capacity": size}}
    )
    client.CustomObjectsApi(official_client()).patch_namespaced_custom_object_status(
        DATA_VOLUME.group,
        DATA_VOLUME.version,
        namespace,
        DATA_VOLUME.plural,
        "clone",
        {"status": {"phase": "Succeeded"}},
    )
    return volume


def test_clone_that_cannot_grow_is_not_deleted_without_its_method(
    module: RunModule, connection: Connection, namespace: str, cloned: dict[str, Any]
) -> None:
    larger = {**CLONE, "storage": {"size": "2Gi"}, "on_drift": "recreate"}
    result = module("data_volume", namespace=namespace, **larger).result
    assert result["failed"] and "has no predictable clone method, and require_clone_method is snapshot" in result["msg"]
    kept = fetch(connection, DATA_VOLUME, "clone", namespace)
    assert kept["metadata"]["uid"] == cloned["metadata"]["uid"] and not kept["metadata"].get("deletionTimestamp")


def test_label_of_a_finished_clone_needs_no_method(module: RunModule, namespace: str, cloned: dict[str, Any]) -> None:
    result = module("data_volume", namespace=namespace, labels={"tier": "gold"}, **CLONE).result
    assert not result.get("failed"), result["msg"]
    assert result["drift"] == "metadata" and result["clone"]["method"] == "copy"
    assert result["clone"]["predicted"] is None


OF_SNAPSHOT: dict[str, Any] = {
    "name": "clone",
    "source": {"snapshot": {"name": "golden"}},
    "pvc": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]},
    "wait": False,
}


@pytest.fixture
def set_snapshot_error(connection: Connection, namespace: str) -> Callable[[dict[str, Any] | None], None]:
    """A VolumeSnapshot in error. A call sets another error, or none."""
    spec = {"source": {"persistentVolumeClaimName": "golden"}, "volumeSnapshotClassName": "thin"}
    body = {"apiVersion": VOLUME_SNAPSHOT.api_version, "kind": VOLUME_SNAPSHOT.kind, "metadata": {"name": "golden"}}
    connection.create(VOLUME_SNAPSHOT, {**body, "spec": spec}, namespace, dry_run=False)
    snapshots = client.CustomObjectsApi(official_client())

    def write(error: dict[str, Any] | None) -> None:
        kind = (VOLUME_SNAPSHOT.group, VOLUME_SNAPSHOT.version, namespace, VOLUME_SNAPSHOT.plural)
        snapshots.patch_namespaced_custom_object_status(*kind, "golden", {"status": {"error": error}})

    write({"message": "the PVC golden is not yet bound to a PV, will not attempt to take a snapshot"})
    return write


def test_snapshot_whose_error_is_cleared_is_cloned(
    module: RunModule,
    connection: Connection,
    namespace: str,
    set_snapshot_error: Callable[[dict[str, Any] | None], None],
) -> None:
    """The snapshot controller sees the claim before it is bound, and tries again a second later."""
    recovery = threading.Timer(2, set_snapshot_error, [None])
    recovery.start()
    result = module("data_volume", namespace=namespace, **OF_SNAPSHOT).result
    recovery.join()
    assert not result.get("failed"), result["msg"]
    assert connection.get(DATA_VOLUME, "clone", namespace) is not None


def test_snapshot_that_stays_in_error_is_not_cloned(
    module: RunModule,
    connection: Connection,
    namespace: str,
    set_snapshot_error: Callable[[dict[str, Any] | None], None],
) -> None:
    result = module("data_volume", namespace=namespace, **OF_SNAPSHOT).result
    assert result["failed"]
    assert f"cannot be cloned from snapshot {namespace}/golden: snapshot in error state with msg: " in result["msg"]
    assert result["msg"].endswith(
        "; delete the VolumeSnapshot and create it again, with a VolumeSnapshotClass and from a bound claim."
    )
    assert connection.get(DATA_VOLUME, "clone", namespace) is None


def test_wait_for_a_snapshot_in_error_ends_at_wait_timeout(
    module: RunModule, namespace: str, set_snapshot_error: Callable[[dict[str, Any] | None], None]
) -> None:
    result = module("data_volume", namespace=namespace, wait_timeout=1, **OF_SNAPSHOT).result
    assert result["failed"] and "snapshot in error state" in result["msg"] and result["duration"] < 8


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("volumes", [["golden", "clone"], ["clone", "golden"], ["clone-of-clone", "clone", "golden"]])
def test_clone_fails_when_its_source_fails(
    module: RunModule, connection: Connection, namespace: str, set_status: SetStatus, volumes: list[str], exists: bool
) -> None:
    """Without a wait and with the source's error, whether the clone exists or not. Its own clone fails, too."""
    storage = {"size": "1Gi", "access_modes": ["ReadWriteOnce"]}
    sources = {
        "golden": {"http": {"url": "http://x/no"}},
        "clone": {"pvc": {"name": "golden"}},
        "clone-of-clone": {"pvc": {"name": "clone"}},
    }
    options: dict[str, Any] = {
        "namespace": namespace,
        "data_volumes": [{"name": name, "source": sources[name], "storage": storage} for name in volumes],
    }
    first = (
        options
        if exists
        else {**options, "data_volumes": [item for item in options["data_volumes"] if item["name"] == "golden"]}
    )
    assert "msg" not in module("data_volume", wait=False, **first).result
    running = {"type": "Running", "status": "False", "reason": "Error", "message": "expected status code 200, got 404"}
    set_status(namespace, "golden", "ImportInProgress", restartCount=1, conditions=[running])
    result = module("data_volume", wait_timeout=300, **options).result
    assert result["failed"] and result["duration"] < 150
    errors = {item["name"]: item["error"] for item in result["data_volumes"]}
    assert errors["golden"].startswith(
        f"DataVolume {namespace}/golden failed: phase ImportInProgress, Error: expected status code 200, got 404"
    )
    for name, source in {"clone": "golden", "clone-of-clone": "clone"}.items():
        if name in errors:
            assert errors[name].startswith(
                f"DataVolume {namespace}/{name} failed: phase Pending, its source failed: {errors[source][:20]}"
            )
            assert "got 404" in errors[name]


def test_clone_fails_when_its_source_in_another_namespace_fails(
    module: RunModule, namespace: str, other: str, set_status: SetStatus
) -> None:
    golden = {
        "name": "golden",
        "namespace": other,
        "source": {"http": {"url": "http://x/no"}},
        "storage": {"size": "1Gi"},
    }
    clone = {
        "name": "clone",
        "namespace": namespace,
        "source": {"pvc": {"name": "golden", "namespace": other}},
        "storage": {"size": "1Gi"},
    }
    assert (
        "msg"
        not in module(
            "data_volume",
            wait=False,
            data_volumes=[golden, clone | {"storage": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]}}],
        ).result
    )
    set_status(other, "golden", "Failed")
    result = module(
        "data_volume",
        wait_timeout=300,
        data_volumes=[clone | {"storage": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]}}, golden],
    ).result
    assert result["failed"] and result["duration"] < 150
    assert result["data_volumes"][0]["error"].startswith(
        f"DataVolume {namespace}/clone cannot be cloned because its source failed; fix the source first: "
        f"DataVolume {other}/golden failed: "
    )


def test_source_that_is_being_deleted_is_refused(module: RunModule, connection: Connection, namespace: str) -> None:
    core = client.CoreV1Api(official_client())
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    core.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": "golden"}, "spec": spec})
    core.delete_namespaced_persistent_volume_claim("golden", namespace)
    for check in (True, False):
        options = {"source": {"pvc": {"name": "golden"}}, "storage": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]}}
        refused = module("data_volume", name="clone", namespace=namespace, check=check, **options).result
        assert refused["failed"] and not refused["changed"]
        assert (
            f"PersistentVolumeClaim '{namespace}/golden' (source.pvc) has been marked for deletion since "
            in refused["msg"]
        )
    core.patch_namespaced_persistent_volume_claim("golden", namespace, {"metadata": {"finalizers": None}})
