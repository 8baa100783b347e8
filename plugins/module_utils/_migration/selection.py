# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volumes are to be moved, by their names, by machines or by labels, and how far each is. Pure rules."""

from __future__ import annotations

import typing as t

from .._data_volume.moved import MOVED_FROM_FIRST
from .._kubernetes.objects import Object, Objects, annotations_of
from .._virtual_machine.elements import template_spec
from .goal import MOVED_FROM, Goal, lacks, target_name
from .machine import DONE, MOVING, NEEDED, Item, Unit, claims_of_spec, state_of


class Seen(t.NamedTuple):
    """The machines, instances, claims and DataVolumes of a namespace, by their names."""

    namespace: str
    machines: t.Mapping[str, Object]
    instances: t.Mapping[str, Object]
    claims: t.Mapping[str, Object]
    volumes: t.Mapping[str, Object]

    @property
    def users(self) -> dict[str, list[tuple[str, str]]]:
        """The machines and disks with a claim in their templates, by the names of the claims."""
        found: dict[str, list[tuple[str, str]]] = {}
        for name, machine in self.machines.items():
            for disk, claim in claims_of_spec(template_spec(machine)).items():
                found.setdefault(claim, []).append((name, disk))
        return found


class Selected(t.NamedTuple):
    """What a task is about, and a sentence for each thing that it names and that cannot be found or moved."""

    units: tuple[Unit, ...]
    problems: tuple[str, ...]


def by_name(items: Objects) -> dict[str, Object]:
    return {item["metadata"]["name"]: item for item in items}


def select(seen: Seen, goal: Goal, machines: t.Iterable[str], names: t.Iterable[str]) -> Selected:
    """The volumes of all disks of these machines, and these volumes or what they were moved to."""
    problems: list[str] = []
    disks: dict[str, list[str]] = {}
    alone: dict[str, Item] = {}
    for name in machines:
        if name not in seen.machines:
            problems.append(f"VirtualMachine {seen.namespace}/{name} does not exist; correct its name.")
            continue
        found = claims_of_spec(template_spec(seen.machines[name]))
        if not found:
            problems.append(f"VirtualMachine {seen.namespace}/{name} has no disk with a claim; leave it out.")
        disks[name] = list(found)
    users = seen.users
    for name in names:
        claims = _successors(seen, name)
        if not claims:
            problems.append(
                f"Volume {seen.namespace}/{name} does not exist, and no other has been moved from it; correct its name."
            )
            continue
        using = [use for claim in claims for use in users.get(claim, [])]
        if len({machine for machine, _disk in using}) > 1:
            several = " and ".join(sorted({machine for machine, _disk in using}))
            problems.append(f"Volume {name!r} is in the templates of {several}; remove it from all machines but one.")
        elif using:
            disks.setdefault(using[0][0], []).extend(disk for _machine, disk in using)
        else:
            item = _without_machine(seen, goal, claims)
            alone[item.name] = item
    units = []
    for name, its in disks.items():
        unit, missing = _of_machine(seen, goal, name, list(dict.fromkeys(its)))
        problems += missing
        units += [unit] if unit.items else []
    units += [Unit(seen.namespace, (item,)) for item in alone.values()]
    return Selected(tuple(units), tuple(problems))


def _successors(seen: Seen, name: str) -> list[str]:
    """The claim of this name if it exists, and the claims that were moved from it, directly or by others."""
    found = [name] if name in seen.claims else []
    return found + [
        claim
        for claim, stored in seen.claims.items()
        if name in (annotations_of(stored).get(MOVED_FROM), annotations_of(stored).get(MOVED_FROM_FIRST))
    ]


def _of_machine(seen: Seen, goal: Goal, name: str, disks: list[str]) -> tuple[Unit, list[str]]:
    machine, instance = seen.machines[name], seen.instances.get(name)
    claims = claims_of_spec(template_spec(machine))
    items, problems = [], []
    for disk in disks:
        claim = seen.claims.get(claims[disk])
        if claim is None:
            problems.append(
                f"Disk {disk!r} of VirtualMachine {seen.namespace}/{name} names claim {claims[disk]!r}, which does not "
                "exist; correct the machine, or leave it out."
            )
            continue
        different = lacks(goal, claim, seen.volumes.get(claims[disk]))
        items.append(_item(seen, goal, disk, claim, state_of(machine, instance, disk, claim, different), different))
    return Unit(seen.namespace, tuple(items), machine, instance), problems


def _without_machine(seen: Seen, goal: Goal, claims: list[str]) -> Item:
    """The claim of that name, or, if there is one, what it was moved to by the same goal."""
    for name in reversed(claims):
        claim, volume = seen.claims[name], seen.volumes.get(name)
        if annotations_of(claim).get(MOVED_FROM) and not lacks(goal, claim, volume):
            filled = ((volume or {}).get("status") or {}).get("phase", "Succeeded") == "Succeeded"
            return _item(seen, goal, "", claim, DONE if filled else MOVING, [])
    claim = seen.claims[claims[0]]
    different = lacks(goal, claim, seen.volumes.get(claims[0]))
    return _item(seen, goal, "", claim, NEEDED if different else DONE, different)


def _item(seen: Seen, goal: Goal, disk: str, claim: Object, state: str, different: t.Sequence[str]) -> Item:
    name = claim["metadata"]["name"]
    origin = annotations_of(claim).get(MOVED_FROM, "")
    return Item(
        disk,
        claim,
        seen.volumes.get(name),
        state,
        target_name(goal, claim) if state == NEEDED else name,
        tuple(different),
        seen.claims.get(origin),
        seen.volumes.get(origin),
    )


def leftovers(seen: Seen, unit: Unit) -> list[str]:
    """Targets for the volumes of a unit that no machine uses: of moves that were begun and not finished."""
    names = {item.name for item in unit.items}
    return [
        name
        for name, claim in seen.claims.items()
        if annotations_of(claim).get(MOVED_FROM) in names and name not in seen.users and name not in names
    ]
