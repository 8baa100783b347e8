# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings one DataVolume to its declared state: creates, adopts, changes, grows, recreates or deletes it."""

from __future__ import annotations

import typing as t

from .._ansible.steps import in_steps
from .._cdi.names import BIND_IMMEDIATELY
from .._kubernetes.apply import patch
from .._kubernetes.compare import diff_of
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from . import spec as rules
from .drift import binds_now, paused_since, wanted_of
from .growth import refuse_growth
from .unfilled import never_filled
from .volume import NOT_READ, RECREATE, UNFILLED, NotRead, Outcome, Volume
from .writes import (
    Shared,
    create,
    grow_claim,
    raise_if_collected,
    read_claim,
    refuse_recreation,
    until_gone,
    write_volume,
)

# A volume that CDI works on changes all the time. It is read again this often before it is deleted as never filled.
_TRIES = 5


def ensure(shared: Shared, outcome: Outcome) -> Outcome:
    """Bring a volume to its declared state.

    Raises Collected when CDI deleted the DataVolume after it was read, because the volume had succeeded.
    """
    volume = outcome.volume
    stored = volume.data_volume
    if not volume.present:
        return in_steps(outcome, lambda so_far: _remove(shared, so_far))
    wanted = wanted_of(volume)
    if stored is None:
        return in_steps(outcome, lambda so_far: create(shared, so_far, wanted))
    drift = rules.spec_drift(wanted, stored)
    if volume.terminating:
        return in_steps(outcome, lambda so_far: _recreate(shared, so_far, "it was being deleted"))
    if not drift.lines:
        return _update(shared, outcome, wanted)
    return in_steps(outcome, lambda so_far: _settle(shared, so_far, wanted, drift))


def _update(shared: Shared, outcome: Outcome, wanted: Object) -> Outcome:
    """Change what CDI accepts changes of: metadata, and the stages of an import."""
    stored = t.cast(Object, outcome.volume.stored)
    binds = binds_now(wanted, stored)
    if rules.changes_stages(wanted, stored):
        outcome = outcome._replace(paused_at=paused_since(stored))

    def describe(so_far: Outcome) -> Outcome:
        return so_far._replace(drift=so_far.drift or ("metadata" if so_far.changed else "none"))

    def bind(so_far: Outcome) -> Outcome:
        claim = so_far.volume.claim
        if binds and isinstance(claim, dict):
            # CDI copies the annotations of a volume to its claim only when it creates the claim.
            bound = {"metadata": {"annotations": {BIND_IMMEDIATELY: "true"}}}
            patch(shared.task.connection, PERSISTENT_VOLUME_CLAIM, claim, bound, check_mode=shared.task.check_mode)
        return so_far

    return in_steps(outcome, lambda so_far: write_volume(shared, so_far, wanted), describe, bind)


def _settle(shared: Shared, outcome: Outcome, wanted: Object, drift: rules.Drift) -> Outcome:
    """Grow the volume, else recreate it. Raises CdiError when that is not allowed."""
    volume = outcome.volume
    try:
        grown = _grow(shared, outcome, wanted, drift)
    except ApiError:
        raise
    except CdiError:
        unfilled = _is_unfilled(shared, volume)
        if not unfilled and volume.options["on_drift"] != "recreate":
            raise
        cause = "it was never filled" if unfilled else "on_drift=recreate"
        return _recreate(shared, outcome, f"{cause}, and {'; '.join(drift.lines)}", unfilled)
    stored, target = t.cast(Object, volume.stored), "storage" if "storage" in wanted["spec"] else "pvc"
    kept = {**wanted["spec"][target], "resources": stored["spec"][target].get("resources") or {}}
    return _update(shared, grown, {**wanted, "spec": {**wanted["spec"], target: kept}})


def _is_unfilled(shared: Shared, volume: Volume) -> bool:
    """Whether the volume never held data, and no pod waits for it."""
    if isinstance(volume.claim, NotRead) or not never_filled(t.cast(Object, volume.stored), volume.claim):
        return False
    try:
        return not shared.users.users(volume.key).pods
    except CdiError:
        return False


def _grow(shared: Shared, outcome: Outcome, wanted: Object, drift: rules.Drift) -> Outcome:
    """Raises CdiError, before anything is written, when growing does not remove the difference or is not possible."""
    volume = outcome.volume
    if drift.grows_to is None:
        raise CdiError(
            f"DataVolume {volume.title} differs from the requested spec: {'; '.join(drift.lines)}; "
            "a DataVolume's spec is immutable: correct the options, or set on_drift=recreate to delete the volume "
            "with its data and create it again."
        )
    claim = None if isinstance(volume.claim, NotRead) else volume.claim
    refuse_growth(t.cast(Object, volume.stored), claim, drift.grows_to, volume.typed_size)
    return grow_claim(shared, outcome, wanted, drift.grows_to)._replace(grows=True)


def _recreate(shared: Shared, outcome: Outcome, reason: str, unfilled: bool = False) -> Outcome:
    """Delete the volume, unless it is being deleted already, and create it again."""
    volume = outcome.volume
    before, wanted = volume.data_volume, rules.desired(volume.options)
    refuse_recreation(shared, volume)

    def note_deletion(so_far: Outcome) -> Outcome:
        drift = UNFILLED if unfilled else RECREATE
        return so_far._replace(drift=drift, reason=f"deleted and not created again, because {reason}")

    def await_deletion(so_far: Outcome) -> Outcome:
        until_gone(shared, so_far.volume, DATA_VOLUME)
        return so_far.with_volume(stored=None, claim=NOT_READ)

    def create_again(so_far: Outcome) -> Outcome:
        if shared.task.check_mode:
            # A dry run cannot create the new volume while the old one exists.
            predicted = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}
            return so_far.with_volume(stored=predicted)._replace(changed=True)
        return create(shared, so_far.with_volume(claim=read_claim(shared, so_far.volume)), wanted)

    def note_creation(so_far: Outcome) -> Outcome:
        diff = diff_of(before, so_far.volume.data_volume)
        return so_far._replace(reason=f"recreated because {reason}", diff=diff)

    delete = _delete_unfilled if unfilled else _delete
    wait = () if shared.task.check_mode else (await_deletion,)
    return in_steps(outcome, lambda so_far: delete(shared, so_far), note_deletion, *wait, create_again, note_creation)


def _remove(shared: Shared, outcome: Outcome) -> Outcome:
    volume, keeps_claim, waits = outcome.volume, outcome.volume.options["keep_claim"], shared.task.params["wait"]
    stored = volume.data_volume
    if stored is None:
        return outcome
    phase = (stored.get("status") or {}).get("phase") or "Pending"
    if keeps_claim and not volume.terminating and phase != "Succeeded":
        raise CdiError(
            f"DataVolume {volume.title} is not filled (phase {phase}), so its claim holds nothing to keep; "
            "wait, or leave keep_claim out."
        )

    def await_deletion(so_far: Outcome) -> Outcome:
        if waits:
            until_gone(shared, volume, DATA_VOLUME)
        return so_far.with_volume(stored=None)

    def await_deletion_of_claim(so_far: Outcome) -> Outcome:
        if waits and not keeps_claim:
            until_gone(shared, volume, PERSISTENT_VOLUME_CLAIM)
        shared.task.progress.ends(volume.title, "deleted")
        return so_far

    return in_steps(outcome, lambda so_far: _delete(shared, so_far), await_deletion, await_deletion_of_claim)


def _delete(shared: Shared, outcome: Outcome) -> Outcome:
    """Request the volume's deletion, unless it is being deleted. Raises CdiError when its data are in use."""
    volume = outcome.volume
    if volume.terminating:
        return outcome
    if not volume.options["keep_claim"] and volume.options["when_in_use"] == "fail":
        shared.users.refuse(f"DataVolume {volume.title}", volume.key)
    return _send_deletion(shared, outcome)


def _delete_unfilled(shared: Shared, outcome: Outcome) -> Outcome:
    """Delete a volume that CDI may fill at this moment: only as it was read. It is read again if it has changed."""
    connection, (namespace, name), title = shared.task.connection, outcome.key, outcome.volume.title
    for _try in range(_TRIES):
        outcome = outcome.with_volume(claim=read_claim(shared, outcome.volume))
        stored, claim = connection.get(DATA_VOLUME, name, namespace), outcome.volume.claim
        if stored is None:
            return outcome
        if isinstance(claim, NotRead) or not never_filled(stored, claim):
            error = f"DataVolume {title} was filled while it was about to be recreated; run the task again."
            return outcome._replace(error=error)
        outcome = outcome.with_volume(stored=stored)
        try:
            return _send_deletion(shared, outcome, stored["metadata"]["resourceVersion"])
        except ApiError as exc:
            if exc.code != 409:
                raise
    error = f"DataVolume {title} changed {_TRIES} times while it was about to be recreated; run the task again."
    return outcome._replace(error=error)


def _send_deletion(shared: Shared, outcome: Outcome, version: str | None = None) -> Outcome:
    stored, (namespace, name) = t.cast(Object, outcome.volume.stored), outcome.key
    propagation = "Orphan" if outcome.volume.options["keep_claim"] else "Background"
    uid, check_mode = stored["metadata"]["uid"], shared.task.check_mode
    shared.task.connection.delete(
        DATA_VOLUME, name, namespace, dry_run=check_mode, propagation=propagation, uid=uid, version=version
    )
    raise_if_collected(shared, outcome)
    return outcome._replace(changed=True, diff=diff_of(stored, None))
