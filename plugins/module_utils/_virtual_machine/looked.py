# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what changes of disks depend on, and refuses what cannot work, before anything is written."""

from __future__ import annotations

import typing as t

from .._ansible.module import Task
from .._cdi.users import UserReader
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Key
from .._kubernetes.reader import Reader
from .._kubernetes.resources import (
    DATA_VOLUME,
    INSTANCE_SUBRESOURCE,
    KUBEVIRT,
    PERSISTENT_VOLUME_CLAIM,
)
from .gates import OFF, UNKNOWN, enabled_gates, way_by_refusal, way_of
from .growth import in_namespace
from .plan import Change, plan, starts_migration
from .sources import Source, filling, is_missing, needs_source, problems_of_source
from .target import Deletion, Outcome, Outcomes, Target, unfailed, with_error
from .whole import problems_after

# A volume that no instance has: a dry run of its removal is refused, and the refusal shows how KubeVirt plugs.
_NO_VOLUME = "kubevirt-cdi-no-volume"


class Gates(t.NamedTuple):
    """The enabled feature gates, None if the user may not read them, and how KubeVirt plugs."""

    enabled: frozenset[str] | None
    way: str


class Looked(t.NamedTuple):
    """What was read before the first write."""

    reader: Reader
    users: UserReader
    gates: Gates


def planned(outcome: Outcome, way: str) -> Outcome:
    target = outcome.target
    if target.machine is None:
        return outcome
    return outcome._replace(plan=plan(target.declared, target.machine, target.instance, way), way=way)


def needs_gates(outcome: Outcome) -> bool:
    """Whether the feature gates decide what can be done, or whether the machine accepts it."""
    return any(change.writes or change.hot or change.restart for change in outcome.plan)


def look(task: Task, outcomes: Outcomes, deadline: float) -> tuple[Outcomes, Looked]:
    """Plan all machines by the feature gates, and refuse what cannot work: an error for each machine."""
    reader = Reader(task.connection)
    users = UserReader(Reader(task.connection), task.warn)
    waiting = [outcome for outcome in unfailed(outcomes) if needs_gates(outcome)]
    gates = _gates(task, reader, waiting) if waiting else Gates(None, OFF)
    looked = Looked(reader, users, gates)
    planned_again = {outcome.key: planned(outcome, gates.way) for outcome in waiting}
    checked = {}
    for key, outcome in {**outcomes, **planned_again}.items():
        checked[key] = outcome if outcome.error else _checked(task, outcome, looked)
    adding = [each for each in unfailed(checked) if any(change.added_template for change in each.plan)]
    if adding:
        from .template_checks import problems_of_templates

        for key, problem in problems_of_templates(task, reader, adding, deadline).items():
            checked[key] = with_error(checked[key], f"VirtualMachine {checked[key].target.title}: {problem}")
    return checked, looked


def _gates(task: Task, reader: Reader, outcomes: list[Outcome]) -> Gates:
    found = reader.read(KUBEVIRT)
    if found.items:
        enabled = enabled_gates(found.items[0])
        return Gates(enabled, way_of(enabled))
    if not found.is_forbidden:
        return Gates(frozenset(), OFF)
    running = next((outcome.target for outcome in outcomes if outcome.target.running), None)
    way = _way_of(task, running) if running else None
    return Gates(None, way or UNKNOWN)


def _way_of(task: Task, target: Target) -> str | None:
    body = {"name": _NO_VOLUME, "dryRun": ["All"]}
    namespace, name = target.key
    try:
        task.connection.request_subresource(INSTANCE_SUBRESOURCE, name, namespace, "removevolume", body)
    except ApiError as exc:
        return way_by_refusal(exc)
    return None


def _checked(task: Task, outcome: Outcome, looked: Looked) -> Outcome:
    target = outcome.target
    if target.machine is None:
        return outcome
    sentences = problems_after(target.declared, outcome.plan, target.machine, looked.gates.enabled)
    sentences += [_migration(change) for change in outcome.plan if starts_migration(target.machine, change)]
    notes: list[str] = []
    try:
        for change in outcome.plan:
            if needs_source(change):
                source = _source(looked, target.key, change.wanted.claim or "")
                missing = is_missing(change, source)
                if missing and task.check_mode:
                    # An earlier task of the check may be the one that creates it.
                    task.warn(f"VirtualMachine {target.title}: {missing}")
                    continue
                sentences += [missing] if missing else problems_of_source(change, source, target.key)
                notes += [filling(change, source)]
        deletions, refusals = _deletions(looked, outcome)
        sentences += refusals
    except CdiError as exc:
        return with_error(outcome, str(exc))
    if sentences:
        return with_error(outcome, f"VirtualMachine {target.title}: {' '.join(sentences)}")
    for change in outcome.plan:
        serial = str((change.wanted.device or {}).get("serial") or "")
        if change.plugs and change.wanted.target == "disk" and serial != serial.lower():
            # pkg/virt-launcher/virtwrap/manager.go syncDisks attaches the XML of the disk in lower case, v1.8.2.
            task.warn(
                f"Disk {change.name!r} of VirtualMachine {target.title} has serial={serial!r}, which is "
                f"{serial.lower()!r} in the guest until the machine restarts, because it is attached while the machine "
                "runs; give it a serial in lower case."
            )
    return outcome._replace(deletions=tuple(deletions), notes=tuple(note for note in notes if note))


def _migration(change: Change) -> str:
    return (
        f"Disk {change.name!r} would get another volume, and updateVolumesStrategy of the machine is Migration, with "
        "which KubeVirt copies the data of the old one; set it to Replacement, or stop the machine."
    )


def _source(looked: Looked, machine: Key, claim: str) -> Source:
    key = (machine[0], claim)
    found = in_namespace(looked.reader, PERSISTENT_VOLUME_CLAIM, key)
    volume = in_namespace(looked.reader, DATA_VOLUME, key)
    users = looked.users.facts(key) if found is not None else {}
    return Source(found, volume, users)


def _deletions(looked: Looked, outcome: Outcome) -> tuple[list[Deletion], list[str]]:
    """The volumes to delete after their disks are detached, and why some must not be."""
    target, found, refusals = outcome.target, [], []
    changes = {change.name: change for change in outcome.plan}
    for entry in target.declared.entries:
        change = changes.get(entry.name)
        if not entry.deletes_volume or change is None:
            continue
        running = change.running.claim if change.running else None
        claim = change.stored.claim or running or entry.disk.claim
        if claim is None:
            continue
        key = (target.key[0], claim)
        stored = in_namespace(looked.reader, PERSISTENT_VOLUME_CLAIM, key)
        volume = in_namespace(looked.reader, DATA_VOLUME, key)
        if stored is None and volume is None:
            continue
        deletion = Deletion(entry.name, volume, stored)
        if change.restart:
            refusals.append(
                f"Disk {entry.name!r} cannot be detached while the machine runs ({change.restart}), so "
                f"{deletion.title} cannot be deleted; stop the machine, or leave delete_volume out."
            )
        else:
            refusals += refuse_users(deletion, looked.users, key, but=target.key[1])
        found.append(deletion)
    return found, refusals


def refuse_users(deletion: Deletion, users: UserReader, key: Key, but: str = "") -> list[str]:
    """A sentence if the data are in use by others than the machine `but`. Raises CdiError when that is not known."""
    facts = users.facts(key)
    if facts["pods"] is None or facts["virtual_machines"] is None:
        raise CdiError(
            f"{deletion.title} was not deleted, because whether its data are in use is not known; grant the verb "
            '"list" on pods and virtualmachines.kubevirt.io, or leave delete_volume out.'
        )
    found = users.users(key).without(but)
    return [found.refusal(deletion.title, f"leave delete_volume of disk {deletion.disk!r} out")] if found else []
