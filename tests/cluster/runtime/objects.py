# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that the test cluster creates or waits for, with the kubernetes client."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config, dynamic
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import DynamicApiError
from urllib3.exceptions import HTTPError

from tests.cluster.errors import ClusterError


def connect(kubeconfig: Path) -> dynamic.DynamicClient:
    return dynamic.DynamicClient(config.new_client_from_config(str(kubeconfig)))


def load(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """All objects in these YAML files."""
    return [document for path in paths for document in yaml.safe_load_all(path.read_text()) if document]


def apply(cluster: dynamic.DynamicClient, objects: Iterable[dict[str, Any]]) -> None:
    """Create or update by server-side apply."""
    for wanted in objects:
        kind = cluster.resources.get(api_version=wanted["apiVersion"], kind=wanted["kind"])
        kind.server_side_apply(body=wanted, field_manager="kubevirt-cdi-test", force_conflicts=True)


def wait_established(cluster: dynamic.DynamicClient, names: Iterable[str]) -> None:
    """Wait until the API server serves these CustomResourceDefinitions."""
    kind = cluster.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
    for name in names:

        def established(name: str = name) -> bool:
            return _condition(kind.get(name=name).to_dict(), "Established")

        _wait(established, 20, f"CRD {name} is not served")


def wait_for_node(kubeconfig: Path, name: str, seconds: float) -> None:
    def ready() -> bool:
        node = client.CoreV1Api(config.new_client_from_config(str(kubeconfig))).read_node(name)
        return any(
            condition.type == "Ready" and condition.status == "True" for condition in node.status.conditions or []
        )

    _wait(ready, seconds, f"Node {name} is not Ready")


def wait_for_server(kubeconfig: Path, seconds: float) -> None:
    """Wait until the API server answers and has its default objects."""

    def ready() -> bool:
        core = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
        core.read_namespace("default")
        return True

    _wait(ready, seconds, "The API server does not answer")


def _condition(stored: dict[str, Any], kind: str) -> bool:
    conditions = (stored.get("status") or {}).get("conditions") or []
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def _wait(check: Any, seconds: float, sentence: str) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if check():
                return
        except (ApiException, DynamicApiError, HTTPError, OSError):
            pass  # Not ready yet: only the deadline makes this an error.
        if time.monotonic() > deadline:
            raise ClusterError(f"{sentence} after {seconds:.0f} s: run `status` and `logs NAME` to see why.")
        time.sleep(0.1)
