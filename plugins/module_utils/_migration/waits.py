# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until the domain of a running machine uses the claims that its template names."""

from __future__ import annotations

import time
import typing as t

from .._ansible.module import Task
from .._kubernetes.errors import CdiError
from .._kubernetes.mounts import claims_of, has_ended
from .._kubernetes.objects import Object
from .._kubernetes.resources import INSTANCE_MIGRATION, POD, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .._kubernetes.wait import StallProbe, poll_until, wait_for
from .following import goes_back, judge, judge_begun, migration_facts, moved, newest, percent, refused, without_room
from .machine import Unit, attempt_of
from .outcome import Outcome

# The pod of a source ends some seconds after its domain has left it.
_RELEASE_SECONDS = 120.0


def wait_for_disks(
    task: Task, outcome: Outcome, deadline: float, *, back: bool = False, begun: bool = False
) -> Outcome:
    """Wait until the domain runs on the expected claims, or with `begun` until KubeVirt moves them there.

    With `back`, a move is being cancelled.
    """
    unit, expected = outcome.unit, outcome.expected
    known: dict[str, Object | None] = {"migration": None}
    found: dict[str, Verdict] = {}
    earlier = attempt_of(unit.instance).get("migrationUid")

    def judged(_name: str, instance: Object | None) -> Verdict:
        if back and goes_back(expected, instance):
            return Verdict(FAILED, "its move had ended already")
        verdict = (judge_begun if begun else judge)(expected, instance)
        full = "" if back else without_room(expected, instance, earlier)
        if verdict.state == WAITING and full:
            return Verdict(FAILED, full)
        return found.get("refusal", verdict) if verdict.state == WAITING else verdict

    def probe(quiet: dict[str, Object | None], seconds: float) -> dict[str, Verdict]:
        connection = task.connection.until(time.monotonic() + max(seconds, 1.0))
        migrations, _version = connection.list(INSTANCE_MIGRATION, unit.namespace)
        known["migration"] = newest(migrations, unit.machine_name)
        found.clear()
        machine = connection.get(VIRTUAL_MACHINE, unit.machine_name, unit.namespace)
        refusal = refused(machine, quiet.get(unit.machine_name), expected)
        if refusal:
            found["refusal"] = Verdict(FAILED, f"KubeVirt refuses the change: {refusal}")
        return {name: judged(name, instance) for name, instance in quiet.items()}

    def show(_name: str, _instance: Object | None, verdict: Verdict) -> None:
        phase = ((known["migration"] or {}).get("status") or {}).get("phase") or "Pending"
        if verdict.state == REACHED and not begun:
            task.progress.ends(unit.title, "moved back" if back else "moved")
        else:
            task.progress.waits(unit.title, phase, percent(known["migration"]), verdict.reason)

    ended = wait_for(
        task.connection,
        VIRTUAL_MACHINE_INSTANCE,
        unit.namespace,
        [unit.machine_name],
        judged,
        deadline,
        StallProbe(moved, probe),
        observe=show,
    )
    verdict, instance = ended[unit.machine_name]
    if begun and verdict.state == REACHED:
        return outcome._replace(unit=unit._replace(instance=instance))
    migrations, _version = task.connection.list(INSTANCE_MIGRATION, unit.namespace)
    facts = migration_facts(newest(migrations, unit.machine_name), instance)
    outcome = outcome._replace(unit=unit._replace(instance=instance), migration=facts)
    if verdict.state == REACHED:
        return outcome
    reason = verdict.reason.rstrip(".")
    if verdict.state == FAILED:
        how = "cannot go back" if back else "cannot be moved"
        return outcome._replace(error=f"The volumes of {unit.title} {how}: {reason}.")
    what = "are not back" if back else "are not moved"
    remedy = "" if back else "; the move goes on: run the task again to wait for it, or with state=aborted"
    return outcome._replace(
        error=f"The volumes of {unit.title} {what} after {task.params['wait_timeout']} s: {reason}{remedy}."
    )


def release(task: Task, unit: Unit, claim: str) -> None:
    """Wait until no pod of the unit's machine uses a claim, and delete those that have ended.

    KubeVirt keeps the pod that a machine has left until the machine ends, and Kubernetes deletes no claim of which a
    pod exists. Other pods are neither waited for nor deleted.
    """
    uid = ((unit.instance or {}).get("metadata") or {}).get("uid")
    if task.check_mode or uid is None:
        return
    ended: list[Object] = []

    def released(connection: t.Any) -> Verdict:
        pods, _version = connection.list(POD, unit.namespace)
        owned = [
            pod
            for pod in pods
            if claim in claims_of(pod)
            and uid in (owner.get("uid") for owner in pod["metadata"].get("ownerReferences") or [])
        ]
        ended[:] = [pod for pod in owned if has_ended(pod)]
        active = [pod["metadata"]["name"] for pod in owned if not has_ended(pod)]
        return Verdict(WAITING, active[0]) if active else Verdict(REACHED)

    verdict = poll_until(task.connection, released, time.monotonic() + _RELEASE_SECONDS)
    if verdict.state != REACHED:
        raise CdiError(f"Volume {unit.namespace}/{claim} is still in use by pod {verdict.reason}; run the task again.")
    for pod in ended:
        metadata = pod["metadata"]
        task.connection.delete(POD, metadata["name"], unit.namespace, dry_run=False, uid=metadata["uid"])
