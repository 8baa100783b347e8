# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of CDI and KubeVirt that moves volumes, on an API server without them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError

from tests.api.objects import SetStatus, body, owner_reference, patch_status
from tests.api.virt_controller import Machines, controlling, create_volume


class Controllers:
    """What CDI and KubeVirt do with the volumes of a namespace: one step with each call."""

    def __init__(self, machines: Machines) -> None:
        self.machines, self.direct, self.namespace = machines, machines.direct, machines.namespace
        self.moves, self.refuses, self.fails = True, False, ""

    def step(self) -> None:
        with contextlib.suppress(ApiError, AssertionError):  # A write of the module came between.
            self.fill()
        machines = self.direct.list(resources.VIRTUAL_MACHINE, self.namespace)[0]
        instances = self.direct.list(resources.VIRTUAL_MACHINE_INSTANCE, self.namespace)[0]
        running = {each["metadata"]["name"]: each for each in instances}
        for machine in machines:
            if machine["metadata"]["name"] in running:
                with contextlib.suppress(ApiError, AssertionError):
                    self.move(machine, running[machine["metadata"]["name"]])

    def fill(self) -> None:
        """CDI creates and fills the claims of targets. Those of deleted DataVolumes are collected."""
        # In this order: a volume that a test creates is there before its claim.
        claims = self.direct.list(resources.PERSISTENT_VOLUME_CLAIM, self.namespace)[0]
        volumes = self.direct.list(resources.DATA_VOLUME, self.namespace)[0]
        owners = {each["metadata"]["uid"] for each in volumes}
        names = {each["metadata"]["name"] for each in volumes}
        for claim in claims:
            metadata = claim["metadata"]
            if metadata["name"] in names and {each["uid"] for each in metadata.get("ownerReferences", [])} <= owners:
                continue
            kind, place = resources.PERSISTENT_VOLUME_CLAIM, (metadata["name"], self.namespace)
            self.direct.merge(kind, *place, {"metadata": {"finalizers": None}}, dry_run=False)
            self.direct.delete(kind, *place, dry_run=False, uid=metadata["uid"])
        filled = {claim["metadata"]["name"] for claim in claims}
        for each in volumes:
            name, spec = each["metadata"]["name"], each["spec"]
            if name not in filled and self.fills(each):
                annotations = dict(each["metadata"].get("annotations", {}))
                if spec.get("preallocation"):
                    annotations["cdi.kubevirt.io/storage.preallocation"] = "true"
                target = {"accessModes": ["ReadWriteOnce"], **spec["storage"]}
                target["resources"] = target.get("resources") or {"requests": {"storage": "1Gi"}}
                metadata = {"annotations": annotations, "ownerReferences": [owner_reference(each)]}
                claim = body(resources.PERSISTENT_VOLUME_CLAIM, name, metadata=metadata, spec=target)
                self.direct.create(resources.PERSISTENT_VOLUME_CLAIM, claim, self.namespace, dry_run=False)
                status = {"phase": "Bound", "capacity": target["resources"]["requests"]}
                patch_status(self.direct, resources.PERSISTENT_VOLUME_CLAIM, name, self.namespace, status)
                patch_status(self.direct, resources.DATA_VOLUME, name, self.namespace, {"phase": "Succeeded"})

    def fills(self, data_volume: dict[str, Any]) -> bool:
        """Whether the simulated CDI fills this DataVolume."""
        return "kubevirt.cdi/moved-from" in data_volume["metadata"].get("annotations", {})

    def move(self, machine: dict[str, Any], instance: dict[str, Any]) -> None:
        """pkg/virt-controller/watch/volume-migration and pkg/virt-handler/migration-target.go, v1.8.2, in two steps."""
        if machine["spec"].get("updateVolumesStrategy") != "Migration":
            return
        name = machine["metadata"]["name"]
        wanted = machine["spec"]["template"]["spec"]["volumes"]
        moving = instance["status"].get("migratedVolumes") or []
        kind = resources.VIRTUAL_MACHINE_INSTANCE
        if self.refuses:
            condition = {"type": "RestartRequired", "status": "True", "message": "invalid volumes"}
            self.machines.change(name, status={"conditions": [condition]})
        elif instance["spec"]["volumes"] != wanted:
            pairs = [(old, new) for old, new in zip(instance["spec"]["volumes"], wanted, strict=True) if old != new]
            reverted = [each["destinationPVCInfo"]["claimName"] for each in moving]
            migrated = [] if reverted == [_claim(old) for old, _new in pairs] else [_move(*each) for each in pairs]
            self.machines.change(name, kind, spec={"volumes": wanted}, status={"migratedVolumes": migrated})
            state = {"volumeMigrationState": {"migratedVolumes": migrated}} if migrated else None
            self.machines.change(name, status={"volumeUpdateState": state})
        elif moving and self.fails:
            uid = instance["metadata"]["resourceVersion"]
            failed = {"migrationUid": uid, "failed": True, "failureReason": self.fails}
            self.machines.change(name, kind, status={"migrationState": failed})
        elif moving and self.moves:
            migration = body(resources.INSTANCE_MIGRATION, f"{name}-{instance['metadata']['resourceVersion']}")
            migration |= {"spec": {"vmiName": name}, "status": {"phase": "Succeeded"}}
            self.direct.create(resources.INSTANCE_MIGRATION, migration, self.namespace, dry_run=False)
            ended = {"completed": True, "sourceNode": "one", "targetNode": "two"}
            self.machines.change(name, kind, status={"migratedVolumes": None, "migrationState": ended})


def _claim(each: dict[str, Any]) -> str:
    return str(each["dataVolume"]["name"])


def _move(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    source, target = {"claimName": _claim(old)}, {"claimName": _claim(new)}
    return {"volumeName": old["name"], "sourcePVCInfo": source, "destinationPVCInfo": target}


@pytest.fixture(scope="module", autouse=True)
def nodes(kinds: Connection) -> Iterator[None]:
    """Two nodes that can run machines."""
    for name in ("one", "two"):
        node = body(resources.NODE, name, metadata={"labels": {"kubevirt.io/schedulable": "true"}})
        kinds.create(resources.NODE, node, dry_run=False)
    yield
    for name in ("one", "two"):
        kinds.delete(resources.NODE, name, dry_run=False)


@contextlib.contextmanager
def acting(controllers: Controllers) -> Iterator[None]:
    """KubeVirt migrates machines, and the controllers act until the context ends."""
    methods = {"workloadUpdateStrategy": {"workloadUpdateMethods": ["LiveMigrate"]}}
    controllers.direct.merge(resources.KUBEVIRT, "kubevirt", controllers.namespace, {"spec": methods}, dry_run=False)
    with controlling(controllers.step):
        yield


def create_source(
    direct: Connection, namespace: str, set_status: SetStatus, name: str, storage_class: str = "thin"
) -> None:
    """A filled volume."""
    create_volume(direct, namespace, set_status, name, storageClassName=storage_class, volumeMode="Filesystem")
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    patch_status(direct, resources.PERSISTENT_VOLUME_CLAIM, name, namespace, status)
