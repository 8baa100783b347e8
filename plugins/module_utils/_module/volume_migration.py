# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves volumes to another class, mode, size or preallocation: four LISTs if all are there already."""

from __future__ import annotations

import time
import typing as t

from .._ansible.argspec import PROGRESS, ArgumentSpec, wait_spec
from .._ansible.batch import default_namespace
from .._ansible.module import Task
from .._kubernetes.errors import CdiError
from .._migration.goal import Goal, goal_of
from .._migration.looked import labelled, read
from .._migration.outcome import Outcome, results
from .._migration.selection import select

_TO = {
    "storage_class_name": {"type": "str"},
    "volume_mode": {"type": "str", "choices": ["Filesystem", "Block"]},
    "access_modes": {
        "type": "list",
        "elements": "str",
        "choices": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"],
    },
    "preallocation": {"type": "bool"},
    "size": {"type": "str"},
}
SPEC = (
    ArgumentSpec(
        {
            "namespace": {"type": "str"},
            "names": {"type": "list", "elements": "str"},
            "machines": {"type": "list", "elements": "str"},
            "label_selectors": {"type": "list", "elements": "str"},
            "to": {"type": "dict", "options": _TO},
            "method": {"type": "str", "choices": ["auto", "live", "offline"], "default": "auto"},
            "parallel": {"type": "int", "default": 2},
            "sample_growth": {"type": "bool", "default": False},
            "when_done": {"type": "str", "choices": ["keep_source", "delete_source"], "default": "keep_source"},
            "state": {"type": "str", "choices": ["present", "finished", "aborted"], "default": "finished"},
        },
        required_one_of=[("names", "machines", "label_selectors")],
        required_if=[("state", "present", ("to",)), ("state", "finished", ("to",))],
    )
    + wait_spec(3600)
    + PROGRESS
)


def check(params: dict[str, t.Any]) -> None:
    if params["state"] != "aborted" and goal_of(params["to"]) == Goal():
        raise CdiError("to is empty, so that nothing would change; set at least one of its options.")
    if params["parallel"] < 1:
        raise CdiError(f"parallel is {params['parallel']}; set it to 1 or more.")


def run(task: Task) -> dict[str, t.Any]:
    started = time.monotonic()
    params = task.params
    namespace = params["namespace"] or default_namespace(task.connection)
    goal = goal_of(params["to"]) if params["state"] != "aborted" else Goal()
    seen = read(task, namespace)
    machines = list(params["machines"] or [])
    if params["label_selectors"]:
        machines += labelled(task, namespace, params["label_selectors"])
    selected = select(seen, goal, dict.fromkeys(machines), dict.fromkeys(params["names"] or []))
    if selected.problems and not (task.check_mode and not selected.units):
        raise CdiError(" ".join(selected.problems), volumes=[])
    for problem in selected.problems:
        task.warn(problem)  # An earlier task of the check may be the one that creates it.
    from .._migration.steps import Order, abort, move

    order = Order(
        goal,
        params["method"],
        params["parallel"],
        params["state"] == "finished" and params["wait"],
        params["when_done"] == "delete_source" and params["state"] == "finished",
        params["sample_growth"],
        started + params["wait_timeout"],
    )
    if params["state"] == "aborted":
        outcomes = abort(task, order, seen, selected.units)
    else:
        outcomes = move(task, order, seen, selected.units, lambda wanted: _declare(task, wanted, order.deadline))
    return _facts(outcomes, started)


def _facts(outcomes: list[Outcome], started: float) -> dict[str, t.Any]:
    facts: dict[str, t.Any] = {
        "changed": any(outcome.changed for outcome in outcomes),
        "volumes": [result for outcome in outcomes for result in results(outcome)],
        "duration": round(time.monotonic() - started, 1),
        "diff": [
            {"before_header": outcome.unit.title, "after_header": outcome.unit.title, **outcome.diff}
            for outcome in outcomes
            if outcome.diff
        ],
    }
    errors = [outcome.error for outcome in outcomes]
    if any(errors):
        from .._ansible.steps import summary

        raise CdiError(summary(errors, "move", "volumes"), **facts)
    return facts


def _declare(task: Task, wanted: list[dict[str, t.Any]], deadline: float) -> None:
    """Create the targets as module data_volume does, with its preflight, and wait for them."""
    from .._ansible.completion import completed
    from . import data_volume

    options = {
        "data_volumes": wanted,
        "wait": True,
        "wait_timeout": max(int(deadline - time.monotonic()), 1),
    }
    data_volume.run(task._replace(params=completed({**task.params, **options}, data_volume.SPEC.options)))
