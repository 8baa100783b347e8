# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task does with a unit, and what its result says about each volume. Frozen. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Key, annotations_of
from .goal import LIVE, MOVED_FROM
from .growth import Growth
from .machine import MOVING, NEEDED, Item, Unit

STARTED, MOVED, DELETED, ABORTED = "started", "moved", "source_deleted", "aborted"


class Outcome(t.NamedTuple):
    """What became of a unit. `done`: what happened to volumes, by the names of their claims. `expected`: the claim that
    each disk shall run on, where that is not so yet. `growth`: the samples of targets, if they were requested. `ended`:
    the domain runs on them."""

    unit: Unit
    method: str | None = None
    reason: str = ""
    changed: bool = False
    done: t.Mapping[str, str] = {}
    expected: t.Mapping[str, str] = {}
    allocations: t.Mapping[str, t.Mapping[str, t.Any]] = {}
    growth: t.Mapping[str, Growth] = {}
    migration: t.Mapping[str, t.Any] | None = None
    diff: t.Mapping[str, t.Any] = {}
    ended: bool = False
    error: str = ""

    @property
    def key(self) -> Key:
        return self.unit.key

    def did(self, name: str, what: str) -> Outcome:
        return self._replace(changed=True, done={**self.done, name: what})


def results(outcome: Outcome) -> list[dict[str, t.Any]]:
    return [_result(outcome, item) for item in outcome.unit.items]


def _result(outcome: Outcome, item: Item) -> dict[str, t.Any]:
    unit = outcome.unit
    aborted = outcome.done.get(item.name) == ABORTED
    moves = item.state in (NEEDED, MOVING)
    source = item.name if item.state == NEEDED else annotations_of(item.claim).get(MOVED_FROM) or item.name
    allocation, growth = outcome.allocations.get(item.target), outcome.growth.get(item.target, Growth())
    return {
        "name": source,
        "namespace": unit.namespace,
        "target": source if aborted else item.target,
        "machine": unit.machine_name or None,
        "disk": item.disk or None,
        "state": _state(outcome, item, aborted),
        "method": outcome.method if moves and not aborted else None,
        "reason": outcome.reason if moves and not aborted else "",
        "differs": list(item.lacks),
        "action": outcome.done.get(item.name),
        "changed": item.name in outcome.done or (outcome.changed and item.state == NEEDED),
        "migration": dict(outcome.migration) if outcome.migration and outcome.method == LIVE else None,
        "allocation": dict(allocation) if allocation else None,
        "growth": list(growth.samples),
        "not_sampled": growth.missing,
        **({"error": outcome.error} if outcome.error else {}),
    }


def _state(outcome: Outcome, item: Item, aborted: bool) -> str:
    action = outcome.done.get(item.name)
    if aborted:
        return "aborted"
    if action in (MOVED, DELETED) or (outcome.ended and item.state == MOVING):
        return "finished"
    if action == STARTED:
        return "started"
    return {"done": "finished", "moving": "started", "needed": "needed", "interrupted": "interrupted"}[item.state]
