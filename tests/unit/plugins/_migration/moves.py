# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines, instances and claims for the tests of moves."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.machine import NEEDED, Item, Unit

Object = dict[str, Any]
THICK = {"cdi.kubevirt.io/storage.thick-provisioned": "true"}
START = "2026-01-01T10:00:00Z"


def claim(name: str = "source", /, *, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    requests = {"requests": {"storage": spec.pop("request", "1Gi")}}
    capacity = {"storage": spec.pop("capacity", "1Gi")}
    fields = {"storageClassName": "thin", "volumeMode": "Filesystem", "accessModes": ["ReadWriteOnce"], **spec}
    return {
        "metadata": {"name": name, "namespace": "demo", "uid": f"uid-{name}", "annotations": annotations or {}},
        "spec": {"resources": requests, **fields},
        "status": {"phase": "Bound", "capacity": capacity},
    }


def volume(name: str, claim_name: str, **more: Any) -> Object:
    return {"name": name, "dataVolume": {"name": claim_name, **more}}


def machine(*volumes: Object, templates: tuple[str, ...] = (), **fields: Any) -> Object:
    devices = {"disks": [{"name": each["name"], "disk": {"bus": "virtio"}} for each in volumes]}
    spec: Object = {"template": {"spec": {"domain": {"devices": devices}, "volumes": list(volumes)}}}
    if templates:
        spec["dataVolumeTemplates"] = [{"metadata": {"name": name}, "spec": {}} for name in templates]
    spec |= fields.pop("spec", {})
    return {"metadata": {"name": "web", "namespace": "demo", "uid": "1"}, "spec": spec, **fields}


def instance(*volumes: Object, **status: Any) -> Object:
    spec = machine(*volumes)["spec"]["template"]["spec"]
    info = {"accessModes": ["ReadWriteOnce"]}
    volumes_status = [{"name": each["name"], "persistentVolumeClaimInfo": info} for each in volumes]
    whole = {"phase": "Running", "nodeName": "one", "volumeStatus": volumes_status, **status}
    return {"metadata": {"name": "web", "namespace": "demo", "creationTimestamp": START}, "spec": spec, "status": whole}


def migrated(disk: str = "data", source: str = "source", target: str = "target") -> Object:
    return {
        "volumeName": disk,
        "sourcePVCInfo": {"claimName": source},
        "destinationPVCInfo": {"claimName": target},
    }


def unit(stored: Object | None = None, **fields: Any) -> Unit:
    """Machine web with the disk data on claim source, which runs unless `instance` says otherwise."""
    values = {"machine": machine(volume("data", "source")), "instance": instance(volume("data", "source")), **fields}
    return Unit("demo", (Item("data", stored or claim(), None, NEEDED, "target"),), **values)
