# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for claims that grow, until the storage has given them their size."""

from __future__ import annotations

import typing as t

from .._ansible.module import Task
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import PERSISTENT_VOLUME_CLAIM
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._kubernetes.wait import wait_for
from .growth import judge_growth
from .volume import Outcome, Outcomes, known


def wait_for_growth(task: Task, outcomes: t.Iterable[Outcome], namespace: str, deadline: float) -> Outcomes:
    """Wait by one watch for volumes of a namespace that grow. Returns those that had yet to grow, with their claims."""
    growing = {
        outcome.key[1]: outcome for outcome in outcomes if judge_growth(known(outcome.volume.claim)).state != REACHED
    }
    if not growing:
        return {}

    def show(name: str, _claim: Object | None, verdict: Verdict) -> None:
        title = growing[name].volume.title
        if verdict.state == WAITING:
            task.progress.waits(title, "growing", None, verdict.reason)
        else:
            task.progress.ends(title, "grown")

    try:
        ended = wait_for(
            task.connection,
            PERSISTENT_VOLUME_CLAIM,
            namespace,
            list(growing),
            lambda _name, claim: judge_growth(claim),
            deadline,
            observe=show,
        )
    except CdiError as exc:
        return {outcome.key: outcome._replace(error=str(exc)) for outcome in growing.values()}
    results: Outcomes = {}
    for name, (verdict, claim) in ended.items():
        outcome = growing[name].with_volume(claim=claim)
        if verdict.state != REACHED:
            late = f"has not ended after {task.params['wait_timeout']} s"
            how = "failed" if verdict.state == FAILED else late
            volume = outcome.volume
            error = f"Growth of DataVolume {volume.title} to {volume.typed_size} {how}: {verdict.reason}."
            outcome = outcome._replace(error=error)
        results[outcome.key] = outcome
    return results
