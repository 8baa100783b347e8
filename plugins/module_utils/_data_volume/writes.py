# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of every change of a volume. A step sends at most one write, and returns the outcome so far."""

from __future__ import annotations

import typing as t

from .._ansible.module import Task
from .._ansible.steps import in_steps
from .._cdi.status import release as release_numbers
from .._cdi.users import UserReader
from .._kubernetes.apply import Change, patch, write
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Key, Object
from .._kubernetes.resources import CDI_CONFIG, CONFIG_NAME, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, Resource
from .._storage.scratch import Settings, target_bytes
from . import resize as growth
from .claim_adoption import is_terminating, refuse_claim
from .collected import is_collected, will_be_collected
from .validation import needs_newer
from .volume import NOT_READ, Outcome, Volume, known


class Shared(t.NamedTuple):
    """What all volumes of a task share. `release` is CDI's, empty when it does not matter or is not known.

    `refusals`: why volumes must not be recreated, by their keys.
    """

    task: Task
    release: str
    deadline: float
    users: UserReader
    refusals: t.Mapping[Key, str]


class Collected(Exception):
    """CDI deleted the DataVolume, which had succeeded, after it was read: `outcome` has the claim that it left."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.volume.title)
        self.outcome = outcome


def write_volume(shared: Shared, outcome: Outcome, wanted: Object) -> Outcome:
    """Create the DataVolume, or change what CDI accepts changes of."""
    task, volume = shared.task, outcome.volume
    try:
        change = write(
            task.connection,
            DATA_VOLUME,
            wanted,
            volume.data_volume,
            check_mode=task.check_mode,
            force=task.params["force_conflicts"],
        )
    except ApiError:
        raise_if_collected(shared, outcome)
        raise
    merged = {side: {**outcome.diff.get(side, {}), **value} for side, value in change.diff.items()}
    # CDI may have created the claim that did not exist before.
    claim = NOT_READ if change.changed and volume.claim is None else volume.claim
    return outcome._replace(
        volume=volume._replace(stored=change.object, claim=claim),
        changed=outcome.changed or change.changed,
        diff=merged or outcome.diff,
    )


def create(shared: Shared, outcome: Outcome, wanted: Object) -> Outcome:
    """Create the DataVolume, also for a claim that it may adopt. A claim that is being deleted is awaited."""
    refuse_newer(shared, outcome.volume)
    volume, drift = outcome.volume, "missing"
    claim = known(volume.claim)
    if claim is not None:
        if is_terminating(claim):
            # CDI would report the old volume's claim as a conflict.
            until_gone(shared, volume, PERSISTENT_VOLUME_CLAIM)
        else:
            refuse_claim(volume.options, claim)
            drift = "adoptable"
    outcome = outcome._replace(drift=outcome.drift or drift)
    return in_steps(outcome, lambda so_far: write_volume(shared, so_far, wanted))


def refuse_newer(shared: Shared, volume: Volume) -> None:
    """Raises CdiError when an option requires a newer release of CDI."""
    reason = needs_newer(volume.options, shared.release)
    if reason:
        raise CdiError(f"DataVolume {volume.title} cannot be created: {reason}.")


def refuse_recreation(shared: Shared, volume: Volume) -> None:
    """Raises CdiError when the volume could not be created again."""
    refusal = shared.refusals.get(volume.key)
    if refusal:
        raise CdiError(refusal)
    refuse_newer(shared, volume)


def grow_claim(shared: Shared, outcome: Outcome, wanted: Object, size: int) -> Outcome:
    """Make the claim as large as CDI would for a volume of `size` bytes: with the overhead of file systems."""
    task, volume, claim = shared.task, outcome.volume, t.cast(Object, outcome.volume.claim)
    if growth.grown_to(claim) == size:
        return outcome
    class_name, block = claim["spec"].get("storageClassName"), claim["spec"].get("volumeMode") == "Block"
    settings = Settings(task.connection.get(CDI_CONFIG, CONFIG_NAME) or {}, release_numbers(shared.release))
    needed = target_bytes(settings, wanted["spec"], class_name, block) or 0
    if growth.requested_bytes(claim) >= needed:
        return outcome
    change = request_growth(
        task,
        claim,
        str(needed),
        volume.typed_size,
        f"DataVolume {volume.title}",
        ", or set on_drift=recreate to delete the volume with its data and create it again",
    )
    diff = {side: {"claim": value} for side, value in change.diff.items()}
    return outcome.with_volume(claim=change.object)._replace(drift="growable", changed=True, diff=diff)


def request_growth(task: Task, claim: Object, size: str, grown_to: str | None, title: str, instead: str = "") -> Change:
    """Request `size` for a claim, and record what its volume grows to. Raises CdiError when its class does not allow
    it: `title` is what grows, and `instead` what else can be done."""
    values: Object = {"spec": {"resources": {"requests": {"storage": size}}}}
    if grown_to:
        values["metadata"] = {"annotations": {growth.GROWN_TO: grown_to}}
    try:
        return patch(task.connection, PERSISTENT_VOLUME_CLAIM, claim, values, check_mode=task.check_mode)
    except ApiError as exc:
        if "can be resized" not in str(exc):
            raise
        raise CdiError(
            f"{title} cannot grow to {grown_to or size}: its storage class {claim['spec'].get('storageClassName')!r} "
            f"does not allow it; set allowVolumeExpansion on the class if its driver can{instead}."
        ) from exc


def raise_if_collected(shared: Shared, outcome: Outcome) -> None:
    """Raises Collected when CDI has deleted the volume. One request for a volume that CDI collects, none for others."""
    if not will_be_collected(outcome.volume.data_volume):
        return
    try:
        claim = read_claim(shared, outcome.volume)
    except ApiError:
        return  # What happened before counts.
    if is_collected(claim):
        raise Collected(outcome.with_volume(stored=None, claim=claim))


def read_claim(shared: Shared, volume: Volume) -> Object | None:
    namespace, name = volume.key
    return shared.task.connection.get(PERSISTENT_VOLUME_CLAIM, name, namespace)


def until_gone(shared: Shared, volume: Volume, resource: Resource) -> None:
    """Wait until the object of the volume's name is deleted. Check mode deletes nothing, and does not wait."""
    if shared.task.check_mode:
        return
    from .._kubernetes.wait import wait_gone

    namespace, name = volume.key
    shared.task.progress.waits(volume.title, f"{resource.kind} is being deleted")
    timeout = shared.task.params["wait_timeout"]
    wait_gone(shared.task.connection, resource, namespace, name, timeout, shared.deadline)
