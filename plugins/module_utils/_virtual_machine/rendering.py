# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the disks of a machine as a part of the spec of a VirtualMachine. Pure rules.

The name of a disk and of its volume are written from the same value.
"""

from __future__ import annotations

import typing as t

from .._ansible.fields import field_name, to_fields
from .._data_volume.spec import desired
from .machine import MEMORY_DUMP, PERSISTENT, Disk, Machine
from .options import DEVICE_OPTIONS, MACHINE_OPTIONS, SOURCES, TARGET_OPTIONS
from .volume_rules import template_volume

Object = dict[str, t.Any]

TEMPLATE = "data_volume_template"
# The target's field for read_only is not readOnly.
TARGET_FIELDS = {"read_only": "readonly"}


def render(machine: Machine) -> Object:
    """`dataVolumeTemplates` and `template` of a VirtualMachine's spec. The lists are there if they are empty.

    The machine is a checked one. Fields that are not requested are left to KubeVirt's defaults.
    """
    domain = to_fields(
        {option: machine.options[option] for option in ("io_threads_policy", "io_threads")}, MACHINE_OPTIONS
    )
    devices: Object = {"disks": [disk_element(disk) for disk in machine.devices]}
    if machine.options["block_multi_queue"] is not None:
        devices["blockMultiQueue"] = machine.options["block_multi_queue"]
    return {
        "dataVolumeTemplates": [template_element(disk) for disk in machine.disks if disk.source == TEMPLATE],
        "template": {
            "spec": {
                "domain": {**domain, "devices": devices},
                "volumes": [volume_element(disk, disk.source) for disk in machine.disks if disk.source],
            }
        },
    }


def disk_element(disk: Disk) -> Object:
    """The element of `domain.devices.disks`."""
    target = {
        TARGET_FIELDS.get(option, field_name(option)): disk.options[option]
        for option in TARGET_OPTIONS
        if disk.options[option] is not None
    }
    return {"name": disk.name, disk.type: target, **to_fields(disk.options, DEVICE_OPTIONS)}


def volume_element(disk: Disk, source: str) -> Object:
    """The element of `volumes`. A template is referred to as the DataVolume that KubeVirt makes of it."""
    if source == TEMPLATE:
        field, volume = "dataVolume", {"name": disk.volume["name"]}
    else:
        field, volume = field_name(source), to_fields(disk.volume, SOURCES[source]["options"])
    if source in (*PERSISTENT, MEMORY_DUMP) and disk.options["hotpluggable"] is not None:
        volume["hotpluggable"] = disk.options["hotpluggable"]
    return {"name": disk.name, field: volume}


def template_element(disk: Disk) -> Object:
    """The element of `dataVolumeTemplates`: the DataVolume that module data_volume would apply.

    KubeVirt puts it into the namespace of the machine.
    """
    volume = desired(template_volume(disk))
    metadata = {key: value for key, value in volume["metadata"].items() if value}
    return {"metadata": metadata, "spec": volume["spec"]}
