# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at clones before they are created: may the user clone, can CDI, by which method, and what will it wait for?"""

from __future__ import annotations

import time
import typing as t

from .._ansible.module import Task
from .._clone.model import SNAPSHOT_IN_ERROR, Plan
from .._clone.permission import refusal
from .._clone.prediction import Prediction, predict
from .._diagnosis.rules import LASTING
from .._kubernetes.client import Connection
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Key, Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import VOLUME_SNAPSHOT
from .._kubernetes.verdict import REACHED, WAITING, Verdict
from .._kubernetes.wait import poll_until
from . import spec as rules
from .clone_order import may_grow
from .volume import Volume

# A VolumeSnapshot has to be in error for this long before that counts.
_SNAPSHOT_HEALS_SECONDS = LASTING * 2

# Of a clone whose facts cannot be read; that is its error.
_NO_PREDICTION = Prediction(Plan(None, ""), None)

_Source = tuple[str, str, str]


class Guarded(t.NamedTuple):
    """What is known of clones before they are created.

    `refusals`: why volumes that may grow must not be recreated if they cannot.
    """

    predictions: t.Mapping[Key, Prediction] = {}
    errors: t.Mapping[Key, str] = {}
    refusals: t.Mapping[Key, str] = {}


def predict_and_check(task: Task, clones: t.Sequence[Volume], deadline: float, known: Reader | None = None) -> Guarded:
    """The plans of clones that the task will create, or may have to, and why some must not be created."""
    wanted = [rules.desired(volume.options) for volume in clones]
    unread = ""
    try:
        found = _predict(task.connection, wanted, deadline, known)
    except CdiError as exc:
        found, unread = [None for _volume in clones], str(exc)
    permission: dict[_Source, str] = {}
    predictions: dict[Key, Prediction] = {}
    errors: dict[Key, str] = {}
    refusals: dict[Key, str] = {}
    for volume, prediction in zip(clones, found, strict=True):
        if prediction:
            predictions[volume.key] = prediction
        problem = unread or _refusal_of(task, volume, prediction or _NO_PREDICTION, permission)
        if may_grow(volume):
            refusals[volume.key] = problem
            continue
        errors[volume.key] = problem
        if prediction and prediction.users and not problem:
            task.warn(
                f"DataVolume {volume.title}: CDI does not begin to clone while the source is in use by "
                f"{', '.join(prediction.users)}; stop what uses it, or clone from a VolumeSnapshot."
            )
    return Guarded(predictions, errors, refusals)


def _predict(
    connection: Connection, volumes: list[Object], deadline: float, known: Reader | None
) -> list[Prediction | None]:
    """The plans. A VolumeSnapshot in error gets some time: the snapshot controller tries again."""
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


def _refusal_of(task: Task, volume: Volume, prediction: Prediction, permission: dict[_Source, str]) -> str:
    """Why a clone must not be created, `` when it may. `permission` keeps what was read for other clones."""
    plan, source = prediction.plan, prediction.source
    if source and source[1] != volume.key[0]:
        if source not in permission:
            permission[source] = _permission_problem(task.connection, source)
        if permission[source]:
            return f"DataVolume {volume.title} cannot be created: {permission[source]}."
    then = f"; {plan.remedy}." if plan.remedy else "."
    if plan.error:
        what = f"{source[0]} {source[1]}/{source[2]}" if source else "its source"
        return f"DataVolume {volume.title} cannot be cloned from {what}: {plan.error}{then}"
    required = volume.options["require_clone_method"]
    if required and prediction.absent:
        if task.check_mode:
            return ""  # An earlier task, or this one, may be about to create the source.
        then = "; create the source in an earlier task."
    if not required or plan.method in required:
        return ""
    if plan.method:
        would, why = f"would be cloned by {plan.method}", plan.reason
    else:
        would = "has no predictable clone method"
        why = " ".join([plan.reason, *(f"CDI waits for {what}." for what in plan.waits_for)])
    return (
        f"DataVolume {volume.title} {would}, and require_clone_method is {', '.join(required)}: {why.rstrip('.')}{then}"
    )


def _permission_problem(connection: Connection, source: _Source) -> str:
    try:
        return refusal(connection, *source)
    except ApiError:
        return ""  # Who may not even ask is refused by CDI.
