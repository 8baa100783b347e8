# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs KubeVirt from its release manifest, as small and as quick to start as it allows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import Resource
from kubernetes.dynamic.exceptions import DynamicApiError

from tests.cluster.runtime import objects
from tests.real.objects import until

NAMESPACE = "kubevirt"
KUBEVIRT = Resource("kubevirt.io", "v1", "kubevirts", "KubeVirt", True)
FEATURE_GATES = ["DownwardMetrics", "HotplugVolumes", "HostDisk", "Snapshot"]
# The probes of the release wait 5 or 15 s, look every 10 or 20 s, and give up a component after three times.
_PROBE = {"initialDelaySeconds": 1, "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 60}
# On a machine with too few processors for a while, a component that is killed only makes it worse.
_PATIENCE = {"periodSeconds": 60, "timeoutSeconds": 60, "failureThreshold": 30}
_COMPONENTS = {"virt-api": "Deployment", "virt-controller": "Deployment", "virt-handler": "DaemonSet"}
_WITH_LIVENESS_PROBE = ("virt-controller", "virt-handler")
_DEPLOYED_SECONDS = 1200


def install_kubevirt(connection: Connection) -> None:
    """Install KubeVirt and wait until it is deployed. An installed one stays unchanged, unless its settings differ."""
    cluster = objects.connect(Path(os.environ["KUBECONFIG"]))
    manifest = objects.load([Path(os.environ["KUBEVIRT_CDI_TEST_KUBEVIRT_MANIFEST"])])
    for item in manifest:
        if item["kind"] == "Deployment":
            item["spec"]["replicas"] = 1
            (container,) = item["spec"]["template"]["spec"]["containers"]
            container["readinessProbe"] |= _PROBE
            container["livenessProbe"] |= _PATIENCE
    objects.apply(cluster, manifest)
    objects.wait_established(cluster, ["kubevirts.kubevirt.io"])
    until(lambda: accepted(lambda: objects.apply(cluster, [kubevirt()])), _DEPLOYED_SECONDS, "KubeVirt is not accepted")

    def deployed() -> bool:
        status = (connection.get(KUBEVIRT, "kubevirt", NAMESPACE) or {}).get("status", {})
        available = {each["type"]: each["status"] for each in status.get("conditions", [])}.get("Available")
        return status.get("phase") == "Deployed" and available == "True"

    until(deployed, _DEPLOYED_SECONDS, "KubeVirt is not deployed")


def accepted(write: Callable[[], Any]) -> bool:
    """Whether a webhook of KubeVirt answered to this write in time, which it does not on a busy machine."""
    try:
        write()
    except (ApiError, DynamicApiError) as error:
        if "failed calling webhook" not in str(error):
            raise
        return False
    return True


def enable_gates(connection: Connection, gates: list[str]) -> None:
    """Enable these feature gates and no others, and wait until KubeVirt uses them."""
    configuration = {"developerConfiguration": {"featureGates": gates}}
    body = {"spec": {"configuration": configuration}}

    def merge() -> None:
        connection.merge(KUBEVIRT, "kubevirt", NAMESPACE, body, dry_run=False)

    until(lambda: accepted(merge), _DEPLOYED_SECONDS, "The feature gates are not accepted")

    def observed() -> bool:
        found = connection.get(KUBEVIRT, "kubevirt", NAMESPACE) or {}
        return bool(found["status"].get("observedGeneration") == found["metadata"]["generation"])

    until(observed, _DEPLOYED_SECONDS, "KubeVirt does not use the feature gates")


def kubevirt() -> dict[str, Any]:
    """The KubeVirt object: software emulation, migrations, and the feature gates that the tests need."""
    probes = [
        _patch(name, kind, {"containers": [{"name": name, **_probes(name)}]}) for name, kind in _COMPONENTS.items()
    ]
    # Without it, the labels of the node offer a CPU of KVM, which no node can run, and no migration finds its target.
    emulated = {"name": "virt-launcher", "env": [{"name": "HYPERVISOR_DEVICE", "value": "none"}]}
    return {
        "apiVersion": KUBEVIRT.api_version,
        "kind": KUBEVIRT.kind,
        "metadata": {"name": "kubevirt", "namespace": NAMESPACE},
        "spec": {
            "imagePullPolicy": "IfNotPresent",
            "infra": {"replicas": 1},
            "configuration": {
                "developerConfiguration": {"useEmulation": True, "featureGates": FEATURE_GATES},
                "vmRolloutStrategy": "LiveUpdate",
            },
            "workloadUpdateStrategy": {"workloadUpdateMethods": ["LiveMigrate"]},
            "customizeComponents": {
                "patches": [*probes, _patch("virt-handler", "DaemonSet", {"initContainers": [emulated]})]
            },
        },
    }


def _probes(name: str) -> dict[str, Any]:
    return {"readinessProbe": _PROBE, **({"livenessProbe": _PATIENCE} if name in _WITH_LIVENESS_PROBE else {})}


def _patch(name: str, kind: str, pod: dict[str, Any]) -> dict[str, str]:
    patch = json.dumps({"spec": {"template": {"spec": pod}}})
    return {"resourceName": name, "resourceType": kind, "type": "strategic", "patch": patch}
