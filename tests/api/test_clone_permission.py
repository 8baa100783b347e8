# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module clone_permission: it grants and revokes the right to clone."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.permission import refusal
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CLUSTER_ROLE, ROLE, ROLE_BINDING
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_permission import CLONE_SOURCER

from tests.api.objects import ADMIN, fetch
from tests.modules import RunModule
from tests.wire import Wire

NAME = "kubevirt-cdi-clone-source"
SUBJECTS: dict[str, Any] = {
    "users": ["alice"],
    "groups": ["team-a"],
    "service_accounts": [{"name": "deployer", "namespace": "team-b"}],
}


def _impersonating(wire: Wire, **who: Any) -> Connection:
    return connect({"host": wire.url, "api_key": ADMIN, **who})


@pytest.mark.parametrize("kind", ["pvc", "snapshot"])
@pytest.mark.parametrize(
    "who",
    [
        {"impersonate_user": "alice"},
        {"impersonate_user": "bob", "impersonate_groups": ["team-a"]},
        {"impersonate_user": "system:serviceaccount:team-b:deployer"},
    ],
)
def test_right_is_granted_and_revoked(
    wire: Wire, module: RunModule, namespace: str, who: dict[str, Any], kind: str
) -> None:
    user = _impersonating(wire, **who)
    assert "datavolumes/source" in refusal(user, kind, namespace, "golden")
    assert module("clone_permission", namespace=namespace, **SUBJECTS).result["changed"]
    assert refusal(user, kind, namespace, "golden") == ""
    assert module("clone_permission", namespace=namespace, state="absent").result["changed"]
    assert f"in namespace {namespace} is missing" in refusal(user, kind, namespace, "golden")


def test_second_run_writes_nothing(wire: Wire, module: RunModule, namespace: str) -> None:
    module("clone_permission", namespace=namespace, **SUBJECTS)
    wire.requests.clear()
    assert not module("clone_permission", namespace=namespace, **SUBJECTS).result["changed"]
    assert [method for method, _path in wire.requests] == ["GET", "GET", "GET"]
    module("clone_permission", namespace=namespace, state="absent")
    assert not module("clone_permission", namespace=namespace, state="absent").result["changed"]


def test_check_mode_predicts_without_writing(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    ran = module("clone_permission", check=True, namespace=namespace, **SUBJECTS).result
    assert ran["changed"]
    assert ran["role_binding"]["subjects"][0] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "User",
        "name": "alice",
    }
    assert wire.writes() == []
    assert connection.get(ROLE_BINDING, NAME, namespace) is None


def test_subject_that_is_no_longer_listed_loses_the_right(wire: Wire, module: RunModule, namespace: str) -> None:
    module("clone_permission", namespace=namespace, **SUBJECTS)
    ran = module("clone_permission", namespace=namespace, users=["carol"]).result
    assert [subject["name"] for subject in ran["role_binding"]["subjects"]] == ["carol"]
    assert refusal(_impersonating(wire, impersonate_user="alice"), "pvc", namespace, "golden")
    assert refusal(_impersonating(wire, impersonate_user="carol"), "pvc", namespace, "golden") == ""


def test_cluster_role_of_cdi_is_bound_if_it_exists(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    rules = [{"apiGroups": ["cdi.kubevirt.io"], "resources": ["datavolumes/source"], "verbs": ["create"]}]
    body = {"apiVersion": CLUSTER_ROLE.api_version, "kind": "ClusterRole", "metadata": {"name": CLONE_SOURCER}}
    connection.create(CLUSTER_ROLE, {**body, "rules": rules}, dry_run=False)
    try:
        bound = module("clone_permission", namespace=namespace, **SUBJECTS).result["role_binding"]
        assert bound["roleRef"]["name"] == CLONE_SOURCER
        assert connection.get(ROLE, NAME, namespace) is None
        assert refusal(_impersonating(wire, impersonate_user="alice"), "pvc", namespace, "golden") == ""
    finally:
        connection.delete(CLUSTER_ROLE, CLONE_SOURCER, dry_run=False)
    # The binding keeps its role after CDI's is deleted, because roleRef is immutable.
    assert not module("clone_permission", namespace=namespace, **SUBJECTS).result["changed"]


def test_unrelated_role_binding_is_not_changed(module: RunModule, connection: Connection, namespace: str) -> None:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    body = {"apiVersion": ROLE_BINDING.api_version, "kind": "RoleBinding", "roleRef": role}
    body |= {"metadata": {"name": "viewers", "namespace": namespace}}
    connection.create(ROLE_BINDING, body, namespace, dry_run=False)
    for state in ("present", "absent"):
        ran = module("clone_permission", name="viewers", namespace=namespace, state=state, **SUBJECTS).result
        assert ran["failed"]
        assert "binds ClusterRole view, which does not grant the right to clone; set another name" in ran["msg"]
    assert connection.get(ROLE_BINDING, "viewers", namespace)


def _role(connection: Connection, namespace: str, name: str, *resources: str) -> None:
    rules = [{"apiGroups": ["cdi.kubevirt.io"], "resources": list(resources), "verbs": ["create"]}]
    body: dict[str, Any] = {"apiVersion": ROLE.api_version, "kind": "Role", "rules": rules}
    body |= {"metadata": {"name": name, "namespace": namespace}}
    connection.create(ROLE, body, namespace, dry_run=False)


@pytest.mark.parametrize("resources", [["datavolumes"], ["datavolumes/source", "datavolumes"]])
def test_unrelated_role_is_not_changed(
    module: RunModule, connection: Connection, namespace: str, resources: list[str]
) -> None:
    _role(connection, namespace, "developers", *resources)
    assert not module("clone_permission", name="developers", namespace=namespace, state="absent").result["changed"]
    assert connection.get(ROLE, "developers", namespace)
    metadata = {"name": "developers", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "developers"}
    body = {"apiVersion": ROLE_BINDING.api_version, "kind": "RoleBinding", "metadata": metadata, "roleRef": role}
    connection.create(ROLE_BINDING, body, namespace, dry_run=False)
    for state, message in (
        ("present", "already manages rules"),
        ("absent", "binds Role developers, which grants other"),
    ):
        ran = module("clone_permission", name="developers", namespace=namespace, state=state, **SUBJECTS).result
        assert message in ran["msg"]
    assert connection.get(ROLE_BINDING, "developers", namespace)
    assert fetch(connection, ROLE, "developers", namespace)["rules"][0]["resources"] == resources


def test_role_that_an_interrupted_run_left_is_deleted(
    module: RunModule, connection: Connection, namespace: str
) -> None:
    _role(connection, namespace, NAME, "datavolumes/source")
    assert module("clone_permission", namespace=namespace, state="absent").result["changed"]
    assert connection.get(ROLE, NAME, namespace) is None


def test_missing_subjects_are_refused_before_a_request(wire: Wire, module: RunModule, namespace: str) -> None:
    ran = module("clone_permission", namespace=namespace).result
    assert "set users, groups or service_accounts" in ran["msg"]
    assert wire.requests == []


def test_right_to_create_pods_allows_cloning_claims_but_not_snapshots(
    wire: Wire, module: RunModule, connection: Connection, namespace: str
) -> None:
    metadata = {"name": "pods", "namespace": namespace}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    body: dict[str, Any] = {"apiVersion": ROLE.api_version, "kind": "Role", "metadata": metadata, "rules": rules}
    connection.create(ROLE, body, namespace, dry_run=False)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dave"}
    body = {"apiVersion": ROLE_BINDING.api_version, "kind": "RoleBinding", "metadata": metadata}
    connection.create(ROLE_BINDING, {**body, "roleRef": role, "subjects": [subject]}, namespace, dry_run=False)
    dave = _impersonating(wire, impersonate_user="dave")
    assert refusal(dave, "pvc", namespace, "golden") == ""
    assert refusal(dave, "snapshot", namespace, "golden")
