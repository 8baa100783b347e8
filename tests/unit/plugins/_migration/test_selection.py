# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volumes are moved, and how far each is."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.goal import Goal
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.machine import (
    DONE,
    INTERRUPTED,
    MOVING,
    NEEDED,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.selection import (
    Seen,
    by_name,
    leftovers,
    select,
)

from tests.unit.plugins._migration.moves import claim, instance, machine, migrated, volume

Object = dict[str, Any]
BLOCK = Goal(volume_mode="Block")
FROM = {"kubevirt.cdi/moved-from": "source", "kubevirt.cdi/moved-from-first": "source"}
BEGUN = {**FROM, "kubevirt.cdi/move-begun": "true"}
SOURCE, TARGET = volume("data", "source"), volume("data", "target")
RECOVERY = {"conditions": [{"type": "ManualRecoveryRequired", "status": "True"}]}
RECORDED = {"volumeUpdateState": {"volumeMigrationState": {"migratedVolumes": [migrated()]}}}


def target(annotations: dict[str, str] | None = None) -> Object:
    return claim("target", annotations=FROM if annotations is None else annotations, volumeMode="Block")


def seen(
    *claims: Object, stored: Object | None = None, running: Object | None = None, volumes: tuple[Object, ...] = ()
) -> Seen:
    machines, instances = ({"web": each} if each else {} for each in (stored, running))
    return Seen("demo", machines, instances, by_name(list(claims)), by_name(list(volumes)))


@pytest.mark.parametrize(
    ("stored", "running", "annotations", "state"),
    [
        (machine(SOURCE), None, FROM, NEEDED),
        (machine(SOURCE), instance(SOURCE), FROM, NEEDED),
        (machine(TARGET), None, FROM, DONE),
        (machine(TARGET), instance(TARGET), FROM, DONE),
        (machine(TARGET), instance(SOURCE), FROM, MOVING),
        (machine(TARGET), instance(TARGET, migratedVolumes=[migrated()]), FROM, MOVING),
        (machine(TARGET), instance(SOURCE), BEGUN, MOVING),
        (machine(TARGET, status=RECOVERY), None, BEGUN, INTERRUPTED),
        (machine(TARGET, status=RECOVERY), instance(TARGET, phase="Failed"), FROM, INTERRUPTED),
        # KubeVirt had not begun when the machine ended: the target is empty.
        (machine(TARGET), None, BEGUN, INTERRUPTED),
        (machine(TARGET), instance(TARGET), BEGUN, INTERRUPTED),
        (machine(TARGET, status=RECORDED), None, BEGUN, DONE),
        (machine(TARGET, status=RECORDED), instance(TARGET), BEGUN, DONE),
    ],
)
def test_state_of_a_disk(stored: Object, running: Object | None, annotations: dict[str, str], state: str) -> None:
    found = select(seen(claim(), target(annotations), stored=stored, running=running), BLOCK, ["web"], [])
    ((item,),) = [unit.items for unit in found.units]
    assert (item.state, found.problems) == (state, ())
    assert (item.target == "target") == (state != NEEDED)


@pytest.mark.parametrize("names", [["source"], ["target"], ["source", "target"]])
def test_volume_is_found_by_both_names(names: list[str]) -> None:
    found = select(seen(claim(), target(), stored=machine(TARGET)), BLOCK, [], names)
    ((item,),) = [unit.items for unit in found.units]
    assert (item.disk, item.name, item.state) == ("data", "target", DONE)
    assert item.origin == claim()


def test_volume_is_found_after_its_source_is_deleted() -> None:
    found = select(seen(target(), stored=machine(TARGET)), BLOCK, [], ["source"])
    ((item,),) = [unit.items for unit in found.units]
    assert (item.state, item.origin) == (DONE, None)


@pytest.mark.parametrize(("phase", "state"), [("Succeeded", DONE), ("CloneInProgress", MOVING)])
def test_copy_of_a_volume_without_a_machine(phase: str, state: str) -> None:
    copy = {"metadata": {"name": "target"}, "spec": {}, "status": {"phase": phase}}
    (unit,) = select(seen(claim(), target(), volumes=(copy,)), BLOCK, [], ["source"]).units
    assert (unit.machine, unit.items[0].name, unit.items[0].state) == (None, "target", state)
    (unit,) = select(seen(claim(), target(), volumes=(copy,)), Goal(preallocation=True), [], ["source"]).units
    assert (unit.items[0].name, unit.items[0].state) == ("source", NEEDED)


def test_all_disks_of_a_machine_move_together() -> None:
    stored = machine(volume("root", "root"), SOURCE, {"name": "cd", "containerDisk": {"image": "x"}})
    found = seen(claim("root"), claim(), stored=stored)
    (unit,) = select(found, BLOCK, ["web"], ["source"]).units
    assert [item.disk for item in unit.items] == ["root", "data"]
    (unit,) = select(found, BLOCK, [], ["source", "root"]).units
    assert [item.disk for item in unit.items] == ["data", "root"]


@pytest.mark.parametrize(
    ("machines", "names", "problem"),
    [
        (["none"], [], "VirtualMachine demo/none does not exist"),
        ([], ["none"], "Volume demo/none does not exist, and no other has been moved from it"),
        (["web"], [], "names claim 'gone', which does not exist"),
    ],
)
def test_what_is_not_there_is_reported(machines: list[str], names: list[str], problem: str) -> None:
    found = select(seen(claim(), stored=machine(volume("data", "gone"))), BLOCK, machines, names)
    assert found.units == () and problem in found.problems[0]


def test_volume_of_two_machines_is_not_moved() -> None:
    both = seen(claim(), stored=machine(SOURCE))
    other = machine(SOURCE)
    found = select(both._replace(machines={**both.machines, "other": other}), BLOCK, [], ["source"])
    assert "is in the templates of other and web" in found.problems[0]


def test_unused_target_is_a_leftover() -> None:
    found = seen(claim(), target(), stored=machine(SOURCE))
    (unit,) = select(found, Goal(), ["web"], []).units
    assert leftovers(found, unit) == ["target"]
    moved = seen(claim(), target(), stored=machine(TARGET))
    (unit,) = select(moved, Goal(), ["web"], []).units
    assert leftovers(moved, unit) == []
