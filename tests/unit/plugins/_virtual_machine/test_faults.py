# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a machine does not run, by what KubeVirt v1.8.2, Kubernetes v1.34 and QEMU 10 have reported of such machines."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

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

DATA = Element(disk(), volume("nothing"))
FILE = "/var/run/kubevirt-private/vmi-disks/data/disk.img"
# As virt-handler reports an error of libvirt, here of QEMU.
QEMU = (
    "server error. command SyncVMI failed: \"LibvirtError(Code=1, Domain=10, Message='internal error: QEMU "
    "unexpectedly closed the monitor (vm='demo_web'): 2026-11-29T21:52:15.103257Z qemu-system-x86_64: "
)
DEVICE = r"-device {\"driver\":\"virtio-blk-pci-non-transitional\",\"bus\":\"pci.3\",\"id\":\"ua-d\"}: "
NODES = "0/2 nodes are available: "
PULL = 'ImagePullBackOff: Back-off pulling image "registry:5000/a:1": ErrImagePull: rpc error: code = NotFound desc = '


class Case(NamedTuple):
    """What is reported, and the cause and a part of the message that follow."""

    cause: str
    message: str
    conditions: Mapping[str, str] = MappingProxyType({})
    failure: str = ""
    events: tuple[str, ...] = ()
    pod_events: tuple[str, ...] = ()
    phase: str = "Scheduled"
    element: Element = DATA


CASES = {
    "clone": Case(
        "clone_not_permitted",
        "KubeVirt creates the DataVolume for ServiceAccount demo/default, which is not permitted to clone from "
        "namespace 'images': it lacks the verb create on datavolumes/source there",
        failure="Error encountered while creating DataVolumes: not authorized to create DataVolume: User "
        "system:serviceaccount:demo:default has insufficient permissions in clone source namespace images",
    ),
    "other refusal of a DataVolume": Case(
        "data_volume_refused",
        "KubeVirt cannot create the DataVolume: admission webhook denied the request: no",
        failure="Error encountered while creating DataVolumes: failed to create DataVolume: admission webhook denied "
        "the request: no",
    ),
    "claim": Case(
        "claim_missing",
        "claim 'nothing' of disk 'data' does not exist; KubeVirt waits for it",
        {"Synchronized": "FailedPvcNotFound: PVC demo/nothing does not exist, waiting for it to appear"},
        phase="Pending",
    ),
    "DataVolume": Case(
        "claim_missing",
        "DataVolume 'nothing' of disk 'data' does not exist; KubeVirt waits for it",
        {"Synchronized": "FailedPvcNotFound: PVC demo/nothing does not exist, waiting for it to appear"},
        phase="Pending",
        element=Element(disk(), {"name": "data", "dataVolume": {"name": "nothing"}}),
    ),
    "quota of pods": Case(
        "quota_exceeded",
        'the machine\'s pod is rejected: pods "virt-launcher-web-wzrdx" is forbidden: exceeded quota: q, ',
        {
            "Synchronized": 'FailedCreate: failed to create virtual machine pod: pods "virt-launcher-web-wzrdx" is '
            "forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"
        },
        phase="Pending",
    ),
    "name of a volume": Case(
        "pod_refused",
        "must be no more than 63 characters",
        {
            "Synchronized": 'FailedCreate: failed to create virtual machine pod: Pod "virt-launcher-web" is invalid: '
            'spec.containers[2].name: Invalid value: "volumennn": must be no more than 63 characters'
        },
        phase="Pending",
    ),
    "image": Case(
        "image_pull_failed",
        "registry:5000/a:1: not found",
        {"Synchronized": f'{PULL}failed to resolve reference "registry:5000/a:1": registry:5000/a:1: not found'},
        phase="Scheduling",
    ),
    "architecture of an image": Case(
        "image_architecture",
        "the index of container image 'registry:5000/a:1' has no image for the architecture of the node",
        {"Synchronized": f'{PULL}failed to unpack image "registry:5000/a:1": no match for platform in manifest'},
        phase="Scheduling",
    ),
    "architecture of the machine": Case(
        "unschedulable",
        "2 node(s) didn't match Pod's node affinity/selector",
        {"PodScheduled": f"Unschedulable: {NODES}2 node(s) didn't match Pod's node affinity/selector. no new claims"},
        phase="Scheduling",
    ),
    "memory": Case(
        "unschedulable",
        "2 Insufficient memory",
        {"PodScheduled": f"Unschedulable: {NODES}2 Insufficient memory. no new claims to deallocate"},
        phase="Scheduling",
    ),
    "claim of one pod": Case(
        "claim_in_use",
        "a claim of the machine has access mode ReadWriteOncePod, and another pod uses it",
        {
            "PodScheduled": f"Unschedulable: {NODES}2 node(s) unavailable due to PersistentVolumeClaim with "
            "ReadWriteOncePod access mode already in-use by another pod. no new claims to deallocate"
        },
        phase="Scheduling",
    ),
    "unbound claim": Case(
        "claim_pending",
        "pod has unbound immediate PersistentVolumeClaims",
        {"PodScheduled": f"Unschedulable: {NODES}pod has unbound immediate PersistentVolumeClaims. not found"},
        phase="Scheduling",
    ),
    "Secret": Case(
        "secret_missing",
        "Secret 'nothing' of volume 'data-udata' does not exist",
        pod_events=(
            'FailedMount: MountVolume.SetUp failed for volume "data-udata" : failed to sync secret cache: timed out',
            'FailedMount: MountVolume.SetUp failed for volume "data-udata" : secret "nothing" not found',
        ),
        phase="Scheduling",
    ),
    "ConfigMap": Case(
        "config_map_missing",
        "ConfigMap 'nothing' of volume 'data' does not exist",
        pod_events=('FailedMount: MountVolume.SetUp failed for volume "data" : configmap "nothing" not found',),
        phase="Scheduling",
    ),
    "mount": Case(
        "mount_failed",
        'FailedMount: MountVolume.SetUp failed for volume "pvc-1" : rpc error: code = Internal desc = no',
        pod_events=('FailedMount: MountVolume.SetUp failed for volume "pvc-1" : rpc error: code = Internal desc = no',),
        phase="Scheduling",
    ),
    "mode of a claim": Case(
        "wrong_volume_mode",
        "volumeMode=Filesystem",
        {
            "Synchronized": 'Synchronizing with the Domain failed.: server error. command SyncVMI failed: "Libvirt'
            "Error(Code=67, Domain=20, Message='unsupported configuration: disk device='lun' is only valid for block "
            "type disk source')\""
        },
    ),
    "lock, whose symptom is the condition": Case(
        "claim_in_use",
        "the image of disk 'data' is in use by another machine on the node",
        {"Synchronized": "Synchronizing with the Domain failed.: containerdisk boot still not ready after one minute"},
        events=(
            "containerdisk boot still not ready after one minute",
            rf"{QEMU}{DEVICE}Failed to get \"write\" lock\nIs another process using the image [{FILE}]?')" + '"',
        ),
    ),
    "read-only claim": Case(
        "volume_read_only",
        "the volume of disk 'data' is mounted read-only, and the disk is writable",
        events=(f"{QEMU}-blockdev {{}}: Could not open '{FILE}': Read-only file system')\"",),
    ),
    "read-only claim with an image of another user": Case(
        "volume_read_only",
        "the volume of disk 'data' is mounted read-only, and the disk is writable",
        events=("Failed to change ownership of HostDisk dir data, chown /proc/self/fd/29: read-only file system",),
    ),
    "image that QEMU must not read": Case(
        "image_not_readable",
        "QEMU must not read the image of disk 'data'",
        events=(f"{QEMU}-blockdev {{}}: Could not open '{FILE}': Permission denied')\"",),
    ),
    "container image without a disk": Case(
        "image_without_disk",
        "the container image of disk 'data' has no disk image at /disk/none.img",
        {
            "Synchronized": "Synchronizing with the Domain failed.: failed to find a sourceFile in containerDisk data: "
            "failed to determine custom image path /disk/none.img: lstat /proc/1/root/run/disk/none.img: no such file"
        },
    ),
    "other problem of libvirt": Case(
        "disk_not_supported",
        "libvirt rejects the machine: no such thing",
        events=(
            "command SyncVMI failed: \"LibvirtError(Code=67, Message='unsupported configuration: no such thing')\"",
        ),
    ),
    "other problem": Case(
        "not_synchronized",
        "KubeVirt reports: the moon is full",
        {"Synchronized": "Synchronizing with the Domain failed.: server error. command SyncVMI failed"},
        events=("server error. command SyncVMI failed", "the moon is full"),
    ),
}


def instance(case: Case) -> Object:
    found = [
        {"type": kind, "status": "False", "reason": text.partition(": ")[0], "message": text.partition(": ")[2]}
        for kind, text in case.conditions.items()
    ]
    spec = machine(case.element)["spec"]["template"]["spec"]
    status = {"phase": case.phase, "conditions": found, "nodeName": "node"}
    return {"metadata": {"name": "web", "uid": "vmi"}, "spec": spec, "status": status}


def event(text: str, uid: str, kind: str) -> Object:
    reason, _colon, message = text.partition(": ") if kind == "Pod" else ("SyncFailed", "", text)
    about = {"kind": kind, "uid": uid, "name": "web"}
    return {"metadata": {"uid": text}, "reason": reason, "message": message, "involvedObject": about}


def around(case: Case, **more: Any) -> Surroundings:
    events = [event(text, "vmi", "VirtualMachineInstance") for text in case.events]
    events += [event(text, "pod", "Pod") for text in case.pod_events]
    metadata = {"name": "virt-launcher-web-1", "uid": "pod", "ownerReferences": [{"uid": "vmi"}]}
    return Surroundings(Evidence(events), pods=[{"metadata": metadata, "status": {"phase": "Pending"}}], **more)


def failed(case: Case) -> Object:
    found = [{"type": "Failure", "status": "True", "reason": "FailedCreate", "message": case.failure}]
    return {**machine(case.element), "status": {"conditions": found if case.failure else []}}


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
