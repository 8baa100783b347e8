# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Looks at clones before they are made: whether they may be, whether CDI can, by which method, and what it will wait for."""

from __future__ import annotations

import time
import typing as t

from . import _data_volume as rules
from . import _data_volume_growth as growth
from ._clone import PREFIX, annotations, is_clone
from ._clone_facts import source_reference
from ._clone_permission import refusal
from ._clone_plan import SNAPSHOT_IN_ERROR, Plan
from ._clone_prediction import Prediction, Reader, predict
from ._connection import Connection, Object
from ._data_volume_ensure import Item, drift_of
from ._diagnosis_rules import LASTING
from ._errors import ApiError, CdiError
from ._items import guarded, guarded_all
from ._module import Task
from ._resources import VOLUME_SNAPSHOT
from ._verdict import REACHED, WAITING, Verdict
from ._wait import poll_until

# Volumes with these are not filled by CDI, or get a claim that is there already.
_NOT_CLONED = (f"{PREFIX}storage.prePopulated", f"{PREFIX}storage.checkStaticVolume")

# For so long a VolumeSnapshot has to be in error until that counts.
_SNAPSHOT_HEALS_SECONDS = LASTING * 2

# Of a clone whose facts cannot be read; that is its error.
_NO_PREDICTION = Prediction(Plan(None, ""), None)

Key = t.Tuple[str, str]


def check(volume: t.Mapping[str, t.Any]) -> None:
    source = volume["source"] or {}
    if volume["require_clone_method"] and volume["state"] == "present" and not (volume["source_ref"] or source.get("pvc") or source.get("snapshot")):
        name = volume["name"]
        raise CdiError(
            f"DataVolume {name} is not a clone, so require_clone_method does not apply; remove it, or give source.pvc, source.snapshot or source_ref."
        )


def sources_first(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """The items that can be made now, and the clones with require_clone_method whose source another item has to make before."""
    made = {item.key for item in items if will_be_made(item)}
    later = {item.key for item in items if item.volume["require_clone_method"] and item.key in made and source_claim(item) in made}
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
            item.error = f"DataVolume {item.title} was skipped because its source failed; fix the source first: {source.error}"


def fail_without_source(items: list[Item], some: list[Item]) -> None:
    """Those of `some` that wait for one of `items` that failed before it was filled do not get anywhere: its error is theirs."""
    failed = {item.key: item for item in items if item.error and item.stored is not None and not is_filled(item.stored)}
    for item in some:
        source = failed.get(source_claim(item) or item.key)
        if source is not None and source is not item and not item.error and item.stored is not None and not is_filled(item.stored):
            item.error = f"DataVolume {item.title} cannot be cloned because its source failed; fix the source first: {source.error}"


def is_filled(stored: Object) -> bool:
    return (stored.get("status") or {}).get("phase") == "Succeeded"


def predict_and_check(task: Task, items: list[Item], deadline: float, known: Reader | None = None) -> dict[Key, Prediction]:
    """The plans of the clones that the task will make, or has to when they cannot grow. One that is not as asked, or cannot succeed, is refused."""
    growing = {item.key for item in items if _may_grow(item)}
    wanted = {item.key: rules.desired(item.volume) for item in items if item.key in growing or will_be_made(item)}
    clones = [item for item in items if item.key in wanted and is_clone(wanted[item.key], None) and not _is_filled_otherwise(wanted[item.key])]
    unknown: list[Prediction | None] = [None for _item in clones]
    found = guarded_all(clones, lambda: _predict(task.connection, [wanted[item.key] for item in clones], deadline, known), unknown)
    predictions = dict(zip((item.key for item in clones), found))
    refusals: dict[tuple[str, str, str], str] = {}
    for item in clones:
        prediction = predictions[item.key] or _NO_PREDICTION
        guarded(item, lambda item=item, prediction=prediction: _refuse(task, item, prediction, refusals))
        if item.key in growing:
            item.error, item.refusal = "", item.error
            continue
        if prediction.users and not item.error:
            task.warn(
                f"DataVolume {item.title}: CDI does not begin to clone while the source is in use by {', '.join(prediction.users)}; "
                "stop what uses it, or clone from a VolumeSnapshot."
            )
    return {key: prediction for key, prediction in predictions.items() if prediction}


def _predict(connection: Connection, volumes: list[Object], deadline: float, known: Reader | None) -> list[Prediction | None]:
    """The plans. The snapshot controller tries again after an error, and takes it back when it gets on: that is waited for."""
    predictions = predict(Reader(connection, known), volumes)
    in_error = {found.source[1:] for found in predictions if found and found.source and (found.plan.error or "").startswith(SNAPSHOT_IN_ERROR)}
    if not in_error:
        return predictions

    def healed(bounded: Connection) -> Verdict:
        snapshots = Reader(bounded).objects(VOLUME_SNAPSHOT, in_error).values()
        return Verdict(WAITING if any((stored.get("status") or {}).get("error") for stored in snapshots) else REACHED)

    poll_until(connection, healed, min(deadline, time.monotonic() + _SNAPSHOT_HEALS_SECONDS))
    return predict(Reader(connection, known), volumes)


def will_be_made(item: Item) -> bool:
    if not item.present or item.error:
        return False
    if (item.stored is None and not item.collected) or item.terminating:
        return item.claim is None or rules.is_terminating(item.claim)
    drift = drift_of(item)
    return bool(drift.lines) and drift.grows_to is None and item.volume["on_drift"] == "recreate"


def _may_grow(item: Item) -> bool:
    """Whether it is made anew only if it cannot grow, which its claim tells when it is asked to."""
    if not item.present or item.error or item.terminating or item.volume["on_drift"] != "recreate":
        return False
    if item.stored is None and not item.collected:
        return False
    size = drift_of(item).grows_to
    return size is not None and (item.claim is None or growth.grown_to(item.claim) != size)


def _is_filled_otherwise(wanted: dict[str, t.Any]) -> bool:
    return any(annotation in annotations(wanted) for annotation in _NOT_CLONED)


def _refuse(task: Task, item: Item, prediction: Prediction, refusals: dict[tuple[str, str, str], str]) -> None:
    plan, source = prediction.plan, prediction.source
    if source and source[1] != item.key[0]:
        if source not in refusals:
            refusals[source] = _refusal(task, source)
        if refusals[source]:
            raise CdiError(f"DataVolume {item.title} cannot be made: {refusals[source]}.")
    then = f"; {plan.remedy}." if plan.remedy else "."
    if plan.error:
        what = f"{source[0]} {source[1]}/{source[2]}" if source else "its source"
        raise CdiError(f"DataVolume {item.title} cannot be cloned from {what}: {plan.error}{then}")
    required = item.volume["require_clone_method"]
    if required and prediction.absent:
        if task.check_mode:
            return  # An earlier task, or this one, may be about to make the source.
        then = "; make the source by a task before."
    if required and plan.method not in required:
        would = f"would be cloned by {plan.method}" if plan.method else "has no predictable clone method"
        why = plan.reason if plan.method else " ".join([plan.reason, *(f"CDI waits for {what}." for what in plan.waits_for)])
        raise CdiError(f"DataVolume {item.title} {would}, and require_clone_method is {', '.join(required)}: {why.rstrip('.')}{then}")


def _refusal(task: Task, source: tuple[str, str, str]) -> str:
    try:
        return refusal(task.connection, *source)
    except ApiError:
        return ""  # Who may not even ask is told by CDI.


def with_source_users(item: Item, prediction: Prediction | None) -> str:
    """The item's error, with the pods that used the source: CDI tells of them in an event that another may hide."""
    users = prediction.users if prediction and item.error else ()
    hidden = [user for user in users if user not in item.error]
    return item.error + (f" The source was in use by {', '.join(hidden)} when the task began." if hidden else "")


def method_mismatch(item: Item, method: str | None) -> str:
    """What is wrong when a clone that this task made is not by the method that was required, `` when nothing is."""
    required = item.volume["require_clone_method"]
    if not (required and item.changed and method) or method in required:
        return ""
    return f"DataVolume {item.title} was cloned by {method}, and require_clone_method is {', '.join(required)}: the cluster changed after the prediction."
