# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the result says about a machine and its disks. Pure rules."""

from __future__ import annotations

import typing as t

from .attachment import capacity_of, restart_condition, status_of
from .elements import NOTHING, Element, elements_of, template_spec
from .io_threads import Assignment
from .rule import listed
from .sources import volume_title
from .target import Outcome, phase_of
from .whole import threads_of


def machine_facts(outcome: Outcome) -> dict[str, t.Any]:
    """The result of one machine. In check mode, the template is as it would be."""
    target = outcome.target
    facts: dict[str, t.Any] = {
        "name": target.key[1],
        "namespace": target.key[0],
        "changed": outcome.changed,
        "running": target.running,
        "disks": [],
        "io_threads": None,
        "restart_required": [],
        "message": "",
        "diagnosis": _diagnosis(outcome),
    }
    if target.machine is not None:
        restart = {change.name: change.restart for change in outcome.plan if change.restart}
        threads = threads_of(target.machine)
        spec = template_spec(target.machine)
        facts["disks"] = [
            _disk(outcome, name, element, restart.get(name), threads) for name, element in elements_of(spec).items()
        ]
        staying = [change.name for change in outcome.plan if change.restart and change.wanted == NOTHING]
        gone = [name for name in dict.fromkeys([*outcome.done, *staying]) if name not in elements_of(spec)]
        facts["disks"] += [_disk(outcome, name, NOTHING, restart.get(name), threads) for name in gone]
        facts["io_threads"] = {"policy": threads.policy, "count": threads.count, "explanation": threads.explanation}
        facts["restart_required"] = list(restart)
        facts["message"] = _message(outcome, restart)
    return {**facts, **({"error": outcome.error} if outcome.error else {})}


def does_not_run(outcome: Outcome) -> str:
    """Why a machine does not run, boot or attach its disks, `` if nothing is known."""
    found = outcome.diagnosis
    what = "does not run"
    if found and outcome.target.has_started:
        what = "does not boot" if found.cause == "nothing_to_boot" else "does not attach its disks"
    return f"VirtualMachine {outcome.target.title} {what}: {found.message}; {found.remedy}." if found else ""


def _diagnosis(outcome: Outcome) -> dict[str, t.Any] | None:
    found = outcome.diagnosis
    if found is None:
        return None
    said = {"cause": found.cause, "message": found.message, "remedy": found.remedy}
    return {"phase": phase_of(outcome.target.instance), **said, "since": found.since or None}


def _disk(outcome: Outcome, name: str, element: Element, restart: str | None, threads: Assignment) -> dict[str, t.Any]:
    instance = outcome.target.instance if outcome.target.running else None
    status = status_of(instance, name)
    in_domain = next((each.threads for each in threads.disks if each.disk == name), ())
    return {
        "name": name,
        "type": element.target,
        "bus": element.bus,
        "serial": (element.device or {}).get("serial"),
        "volume": volume_title(element),
        "hotpluggable": element.is_hotpluggable,
        "phase": status.get("phase"),
        "capacity_bytes": capacity_of(instance, name) or None if instance else None,
        "io_threads": list(in_domain),
        "action": outcome.done.get(name),
        "restart_required": restart or None,
    }


def _message(outcome: Outcome, restart: t.Mapping[str, str]) -> str:
    """One text: what needs a restart and why, what KubeVirt says about that, and what is still to come."""
    target, sentences = outcome.target, []
    if restart:
        disks = listed([f"disk {name!r} ({why})" for name, why in restart.items()], "and")
        sentences.append(f"Restart VirtualMachine {target.title} to change {disks}.")
    condition = restart_condition(target.machine or {}) if target.running else None
    if condition:
        sentences.append(f"KubeVirt's condition RestartRequired says: {condition.rstrip('.')}.")
    sentences += [f"{note}." for note in outcome.notes]
    sentences += [does_not_run(outcome)] if outcome.diagnosis and not outcome.error else []
    return " ".join(sentences)
