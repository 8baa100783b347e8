# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of what volumes hold, read by a short-lived pod: `python -m tests.cluster.digests BYTES NAMESPACE/CLAIM ...`."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from kubernetes import client, config

from tests.cluster.errors import ClusterError
from tests.cluster.versions import HELPER_IMAGE

_SECONDS = 90


def digests(kubeconfig: str, claims: list[str], size_bytes: int) -> dict[str, str]:
    """The digest of the first `size_bytes` of each volume's disk (disk.img, or the device), by `NAMESPACE/CLAIM`."""
    core = client.CoreV1Api(config.new_client_from_config(kubeconfig))
    return {claim: _digest(core, *claim.split("/", 1), size_bytes=size_bytes) for claim in claims}


def _digest(core: client.CoreV1Api, namespace: str, claim: str, *, size_bytes: int) -> str:
    block = core.read_namespaced_persistent_volume_claim(claim, namespace).spec.volume_mode == "Block"
    path = "/volume" if block else "/volume/disk.img"
    container: dict[str, Any] = {
        "name": "digest",
        "image": HELPER_IMAGE,
        "command": ["sh", "-c", f"head -c {size_bytes} {path} | sha256sum"],
        **(
            {"volumeDevices": [{"name": "volume", "devicePath": "/volume"}]}
            if block
            else {"volumeMounts": [{"name": "volume", "mountPath": "/volume"}]}
        ),
    }
    name = f"digest-{claim}"
    core.create_namespaced_pod(
        namespace,
        {
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "containers": [container],
                "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}],
            },
        },
    )
    try:
        deadline = time.monotonic() + _SECONDS
        while (phase := core.read_namespaced_pod(name, namespace).status.phase) not in ("Succeeded", "Failed"):
            if time.monotonic() > deadline:
                raise ClusterError(f"Pod {namespace}/{name} is {phase} after {_SECONDS} s: look at its events.")
            time.sleep(0.3)
        log = core.read_namespaced_pod_log(name, namespace)
        if phase == "Failed":
            raise ClusterError(f"{namespace}/{claim} cannot be read: {log.strip()}")
        return str(log.split()[0])
    finally:
        core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)


if __name__ == "__main__":
    print(json.dumps(digests(os.environ["KUBECONFIG"], sys.argv[2:], int(sys.argv[1]))))
