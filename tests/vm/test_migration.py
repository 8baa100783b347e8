# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine moves to the second node while its guest runs, alone or to another volume."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    VIRTUAL_MACHINE,
    Resource,
)

from tests.real.objects import create, existing, until
from tests.vm.guest import Guest, blank, written

MIGRATION = Resource("kubevirt.io", "v1", "virtualmachineinstancemigrations", "VirtualMachineInstanceMigration", True)


def test_machine_moves_to_the_other_node_while_its_guest_writes(
    start: Callable[..., Guest], connection: Connection
) -> None:
    guest = start(
        "machine",
        # Without a containerDisk: KubeVirt 1.8.2 forgets to unmount the guest's kernel on the target when it has both.
        disks=[{"name": "data", "serial": "DATA1", "disk": {"bus": "virtio"}}],
        volumes=[{"name": "data", "emptyDisk": {"capacity": "16Mi"}}],
    )
    guest.report()
    source = guest.instance()["status"]["nodeName"]
    before = until(lambda: guest.lines("beat"), 180, "The guest writes nothing")[-1]
    create(connection, MIGRATION, "move", guest.namespace, spec={"vmiName": "machine"})

    def phase() -> Any:
        found = existing(connection, MIGRATION, "move", guest.namespace).get("status", {}).get("phase")
        assert found != "Failed", guest.instance()["status"].get("migrationState")
        return found

    until(lambda: phase() == "Succeeded", 180, "The machine has not moved")
    assert guest.instance()["status"]["nodeName"] != source
    after = until(lambda: guest.lines("beat"), 180, "The guest writes nothing on the other node")[-1]
    assert after["boots"] == before["boots"] == 1, "The guest started again"
    assert after["beats"] > before["beats"]


def test_machine_moves_to_another_volume_and_loses_no_write(
    start: Callable[..., Guest], connection: Connection
) -> None:
    guest = start(
        "machine",
        disks=[{"name": "data", "serial": "DATA1", "disk": {"bus": "virtio"}}],
        volumes=[{"name": "data", "dataVolume": {"name": "source"}}],
        templates=[blank("source")],
    )
    guest.report()
    create(connection, DATA_VOLUME, "target", guest.namespace, spec=blank("target")["spec"])
    before = until(lambda: guest.lines("beat"), 180, "The guest writes nothing")[-1]
    template = {"spec": {"volumes": [{"name": "data", "dataVolume": {"name": "target"}}]}}
    change = {"updateVolumesStrategy": "Migration", "dataVolumeTemplates": [], "template": template}
    connection.merge(VIRTUAL_MACHINE, "machine", guest.namespace, {"spec": change}, dry_run=False)

    def moved() -> bool:
        instance = guest.instance()
        state = instance["status"].get("migrationState", {})
        assert not state.get("failed"), state
        names = [volume["dataVolume"]["name"] for volume in instance["spec"]["volumes"]]
        return bool(state.get("completed")) and names == ["target"]

    until(moved, 240, "The machine has not moved to the target")
    until(lambda: guest.lines("beat"), 180, "The guest writes nothing to the target")
    time.sleep(3)
    after = guest.lines("beat")[-1]
    assert after["boots"] == before["boots"] == 1, "The guest started again"
    guest.stop()
    # The guest writes beat N to sector N: all those that it printed are on the target, also those of before.
    found = written(connection, guest.namespace, "target")
    assert found[0] == "boots 1"
    assert found[1:] == [f"beat {number}" for number in range(1, len(found))]
    assert len(found) > after["beats"] > before["beats"]
