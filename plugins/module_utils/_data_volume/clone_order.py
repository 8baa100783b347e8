# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a task's volumes it will make, which of them are clones, and in which order clones and their sources are made. Pure rules."""

from __future__ import annotations

import typing as t

from .._cdi.names import PREFIX
from .._cdi.phases import phase_of
from .._clone.record import is_clone, source_reference
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object, annotations_of
from . import resize as growth
from . import spec as rules
from .reconcile import Item, drift_of

# Volumes with these are not filled by CDI, or get a claim that is there already.
_NOT_CLONED = (f"{PREFIX}storage.prePopulated", f"{PREFIX}storage.checkStaticVolume")

Key = tuple[str, str]


def check(volume: t.Mapping[str, t.Any]) -> None:
    source = volume["source"] or {}
    if (
        volume["require_clone_method"]
        and volume["state"] == "present"
        and not (volume["source_ref"] or source.get("pvc") or source.get("snapshot"))
    ):
        name = volume["name"]
        raise CdiError(
            f"DataVolume {name} is not a clone, so require_clone_method does not apply; remove it, or give source.pvc, source.snapshot or source_ref."
        )


def sources_first(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """The items that can be made now, and the clones with require_clone_method whose source another item has to make before."""
    made = {item.key for item in items if will_be_made(item)}
    later = {
        item.key
        for item in items
        if item.volume["require_clone_method"] and item.key in made and source_claim(item) in made
    }
    if len(later) == len(items):
        return items, []  # They are each other's sources.
    return [item for item in items if item.key not in later], [item for item in items if item.key in later]


def source_claim(item: Item) -> Key | None:
    """The claim that the declared volume is cloned from."""
    reference = source_reference(rules.desired(item.volume)["spec"], item.key[0], {})
    return reference[1:] if reference and reference[0] == "pvc" else None


def skip_without_source(items: list[Item], some: list[Item]) -> None:
    """Those of `some` that would be cloned from one of `items` that failed are not made: its error is theirs."""
    failed = {item.key: item for item in items if item.error and item.present}
    for item in some:
        source = failed.get(source_claim(item) or item.key)
        if source is not None and source is not item and not item.error and will_be_made(item):
            item.error = (
                f"DataVolume {item.title} was skipped because its source failed; fix the source first: {source.error}"
            )


def fail_without_source(items: list[Item], some: list[Item]) -> None:
    """Those of `some` that wait for one of `items` that failed before it was filled do not get anywhere: its error is theirs."""
    failed = {item.key: item for item in items if item.error and item.stored is not None and not is_filled(item.stored)}
    for item in some:
        source = failed.get(source_claim(item) or item.key)
        if (
            source is not None
            and source is not item
            and not item.error
            and item.stored is not None
            and not is_filled(item.stored)
        ):
            item.error = f"DataVolume {item.title} cannot be cloned because its source failed; fix the source first: {source.error}"


def is_filled(stored: Object) -> bool:
    return phase_of(stored) == "Succeeded"


def clones_of(items: list[Item]) -> list[Item]:
    """The clones that the task will make, or has to make when they cannot grow."""

    def is_made(item: Item) -> bool:
        if not may_grow(item) and not will_be_made(item):
            return False
        wanted = rules.desired(item.volume)
        return is_clone(wanted, None) and not any(annotation in annotations_of(wanted) for annotation in _NOT_CLONED)

    return [item for item in items if is_made(item)]


def will_be_made(item: Item) -> bool:
    if not item.present or item.error:
        return False
    if (item.stored is None and not item.collected) or item.terminating:
        return item.claim is None or rules.is_terminating(item.claim)
    drift = drift_of(item)
    return bool(drift.lines) and drift.grows_to is None and item.volume["on_drift"] == "recreate"


def may_grow(item: Item) -> bool:
    """Whether it is made anew only if it cannot grow, which its claim tells when it is asked to."""
    if not item.present or item.error or item.terminating or item.volume["on_drift"] != "recreate":
        return False
    if item.stored is None and not item.collected:
        return False
    size = drift_of(item).grows_to
    return size is not None and (item.claim is None or growth.grown_to(item.claim) != size)


def with_source_users(item: Item, users: t.Sequence[str]) -> str:
    """The item's error, with the pods that used the source: CDI tells of them in an event that another may hide."""
    hidden = [user for user in users if item.error and user.partition(" using ")[0] not in item.error]
    return item.error + (f" The source was in use by {', '.join(hidden)} when the task began." if hidden else "")


def method_mismatch(item: Item, method: str | None) -> str:
    """What is wrong when a clone that this task made is not by the method that was required, `` when nothing is."""
    required = item.volume["require_clone_method"]
    if not (required and item.changed and method) or method in required:
        return ""
    return f"DataVolume {item.title} was cloned by {method}, and require_clone_method is {', '.join(required)}: the cluster changed after the prediction."
