# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of machines as plain data, for tests of what follows from them."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.elements import Element
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.machine import Disk
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.options import ENTRY_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.plan import Entry

Object = dict[str, Any]


def entry(name: str = "data", **options: Any) -> Entry:
    values = {option: spec.get("default") for option, spec in ENTRY_OPTIONS.items()}
    return Entry(Disk({**values, "name": name, **options}))


def claim(name: str = "data", **more: Any) -> Object:
    return {"persistent_volume_claim": {"claim_name": name, "read_only": None}, **more}


def disk(bus: str = "virtio", **more: Any) -> Object:
    return {"name": "data", "disk": {"bus": bus}, **more}


def cdrom(**more: Any) -> Object:
    return {"name": "data", "cdrom": {"bus": "sata"}, **more}


def volume(claim_name: str = "data", **more: Any) -> Object:
    return {"name": "data", "persistentVolumeClaim": {"claimName": claim_name, **more}}


def hot(claim_name: str = "data") -> Object:
    return volume(claim_name, hotpluggable=True)


def spec_of(*elements: Element) -> Object:
    return {
        "domain": {"devices": {"disks": [each.device for each in elements if each.device]}},
        "volumes": [each.volume for each in elements if each.volume],
    }


def machine(*elements: Element, **spec: Any) -> Object:
    metadata = {"name": "web", "namespace": "demo", "uid": "1"}
    return {"metadata": metadata, "spec": {"template": {"spec": spec_of(*elements)}, **spec}}


def instance(*elements: Element, **fields: Any) -> Object:
    return {"metadata": {"name": "web"}, "spec": spec_of(*elements), "status": {"phase": "Running"}, **fields}


def patched(stored: Object, operations: list[Object]) -> Object:
    """The object after a JSON patch (RFC 6902), as far as `json_patch` uses it."""
    result = copy.deepcopy(stored)
    for operation in operations:
        *path, last = operation["path"].split("/")[1:]
        place: Any = result
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        key: Any = last if not isinstance(place, list) else len(place) if last == "-" else int(last)
        if operation["op"] == "test":
            there = place.get(key) if isinstance(place, dict) else place[key]
            assert there == operation["value"] or not (there or operation["value"])
        elif operation["op"] == "remove":
            del place[key]
        elif operation["op"] == "add" and isinstance(place, list):
            place.insert(key, operation["value"])
        else:
            place[key] = operation["value"]
    return result


def named(name: str, element: Element) -> Element:
    device, there = element
    return Element(device and {**device, "name": name}, there and {**there, "name": name})
