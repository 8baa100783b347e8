# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that pods, virtual machines or clones use are deleted only with when_in_use=delete."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE,
    VOLUME_CLONE_SOURCE,
)

from tests.api.objects import LIMITED, SetStatus, allow, body, fetch, owner_reference, start_pod, stop_pod
from tests.modules import Ran, RunModule
from tests.wire import Wire

BLANK: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
CHANGES: dict[str, dict[str, Any]] = {
    "absent": {"state": "absent"},
    "recreated": {**BLANK, "storage": {"size": "512Mi"}, "on_drift": "recreate"},
}


@pytest.fixture
def disk(connection: Connection, module: RunModule, namespace: str, set_status: SetStatus) -> str:
    """A filled volume."""
    module("data_volume", name="disk", namespace=namespace, wait=False, **BLANK)
    set_status(namespace, "disk")
    return f"{namespace}/disk"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("change", list(CHANGES))
def test_volume_of_a_pod_is_deleted_only_on_request(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, disk: str, change: str, check: bool
) -> None:
    start_pod(connection, namespace)
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "wait": False, "check": check, **CHANGES[change]}
    wire.requests.clear()
    refused = module("data_volume", **options).result
    assert refused["failed"] and refused["changed"] is False and refused["reason"] is None
    assert refused["msg"] == (
        f"DataVolume {disk} is in use by pod {namespace}/app, so it was not deleted; "
        f"delete pod {namespace}/app, or set when_in_use=delete to delete it anyway."
    )
    assert wire.writes() == []
    wire.requests.clear()
    deleted = module("data_volume", when_in_use="delete", **options).result
    assert not deleted.get("failed") and deleted["changed"]
    assert not any(path.partition("?")[0].endswith("/pods") for _method, path in wire.requests)
    stop_pod(connection, namespace)


def test_users_of_many_volumes_are_read_once(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    names = [f"disk-{number}" for number in range(5)]
    module("data_volume", namespace=namespace, data_volumes=[{"name": name, **BLANK} for name in names], wait=False)
    for name in names:
        set_status(namespace, name)
    wire.requests.clear()
    deleted = module(
        "data_volume",
        namespace=namespace,
        data_volumes=[{"name": name, "state": "absent"} for name in names],
        wait=False,
    ).result
    assert [item["changed"] for item in deleted["data_volumes"]] == [True] * 5
    kinds = [path.partition("?")[0].rpartition("/")[2] for method, path in wire.requests if method == "GET"]
    # VirtualMachine is not served, which the discovery confirms: a 404 may come from another server.
    assert sorted(kinds) == ["apis", "datavolumes", "pods", "virtualmachines", "volumeclonesources"]
    wire.requests.clear()
    module("data_volume", namespace=namespace, data_volumes=[{"name": name, **BLANK} for name in names], wait=False)
    assert not any("/pods" in path for _method, path in wire.requests)


def test_stopped_virtual_machine_counts_as_a_user(
    connection: Connection, module: RunModule, namespace: str, disk: str, kubevirt: None
) -> None:
    spec = {"template": {"spec": {"volumes": [{"name": "root", "dataVolume": {"name": "disk"}}]}}}
    machine = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm"}, "spec": spec}
    connection.create(VIRTUAL_MACHINE, machine, namespace, dry_run=False)
    refused = module("data_volume", name="disk", namespace=namespace, state="absent").result
    assert refused["msg"] == (
        f"DataVolume {disk} is in use by VirtualMachine {namespace}/vm (in its template), so it was not deleted; "
        f"remove the volume from VirtualMachine {namespace}/vm, or set when_in_use=delete to delete it anyway."
    )
    kept = module("data_volume", name="disk", namespace=namespace, state="absent", keep_claim=True, wait=False).result
    assert kept["changed"], kept["msg"]


def test_source_of_a_running_clone_is_deleted_only_with_it(
    connection: Connection, module: RunModule, namespace: str, disk: str, set_status: SetStatus
) -> None:
    spec = {
        "source": {"pvc": {"name": "disk", "namespace": namespace}},
        "storage": {"resources": {"requests": {"storage": "1Gi"}}},
    }
    connection.create(DATA_VOLUME, body(DATA_VOLUME, "copy", spec=spec), namespace, dry_run=False)
    set_status(namespace, "copy", "CloneInProgress")
    owner = owner_reference(fetch(connection, DATA_VOLUME, "copy", namespace))
    reads = {"source": {"kind": "PersistentVolumeClaim", "name": "disk"}}
    source = body(VOLUME_CLONE_SOURCE, "source", metadata={"ownerReferences": [owner]}, spec=reads)
    connection.create(VOLUME_CLONE_SOURCE, source, namespace, dry_run=False)
    refused = module("data_volume", name="disk", namespace=namespace, state="absent", wait=False).result
    assert f"is in use by the clone to DataVolume {namespace}/copy" in refused["msg"]
    both = [{"name": name, "state": "absent"} for name in ("copy", "disk")]
    assert "msg" not in module("data_volume", namespace=namespace, data_volumes=both, wait=False).result


def delete_as_limited(module: RunModule, namespace: str, **options: Any) -> Ran:
    return module("data_volume", token=LIMITED, name="disk", namespace=namespace, state="absent", wait=False, **options)


def test_missing_right_to_list_pods_is_named(
    connection: Connection, module: RunModule, namespace: str, disk: str
) -> None:
    allow(connection, namespace, ("cdi.kubevirt.io", "datavolumes"))
    refused = delete_as_limited(module, namespace).result
    assert refused["failed"] and refused["changed"] is False
    unknown = "Cannot determine whether the data are in use: Cannot list Pod objects in namespace"
    assert refused["msg"].startswith(unknown)
    assert refused["msg"].endswith('grant the verb "list" on pods, or set when_in_use=delete to delete them anyway.')
    assert delete_as_limited(module, namespace, when_in_use="delete").result["changed"]


def test_unserved_group_gives_no_warning(connection: Connection, module: RunModule, namespace: str, disk: str) -> None:
    """Without rights, the answer is 403 and not 404."""
    allow(connection, namespace, ("cdi.kubevirt.io", "*"), ("", "pods"))
    deleted = delete_as_limited(module, namespace)
    assert deleted.result["changed"] and deleted.warnings == []


def test_forbidden_virtual_machines_give_a_warning(
    connection: Connection, module: RunModule, namespace: str, disk: str, kubevirt: None
) -> None:
    allow(connection, namespace, ("cdi.kubevirt.io", "*"), ("", "pods"))
    deleted = delete_as_limited(module, namespace)
    assert deleted.result["changed"], deleted.result["msg"]
    (warning,) = deleted.warnings
    assert warning.startswith(
        "Stopped virtual machines that use the data were not looked for: Cannot list VirtualMachine objects"
    )
    assert 'grant the verb "list" on virtualmachines.kubevirt.io' in warning


def test_finalizer_that_holds_a_deleted_volume_is_named(
    module: RunModule, connection: Connection, namespace: str, disk: str
) -> None:
    connection.merge(DATA_VOLUME, "disk", namespace, {"metadata": {"finalizers": ["example.com/hold"]}}, dry_run=False)
    # A slow request leaves less than a second for the wait.
    message = (
        f"DataVolume {disk} was not deleted within 6 s: "
        "finalizer example.com/hold remains; check that its controller runs."
    )
    for changed, drift, options in (
        (True, None, CHANGES["absent"]),
        (False, None, CHANGES["absent"]),
        (False, "recreate", BLANK),
    ):
        ended = module("data_volume", name="disk", namespace=namespace, wait_timeout=6, **options).result
        assert (ended["failed"], ended["changed"], ended["drift"]) == (True, changed, drift)
        assert ended["msg"] == message
    connection.merge(DATA_VOLUME, "disk", namespace, {"metadata": {"finalizers": None}}, dry_run=False)


def test_pod_that_holds_a_deleted_claim_is_named(
    module: RunModule, connection: Connection, namespace: str, disk: str
) -> None:
    kind, owner = PERSISTENT_VOLUME_CLAIM, owner_reference(fetch(connection, DATA_VOLUME, "disk", namespace))
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    # The API server gives each claim a finalizer.
    claim = body(kind, "disk", metadata={"ownerReferences": [owner]}, spec=spec)
    connection.create(kind, claim, namespace, dry_run=False)
    connection.delete(kind, "disk", namespace, dry_run=False)
    start_pod(connection, namespace)
    options = {"name": "disk", "namespace": namespace, **CHANGES["recreated"]}
    stuck = module("data_volume", wait_timeout=6, when_in_use="delete", **options).result
    assert stuck["failed"] and stuck["changed"] and stuck["drift"] == "recreate"
    assert stuck["reason"].startswith(
        "deleted and not created again, because on_drift=recreate, and storage.size: '1024Mi' on the cluster"
    )
    assert f"PersistentVolumeClaim {disk} was not deleted within" in stuck["msg"]
    assert stuck["msg"].endswith(f"pod {namespace}/app still uses it; delete that pod, or stop what runs in it.")
    assert connection.get(DATA_VOLUME, "disk", namespace) is None
    connection.merge(kind, "disk", namespace, {"metadata": {"finalizers": None}}, dry_run=False)
    stop_pod(connection, namespace)
    assert module("data_volume", wait=False, **options).result["drift"] == "missing"
