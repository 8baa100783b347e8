# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines with the guest of the test cluster, which reports the disks that it sees on its console."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import POD, VIRTUAL_MACHINE, Resource
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rendering import render
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked
from kubernetes import client
from kubernetes.stream import stream

from tests.cluster.versions import GUEST_IMAGE
from tests.modules import official_client
from tests.real.objects import create, existing
from tests.vm.kubevirt_setup import accepted
from tests.vm.state import INSTANCE, state_of
from tests.vm_disks.spec import Entry

# The disk with the guest, from which a machine boots, and its serial.
BOOT = "BOOT"
BOOT_DISK: Entry = {
    "name": "boot",
    "container_disk": {"image": GUEST_IMAGE},
    "bus": "virtio",
    "serial": BOOT,
    "boot_order": 1,
}
# The first words of the lines of guest_init.sh.
_WORDS = ("beat", "disk", "file", "report", "speed", "sum")
_SUMMED_BYTES = 16 << 20
# A machine boots in some 20 s, and in minutes when others use all processors.
_SECONDS = 900


@dataclass(frozen=True)
class Report:
    """What the guest sees at one time: the properties of each disk, and the contents of each file on an ISO 9660
    disk, both by the serial of the disk or, without one, its name in the guest. Linux shows no serial of a cdrom."""

    disks: dict[str, dict[str, Any]]
    files: dict[str, dict[str, bytes]]


class Guest:
    """A virtual machine. Each start has its own pod with its own console."""

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self.connection, self.namespace, self.name = connection, namespace, name
        self._core = client.CoreV1Api(official_client())

    def create(self, disks: list[Entry], options: Entry | None = None, *, boots: bool = True, **domain: Any) -> None:
        """Create a machine with the disks of filter vm_disks and start it. `domain` adds to its domain.

        Without `boots`, it has no disk with the guest but those in `disks`.
        """
        fragment = render(checked([*disks, *([BOOT_DISK] if boots else [])], options or {}))
        self.post(VIRTUAL_MACHINE, machine(fragment, **domain))

    def create_instance(self, disks: list[Entry], options: Entry | None = None, **domain: Any) -> None:
        """Create an instance without a machine, otherwise as `create`."""
        spec = machine(render(checked([*disks, BOOT_DISK], options or {})), **domain)["template"]["spec"]
        self.post(INSTANCE, spec)

    def post(self, resource: Resource, spec: dict[str, Any]) -> None:
        """Create the object of the machine, again if KubeVirt's webhook did not answer in time."""

        def write() -> None:
            create(self.connection, resource, self.name, self.namespace, spec=spec)

        self.until(lambda: accepted(write), "is not accepted")

    def set_running(self, *, running: bool) -> None:
        self.merge({"spec": {"runStrategy": "Always" if running else "Halted"}})

    def merge(self, body: dict[str, Any]) -> None:
        """Change the machine by a merge patch."""

        def write() -> None:
            self.connection.merge(VIRTUAL_MACHINE, self.name, self.namespace, body, dry_run=False)

        self.until(lambda: accepted(write), "is not changed")

    def stop(self) -> None:
        """Stop the machine, as by switching it off, and wait until it has ended."""
        self.set_running(running=False)
        self._wait_for_end()

    def restart(self) -> None:
        """Stop the machine and start it again."""
        self.stop()
        self.set_running(running=True)

    def delete(self) -> None:
        """Delete the machine and its instance and wait until its pods are gone, so that its volumes can be deleted."""
        self.begin_to_delete()
        self._wait_for_end()

    def begin_to_delete(self) -> None:
        """Delete the machine and its instance without waiting."""
        for resource in (VIRTUAL_MACHINE, INSTANCE):
            self.connection.delete(resource, self.name, self.namespace, dry_run=False)

    def _wait_for_end(self) -> None:
        self.until(
            lambda: not self.pods() and self.connection.get(INSTANCE, self.name, self.namespace) is None,
            "has not ended",
        )

    def until(self, check: Callable[[], Any], sentence: str) -> Any:
        """The first true result of `check`. `sentence` follows the name of the machine in an AssertionError, which
        shows the state of the machine."""
        deadline = time.monotonic() + _SECONDS
        while True:
            result = check()
            if result:
                return result
            if time.monotonic() > deadline:
                state = state_of(self.connection, self.namespace)
                raise AssertionError(f"Machine {self.name} {sentence} after {_SECONDS} s:\n{state}\n{self.console()}")
            time.sleep(1)

    def instance(self) -> dict[str, Any]:
        return existing(self.connection, INSTANCE, self.name, self.namespace)

    def phase(self) -> str:
        """The phase of the instance, empty if there is none."""
        found = self.connection.get(INSTANCE, self.name, self.namespace) or {}
        return str((found.get("status") or {}).get("phase", ""))

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

    def console(self) -> str:
        """What the newest pod has printed, empty before it has started. Pods that have ended count only without others:
        a failed migration leaves one that is newer than that of the machine."""
        pods = self.pods()
        pods = [pod for pod in pods if pod["status"].get("phase") not in ("Succeeded", "Failed")] or pods
        if not pods:
            return ""
        try:
            return str(
                self._core.read_namespaced_pod_log(
                    pods[-1]["metadata"]["name"], self.namespace, container="guest-console-log"
                )
            )
        except client.ApiException:
            return ""

    def _printed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The first word and the object of each whole line of the guest's program."""
        for line in self.console().splitlines():
            word, brace, rest = line.partition(" {")
            if word in _WORDS and brace and rest.endswith("}"):
                yield word, json.loads("{" + rest)

    def lines(self, word: str) -> list[dict[str, Any]]:
        """The lines of the console that begin with this word."""
        return [line for first, line in self._printed() if first == word]

    def boots(self, serial: str) -> list[int]:
        """The numbers of boots in the beats of this disk, each once."""
        return list(dict.fromkeys(line["boots"] for line in self.lines("beat") if line["serial"] == serial))

    def beat(self, serial: str = "DATA1", after: int = 0) -> dict[str, Any]:
        """The last beat that the guest wrote to this disk, which is later than number `after`."""

        def newest() -> dict[str, Any] | None:
            found = [line for line in self.lines("beat") if line["serial"] == serial]
            return found[-1] if found and found[-1]["beats"] > after else None

        return dict(self.until(newest, f"has not written beat {after + 1} to {serial}"))

    def reports(self) -> list[Report]:
        """The complete reports of the newest pod. Their numbers begin again when the guest reboots."""
        found, disks, files = [], dict[str, dict[str, Any]](), dict[str, dict[str, bytes]]()
        for word, line in self._printed():
            if word == "disk":
                disks[line["name"]] = line
            elif word == "file" and not line["path"].startswith(".."):  # The kubelet's own copies.
                content = files.setdefault(_key(disks[line["disk"]]), {})
                content[line["path"]] = base64.b64decode(line["base64"])
            elif word == "report":
                found.append(Report({_key(disk): disk for disk in disks.values()}, files))
                disks, files = {}, {}
        return found

    def report(self, *present: str, absent: Sequence[str] = ()) -> Report:
        """The newest report, once it has all of these disks and none of `absent`."""

        def newest() -> Report | None:
            for found in reversed(self.reports()):
                return found if {*present} <= {*found.disks} and not {*absent} & {*found.disks} else None
            return None

        sentence = f"reports no disks {', '.join(present)} without {', '.join(absent) or 'others'}"
        return cast(Report, self.until(newest, sentence))

    def sums(self) -> dict[str, str]:
        """The digests of the beginnings of the disks whose serials begin with SUM, by these serials."""
        return {line["serial"]: line["sha256"] for line in self.lines("sum")}


def _key(disk: dict[str, Any]) -> str:
    return str(disk["serial"] or disk["name"])


def machine(fragment: dict[str, Any], **domain: Any) -> dict[str, Any]:
    """The spec of a machine that runs, with a part of it that filter vm_disks has rendered. `domain` adds to its
    domain."""
    template = fragment["template"]["spec"]
    rendered = template["domain"]
    # Neither graphics, nor the pod's network: its default needs a network interface that not every kernel has.
    devices = {"autoattachGraphicsDevice": False, "autoattachPodInterface": False, **rendered["devices"]}
    whole = {"cpu": {"cores": 1}, "memory": {"guest": "192Mi"}, **rendered, "devices": devices, **domain}
    spec = {"terminationGracePeriodSeconds": 0, **template, "domain": whole}
    return {"runStrategy": "Always", **fragment, "template": {"spec": spec}}


def beginning(image: Path) -> str:
    """The digest that the guest prints of a disk with the data of this image."""
    with image.open("rb") as stream:
        return hashlib.sha256(stream.read(_SUMMED_BYTES)).hexdigest()


def blank(name: str, size: str = "64Mi", **storage: Any) -> Entry:
    """A volume without content that KubeVirt creates with the machine, as a part of a disk."""
    volume = {"name": name, "source": {"blank": {}}, "storage": {"size": size, **storage}}
    return {"data_volume_template": volume}
