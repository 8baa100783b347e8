# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grants and revokes the right to clone from a namespace."""

from __future__ import annotations

import typing as t

from .._ansible.argspec import FORCE_CONFLICTS, ArgumentSpec
from .._ansible.module import Task
from .._ansible.values import SEGMENT
from .._clone.permission import SUBRESOURCE
from .._kubernetes.apply import Change, ensure_absent, ensure_present
from .._kubernetes.client import Connection
from .._kubernetes.compare import for_result
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import CLUSTER_ROLE, DATA_VOLUME, ROLE, ROLE_BINDING, Resource

# CDI has this ClusterRole since 1.66 (pkg/operator/resources/cluster/rbac.go).
CLONE_SOURCER = "cdi.kubevirt.io:clone-sourcer"
_RBAC = "rbac.authorization.k8s.io"
_DEFAULT_NAME = "kubevirt-cdi-clone-source"
_RULES = [{"apiGroups": [DATA_VOLUME.group], "resources": [SUBRESOURCE], "verbs": ["create"]}]

SPEC = (
    ArgumentSpec(
        {
            "name": {"type": "str", "default": _DEFAULT_NAME},
            "namespace": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "users": {"type": "list", "elements": "str", "default": []},
            "groups": {"type": "list", "elements": "str", "default": []},
            "service_accounts": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": {"type": "str", "required": True}, "namespace": {"type": "str", "required": True}},
            },
        },
        kinds={"name": SEGMENT},
    )
    + FORCE_CONFLICTS
)


def check(params: dict[str, t.Any]) -> None:
    """Validate the options before any request. Raises CdiError."""
    if params["state"] == "present" and not subjects(params):
        raise CdiError(
            f"No user gets the right to clone from namespace {params['namespace']}; "
            "set users, groups or service_accounts, or state=absent."
        )


def subjects(params: t.Mapping[str, t.Any]) -> list[Object]:
    """The subjects of a RoleBinding."""
    named = [
        {"apiGroup": _RBAC, "kind": kind, "name": name}
        for kind, option in (("User", "users"), ("Group", "groups"))
        for name in params[option]
    ]
    return named + [{"kind": "ServiceAccount", **account} for account in params["service_accounts"]]


def run(task: Task) -> dict[str, t.Any]:
    connection, name, namespace = task.connection, task.params["name"], task.params["namespace"]
    bound = connection.get(ROLE_BINDING, name, namespace)
    _refuse_foreign(bound, name, namespace)
    if task.params["state"] == "absent":
        resources = _created(connection, name, namespace, bound)
        return _result(
            [
                ensure_absent(connection, resource, name, namespace, check_mode=task.check_mode)
                for resource in resources
            ],
            {},
        )
    role = _role_reference(connection, name, bound)
    changes = []
    if role["kind"] == "Role":
        desired = {"metadata": {"name": name, "namespace": namespace}, "rules": _RULES}
        changes.append(
            ensure_present(connection, ROLE, desired, check_mode=task.check_mode, force=task.params["force_conflicts"])
        )
    desired = {"metadata": {"name": name, "namespace": namespace}, "roleRef": role, "subjects": subjects(task.params)}
    changes.append(
        ensure_present(
            connection, ROLE_BINDING, desired, check_mode=task.check_mode, force=task.params["force_conflicts"]
        )
    )
    return _result(changes, changes[-1].object)


def _role_reference(connection: Connection, name: str, bound: Object | None) -> Object:
    """The role of the existing binding, which Kubernetes does not allow to change, or of the new one."""
    if bound:
        return t.cast(Object, bound["roleRef"])
    if connection.get(CLUSTER_ROLE, CLONE_SOURCER):
        return {"apiGroup": _RBAC, "kind": "ClusterRole", "name": CLONE_SOURCER}
    return {"apiGroup": _RBAC, "kind": "Role", "name": name}


def _refuse_foreign(bound: Object | None, name: str, namespace: str) -> None:
    role = (bound or {}).get("roleRef") or {}
    if bound and (role.get("kind"), role.get("name")) not in (("ClusterRole", CLONE_SOURCER), ("Role", name)):
        raise CdiError(
            f"RoleBinding {namespace}/{name} binds {role.get('kind')} {role.get('name')}, "
            "which does not grant the right to clone; "
            "set another name."
        )


def _created(connection: Connection, name: str, namespace: str, bound: Object | None) -> list[Resource]:
    """The kinds to delete by this name. A Role with other rules and its binding were not created by this module."""
    role = connection.get(ROLE, name, namespace)
    if role is None or role.get("rules") == _RULES:
        return [ROLE_BINDING, ROLE]
    if bound and bound["roleRef"]["kind"] == ROLE.kind:
        raise CdiError(
            f"RoleBinding {namespace}/{name} binds Role {name}, which grants other rights than the right to clone; "
            "set another name, or delete them manually."
        )
    return [ROLE_BINDING]


def _result(changes: list[Change], binding: Object) -> dict[str, t.Any]:
    diffs = [change.diff for change in changes if change.diff]
    return {"changed": any(change.changed for change in changes), "role_binding": for_result(binding), "diff": diffs}
