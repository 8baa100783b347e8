# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task moves the volumes of ten running machines, two machines at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import VIRTUAL_MACHINE

from tests.modules import Ran
from tests.vm.guest import Guest
from tests.vm.test_volume_migration import THICK, Ok

MACHINES, DISKS = 10, ("DATA1", "DATA2")


def test_ten_machines_with_two_disks_are_moved_by_one_task(
    start: Callable[..., Guest], module: Callable[..., Ran], ok: Ok, connection: Connection, namespace: str
) -> None:
    names = [f"machine-{number}" for number in range(MACHINES)]
    volumes = [f"{name}-{disk}".lower() for name in names for disk in DISKS]
    empty = {"source": {"blank": {}}, "storage": {"size": "16Mi"}, "annotations": THICK}
    ok("data_volume", namespace=namespace, data_volumes=[{"name": name, **empty} for name in volumes])
    guests = []
    for name in names:
        disks: list[dict[str, Any]] = [
            {"name": disk.lower(), "serial": disk, "bus": "virtio", "data_volume": {"name": f"{name}-{disk}".lower()}}
            for disk in DISKS
        ]
        guests.append(start(name, disks))
        connection.merge(
            VIRTUAL_MACHINE, name, namespace, {"metadata": {"labels": {"tier": "database"}}}, dry_run=False
        )
    before = {(guest.name, disk): guest.beat(disk) for guest in guests for disk in DISKS}

    options = {"namespace": namespace, "label_selectors": ["tier=database"], "to": {"preallocation": True}}
    moved = module("volume_migration", **options, parallel=2, wait_timeout=1800).result
    assert not moved.get("failed"), moved["msg"]
    assert sorted(each["name"] for each in moved["volumes"]) == sorted(volumes)
    assert {(each["state"], each["action"], each["method"]) for each in moved["volumes"]} == {
        ("finished", "moved", "live")
    }
    assert {each["allocation"]["allocated_bytes"] for each in moved["volumes"]} == {16 << 20}
    for guest in guests:
        for disk in DISKS:
            after = guest.beat(disk, after=before[guest.name, disk]["beats"] + 1)
            assert after["boots"] == 1, "The guest started again"
    again = module("volume_migration", **options).result
    assert not again["changed"], again["volumes"]
