# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why volumes cannot be moved, each as a sentence with its remedy, and the method that is left. Pure rules.

Rules of KubeVirt v1.8.2: pkg/virt-controller/watch/volume-migration/volume-migration.go (ValidateVolumes,
ValidateVolumesUpdateMigration), watch/vm/vm.go (handleVolumeUpdateRequest), watch/workload-updater/workload-updater.go.
"""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object, Objects, annotations_of, conditions, timestamp
from .._virtual_machine.elements import Element, elements_of
from .._virtual_machine.gates import enabled_gates, release_of
from .goal import LIVE, OFFLINE, Goal
from .machine import RESTART_REQUIRED, Unit, attempt_of, is_movable, migrated_volumes, phase_of

AUTO: t.Final = "auto"
THICK = "cdi.kubevirt.io/storage.thick-provisioned"
_GATES = {"VolumesUpdateStrategy", "VolumeMigration"}
_WITHOUT_GATES = (1, 5)
_SCHEDULABLE = "kubevirt.io/schedulable"
_HOST_MODEL = "host-model-cpu.node.kubevirt.io/"
_MIGRATES_MODEL = "cpu-model-migration.node.kubevirt.io/"
_HOST_MODELS = (None, "", "host-model")
# Parts of the names of the annotations of a claim that KubeVirt takes for preallocated, if their value is "true".
_THICK_MARKS = ("/storage.preallocation", "/storage.thick-provisioned")


class Surroundings(t.NamedTuple):
    """What live moves depend on. None: the user may not read it, and it is no obstacle."""

    kubevirt: Object | None = None
    nodes: Objects | None = None


class Choice(t.NamedTuple):
    """The method of a unit and why, or the sentences that say why there is none."""

    method: str | None
    reason: str
    refusals: tuple[str, ...] = ()


def choose(method: str, unit: Unit, goal: Goal, around: Surroundings, users: t.Mapping[str, str]) -> Choice:
    """The method for what has to be moved. `users`: what else uses the volumes, by the names of their claims."""
    refusals = [*shared_blocks(unit, users)]
    if not unit.running:
        if method == LIVE:
            why = f"{unit.title} does not run" if unit.machine else f"no machine uses {unit.title.lower()}"
            refusals.insert(0, f"{why}, so nothing can be moved live; set method=offline or method=auto.")
        reason = "the machine is off" if unit.machine is not None else "no machine uses the volume"
        return Choice(OFFLINE, f"{reason}, so CDI copies it", tuple(refusals))
    if method == OFFLINE:
        stop = f"{unit.title} runs, and an offline copy needs it stopped; stop it, or set method=live or method=auto."
        return Choice(OFFLINE, "method=offline", (stop, *refusals))
    refusals += live_blocks(unit, goal, around)
    if refusals and method == AUTO:
        refusals.append(f"Or stop {unit.title} and run the task again: its volumes are then copied.")
    return Choice(LIVE, "the machine runs, so KubeVirt moves it", tuple(refusals))


def shared_blocks(unit: Unit, users: t.Mapping[str, str]) -> t.Iterator[str]:
    """What keeps both methods from a volume."""
    for item in unit.items:
        title = f"Volume {item.name!r}"
        if item.claim["metadata"].get("deletionTimestamp") and not unit.running:
            yield f"{title} is being deleted; restore it from a backup, or leave it out."
        phase = (item.claim.get("status") or {}).get("phase")
        if phase != "Bound":
            yield f"{title} is not bound (its claim is {phase or 'Pending'}); wait until it is."
        filled = ((item.volume or {}).get("status") or {}).get("phase") or "Succeeded"
        if filled != "Succeeded":
            yield f"{title} is not filled (its DataVolume is {filled}); wait until it has Succeeded."
        if users.get(item.name):
            yield f"{title} is also in use by {users[item.name]}; end that use, because the copy would miss its writes."


def live_blocks(unit: Unit, goal: Goal, around: Surroundings) -> list[str]:
    """Why KubeVirt cannot move these volumes of a running machine."""
    instance = t.cast(Object, unit.instance)
    return [
        *_of_kubevirt(around.kubevirt),
        *_of_machine(unit, instance),
        *_of_volumes(unit, instance),
        *_of_nodes(unit, instance, around.nodes),
        *(trap(unit, goal) if goal.preallocation else []),
    ]


def _of_kubevirt(kubevirt: Object | None) -> t.Iterator[str]:
    if kubevirt is None:
        return
    spec = kubevirt.get("spec") or {}
    configuration = spec.get("configuration") or {}
    release = release_of(kubevirt) or _WITHOUT_GATES
    if release < _WITHOUT_GATES and not enabled_gates(kubevirt) >= _GATES:
        yield (
            f"KubeVirt {'.'.join(map(str, release))} moves volumes only with the feature gates "
            f"{' and '.join(sorted(_GATES))}; enable them, or upgrade to 1.5."
        )
    if configuration.get("vmRolloutStrategy") not in (None, "LiveUpdate"):
        yield (
            f"vmRolloutStrategy of KubeVirt is {configuration['vmRolloutStrategy']}, with which a running machine "
            "keeps its volumes; set it to LiveUpdate."
        )
    methods = (spec.get("workloadUpdateStrategy") or {}).get("workloadUpdateMethods") or []
    if "LiveMigrate" not in methods:
        yield (
            "workloadUpdateStrategy.workloadUpdateMethods of KubeVirt lacks LiveMigrate, so that no migration would "
            "start; add it."
        )


def _of_machine(unit: Unit, instance: Object) -> t.Iterator[str]:
    phase = phase_of(instance)
    if phase != "Running":
        yield f"{unit.title} is {phase or 'Pending'}; wait until it runs."
    attempt = attempt_of(instance)
    under_way = attempt and not attempt.get("completed") and not attempt.get("failed")
    moving = migrated_volumes(instance)
    if moving:
        disks = ", ".join(map(repr, sorted(moving)))
        yield f"Another update of its volumes is under way (disks {disks}); wait for its end, or revert it."
    elif under_way:
        yield f"{unit.title} is being migrated to node {attempt.get('targetNode') or 'unknown'}; wait for its end."
    storage = conditions(instance).get("StorageLiveMigratable", {})
    if storage.get("status") == "False":
        yield f"KubeVirt cannot move {unit.title}: {str(storage.get('message') or '').rstrip('.')}; change that first."
    restart = conditions(unit.machine).get(RESTART_REQUIRED, {})
    if restart.get("status") == "True":
        yield (
            f"{unit.title} has the condition RestartRequired ({str(restart.get('message') or '').rstrip('.')}), with "
            "which KubeVirt makes no live update; restart it first."
        )


def _of_volumes(unit: Unit, instance: Object) -> t.Iterator[str]:
    spec = instance.get("spec") or {}
    elements = elements_of(spec)
    filesystems = {
        each.get("name") for each in ((spec.get("domain") or {}).get("devices") or {}).get("filesystems") or []
    }
    for item in unit.items:
        element = elements.get(item.disk, Element())
        title = f"Disk {item.disk!r}"
        if element.is_hotpluggable:
            yield f"{title} is hot-plugged, and KubeVirt does not move such disks; detach it, or stop the machine."
        if (element.device or {}).get("shareable"):
            yield f"{title} is shareable, and KubeVirt does not move such disks; stop the machine."
        if element.target == "lun":
            yield f"{title} is a lun, and KubeVirt does not move such disks; stop the machine."
        if item.disk in filesystems:
            yield f"{title} is a filesystem device, and KubeVirt does not move these; stop the machine."
    moved = {item.disk for item in unit.items}
    for status in (instance.get("status") or {}).get("volumeStatus") or []:
        modes = (status.get("persistentVolumeClaimInfo") or {}).get("accessModes") or []
        name = status.get("name")
        if "ReadWriteOnce" in modes and name not in moved and is_movable(elements.get(name, Element())):
            yield (
                f"Disk {name!r} is ReadWriteOnce and would not be moved, and KubeVirt moves all such disks of a "
                "machine at once; name its volume also, or name the machine."
            )


def _of_nodes(unit: Unit, instance: Object, nodes: Objects | None) -> t.Iterator[str]:
    if nodes is None:
        return
    source = (instance.get("status") or {}).get("nodeName")
    labels = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in nodes}
    others = {
        each["metadata"]["name"]: labels[each["metadata"]["name"]]
        for each in nodes
        if each["metadata"]["name"] != source
        and labels[each["metadata"]["name"]].get(_SCHEDULABLE) == "true"
        and not (each.get("spec") or {}).get("unschedulable")
    }
    if not others:
        yield (
            f"{unit.title} runs on node {source}, and no other node can run machines, which a live move needs; add or "
            "uncordon one."
        )
        return
    model = ((((instance.get("spec") or {}).get("domain") or {}).get("cpu")) or {}).get("model")
    if model not in _HOST_MODELS:
        return
    has = [name.removeprefix(_HOST_MODEL) for name in labels.get(source, {}) if name.startswith(_HOST_MODEL)]
    if has and not any(each.get(f"{_MIGRATES_MODEL}{has[0]}") == "true" for each in others.values()):
        yield (
            f"{unit.title} has the CPU model of its host, {has[0]}, which no other node offers; set a CPU model that "
            "the nodes share, and restart it."
        )


def trap(unit: Unit, goal: Goal) -> t.Iterator[str]:
    """KubeVirt starts a domain with discard=unmap for each volume that is not annotated as preallocated (pkg/storage/
    types/pvc.go IsPreallocated, v1.8.2). A copy by this domain makes holes of zeros, and the target loses its
    preallocation. The annotation counts only if it is set before the machine starts."""
    started = _started(t.cast(Object, unit.instance))
    for item in unit.items:
        remedy = f"restart {unit.title} with this annotation and run the task again"
        if not is_thick(item.claim):
            yield (
                f"Disk {item.disk!r} runs with discard=unmap, because claim {item.name!r} lacked the annotation "
                f'{THICK}="true" when the machine started, and a live move would lose the preallocation; {remedy}.'
            )
        elif (since := _annotated_at(item.claim)) and started and since > started:
            yield (
                f"Claim {item.name!r} was annotated as thick-provisioned after {unit.title} had started, so that disk "
                f"{item.disk!r} runs with discard=unmap and a live move would lose the preallocation; {remedy}."
            )


def is_thick(claim: Object) -> bool:
    """Whether KubeVirt takes a claim for preallocated."""
    return any(value == "true" and _is_mark(name) for name, value in annotations_of(claim).items())


def _is_mark(annotation: str) -> bool:
    return any(mark in annotation for mark in _THICK_MARKS)


def _annotated_at(claim: Object) -> t.Any:
    """When the annotation was written at the earliest possible time that is known: the oldest write of its owners."""
    times = []
    for entry in claim["metadata"].get("managedFields") or []:
        fields = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
        if any(map(_is_mark, fields)):
            times.append(timestamp(entry.get("time")))
    return min(filter(None, times), default=None)


def _started(instance: Object) -> t.Any:
    """When the pod of an instance was there: its domain is defined after that."""
    moments = (instance.get("status") or {}).get("phaseTransitionTimestamps") or []
    times = {each.get("phase"): each.get("phaseTransitionTimestamp") for each in moments}
    return timestamp(times.get("Scheduled") or instance["metadata"].get("creationTimestamp"))
