# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volumes a task will create, which of them are clones, and which come before others. Pure rules."""

from __future__ import annotations

import typing as t

from .._cdi.names import CHECK_STATIC_VOLUME, PRE_POPULATED
from .._cdi.phases import phase_of
from .._clone.record import is_clone
from .._clone.source import source_reference
from .._kubernetes.objects import Key, annotations_of
from . import spec as rules
from .claim_adoption import is_terminating
from .drift import drift_of
from .resize import grown_to
from .volume import Outcomes, Volume, known

# CDI does not fill volumes with these annotations, or gives them a claim that already exists.
_NOT_CLONED = (PRE_POPULATED, CHECK_STATIC_VOLUME)


def sources_first(volumes: list[Volume]) -> tuple[list[Volume], list[Volume]]:
    """The volumes that can be created now, and clones with require_clone_method that have to wait for one of them."""
    created = {volume.key for volume in volumes if will_be_created(volume)}
    later = {
        volume.key
        for volume in volumes
        if volume.options["require_clone_method"] and volume.key in created and source_claim(volume) in created
    }
    if len(later) == len(volumes):
        return volumes, []  # They are each other's sources.
    return [volume for volume in volumes if volume.key not in later], [
        volume for volume in volumes if volume.key in later
    ]


def in_order(volumes: list[Volume]) -> t.Iterator[list[Volume]]:
    """Clones after what they are cloned from, so that none is created when that failed."""
    while volumes:
        keys = {volume.key for volume in volumes}
        first = [volume for volume in volumes if source_claim(volume) not in keys - {volume.key}] or volumes
        yield first
        done = {volume.key for volume in first}
        volumes = [volume for volume in volumes if volume.key not in done]


def source_claim(volume: Volume) -> Key | None:
    """The claim that the declared volume is cloned from."""
    reference = source_reference(rules.desired(volume.options)["spec"], volume.key[0], {})
    return reference[1:] if reference and reference[0] == "pvc" else None


def errors_of_skipped(outcomes: Outcomes, volumes: t.Iterable[Volume]) -> dict[Key, str]:
    """Why those of `volumes` are not created whose source is a volume that failed."""
    failed = {key: outcome.error for key, outcome in outcomes.items() if outcome.error and outcome.volume.present}
    return _errors_of_clones("was skipped", filter(will_be_created, volumes), failed)


def errors_of_stuck(outcomes: Outcomes, volumes: t.Iterable[Volume]) -> dict[Key, str]:
    """Why those of `volumes` are never filled whose source is a volume that failed before it was filled."""
    failed = {key: outcome.error for key, outcome in outcomes.items() if outcome.error and _is_unfilled(outcome.volume)}
    return _errors_of_clones("cannot be cloned", filter(_is_unfilled, volumes), failed)


def _errors_of_clones(what: str, volumes: t.Iterable[Volume], failed: t.Mapping[Key, str]) -> dict[Key, str]:
    """An error for each volume whose source is one of the `failed`, which are given with their errors."""
    sources = [(volume, source) for volume in volumes if (source := source_claim(volume)) and source != volume.key]
    return {
        volume.key: (
            f"DataVolume {volume.title} {what} because its source failed; fix the source first: {failed[source]}"
        )
        for volume, source in sources
        if source in failed
    }


def _is_unfilled(volume: Volume) -> bool:
    stored = volume.data_volume
    return stored is not None and phase_of(stored) != "Succeeded"


def clones_of(volumes: list[Volume]) -> list[Volume]:
    """The clones that the task will create, or has to create when they cannot grow."""

    def is_created(volume: Volume) -> bool:
        if not may_grow(volume) and not will_be_created(volume):
            return False
        wanted = rules.desired(volume.options)
        return is_clone(wanted, None) and not any(annotation in annotations_of(wanted) for annotation in _NOT_CLONED)

    return [volume for volume in volumes if is_created(volume)]


def will_be_created(volume: Volume) -> bool:
    if not volume.present:
        return False
    if (volume.data_volume is None and not volume.collected) or volume.terminating:
        claim = known(volume.claim)
        return claim is None or is_terminating(claim)
    drift = drift_of(volume)
    return bool(drift.lines) and drift.grows_to is None and volume.options["on_drift"] == "recreate"


def may_grow(volume: Volume) -> bool:
    """Whether it is recreated only if it cannot grow, which only the attempt shows."""
    if not volume.present or volume.terminating or volume.options["on_drift"] != "recreate":
        return False
    if volume.data_volume is None and not volume.collected:
        return False
    size, claim = drift_of(volume).grows_to, known(volume.claim)
    return size is not None and (claim is None or grown_to(claim) != size)


def with_source_users(error: str, users: t.Sequence[str]) -> str:
    """A clone's error, with the pods that used its source: CDI reports them in an event that another may hide."""
    hidden = [user for user in users if error and user.partition(" using ")[0] not in error]
    return error + (f" The source was in use by {', '.join(hidden)} when the task began." if hidden else "")


def method_mismatch(volume: Volume, method: str | None) -> str:
    """What is wrong when a clone that this task created is not by a method that was required, `` when nothing is."""
    required = volume.options["require_clone_method"]
    if not (required and method) or method in required:
        return ""
    return (
        f"DataVolume {volume.title} was cloned by {method}, and require_clone_method is {', '.join(required)}: "
        "the cluster changed after the prediction."
    )
