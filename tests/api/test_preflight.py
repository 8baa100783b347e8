# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks before the first write: which objects they read, and what they accept, create or refuse."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from kubernetes import client

from tests.api.mistakes import IMAGE, SIZE
from tests.api.objects import LIMITED, body
from tests.modules import RunModule, official_client
from tests.wire import Wire


def _paths(wire: Wire) -> list[str]:
    return [path.partition("?")[0].rpartition("/")[2] for _method, path in wire.requests]


def test_checks_of_many_volumes_take_as_many_requests_as_of_one(wire: Wire, module: RunModule, namespace: str) -> None:
    """The volumes have the same spec."""
    volumes: list[dict[str, Any]] = [
        {"name": f"disk-{number}", "source": {"blank": {}}, "storage": SIZE} for number in range(100)
    ]
    assert not module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result.get("failed")
    read = sorted(path for path in _paths(wire) if not path.startswith("disk-"))
    assert read == [
        "cdis",
        "config",
        "datavolumes",
        "persistentvolumeclaims",
        "persistentvolumeclaims",
        "storageclasses",
        "storageprofiles",
    ]
    trials = [request for request in wire.requests if request[0] == "POST"]
    assert len(trials) == 1 and "dryRun=All" in trials[0][1] and len(wire.writes()) == 100


@pytest.mark.parametrize("check", [False, True])
def test_missing_namespace_is_created_on_request(
    wire: Wire, module: RunModule, connection: Connection, namespace: str, check: bool
) -> None:
    new = f"{namespace}-new"
    volumes: list[dict[str, Any]] = [
        {"name": name, "namespace": new, "source": {"blank": {}}, "storage": SIZE} for name in ("a", "b")
    ]
    ran = module("data_volume", data_volumes=volumes, wait=False, create_namespace=True, check=check)
    assert not ran.result.get("failed"), ran.result["msg"]
    assert ran.result["changed"] and ran.result["created_namespaces"] == [new]
    assert [item["changed"] for item in ran.result["data_volumes"]] == [True, True]
    assert (connection.get(resources.NAMESPACE, new) is None) == check and bool(wire.writes()) != check
    if not check:
        again = module("data_volume", data_volumes=volumes, wait=False, create_namespace=True).result
        assert not again["changed"] and again["created_namespaces"] == []
        connection.delete(resources.NAMESPACE, new, dry_run=False)


def test_namespace_is_not_created_for_a_refused_volume(
    module: RunModule, connection: Connection, namespace: str
) -> None:
    new = f"{namespace}-new"
    ran = module(
        "data_volume",
        name="a",
        namespace=new,
        source={"blank": {}},
        storage={**SIZE, "storage_class_name": "fats"},
        create_namespace=True,
    )
    assert "storage class 'fats'" in ran.result["msg"] and not ran.result["changed"]
    assert connection.get(resources.NAMESPACE, new) is None


def test_namespace_that_is_being_deleted_is_reported(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    connection.create(resources.CONFIG_MAP, {"metadata": {"name": "stays"}}, namespace, dry_run=False)
    connection.delete(resources.NAMESPACE, namespace, dry_run=False)
    wire.requests.clear()
    for check in (False, True):
        ran = module("data_volume", name="a", namespace=namespace, source={"blank": {}}, storage=SIZE, check=check)
        assert f"namespace '{namespace}' is being deleted; wait until it no longer exists" in ran.result["msg"], (
            ran.result["msg"]
        )
    assert wire.writes() == []


def test_refused_volume_does_not_stop_the_others(module: RunModule, connection: Connection, namespace: str) -> None:
    volumes: list[dict[str, Any]] = [
        {"name": "good", "source": {"blank": {}}, "storage": SIZE},
        {"name": "bad", "source": {"blank": {}}, "storage": {**SIZE, "storage_class_name": "fats"}},
        {"name": "orphan", "source": {"pvc": {"name": "nothing"}}, "storage": SIZE},
        {"name": "clone", "source": {"pvc": {"name": "good"}}, "storage": SIZE},
    ]
    result = module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result
    assert [item["changed"] for item in result["data_volumes"]] == [True, False, False, True]
    assert (
        result["changed"]
        and "'fats'" in result["data_volumes"][1]["error"]
        and "nothing" in result["data_volumes"][2]["error"]
    )


def test_check_mode_accepts_planned_sources(module: RunModule, namespace: str) -> None:
    clone: dict[str, Any] = {"name": "clone", "source": {"pvc": {"name": "golden"}}, "storage": SIZE}
    refused = module("data_volume", namespace=namespace, check=True, **clone).result
    assert refused["failed"] and "name it in planned_sources" in refused["msg"]
    for named in ("golden", f"{namespace}/golden"):
        assert not module("data_volume", namespace=namespace, check=True, planned_sources=[named], **clone).result.get(
            "failed"
        )
    assert module("data_volume", namespace=namespace, planned_sources=["golden"], **clone).result["failed"]


def _persistent_volume(name: str, class_name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": "/nowhere"},
    }
    return body(
        resources.PERSISTENT_VOLUME, name, spec={**spec, "storageClassName": class_name} if class_name else spec
    )


@pytest.mark.parametrize("class_name", ["", "manual"])
@pytest.mark.parametrize("given", [{}, {"volume_name": "PV"}, {"selector": {"match_labels": {"a": "b"}}}])
def test_class_without_an_object_may_bind_an_existing_volume(
    module: RunModule, connection: Connection, namespace: str, class_name: str, given: dict[str, Any]
) -> None:
    connection.create(resources.PERSISTENT_VOLUME, _persistent_volume(namespace, class_name), dry_run=False)
    given = {key: namespace if value == "PV" else value for key, value in given.items()}
    storage = {**SIZE, "storage_class_name": class_name, "access_modes": ["ReadWriteOnce"], **given}
    ran = module("data_volume", name="disk", namespace=namespace, source={"blank": {}}, storage=storage, wait=False)
    connection.delete(resources.PERSISTENT_VOLUME, namespace, dry_run=False)
    connection.merge(resources.PERSISTENT_VOLUME, namespace, None, {"metadata": {"finalizers": None}}, dry_run=False)
    assert ran.result["changed"], ran.result.get("msg")


def test_storage_class_is_required_without_a_default(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    mark = "storageclass.kubernetes.io/is-default-class"
    connection.merge(resources.STORAGE_CLASS, "thin", None, {"metadata": {"annotations": {mark: None}}}, dry_run=False)
    wire.requests.clear()
    try:
        ran = module("data_volume", name="disk", namespace=namespace, source={"blank": {}}, storage=SIZE)
        message = "storage.storage_class_name is not set, and no storage class is the default; name one of: "
        assert f"{message}block-only, plain, thin," in ran.result["msg"]
        assert wire.writes() == []
    finally:
        connection.merge(
            resources.STORAGE_CLASS, "thin", None, {"metadata": {"annotations": {mark: "true"}}}, dry_run=False
        )


@pytest.fixture
def tenant(connection: Connection, namespace: str) -> None:
    """The limited user may do everything with DataVolumes and read claims, and nothing else."""
    rules = [
        {"apiGroups": ["cdi.kubevirt.io"], "resources": ["datavolumes"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get", "list", "watch"]},
    ]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"}
    subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "token-limited"}]
    connection.create(resources.ROLE, body(resources.ROLE, "tenant", rules=rules), namespace, dry_run=False)
    connection.create(
        resources.ROLE_BINDING,
        body(resources.ROLE_BINDING, "tenant", roleRef=role, subjects=subjects),
        namespace,
        dry_run=False,
    )


@pytest.mark.usefixtures("tenant")
def test_forbidden_objects_are_not_checked(module: RunModule, namespace: str) -> None:
    deadline = time.monotonic() + 120
    options: dict[str, Any] = {
        "source": {"http": {**IMAGE, "secret_ref": "unknown"}},
        "storage": {**SIZE, "storage_class_name": "unknown"},
        "wait": False,
    }
    while True:
        ran = module("data_volume", token=LIMITED, name="disk", namespace=namespace, **options)
        if "cannot" not in ran.result.get("msg", "") or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert ran.result["changed"], ran.result.get("msg")


def test_volume_without_a_namespace_gives_a_warning(module: RunModule, connection: Connection, namespace: str) -> None:
    name = f"disk-{namespace}"
    ran = module("data_volume", name=name, source={"blank": {}}, storage=SIZE, wait=False)
    assert [
        text for text in ran.warnings if f"No namespace is given for {name}: created in namespace 'default'" in text
    ], ran.warnings
    again = module("data_volume", name=name, source={"blank": {}}, storage=SIZE, wait=False)
    assert not again.result["changed"] and again.warnings == []
    assert module("data_volume", name=name, state="absent", wait=False).warnings == []


def test_admission_policy_that_refuses_the_claim_is_named(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    """The error contains the policy's reason, as it would that of a webhook."""
    admission = client.AdmissionregistrationV1Api(official_client())
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["persistentvolumeclaims"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": "claims need a cost centre"}],
    }
    admission.create_validating_admission_policy({"metadata": {"name": namespace}, "spec": spec})
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": namespace, "validationActions": ["Deny"], "matchResources": selector}
    admission.create_validating_admission_policy_binding({"metadata": {"name": namespace}, "spec": binding})
    try:
        deadline = time.monotonic() + 120
        while True:  # Until the API server enforces the policy.
            ran = module(
                "data_volume", name="disk", namespace=namespace, source={"blank": {}}, storage=SIZE, check=True
            )
            if ran.result.get("failed") or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        assert "is rejected" in ran.result["msg"] and "claims need a cost centre" in ran.result["msg"], ran.result
    finally:
        admission.delete_validating_admission_policy_binding(namespace)
        admission.delete_validating_admission_policy(namespace)
