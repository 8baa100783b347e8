# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the changes of one machine: its template, its running instance, the claims that grow, and deleted volumes."""

from __future__ import annotations

import typing as t

from .._ansible.module import Task
from .._cdi.users import UserReader
from .._data_volume.writes import request_growth
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import DATA_VOLUME, INSTANCE_SUBRESOURCE, PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE
from .looked import planned, refuse_users
from .patch import conflict, difference, json_patch, touched
from .plan import GROWN, Change
from .target import Deletion, Outcome, replacements

# A machine that other clients change all the time is read and planned again this often.
_TRIES = 5
_CONFLICT, _FAILED_TEST = 409, 422
_PLUG, _UNPLUG = "addvolume", "removevolume"
_SUBRESOURCES = "subresources.kubevirt.io"


def write_template(task: Task, outcome: Outcome) -> Outcome:
    """Bring the template to the planned state. What other clients change at the same time is kept.

    Raises CdiError when they change the same disks.
    """
    target, lost = outcome.target, False
    namespace, name = target.key
    for attempt in range(1, _TRIES + 1):
        operations = json_patch(target.stored, outcome.plan)
        if not operations:
            return _written(outcome, outcome) if lost else outcome
        try:
            machine = task.connection.json_patch(VIRTUAL_MACHINE, name, namespace, operations, dry_run=task.check_mode)
        except ApiError as exc:
            if exc.code not in (_CONFLICT, _FAILED_TEST) and not exc.lost:
                raise
            lost = exc.lost
            if lost and attempt == _TRIES:
                raise
            outcome = _planned_again(task, outcome, exc)
            target = outcome.target
            continue
        return _written(outcome, outcome._replace(target=target._replace(machine=machine)))
    raise CdiError(
        f"VirtualMachine {target.title} was changed by other clients {_TRIES} times while its disks were about to be "
        "changed; run the task again."
    )


def _written(before: Outcome, after: Outcome) -> Outcome:
    done = {change.name: change.action for change in before.plan if change.writes and change.action}
    return after._replace(changed=True, done={**after.done, **done}, diff=difference(before.plan))


def _planned_again(task: Task, outcome: Outcome, refused: ApiError) -> Outcome:
    """The plan for the machine as it is now. Raises `refused` when the machine has not changed."""
    target = outcome.target
    namespace, name = target.key
    machine = task.connection.get(VIRTUAL_MACHINE, name, namespace)
    if machine is None or machine["metadata"].get("uid") != target.stored["metadata"].get("uid"):
        raise CdiError(f"VirtualMachine {target.title} was deleted while its disks were about to be changed.")
    if touched(machine) == touched(target.stored):
        if refused.lost:
            return outcome
        raise refused
    problem = conflict(outcome.plan, target.stored, machine)
    if problem:
        raise CdiError(
            f"VirtualMachine {target.title}: {problem}; run the task again, or leave the disk to its other manager."
        )
    return planned(outcome._replace(target=target._replace(machine=machine)), outcome.way)


def request_changes(task: Task, outcome: Outcome) -> Outcome:
    """Request what the instance loses, and what it gets where nothing is replaced."""
    later = replacements(outcome)
    for change in outcome.plan:
        if change.unplugs:
            outcome = _requested(task, outcome, change, _UNPLUG)
    for change in outcome.plan:
        if change.plugs and change not in later:
            outcome = _requested(task, outcome, change, _PLUG)
    return outcome


def request_replacements(task: Task, outcome: Outcome) -> Outcome:
    """Request volumes that replace others, which are detached by now."""
    for change in replacements(outcome):
        outcome = _requested(task, outcome, change, _PLUG)
    return outcome


def _requested(task: Task, outcome: Outcome, change: Change, subresource: str) -> Outcome:
    """pkg/virt-api/rest/volumes.go, v1.8.2: the requests for the instance, because the template is written already."""
    target = outcome.target
    if task.check_mode and not target.has_started:
        return outcome.did(change.name, change.action or "")
    namespace, name = target.key
    body: Object = {"name": change.name}
    if subresource == _PLUG:
        source = {key: value for key, value in (change.wanted.volume or {}).items() if key != "name"}
        body |= {"disk": change.wanted.device, "volumeSource": source}
    body |= {"dryRun": ["All"]} if task.check_mode else {}
    try:
        task.connection.request_subresource(INSTANCE_SUBRESOURCE, name, namespace, subresource, body)
    except ApiError as exc:
        if exc.code != 403:
            raise
        raise CdiError(
            f"Cannot change disk {change.name!r} of VirtualMachine {target.title} while it runs: grant the verb "
            f'"update" on virtualmachineinstances/{subresource} in API group {_SUBRESOURCES}, or stop the machine.'
        ) from exc
    return outcome.did(change.name, change.action or "")


def note_hot_changes(outcome: Outcome) -> Outcome:
    """KubeVirt changes the instance by itself to what the template says."""
    for change in outcome.plan:
        if change.hot and change.action:
            outcome = outcome.did(change.name, change.action)
    return outcome


def grow_claims(task: Task, outcome: Outcome) -> Outcome:
    for growth in outcome.growths:
        size, grown_to = (str(growth.requested), growth.typed) if growth.has_data_volume else (growth.typed, None)
        request_growth(task, growth.claim, size, grown_to, f"Disk {growth.disk!r}")
        outcome = outcome.did(growth.disk, outcome.done.get(growth.disk, GROWN))
        sizes = {"before": growth.before, "after": growth.typed}
        diff = {
            side: {**(outcome.diff.get(side) or {}), "sizes": {**_sizes_of(outcome, side), growth.disk: size}}
            for side, size in sizes.items()
        }
        outcome = outcome._replace(diff=diff)
    return outcome


def _sizes_of(outcome: Outcome, side: str) -> dict[str, str]:
    """The sizes in one side of the diff so far."""
    return (outcome.diff.get(side) or {}).get("sizes") or {}


def delete_volumes(task: Task, outcome: Outcome, users: UserReader, deadline: float) -> Outcome:
    """Delete the volumes of detached disks, unless somebody has begun to use them."""
    for deletion in outcome.deletions:
        outcome = _deleted(task, outcome, deletion, users, deadline)
    return outcome


def _deleted(task: Task, outcome: Outcome, deletion: Deletion, users: UserReader, deadline: float) -> Outcome:
    stored = t.cast(Object, deletion.data_volume or deletion.claim)
    resource = DATA_VOLUME if deletion.data_volume is not None else PERSISTENT_VOLUME_CLAIM
    metadata = stored["metadata"]
    key = (metadata["namespace"], metadata["name"])
    # In a check the disk is still attached.
    refusals = refuse_users(deletion, users, key, but=outcome.key[1] if task.check_mode else "")
    if refusals:
        raise CdiError(f"VirtualMachine {outcome.target.title}: {refusals[0]}")
    task.connection.delete(resource, key[1], key[0], dry_run=task.check_mode, uid=metadata["uid"])
    outcome = outcome.did(deletion.disk, outcome.done.get(deletion.disk, "deleted"))
    outcome = outcome._replace(notes=(*outcome.notes, f"{deletion.title} was deleted"))
    if task.params["wait"] and not task.check_mode:
        from .._kubernetes.wait import wait_gone

        task.progress.waits(outcome.target.title, f"{deletion.title} is being deleted")
        for kind in (resource, PERSISTENT_VOLUME_CLAIM):
            wait_gone(task.connection, kind, key[0], key[1], task.params["wait_timeout"], deadline)
    return outcome
