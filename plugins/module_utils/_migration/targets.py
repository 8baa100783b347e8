# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creates the targets of a unit by the steps of module data_volume, and deletes volumes that are not used."""

from __future__ import annotations

import time
import typing as t

from .._ansible.module import Task
from .._cdi.users import UserReader
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Key, Object, annotations_of, key_of
from .._kubernetes.reader import Reader
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE
from .._kubernetes.wait import wait_gone
from .goal import BEGUN, LIVE, OFFLINE, Goal, target_options
from .looked import Looked
from .machine import NEEDED, Item
from .outcome import Outcome
from .selection import Seen

# Declares DataVolumes by the options of module data_volume, and waits until they are filled, or need a consumer.
Declare: t.TypeAlias = "t.Callable[[list[dict[str, t.Any]]], None]"


def create_targets(task: Task, outcome: Outcome, goal: Goal, looked: Looked, declare: Declare) -> Outcome:
    """Create the targets of the volumes that have yet to be moved, and wait until they are filled."""
    needed, method = outcome.unit.in_state(NEEDED), outcome.method or LIVE
    wanted = [target_options(goal, item.claim, item.volume, method, looked.settings) for item in needed]
    declare(wanted)
    if not task.check_mode:
        for item in needed:
            _keep_owner(task, outcome, item)
    return outcome._replace(changed=True)


def _keep_owner(task: Task, outcome: Outcome, item: Item) -> None:
    """A volume that is deleted with its machine stays so."""
    owners = [
        {key: value for key, value in owner.items() if key != "blockOwnerDeletion"}
        for owner in (item.volume or {}).get("metadata", {}).get("ownerReferences") or []
        if owner.get("kind") == VIRTUAL_MACHINE.kind
    ]
    if owners:
        body: Object = {"metadata": {"ownerReferences": owners}}
        task.connection.merge(DATA_VOLUME, item.target, outcome.unit.namespace, body, dry_run=False)


def mark_begun(task: Task, outcome: Outcome) -> Outcome:
    """From now on KubeVirt may write to the targets."""
    for item in outcome.unit.in_state(NEEDED):
        body: Object = {"metadata": {"annotations": {BEGUN: "true"}}}
        task.connection.merge(
            PERSISTENT_VOLUME_CLAIM, item.target, outcome.unit.namespace, body, dry_run=task.check_mode
        )
    return outcome


def unmark(task: Task, outcome: Outcome) -> None:
    """The targets have all data."""
    for claim in outcome.expected.values():
        body: Object = {"metadata": {"annotations": {BEGUN: None}}}
        task.connection.merge(PERSISTENT_VOLUME_CLAIM, claim, outcome.unit.namespace, body, dry_run=False)


def remove_stale(task: Task, outcome: Outcome, seen: Seen, deadline: float) -> Outcome:
    """Delete targets of earlier runs that must not be used again.

    An earlier copy of a machine that is off misses what the machine has written since. To a target of a live move that
    had begun KubeVirt may have written.
    """
    for item in outcome.unit.in_state(NEEDED):
        claim = seen.claims.get(item.target)
        volume = seen.volumes.get(item.target)
        is_copy = ((volume or {}).get("spec") or {}).get("source", {}).get("pvc") is not None
        stale = annotations_of(claim).get(BEGUN) or is_copy or outcome.method == OFFLINE
        if (claim is not None or volume is not None) and stale:
            delete(task, (outcome.unit.namespace, item.target), volume, claim, deadline)
            outcome = outcome._replace(changed=True)
    return outcome


def delete(task: Task, key: Key, volume: Object | None, claim: Object | None, deadline: float) -> None:
    """Delete a volume with its data. Raises CdiError when it is in use."""
    stored = volume if volume is not None else claim
    if stored is None:
        return
    resource = DATA_VOLUME if volume is not None else PERSISTENT_VOLUME_CLAIM
    users = UserReader(Reader(task.connection), task.warn).users(key)
    if users:
        raise CdiError(
            f"{resource.kind} {'/'.join(key)} was not deleted, because it is in use by {users.sentence}; "
            f"{users.remedy}, and run the task again."
        )
    _namespace, name = key_of(stored)
    task.connection.delete(resource, name, key[0], dry_run=task.check_mode, uid=stored["metadata"].get("uid"))
    if not task.check_mode:
        left = max(deadline - time.monotonic(), 1.0)
        for kind in (resource, PERSISTENT_VOLUME_CLAIM):
            wait_gone(task.connection, kind, key[0], name, left, deadline)
