# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials that are rotated while a module runs, on a real API server.

The tokens are of a service account and bound to Secrets: the API server rejects a token after its Secret is deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from kubernetes import client

from tests.modules import official_client

KINDS = ("token file", "plugin whose token expires", "plugin whose token is revoked")
VERSION = "client.authentication.k8s.io/v1"
FIRST, SECOND = "first", "second"


@dataclass
class Rotation:
    """A user of a kubeconfig with the first token. `rotate` provides the second, and ends when the first is rejected.

    `runs` is the number of runs of the credential plugin.
    """

    tokens: dict[str, str]
    user: dict[str, Any]
    rotate: Callable[[], None]
    runs: Callable[[], int]


@contextmanager
def rotating(kind: str, namespace: str, folder: Path, server: dict[str, Any]) -> Iterator[Rotation]:
    """`kind` is one of KINDS, `server` has connection options without credentials."""
    core, rights = client.CoreV1Api(official_client()), client.RbacAuthorizationV1Api(official_client())
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "robot"}})
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    rights.create_cluster_role_binding({"metadata": {"name": namespace}, "roleRef": role, "subjects": [subject]})
    tokens = {}
    for name in (FIRST, SECOND):
        core.create_namespaced_secret(namespace, {"metadata": {"name": name}})
        bound = {"kind": "Secret", "apiVersion": "v1", "name": name}
        tokens[name] = core.create_namespaced_service_account_token(
            "robot", namespace, {"spec": {"boundObjectRef": bound}}
        ).status.token
    file, runs, expiry = folder / "token", folder / "runs", folder / "expiry"
    file.write_text(tokens[FIRST])
    runs.write_text("")
    expiry.write_text("2099-01-01T00:00:00Z")
    if "expires" in kind:
        expiry.write_text((datetime.now(timezone.utc) + timedelta(seconds=8)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    script = folder / "plugin.sh"
    status = '\'{"token": "\'$(cat token)\'", "expirationTimestamp": "\'$(cat expiry)\'"}\''
    credential = f'\'{{"apiVersion": "{VERSION}", "kind": "ExecCredential", "status": \'{status}\'}}\''
    script.write_text(f"#!/bin/sh\ncd {folder}\necho >>runs\necho {credential}\n")
    script.chmod(0o755)

    def rotate() -> None:
        """For a plugin with an expiry, the first token expires before it is rejected."""
        written = datetime.fromisoformat(expiry.read_text().replace("Z", "+00:00"))
        file.write_text(tokens[SECOND])
        expiry.write_text("2099-01-01T00:00:00Z")
        if "expires" in kind:
            time.sleep(max((written - datetime.now(timezone.utc)).total_seconds() + 1, 0))
        core.delete_namespaced_secret(FIRST, namespace)
        old = connect({**server, "api_key": tokens[FIRST]})
        # The API server caches a token for some seconds.
        while old.transport.request("GET", "/api", {}).status != 401:
            time.sleep(0.5)

    user = (
        {"tokenFile": str(file)}
        if kind == "token file"
        else {"exec": {"apiVersion": VERSION, "command": str(script), "interactiveMode": "Never"}}
    )
    try:
        yield Rotation(tokens, user, rotate, lambda: len(runs.read_text()))
    finally:
        rights.delete_cluster_role_binding(namespace)
