# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine moves to the second node while its guest runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import Resource

from tests.real.objects import create, existing, until
from tests.vm.guest import Guest

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
    before = until(lambda: guest.lines("beat"), 30, "The guest writes nothing")[-1]
    create(connection, MIGRATION, "move", guest.namespace, spec={"vmiName": "machine"})

    def phase() -> Any:
        found = existing(connection, MIGRATION, "move", guest.namespace).get("status", {}).get("phase")
        assert found != "Failed", guest.instance()["status"].get("migrationState")
        return found

    until(lambda: phase() == "Succeeded", 180, "The machine has not moved")
    assert guest.instance()["status"]["nodeName"] != source
    after = until(lambda: guest.lines("beat"), 30, "The guest writes nothing on the other node")[-1]
    assert after["boots"] == before["boots"] == 1, "The guest started again"
    assert after["beats"] > before["beats"]
