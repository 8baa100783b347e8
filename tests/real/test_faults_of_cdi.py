# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of CDI and of the cluster: a task reports each with its remedy, before it times out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    DATA_VOLUME,
    DEPLOYMENT,
    POD,
)

from tests.real.clone_setup import without_default_class
from tests.real.fault_setup import Fault, FaultSetup, Seen, blank, check, http, upload
from tests.real.objects import until

pytestmark = pytest.mark.alone("removes memory, nodes, the default class and components from CDI")

_NAMESPACE = "cdi"
_QUICK_SECONDS = 15

FAULTS = {
    "worker-out-of-memory": Fault("worker_out_of_memory", "OOMKilled", "raise pod_resource_requirements", http()),
    "no-node-for-workers": Fault("worker_unschedulable", "node affinity/selector", "make a node accept", http()),
    "no-default-class": Fault(
        "",
        "storage.storage_class_name is not set, and no storage class is the default",
        "name one of: block-only",
        {"source": {"blank": {}}, "storage": {"size": "64Mi"}},
    ),
    "controller-down": Fault("controller_down", "Deployment cdi/cdi-deployment", "logs of its pods", blank()),
    "controller-down-for-an-upload": Fault("", "Deployment cdi/cdi-deployment", "logs of its pods", upload()),
    "webhook-down": Fault("", "failed calling webhook", "Deployment cdi-apiserver", blank()),
}


@contextlib.contextmanager
def _cdi(connection: Connection, spec: dict[str, Any], before: dict[str, Any], memory: str = "600M") -> Iterator[None]:
    """Patch the spec of the CDI object until `memory` is the limit of workers, and restore it with `before`."""
    name = connection.list(CDI)[0][0]["metadata"]["name"]

    def put(patch: dict[str, Any], limit: str) -> None:
        connection.merge(CDI, name, None, {"spec": patch}, dry_run=False)
        until(lambda: _limit(connection) == limit, 300, f"CDIConfig does not have the limit {limit}")

    try:
        put(spec, memory)
        yield
    finally:
        put(before, "600M")


def _limit(connection: Connection) -> str:
    status = (connection.get(CDI_CONFIG, "config") or {})["status"]
    return str(status["defaultPodResourceRequirements"]["limits"]["memory"])


@contextlib.contextmanager
def _down(connection: Connection, name: str) -> Iterator[None]:
    """Scale a Deployment of CDI to zero pods."""

    def scale(replicas: int) -> None:
        connection.merge(DEPLOYMENT, name, _NAMESPACE, {"spec": {"replicas": replicas}}, dry_run=False)
        until(lambda: _pods(connection, name) == [True] * replicas, 300, f"{name} does not have {replicas} pods")

    scale(0)
    try:
        yield
    finally:
        scale(1)


def _pods(connection: Connection, name: str) -> list[bool]:
    """Of each pod whether it is ready. A pod that is ending works until it is gone."""
    pods = [pod for pod in connection.list(POD, _NAMESPACE)[0] if pod["metadata"]["name"].startswith(f"{name}-")]
    found = [pod["status"].get("conditions", []) for pod in pods]
    return [any((each["type"], each["status"]) == ("Ready", "True") for each in conditions) for conditions in found]


def _refused_at_once(connection: Connection) -> bool:
    """Whether the API server refuses a volume quickly: it waits for 30 s for a pod that has just ended."""
    volume = {
        "apiVersion": DATA_VOLUME.api_version,
        "kind": DATA_VOLUME.kind,
        "metadata": {"name": "probe"},
        "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "64Mi"}}}},
    }
    started = time.monotonic()
    try:
        connection.create(DATA_VOLUME, volume, "default", dry_run=True)
    except ApiError:
        return time.monotonic() - started < _QUICK_SECONDS
    return False


@pytest.fixture(scope="module")
def seen(connection: Connection) -> Iterator[dict[str, Seen]]:
    setup = FaultSetup(connection)
    results: dict[str, Seen] = {}

    def declare(*names: str) -> None:
        results.update(setup.all(setup.declare, {name: FAULTS[name] for name in names}))

    little = {"limits": {"memory": "14M"}, "requests": {"memory": "14M"}}
    spec, before = ({"config": {"podResourceRequirements": each}} for each in (little, None))
    with _cdi(connection, spec, before, "14M"), without_default_class(connection):
        declare("worker-out-of-memory", "no-default-class")
    hosts = ("elsewhere", None)
    workload, workload_before = ({"workload": {"nodeSelector": {"kubernetes.io/hostname": each}}} for each in hosts)
    with _cdi(connection, workload, workload_before):
        declare("no-node-for-workers")
    # The operator would scale them up again.
    with _down(connection, "cdi-operator"):
        with _down(connection, "cdi-deployment"):
            declare("controller-down", "controller-down-for-an-upload")
        with _down(connection, "cdi-apiserver"):
            until(lambda: _refused_at_once(connection), 300, "the webhook still answers")
            declare("webhook-down")
    yield results
    setup.remove()


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_reported_with_its_remedy(name: str, seen: dict[str, Seen], record_property: Any) -> None:
    check(FAULTS[name], seen[name], record_property)


def test_restarted_controller_fills_the_missed_volume(seen: dict[str, Seen], connection: Connection, ok: Any) -> None:
    namespace = seen["controller-down"].result["namespace"]
    assert not seen["controller-down"].result["data_volume"].get("status")
    assert (
        ok("data_volume", name="controller-down", namespace=namespace, wait_timeout=300, **blank())["phase"]
        == "Succeeded"
    )
