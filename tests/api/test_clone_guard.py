# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clones that are looked at before they are made: whose source the same task makes, or is a snapshot in error."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    NAMESPACE,
    VOLUME_SNAPSHOT,
)
from kubernetes import client

from tests.modules import official_client

SOURCE: dict[str, Any] = {"name": "golden", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
CLONE: dict[str, Any] = {
    "name": "clone",
    "source": {"pvc": {"name": "golden"}},
    "storage": {"size": "1Gi"},
    "require_clone_method": ["snapshot"],
}


@pytest.mark.parametrize(("volumes", "planned"), [([CLONE, SOURCE], []), ([CLONE], ["golden"])])
def test_check_mode_does_not_refuse_what_it_cannot_predict(module, namespace, volumes, planned) -> None:
    result = module(
        "data_volume", namespace=namespace, data_volumes=volumes, planned_sources=planned, check=True
    ).result
    assert not result.get("failed"), result["msg"]
    predicted = result["data_volumes"][0]["clone"]["predicted"]
    assert (predicted["method"], predicted["reason"]) == (None, "CDI chooses the method when the source exists.")


def test_a_source_that_is_not_there_is_asked_for(module, connection, namespace) -> None:
    """Nor does a task that waits for nothing wait for a source."""
    result = module("data_volume", namespace=namespace, data_volumes=[CLONE, SOURCE], wait=False).result
    assert result["failed"]
    assert "has no predictable clone method" in result["msg"]
    assert result["msg"].endswith("which does not exist; make the source by a task before.")
    assert [item["changed"] for item in result["data_volumes"]] == [False, True]
    assert connection.get(DATA_VOLUME, "clone", namespace) is None


def test_a_clone_is_not_made_when_the_source_of_its_task_failed(module, connection, namespace) -> None:
    result = module("data_volume", namespace=namespace, data_volumes=[CLONE, SOURCE], wait_timeout=1).result
    clone, source = result["data_volumes"]
    assert source["error"]
    assert (
        clone["error"]
        == f"DataVolume {namespace}/clone was skipped because its source failed; fix the source first: {source['error']}"
    )
    assert connection.get(DATA_VOLUME, "clone", namespace) is None


@pytest.fixture
def other(connection) -> Iterator[str]:
    """Another namespace, the later of the two by name."""
    name = f"zzz-{uuid.uuid4().hex[:8]}"
    connection.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run=False)
    yield name
    connection.delete(NAMESPACE, name, dry_run=False)


@pytest.fixture
def cloned(connection, namespace) -> dict[str, Any]:
    """A clone of long ago: bound, 1Gi, by copy; its source is gone, and its class lets nothing grow."""
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
    told = {"cdi.kubevirt.io/cloneType": "copy", "cdi.kubevirt.io/clonePhase": "Succeeded"}
    core.create_namespaced_persistent_volume_claim(
        namespace, {"metadata": {"name": "clone", "annotations": told}, "spec": claim}
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


def test_a_clone_that_cannot_grow_is_not_deleted_for_one_of_another_method(
    module, connection, namespace, cloned
) -> None:
    larger = {**CLONE, "storage": {"size": "2Gi"}, "on_drift": "recreate"}
    result = module("data_volume", namespace=namespace, **larger).result
    assert result["failed"] and "has no predictable clone method, and require_clone_method is snapshot" in result["msg"]
    kept = connection.get(DATA_VOLUME, "clone", namespace)
    assert kept["metadata"]["uid"] == cloned["metadata"]["uid"] and not kept["metadata"].get("deletionTimestamp")


def test_a_required_method_is_not_asked_of_a_clone_that_only_gets_a_label(module, namespace, cloned) -> None:
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
def tell(connection, namespace) -> Callable[[dict[str, Any] | None], None]:
    """A VolumeSnapshot that cannot be taken yet; calling it says by which error, or that there is none any more."""
    spec = {"source": {"persistentVolumeClaimName": "golden"}, "volumeSnapshotClassName": "thin"}
    body = {"apiVersion": VOLUME_SNAPSHOT.api_version, "kind": VOLUME_SNAPSHOT.kind, "metadata": {"name": "golden"}}
    connection.create(VOLUME_SNAPSHOT, {**body, "spec": spec}, namespace, dry_run=False)
    snapshots = client.CustomObjectsApi(official_client())

    def tell(error: dict[str, Any] | None) -> None:
        kind = (VOLUME_SNAPSHOT.group, VOLUME_SNAPSHOT.version, namespace, VOLUME_SNAPSHOT.plural)
        snapshots.patch_namespaced_custom_object_status(*kind, "golden", {"status": {"error": error}})

    tell({"message": "the PVC golden is not yet bound to a PV, will not attempt to take a snapshot"})
    return tell


def test_an_error_of_a_snapshot_that_is_taken_back_keeps_nothing_from_being_cloned(
    module, connection, namespace, tell
) -> None:
    """The snapshot controller looks at a claim before it knows that it is bound, and tries again a second later."""
    heals = threading.Timer(2, tell, [None])
    heals.start()
    result = module("data_volume", namespace=namespace, **OF_SNAPSHOT).result
    heals.join()
    assert not result.get("failed"), result["msg"]
    assert connection.get(DATA_VOLUME, "clone", namespace) is not None


def test_a_snapshot_that_stays_in_error_is_not_cloned(module, connection, namespace, tell) -> None:
    result = module("data_volume", namespace=namespace, **OF_SNAPSHOT).result
    assert result["failed"]
    assert f"cannot be cloned from snapshot {namespace}/golden: snapshot in error state with msg: " in result["msg"]
    assert result["msg"].endswith(
        "; delete the VolumeSnapshot and take it anew, with a VolumeSnapshotClass and of a claim that is bound."
    )
    assert connection.get(DATA_VOLUME, "clone", namespace) is None


def test_no_longer_than_the_task_waits_for_a_snapshot_in_error(module, namespace, tell) -> None:
    result = module("data_volume", namespace=namespace, wait_timeout=1, **OF_SNAPSHOT).result
    assert result["failed"] and "snapshot in error state" in result["msg"] and result["duration"] < 4


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("volumes", [["golden", "clone"], ["clone", "golden"], ["clone-of-clone", "clone", "golden"]])
def test_a_clone_fails_with_its_source(module, connection, namespace, reach, volumes, there) -> None:
    """At once, whether it waits for the source already or is about to be made, and by the source's words; and so does its own clone."""
    storage = {"size": "1Gi", "access_modes": ["ReadWriteOnce"]}
    sources = {
        "golden": {"http": {"url": "http://x/no"}},
        "clone": {"pvc": {"name": "golden"}},
        "clone-of-clone": {"pvc": {"name": "clone"}},
    }
    asked = {
        "namespace": namespace,
        "data_volumes": [{"name": name, "source": sources[name], "storage": storage} for name in volumes],
    }
    made = (
        asked
        if there
        else {**asked, "data_volumes": [item for item in asked["data_volumes"] if item["name"] == "golden"]}
    )
    assert "msg" not in module("data_volume", wait=False, **made).result
    running = {"type": "Running", "status": "False", "reason": "Error", "message": "expected status code 200, got 404"}
    reach(namespace, "golden", "ImportInProgress", restartCount=1, conditions=[running])
    result = module("data_volume", wait_timeout=60, **asked).result
    assert result["failed"] and result["duration"] < 15
    told = {item["name"]: item["error"] for item in result["data_volumes"]}
    assert told["golden"].startswith(
        f"DataVolume {namespace}/golden failed: phase ImportInProgress, Error: expected status code 200, got 404"
    )
    for name, source in {"clone": "golden", "clone-of-clone": "clone"}.items():
        if name in told:
            assert told[name].startswith(
                f"DataVolume {namespace}/{name} failed: phase Pending, its source failed: {told[source][:20]}"
            )
            assert "got 404" in told[name]


def test_a_clone_of_another_namespace_fails_with_its_source(module, namespace, other, reach) -> None:
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
    reach(other, "golden", "Failed")
    result = module(
        "data_volume",
        wait_timeout=60,
        data_volumes=[clone | {"storage": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]}}, golden],
    ).result
    assert result["failed"] and result["duration"] < 15
    assert result["data_volumes"][0]["error"].startswith(
        f"DataVolume {namespace}/clone cannot be cloned because its source failed; fix the source first: DataVolume {other}/golden failed: "
    )


def test_a_source_that_is_being_deleted_is_refused(module, connection, namespace) -> None:
    core = client.CoreV1Api(official_client())
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    core.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": "golden"}, "spec": spec})
    core.delete_namespaced_persistent_volume_claim("golden", namespace)
    for check in (True, False):
        asked = {"source": {"pvc": {"name": "golden"}}, "storage": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]}}
        refused = module("data_volume", name="clone", namespace=namespace, check=check, **asked).result
        assert refused["failed"] and not refused["changed"]
        assert (
            f"PersistentVolumeClaim '{namespace}/golden' (source.pvc) has been marked for deletion since "
            in refused["msg"]
        )
    core.patch_namespaced_persistent_volume_claim("golden", namespace, {"metadata": {"finalizers": None}})
