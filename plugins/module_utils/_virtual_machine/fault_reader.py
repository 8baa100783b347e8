# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what explains the machines of a namespace that do not run, or do not attach their disks.

Six LISTs for any number of machines, and what their DataVolumes leave open. What may not be read is skipped.
"""

from __future__ import annotations

import time
import typing as t

from .._ansible.batch import by_namespace
from .._ansible.module import Task
from .._diagnosis.evidence_reader import EvidenceReader
from .._kubernetes.client import Connection
from .._kubernetes.errors import ApiError
from .._kubernetes.objects import Object, conditions
from .._kubernetes.reader import Reader
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, POD
from .elements import elements_of, template_spec
from .fault_rules import VOLUME_FILLING
from .faults import Surroundings, boots_nothing, diagnose
from .results import does_not_run
from .target import Outcomes, unfailed

_SECONDS = 10.0
_PODS = "kubevirt.io in (virt-launcher, hotplug-disk)"
_AGENTS = "kubevirt.io=virt-handler"
# The container of virt-launcher's pod that prints the serial console.
_CONSOLE = "guest-console-log"


class FaultReader:
    """Reads the surroundings of the machines of one namespace, as often as asked."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._namespace = namespace
        self._reader = Reader(connection)
        self._evidence = EvidenceReader(connection, namespace)

    def read(self, wanted: t.Collection[str], seconds: float = _SECONDS) -> Surroundings:
        """`wanted`: the names of claims and DataVolumes of the machines. `seconds`: the limit of each request."""
        seconds = min(seconds, _SECONDS)
        reader = self._reader = self._reader.again(seconds)
        volumes = _by_name(reader.try_read(DATA_VOLUME, self._namespace).items, wanted)
        claims = reader.try_read(PERSISTENT_VOLUME_CLAIM, self._namespace).items
        unbound = [
            each for name, each in _by_name(claims, wanted).items() if name not in volumes and not _is_bound(each)
        ]
        unfilled = [each for each in volumes.values() if (each.get("status") or {}).get("phase") != "Succeeded"]
        evidence = self._evidence.probe([*unfilled, *unbound], seconds, claims)
        agents = reader.try_read(POD, label_selector=_AGENTS)
        return Surroundings(
            evidence,
            volumes,
            _by_name(claims, wanted),
            reader.try_read(POD, self._namespace, label_selector=_PODS).items,
            None if agents.error else {_node(pod): _is_ready(pod) for pod in agents.items if _node(pod)},
        )


def claims_of(*stored: t.Iterable[Object | None]) -> set[str]:
    """The names of the claims and DataVolumes that machines and instances use."""
    specs = [template_spec(each) or each.get("spec") for some in stored for each in some if each is not None]
    elements = [element for spec in specs for element in elements_of(spec).values()]
    return {element.claim for element in elements if element.claim}


def diagnosed(task: Task, outcomes: Outcomes) -> Outcomes:
    """The outcomes with why machines do not run that should, or do not attach disks. Nothing is read if all do."""
    late = [each for each in unfailed(outcomes) if each.target.is_late or each.target.unattached]
    found = {}
    for namespace, some in by_namespace(late):
        names = claims_of(stored for outcome in some for stored in (outcome.target.machine, outcome.target.instance))
        around = FaultReader(task.connection, namespace).read(names)
        for outcome in some:
            target = outcome.target
            problem = diagnose(target.machine, target.instance, around, target.unattached)
            outcome = found[outcome.key] = outcome._replace(diagnosis=problem)
            if problem and problem.cause != VOLUME_FILLING:
                task.warn(does_not_run(outcome))
    return {**outcomes, **found, **_booted(task, outcomes)}


def _booted(task: Task, outcomes: Outcomes) -> Outcomes:
    """The outcomes of machines whose firmware reports that it finds nothing to boot."""
    found = {}
    reader = Reader(task.connection, within_seconds=_SECONDS)
    for outcome in unfailed(outcomes):
        if outcome.target.prints_firmware:
            namespace, name = outcome.key
            pods = reader.try_read(
                POD, namespace, label_selector=f"kubevirt.io=virt-launcher,vm.kubevirt.io/name={name}"
            )
            problem = next(filter(None, (boots_nothing(_console(task, pod)) for pod in pods.items)), None)
            if problem:
                outcome = found[outcome.key] = outcome._replace(diagnosis=problem)
                task.warn(does_not_run(outcome))
    return found


def _console(task: Task, pod: Object) -> str:
    """The last lines of the console of a machine; `` if they cannot be read."""
    connection = task.connection.until(time.monotonic() + _SECONDS)
    try:
        return connection.log(pod["metadata"]["namespace"], pod["metadata"]["name"], container=_CONSOLE)
    except ApiError:
        return ""


def _by_name(items: t.Iterable[Object], wanted: t.Collection[str]) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in items if item["metadata"]["name"] in wanted}


def _is_bound(claim: Object) -> bool:
    return (claim.get("status") or {}).get("phase") == "Bound"


def _node(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")


def _is_ready(pod: Object) -> bool:
    ready = (conditions(pod).get("Ready") or {}).get("status") == "True"
    return ready and not pod["metadata"].get("deletionTimestamp")
