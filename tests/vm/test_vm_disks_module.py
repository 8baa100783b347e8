# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module vm_disks changes the disks of a machine that runs on the real KubeVirt, as its guest sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import INSTANCE_SUBRESOURCE

from tests.modules import run_on_cluster
from tests.vm.claims import written
from tests.vm.guest import BOOT_DISK, Guest
from tests.vm_disks.spec import Entry

MIB = 1 << 20
# In lower case, because KubeVirt 1.8.2 converts serials of disks that it attaches while a machine runs. Not virtio:
# it leaves no free PCI slot in a machine without a network interface.
FILE: Entry = {"name": "file", "bus": "scsi", "serial": "datafile", "data_volume": {"name": "file"}}
DEVICE: Entry = {"name": "device", "bus": "scsi", "serial": "datadevice", "data_volume": {"name": "device"}}
NO_DISKS: list[Entry] = []


def make_volumes(namespace: str) -> None:
    volumes: list[Entry] = [
        {"name": "file", "source": {"blank": {}}, "storage": {"size": "32Mi"}},
        {"name": "device", "source": {"blank": {}}, "storage": {"size": "32Mi", "volume_mode": "Block"}},
    ]
    run("data_volume", namespace=namespace, data_volumes=volumes)


def run(module_name: str, /, **options: Any) -> dict[str, Any]:
    """The result of a module that succeeds."""
    result = run_on_cluster(module_name, wait_timeout=900, **options).result
    assert not result.get("failed"), result["msg"]
    return result


def declare(guest: Guest, *disks: Entry, purge: bool = False) -> dict[str, Any]:
    """The result of vm_disks. It must not require a restart, and a second run must change nothing."""
    options: dict[str, Any] = {"name": guest.name, "namespace": guest.namespace, "disks": list(disks), "purge": purge}
    result = run("vm_disks", **options)
    assert result["restart_required"] == [], result
    again = run("vm_disks", **options)
    assert not again["changed"], again
    return result


def attach_to_instance_alone(guest: Guest, claim: str) -> None:
    """As `virtctl addvolume` without `--persist`."""
    body = {
        "name": claim,
        "disk": {"name": claim, "serial": f"data{claim}", "disk": {"bus": "scsi"}},
        "volumeSource": {"persistentVolumeClaim": {"claimName": claim, "hotpluggable": True}},
    }
    guest.connection.request_subresource(INSTANCE_SUBRESOURCE, guest.name, guest.namespace, "addvolume", body)


def actions(result: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["action"] for each in result["disks"] if each["action"]}


def test_plugged_disks_keep_their_data_over_a_restart_and_are_unplugged(
    start: Callable[..., Guest], connection: Connection, namespace: str
) -> None:
    make_volumes(namespace)
    guest = start("machine", NO_DISKS)
    guest.report()
    assert actions(declare(guest, FILE, DEVICE)) == {"file": "attached", "device": "attached"}
    guest.report("datafile", "datadevice")
    before = {serial: guest.beat(serial) for serial in ("datafile", "datadevice")}
    grown = declare(guest, {**DEVICE, "size": "48Mi"})
    assert actions(grown) == {"device": "grown"}
    guest.until(lambda: guest.reports()[-1].disks["datadevice"]["bytes"] >= 48 * MIB, "does not see the larger disk")
    guest.restart()
    guest.report("datafile", "datadevice")
    for serial in before:
        assert (before[serial]["boots"], guest.beat(serial)["boots"]) == (1, 2)
    assert not declare(guest, FILE, {**DEVICE, "size": "48Mi"})["changed"]
    assert actions(declare(guest, {"name": "file", "state": "absent"})) == {"file": "detached"}
    guest.report("datadevice", absent=["datafile"])
    last = [line["beats"] for line in guest.lines("beat") if line["serial"] == "datafile"][-1]
    found = written(connection, namespace, "file")
    assert found[0] == "boots 2"
    assert f"beat {last}" in found
    attach_to_instance_alone(guest, "file")
    guest.until(lambda: "datafile" in guest.reports()[-1].disks, "does not see the disk of its instance")
    assert actions(declare(guest, BOOT_DISK, {**DEVICE, "size": "48Mi"}, purge=True)) == {"file": "detached"}
    guest.until(lambda: "datafile" not in guest.reports()[-1].disks, "still sees the disk of its instance")
    guest.stop()
    assert written(connection, namespace, "device")[0] == "boots 2"
