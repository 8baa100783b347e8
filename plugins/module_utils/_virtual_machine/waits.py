# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until running instances have the disks of their plans, and until claims of stopped machines have grown."""

from __future__ import annotations

import contextlib
import time
import typing as t

from .._ansible.batch import by_namespace
from .._ansible.module import Task
from .._data_volume.growth import judge_growth
from .._diagnosis.rules import Diagnosis
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._kubernetes.wait import StallProbe, wait_for
from .attachment import Expected, failure, judge, moved
from .fault_reader import FaultReader, claims_of
from .fault_rules import NOT_SYNCHRONIZED
from .faults import diagnose, verdict_of
from .target import Outcome, Outcomes, has_started, with_error

_CONDITION_SECONDS = 10.0


def wait_for_disks(
    task: Task, outcomes: Outcomes, expected: t.Callable[[Outcome], Expected], deadline: float
) -> Outcomes:
    """Wait by one watch for each namespace. Returns all outcomes, with errors for machines that are late or failed."""
    for namespace, some in by_namespace([each for each in outcomes.values() if not each.error]):
        waiting = {each.key[1]: each for each in some if each.target.running and expected(each)}
        if waiting:
            wanted = {name: expected(outcome) for name, outcome in waiting.items()}
            outcomes = {**outcomes, **_wait(task, namespace, waiting, wanted, deadline)}
    return outcomes


def _wait(
    task: Task, namespace: str, waiting: dict[str, Outcome], expected: dict[str, Expected], deadline: float
) -> Outcomes:
    refused: dict[str, Verdict] = {}
    known: dict[str, Diagnosis] = {}
    faults = FaultReader(task.connection, namespace)

    def judged(name: str, instance: Object | None) -> Verdict:
        verdict = judge(expected[name], instance)
        return refused.get(name, verdict) if verdict.state == WAITING else verdict

    def probe(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        machines, _version = task.connection.list(VIRTUAL_MACHINE, namespace, within_seconds=seconds)
        refused.clear()
        for machine in machines:
            found = failure(machine)
            if found:
                refused[machine["metadata"]["name"]] = found
        claims = {each.claim for name in quiet for each in expected[name].attached.values()}
        around = faults.read({claim for claim in claims if claim} | claims_of(quiet.values()), seconds)
        known.clear()
        for name, instance in quiet.items():
            problem = diagnose(None, instance, around, expected[name].attached)
            if problem and problem.cause != NOT_SYNCHRONIZED and name not in refused:
                known[name] = problem
                waits, why = judge(expected[name], instance), verdict_of(problem)
                if waits.state == WAITING:
                    refused[name] = why._replace(reason=f"{waits.reason}; {why.reason}")
        return {name: judged(name, instance) for name, instance in quiet.items()}

    def show(name: str, instance: Object | None, verdict: Verdict) -> None:
        title = waiting[name].target.title
        if verdict.state == REACHED:
            task.progress.ends(title, "has its disks")
        else:
            phase = ((instance or {}).get("status") or {}).get("phase") or "Pending"
            task.progress.waits(title, phase, None, verdict.reason)

    try:
        ended = wait_for(
            task.connection,
            VIRTUAL_MACHINE_INSTANCE,
            namespace,
            list(waiting),
            judged,
            deadline,
            StallProbe(moved, probe),
            observe=show,
        )
    except CdiError as exc:
        return {each.key: with_error(each, str(exc)) for each in waiting.values()}
    results = {}
    for name, (verdict, instance) in ended.items():
        outcome = waiting[name]
        if instance is not None:
            outcome = outcome._replace(target=outcome.target._replace(instance=instance))
        if verdict.state == REACHED:
            outcome = outcome._replace(notes=())  # The volumes are filled.
        else:
            outcome = outcome._replace(diagnosis=known.get(name))
            late = f"are not as declared after {task.params['wait_timeout']} s"
            how = "cannot become as declared" if verdict.state == FAILED else late
            notes = "".join(f"; {note}" for note in outcome.notes)
            outcome = with_error(
                outcome, f"The disks of running VirtualMachine {outcome.target.title} {how}: {verdict.reason}{notes}."
            )
        results[outcome.key] = outcome
    return results


def wait_until_running(task: Task, outcomes: Outcomes, deadline: float) -> Outcomes:
    """Wait for instances that are about to start: KubeVirt accepts requests for those that run."""
    for namespace, some in by_namespace([each for each in outcomes.values() if not each.error]):
        starting = {each.key[1]: each for each in some if not has_started(each.target.instance)}
        if starting:
            outcomes = {**outcomes, **_wait_for_start(task, namespace, starting, deadline)}
    return outcomes


def _wait_for_start(task: Task, namespace: str, starting: dict[str, Outcome], deadline: float) -> Outcomes:
    known: dict[str, Diagnosis] = {}
    faults = FaultReader(task.connection, namespace)

    def judged(name: str, instance: Object | None) -> Verdict:
        verdict = judge(Expected(), instance)
        if has_started(instance):
            return verdict
        why = verdict_of(known[name]) if name in known else None
        if verdict.state == FAILED:
            return verdict._replace(reason=why.reason) if why else verdict
        return why or Verdict(WAITING, "it starts")

    def probe(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        around = faults.read(claims_of(quiet.values()), seconds)
        for name, instance in quiet.items():
            found = diagnose(starting[name].target.machine, instance, around)
            known.pop(name, None)
            known.update({name: found} if found else {})
        return {name: judged(name, instance) for name, instance in quiet.items()}

    try:
        ended = wait_for(
            task.connection,
            VIRTUAL_MACHINE_INSTANCE,
            namespace,
            list(starting),
            judged,
            deadline,
            StallProbe(moved, probe),
        )
    except CdiError as exc:
        return {each.key: with_error(each, str(exc)) for each in starting.values()}
    results = {}
    for name, (verdict, instance) in ended.items():
        outcome = starting[name]
        if verdict.state == REACHED:
            outcome = outcome._replace(target=outcome.target._replace(instance=instance))
        else:
            error = f"VirtualMachine {outcome.target.title} does not run: {verdict.reason}."
            outcome = with_error(outcome._replace(diagnosis=known.get(name)), error)
        results[outcome.key] = outcome
    return results


def wait_for_claims(task: Task, outcomes: Outcomes, deadline: float) -> Outcomes:
    """Wait for claims of stopped machines that grow. Their file systems grow when a pod uses them."""
    for namespace, some in by_namespace([each for each in outcomes.values() if not each.error]):
        growing = {
            growth.claim["metadata"]["name"]: (each, growth)
            for each in some
            if not each.target.running
            for growth in each.growths
        }
        if not growing:
            continue
        for each, growth in growing.values():
            task.progress.waits(each.target.title, "growing", None, f"disk {growth.disk!r} grows to {growth.typed}")
        try:
            ended = wait_for(
                task.connection,
                PERSISTENT_VOLUME_CLAIM,
                namespace,
                list(growing),
                lambda _name, claim: judge_growth(claim),
                deadline,
            )
        except CdiError as exc:
            outcomes = {**outcomes, **{each.key: with_error(each, str(exc)) for each, _growth in growing.values()}}
            continue
        for name, (verdict, _claim) in ended.items():
            outcome, growth = growing[name]
            if verdict.state != REACHED:
                error = f"Disk {growth.disk!r} of VirtualMachine {outcome.target.title} does not grow to {growth.typed}"
                outcomes = {**outcomes, outcome.key: with_error(outcome, f"{error}: {verdict.reason}.")}
    return outcomes


def read_conditions(task: Task, outcomes: Outcomes, deadline: float) -> Outcomes:
    """Read machines that need a restart again, when virt-controller has seen their new template: with its condition.

    `status.desiredGeneration` is the generation that virt-controller has seen (pkg/virt-controller/watch/vm/vm.go
    updateStatus, v1.8.2). It is only a detail of the result, so that no error follows if it does not come.
    """
    changed = [each for each in outcomes.values() if each.target.running and each.done]
    for namespace, some in by_namespace([each for each in changed if any(change.restart for change in each.plan)]):
        names = {each.key[1]: each for each in some}

        def judged(_name: str, machine: Object | None) -> Verdict:
            seen = ((machine or {}).get("status") or {}).get("desiredGeneration") or 0
            late = machine is not None and seen < machine["metadata"].get("generation", 0)
            return Verdict(WAITING, "its condition is not known yet") if late else Verdict(REACHED)

        until = min(deadline, time.monotonic() + _CONDITION_SECONDS)
        with contextlib.suppress(CdiError):
            for name, (_verdict, machine) in wait_for(
                task.connection, VIRTUAL_MACHINE, namespace, list(names), judged, until
            ).items():
                if machine is not None:
                    outcome = names[name]
                    target = outcome.target._replace(machine=machine)
                    outcomes = {**outcomes, outcome.key: outcome._replace(target=target)}
    return outcomes
