# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine moves to the second node while its guest runs, alone or to another volume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    INSTANCE_MIGRATION,
    VIRTUAL_MACHINE,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rendering import render
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked

from tests.real.objects import create, existing
from tests.vm.claims import written
from tests.vm.guest import Guest, blank
from tests.vm.kubevirt_setup import accepted
from tests.vm_disks.spec import NO_OPTIONS, Entry

DATA: Entry = {"name": "data", "serial": "DATA1", "bus": "virtio"}


def test_machine_moves_to_the_other_node_while_its_guest_writes(
    start: Callable[..., Guest], connection: Connection
) -> None:
    guest = start("machine", [{**DATA, "empty_disk": {"capacity": "16Mi"}}])
    guest.report()
    source = guest.instance()["status"]["nodeName"]
    before = guest.beat()

    def move() -> None:
        create(connection, INSTANCE_MIGRATION, "move", guest.namespace, spec={"vmiName": "machine"})

    guest.until(lambda: accepted(move), "is not to be moved")

    def phase() -> Any:
        found = existing(connection, INSTANCE_MIGRATION, "move", guest.namespace).get("status", {}).get("phase")
        assert found != "Failed", guest.instance()["status"].get("migrationState")
        return found

    guest.until(lambda: phase() == "Succeeded", "has not moved")
    assert guest.instance()["status"]["nodeName"] != source
    after = guest.beat(after=before["beats"])
    assert after["boots"] == before["boots"] == 1, "The guest started again"


def test_machine_moves_to_another_volume_and_loses_no_write(
    start: Callable[..., Guest], connection: Connection
) -> None:
    guest = start("machine", [{**DATA, **blank("source")}])
    guest.report()
    (volume,) = render(checked([{**DATA, **blank("target")}], NO_OPTIONS))["dataVolumeTemplates"]
    create(connection, DATA_VOLUME, "target", guest.namespace, spec=volume["spec"])
    before = guest.beat()
    spec = existing(connection, VIRTUAL_MACHINE, "machine", guest.namespace)["spec"]
    volumes = [
        {"name": "data", "dataVolume": {"name": "target"}} if each["name"] == "data" else each
        for each in spec["template"]["spec"]["volumes"]
    ]
    change = {
        "updateVolumesStrategy": "Migration",
        "dataVolumeTemplates": [],
        "template": {"spec": {"volumes": volumes}},
    }
    guest.merge({"spec": change})

    def moved() -> bool:
        instance = guest.instance()
        state = instance["status"].get("migrationState", {})
        assert not state.get("failed"), state
        names = [volume["dataVolume"]["name"] for volume in instance["spec"]["volumes"] if "dataVolume" in volume]
        return bool(state.get("completed")) and names == ["target"]

    guest.until(moved, "has not moved to the target")
    after = guest.beat(after=before["beats"] + 3)
    assert after["boots"] == before["boots"] == 1, "The guest started again"
    guest.stop()
    # The guest writes beat N to sector N: all those that it printed are on the target, also those of before.
    found = written(connection, guest.namespace, "target")
    assert found[0] == "boots 1"
    assert found[1:] == [f"beat {number}" for number in range(1, len(found))]
    assert len(found) > after["beats"] > before["beats"]
