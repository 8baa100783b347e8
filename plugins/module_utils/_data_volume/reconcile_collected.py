# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a volume to its declared state of which CDI left only the claim."""

from __future__ import annotations

import typing as t

from .._ansible.steps import in_steps
from .._kubernetes.compare import diff_of
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from . import spec as rules
from .drift import drift_of
from .volume import RECREATE, Outcome
from .writes import Shared, create, grow_claim, refuse_recreation, until_gone


def ensure_collected(shared: Shared, outcome: Outcome) -> Outcome:
    """Bring a collected volume to its declared state: its claim is what is left of it."""
    if outcome.volume.present:
        return in_steps(outcome, lambda so_far: _settle(shared, so_far))
    if outcome.volume.options["keep_claim"]:
        return outcome
    return _delete_claim(shared, outcome, wait=shared.task.params["wait"])


def _settle(shared: Shared, outcome: Outcome) -> Outcome:
    volume, drift = outcome.volume, drift_of(outcome.volume)
    recreates = volume.options["on_drift"] == "recreate"
    if not drift.lines:
        return outcome._replace(drift="none")
    if drift.grows_to is not None:
        try:
            grown = grow_claim(shared, outcome, rules.desired(volume.options), drift.grows_to)
            return grown._replace(grows=True, drift=grown.drift or "none")
        except ApiError:
            raise
        except CdiError:
            if not recreates:
                raise
    elif not recreates:
        raise CdiError(
            f"DataVolume {volume.title} was deleted by CDI after it had succeeded, and the claim that it left differs "
            f"from the requested spec: {'; '.join(drift.lines)}; correct the options, or set on_drift=recreate to "
            "delete the claim with its data and create the volume again."
        )
    return _recreate(shared, outcome, f"on_drift=recreate, and {'; '.join(drift.lines)}")


def _recreate(shared: Shared, outcome: Outcome, reason: str) -> Outcome:
    volume = outcome.volume
    before, wanted = t.cast(Object, volume.claim), rules.desired(volume.options)
    refuse_recreation(shared, volume)

    def create_again(so_far: Outcome) -> Outcome:
        so_far = so_far._replace(drift=RECREATE, reason=f"deleted and not created again, because {reason}")
        return in_steps(so_far, send, note_creation)

    def send(so_far: Outcome) -> Outcome:
        if shared.task.check_mode:
            predicted = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}
            return so_far.with_volume(stored=predicted)
        return create(shared, so_far, wanted)

    def note_creation(so_far: Outcome) -> Outcome:
        diff = diff_of(before, so_far.volume.data_volume)
        return so_far._replace(reason=f"recreated because {reason}", diff=diff)

    return in_steps(_delete_claim(shared, outcome, wait=True), create_again)


def _delete_claim(shared: Shared, outcome: Outcome, *, wait: bool) -> Outcome:
    """Delete the claim of a collected volume, with its data."""
    volume, claim = outcome.volume, t.cast(Object, outcome.volume.claim)

    def send(so_far: Outcome) -> Outcome:
        owners = [owner for owner in claim["metadata"].get("ownerReferences") or [] if owner.get("controller")]
        if owners:
            raise CdiError(
                f"PersistentVolumeClaim {volume.title} belongs to {owners[0]['kind']} {owners[0]['name']}; "
                "delete that, or remove the volume from it."
            )
        if volume.options["when_in_use"] == "fail":
            shared.users.refuse(f"PersistentVolumeClaim {volume.title}", volume.key)
        namespace, name = volume.key
        uid, check_mode = claim["metadata"]["uid"], shared.task.check_mode
        shared.task.connection.delete(PERSISTENT_VOLUME_CLAIM, name, namespace, dry_run=check_mode, uid=uid)
        return so_far.with_volume(claim=None)._replace(changed=True, diff=diff_of(claim, None))

    def await_deletion(so_far: Outcome) -> Outcome:
        if wait:
            until_gone(shared, volume, PERSISTENT_VOLUME_CLAIM)
        return so_far

    return in_steps(outcome, send, await_deletion)
