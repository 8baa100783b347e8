# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of the contents of volumes, read by pods: `python -m tests.cluster.digests BYTES NAMESPACE/CLAIM ...`."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from typing import Any

from kubernetes import client, config

from tests.cluster.errors import ClusterError
from tests.cluster.versions import HELPER_IMAGE

_SECONDS = 60
_SECONDS_OF_EACH = 10


def digests(kubeconfig: str, claims: list[str], size_bytes: int, file: str = "disk.img") -> dict[str, str]:
    """The digest of the first `size_bytes` of each volume's disk (`file`, or the device), by `NAMESPACE/CLAIM`.

    One pod reads all claims of a namespace. A missing file has the digest of no bytes.
    """
    core = client.CoreV1Api(config.new_client_from_config(kubeconfig))
    found: dict[str, str] = {}
    for namespace in sorted({claim.partition("/")[0] for claim in claims}):
        names = [claim.partition("/")[2] for claim in claims if claim.startswith(f"{namespace}/")]
        read = _digests(core, namespace, names, f"head -c {size_bytes}", file)
        found.update({f"{namespace}/{name}": digest for name, digest in zip(names, read, strict=True)})
    return found


def _digests(core: client.CoreV1Api, namespace: str, claims: list[str], head: str, file: str) -> list[str]:
    container: dict[str, Any] = {"name": "digest", "image": HELPER_IMAGE, "volumeMounts": [], "volumeDevices": []}
    commands, volumes = [], []
    for number, claim in enumerate(claims):
        path, name = f"/volume-{number}", f"volume-{number}"
        if core.read_namespaced_persistent_volume_claim(claim, namespace).spec.volume_mode == "Block":
            container["volumeDevices"].append({"name": name, "devicePath": path})
        else:
            container["volumeMounts"].append({"name": name, "mountPath": path})
            path += f"/{file}"
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claim}})
        commands.append(f"{head} {path} 2>/dev/null | sha256sum")
    container["command"] = ["sh", "-c", "; ".join(commands)]
    name = f"digest-{uuid.uuid4().hex[:8]}"
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    core.create_namespaced_pod(namespace, {"metadata": {"name": name}, "spec": spec})
    try:
        seconds = _SECONDS + _SECONDS_OF_EACH * len(claims)
        deadline = time.monotonic() + seconds
        while (phase := core.read_namespaced_pod(name, namespace).status.phase) not in ("Succeeded", "Failed"):
            if time.monotonic() > deadline:
                raise ClusterError(f"Pod {namespace}/{name} is {phase} after {seconds} s: see its events.")
            time.sleep(0.3)
        log = core.read_namespaced_pod_log(name, namespace)
        if phase == "Failed":
            raise ClusterError(f"Claims {', '.join(claims)} of {namespace} cannot be read: {log.strip()}")
        return [line.split()[0] for line in log.splitlines()]
    finally:
        core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)


if __name__ == "__main__":
    print(json.dumps(digests(os.environ["KUBECONFIG"], sys.argv[2:], int(sys.argv[1]))))
