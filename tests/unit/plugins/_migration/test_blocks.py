# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each reason for which a volume cannot be moved, and the method that is chosen."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.blocks import Surroundings, choose
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.goal import Goal, lacks

from tests.unit.plugins._migration.moves import START, THICK, claim, instance, machine, migrated, unit, volume

Object = dict[str, Any]
LIVE_MIGRATE = {"workloadUpdateStrategy": {"workloadUpdateMethods": ["LiveMigrate"]}}
MODEL = {"host-model-cpu.node.kubevirt.io/EPYC": "true"}
MIGRATES = {"cpu-model-migration.node.kubevirt.io/EPYC": "true"}
DATA = volume("data", "source")
LATE = "2026-01-01T10:00:01Z"


def kubevirt(release: str = "v1.8.2", spec: Object | None = None, **configuration: Any) -> Object:
    whole = {**LIVE_MIGRATE, "configuration": configuration, **(spec or {})}
    return {"spec": whole, "status": {"observedKubeVirtVersion": release}}


def node(name: str, labels: Object | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": name, "labels": {"kubevirt.io/schedulable": "true", **(labels or {})}}, "spec": spec}


NODES = [node("one", MODEL), node("two", MIGRATES)]
AROUND = Surroundings(kubevirt(), NODES)


def refusals(**fields: Any) -> tuple[str, ...]:
    """Why the unit of these fields is not moved live."""
    around = fields.pop("around", AROUND)
    stored = fields.pop("stored", None)
    goal, users = fields.pop("goal", Goal(volume_mode="Block")), fields.pop("users", {})
    return choose("live", unit(stored, **fields), goal, around, users).refusals


def condition(kind: str, status: str, message: str) -> Object:
    return {"conditions": [{"type": kind, "status": status, "message": message}]}


def changed(**device: Any) -> Object:
    found = instance(DATA)
    found["spec"]["domain"]["devices"]["disks"] = [{"name": "data", **device}]
    return found


def filesystem() -> Object:
    found = instance(DATA)
    found["spec"]["domain"]["devices"] = {"filesystems": [{"name": "data"}]}
    return found


def annotated_at(time: str) -> Object:
    found = claim(annotations=THICK)
    fields: Object = {"f:metadata": {"f:annotations": {f"f:{name}": {} for name in THICK}}}
    found["metadata"]["managedFields"] = [{"fieldsV1": fields, "time": time}]
    return found


def being_deleted() -> Object:
    found = claim()
    found["metadata"]["deletionTimestamp"] = START
    return found


BLOCKS: list[tuple[Object, str]] = [
    ({"around": Surroundings(kubevirt("v1.4.0"))}, "enable them, or upgrade to 1.5."),
    ({"around": Surroundings(kubevirt(vmRolloutStrategy="Stage"))}, "keeps its volumes; set it to LiveUpdate."),
    ({"around": Surroundings(kubevirt(spec={"workloadUpdateStrategy": {}}))}, "lacks LiveMigrate"),
    ({"around": Surroundings(None, NODES[:1])}, "runs on node one, and no other node can run machines"),
    ({"around": Surroundings(None, [NODES[0], node("two", MIGRATES, unschedulable=True)])}, "no other node can run"),
    ({"around": Surroundings(None, [NODES[0], node("two")])}, "the CPU model of its host, EPYC, which no other node"),
    ({"instance": instance(DATA, phase="Scheduling")}, "is Scheduling; wait until it runs."),
    ({"instance": instance(DATA, migratedVolumes=[migrated()])}, "Another update of its volumes is under way"),
    ({"instance": instance(DATA, migrationState={"targetNode": "two"})}, "is being migrated to node two"),
    (
        {"instance": instance(DATA, **condition("StorageLiveMigratable", "False", "it has a host disk"))},
        "KubeVirt cannot move VirtualMachine demo/web: it has a host disk; change that first.",
    ),
    (
        {"machine": machine(DATA, status=condition("RestartRequired", "True", "a change"))},
        "has the condition RestartRequired (a change)",
    ),
    ({"instance": instance(volume("data", "source", hotpluggable=True))}, "is hot-plugged"),
    ({"instance": changed(disk={"bus": "virtio"}, shareable=True)}, "is shareable"),
    ({"instance": changed(lun={"bus": "scsi"})}, "is a lun"),
    ({"instance": filesystem()}, "is a filesystem device"),
    (
        {"instance": instance(DATA, volume("root", "root"))},
        "Disk 'root' is ReadWriteOnce and would not be moved, and KubeVirt moves all such disks of a machine at once",
    ),
    ({"goal": Goal(preallocation=True)}, "lacked the annotation cdi.kubevirt.io/storage.thick-provisioned="),
    (
        {"goal": Goal(preallocation=True), "stored": annotated_at(LATE)},
        "was annotated as thick-provisioned after VirtualMachine demo/web had started",
    ),
    ({"stored": {**claim(), "status": {"phase": "Pending"}}}, "is not bound (its claim is Pending)"),
    ({"users": {"source": "pod demo/backup"}}, "is also in use by pod demo/backup"),
]


@pytest.mark.parametrize(("fields", "sentence"), BLOCKS, ids=[sentence[:40] for _fields, sentence in BLOCKS])
def test_block_is_one_sentence_with_a_remedy(fields: Object, sentence: str) -> None:
    (found,) = refusals(**fields)
    assert sentence in found
    assert found[0].isupper() or found.startswith(("workloadUpdateStrategy", "vmRollout"))
    assert found.endswith(".") and ";" in found


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"around": Surroundings()},
        {
            "around": Surroundings(
                kubevirt(
                    "v1.3.0", developerConfiguration={"featureGates": ["VolumesUpdateStrategy", "VolumeMigration"]}
                )
            )
        },
        {"around": Surroundings(kubevirt("devel"))},
        {"goal": Goal(preallocation=True), "stored": annotated_at(START)},
        {
            "goal": Goal(preallocation=True),
            "stored": claim(annotations={"cdi.kubevirt.io/storage.preallocation": "true"}),
        },
        {"goal": Goal(preallocation=False)},
        {"stored": being_deleted()},
        {"instance": instance(DATA, migrationState={"completed": True})},
        {"instance": instance(DATA, {"name": "cd", "containerDisk": {"image": "x"}})},
    ],
)
def test_volume_is_moved_live(fields: Object) -> None:
    assert refusals(**fields) == ()


def test_claim_that_is_being_deleted_is_left_by_a_live_move_and_not_copied() -> None:
    """Kubernetes keeps its data until the machine ends."""
    assert lacks(Goal(volume_mode="Filesystem"), being_deleted(), None) == ["it is being deleted"]
    (found,) = choose("auto", unit(being_deleted(), instance=None), Goal(volume_mode="Block"), AROUND, {}).refusals
    assert found == "Volume 'source' is being deleted; restore it from a backup, or leave it out."


def test_failed_fill_is_a_block() -> None:
    (item,) = (found := unit()).items
    filling = item._replace(volume={"status": {"phase": "ImportInProgress"}})
    (sentence,) = choose("auto", found._replace(items=(filling,)), Goal(), AROUND, {}).refusals[:1]
    assert (
        sentence == "Volume 'source' is not filled (its DataVolume is ImportInProgress); wait until it has Succeeded."
    )


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        ("auto", {}, ("live", "")),
        ("auto", {"instance": None}, ("offline", "")),
        ("auto", {"instance": None, "machine": None}, ("offline", "")),
        ("offline", {"instance": None}, ("offline", "")),
        ("auto", {"instance": instance(DATA, phase="Succeeded")}, ("offline", "")),
        ("offline", {}, ("offline", "runs, and an offline copy needs it stopped")),
        ("live", {"instance": None}, ("offline", "does not run, so nothing can be moved live")),
        ("live", {"instance": None, "machine": None}, ("offline", "no machine uses volume demo/source")),
        ("auto", {"instance": changed(lun={})}, ("live", "Or stop VirtualMachine demo/web and run the task again")),
    ],
)
def test_method_is_that_of_the_machine(method: str, fields: Object, expected: tuple[str, str]) -> None:
    chosen = choose(method, unit(**fields), Goal(), AROUND, {})
    assert chosen.method == expected[0]
    assert expected[1] in " ".join(chosen.refusals) and bool(chosen.refusals) == bool(expected[1])
