# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a volume that gets no further, and how many requests it takes: the objects are real, only CDI's words are put there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils import _resources as resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import explain
from ansible_collections.kubevirt.cdi.plugins.module_utils._evidence_reader import EvidenceReader
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import Resource
from kubernetes import client

from tests.api.conftest import LIMITED, SetStatus
from tests.modules import official_client
from tests.wire import Wire

_NAME = "importer-prime-7d1f0f3c-31c3-4f4e-9f0a-6f2f0c6b3b8e"
_SAID = f"Error starting pod '{_NAME}': For more information, request access to cdi-deploy logs from your sysadmin"
RESOURCES = {"limits": {"cpu": "750m", "memory": "600M"}, "requests": {"cpu": "100m", "memory": "60M"}}
# Events, pods and claims.
_ALWAYS = 3
_CDI_LABEL = {"app": "containerized-data-importer"}
Make = Callable[..., Any]


@pytest.fixture
def cdi() -> Iterator[None]:
    """CDI's configuration as CDI leaves it, but for the pods of one that has none."""
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    kind = resources.CDI_CONFIG
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "config"}, "spec": {}}
    direct.create(kind, {**body, "status": {"defaultPodResourceRequirements": RESOURCES}}, dry_run=False)
    yield
    direct.delete(kind, "config", dry_run=False)


@pytest.fixture
def make(namespace: str) -> Make:
    """Creates an object of the namespace, not by the wire; there is no controller that makes the account of pods."""
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})

    def create(kind: Resource, name: str, **fields: Any) -> Any:
        metadata = {"name": name, **fields.pop("metadata", {})}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **fields}
        return direct.create(kind, body, namespace if kind.namespaced else None, dry_run=False)

    create(resources.SERVICE_ACCOUNT, "default")
    return create


@pytest.fixture
def stalled(make: Make, namespace: str, set_status: SetStatus) -> Callable[..., Any]:
    """A volume of which CDI says this."""
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})

    def declare(
        reason: str = "ErrStartingPod",
        message: str = _SAID,
        phase: str = "ImportScheduled",
        running: str = "False",
        **spec: Any,
    ) -> Any:
        source = spec.pop("source", {"http": {"url": "http://images.example.com/disk.qcow2"}})
        make(
            resources.DATA_VOLUME,
            "disk",
            spec={"source": source, "storage": {"resources": {"requests": {"storage": "64Mi"}}}, **spec},
        )
        conditions = [
            {"type": "Running", "status": running, "reason": reason, "message": message},
            {"type": "Bound", "status": "False", "reason": "Pending", "message": "PVC disk Pending"},
        ]
        set_status(namespace, "disk", phase, progress="N/A", conditions=conditions)
        return direct.get(resources.DATA_VOLUME, "disk", namespace)

    return declare


def _look(connection: Connection, wire: Wire, namespace: str, volume: Any) -> tuple[Any, int]:
    """What is said of the volume, and what it took."""
    before = len(wire.requests)
    around = EvidenceReader(connection, namespace).probe([volume])
    assert not wire.writes(), wire.requests
    return explain(volume, around), len(wire.requests) - before - len(wire.discoveries())


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (
            {"type": "Container", "max": {"cpu": "500m"}},
            "allows at most 500m of cpu in a container, and CDI's has a limit of 750m",
        ),
        (
            {"type": "Container", "maxLimitRequestRatio": {"memory": "4"}},
            "at most 4 times the request of memory in a container",
        ),
    ],
)
def test_a_limit_range_takes_three_more_requests(
    cdi: None,
    connection: Connection,
    wire: Wire,
    namespace: str,
    make: Make,
    stalled: Callable[..., Any],
    limit: dict[str, Any],
    told: str,
) -> None:
    make(resources.LIMIT_RANGE, "small", spec={"limits": [limit]})
    found, requests = _look(connection, wire, namespace, stalled())
    assert (
        found["cause"] == "limit_range"
        and f"LimitRange '{namespace}/small'" in found["message"]
        and told in found["message"]
    )
    assert requests == _ALWAYS + 3


def test_a_quota_of_pods_takes_three_more_requests(
    cdi: None, connection: Connection, wire: Wire, namespace: str, make: Make, stalled: Callable[..., Any]
) -> None:
    make(resources.RESOURCE_QUOTA, "none", spec={"hard": {"pods": "0"}})
    found, requests = _look(connection, wire, namespace, stalled("ErrExceededQuota"))
    assert found["cause"] == "quota_exceeded" and "pods (hard 0, used 0, asked 1)" in found["message"]
    assert requests == _ALWAYS + 3


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ({"priorityClassName": "nothing"}, "priority_class_missing"),
        ({"serviceAccountName": "nothing"}, "service_account_missing"),
    ],
)
def test_what_the_volume_names_takes_one_more_request(
    cdi: None,
    connection: Connection,
    wire: Wire,
    namespace: str,
    stalled: Callable[..., Any],
    make: Make,
    spec: dict[str, str],
    cause: str,
) -> None:
    found, requests = _look(connection, wire, namespace, stalled(**spec))
    assert found["cause"] == cause and "nothing' (" in found["message"]
    assert requests == _ALWAYS + 1


def test_what_no_object_tells_is_tried_by_a_dry_run(
    connection: Connection, wire: Wire, namespace: str, make: Make, stalled: Callable[..., Any]
) -> None:
    """Without CDI's configuration nobody knows what its pods ask for: nothing, as far as a LimitRange is concerned."""
    make(resources.LIMIT_RANGE, "ratio", spec={"limits": [{"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}]})
    found, requests = _look(connection, wire, namespace, stalled())
    assert found["cause"] == "limit_range" and "ratio per Container is 2" in found["message"]
    assert requests == _ALWAYS + 4 and wire.count("POST", "dryRun=All") == 1


def test_a_pod_that_would_be_taken_by_now_is_said_to_be(
    cdi: None, connection: Connection, wire: Wire, namespace: str, make: Make, stalled: Callable[..., Any]
) -> None:
    found, requests = _look(connection, wire, namespace, stalled())
    assert "would take it by now" in found["message"] and requests == _ALWAYS + 4


def test_the_users_of_a_source_take_one_more_request(
    connection: Connection, wire: Wire, namespace: str, make: Make, stalled: Callable[..., Any]
) -> None:
    volume = stalled(
        "Pod is running", "", "CloneInProgress", "True", source={"pvc": {"name": "golden", "namespace": namespace}}
    )
    said = {
        "type": "Warning",
        "reason": "CloneSourceInUse",
        "message": f"pod {namespace}/user using PersistentVolumeClaim golden",
    }
    about = {"kind": "DataVolume", "name": "disk", "namespace": namespace, "uid": volume["metadata"]["uid"]}
    make(resources.EVENT, "said", involvedObject=about, **said)
    container = {"name": "user", "image": "any", "volumeMounts": [{"name": "disk", "mountPath": "/disk"}]}
    disk = {"name": "disk", "persistentVolumeClaim": {"claimName": "golden"}}
    make(resources.POD, "user", spec={"containers": [container], "volumes": [disk]})
    found, requests = _look(connection, wire, namespace, volume)
    assert found["cause"] == "clone_source_in_use" and f"in use by pod {namespace}/user" in found["message"]
    assert requests == _ALWAYS + 1


def test_a_class_without_a_driver_takes_three_more_requests(
    connection: Connection, wire: Wire, namespace: str, make: Make, stalled: Callable[..., Any]
) -> None:
    volume = stalled("", "")
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "64Mi"}},
        "storageClassName": f"class-of-{namespace}",
    }
    make(resources.STORAGE_CLASS, f"class-of-{namespace}", provisioner="nowhere.example.com")
    owner = {
        "apiVersion": resources.DATA_VOLUME.api_version,
        "kind": "DataVolume",
        "name": "disk",
        "uid": volume["metadata"]["uid"],
    }
    make(
        resources.PERSISTENT_VOLUME_CLAIM,
        "disk",
        metadata={"labels": _CDI_LABEL, "ownerReferences": [owner]},
        spec=claim,
    )
    found, requests = _look(connection, wire, namespace, volume)
    assert found["cause"] == "provisioner_missing" and "no storage driver 'nowhere.example.com'" in found["message"]
    assert requests == _ALWAYS + 3


@pytest.mark.parametrize(("seconds", "more"), [(60, 2), (3, 1)])
def test_only_a_worker_that_seems_to_do_nothing_is_asked_for_its_log(
    connection: Connection, wire: Wire, namespace: str, make: Make, stalled: Callable[..., Any], seconds: int, more: int
) -> None:
    """And CDI's controller, as nothing explains the volume. There is no node here, and so no log."""
    volume = stalled("Pod is running", "", "ImportInProgress", "True")
    owner = {
        "apiVersion": resources.DATA_VOLUME.api_version,
        "kind": "DataVolume",
        "name": "disk",
        "uid": volume["metadata"]["uid"],
    }
    make(
        resources.POD,
        "importer",
        metadata={"labels": _CDI_LABEL, "ownerReferences": [owner]},
        spec={"containers": [{"name": "importer", "image": "any"}]},
    )
    started = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    status = {
        "name": "importer",
        "image": "any",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": started.isoformat()}},
    }
    pods = client.CoreV1Api(official_client())
    pods.patch_namespaced_pod_status(
        "importer", namespace, {"status": {"phase": "Running", "containerStatuses": [status]}}
    )
    found, requests = _look(connection, wire, namespace, volume)
    assert found is None and requests == _ALWAYS + more and wire.count("GET", "/log") == more - 1


@pytest.mark.parametrize("reason", ["ErrStartingPod", "ErrExceededQuota"])
def test_who_may_read_nothing_gets_the_best_sentence_there_is(
    cdi: None, wire: Wire, namespace: str, make: Make, stalled: Callable[..., Any], reason: str
) -> None:
    make(resources.RESOURCE_QUOTA, "none", spec={"hard": {"pods": "0"}})
    volume = stalled(reason, priorityClassName="nothing", serviceAccountName="nothing")
    found, _requests = _look(connect({"host": wire.url, "api_key": LIMITED}), wire, namespace, volume)
    assert found["message"] == f"{reason}: {_SAID}" and found["remedy"]
    assert found["cause"] == ("worker_refused" if reason == "ErrStartingPod" else "quota_exceeded")
