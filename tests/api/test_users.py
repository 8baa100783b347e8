# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data in use: nothing is deleted under pods, virtual machines and clones unless that is said in words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CUSTOM_RESOURCE_DEFINITION,
    DATA_VOLUME,
    POD,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    VIRTUAL_MACHINE,
    VOLUME_CLONE_SOURCE,
)
from kubernetes import client

from tests.api.conftest import LIMITED, SetStatus, fetch
from tests.modules import RunModule, official_client, run_module
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


@pytest.fixture
def kubevirt(connection: Connection) -> Iterator[None]:
    """The kind VirtualMachine, as far as anybody can see who lists it."""
    names = {"plural": "virtualmachines", "singular": "virtualmachine", "kind": "VirtualMachine"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "virtualmachines.kubevirt.io"},
        "spec": {
            "group": "kubevirt.io",
            "names": names,
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    connection.create(CUSTOM_RESOURCE_DEFINITION, definition, dry_run=False)
    until(lambda: connection.list(VIRTUAL_MACHINE) is not None)
    yield
    connection.delete(CUSTOM_RESOURCE_DEFINITION, "virtualmachines.kubevirt.io", dry_run=False)
    until(lambda: refuses(lambda: connection.list(VIRTUAL_MACHINE)))


def until(reached: Callable[[], bool]) -> None:
    for _attempt in range(100):
        try:
            if reached():
                return
        except ApiError:
            pass
        time.sleep(0.1)
    raise AssertionError("not reached")


def refuses(request: Callable[[], Any]) -> bool:
    try:
        request()
    except ApiError:
        return True
    return False


def start_pod(connection: Connection, namespace: str, name: str = "app") -> None:
    if connection.get(SERVICE_ACCOUNT, "default", namespace) is None:
        connection.create(SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, namespace, dry_run=False)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "disk"}}]
    containers = [{"name": "c", "image": "none", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]
    body = {"metadata": {"name": name}, "spec": {"volumes": volumes, "containers": containers}}
    connection.create(POD, body, namespace, dry_run=False)


def stop_pod(connection: Connection, namespace: str, name: str = "app") -> None:
    client.CoreV1Api(official_client()).delete_namespaced_pod(name, namespace, grace_period_seconds=0)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("change", list(CHANGES))
def test_what_a_pod_uses_is_deleted_only_when_that_is_said(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, disk: str, change, check: bool
) -> None:
    start_pod(connection, namespace)
    asked = {"name": "disk", "namespace": namespace, "wait": False, "check": check, **CHANGES[change]}
    wire.requests.clear()
    refused = module("data_volume", **asked).result
    assert refused["failed"] and refused["changed"] is False and refused["reason"] is None
    assert refused["msg"] == (
        f"DataVolume {disk} is in use by pod {namespace}/app, so it was not deleted; "
        f"delete pod {namespace}/app, or set when_in_use=delete to delete it anyway."
    )
    assert wire.writes() == []
    wire.requests.clear()
    insisted = module("data_volume", when_in_use="delete", **asked).result
    assert not insisted.get("failed") and insisted["changed"]
    assert not any(path.partition("?")[0].endswith("/pods") for _method, path in wire.requests)
    stop_pod(connection, namespace)


def test_who_uses_many_volumes_is_asked_once(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    names = [f"disk-{number}" for number in range(5)]
    module("data_volume", namespace=namespace, data_volumes=[{"name": name, **BLANK} for name in names], wait=False)
    for name in names:
        set_status(namespace, name)
    wire.requests.clear()
    gone = module(
        "data_volume",
        namespace=namespace,
        data_volumes=[{"name": name, "state": "absent"} for name in names],
        wait=False,
    ).result
    assert [item["changed"] for item in gone["data_volumes"]] == [True] * 5
    kinds = [path.partition("?")[0].rpartition("/")[2] for method, path in wire.requests if method == "GET"]
    # Nobody serves virtual machines here, which is asked about once more: a 404 may come from something that is no API server.
    assert sorted(kinds) == ["apis", "datavolumes", "pods", "virtualmachines", "volumeclonesources"]
    wire.requests.clear()
    module("data_volume", namespace=namespace, data_volumes=[{"name": name, **BLANK} for name in names], wait=False)
    assert not any("/pods" in path for _method, path in wire.requests)


def test_a_stopped_machine_that_names_the_volume_is_asked_about(
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


def test_a_clone_on_its_way_keeps_its_source_unless_it_goes_too(
    connection: Connection, module: RunModule, namespace: str, disk: str, set_status: SetStatus
) -> None:
    spec = {
        "source": {"pvc": {"name": "disk", "namespace": namespace}},
        "storage": {"resources": {"requests": {"storage": "1Gi"}}},
    }
    copy = {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", "metadata": {"name": "copy"}, "spec": spec}
    connection.create(DATA_VOLUME, copy, namespace, dry_run=False)
    set_status(namespace, "copy", "CloneInProgress")
    copy = connection.get(DATA_VOLUME, "copy", namespace)
    owner = {
        "apiVersion": DATA_VOLUME.api_version,
        "kind": "DataVolume",
        "name": "copy",
        "uid": copy["metadata"]["uid"],
        "controller": True,
    }
    reads = {"kind": "PersistentVolumeClaim", "name": "disk"}
    body = {"metadata": {"name": "source", "ownerReferences": [owner]}, "spec": {"source": reads}}
    kind = {"apiVersion": VOLUME_CLONE_SOURCE.api_version, "kind": "VolumeCloneSource"}
    connection.create(VOLUME_CLONE_SOURCE, {**kind, **body}, namespace, dry_run=False)
    refused = module("data_volume", name="disk", namespace=namespace, state="absent", wait=False).result
    assert f"is in use by the clone to DataVolume {namespace}/copy" in refused["msg"]
    both = [{"name": name, "state": "absent"} for name in ("copy", "disk")]
    assert "msg" not in module("data_volume", namespace=namespace, data_volumes=both, wait=False).result


def allow(connection: Connection, namespace: str, *rules: tuple[str, str]) -> None:
    """Rights of the limited user in a namespace: all verbs on kinds (group, plural)."""
    role = {
        "metadata": {"name": "some"},
        "rules": [{"apiGroups": [group], "resources": [plural], "verbs": ["*"]} for group, plural in rules],
    }
    connection.create(ROLE, role, namespace, dry_run=False)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "token-limited"}
    connection.create(
        ROLE_BINDING,
        {"metadata": {"name": "some"}, "roleRef": reference, "subjects": [subject]},
        namespace,
        dry_run=False,
    )


def delete_as_limited(module: RunModule, namespace: str, **options: Any) -> Any:
    return module("data_volume", token=LIMITED, name="disk", namespace=namespace, state="absent", wait=False, **options)


def test_who_may_not_list_pods_is_refused_with_the_right_to_grant(
    connection: Connection, module: RunModule, namespace: str, disk: str
) -> None:
    allow(connection, namespace, ("cdi.kubevirt.io", "datavolumes"))
    refused = delete_as_limited(module, namespace).result
    assert refused["failed"] and refused["changed"] is False
    assert refused["msg"].startswith("Cannot tell whether the data are in use: Cannot list Pod objects in namespace")
    assert refused["msg"].endswith('grant the verb "list" on pods, or set when_in_use=delete to delete them anyway.')
    assert delete_as_limited(module, namespace, when_in_use="delete").result["changed"]


def test_a_group_that_nobody_serves_is_no_reason_to_warn(
    connection: Connection, module: RunModule, namespace: str, disk: str
) -> None:
    """A user without rights on it gets 403 and not 404."""
    allow(connection, namespace, ("cdi.kubevirt.io", "*"), ("", "pods"))
    gone = delete_as_limited(module, namespace)
    assert gone.result["changed"] and gone.warnings == []


def test_stopped_machines_that_may_not_be_listed_are_warned_of(
    connection: Connection, module: RunModule, namespace: str, disk: str, kubevirt: None
) -> None:
    allow(connection, namespace, ("cdi.kubevirt.io", "*"), ("", "pods"))
    gone = delete_as_limited(module, namespace)
    assert gone.result["changed"], gone.result["msg"]
    (warning,) = gone.warnings
    assert warning.startswith(
        "Stopped virtual machines that use the data were not looked for: Cannot list VirtualMachine objects"
    )
    assert 'grant the verb "list" on virtualmachines.kubevirt.io' in warning


def waiting(namespace: str, **options: Any) -> dict[str, Any]:
    """Not through the counting proxy, which would hold a watch's answer back."""
    return run_module(
        "data_volume", {"kubeconfig": os.environ["KUBECONFIG"], "name": "disk", "namespace": namespace, **options}
    ).result


def test_what_holds_a_deleted_volume_is_told_and_that_it_was_deleted(
    connection: Connection, namespace: str, disk: str
) -> None:
    connection.merge(DATA_VOLUME, "disk", namespace, {"metadata": {"finalizers": ["example.com/hold"]}}, dry_run=False)
    told = f"DataVolume {disk} was not deleted within 1 s: finalizer example.com/hold remains; see that its controller runs."
    for changed, drift, options in (
        (True, None, CHANGES["absent"]),
        (False, None, CHANGES["absent"]),
        (False, "recreate", BLANK),
    ):
        ended = waiting(namespace, wait_timeout=1, **options)
        assert (ended["failed"], ended["msg"], ended["changed"], ended["drift"]) == (True, told, changed, drift)
    connection.merge(DATA_VOLUME, "disk", namespace, {"metadata": {"finalizers": None}}, dry_run=False)


def test_a_claim_that_a_pod_holds_is_told_and_that_its_volume_was_deleted(
    connection: Connection, namespace: str, disk: str
) -> None:
    owner = fetch(connection, DATA_VOLUME, "disk", namespace)["metadata"]
    reference = {
        "apiVersion": DATA_VOLUME.api_version,
        "kind": "DataVolume",
        "name": "disk",
        "uid": owner["uid"],
        "controller": True,
    }
    core = client.CoreV1Api(official_client())
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    # The API server protects each claim by a finalizer.
    core.create_namespaced_persistent_volume_claim(
        namespace, {"metadata": {"name": "disk", "ownerReferences": [reference]}, "spec": spec}
    )
    core.delete_namespaced_persistent_volume_claim("disk", namespace)
    start_pod(connection, namespace)
    stuck = waiting(namespace, wait_timeout=2, when_in_use="delete", **CHANGES["recreated"])
    assert stuck["failed"] and stuck["changed"] and stuck["drift"] == "recreate"
    assert stuck["reason"].startswith(
        "deleted and not created again, because on_drift=recreate, and storage.size: '1024Mi' on the cluster"
    )
    assert f"PersistentVolumeClaim {disk} was not deleted within" in stuck["msg"]
    assert stuck["msg"].endswith(f"pod {namespace}/app still uses it; delete that pod, or stop what runs in it.")
    assert connection.get(DATA_VOLUME, "disk", namespace) is None
    core.patch_namespaced_persistent_volume_claim("disk", namespace, {"metadata": {"finalizers": None}})
    stop_pod(connection, namespace)
    assert waiting(namespace, wait=False, **CHANGES["recreated"])["drift"] == "missing"
