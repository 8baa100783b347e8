# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the disk of a claim, read by a pod while no machine uses it."""

from __future__ import annotations

import uuid
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import PERSISTENT_VOLUME_CLAIM, POD
from kubernetes import client

from tests.cluster.versions import HELPER_IMAGE
from tests.modules import official_client
from tests.real.objects import create, existing, until

_SECONDS = 600


def written(connection: Connection, namespace: str, claim: str) -> list[str]:
    """The lines that guests wrote into the first 16384 sectors of a disk, which were empty."""
    return _read(connection, namespace, claim, "head -c 8388608 $DISK | tr -d '\\000'").splitlines()


def digest(connection: Connection, namespace: str, claim: str, start: int = 0) -> str:
    """The SHA-256 digest of the disk from this byte on."""
    return _read(connection, namespace, claim, f"tail -c +{start + 1} $DISK | sha256sum").split()[0]


def blocks(connection: Connection, namespace: str, claim: str) -> int:
    """The allocated blocks, of 512 bytes each, of the image on the claim."""
    return int(_read(connection, namespace, claim, "stat -c %b $DISK"))


def files(connection: Connection, namespace: str, claim: str) -> list[str]:
    """For each file on the volume of a claim: its name, size, user and group."""
    return _read(connection, namespace, claim, "stat -c '%n %s %u %g' /volume/*").splitlines()


def _read(connection: Connection, namespace: str, claim: str, command: str) -> str:
    """The output of a shell command, for which $DISK is the image or the device of the claim."""
    name = f"read-{uuid.uuid4().hex[:8]}"
    block = existing(connection, PERSISTENT_VOLUME_CLAIM, claim, namespace)["spec"]["volumeMode"] == "Block"
    use: dict[str, Any] = (
        {"volumeDevices": [{"name": "volume", "devicePath": "/dev/volume"}]}
        if block
        else {"volumeMounts": [{"name": "volume", "mountPath": "/volume"}]}
    )
    disk = {"name": "DISK", "value": "/dev/volume" if block else "/volume/disk.img"}
    container = {"name": "read", "image": HELPER_IMAGE, "command": ["sh", "-c", command], "env": [disk], **use}
    volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}]
    create(
        connection,
        POD,
        name,
        namespace,
        spec={"restartPolicy": "Never", "containers": [container], "volumes": volumes},
    )

    def phase() -> str:
        return str(existing(connection, POD, name, namespace)["status"]["phase"])

    until(lambda: phase() in ("Succeeded", "Failed"), _SECONDS, f"Claim {claim} is not read")
    log = str(client.CoreV1Api(official_client()).read_namespaced_pod_log(name, namespace))
    assert phase() == "Succeeded", log
    connection.delete(POD, name, namespace, dry_run=False)
    return log
