# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what moves depend on, and refuses what cannot work, before anything is written."""

from __future__ import annotations

import typing as t

from .._ansible.module import Task
from .._cdi.users import UserReader
from .._kubernetes.reader import Reader
from .._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CONFIG_NAME,
    DATA_VOLUME,
    KUBEVIRT,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS,
    STORAGE_PROFILE,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_INSTANCE,
)
from .._storage.classes import cluster_settings
from .._storage.scratch import Settings
from .blocks import Choice, Surroundings, choose
from .goal import Goal
from .machine import INTERRUPTED, MOVING, NEEDED, Unit
from .outcome import Outcome
from .selection import Seen, by_name


def read(task: Task, namespace: str) -> Seen:
    """Four LISTs. A cluster without KubeVirt has no machines."""
    reader = Reader(task.connection)
    kinds = (VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE, PERSISTENT_VOLUME_CLAIM, DATA_VOLUME)
    found = [by_name(reader.read(kind, namespace).unless_forbidden()) for kind in kinds]
    return Seen(namespace, *found)


def labelled(task: Task, namespace: str, selectors: t.Sequence[str]) -> list[str]:
    """The names of the machines with all of these labels."""
    machines, _version = task.connection.list(VIRTUAL_MACHINE, namespace, label_selector=",".join(selectors))
    return [machine["metadata"]["name"] for machine in machines]


class Looked(t.NamedTuple):
    """What was read before the first write."""

    settings: Settings
    around: Surroundings
    users: UserReader


def look(task: Task, units: t.Sequence[Unit]) -> Looked:
    reader = Reader(task.connection)
    config = reader.try_read(CDI_CONFIG, None, CONFIG_NAME).object or {}
    cdis, profiles, classes = (reader.try_read(kind).items for kind in (CDI, STORAGE_PROFILE, STORAGE_CLASS))
    around = Surroundings()
    if any(unit.running for unit in units):
        nodes = reader.read(NODE)
        around = Surroundings(reader.read(KUBEVIRT).object, None if nodes.error else nodes.items)
    return Looked(cluster_settings(config, cdis, profiles, classes), around, UserReader(reader, task.warn))


def checked(unit: Unit, goal: Goal, method: str, looked: Looked) -> Outcome:
    """The method for a unit, or the error that says why it has none."""
    interrupted = unit.in_state(INTERRUPTED)
    if interrupted:
        return Outcome(
            unit, error=" ".join(_interrupted(unit, each.disk, each.name, each.moved_from) for each in interrupted)
        )
    moving, needed = unit.in_state(MOVING), unit.in_state(NEEDED)
    if not needed:
        how = "live" if unit.machine is not None else "offline"
        return Outcome(unit, how, "an earlier task has begun it") if moving else Outcome(unit)
    some = unit._replace(items=tuple(needed))
    choice: Choice = choose(method, some, goal, looked.around, _other_users(some, looked.users))
    error = " ".join(choice.refusals)
    if error and unit.machine is not None and unit.title not in error:
        error = f"{unit.title}: {error}"
    return Outcome(unit, choice.method, choice.reason, error=error)


def _interrupted(unit: Unit, disk: str, target: str, source: str) -> str:
    return (
        f"{unit.title} ended while disk {disk!r} was moved, and its template names {target!r}, whose copy may not be "
        f"whole; {source!r} has all data up to that end. Run the task with state=aborted, which goes back to it, and "
        "start the machine again."
    )


def _other_users(unit: Unit, users: UserReader) -> dict[str, str]:
    """What uses the volumes beside the machine of the unit, by the names of their claims."""
    found = {}
    for item in unit.items:
        its = users.users((unit.namespace, item.name))
        own = (unit.namespace, unit.machine_name)
        pods = tuple(
            pod
            for pod in its.pods
            if not (unit.running and pod.machine and (pod.machine.namespace, pod.machine.name) == own)
        )
        machines = tuple(each for each in its.machines if (each.namespace, each.name) != own)
        clones = tuple(each for each in its.clones if each != f"{unit.namespace}/{item.target}")
        others = its._replace(pods=pods, machines=machines, clones=clones)
        found[item.name] = others.sentence if others else ""
    return found
