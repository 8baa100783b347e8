# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a machine does not run, by what KubeVirt v1.8.2, Kubernetes v1.34 and QEMU 10 have reported of such machines."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, WAITING
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.elements import Element
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.faults import (
    Surroundings,
    boots_nothing,
    diagnose,
    verdict_of,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.plan import Declared
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.target import Target

from tests.unit.plugins._virtual_machine.disks import Object, disk, machine, volume
from tests.unit.plugins._virtual_machine.fault_cases import CASES, DATA, Case, around, failed, instance


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_cause_of_a_machine_that_does_not_run(case: Case) -> None:
    found = diagnose(failed(case), None if case.failure else instance(case), around(case))
    assert found is not None
    assert found.cause == case.cause
    assert case.message in found.message
    assert found.remedy and "{" not in found.message


def test_remedy_of_a_clone_grants_the_permission_to_the_service_account() -> None:
    found = diagnose(failed(CASES["clone"]), None)
    assert found is not None
    assert found.remedy == (
        "grant it with module kubevirt.cdi.clone_permission (namespace=images, service_accounts=[{name: default, "
        "namespace: demo}])"
    )
    assert verdict_of(found).state == FAILED


def test_machine_that_starts_as_expected_has_no_diagnosis() -> None:
    case = Case("", "")
    assert diagnose(machine(DATA), instance(case), around(case)) is None
    assert diagnose(machine(DATA), None) is None


@pytest.mark.parametrize(
    ("created", "status", "cause"),
    [
        ("2026-01-01T00:00:00Z", {}, "not_processed"),
        ("2026-01-01T00:00:00Z", {"conditions": [{"type": "Ready", "status": "False"}]}, ""),
        ("9999-01-01T00:00:00Z", {}, ""),
    ],
)
def test_machine_about_which_kubevirt_says_nothing(created: str, status: Object, cause: str) -> None:
    there = {**machine(DATA), "status": status}
    there["metadata"] = {**there["metadata"], "creationTimestamp": created}
    found = diagnose(there, None)
    assert (found.cause if found else "") == cause
    assert not found or verdict_of(found).state == WAITING


def test_events_of_an_earlier_instance_count_only_if_the_machine_fails_again_and_again() -> None:
    lock = CASES["lock, whose symptom is the condition"]
    fresh = instance(Case("", "", phase="Scheduling"))
    fresh["metadata"]["uid"] = "next"
    assert diagnose(machine(DATA), fresh, around(lock)) is None
    crashing = {**machine(DATA), "status": {"startFailure": {"consecutiveFailCount": 2}}}
    for there in (fresh, None):
        found = diagnose(crashing, there, around(lock))
        assert found and found.cause == "claim_in_use"


def test_events_of_a_machine_that_has_started_do_not_matter() -> None:
    case = CASES["read-only claim"]._replace(phase="Running")
    assert diagnose(machine(DATA), instance(case), around(case)) is None


@pytest.mark.parametrize(
    ("agents", "phase", "cause"),
    [
        ({"node": True}, "Scheduled", ""),
        ({"node": False}, "Scheduled", "agent_down"),
        ({"other": True}, "Scheduled", "agent_down"),
        ({"other": True}, "Running", "agent_down"),
        ({"other": True}, "Scheduling", ""),
        (None, "Scheduled", ""),
    ],
)
def test_node_without_its_agent(agents: dict[str, bool] | None, phase: str, cause: str) -> None:
    case = Case("", "", phase=phase)
    found = diagnose(machine(DATA), instance(case), around(case, agents=agents))
    assert (found.cause if found else "") == cause
    assert not found or "node 'node'" in found.message


def data_volume(phase: str, **status: Any) -> Object:
    metadata = {"name": "nothing", "namespace": "demo", "uid": "dv"}
    spec = {"source": {"http": {"url": "http://a/b"}}, "storage": {}}
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase, **status}}


NOT_FOUND = {
    "type": "Running",
    "status": "False",
    "reason": "Error",
    "message": "Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found",
}


@pytest.mark.parametrize(
    ("stored", "cause", "message", "state"),
    [
        (
            data_volume("ImportInProgress", conditions=[NOT_FOUND]),
            "source_not_found",
            "disk 'data' waits for DataVolume 'nothing' (phase ImportInProgress): Error: Unable to connect",
            FAILED,
        ),
        (
            data_volume("ImportInProgress", progress="12.50%"),
            "volume_filling",
            "disk 'data' waits for DataVolume 'nothing' (phase ImportInProgress, progress 12.50%)",
            WAITING,
        ),
        (data_volume("UploadReady"), "waiting_for_upload", "(phase UploadReady): CDI waits for a file", WAITING),
        (data_volume("Succeeded"), "", "", ""),
        # KubeVirt starts the pod that such a volume waits for.
        (data_volume("WaitForFirstConsumer"), "", "", ""),
    ],
)
def test_volume_that_is_not_filled(stored: Object, cause: str, message: str, state: str) -> None:
    for there in (None, instance(Case("", "", phase="Pending"))):
        found = diagnose(machine(DATA), there, around(Case("", ""), volumes={"nothing": stored}))
        assert (found.cause if found else "") == cause
        assert not found or (message in found.message and verdict_of(found).state == state)


def test_volume_of_the_template_of_a_machine_is_named_as_such() -> None:
    templates = {"dataVolumeTemplates": [{"metadata": {"name": "nothing"}}]}
    volumes = {"nothing": data_volume("ImportScheduled")}
    found = diagnose(machine(DATA, **templates), None, around(Case("", ""), volumes=volumes))
    assert found and "disk 'data' waits for DataVolume of its template 'nothing'" in found.message


def test_only_volumes_that_are_attached_matter_to_a_machine_that_runs() -> None:
    case = Case("", "", phase="Running")
    volumes = {"nothing": data_volume("ImportScheduled"), "other": data_volume("UploadReady")}
    found = diagnose(None, instance(case), around(case, volumes=volumes), {"hot": Element(disk(), volume("other"))})
    assert found and found.message.startswith("disk 'hot' waits for DataVolume 'other'")


def test_volume_of_another_disk_blocks_all_that_are_attached() -> None:
    case = Case("", "", phase="Running", element=Element(disk(), {"name": "data", "dataVolume": {"name": "nothing"}}))
    blocking = {"nothing": data_volume("ImportInProgress", conditions=[NOT_FOUND])}
    new = {"hot": Element(disk(), volume("other"))}
    there = instance(case)
    assert diagnose(None, there, around(case, volumes=blocking), new) is None
    there["spec"]["volumes"][0]["dataVolume"]["hotpluggable"] = True
    found = diagnose(None, there, around(case, volumes=blocking), new)
    assert found and found.cause == "source_not_found"
    assert found.message.startswith(
        "KubeVirt attaches no disk while disk 'data' waits for DataVolume 'nothing' (phase "
    )


def test_unbound_claim_has_the_reason_of_its_storage() -> None:
    case = CASES["unbound claim"]
    spec: Object = {"accessModes": ["ReadWriteOnce"], "storageClassName": "none"}
    spec["resources"] = {"requests": {"storage": "1Gi"}}
    claim = {"metadata": {"name": "nothing", "uid": "pvc"}, "spec": spec, "status": {}}
    about = {"kind": "PersistentVolumeClaim", "uid": "pvc", "name": "nothing"}
    message = 'storageclass.storage.k8s.io "none" not found'
    warning = {"metadata": {"uid": "e"}, "reason": "ProvisioningFailed", "message": message, "involvedObject": about}
    seen = Surroundings(Evidence([warning]), claims={"nothing": claim})
    found = diagnose(machine(DATA), instance(case), seen)
    assert found and found.cause == "storage_class_missing"
    assert found.message == f"claim 'nothing' of disk 'data' is not bound: ProvisioningFailed: {message}"


BOOT = "\x1bc\x1b[?7lSeaBIOS (version 1.16.3)\nBooting from Hard Disk...\nBoot failed: not a bootable disk\n"


@pytest.mark.parametrize(
    ("console", "message"),
    [
        (
            f"{BOOT}\r\nNo bootable device.\r\n",
            "its firmware finds nothing to boot (Boot failed: not a bootable disk): the disk is empty, or its image is "
            "for another architecture or for EFI",
        ),
        (BOOT, ""),
        (f"{BOOT}\nNo bootable device.\nBooting from DVD/CD...\nlogin:", ""),
        ("", ""),
    ],
)
def test_firmware_that_finds_nothing_to_boot(console: str, message: str) -> None:
    found = boots_nothing(console)
    assert (found.message if found else "") == message


@pytest.mark.parametrize(
    ("phase", "serial", "prints"), [("Running", True, True), ("Scheduled", True, False), ("Running", False, False)]
)
def test_firmware_is_only_heard_if_it_prints_on_the_console(phase: str, serial: bool, prints: bool) -> None:
    there = instance(Case("", "", phase=phase))
    there["spec"]["domain"]["firmware"] = {"bootloader": {"bios": {"useSerial": serial}}}
    assert Target(("demo", "web"), Declared((), False), machine(DATA), there).prints_firmware == prints
    assert not Target(("demo", "web"), Declared((), False), machine(DATA), instance(Case("", ""))).prints_firmware


def test_disk_is_unattached_until_its_volume_is_ready() -> None:
    there = instance(Case("", "", phase="Running"))
    target = Target(("demo", "web"), Declared((), False), machine(DATA), there)
    for status, names in (
        ([], []),
        ([{"name": "data", "phase": "Pending", "hotplugVolume": {}}], ["data"]),
        ([{"name": "data", "phase": "Ready", "hotplugVolume": {}}], []),
        # A disk of the start of the machine has no phase, and one that is detached is not in the spec any more.
        ([{"name": "data"}], []),
        ([{"name": "gone", "phase": "Detaching", "hotplugVolume": {}}], []),
    ):
        there["status"]["volumeStatus"] = status
        assert list(target.unattached) == names
        assert target.needs_look == bool(names)


STOPPED: dict[str, Any] = {"status": {"phase": "Succeeded"}}


@pytest.mark.parametrize(
    ("spec", "there", "late"),
    [
        ({"runStrategy": "Always"}, None, True),
        ({"running": True}, None, True),
        ({"runStrategy": "RerunOnFailure"}, None, True),
        ({"runStrategy": "Halted"}, None, False),
        ({"running": False}, None, False),
        ({}, None, False),
        ({"runStrategy": "Manual"}, {"status": {"phase": "Scheduling"}}, True),
        ({"runStrategy": "Always"}, {"status": {}}, True),
        ({"runStrategy": "Always"}, {"status": {"phase": "Running"}}, False),
        ({"runStrategy": "Always"}, {"status": {"phase": "Failed"}}, True),
        ({"runStrategy": "RerunOnFailure"}, STOPPED, False),
        ({"runStrategy": "Always"}, {"status": {"phase": "Running"}, "metadata": {"deletionTimestamp": "now"}}, False),
    ],
)
def test_machine_is_late_if_it_should_run_and_does_not(spec: Object, there: Object | None, late: bool) -> None:
    found = {"metadata": {"name": "web"}, **there} if there else None
    assert Target(("demo", "web"), Declared((), False), machine(DATA, **spec), found).is_late == late
