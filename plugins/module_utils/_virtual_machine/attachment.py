# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a running instance has got the disks of a plan, and what it waits for. Pure rules.

virt-controller and virt-handler report each volume in `status.volumeStatus`, and keep the status of one that is being
detached (pkg/virt-controller/watch/vmi/storage.go, pkg/virt-handler/vm.go, v1.8.2).
"""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object, conditions
from .._kubernetes.quantity import rough, whole_bytes
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .elements import Element, elements_of, volume_runs
from .plan import runs

_READY = "Ready"
# Of libvirt. KubeVirt keeps free PCI slots only in machines with a network interface
# (pkg/virt-launcher/virtwrap/manager.go allocateHotplugPorts, v1.8.2).
_NO_SLOTS = "No more available PCI slots"
_SLOTS_REMEDY = (
    "set bus=scsi, or give the machine a network interface, with which KubeVirt keeps slots free, and restart it"
)
# How long virt-controller may repeat a failed change of the instance before it counts.
_GRACE = 8.0


class Expected(t.NamedTuple):
    """What an instance shall have: volumes by the names of their disks, and the bytes of claims that grow."""

    attached: t.Mapping[str, Element] = {}
    detached: t.Collection[str] = ()
    grown: t.Mapping[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self.attached or self.detached or self.grown)


def status_of(instance: Object | None, name: str) -> Object:
    """The status of a volume, empty without one."""
    found = ((instance or {}).get("status") or {}).get("volumeStatus") or []
    return next((each for each in found if each.get("name") == name), {})


def judge(expected: Expected, instance: Object | None) -> Verdict:
    """Whether the instance is as expected; the reason names the disks that are not, and what each waits for."""
    if instance is None or not runs(instance):
        return Verdict(FAILED, "the machine stopped before; run the task again")
    disks = elements_of(instance.get("spec"))
    waits = [
        f"disk {name!r} is still attached ({_phase(instance, name)})"
        for name in expected.detached
        if (name in disks and disks[name].volume is not None) or status_of(instance, name)
    ]
    for name, wanted in expected.attached.items():
        has_volume = name in disks and volume_runs(wanted, disks[name])
        if not has_volume or status_of(instance, name).get("phase") != _READY:
            waits.append(f"disk {name!r} is not attached ({_phase(instance, name)})")
    for name, size in expected.grown.items():
        capacity = capacity_of(instance, name)
        if capacity < size:
            waits.append(f"disk {name!r} has a claim of {rough(capacity)}, and grows to {rough(size)}")
    if waits and (instance.get("status") or {}).get("phase") != "Running":
        waits.append(f"the instance is {(instance.get('status') or {}).get('phase') or 'Pending'}")
    if not waits:
        return Verdict(REACHED)
    failed = _not_synchronized(instance)
    if _NO_SLOTS in failed:
        return Verdict(FAILED, f"{'; '.join(waits)}: {_NO_SLOTS}; {_SLOTS_REMEDY}", _GRACE)
    return Verdict(WAITING, "; ".join([*waits, *([f"virt-handler reports: {failed}"] if failed else [])]))


def _not_synchronized(instance: Object) -> str:
    """Why virt-handler cannot bring the domain to the state of the instance; `` if it can."""
    condition = conditions(instance).get("Synchronized") or {}
    if condition.get("status") != "False":
        return ""
    return " ".join(str(condition.get("message") or condition.get("reason") or "").split()).rstrip(".")


def capacity_of(instance: Object, name: str) -> int:
    """The capacity of the claim of a volume, as the instance knows it."""
    info = status_of(instance, name).get("persistentVolumeClaimInfo") or {}
    return whole_bytes((info.get("capacity") or {}).get("storage", 0))


def _phase(instance: Object, name: str) -> str:
    """`Pending: PVC is in phase ClaimPending (pod hp-volume-x)`."""
    status = status_of(instance, name)
    if not status:
        return "not yet known to the instance"
    message = str(status.get("message") or "").strip().rstrip(".")
    pod = (status.get("hotplugVolume") or {}).get("attachPodName")
    shown = f"{status.get('phase') or 'Pending'}{f': {message}' if message else ''}"
    return f"{shown} (pod {pod})" if pod and pod not in shown else shown


def moved(instance: Object | None) -> t.Hashable:
    """What changes when an instance progresses."""
    status = (instance or {}).get("status") or {}
    volumes = status.get("volumeStatus") or []
    return status.get("phase"), tuple((each.get("name"), each.get("phase"), each.get("message")) for each in volumes)


def failure(machine: Object | None) -> Verdict | None:
    """Why virt-controller cannot change the instance, as the machine's condition says; None if it can."""
    condition = conditions(machine).get("Failure") or {}
    message = " ".join(str(condition.get("message") or "").split())
    if condition.get("status") != "True" or "hotplug" not in message:
        return None
    return Verdict(FAILED, f"KubeVirt refuses it: {message.rstrip('.')}", _GRACE)


def restart_condition(machine: Object) -> str | None:
    """What KubeVirt's condition RestartRequired says; None if it is not set."""
    condition = conditions(machine).get("RestartRequired") or {}
    if condition.get("status") != "True":
        return None
    return str(condition.get("message") or "KubeVirt gives no reason")
