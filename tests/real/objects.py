# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects on the cluster that tests create, read and wait for, and types of the fixtures."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import NAMESPACE, POD, Resource

from tests.cluster.versions import HELPER_IMAGE
from tests.modules import Ran

# The fixtures `module`, `ok` and `lookup`, and the results of a task by the names of its volumes.
Module = Callable[..., Ran]
Ok = Callable[..., dict[str, Any]]
Lookup = Callable[..., list[dict[str, Any]]]
Results = dict[str, dict[str, Any]]


def create(connection: Connection, resource: Resource, name: str, namespace: str | None = None, **fields: Any) -> None:
    """Create an object; `metadata` among `fields` adds to its name."""
    metadata = {"name": name, **fields.pop("metadata", {})}
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}
    connection.create(resource, body, namespace, dry_run=False)


def existing(connection: Connection, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
    """The object, which must exist."""
    found = connection.get(resource, name, namespace)
    assert found is not None, f"{resource.kind} {name} does not exist"
    return found


def until(check: Callable[[], Any], seconds: float, sentence: str) -> Any:
    """The first true result of `check`. Raises AssertionError with `sentence` after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < deadline, f"{sentence} after {seconds:.0f} s"
        time.sleep(0.3)


@contextmanager
def new_namespace(connection: Connection, prefix: str = "test") -> Iterator[str]:
    """A namespace with a new name; it is deleted at the end."""
    name = f"{prefix}-{uuid.uuid4().hex[:8]}"
    create(connection, NAMESPACE, name)
    try:
        yield name
    finally:
        connection.delete(NAMESPACE, name, dry_run=False)


def create_pod(connection: Connection, name: str, namespace: str, claim: str, **use: Any) -> None:
    """Create a pod that sleeps and has a claim; `use` are fields of its container, by default the mount /volume.

    The volume is called `volume`.
    """
    use = use or {"volumeMounts": [{"name": "volume", "mountPath": "/volume"}]}
    container = {"name": "user", "image": HELPER_IMAGE, "command": ["sleep", "600"], **use}
    volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    create(connection, POD, name, namespace, spec=spec)
