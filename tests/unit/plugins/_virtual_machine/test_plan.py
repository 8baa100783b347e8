# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes in the template and in the running instance, by tables."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.elements import Element, same, settled
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.gates import (
    DECLARATIVE,
    IMPERATIVE,
    OFF,
    UNKNOWN,
    enabled_gates,
    way_of,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.patch import json_patch
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.plan import (
    Change,
    Declared,
    Entry,
    plan,
    starts_migration,
)

from tests.unit.plugins._virtual_machine.disks import (
    Object,
    cdrom,
    claim,
    disk,
    entry,
    hot,
    instance,
    machine,
    named,
    patched,
    volume,
)


class Case(NamedTuple):
    """`running` is None for a stopped machine."""

    declared: Entry
    stored: Element
    running: Element | None
    way: str
    action: str | None
    restart: str = ""
    hot: bool = False
    wanted: Element | None = None


NONE = Element()
COLD, HOT = Element(disk(), volume()), Element(disk(), hot())
DRIVE, MEDIUM, COLD_MEDIUM = Element(cdrom()), Element(cdrom(), hot()), Element(cdrom(), volume())
ATTACH, ABSENT = entry(bus="virtio", **claim()), entry(state="absent")
EJECT, INSERT = entry(type="cdrom", bus="sata"), entry(type="cdrom", bus="sata", **claim())
GATES_OFF = "the feature gates DeclarativeHotplugVolumes and HotplugVolumes of KubeVirt are off"
NOT_HOT = "it was attached when the machine started, and not as hotpluggable"
CASES = {
    "stopped, attach": Case(ATTACH, NONE, None, DECLARATIVE, "attached", wanted=COLD),
    "stopped, unchanged": Case(ATTACH, COLD, None, DECLARATIVE, None),
    "stopped, keeps hotpluggable": Case(ATTACH, HOT, None, DECLARATIVE, None),
    "stopped, keeps bus": Case(entry(**claim()), COLD, None, OFF, None),
    "stopped, change": Case(
        entry(bus="scsi", **claim()), COLD, None, OFF, "changed", wanted=Element(disk("scsi"), volume())
    ),
    "stopped, detach": Case(ABSENT, COLD, None, OFF, "detached", wanted=NONE),
    "stopped, absent": Case(ABSENT, NONE, None, OFF, None),
    "stopped, eject": Case(EJECT, COLD_MEDIUM, None, OFF, "ejected", wanted=DRIVE),
    "stopped, insert": Case(INSERT, DRIVE, None, OFF, "inserted", wanted=COLD_MEDIUM),
    "attach by template": Case(ATTACH, NONE, NONE, DECLARATIVE, "attached", hot=True, wanted=HOT),
    "attach on request": Case(ATTACH, NONE, NONE, IMPERATIVE, "attached", hot=True, wanted=HOT),
    "attach without a gate": Case(ATTACH, NONE, NONE, OFF, "attached", GATES_OFF, wanted=COLD),
    "attach with gates not known": Case(
        ATTACH,
        NONE,
        NONE,
        UNKNOWN,
        "attached",
        'whether KubeVirt can change it is not known: grant the verb "list" on kubevirts.kubevirt.io, or "update" on '
        "virtualmachineinstances/removevolume.subresources.kubevirt.io",
    ),
    "attach what only the template has": Case(ATTACH, HOT, NONE, IMPERATIVE, "attached", hot=True, wanted=HOT),
    "attach what only the template has, cold": Case(ATTACH, COLD, NONE, DECLARATIVE, "changed", hot=True, wanted=HOT),
    "attach what only the instance has": Case(ATTACH, NONE, HOT, DECLARATIVE, "attached", wanted=COLD),
    "unchanged": Case(ATTACH, HOT, HOT, DECLARATIVE, None),
    "unchanged, attached at the start": Case(ATTACH, COLD, COLD, DECLARATIVE, None),
    "unchanged, with defaults of the instance": Case(
        entry(**claim()),
        Element({"name": "data"}, volume()),
        Element(disk("sata", cache="none", dedicatedIOThread=False), volume()),
        DECLARATIVE,
        None,
    ),
    "attach on sata": Case(
        entry(bus="sata", **claim()),
        NONE,
        NONE,
        DECLARATIVE,
        "attached",
        "it has bus=sata, and only disks with bus=virtio and bus=scsi can be attached while the machine runs",
    ),
    "attach without a bus": Case(
        entry(**claim()),
        NONE,
        NONE,
        IMPERATIVE,
        "attached",
        "it has no bus, and only disks with bus=virtio and bus=scsi can be attached while the machine runs",
    ),
    "attach a lun": Case(entry(type="lun", bus="scsi", **claim()), NONE, NONE, DECLARATIVE, "attached", hot=True),
    "attach marked as fixed": Case(
        entry(bus="virtio", hotpluggable=False, **claim()),
        NONE,
        NONE,
        DECLARATIVE,
        "attached",
        "it has hotpluggable=false",
    ),
    "attach a container disk": Case(
        entry(bus="virtio", container_disk={"image": "a/b:c"}),
        NONE,
        NONE,
        DECLARATIVE,
        "attached",
        "container_disk cannot be attached while the machine runs, only a claim or a DataVolume can",
    ),
    "attach a drive": Case(
        EJECT, NONE, NONE, DECLARATIVE, "attached", "a CD-ROM drive cannot be attached while the machine runs"
    ),
    "change the device": Case(
        entry(bus="virtio", boot_order=1, **claim()),
        HOT,
        HOT,
        DECLARATIVE,
        "changed",
        "KubeVirt does not change the device of an attached disk",
    ),
    "change the volume": Case(
        entry(bus="virtio", **claim("other")),
        HOT,
        HOT,
        IMPERATIVE,
        "changed",
        hot=True,
        wanted=Element(disk(), hot("other")),
    ),
    "change a fixed volume": Case(
        entry(bus="virtio", **claim("other")),
        COLD,
        COLD,
        DECLARATIVE,
        "changed",
        "its volume was attached when the machine started, and not as hotpluggable",
    ),
    "insert into a drive with its defaults": Case(
        INSERT,
        DRIVE,
        Element({"name": "data", "cdrom": {"bus": "sata", "readonly": True, "tray": "closed"}}),
        DECLARATIVE,
        "inserted",
        hot=True,
        wanted=MEDIUM,
    ),
    "insert": Case(INSERT, DRIVE, DRIVE, DECLARATIVE, "inserted", hot=True, wanted=MEDIUM),
    "insert on request": Case(
        INSERT,
        DRIVE,
        DRIVE,
        IMPERATIVE,
        "inserted",
        "the feature gate HotplugVolumes is on, with which KubeVirt changes no media; enable DeclarativeHotplugVolumes "
        "instead",
    ),
    "insert without a gate": Case(INSERT, DRIVE, DRIVE, OFF, "inserted", GATES_OFF),
    "swap": Case(
        entry(type="cdrom", bus="sata", **claim("other")),
        MEDIUM,
        MEDIUM,
        DECLARATIVE,
        "changed",
        hot=True,
        wanted=Element(cdrom(), hot("other")),
    ),
    "eject": Case(EJECT, MEDIUM, MEDIUM, DECLARATIVE, "ejected", hot=True, wanted=DRIVE),
    "eject a fixed medium": Case(
        EJECT,
        COLD_MEDIUM,
        COLD_MEDIUM,
        DECLARATIVE,
        "ejected",
        "its medium was inserted when the machine started, and not as hotpluggable",
    ),
    "detach": Case(ABSENT, HOT, HOT, DECLARATIVE, "detached", hot=True, wanted=NONE),
    "detach what only the instance has": Case(ABSENT, NONE, HOT, IMPERATIVE, "detached", hot=True, wanted=NONE),
    "detach what only the template has": Case(ABSENT, HOT, NONE, DECLARATIVE, "detached", wanted=NONE),
    "detach a fixed disk": Case(ABSENT, COLD, COLD, DECLARATIVE, "detached", NOT_HOT),
    "detach without a gate": Case(ABSENT, HOT, HOT, OFF, "detached", GATES_OFF),
    "remove a drive": Case(
        ABSENT, DRIVE, DRIVE, DECLARATIVE, "detached", "a CD-ROM drive cannot be removed while the machine runs"
    ),
}


def change_of(case: Case) -> Change:
    there = None if case.running is None else instance(case.running)
    (change,) = plan(Declared((case.declared,)), machine(case.stored), there, case.way)
    return change


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_change_of_one_disk(case: Case) -> None:
    change = change_of(case)
    assert (change.action, change.hot, change.restart) == (case.action, case.hot, case.restart)
    if case.wanted is not None:
        assert change.wanted == case.wanted


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_second_plan_after_the_patch_writes_nothing(case: Case) -> None:
    there = None if case.running is None else instance(case.running)
    before = machine(case.stored)
    first = plan(Declared((case.declared,)), before, there, case.way)
    after = patched(before, json_patch(before, first))
    second = plan(Declared((case.declared,)), after, there, case.way)
    assert json_patch(after, second) == []
    assert [change.restart for change in second] == [change.restart for change in first]


def test_purge_removes_other_disks_but_no_volume_without_a_device() -> None:
    files = Element(None, {"name": "files", "persistentVolumeClaim": {"claimName": "files"}})
    stored = machine(COLD, named("other", COLD), files)
    changes = plan(Declared((ATTACH,), purge=True), stored, None, OFF)
    assert [(change.name, change.action) for change in changes] == [("data", None), ("other", "detached")]


@pytest.mark.parametrize(
    ("running", "way", "expected"),
    [
        (Element(disk(), hot("other")), IMPERATIVE, ("detached", True, "")),
        (Element(disk(), hot("other")), DECLARATIVE, ("detached", True, "")),
        (Element(disk(), hot("other")), OFF, (None, False, "HotplugVolumes of KubeVirt are off")),
        (Element(disk(), volume("other")), IMPERATIVE, (None, False, "and not as hotpluggable")),
        (Element(cdrom(), hot("other")), DECLARATIVE, (None, False, "a CD-ROM drive cannot be removed")),
    ],
)
def test_purge_removes_disks_that_only_the_instance_has(
    running: Element, way: str, expected: tuple[str | None, bool, str]
) -> None:
    files = Element(None, {"name": "files", "persistentVolumeClaim": {"claimName": "files"}})
    there = instance(COLD, named("other", running), files)
    kept, removed = plan(Declared((ATTACH,), purge=True), machine(COLD, files), there, way)
    action, is_hot, why = expected
    assert (kept.action, removed.name, removed.action, removed.hot) == (None, "other", action, is_hot)
    assert why in removed.restart and bool(why) == bool(removed.restart)
    assert json_patch(machine(COLD, files), (kept, removed)) == []
    assert [each.name for each in plan(Declared((ATTACH,)), machine(COLD, files), there, way)] == ["data"]


def test_template_is_removed_with_its_last_reference() -> None:
    made = {"name": "data", "dataVolume": {"name": "made"}}
    template = {"metadata": {"name": "made"}, "spec": {}}
    stored = machine(Element(disk(), made), dataVolumeTemplates=[template])
    (change,) = plan(Declared((ABSENT,)), stored, None, OFF)
    assert change.removed_template == "made"
    shared = machine(Element(disk(), made), named("copy", Element(disk(), made)), dataVolumeTemplates=[template])
    (change,) = plan(Declared((ABSENT,)), shared, None, OFF)
    assert change.removed_template is None


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ({"name": "a"}, {"name": "a", "disk": {}}, True),
        ({"name": "a", "disk": {"readonly": False}}, {"name": "a", "disk": {}}, True),
        ({"name": "a", "disk": {}, "tag": ""}, {"name": "a", "disk": {}}, True),
        ({"name": "a", "disk": {}}, {"name": "a", "lun": {}}, False),
        ({"name": "a", "emptyDisk": {"capacity": "1Gi"}}, {"name": "a", "emptyDisk": {"capacity": "1024Mi"}}, True),
        ({"name": "a", "emptyDisk": {"capacity": "1Gi"}}, {"name": "a", "emptyDisk": {"capacity": "2Gi"}}, False),
        ({"name": "a", "downwardMetrics": {}}, {"name": "a"}, False),
        (
            {"name": "a", "disk": {}, "blockSize": {"matchVolume": {"enabled": False}}},
            {"name": "a", "disk": {}, "blockSize": {"matchVolume": {}}},
            False,
        ),
        (None, {"name": "a", "disk": {}}, False),
    ],
)
def test_spellings_of_the_same_meaning(one: Object | None, other: Object | None, equal: bool) -> None:
    assert same(one, other) is equal


def test_fields_that_no_option_has_are_kept() -> None:
    stored = Element(disk(future=1, cache="none"), volume(future=2))
    assert settled(Element(disk(), volume()), stored) == Element({**disk(), "future": 1}, stored.volume)


@pytest.mark.parametrize(
    ("configuration", "release", "way"),
    [
        ({}, "v1.8.2", OFF),
        ({}, "v1.9.0", DECLARATIVE),
        ({}, "v1.10.0", DECLARATIVE),
        ({}, "", OFF),
        ({"featureGates": ["DeclarativeHotplugVolumes"]}, "v1.8.2", DECLARATIVE),
        ({"featureGates": ["HotplugVolumes"]}, "v1.8.2", IMPERATIVE),
        ({"featureGates": ["HotplugVolumes", "DeclarativeHotplugVolumes"]}, "v1.8.2", IMPERATIVE),
        ({"disabledFeatureGates": ["DeclarativeHotplugVolumes"]}, "v1.9.0", OFF),
        ({"featureGates": None}, "v1.9.0", DECLARATIVE),
    ],
)
def test_way_of_the_feature_gates(configuration: Object, release: str, way: str) -> None:
    stored = {
        "spec": {"configuration": {"developerConfiguration": configuration}},
        "status": {"observedKubeVirtVersion": release},
    }
    assert way_of(enabled_gates(stored)) == way


def test_another_volume_under_the_migration_strategy_is_a_migration() -> None:
    declared = Declared((entry(bus="virtio", **claim("other")),))
    stored = machine(COLD, updateVolumesStrategy="Migration")
    for there, migrates in ((instance(COLD), True), (None, False)):
        (change,) = plan(declared, stored, there, DECLARATIVE)
        assert starts_migration(stored, change) is migrates
    (change,) = plan(Declared((ATTACH,)), machine(updateVolumesStrategy="Migration"), instance(), DECLARATIVE)
    assert "updateVolumesStrategy of the machine is Migration" in change.restart


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_ended_instance_counts_as_stopped(phase: str) -> None:
    ended = instance(COLD, status={"phase": phase})
    (change,) = plan(Declared((ABSENT,)), machine(COLD), ended, OFF)
    assert (change.running, change.restart) == (None, "")
