# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at clones before they are made: whether they may be, whether CDI can, by which method, and what it will wait for."""

from __future__ import annotations

import time

from .._ansible.batch import guarded, guarded_all
from .._ansible.module import Task
from .._clone.permission import refusal
from .._clone.model import SNAPSHOT_IN_ERROR, Plan
from .._clone.prediction import Prediction, predict
from .._diagnosis.rules import LASTING
from .._kubernetes.client import Connection
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import VOLUME_SNAPSHOT
from .._kubernetes.verdict import REACHED, WAITING, Verdict
from .._kubernetes.wait import poll_until
from . import spec as rules
from .clone_order import Key, may_grow
from .reconcile import Item

# For so long a VolumeSnapshot has to be in error until that counts.
_SNAPSHOT_HEALS_SECONDS = LASTING * 2

# Of a clone whose facts cannot be read; that is its error.
_NO_PREDICTION = Prediction(Plan(None, ""), None)


def predict_and_check(
    task: Task, clones: list[Item], deadline: float, known: Reader | None = None
) -> dict[Key, Prediction]:
    """The plans of clones that the task will make, or has to when they cannot grow. One that is not as asked, or cannot succeed, is refused."""
    growing = {item.key for item in clones if may_grow(item)}
    wanted = [rules.desired(item.volume) for item in clones]
    unknown: list[Prediction | None] = [None for _item in clones]
    found = guarded_all(clones, lambda: _predict(task.connection, wanted, deadline, known), unknown)
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


def _predict(
    connection: Connection, volumes: list[Object], deadline: float, known: Reader | None
) -> list[Prediction | None]:
    """The plans. The snapshot controller tries again after an error, and takes it back when it gets on: that is waited for."""
    predictions = predict(Reader(connection, known), volumes)
    in_error = {
        found.source[1:]
        for found in predictions
        if found and found.source and (found.plan.error or "").startswith(SNAPSHOT_IN_ERROR)
    }
    if not in_error:
        return predictions

    def healed(bounded: Connection) -> Verdict:
        snapshots = Reader(bounded).objects(VOLUME_SNAPSHOT, in_error).values()
        return Verdict(WAITING if any((stored.get("status") or {}).get("error") for stored in snapshots) else REACHED)

    poll_until(connection, healed, min(deadline, time.monotonic() + _SNAPSHOT_HEALS_SECONDS))
    return predict(Reader(connection, known), volumes)


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
        why = (
            plan.reason
            if plan.method
            else " ".join([plan.reason, *(f"CDI waits for {what}." for what in plan.waits_for)])
        )
        raise CdiError(
            f"DataVolume {item.title} {would}, and require_clone_method is {', '.join(required)}: {why.rstrip('.')}{then}"
        )


def _refusal(task: Task, source: tuple[str, str, str]) -> str:
    try:
        return refusal(task.connection, *source)
    except ApiError:
        return ""  # Who may not even ask is told by CDI.
