# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the volumes of a task to their declared state: looks first, predicts clones, and writes in parallel."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.module import Task
from .._cdi.status import active
from .._cdi.users import UserReader
from .._kubernetes.objects import Key
from .._kubernetes.reader import Reader
from .._kubernetes.resources import CDI
from .clone_order import clones_of, errors_of_skipped, in_order, source_claim, sources_first
from .drift import is_settled, needs_release
from .preflight_volumes import LookedBefore, create_namespaces, look_before_writing
from .reconcile import ensure
from .volume import Outcome, Outcomes, Volume, unfailed, with_errors
from .wait_order import wait_filled
from .writes import Collected, Shared

if t.TYPE_CHECKING:
    from .._clone.prediction import Prediction


_PARALLEL_WRITES = 8


class Changes(t.NamedTuple):
    """What became of the volumes of a task, what was read before they were written, and the predictions of clones."""

    outcomes: Outcomes
    looked: LookedBefore
    predictions: t.Mapping[Key, Prediction]


def apply_changes(task: Task, outcomes: Outcomes, deadline: float) -> Changes:
    """Predict and write the volumes that need it, all at once where possible.

    A clone whose method can only be predicted when this task has created its source comes after that. `outcomes` are
    those of reading, with the claims of volumes that `needs_claim`.
    """
    outcomes, looked = look_before_writing(task, outcomes)
    release = _release(looked.reader) if any(map(needs_release, unfailed(outcomes))) else ""
    leaving = {key for key, outcome in outcomes.items() if not outcome.volume.present}
    shared = Shared(task, release, deadline, UserReader(Reader(task.connection), task.warn, leaving), {})
    predictions: dict[Key, Prediction] = {}
    rest = [volume for volume in unfailed(outcomes) if not is_settled(volume)]
    while rest:
        now, rest = sources_first(rest) if task.params["wait"] and not task.check_mode else (rest, [])
        outcomes = with_errors(outcomes, errors_of_skipped(outcomes, now))
        if clones := clones_of(_unfailed(outcomes, now)):
            from .clone_guard import predict_and_check

            guarded = predict_and_check(task, clones, deadline, looked.reader)
            predictions.update(guarded.predictions)
            outcomes = with_errors(outcomes, guarded.errors)
            shared = shared._replace(refusals={**shared.refusals, **guarded.refusals})
        outcomes = with_errors(outcomes, create_namespaces(looked, _unfailed(outcomes, now)))
        for some in in_order(now):
            outcomes = _written(shared, with_errors(outcomes, errors_of_skipped(outcomes, some)), some)
        wanted = {source_claim(volume) for volume in rest}
        outcomes = wait_filled(task, outcomes, [volume for volume in now if volume.key in wanted], deadline)
        shared = shared._replace(users=shared.users.again())
    return Changes(outcomes, looked, predictions)


def _unfailed(outcomes: Outcomes, volumes: t.Iterable[Volume]) -> list[Volume]:
    """Those of the volumes that no step has failed for."""
    return [volume for volume in volumes if not outcomes[volume.key].error]


def _release(reader: Reader) -> str:
    """CDI's release, empty when it may not be read: then only the API server refuses what it does not know."""
    return str((active(reader.try_read(CDI).items).get("status") or {}).get("observedVersion", ""))


def _written(shared: Shared, outcomes: Outcomes, volumes: list[Volume]) -> Outcomes:
    """Write these volumes in parallel, but for those that have failed."""
    some = [outcomes[volume.key] for volume in volumes if not outcomes[volume.key].error]
    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        return {**outcomes, **{outcome.key: outcome for outcome in pool.map(lambda each: _ensure(shared, each), some)}}


def _ensure(shared: Shared, outcome: Outcome) -> Outcome:
    """Bring a volume to its declared state, also when CDI has left only its claim."""
    if not outcome.volume.collected:
        try:
            return ensure(shared, outcome)
        except Collected as exc:
            outcome = exc.outcome
    from .reconcile_collected import ensure_collected

    return ensure_collected(shared, outcome)
