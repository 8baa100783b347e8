# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far KubeVirt is with the volumes of a running machine. Pure rules.

KubeVirt reports no bytes of a migration in its API, only the phases of a VirtualMachineInstanceMigration.
"""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object, Objects, conditions, timestamp
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .machine import (
    RESTART_REQUIRED,
    VOLUMES_CHANGE,
    attempt_of,
    claims_of_spec,
    is_running,
    migrated_volumes,
    runs_on,
)

_NO_SPACE = "No space left on device"
_STEPS = ("Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running", "Succeeded")


def judge(claims: t.Mapping[str, str], instance: Object | None) -> Verdict:
    """Whether the domain of an instance runs on these claims, by the names of their disks."""
    if not is_running(instance):
        return Verdict(FAILED, "its instance ended while the volumes were moved")
    if all(runs_on(instance, disk, claim) for disk, claim in claims.items()):
        return Verdict(REACHED)
    attempt = attempt_of(instance)
    if attempt.get("failed"):
        why = str(attempt.get("failureReason") or "no reason is reported").rstrip(".")
        return Verdict(WAITING, f"the last attempt failed: {why}; KubeVirt tries it again")
    change = conditions(instance).get(VOLUMES_CHANGE, {})
    if change.get("status") == "False" and change.get("message"):
        return Verdict(WAITING, str(change["message"]).rstrip("."))
    if not migrated_volumes(instance):
        return Verdict(WAITING, "KubeVirt has not begun")
    if attempt.get("targetNodeDomainReadyTimestamp"):
        # virt-handler of the source writes the end, at its next resync when it has missed the event (v1.8.2).
        return Verdict(WAITING, "the guest runs on the new volumes, and KubeVirt has not recorded it yet")
    return Verdict(WAITING, "KubeVirt copies the volumes" if attempt else "KubeVirt schedules the migration")


def judge_begun(claims: t.Mapping[str, str], instance: Object | None) -> Verdict:
    """Whether KubeVirt has begun to move the volumes of an instance to these claims, or has moved them."""
    verdict, moving = judge(claims, instance), migrated_volumes(instance)
    begun = all(moving.get(disk) == claim for disk, claim in claims.items())
    return Verdict(REACHED) if begun and verdict.state == WAITING else verdict


def without_room(claims: t.Mapping[str, str], instance: Object | None, earlier: t.Any) -> str:
    """Why the newest attempt failed, if the storage of a target has no space left; empty otherwise.

    `earlier`: the migrationUid of an attempt that had failed before, since when there may be room. QEMU reports ENOSPC
    of a target, which ends the copy and not the guest, and libvirt repeats its text (src/qemu/qemu_migration.c
    qemuMigrationNBDReportMirrorError, 9.0.0).
    """
    attempt = attempt_of(instance)
    why = str(attempt.get("failureReason") or "")
    if not attempt.get("failed") or attempt.get("migrationUid") == earlier or _NO_SPACE not in why:
        return ""
    names = " or ".join(repr(claim) for claim in claims.values())
    return (
        f"the storage of volume {names} has no space left ({why.rstrip('.')}). The guest goes on with the old volumes, "
        "and KubeVirt tries the move again; make room, and run the task again, or run it with state=aborted and then "
        "with another storage class"
    )


def refused(machine: Object | None, instance: Object | None, claims: t.Mapping[str, str]) -> str:
    """Why KubeVirt will not move the volumes of a machine whose template names them; empty while it may."""
    restart = conditions(machine).get(RESTART_REQUIRED, {})
    if restart.get("status") != "True" or migrated_volumes(instance):
        return ""
    begun = any(claims_of_spec((instance or {}).get("spec")).get(disk) == claim for disk, claim in claims.items())
    return "" if begun else str(restart.get("message") or "it requires a restart").rstrip(".")


def goes_back(claims: t.Mapping[str, str], instance: Object | None) -> bool:
    """Whether KubeVirt moves volumes to these claims, from which they came: their first move had ended already."""
    moving = migrated_volumes(instance)
    return any(moving.get(disk) == claim for disk, claim in claims.items())


def newest(migrations: Objects, name: str) -> Object | None:
    """The newest VirtualMachineInstanceMigration of an instance."""
    its = [each for each in migrations if (each.get("spec") or {}).get("vmiName") == name]
    return max(its, key=lambda each: str(each["metadata"].get("creationTimestamp")), default=None)


def migration_facts(migration: Object | None, instance: Object | None) -> dict[str, t.Any] | None:
    """The newest attempt of a machine for the result."""
    attempt = attempt_of(instance)
    if migration is None and not attempt:
        return None
    begun, ended = timestamp(attempt.get("startTimestamp")), timestamp(attempt.get("endTimestamp"))
    phase = None if migration is None else (migration.get("status") or {}).get("phase") or "Pending"
    if attempt.get("completed") and not attempt.get("failed"):
        phase = "Succeeded"  # The instance shows it before the VirtualMachineInstanceMigration does.
    return {
        "name": None if migration is None else migration["metadata"]["name"],
        "phase": phase,
        "source_node": attempt.get("sourceNode"),
        "target_node": attempt.get("targetNode"),
        "seconds": round((ended - begun).total_seconds(), 1) if begun and ended else None,
        "failure": attempt.get("failureReason") if attempt.get("failed") else None,
    }


def percent(migration: Object | None) -> float | None:
    """How many of its phases a migration has behind it. KubeVirt reports no bytes."""
    phase = ((migration or {}).get("status") or {}).get("phase") or "Pending"
    return 100 * _STEPS.index(phase) / (len(_STEPS) - 1) if phase in _STEPS else None


def moved(instance: Object | None) -> t.Hashable:
    """What changes when a move advances."""
    attempt = attempt_of(instance)
    return (
        tuple(sorted(migrated_volumes(instance).items())),
        attempt.get("migrationUid"),
        attempt.get("targetNodeDomainDetected"),
        attempt.get("completed"),
    )
