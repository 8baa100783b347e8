# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of all changes: look, write the templates, plug, wait, replace, wait, delete. Machines go side by side."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.module import Task
from .._ansible.steps import in_steps
from .gates import IMPERATIVE
from .looked import look
from .target import Outcome, Outcomes, expected, replacements, unfailed
from .waits import read_conditions, wait_for_claims, wait_for_disks, wait_until_running
from .writes import (
    delete_volumes,
    grow_claims,
    note_hot_changes,
    request_changes,
    request_replacements,
    write_template,
)

_PARALLEL_WRITES = 10


def apply_changes(task: Task, outcomes: Outcomes, deadline: float) -> Outcomes:
    """Make all machines as declared, those with an error excepted."""
    outcomes, looked = look(task, outcomes, deadline)
    waits = bool(task.params["wait"] and not task.check_mode)
    if not task.check_mode:
        outcomes = _only(outcomes, _is_requested, lambda some: wait_until_running(task, some, deadline))

    def write(outcome: Outcome) -> Outcome:
        plug = (lambda so_far: request_changes(task, so_far)) if _is_requested(outcome) else note_hot_changes
        return in_steps(
            outcome,
            lambda so_far: write_template(task, so_far),
            plug,
            lambda so_far: grow_claims(task, so_far),
        )

    outcomes = _each(outcomes, write)
    if not task.check_mode:
        # What replaces a volume is requested when that is detached, also by a task that does not wait.
        outcomes = _only(
            outcomes,
            lambda outcome: waits or bool(replacements(outcome)),
            lambda some: wait_for_disks(task, some, expected, deadline),
        )
        outcomes = _each(outcomes, lambda outcome: in_steps(outcome, lambda so_far: request_replacements(task, so_far)))
    if waits:
        outcomes = wait_for_disks(task, outcomes, lambda outcome: expected(outcome, replaced=True), deadline)
        outcomes = wait_for_claims(task, outcomes, deadline)
        outcomes = read_conditions(task, outcomes, deadline)
    users = looked.users.again()
    return _each(
        outcomes,
        lambda outcome: in_steps(outcome, lambda so_far: delete_volumes(task, so_far, users, deadline)),
    )


def _is_requested(outcome: Outcome) -> bool:
    """Whether KubeVirt changes the instance on request."""
    return outcome.way == IMPERATIVE and any(change.hot for change in outcome.plan)


def _only(outcomes: Outcomes, which: t.Callable[[Outcome], bool], then: t.Callable[[Outcomes], Outcomes]) -> Outcomes:
    some = {key: outcome for key, outcome in outcomes.items() if not outcome.error and which(outcome)}
    return {**outcomes, **then(some)} if some else outcomes


def _each(outcomes: Outcomes, step: t.Callable[[Outcome], Outcome]) -> Outcomes:
    """Carry out a step for each machine that has not failed and has something to do."""
    some = [outcome for outcome in unfailed(outcomes) if outcome.target.machine is not None and not outcome.is_settled]
    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        return {**outcomes, **{outcome.key: outcome for outcome in pool.map(step, some)}}
