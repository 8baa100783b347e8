# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stored machines of any shape are read: their disks as entries, the rules, the plan, and the result."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.elements import (
    SOURCE_FIELDS,
    Element,
    options_of,
    requested,
    same,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.gates import OFF
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.plan import Declared, plan
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.results import machine_facts
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.target import Outcome, Target
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.whole import problems_after

from tests.unit.plugins._virtual_machine.disks import Object, claim, disk, entry, instance, machine, volume

FIELDS = [*SOURCE_FIELDS, "containerPath", "somethingNew"]
ODD: dict[str, Object] = {
    **{field: machine(Element({"name": "x", "disk": {}}, {"name": "x", field: {}})) for field in FIELDS},
    "a volume without a source": machine(Element({"name": "x", "disk": {}}, {"name": "x"})),
    "a device without a target": machine(Element({"name": "x"}, {"name": "x", "secret": {}})),
    "no spec": {"metadata": {"name": "web", "namespace": "demo"}},
    "nulls": {
        "metadata": {"name": "web", "namespace": "demo"},
        "spec": {"template": {"spec": {"domain": {"devices": {"disks": None}}, "volumes": None}}},
    },
    "a pool without a size": machine(Element({"name": "x", "disk": {"bus": "virtio"}})),
}
ODD["a pool without a size"]["spec"]["template"]["spec"]["domain"]["ioThreadsPolicy"] = "supplementalPool"


@pytest.mark.parametrize("stored", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_other_disks_of_any_shape_are_no_problem(stored: Object, running: bool) -> None:
    declared = Declared((entry(bus="virtio", **claim()),))
    there = instance() if running else None
    changes = plan(declared, stored, there, OFF)
    assert [change.action for change in changes] == ["attached"]
    assert problems_after(declared, changes, stored, frozenset()) == []
    facts = machine_facts(Outcome(Target(("demo", "web"), declared, stored, there), changes))
    assert facts["running"] is running and len(facts["disks"]) <= 1


ELEMENTS: list[Element] = [
    Element(
        disk(cache="none", bootOrder=1, serial="A", blockSize={"custom": {"logical": 512, "physical": 512}}), volume()
    ),
    Element({"name": "data", "lun": {"bus": "scsi", "reservation": True}}, volume(hotpluggable=True, readOnly=True)),
    Element({"name": "data", "cdrom": {"bus": "sata", "tray": "open"}}),
    Element(disk(), {"name": "data", "emptyDisk": {"capacity": "1Gi"}}),
    Element(disk(), {"name": "data", "cloudInitNoCloud": {"secretRef": {"name": "a"}, "userData": "b"}}),
    Element(disk(), {"name": "data", "downwardAPI": {"fields": [{"path": "a", "fieldRef": {"fieldPath": "b"}}]}}),
    Element(disk(), {"name": "data", "ephemeral": {"persistentVolumeClaim": {"claimName": "a"}}}),
    Element(None, {"name": "data", "memoryDump": {"claimName": "data"}}),
]


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: str(element.source or element.target))
def test_stored_disk_as_an_entry_is_rendered_the_same(element: Element) -> None:
    again: Any = requested(options_of("data", element))
    assert same(again.device, element.device) and same(again.volume, element.volume)
