# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a move: create the targets, change the machine, wait, verify, delete the sources; or go back."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.module import Task
from .._ansible.steps import in_steps
from .._data_volume.preallocation import APPLIED
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from .._storage.allocation_pod import measure
from .._storage.scratch_facts import VolumeAndClaim
from .._virtual_machine.elements import template_spec
from .following import refused
from .goal import LIVE, MOVED_FROM, Goal, is_preallocated, mode_of
from .looked import Looked, checked, look
from .machine import DONE, INTERRUPTED, MOVING, NEEDED, Unit, claims_of_spec, has_begun, is_running
from .outcome import ABORTED, DELETED, MOVED, STARTED, Outcome
from .patch import Switch, switch
from .sampling import sampled
from .selection import Seen, leftovers
from .targets import Declare, create_targets, delete, mark_begun, remove_stale, unmark
from .waits import release, wait_for_disks

# The webhooks of a busy KubeVirt do not always answer, and other clients change the machine.
_TRIES = 5
_CONFLICT, _FAILED_TEST = 409, 422


class Order(t.NamedTuple):
    """What a task is to do: option values, and the time of time.monotonic() at which it ends."""

    goal: Goal
    method: str
    parallel: int
    waits: bool
    deletes: bool
    samples: bool
    deadline: float


def move(task: Task, order: Order, seen: Seen, units: t.Sequence[Unit], declare: Declare) -> list[Outcome]:
    """Move the volumes of all units, `parallel` units at a time."""
    if all(item.state == DONE and not (order.deletes and item.origin) for unit in units for item in unit.items):
        return [Outcome(unit) for unit in units]
    looked = look(task, units)
    outcomes = [checked(unit, order.goal, order.method, looked) for unit in units]

    def moved(outcome: Outcome) -> Outcome:
        return in_steps(
            outcome,
            lambda so_far: _begin(task, so_far, order, seen, looked, declare),
            lambda so_far: _finish(task, so_far, order),
        )

    def run(outcome: Outcome) -> Outcome:
        samples = order.samples and not task.check_mode
        outcome = sampled(task.connection, outcome, moved) if samples else moved(outcome)
        if not order.deletes or not order.waits or task.check_mode:
            return outcome
        return in_steps(outcome, lambda so_far: _without_sources(task, so_far, order))

    with ThreadPoolExecutor(order.parallel) as pool:
        return list(pool.map(run, outcomes))


def _begin(task: Task, outcome: Outcome, order: Order, seen: Seen, looked: Looked, declare: Declare) -> Outcome:
    """Everything up to the change of the machine. A copy for a stopped machine has ended before it is changed."""
    needed = outcome.unit.in_state(NEEDED)
    if not needed:
        return outcome
    task.progress.say(outcome.unit.title, f"creating {', '.join(item.target for item in needed)}")
    outcome = in_steps(
        outcome,
        lambda so_far: remove_stale(task, so_far, seen, order.deadline),
        lambda so_far: create_targets(task, so_far, order.goal, looked, declare),
        lambda so_far: _switched(task, so_far),
    )
    if outcome.error:
        return outcome
    action = STARTED if outcome.method == LIVE else MOVED
    for item in needed:
        outcome = outcome.did(item.name, action)
    sides = {"before": {item.name: item.name for item in needed}, "after": {item.name: item.target for item in needed}}
    return outcome._replace(diff={side: {"volumes": claims} for side, claims in sides.items()})


def _switched(task: Task, outcome: Outcome) -> Outcome:
    """Make the template of the machine name the targets."""
    unit, live = outcome.unit, outcome.method == LIVE
    if unit.machine is None:
        return outcome
    needed = unit.in_state(NEEDED)
    _require_same(task, unit)
    if live and not task.check_mode:
        outcome = mark_begun(task, outcome)
    _write(task, unit, {item.disk: Switch(item.target) for item in needed}, live=live)
    outcome = outcome._replace(changed=True, expected={item.disk: item.target for item in needed} if live else {})
    if not live and not task.check_mode:
        _require_stopped(task, unit, "was started while its volumes were switched")
    return outcome


def _require_same(task: Task, unit: Unit) -> None:
    """Raises CdiError if the machine was started, stopped or changed since its volumes were looked at."""
    before = t.cast(Object, unit.machine)
    machine = task.connection.get(VIRTUAL_MACHINE, unit.machine_name, unit.namespace)
    if machine is None or machine["metadata"].get("uid") != before["metadata"].get("uid"):
        raise CdiError(f"{unit.title} was deleted while its volumes were copied.")
    if unit.running:
        instance = task.connection.get(VIRTUAL_MACHINE_INSTANCE, unit.machine_name, unit.namespace)
        before_start = t.cast(Object, unit.instance)["metadata"].get("uid")
        if instance is None or not is_running(instance) or instance["metadata"].get("uid") != before_start:
            raise CdiError(f"{unit.title} ended while the targets of its volumes were created; run the task again.")
    else:
        _require_stopped(
            task, unit, "was started while its volumes were copied, so that the copies may miss its writes"
        )
        if machine["metadata"].get("generation") != before["metadata"].get("generation"):
            raise CdiError(
                f"{unit.title} was changed while its volumes were copied, so that the copies may miss its writes; "
                "run the task again."
            )


def _require_stopped(task: Task, unit: Unit, why: str) -> None:
    if is_running(task.connection.get(VIRTUAL_MACHINE_INSTANCE, unit.machine_name, unit.namespace)):
        raise CdiError(f"{unit.title} {why}; stop it, and run the task again.")


def _write(task: Task, unit: Unit, switches: t.Mapping[str, Switch], *, live: bool) -> None:
    """Give disks other claims in the template. What other clients change at the same time is kept.

    Raises CdiError when they give the same disks other claims.
    """
    before = claims_of_spec(template_spec(t.cast(Object, unit.machine)))
    for attempt in range(1, _TRIES + 1):
        machine = task.connection.get(VIRTUAL_MACHINE, unit.machine_name, unit.namespace)
        claims = claims_of_spec(template_spec(machine or {}))
        others = [disk for disk, wanted in switches.items() if claims.get(disk) not in (before[disk], wanted.claim)]
        if machine is None or others:
            what = f"disks {' and '.join(map(repr, others))} were" if machine else "it was"
            raise CdiError(f"{unit.title}: {what} changed by another client; run the task again.")
        operations = switch(machine, switches, live=live)
        if not operations:
            return
        try:
            task.connection.json_patch(
                VIRTUAL_MACHINE, unit.machine_name, unit.namespace, operations, dry_run=task.check_mode
            )
        except ApiError as exc:
            if attempt == _TRIES or not (exc.lost or exc.code in (_CONFLICT, _FAILED_TEST)):
                raise
        else:
            return


def _finish(task: Task, outcome: Outcome, order: Order) -> Outcome:
    """Wait for what KubeVirt moves, and verify it."""
    unit = outcome.unit
    moving = {item.disk: item.name for item in unit.in_state(MOVING) if item.disk}
    outcome = outcome._replace(expected={**moving, **outcome.expected})
    if task.check_mode:
        return _predicted(outcome, order)
    if outcome.expected:
        # Until KubeVirt has begun, a machine that is stopped would start from an empty target.
        outcome = wait_for_disks(task, outcome, order.deadline, begun=True)
        if outcome.error:
            return _gone_back(task, outcome)
    if not order.waits:
        return outcome
    if outcome.expected:
        outcome = wait_for_disks(task, outcome, order.deadline)
        if outcome.error:
            return outcome
        outcome = outcome._replace(ended=True)
        unmark(task, outcome)
        for item in unit.items:
            if item.disk in outcome.expected:
                done = {**outcome.done, item.name: MOVED} if item.state == NEEDED else outcome.done
                outcome = outcome._replace(done=done)
    return in_steps(outcome, lambda so_far: _verified(task, so_far))


def _gone_back(task: Task, outcome: Outcome) -> Outcome:
    """If KubeVirt has not begun, the template names the sources again, so that the next start has the data."""
    unit = outcome.unit
    machine = task.connection.get(VIRTUAL_MACHINE, unit.machine_name, unit.namespace)
    instance = task.connection.get(VIRTUAL_MACHINE_INSTANCE, unit.machine_name, unit.namespace)
    ended = not is_running(instance) and not any(
        has_begun(machine, disk, claim) for disk, claim in outcome.expected.items()
    )
    if machine is None or not (ended or refused(machine, instance, outcome.expected)):
        return outcome
    switches = {item.disk: Switch(item.name, item.volume is not None) for item in unit.in_state(NEEDED)}
    switches |= {
        item.disk: Switch(item.moved_from, item.origin_volume is not None)
        for item in unit.in_state(MOVING)
        if item.origin is not None
    }
    named = unit._replace(machine=machine)
    _write(task, named, switches, live=False)
    return outcome._replace(error=f"{outcome.error} Its template names the sources again.")


def _verified(task: Task, outcome: Outcome) -> Outcome:
    """Count the allocated bytes of what was moved and is to be preallocated: an annotation is no proof."""
    unit = outcome.unit
    moved = [item for item in unit.items if outcome.done.get(item.name) == MOVED or item.state == MOVING]
    pairs = []
    for item in moved:
        claim = task.connection.get(PERSISTENT_VOLUME_CLAIM, item.target, unit.namespace)
        if claim is None or claim["metadata"].get("deletionTimestamp"):
            return outcome._replace(error=_lost(outcome, item.target))
        volume = task.connection.get(DATA_VOLUME, item.target, unit.namespace)
        if claim and volume and is_preallocated(claim, volume) and mode_of(claim) == "Filesystem":
            pairs.append(VolumeAndClaim(volume, claim))
    if not pairs:
        return outcome
    found = {key[1]: facts for key, facts in measure(task, pairs).items()}
    outcome = outcome._replace(allocations=found)
    lost = {
        name: f"volume {name!r} has only {facts['allocated_bytes']} of {facts['size_bytes']} bytes allocated"
        for name, facts in found.items()
        if facts["allocated_bytes"] is not None and facts["allocated_bytes"] < facts["size_bytes"]
    }
    for name in lost:
        # The claim no longer records what is not so, and the next run copies it.
        body: Object = {"metadata": {"annotations": {APPLIED: None}}}
        task.connection.merge(PERSISTENT_VOLUME_CLAIM, name, unit.namespace, body, dry_run=False)
    if not lost:
        return outcome
    return outcome._replace(
        error=f"{unit.title} uses its new volumes, but {' and '.join(lost.values())}: the copy made holes of its "
        "zeros, and the preallocation is lost; stop the machine and run the task again, which copies them."
    )


def _lost(outcome: Outcome, target: str) -> str:
    """Somebody has deleted a target. Kubernetes keeps its data as long as a pod uses it."""
    if outcome.unit.running:
        return (
            f"{outcome.unit.title} runs on volume {target!r}, which another client is deleting, and its data are lost "
            "when the machine stops; run the task again now, which moves them to a new volume."
        )
    return f"Volume {target!r} was deleted by another client after its data were copied; run the task again."


def _without_sources(task: Task, outcome: Outcome, order: Order) -> Outcome:
    unit = outcome.unit
    for item in unit.items:
        if item.state == NEEDED:
            claim, volume = item.claim, item.volume
        elif item.origin is not None and item.state in (DONE, MOVING):
            claim, volume = item.origin, item.origin_volume
        else:
            continue
        release(task, unit, claim["metadata"]["name"])
        delete(task, (unit.namespace, claim["metadata"]["name"]), volume, claim, order.deadline)
        outcome = outcome.did(item.name, DELETED)
    return outcome


def _predicted(outcome: Outcome, order: Order) -> Outcome:
    """What waiting and deleting would add in a run that is no check."""
    for item in outcome.unit.items:
        if item.state == NEEDED and order.waits:
            outcome = outcome.did(item.name, MOVED)
        if order.deletes and (item.state == NEEDED or item.origin is not None):
            outcome = outcome.did(item.name, DELETED)
    return outcome


def abort(task: Task, order: Order, seen: Seen, units: t.Sequence[Unit]) -> list[Outcome]:
    """Go back to the sources of all moves that have not ended, and delete their targets."""

    def run(unit: Unit) -> Outcome:
        return in_steps(
            Outcome(unit, LIVE if unit.machine else None),
            lambda so_far: _reverted(task, so_far, order),
            lambda so_far: _without_targets(task, so_far, seen, order),
        )

    with ThreadPoolExecutor(order.parallel) as pool:
        return list(pool.map(run, units))


def _reverted(task: Task, outcome: Outcome, order: Order) -> Outcome:
    unit = outcome.unit
    back = unit.in_state(MOVING, INTERRUPTED)
    if not back or unit.machine is None:
        return outcome
    gone = [item.moved_from for item in back if item.origin is None]
    if gone:
        raise CdiError(
            f"{unit.title} cannot go back to {' and '.join(gone)}, which no longer exists; wait until the "
            "move has ended."
        )
    switches = {item.disk: Switch(item.moved_from, item.origin_volume is not None) for item in back}
    forward = {item.disk: Switch(item.name) for item in back}
    _write(task, unit, switches, live=False)
    for item in back:
        outcome = outcome.did(item.name, ABORTED)
    if task.check_mode or not unit.running:
        return outcome
    outcome = outcome._replace(expected={disk: each.claim for disk, each in switches.items()})
    outcome = wait_for_disks(task, outcome, order.deadline, back=True)
    if outcome.error.endswith("had ended already."):
        machine = t.cast(Object, task.connection.get(VIRTUAL_MACHINE, unit.machine_name, unit.namespace))
        _write(task, unit._replace(machine=machine), forward, live=True)
    return outcome


def _without_targets(task: Task, outcome: Outcome, seen: Seen, order: Order) -> Outcome:
    unit = outcome.unit
    names = [item.name for item in unit.in_state(MOVING, INTERRUPTED)]
    if task.check_mode and names:
        return outcome  # The template still names them.
    for name in [*names, *leftovers(seen, unit)]:
        release(task, unit, name)
        delete(task, (unit.namespace, name), seen.volumes.get(name), seen.claims.get(name), order.deadline)
        source = annotations_of(seen.claims.get(name)).get(MOVED_FROM, "")
        outcome = outcome.did(name if name in names else source, ABORTED)
    return outcome
