# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of KubeVirt, the scheduler, the kubelet and QEMU mean for a machine: the cause, and the remedy.

The words are those of KubeVirt v1.8.2, Kubernetes v1.34 and QEMU 10. Pure rules.
"""

from __future__ import annotations

import re
import typing as t

from .._diagnosis.rules import LASTING, Diagnosis

CLAIM_MISSING, CLAIM_PENDING, NOT_SYNCHRONIZED = "claim_missing", "claim_pending", "not_synchronized"
VOLUME_FILLING, NOTHING_TO_BOOT = "volume_filling", "nothing_to_boot"


_READ_ONLY = "the volume of disk {disk!r} is mounted read-only, and the disk is writable"
_READ_ONLY_REMEDY = "set read_only=true for the disk, or read_only=false for its claim"


class FaultRule(t.NamedTuple):
    """`words` is a regular expression. Its named groups can be used in `message`, which is the text if it is empty,
    and in `remedy`. For `grace` see Diagnosis."""

    words: str
    cause: str
    message: str
    remedy: str
    grace: float | None = LASTING


# The first rule that matches any text counts.
FAULT_RULES: t.Final = (
    # pkg/virt-controller/watch/vm/vm.go authorizeDataVolume: KubeVirt asks as the service account of the machine.
    FaultRule(
        r"not authorized to create DataVolume: User system:serviceaccount:(?P<namespace>[^: ]+):(?P<account>\S+) has "
        r"insufficient permissions in clone source namespace (?P<source>[^\s:]+)",
        "clone_not_permitted",
        "KubeVirt creates the DataVolume for ServiceAccount {namespace}/{account}, which is not permitted to clone "
        "from namespace {source!r}: it lacks the verb create on datavolumes/source there",
        "grant it with module kubevirt.cdi.clone_permission (namespace={source}, service_accounts=[{{name: {account}, "
        "namespace: {namespace}}}])",
    ),
    FaultRule(
        r"(not authorized|failed) to create DataVolume: (?P<why>.*)",
        "data_volume_refused",
        "KubeVirt cannot create the DataVolume: {why}",
        "correct data_volume_template",
    ),
    FaultRule(
        r"PVC [^\s/]+/(?P<claim>\S+) does not exist|PVC (?P<plugged>\S+) not found",
        CLAIM_MISSING,
        "",
        "create it with module kubevirt.cdi.data_volume, or correct the name",
    ),
    FaultRule(
        r"(?P<what>pods? .*exceeded quota: (?P<quota>[^,]+), .*)",
        "quota_exceeded",
        "the machine's pod is rejected: {what}",
        "raise ResourceQuota {quota!r}, or stop another machine of the namespace",
    ),
    FaultRule(
        "failed to create virtual machine pod: (?P<why>.*)",
        "pod_refused",
        "the machine's pod is rejected: {why}",
        "correct the disks or volumes that the API server rejects, or have the policy of the namespace changed",
    ),
    FaultRule(
        r'(?s)"(?P<image>[^"]+)".*no match for platform',
        "image_architecture",
        "the index of container image {image!r} has no image for the architecture of the node",
        "use an image with a part for this architecture, or without an index of architectures",
        LASTING * 2,
    ),
    FaultRule(
        "^(ErrImagePull|ImagePullBackOff|InvalidImageName)",
        "image_pull_failed",
        "",
        "correct container_disk.image, set image_pull_secret, or make the image available to the node",
        LASTING * 2,
    ),
    FaultRule(
        "failed to find a sourceFile in containerDisk (?P<disk>[^:]+):.* path (?P<path>[^:]+): lstat",
        "image_without_disk",
        "the container image of disk {disk!r} has no disk image at {path}",
        "set container_disk.path to the file in the image, or use an image with one file in /disk",
    ),
    FaultRule(
        "ReadWriteOncePod access mode already in-use",
        "claim_in_use",
        "a claim of the machine has access mode ReadWriteOncePod, and another pod uses it",
        "stop that pod or machine, or use another volume",
    ),
    FaultRule(
        "unbound immediate PersistentVolumeClaims",
        CLAIM_PENDING,
        "",
        "check the claims of the machine with module kubevirt.cdi.data_volume_info, and their storage classes",
        None,
    ),
    FaultRule(
        "volume node affinity conflict",
        "volume_elsewhere",
        "",
        "let the machine run on a node that has its volumes, or use volumes of one zone",
    ),
    # The end of other pods or an autoscaler makes room.
    FaultRule(
        r"Insufficient |Too many pods",
        "unschedulable",
        "",
        "free resources on a node, or request less for the machine",
        None,
    ),
    FaultRule(
        r"node affinity/selector|untolerated taint",
        "unschedulable",
        "",
        "correct architecture, nodeSelector and tolerations of the machine, or have virt-handler started on a node "
        "(label kubevirt.io/schedulable=true)",
    ),
    FaultRule(
        r'for volume "(?P<volume>[^"]+)" : secret "(?P<name>[^"]+)" not found',
        "secret_missing",
        "Secret {name!r} of volume {volume!r} does not exist",
        "create it in the namespace of the machine, or correct its name",
    ),
    FaultRule(
        r'for volume "(?P<volume>[^"]+)" : configmap "(?P<name>[^"]+)" not found',
        "config_map_missing",
        "ConfigMap {name!r} of volume {volume!r} does not exist",
        "create it in the namespace of the machine, or correct its name",
    ),
    FaultRule(
        "FailedAttachVolume|FailedMapVolume|MountVolume\\.",
        "mount_failed",
        "",
        "check the log of the storage driver on the node, and whether another node uses the volume",
        None,
    ),
    FaultRule(
        "device='lun' is only valid for block type disk source",
        "wrong_volume_mode",
        "a disk has type=lun, and its claim has volumeMode=Filesystem, but a LUN is a block device",
        "use a volume with volume_mode=Block, or set type=disk",
    ),
    FaultRule(
        r'[Ff]ailed to get "[^"]*" lock.*?(?:/vmi-disks/|/hotplug-disks/|/dev/)(?P<disk>[^/.\]]+)',
        "claim_in_use",
        "the image of disk {disk!r} is in use by another machine on the node",
        "stop the other machine, or use another volume; data_volume_info with find_users=true finds it",
    ),
    FaultRule(
        r"vmi-disks/(?P<disk>[^/']+)/[^']*': Read-only file system",
        "volume_read_only",
        _READ_ONLY,
        _READ_ONLY_REMEDY,
    ),
    FaultRule(
        "Failed to change ownership of HostDisk dir (?P<disk>[^,]+),.*read-only file system",
        "volume_read_only",
        _READ_ONLY,
        _READ_ONLY_REMEDY,
    ),
    FaultRule(
        r"vmi-disks/(?P<disk>[^/']+)/[^']*': Permission denied",
        "image_not_readable",
        "QEMU must not read the image of disk {disk!r}",
        "make disk.img readable for user 107, as CDI does",
    ),
    FaultRule(
        "unable to create (?P<path>\\S+), not enough space|No space left on device",
        "volume_full",
        "",
        "request a larger volume, or raise pvcTolerateLessSpaceUpToPercent of KubeVirt",
    ),
    FaultRule(
        "unsupported configuration: (?P<why>.*?)'?\\)?$",
        "disk_not_supported",
        "libvirt rejects the machine: {why}",
        "correct the option that the message names",
    ),
)


def matched(texts: t.Sequence[str]) -> Diagnosis | None:
    """What the texts about one machine mean; None without a rule for any of them."""
    for rule in FAULT_RULES:
        for text in texts:
            found = re.search(rule.words, text)
            if found:
                groups = {key: value or "" for key, value in found.groupdict().items()}
                message = rule.message.format(**groups) if rule.message else text
                return Diagnosis(rule.cause, message, rule.remedy.format(**groups), rule.grace)
    return None
