# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials and objects of the API tests, and the part of their controllers."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import Resource
from kubernetes import client

from tests.modules import official_client

ADMIN = "test-admin-token"
LIMITED = "test-limited-token"


class SetStatus(Protocol):
    """Sets the phase and other status fields of a DataVolume, as CDI's controller does."""

    def __call__(self, namespace: str, name: str, phase: str = "Succeeded", **status: Any) -> None: ...


class HttpProxy(NamedTuple):
    """An HTTP proxy: its address, and the head of each request that it received."""

    address: str
    heads: list[bytes]


def kubeconfig(cluster: dict[str, Any], user: dict[str, Any], **context: Any) -> dict[str, Any]:
    """A kubeconfig with one cluster, one user, and one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", **context}}],
        "current-context": "x",
    }


def body(resource: Resource, name: str, /, **fields: Any) -> dict[str, Any]:
    """An object of this kind; `metadata` in the fields is added to its name."""
    metadata = {"name": name, **fields.pop("metadata", {})}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}


def owner_reference(volume: dict[str, Any]) -> dict[str, Any]:
    """What makes a DataVolume the controller of another object."""
    kind, metadata = resources.DATA_VOLUME, volume["metadata"]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def fetch(connection: Connection, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
    """An object that must exist, as the API server returns it."""
    found = connection.get(resource, name, namespace)
    assert found is not None, f"{resource.kind} {name} does not exist"
    return found


def patch_status(
    connection: Connection, resource: Resource, name: str, namespace: str | None, status: dict[str, Any]
) -> None:
    """Write status fields of an object, as its controller does."""
    path = f"{resource.path(namespace, name)}/status"
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = connection.transport.request("PATCH", path, headers, body=json.dumps({"status": status}))
    assert answer.status == 200, answer.data


@contextlib.contextmanager
def custom_resource(direct: Connection, resource: Resource) -> Iterator[None]:
    """Serve this kind, without a controller, until the context ends."""
    plural, _dot, group = (name := f"{resource.plural}.{resource.group}").partition(".")
    names = {"plural": plural, "singular": resource.kind.lower(), "kind": resource.kind}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": resource.version, "served": True, "storage": True, "schema": schema}
    spec = {"group": group, "names": names, "scope": "Namespaced", "versions": [version]}
    kind = resources.CUSTOM_RESOURCE_DEFINITION
    direct.create(kind, body(kind, name, spec=spec), dry_run=False)

    def served() -> bool:
        try:
            direct.list(resource)
        except ApiError:
            return False
        return True

    while not served():
        time.sleep(0.1)
    yield
    direct.delete(kind, name, dry_run=False)
    while direct.get(kind, name) or served():
        time.sleep(0.1)


def start_pod(connection: Connection, namespace: str, name: str = "app", claim: str = "disk", **metadata: Any) -> None:
    """Create a pod that mounts a claim. No kubelet starts it."""
    if connection.get(resources.SERVICE_ACCOUNT, "default", namespace) is None:
        connection.create(resources.SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, namespace, dry_run=False)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    containers = [{"name": "c", "image": "none", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]
    pod = {"metadata": {"name": name, **metadata}, "spec": {"volumes": volumes, "containers": containers}}
    connection.create(resources.POD, pod, namespace, dry_run=False)


def stop_pod(connection: Connection, namespace: str, name: str = "app") -> None:
    client.CoreV1Api(official_client()).delete_namespaced_pod(name, namespace, grace_period_seconds=0)


def allow(connection: Connection, namespace: str, *rules: tuple[str, str]) -> None:
    """Allow the limited user all verbs on these kinds (group, plural) of a namespace."""
    role = {
        "metadata": {"name": "some"},
        "rules": [{"apiGroups": [group], "resources": [plural], "verbs": ["*"]} for group, plural in rules],
    }
    connection.create(resources.ROLE, role, namespace, dry_run=False)
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "token-limited"}
    connection.create(
        resources.ROLE_BINDING,
        {"metadata": {"name": "some"}, "roleRef": reference, "subjects": [subject]},
        namespace,
        dry_run=False,
    )
