# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of KubeVirt that attaches and detaches disks of running machines, on an API server without KubeVirt."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import Resource

from tests.api.objects import SetStatus, body, patch_status

Object = dict[str, Any]

DECLARATIVE, IMPERATIVE = "DeclarativeHotplugVolumes", "HotplugVolumes"


def kubevirt(*gates: str) -> Object:
    configuration = {"developerConfiguration": {"featureGates": list(gates)}}
    return body(resources.KUBEVIRT, "kubevirt", spec={"configuration": configuration})


def device(name: str, **fields: Any) -> Object:
    return {"name": name, **({"disk": {"bus": "virtio"}} if not {"cdrom", "lun"} & set(fields) else {}), **fields}


def volume(name: str, claim: str = "", *, hotpluggable: bool = False) -> Object:
    source: Object = {"name": claim or name, **({"hotpluggable": True} if hotpluggable else {})}
    return {"name": name, "dataVolume": source}


def create_volume(
    direct: Connection, namespace: str, set_status: SetStatus, name: str, size: str = "1Gi", **spec: Any
) -> None:
    """A filled DataVolume and its claim."""
    requests = {"resources": {"requests": {"storage": size}}}
    target = {"source": {"blank": {}}, "storage": requests}
    made = body(resources.DATA_VOLUME, name, spec=target)
    direct.create(resources.DATA_VOLUME, made, namespace, dry_run=False)
    set_status(namespace, name)
    create_claim(direct, namespace, name, size, **spec)


def create_claim(direct: Connection, namespace: str, name: str, size: str = "1Gi", **spec: Any) -> None:
    requests = {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"]}
    claim = body(resources.PERSISTENT_VOLUME_CLAIM, name, spec={**requests, **spec})
    direct.create(resources.PERSISTENT_VOLUME_CLAIM, claim, namespace, dry_run=False)
    patch_status(direct, resources.PERSISTENT_VOLUME_CLAIM, name, namespace, {"phase": "Bound"})


class Machines:
    """Creates machines in a namespace, and carries out what virt-controller does with their disks."""

    def __init__(self, direct: Connection, namespace: str) -> None:
        self.direct, self.namespace = direct, namespace

    def create(
        self, name: str, *disks: tuple[Object | None, Object | None], running: bool = False, **spec: Any
    ) -> None:
        """Create a machine. Each disk is its device and its volume."""
        devices = [copy.deepcopy(each) for each, _volume in disks if each]
        volumes = [copy.deepcopy(each) for _device, each in disks if each]
        template = {"domain": {"devices": {"disks": devices}}, "volumes": volumes}
        metadata = spec.pop("metadata", {})
        whole = body(resources.VIRTUAL_MACHINE, name, metadata=metadata, spec={"template": {"spec": template}, **spec})
        self.direct.create(resources.VIRTUAL_MACHINE, whole, self.namespace, dry_run=False)
        if running:
            self.start(name)

    def start(self, name: str) -> None:
        spec = self.get(name)["spec"]["template"]["spec"]
        status = {"phase": "Running", "volumeStatus": [_ready(each) for each in spec.get("volumes", [])]}
        instance = body(resources.VIRTUAL_MACHINE_INSTANCE, name, spec=spec, status=status)
        self.direct.create(resources.VIRTUAL_MACHINE_INSTANCE, instance, self.namespace, dry_run=False)

    def stop(self, name: str) -> None:
        self.direct.delete(resources.VIRTUAL_MACHINE_INSTANCE, name, self.namespace, dry_run=False)

    def get(self, name: str, kind: Resource = resources.VIRTUAL_MACHINE) -> Object:
        found = self.direct.get(kind, name, self.namespace)
        assert found is not None
        return found

    def template(self, name: str) -> Object:
        spec: Object = self.get(name)["spec"]["template"]["spec"]
        return spec

    def instance(self, name: str) -> Object:
        return self.get(name, resources.VIRTUAL_MACHINE_INSTANCE)

    def devices(self, name: str) -> list[Object]:
        disks: list[Object] = self.template(name)["domain"]["devices"]["disks"]
        return disks

    def volumes(self, name: str) -> list[Object]:
        return list(self.template(name).get("volumes", []))

    def change(self, name: str, kind: Resource = resources.VIRTUAL_MACHINE, **fields: Any) -> None:
        self.direct.merge(kind, name, self.namespace, fields, dry_run=False)

    def plug(self, name: str) -> None:
        """pkg/storage/hotplug/hotplug.go patchHotplugVolumes, v1.8.2; each volume is ready at once."""
        template, instance = self.template(name), self.instance(name)
        wanted = {each["name"]: each for each in template.get("volumes", [])}
        volumes = [
            each
            for each in instance["spec"].get("volumes", [])
            if not _pluggable(each) or wanted.get(each["name"]) == each
        ]
        names = {each["name"] for each in volumes}
        volumes += [each for each in wanted.values() if _pluggable(each) and each["name"] not in names]
        names = {each["name"] for each in volumes}
        in_template = {each["name"]: each for each in template["domain"]["devices"]["disks"]}
        disks = instance["spec"]["domain"]["devices"]["disks"]
        disks = [each for each in disks if each["name"] in names or ("cdrom" in each and each["name"] in in_template)]
        there = {each["name"] for each in disks}
        disks += [each for key, each in in_template.items() if key in names and key not in there]
        if disks != instance["spec"]["domain"]["devices"]["disks"] or volumes != instance["spec"].get("volumes", []):
            status = {"volumeStatus": [_ready(each) for each in volumes]}
            spec = {"volumes": volumes, "domain": {"devices": {"disks": disks}}}
            self.change(name, resources.VIRTUAL_MACHINE_INSTANCE, spec=spec, status=status)


def _pluggable(each: Object) -> bool:
    return any((each.get(kind) or {}).get("hotpluggable") for kind in ("dataVolume", "persistentVolumeClaim"))


def _ready(each: Object) -> Object:
    status: Object = {"name": each["name"], "phase": "Ready", "target": ""}
    return {**status, "hotplugVolume": {"attachPodName": f"hp-{each['name']}"}} if _pluggable(each) else status


@contextlib.contextmanager
def controlling(step: Callable[[], None], *, seconds: float = 0.05) -> Iterator[None]:
    """Carry out a step of a controller again and again, until the context ends."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            step()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    ended.set()
    thread.join()
