# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of kubevirt.core with disks of filter vm_disks, which module vm_disks changes while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.benchmarks.measure import play
from tests.benchmarks.peers import peer_collections
from tests.modules import run_on_cluster
from tests.vm.guest import BOOT_DISK, Guest
from tests.vm_disks.spec import Entry

# As declared while the machine runs: module vm_disks would set `hotpluggable` itself, and kubevirt.core remove it.
DATA: Entry = {
    "name": "data",
    "bus": "scsi",
    "serial": "data1",
    "data_volume": {"name": "data"},
    "hotpluggable": True,
}
MACHINE: dict[str, Any] = {
    "terminationGracePeriodSeconds": 0,
    "domain": {
        "cpu": {"cores": 1},
        "memory": {"guest": "192Mi"},
        "devices": {"autoattachGraphicsDevice": False, "autoattachPodInterface": False},
    },
}


@pytest.fixture
def guest(connection: Connection, namespace: str) -> Iterator[Guest]:
    found = Guest(connection, namespace, "machine")
    yield found
    found.delete()


def test_both_collections_change_nothing_when_they_run_again(guest: Guest, tmp_path: Path) -> None:
    def apply(*disks: Entry) -> str:
        place = {"name": guest.name, "namespace": guest.namespace}
        disks_task: dict[str, Any] = {"kubevirt.cdi.vm_disks": {**place, "disks": "{{ disks }}", "wait_timeout": 900}}
        machine_task: dict[str, Any] = {
            "kubevirt.core.kubevirt_vm": {
                **place,
                "run_strategy": "Always",
                "data_volume_templates": "{{ storage.dataVolumeTemplates }}",
                "spec": "{{ machine | combine(storage.template.spec, recursive=true) }}",
            }
        }
        # The machine first when it is created. Later the disks, because kubevirt.core cannot attach one.
        tasks = [disks_task, machine_task] if guest.phase() else [machine_task, disks_task]
        variables = {"machine": MACHINE, "disks": list(disks), "storage": "{{ disks | kubevirt.cdi.vm_disks }}"}
        output = play(tmp_path, tasks, collections=peer_collections(), **variables).output
        (recap,) = [line for line in output.splitlines() if "changed=" in line]
        return recap.split("changed=")[1].split()[0]

    volume = {"name": "data", "source": {"blank": {}}, "storage": {"size": "32Mi"}}
    result = run_on_cluster("data_volume", namespace=guest.namespace, data_volumes=[volume], wait_timeout=900).result
    assert not result.get("failed"), result["msg"]
    assert apply(BOOT_DISK) == "1"
    guest.report("BOOT")
    assert apply(BOOT_DISK) == "0"
    assert apply(BOOT_DISK, DATA) == "1"
    guest.beat("data1")
    assert apply(BOOT_DISK, DATA) == "0"
    assert guest.boots("data1") == [1]
