# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whichever request of a task fails, each item has a result, and its `changed` says whether its object changed."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    NAMESPACE,
    PERSISTENT_VOLUME_CLAIM,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import data_volume
from kubernetes import client

from tests.api.objects import ADMIN, owner_reference
from tests.modules import official_client, run_task
from tests.wire import Wire, counting_proxy

BLANK = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
BEFORE: list[dict[str, Any]] = [{"name": name, **BLANK} for name in ("recreated", "deleted", "labelled")]
# Two batches: the method of the clone can be predicted only when its source exists.
REQUESTED: list[dict[str, Any]] = [
    {
        "name": "clone",
        "source": {"pvc": {"name": "golden"}},
        "storage": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]},
        "require_clone_method": ["copy"],
    },
    {"name": "golden", **BLANK},
    {"name": "recreated", **BLANK, "storage": {"size": "512Mi"}, "on_drift": "recreate"},
    {"name": "deleted", "state": "absent"},
    {"name": "labelled", **BLANK, "labels": {"a": "b"}},
]
NAMES = [item["name"] for item in REQUESTED]
FORBIDDEN = json.dumps(
    {"kind": "Status", "reason": "Forbidden", "message": "User cannot do this", "code": 403}
).encode()
FAULTS = {
    "refused": ((403, {"Content-Type": "application/json"}, FORBIDDEN), False),
    "broken": ((500, {}, b"broken"), False),
    "broken-late": ((500, {}, b"broken"), True),
    "cut-late": ((0, {}, b""), True),
}
AT_ONCE = 3


@cache
def controller() -> client.ApiClient:
    """The client of what fills volumes, whose connections all runs share."""
    return official_client()


@contextmanager
def fill_volumes(direct: Connection, namespace: str) -> Iterator[None]:
    """Fill volumes and delete the claims of deleted ones, as CDI and Kubernetes do."""
    core, volumes = client.CoreV1Api(controller()), client.CustomObjectsApi(controller())
    stopped = threading.Event()

    def fill(volume: dict[str, Any]) -> None:
        name = volume["metadata"]["name"]
        storage = {"storage": "1Gi"}
        metadata = {
            "name": name,
            "ownerReferences": [owner_reference(volume)],
            "annotations": {"cdi.kubevirt.io/cloneType": "copy"},
        }
        spec = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": storage},
            "volumeName": f"pv-{namespace}-{name}",
        }
        core.create_namespaced_persistent_volume_claim(namespace, {"metadata": metadata, "spec": spec})
        core.patch_namespaced_persistent_volume_claim_status(
            name, namespace, {"status": {"phase": "Bound", "capacity": storage}}
        )
        kind = DATA_VOLUME
        volumes.patch_namespaced_custom_object_status(
            kind.group, kind.version, namespace, kind.plural, name, {"status": {"phase": "Succeeded"}}
        )

    def reconcile() -> None:
        volumes_by_name = {item["metadata"]["name"]: item for item in direct.list(DATA_VOLUME, namespace)[0]}
        claims = {
            item["metadata"]["name"]: item["metadata"]["ownerReferences"][0]["uid"]
            for item in direct.list(PERSISTENT_VOLUME_CLAIM, namespace)[0]
        }
        for name in claims.keys() - volumes_by_name.keys():
            core.patch_namespaced_persistent_volume_claim(name, namespace, {"metadata": {"finalizers": None}})
            core.delete_namespaced_persistent_volume_claim(name, namespace)
        for name in volumes_by_name.keys() - claims.keys():
            fill(volumes_by_name[name])

    def loop() -> None:
        while not stopped.wait(0.1):
            try:
                reconcile()
            except (ApiError, client.ApiException):
                continue  # A volume was deleted between two requests.

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def run(connection: Connection, namespace: str, volumes: list[dict[str, Any]]) -> dict[str, Any]:
    """The module's result. It runs some hundred times, and so in this process."""
    items = [{"namespace": namespace, **volume} for volume in volumes]
    options = {"namespace": namespace, "wait_timeout": 30, "data_volumes": items}
    return run_task(data_volume, options, connection)


def state(direct: Connection, namespace: str) -> dict[str, Any]:
    found = {item["metadata"]["name"]: item["metadata"] for item in direct.list(DATA_VOLUME, namespace)[0]}
    return {name: (found[name]["uid"], found[name].get("labels")) if name in found else None for name in NAMES}


def broken_run(server: tuple[str, str], number: int, fault: str) -> tuple[dict[str, Any], dict[str, bool], Wire]:
    """The task's result when the request of this number fails, and whether each object has changed."""
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    namespace = f"test-{uuid4().hex[:8]}"
    direct.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, dry_run=False)
    try:
        with fill_volumes(direct, namespace), counting_proxy(*server) as wire:
            assert "failed" not in run(direct, namespace, BEFORE)
            before = state(direct, namespace)
            wire.break_at, (wire.fault, wire.late) = number, FAULTS[fault]
            result = run(connect({"host": wire.url, "api_key": ADMIN}), namespace, REQUESTED)
            after = state(direct, namespace)
            return result, {name: before[name] != after[name] for name in NAMES}, wire
    finally:
        direct.delete(NAMESPACE, namespace, dry_run=False)


@pytest.fixture(scope="module")
def server() -> tuple[str, str]:
    return os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]


@pytest.fixture(scope="module")
def requests(server: tuple[str, str]) -> int:
    """The number of requests of the task, which changes each volume."""
    result, changed, wire = broken_run(server, 0, "broken")
    assert "failed" not in result, result["msg"]
    assert changed == dict.fromkeys(NAMES, True) == {item["name"]: item["changed"] for item in result["data_volumes"]}
    return len(wire.requests)


@pytest.mark.parametrize("fault", list(FAULTS))
def test_result_reports_each_change_when_a_request_fails(server: tuple[str, str], requests: int, fault: str) -> None:
    assert requests >= 20

    def check(number: int) -> str:
        result, changed, wire = broken_run(server, number, fault)
        broken = wire.requests[number - 1] if len(wire.requests) >= number else None
        reported = {item["name"]: item["changed"] for item in result.get("data_volumes", [])}
        wrong = reported != changed or result["changed"] != any(changed.values())
        silent = result.get("failed") and not any(item.get("error") for item in result["data_volumes"])
        return f"{number} {broken}: {reported} and not {changed}: {result.get('msg')}\n" if wrong or silent else ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert "".join(pool.map(check, range(1, requests + 1))) == ""
