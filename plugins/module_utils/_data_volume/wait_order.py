# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for the volumes of a task namespace by namespace, first for those that others are cloned from."""

from __future__ import annotations

import typing as t

from .._ansible.batch import by_namespace
from .._ansible.module import Task
from .clone_order import errors_of_stuck, in_order
from .volume import Outcomes, Volume, with_errors


def wait_until_done(task: Task, outcomes: Outcomes, deadline: float) -> Outcomes:
    """Wait for all volumes that have not reached what is waited for, and for claims that grow."""
    for namespace, volumes in _sources_before_clones([outcome.volume for outcome in outcomes.values()]):
        outcomes = wait_filled(task, outcomes, volumes, deadline)
        some = [outcomes[volume.key] for volume in volumes]
        growing = [outcome for outcome in some if outcome.grows and not outcome.error]
        if growing:
            from .wait_growth import wait_for_growth

            outcomes = {**outcomes, **wait_for_growth(task, growing, namespace, deadline)}
    return outcomes


def wait_filled(task: Task, outcomes: Outcomes, volumes: t.Sequence[Volume], deadline: float) -> Outcomes:
    """Wait for these volumes to be filled, or for what else their options name."""
    for _namespace, some in _sources_before_clones(volumes):
        now = [outcomes[volume.key] for volume in some]
        outcomes = with_errors(outcomes, errors_of_stuck(outcomes, [outcome.volume for outcome in now]))
        waiting = [outcomes[outcome.key] for outcome in now if outcomes[outcome.key].is_awaited]
        if waiting:
            from .wait import wait_for_volumes

            outcomes = {**outcomes, **wait_for_volumes(task, waiting, deadline)}
    return outcomes


def _sources_before_clones(volumes: t.Sequence[Volume]) -> list[tuple[str, list[Volume]]]:
    """The volumes by their namespaces, those first that others are cloned from."""
    order = {volume.key[0]: number for number, some in enumerate(in_order(list(volumes))) for volume in some}
    return sorted(by_namespace(volumes), key=lambda group: order[group[0]])
