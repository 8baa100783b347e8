# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines with the guest of the test cluster, which reports the disks that it sees on its console."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import POD, VIRTUAL_MACHINE, Resource
from kubernetes import client
from kubernetes.stream import stream

from tests.cluster.versions import GUEST_IMAGE, HELPER_IMAGE
from tests.modules import official_client
from tests.real.objects import create, existing, until

INSTANCE = Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", True)
# Some 25 s on a machine without other work.
_BOOT_SECONDS = 180


@dataclass(frozen=True)
class Report:
    """What the guest sees at one time: the properties of each disk, and the contents of each file on an ISO 9660
    disk, both by the serial of the disk or, without one, its name in the guest. Linux shows no serial of a cdrom."""

    number: int
    disks: dict[str, dict[str, Any]]
    files: dict[str, dict[str, bytes]]


class Guest:
    """A virtual machine. Each start has its own pod with its own console."""

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self.connection, self.namespace, self.name = connection, namespace, name
        self._core = client.CoreV1Api(official_client())

    def create(
        self,
        disks: list[dict[str, Any]],
        volumes: list[dict[str, Any]],
        templates: list[dict[str, Any]] | None = None,
        **domain: Any,
    ) -> None:
        """Create the machine and start it. `templates` are its dataVolumeTemplates, `domain` fields of its domain."""
        machine = template(disks, volumes, **domain)
        spec = {"dataVolumeTemplates": templates or [], "runStrategy": "Always", "template": machine}
        create(self.connection, VIRTUAL_MACHINE, self.name, self.namespace, spec=spec)

    def stop(self) -> None:
        """Stop the machine, as by switching it off, and wait until it has ended."""
        body = {"spec": {"runStrategy": "Halted"}}
        self.connection.merge(VIRTUAL_MACHINE, self.name, self.namespace, body, dry_run=False)
        self._wait_for_end()

    def delete(self) -> None:
        """Delete the machine and wait until its pods are gone, so that its volumes can be deleted."""
        self.connection.delete(VIRTUAL_MACHINE, self.name, self.namespace, dry_run=False)
        self._wait_for_end()

    def _wait_for_end(self) -> None:
        until(lambda: not self.pods(), 180, f"The pods of {self.name} remain")

    def instance(self) -> dict[str, Any]:
        return existing(self.connection, INSTANCE, self.name, self.namespace)

    def domain(self) -> ElementTree.Element:
        """The domain that libvirt runs. The instance must be running."""
        text = stream(
            self._core.connect_get_namespaced_pod_exec,
            self.pods()[-1]["metadata"]["name"],
            self.namespace,
            container="compute",
            command=["virsh", "dumpxml", f"{self.namespace}_{self.name}"],
            stdout=True,
            stderr=True,
        )
        return ElementTree.fromstring(text)

    def pods(self) -> list[dict[str, Any]]:
        """The pods of virt-launcher, the oldest first."""
        found, _version = self.connection.list(POD, self.namespace, label_selector=f"vm.kubevirt.io/name={self.name}")
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def lines(self, word: str) -> list[dict[str, Any]]:
        """The lines of the console that begin with this word, of the newest pod."""
        pods = self.pods()
        if not pods:
            return []
        try:
            text = self._core.read_namespaced_pod_log(
                pods[-1]["metadata"]["name"], self.namespace, container="guest-console-log"
            )
        except client.ApiException:
            return []  # The container has not started.
        found = [line.partition("{") for line in text.splitlines() if line.startswith(f"{word} {{")]
        return [json.loads("{" + rest) for _word, _brace, rest in found]

    def report(self, number: int = 1, seconds: float = _BOOT_SECONDS) -> Report:
        """The report with that number; the first is that of the start."""
        until(
            lambda: number in [line["report"] for line in self.lines("report")],
            seconds,
            f"The guest of {self.name} has not sent report {number}",
        )
        disks = {disk["name"]: disk for disk in self.lines("disk") if disk["report"] == number}
        files: dict[str, dict[str, bytes]] = {}
        for line in self.lines("file"):
            if line["report"] == number:
                content = files.setdefault(_key(disks[line["disk"]]), {})
                content[line["path"]] = base64.b64decode(line["base64"])
        return Report(number, {_key(disk): disk for disk in disks.values()}, files)


def _key(disk: dict[str, Any]) -> str:
    return str(disk["serial"] or disk["name"])


def template(disks: list[dict[str, Any]], volumes: list[dict[str, Any]], **domain: Any) -> dict[str, Any]:
    """The template of a machine that boots the guest's kernel without a disk. `domain` adds to its domain."""
    boot = {"image": GUEST_IMAGE, "kernelPath": "/boot/vmlinuz", "initrdPath": "/boot/initrd"}
    # Neither graphics, nor the pod's network: its default needs a network interface that not every kernel has.
    devices = {"autoattachGraphicsDevice": False, "autoattachPodInterface": False, "disks": disks}
    whole = {
        "cpu": {"cores": 1},
        "memory": {"guest": "192Mi"},
        "devices": devices,
        "firmware": {"kernelBoot": {"container": boot, "kernelArgs": "console=ttyS0 quiet"}},
        **domain,
    }
    return {"spec": {"terminationGracePeriodSeconds": 0, "domain": whole, "volumes": volumes}}


def blank(name: str, size: str = "64Mi", **storage: Any) -> dict[str, Any]:
    """A DataVolume without content, as an element of dataVolumeTemplates."""
    storage = {"resources": {"requests": {"storage": size}}, **storage}
    return {"metadata": {"name": name}, "spec": {"source": {"blank": {}}, "storage": storage}}


def written(connection: Connection, namespace: str, claim: str) -> list[str]:
    """The lines that guests wrote into the sectors of a claim with a disk image, read in a pod."""
    mount = {"name": "volume", "mountPath": "/volume"}
    command = ["sh", "-c", "tr -d '\\000' < /volume/disk.img"]
    container = {"name": "read", "image": HELPER_IMAGE, "command": command, "volumeMounts": [mount]}
    volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    create(connection, POD, f"read-{claim}", namespace, spec=spec)

    def phase() -> str:
        return str(existing(connection, POD, f"read-{claim}", namespace)["status"]["phase"])

    until(lambda: phase() in ("Succeeded", "Failed"), 180, f"Claim {claim} is not read")
    log = str(client.CoreV1Api(official_client()).read_namespaced_pod_log(f"read-{claim}", namespace))
    assert phase() == "Succeeded", log
    return log.splitlines()
