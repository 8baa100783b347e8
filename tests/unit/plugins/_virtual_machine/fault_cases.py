# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What KubeVirt v1.8.2, Kubernetes v1.34 and QEMU 10 report of machines that do not run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.elements import Element
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.faults import Surroundings

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
    # The words of the scheduler's plugin volumebinding.
    "zone of a volume": Case(
        "volume_elsewhere",
        "2 node(s) had volume node affinity conflict",
        {"PodScheduled": f"Unschedulable: {NODES}2 node(s) had volume node affinity conflict. no new claims"},
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
    # The words of KubeVirt's pkg/host-disk/host-disk.go.
    "claim without room for its image": Case(
        "volume_full",
        "unable to create /disks/data/disk.img, not enough space",
        {
            "Synchronized": "Synchronizing with the Domain failed.: unable to create /disks/data/disk.img, not enough "
            "space, demanded size 67108864 B is bigger than available space 60000000 B, also after taking 10 % "
            "toleration into account"
        },
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
