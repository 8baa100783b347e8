# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a running instance has its disks, and whether the claims of disks can be used."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.attachment import (
    Expected,
    failure,
    judge,
    restart_condition,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.elements import Element
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.gates import (
    DECLARATIVE,
    IMPERATIVE,
    OFF,
    way_by_refusal,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.plan import Change
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.sources import (
    Source,
    filling,
    is_missing,
    needs_source,
    problems_of_source,
)

from tests.unit.plugins._virtual_machine.disks import Object, disk, hot, instance, volume

HOT = Element(disk(), hot())
ATTACHED, DETACHED, GROWN = Expected({"data": HOT}), Expected(detached=["data"]), Expected(grown={"data": 2 << 30})


def running(*elements: Element, phase: str = "Running", **status: Any) -> Object:
    volumes = [{"name": "data", **status}] if status else []
    return instance(*elements, status={"phase": phase, "volumeStatus": volumes})


POD: dict[str, Any] = {"hotplugVolume": {"attachPodName": "hp-1"}}
CAPACITY: dict[str, Any] = {"persistentVolumeClaimInfo": {"capacity": {"storage": "1Gi"}}}
VERDICTS: dict[str, tuple[Expected, Object | None, str, str]] = {
    "no instance": (ATTACHED, None, FAILED, "the machine stopped before; run the task again"),
    "ended": (ATTACHED, running(phase="Failed"), FAILED, "the machine stopped before; run the task again"),
    "not known": (ATTACHED, running(), WAITING, "disk 'data' is not attached (not yet known to the instance)"),
    "pending": (
        ATTACHED,
        running(HOT, phase="Running", message="PVC is in phase ClaimPending.", **POD),
        WAITING,
        "disk 'data' is not attached (Pending: PVC is in phase ClaimPending (pod hp-1))",
    ),
    "starting": (
        ATTACHED,
        running(phase="Scheduling"),
        WAITING,
        "disk 'data' is not attached (not yet known to the instance); the instance is Scheduling",
    ),
    "still the other volume": (
        ATTACHED,
        instance(
            Element(disk(), hot("other")),
            status={"phase": "Running", "volumeStatus": [{"name": "data", "phase": "Ready"}]},
        ),
        WAITING,
        "disk 'data' is not attached (Ready)",
    ),
    "attached": (
        ATTACHED,
        instance(HOT, status={"phase": "Running", "volumeStatus": [{"name": "data", "phase": "Ready"}]}),
        REACHED,
        "",
    ),
    "detaching": (
        DETACHED,
        instance(status={"phase": "Running", "volumeStatus": [{"name": "data", "phase": "Detaching", **POD}]}),
        WAITING,
        "disk 'data' is still attached (Detaching (pod hp-1))",
    ),
    "detached": (DETACHED, running(), REACHED, ""),
    "growing": (GROWN, running(HOT, **CAPACITY), WAITING, "disk 'data' has a claim of 1Gi, and grows to 2Gi"),
}


@pytest.mark.parametrize(
    ("message", "state", "reason"),
    [
        (
            "server error. command SyncVMI failed: internal error: No more available PCI slots",
            FAILED,
            "disk 'data' is not attached (not yet known to the instance): No more available PCI slots; set bus=scsi, "
            "or give the machine a network interface, with which KubeVirt keeps slots free, and restart it",
        ),
        (
            "failed to open /data.",
            WAITING,
            "disk 'data' is not attached (not yet known to the instance); virt-handler reports: failed to open /data",
        ),
    ],
)
def test_failure_of_the_domain_is_part_of_the_reason(message: str, state: str, reason: str) -> None:
    there = running()
    there["status"]["conditions"] = [{"type": "Synchronized", "status": "False", "message": message}]
    assert judge(ATTACHED, there)[:2] == (state, reason)


@pytest.mark.parametrize("case", VERDICTS.values(), ids=list(VERDICTS))
def test_verdict_on_a_running_instance(case: tuple[Expected, Object | None, str, str]) -> None:
    expected, there, state, reason = case
    assert judge(expected, there)[:2] == (state, reason)


def test_failure_of_another_kind_is_none_of_the_disks() -> None:
    def machine(message: str, status: str = "True") -> Object:
        return {"status": {"conditions": [{"type": "Failure", "status": status, "message": message}]}}

    found = failure(machine("Error while handling declarative hotplug volumes:\n no room."))
    assert found and found[:2] == (
        FAILED,
        "KubeVirt refuses it: Error while handling declarative hotplug volumes: no room",
    )
    assert failure(machine("failed to create the pod")) is None
    assert failure(machine("hotplug", "False")) is None
    assert failure({}) is None


def test_restart_condition_is_only_reported_while_it_is_set() -> None:
    condition = {"type": "RestartRequired", "status": "True", "message": "changed"}
    assert restart_condition({"status": {"conditions": [condition]}}) == "changed"
    assert restart_condition({"status": {"conditions": [{**condition, "status": "False"}]}}) is None


@pytest.mark.parametrize(
    ("code", "words", "way"),
    [
        (400, "Enable DeclarativeHotplugVolumes or HotplugVolumes feature gate to use this API.", OFF),
        (400, "VMI demo/web is owned by a VM", DECLARATIVE),
        (409, "Unable to remove volume because it does not exist", IMPERATIVE),
        (403, "forbidden", None),
        (0, "no answer", None),
    ],
)
def test_way_by_the_refusal_of_a_dry_run(code: int, words: str, way: str | None) -> None:
    assert way_by_refusal(ApiError(words, code)) == way


def attach(volume_element: Object, device: Object | None = None) -> Change:
    return Change("data", Element(), Element(device or disk(), volume_element))


def stored(kind: str = "claim", phase: str = "", modes: tuple[str, ...] = ("ReadWriteOnce",), **more: Any) -> Object:
    spec = {"accessModes": list(modes), **more.pop("spec", {})}
    status = {"phase": phase} if phase else {}
    return {"metadata": {"name": "data", **more}, "spec": spec if kind == "claim" else {}, "status": status}


def too_small(phase: str = "ImportInProgress") -> Object:
    """A DataVolume whose image does not fit. CDI tries again for ever."""
    message = "DataVolume too small to contain image"
    running = {"type": "Running", "status": "False", "reason": "Error", "message": message}
    spec = {"storage": {"resources": {"requests": {"storage": "32Mi"}}}}
    return {**stored("volume"), "spec": spec, "status": {"phase": phase, "conditions": [running]}}


NO_USERS: dict[str, Any] = {"pods": [], "virtual_machines": [], "clones": []}
OTHER: dict[str, Any] = {**NO_USERS, "virtual_machines": [{"name": "other", "running": True}]}
IN_USE = (
    "Disk 'data' uses claim 'data' (ReadWriteMany), which is in use by VirtualMachine demo/other; stop that first, or "
    "set shareable=true on all of its disks, or use another volume."
)
SOURCES: dict[str, tuple[Change, Source, list[str]]] = {
    "fine": (attach(volume()), Source(stored(), None, NO_USERS), []),
    "own machine": (
        attach(volume()),
        Source(stored(), None, {**NO_USERS, "virtual_machines": [{"name": "web", "running": True}]}),
        [],
    ),
    "stopped machine": (
        attach(volume()),
        Source(stored(), None, {**NO_USERS, "virtual_machines": [{"name": "other", "running": False}]}),
        [],
    ),
    "being deleted": (
        attach(volume()),
        Source(stored(deletionTimestamp="2026-01-01T00:00:00Z"), None, NO_USERS),
        [
            "Disk 'data' uses claim 'data', which is being deleted; wait until it is gone, and create it with module "
            "kubevirt.cdi.data_volume."
        ],
    ),
    "not filled": (
        attach(volume()),
        Source(stored(), stored("volume", "Failed"), NO_USERS),
        [
            "Disk 'data' uses claim 'data', which CDI could not fill (phase Failed); correct its source, or create it "
            "again."
        ],
    ),
    "smaller than its image": (
        attach(volume()),
        Source(stored(), too_small(), NO_USERS),
        [
            "Disk 'data' uses claim 'data' of 32Mi, which is smaller than its image: DataVolume too small to contain "
            "image; create it again with a larger size."
        ],
    ),
    "grew after such an error": (attach(volume()), Source(stored(), too_small("Succeeded"), NO_USERS), []),
    "in use, not shared": (attach(volume()), Source(stored(modes=("ReadWriteMany",)), None, OTHER), [IN_USE]),
    "in use, shared": (
        attach(volume(), disk(shareable=True)),
        Source(stored(modes=("ReadWriteMany",)), None, OTHER),
        [],
    ),
    "in use, once": (
        attach(volume(), disk(shareable=True)),
        Source(stored(), None, OTHER),
        [
            "Disk 'data' uses claim 'data' (ReadWriteOnce), which is in use by VirtualMachine demo/other; stop that "
            "first, or use another volume."
        ],
    ),
    "lun": (
        attach(volume(), {"name": "data", "lun": {"bus": "scsi"}}),
        Source(stored(spec={"volumeMode": "Block"}), None, NO_USERS),
        [],
    ),
}


@pytest.mark.parametrize("case", SOURCES.values(), ids=list(SOURCES))
def test_problems_of_the_source_of_a_disk(case: tuple[Change, Source, list[str]]) -> None:
    change, source, sentences = case
    assert list(problems_of_source(change, source, ("demo", "web"))) == sentences


def test_volume_that_is_being_filled_is_no_problem() -> None:
    change, source = attach(volume()), Source(None, stored("volume", "ImportInProgress"), NO_USERS)
    assert (is_missing(change, source), list(problems_of_source(change, source, ("demo", "web")))) == ("", [])
    assert filling(change, source) == "claim 'data' is in phase ImportInProgress"


def test_source_is_only_looked_at_when_the_machine_begins_to_use_it() -> None:
    same, other = Element(disk(), volume()), Element(disk(cache="none"), volume())
    assert needs_source(attach(volume()))
    assert not needs_source(Change("data", same, other)), "only the device changes"
    assert not needs_source(Change("data", same, Element()))
    assert needs_source(Change("data", HOT, HOT, Element(), hot=True)), "only the template has it"
