# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with its volumes that move together, or one volume without a machine, and how far a move is. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Key, Object, Objects, annotations_of, conditions
from .._virtual_machine.elements import Element, elements_of, template_spec
from .goal import BEGUN, MOVED_FROM

# A volume that is as requested.
DONE: t.Final = "done"
# It has yet to be moved.
NEEDED: t.Final = "needed"
# KubeVirt moves it, or CDI copies it.
MOVING: t.Final = "moving"
# The machine ended while KubeVirt moved it, or before: the template names a target whose copy is not whole.
INTERRUPTED: t.Final = "interrupted"

MANUAL_RECOVERY = "ManualRecoveryRequired"
VOLUMES_CHANGE = "VolumesChange"
RESTART_REQUIRED = "RestartRequired"
_FINAL = ("Succeeded", "Failed")


class Item(t.NamedTuple):
    """A volume to move. `claim` is the one that the machine's template names, or the one that was asked for.

    `origin`: the claim from which a move to `claim` came, if it still exists. `lacks`: what `claim` differs in from the
    goal.
    """

    disk: str
    claim: Object
    volume: Object | None
    state: str
    target: str
    lacks: tuple[str, ...] = ()
    origin: Object | None = None
    origin_volume: Object | None = None

    @property
    def name(self) -> str:
        return t.cast(str, self.claim["metadata"]["name"])

    @property
    def moved_from(self) -> str:
        """The name of the claim from which it was or is moved, empty for none."""
        return annotations_of(self.claim).get(MOVED_FROM, "")


class Unit(t.NamedTuple):
    """What moves together: the volumes of a machine, or one volume without a machine."""

    namespace: str
    items: tuple[Item, ...]
    machine: Object | None = None
    instance: Object | None = None

    @property
    def machine_name(self) -> str:
        return "" if self.machine is None else t.cast(str, self.machine["metadata"]["name"])

    @property
    def title(self) -> str:
        """`VirtualMachine demo/web`, or `volume demo/disk`."""
        if self.machine is not None:
            return f"VirtualMachine {self.namespace}/{self.machine_name}"
        return f"Volume {self.namespace}/{self.items[0].name}"

    @property
    def key(self) -> Key:
        return self.namespace, self.machine_name or self.items[0].name

    @property
    def running(self) -> bool:
        return is_running(self.instance)

    def in_state(self, *states: str) -> list[Item]:
        return [item for item in self.items if item.state in states]


def is_running(instance: Object | None) -> bool:
    """Whether a machine has an instance that has not ended, also one that starts."""
    return instance is not None and phase_of(instance) not in _FINAL


def phase_of(instance: Object | None) -> str:
    return str(((instance or {}).get("status") or {}).get("phase") or "")


def claims_of_spec(spec: Object | None) -> dict[str, str]:
    """The claims of the disks in the `spec` of an instance or a template, by the names of the disks."""
    return {name: each.claim for name, each in elements_of(spec).items() if each.claim and is_movable(each)}


def is_movable(element: Element) -> bool:
    """Whether a volume is a claim that KubeVirt replaces: not the base of an ephemeral disk, not a memory dump."""
    return element.source in ("dataVolume", "persistentVolumeClaim")


def migrated_volumes(instance: Object | None) -> dict[str, str]:
    """The targets of the volumes that KubeVirt is moving, by the names of their disks."""
    return _targets(((instance or {}).get("status") or {}).get("migratedVolumes"))


def _targets(migrated: Objects | None) -> dict[str, str]:
    return {
        str(each.get("volumeName")): str((each.get("destinationPVCInfo") or {}).get("claimName") or "")
        for each in migrated or []
    }


def is_interrupted(machine: Object, instance: Object | None) -> bool:
    """Whether the machine ended while its volumes moved (pkg/virt-controller/watch/vm/vm.go syncVolumeMigration)."""
    if is_running(instance):
        return False
    return conditions(machine).get(MANUAL_RECOVERY, {}).get("status") == "True"


def has_begun(machine: Object | None, disk: str, claim: str) -> bool:
    """Whether KubeVirt has recorded that it moves or has moved a disk to this claim."""
    state = (((machine or {}).get("status") or {}).get("volumeUpdateState") or {}).get("volumeMigrationState") or {}
    return _targets(state.get("migratedVolumes")).get(disk) == claim


def state_of(machine: Object, instance: Object | None, disk: str, claim: Object, lacks: t.Collection[str]) -> str:
    """How far the move of a disk is, whose claim in the template is `claim`."""
    name = claim["metadata"]["name"]
    came = bool(annotations_of(claim).get(MOVED_FROM))
    if came and is_interrupted(machine, instance):
        return INTERRUPTED
    if came and is_running(instance) and not runs_on(instance, disk, name):
        return MOVING
    if annotations_of(claim).get(BEGUN) and not has_begun(machine, disk, name):
        return INTERRUPTED
    return NEEDED if lacks else DONE


def runs_on(instance: Object | None, disk: str, claim: str) -> bool:
    """Whether the domain of an instance uses this claim.

    While KubeVirt moves a volume, the `spec` of the instance names its target already. virt-handler removes
    `migratedVolumes` and the condition when the domain runs on the target (pkg/virt-handler/migration-target.go
    finalizeMigration, v1.8.2).
    """
    spec = (instance or {}).get("spec") or {}
    return claims_of_spec(spec).get(disk) == claim and disk not in migrated_volumes(instance)


def attempt_of(instance: Object | None) -> Object:
    """The state of the newest migration of an instance, empty without one."""
    return ((instance or {}).get("status") or {}).get("migrationState") or {}


def elements_with(machine: Object, claims: t.Collection[str]) -> dict[str, Element]:
    """The disks of a template that use one of these claims."""
    return {
        name: each
        for name, each in elements_of(template_spec(machine)).items()
        if each.claim in claims and is_movable(each)
    }
