# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declares the disks of machines: two LISTs for unchanged ones, one write for each template that differs.

What only changes need is imported when something changes.
"""

from __future__ import annotations

import collections
import time
import typing as t

from .._ansible.argspec import PROGRESS, ArgumentSpec, wait_spec
from .._ansible.batch import find, options_of
from .._ansible.module import Task
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Key
from .._kubernetes.reader import Reader
from .._kubernetes.resources import VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from .._virtual_machine.gates import OFF
from .._virtual_machine.growth import find_growths
from .._virtual_machine.looked import planned
from .._virtual_machine.machine import PERSISTENT, Disk
from .._virtual_machine.options import ENTRY_OPTIONS, KINDS
from .._virtual_machine.plan import Declared, Entry
from .._virtual_machine.results import machine_facts
from .._virtual_machine.target import Outcome, Outcomes, Target, unfailed, with_error
from .._virtual_machine.whole import problems_of_entries

_DISKS: dict[str, t.Any] = {
    "disks": {"type": "list", "elements": "dict", "options": ENTRY_OPTIONS},
    "purge": {"type": "bool", "default": False},
}
_MACHINE = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str"},
    **_DISKS,
    "disks": {**_DISKS["disks"], "required": True},
}
SPEC = (
    ArgumentSpec(
        {
            "name": {"type": "str"},
            "namespace": {"type": "str"},
            **_DISKS,
            "machines": {"type": "list", "elements": "dict", "options": _MACHINE},
        },
        kinds=KINDS,
        required_one_of=[("name", "machines")],
        mutually_exclusive=[("name", "machines"), ("disks", "machines"), ("purge", "machines")],
        required_by={"name": ["disks"]},
    )
    + wait_spec(600)
    + PROGRESS
)


def check(params: dict[str, t.Any]) -> None:
    for options in options_of(params, "machines"):
        _check(options)


def _declared(options: t.Mapping[str, t.Any]) -> Declared:
    return Declared(tuple(Entry(Disk(disk)) for disk in options["disks"] or []), bool(options["purge"]))


def _check(options: t.Mapping[str, t.Any]) -> None:
    """Refuse what is wrong with the entries of a machine. Raises CdiError with a sentence for each problem."""
    declared = _declared(options)
    sentences = problems_of_entries(declared)
    counts = collections.Counter(entry.name for entry in declared.entries)
    sentences += [
        f"Disk {name!r} is listed twice; give each disk a different name."
        for name, count in counts.items()
        if count > 1
    ]
    for entry in declared.entries:
        sentences += _problems_of_state(entry)
    if sentences:
        title = "/".join(filter(None, (options["namespace"], options["name"])))
        raise CdiError(f"VirtualMachine {title}: {' '.join(sentences)}")


def _problems_of_state(entry: Entry) -> t.Iterator[str]:
    title, size = entry.disk.title, entry.disk.options["size"]
    if entry.deletes_volume and entry.present:
        yield f"{title} has delete_volume=true and state=present; set state=absent, or leave delete_volume out."
    if size and not entry.present:
        yield f"{title} has size={size!r} and state=absent; leave size out."
    elif size and entry.disk.source not in PERSISTENT:
        has = entry.disk.source or "no volume"
        yield f"{title} has size={size!r} and {has}; only a claim or a DataVolume can grow: leave size out."


def run(task: Task) -> dict[str, t.Any]:
    started = time.monotonic()
    deadline = started + task.params["wait_timeout"]
    options = options_of(task.params, "machines", task.connection)
    outcomes = _read(task, [Target((each["namespace"], each["name"]), _declared(each)) for each in options])
    if not all(outcome.is_settled for outcome in outcomes.values()) or _has_waiting(outcomes):
        from .._virtual_machine.changes import apply_changes

        outcomes = apply_changes(task, outcomes, deadline)
    if any(outcome.target.needs_look for outcome in unfailed(outcomes)):
        from .._virtual_machine.fault_reader import diagnosed

        outcomes = diagnosed(task, outcomes)
    results = [machine_facts(outcome) for outcome in outcomes.values()]
    facts: dict[str, t.Any] = {"duration": round(time.monotonic() - started, 1)}
    if task.params["machines"] is None:
        facts |= {**results[0], "diff": next(iter(outcomes.values())).diff}
    else:
        facts |= {"machines": results, "diff": [_titled(each) for each in outcomes.values() if each.diff]}
    facts["changed"] = any(outcome.changed for outcome in outcomes.values())
    errors = [outcome.error for outcome in outcomes.values()]
    if any(errors):
        from .._ansible.steps import summary

        raise CdiError(summary(errors, "machine", "machines"), **facts)
    return facts


def _has_waiting(outcomes: Outcomes) -> bool:
    """Whether a running machine lacks what a feature gate may allow, or a volume is to be deleted."""
    return any(
        any(change.restart for change in outcome.plan)
        or any(entry.deletes_volume for entry in outcome.target.declared.entries)
        for outcome in outcomes.values()
        if not outcome.error
    )


def _titled(outcome: Outcome) -> dict[str, t.Any]:
    title = outcome.target.title
    return {"before_header": title, "after_header": title, **outcome.diff}


def _read(task: Task, targets: list[Target]) -> Outcomes:
    """Read the machines, their instances, and the claims of disks with a size. Plan as if no gate were enabled."""
    found = find(task, [target.key for target in targets], VIRTUAL_MACHINE, needed=True)
    there = [key for key, machine in found.objects.items() if machine is not None]
    instances = find(task, there, VIRTUAL_MACHINE_INSTANCE, needed=False)
    reader = Reader(task.connection)
    outcomes: dict[Key, Outcome] = {}
    for target in targets:
        key = target.key
        outcome = Outcome(
            target._replace(machine=found.objects.get(key), instance=instances.objects.get(key)),
            error=found.errors.get(key, "") or instances.errors.get(key, ""),
        )
        if not outcome.error and outcome.target.machine is None:
            outcome = _missing(task, outcome)
        elif not outcome.error:
            outcome = _with_growths(reader, planned(outcome, OFF))
        outcomes[key] = outcome
    return outcomes


def _missing(task: Task, outcome: Outcome) -> Outcome:
    """A machine that does not exist. An earlier task of a check may be the one that creates it."""
    target = outcome.target
    if not any(entry.present for entry in target.declared.entries):
        return outcome
    sentence = f"VirtualMachine {target.title} does not exist"
    if task.check_mode:
        task.warn(f"{sentence}, so that its disks were not checked.")
        return outcome._replace(changed=True)
    return with_error(outcome, f"{sentence}; create it with kubevirt.core.kubevirt_vm, or correct its name.")


def _with_growths(reader: Reader, outcome: Outcome) -> Outcome:
    try:
        growths, refusals = find_growths(reader, outcome)
    except CdiError as exc:
        return with_error(outcome, str(exc))
    if refusals:
        return with_error(outcome, f"VirtualMachine {outcome.target.title}: {' '.join(refusals)}")
    return outcome._replace(growths=growths)
