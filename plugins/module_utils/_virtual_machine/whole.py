# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for the machine as it will be: its other disks and the declared ones. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object
from .elements import NOTHING, elements_of, options_of, template_spec
from .io_threads import POOL, Assignment, Cpus, assign
from .machine import DEFAULT_BUS, Disk, Machine, Options
from .options import MACHINE_OPTIONS
from .plan import Declared, Plan
from .rule import Problem
from .rules import problems

_UNKNOWN = {option: spec.get("default") for option, spec in MACHINE_OPTIONS.items()}


def problems_of_entries(declared: Declared) -> list[str]:
    """What is wrong with the entries themselves, in each architecture: before anything is read."""
    disks = tuple(entry.disk for entry in declared.entries if entry.present)
    found = [
        problems(Machine(disks, {**_UNKNOWN, "architecture": architecture}), of_disks_only=True)
        for architecture in DEFAULT_BUS
    ]
    everywhere = [{(each.rule.name, _subject(each)) for each in some} for some in found]
    common = set.intersection(*everywhere)
    return [f"{each.sentence}." for each in found[0] if (each.rule.name, _subject(each)) in common]


def _subject(problem: Problem) -> str:
    """The name of the disk: `Disk 'data'`."""
    return problem.sentence.split("' ")[0]


def problems_after(declared: Declared, plan: Plan, machine: Object, gates: t.Collection[str] | None) -> list[str]:
    """What is wrong with the machine after the changes, and was not before."""
    before, after = machine_of(machine, gates), planned(declared, plan, machine, gates)
    known = {each.sentence for each in problems(before)}
    return [f"{each.sentence}." for each in problems(after) if each.sentence not in known]


def machine_of(machine: Object, gates: t.Collection[str] | None = None) -> Machine:
    """The disks of a stored machine, with what else matters for their rules."""
    return Machine(tuple(_stored(machine).values()), _options(machine, gates))


def planned(declared: Declared, plan: Plan, machine: Object, gates: t.Collection[str] | None = None) -> Machine:
    """The disks of a machine after the changes."""
    disks, entries = _stored(machine), {entry.name: entry for entry in declared.entries}
    for change in plan:
        if change.wanted == NOTHING:
            disks.pop(change.name, None)
            continue
        # The bus and the mark of a volume that can be plugged may be those that are stored.
        kept = {"bus": change.wanted.bus, "hotpluggable": change.wanted.is_hotpluggable or None}
        disks[change.name] = Disk({**entries[change.name].disk.options, **kept})
    return Machine(tuple(disks.values()), _options(machine, gates))


def threads_of(machine: Object) -> Assignment:
    """The I/O threads of the disks in the template."""
    domain = template_spec(machine).get("domain") or {}
    resources, cpu = domain.get("resources") or {}, domain.get("cpu") or {}
    cpus = Cpus(
        request=(resources.get("requests") or {}).get("cpu"),
        limit=(resources.get("limits") or {}).get("cpu"),
        dedicated=bool(cpu.get("dedicatedCpuPlacement")),
        isolates_emulator=bool(cpu.get("isolateEmulatorThread")),
    )
    return assign(machine_of(machine), cpus)


def _stored(machine: Object) -> dict[str, Disk]:
    """A volume without a device is a memory dump, or belongs to a file system."""
    return {
        name: options_of(name, element)
        for name, element in elements_of(template_spec(machine)).items()
        if element.device is not None or element.source == "memoryDump"
    }


def _options(machine: Object, gates: t.Collection[str] | None) -> Options:
    spec = template_spec(machine)
    domain = spec.get("domain") or {}
    resources, cpu = domain.get("resources") or {}, domain.get("cpu") or {}
    counts = [(resources.get(kind) or {}).get("cpu") for kind in ("requests", "limits")]
    counts += [cpu.get("cores"), cpu.get("sockets"), cpu.get("threads")]
    # The CPUs of an instance type are not in the template.
    counts += ["1"] if (machine.get("spec") or {}).get("instancetype") else []
    architecture = spec.get("architecture")
    size = (domain.get("ioThreads") or {}).get("supplementalPoolThreadCount")
    policy = domain.get("ioThreadsPolicy") or None
    return {
        # Without the number of its threads, a pool has none.
        "io_threads_policy": None if policy == POOL and size is None else policy,
        "io_threads": None if size is None else {"supplemental_pool_thread_count": size},
        "block_multi_queue": (domain.get("devices") or {}).get("blockMultiQueue"),
        "cpus": next((str(count) for count in counts if count), None),
        "architecture": architecture if architecture in DEFAULT_BUS else "amd64",
        "feature_gates": None if gates is None else sorted(gates),
    }
