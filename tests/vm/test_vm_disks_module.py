# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module vm_disks changes the disks of a machine that runs on the real KubeVirt, as its guest sees them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.modules import run_on_cluster
from tests.vm.claims import written
from tests.vm.guest import Guest
from tests.vm.kubevirt_setup import FEATURE_GATES, enable_gates
from tests.vm_disks.spec import Entry

GUEST_ISO = Path(os.environ["KUBEVIRT_CDI_TEST_GUEST"])
MIB = 1 << 20
# In lower case, because KubeVirt 1.8.2 converts serials of disks that it attaches while a machine runs. Not virtio:
# it leaves no free PCI slot in a machine without a network interface.
FILE: Entry = {"name": "file", "bus": "scsi", "serial": "datafile", "data_volume": {"name": "file"}}
DEVICE: Entry = {"name": "device", "bus": "scsi", "serial": "datadevice", "data_volume": {"name": "device"}}
DRIVE: Entry = {"name": "drive", "type": "cdrom", "bus": "sata"}
FULL_DRIVE: Entry = {**DRIVE, "persistent_volume_claim": {"claim_name": "iso"}}
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


def declare(guest: Guest, *disks: Entry) -> dict[str, Any]:
    """The result of vm_disks. It must not require a restart, and a second run must change nothing."""
    result = run("vm_disks", name=guest.name, namespace=guest.namespace, disks=list(disks))
    assert result["restart_required"] == [], result
    again = run("vm_disks", name=guest.name, namespace=guest.namespace, disks=list(disks))
    assert not again["changed"], again
    return result


def actions(result: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["action"] for each in result["disks"] if each["action"]}


@contextmanager
def only_declarative(connection: Connection) -> Iterator[None]:
    """KubeVirt plugs volumes by the template of a machine alone."""
    enable_gates(
        connection, ["DeclarativeHotplugVolumes" if gate == "HotplugVolumes" else gate for gate in FEATURE_GATES]
    )
    try:
        yield
    finally:
        enable_gates(connection, FEATURE_GATES)


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
    guest.stop()
    assert written(connection, namespace, "device")[0] == "boots 2"


def test_media_and_disks_are_changed_by_the_template_alone(
    start: Callable[..., Guest], connection: Connection, namespace: str
) -> None:
    make_volumes(namespace)
    run("volume_upload", namespace=namespace, name="iso", path=str(GUEST_ISO), storage={"size": "64Mi"})
    with only_declarative(connection):
        guest = start("machine", [DRIVE])
        guest.report("sr0")
        assert actions(declare(guest, FULL_DRIVE, FILE)) == {"drive": "inserted", "file": "attached"}
        guest.report("datafile")
        guest.until(lambda: "isolinux.cfg" in guest.reports()[-1].files.get("sr0", {}), "does not see the medium")
        guest.beat("datafile")
        assert actions(declare(guest, DRIVE)) == {"drive": "ejected"}
        guest.until(lambda: "sr0" not in guest.reports()[-1].files, "still sees the medium")
        assert actions(declare(guest, {"name": "file", "state": "absent"})) == {"file": "detached"}
        guest.report("sr0", absent=["datafile"])
    assert written(connection, namespace, "file")[0] == "boots 1"
