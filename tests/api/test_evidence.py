# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a diagnosis reads of a stalled volume, in how many requests. All objects are real; tests write CDI's status."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.diagnose import explain
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence_reader import EvidenceReader
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import Resource
from kubernetes import client

from tests.api.objects import LIMITED, SetStatus, body, fetch, owner_reference
from tests.modules import official_client
from tests.wire import Wire

_NAME = "importer-prime-7d1f0f3c-31c3-4f4e-9f0a-6f2f0c6b3b8e"
_REFUSED = f"Error starting pod '{_NAME}': For more information, request access to cdi-deploy logs from your sysadmin"
RESOURCES = {"limits": {"cpu": "750m", "memory": "600M"}, "requests": {"cpu": "100m", "memory": "60M"}}
# Events, pods and claims are always read.
_ALWAYS = 3
_CDI_LABEL = {"app": "containerized-data-importer"}
Object = dict[str, Any]
Create = Callable[..., Object]


@pytest.fixture
def cdi(direct: Connection) -> Iterator[None]:
    """CDI's configuration as CDI writes it, with resource requirements of its pods."""
    kind, status = resources.CDI_CONFIG, {"defaultPodResourceRequirements": RESOURCES}
    direct.create(kind, body(kind, "config", spec={}, status=status), dry_run=False)
    yield
    direct.delete(kind, "config", dry_run=False)


@pytest.fixture
def create(direct: Connection, namespace: str) -> Iterator[Create]:
    """Creates objects in the namespace or the cluster. No controller creates the service account here."""
    cluster_wide: list[tuple[Resource, str]] = []

    def make(kind: Resource, name: str, **fields: Any) -> Object:
        if not kind.namespaced:
            cluster_wide.append((kind, name))
        target = namespace if kind.namespaced else None
        return direct.create(kind, body(kind, name, **fields), target, dry_run=False)

    make(resources.SERVICE_ACCOUNT, "default")
    yield make
    for kind, name in cluster_wide:
        direct.delete(kind, name, dry_run=False)


@pytest.fixture
def stalled(direct: Connection, create: Create, namespace: str, set_status: SetStatus) -> Create:
    """Creates a volume with these conditions."""

    def declare(
        reason: str = "ErrStartingPod",
        message: str = _REFUSED,
        phase: str = "ImportScheduled",
        running: str = "False",
        **spec: Any,
    ) -> Object:
        source = spec.pop("source", {"http": {"url": "http://images.example.com/disk.qcow2"}})
        create(
            resources.DATA_VOLUME,
            "disk",
            spec={"source": source, "storage": {"resources": {"requests": {"storage": "64Mi"}}}, **spec},
        )
        conditions = [
            {"type": "Running", "status": running, "reason": reason, "message": message},
            {"type": "Bound", "status": "False", "reason": "Pending", "message": "PVC disk Pending"},
        ]
        set_status(namespace, "disk", phase, progress="N/A", conditions=conditions)
        return fetch(direct, resources.DATA_VOLUME, "disk", namespace)

    return declare


def _diagnose(connection: Connection, wire: Wire, namespace: str, volume: Object) -> tuple[Any, int]:
    """The diagnosis of the volume, and the number of requests."""
    before = len(wire.requests)
    evidence = EvidenceReader(connection, namespace).probe([volume])
    assert not wire.writes(), wire.requests
    return explain(volume, evidence), len(wire.requests) - before - len(wire.discoveries())


@pytest.mark.parametrize(
    ("limit", "message"),
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
def test_limit_range_takes_three_more_requests(
    cdi: None,
    connection: Connection,
    wire: Wire,
    namespace: str,
    create: Create,
    stalled: Create,
    limit: dict[str, Any],
    message: str,
) -> None:
    create(resources.LIMIT_RANGE, "small", spec={"limits": [limit]})
    found, requests = _diagnose(connection, wire, namespace, stalled())
    assert (
        found["cause"] == "limit_range"
        and f"LimitRange '{namespace}/small'" in found["message"]
        and message in found["message"]
    )
    assert requests == _ALWAYS + 3


def test_quota_takes_three_more_requests(
    cdi: None, connection: Connection, wire: Wire, namespace: str, create: Create, stalled: Create
) -> None:
    create(resources.RESOURCE_QUOTA, "none", spec={"hard": {"pods": "0"}})
    found, requests = _diagnose(connection, wire, namespace, stalled("ErrExceededQuota"))
    assert found["cause"] == "quota_exceeded" and "pods (hard 0, used 0, requested 1)" in found["message"]
    assert requests == _ALWAYS + 3


@pytest.mark.parametrize(
    ("spec", "cause"),
    [
        ({"priorityClassName": "nothing"}, "priority_class_missing"),
        ({"serviceAccountName": "nothing"}, "service_account_missing"),
    ],
)
def test_object_that_the_volume_names_takes_one_more_request(
    cdi: None,
    connection: Connection,
    wire: Wire,
    namespace: str,
    stalled: Create,
    create: Create,
    spec: dict[str, str],
    cause: str,
) -> None:
    found, requests = _diagnose(connection, wire, namespace, stalled(**spec))
    assert found["cause"] == cause and "nothing' (" in found["message"]
    assert requests == _ALWAYS + 1


def test_dry_run_finds_a_cause_that_no_object_shows(
    connection: Connection, wire: Wire, namespace: str, create: Create, stalled: Create
) -> None:
    """Without CDI's configuration, the resources of its pods are unknown, and a LimitRange cannot be compared."""
    create(
        resources.LIMIT_RANGE, "ratio", spec={"limits": [{"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}]}
    )
    found, requests = _diagnose(connection, wire, namespace, stalled())
    assert found["cause"] == "limit_range" and "ratio per Container is 2" in found["message"]
    assert requests == _ALWAYS + 4 and wire.count("POST", "dryRun=All") == 1


def test_pod_that_is_accepted_now_is_reported(
    cdi: None, connection: Connection, wire: Wire, namespace: str, create: Create, stalled: Create
) -> None:
    found, requests = _diagnose(connection, wire, namespace, stalled())
    assert "would be accepted now" in found["message"] and requests == _ALWAYS + 4


def test_users_of_a_source_take_one_more_request(
    connection: Connection, wire: Wire, namespace: str, create: Create, stalled: Create
) -> None:
    volume = stalled(
        "Pod is running", "", "CloneInProgress", "True", source={"pvc": {"name": "golden", "namespace": namespace}}
    )
    event = {
        "type": "Warning",
        "reason": "CloneSourceInUse",
        "message": f"pod {namespace}/user using PersistentVolumeClaim golden",
    }
    about = {"kind": "DataVolume", "name": "disk", "namespace": namespace, "uid": volume["metadata"]["uid"]}
    create(resources.EVENT, "in-use", involvedObject=about, **event)
    container = {"name": "user", "image": "any", "volumeMounts": [{"name": "disk", "mountPath": "/disk"}]}
    disk = {"name": "disk", "persistentVolumeClaim": {"claimName": "golden"}}
    create(resources.POD, "user", spec={"containers": [container], "volumes": [disk]})
    found, requests = _diagnose(connection, wire, namespace, volume)
    assert found["cause"] == "clone_source_in_use" and f"in use by pod {namespace}/user" in found["message"]
    assert requests == _ALWAYS + 1


def test_storage_class_without_a_driver_takes_three_more_requests(
    connection: Connection, wire: Wire, namespace: str, create: Create, stalled: Create
) -> None:
    volume = stalled("", "")
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "64Mi"}},
        "storageClassName": f"class-of-{namespace}",
    }
    create(resources.STORAGE_CLASS, f"class-of-{namespace}", provisioner="nowhere.example.com")
    create(
        resources.PERSISTENT_VOLUME_CLAIM,
        "disk",
        metadata={"labels": _CDI_LABEL, "ownerReferences": [owner_reference(volume)]},
        spec=claim,
    )
    found, requests = _diagnose(connection, wire, namespace, volume)
    assert found["cause"] == "provisioner_missing" and "no storage driver 'nowhere.example.com'" in found["message"]
    assert requests == _ALWAYS + 3


@pytest.mark.parametrize(("seconds", "more"), [(60, 2), (3, 1)])
def test_log_is_read_only_of_a_worker_that_seems_idle(
    connection: Connection, wire: Wire, namespace: str, create: Create, stalled: Create, seconds: int, more: int
) -> None:
    """CDI's controller is also read, because nothing explains the volume. Without nodes, the log is empty."""
    volume = stalled("Pod is running", "", "ImportInProgress", "True")
    create(
        resources.POD,
        "importer",
        metadata={"labels": _CDI_LABEL, "ownerReferences": [owner_reference(volume)]},
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
    found, requests = _diagnose(connection, wire, namespace, volume)
    assert found is None and requests == _ALWAYS + more and wire.count("GET", "/log") == more - 1


@pytest.mark.parametrize("reason", ["ErrStartingPod", "ErrExceededQuota"])
def test_user_without_rights_gets_the_message_of_cdi(
    cdi: None, wire: Wire, namespace: str, create: Create, stalled: Create, reason: str
) -> None:
    create(resources.RESOURCE_QUOTA, "none", spec={"hard": {"pods": "0"}})
    volume = stalled(reason, priorityClassName="nothing", serviceAccountName="nothing")
    found, _requests = _diagnose(connect({"host": wire.url, "api_key": LIMITED}), wire, namespace, volume)
    assert found["message"] == f"{reason}: {_REFUSED}" and found["remedy"]
    assert found["cause"] == ("worker_refused" if reason == "ErrStartingPod" else "quota_exceeded")
