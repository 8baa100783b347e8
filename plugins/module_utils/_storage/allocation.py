# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short-lived pods that read volumes, as those of CDI do, and how many bytes of a volume are allocated. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object, conditions
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict

SECONDS = 60
VOLUME: t.Final = "/volume"
_QEMU = 107  # The user and group of CDI's workers and of the images that they write (pkg/common/common.go, v1.65.0).
_PREFIX = "kubevirt-cdi-allocation-"
_ENDED = ("Succeeded", "Failed")
# For a disk image, its blocks are counted; for an archive, all files of the volume. The cloner's image has bash, stat
# and du for its own use.
SCRIPT = """
set -o pipefail
if [ -e disk.img ]; then
  stat --format='%b %B %s' disk.img | { read -r blocks unit size; echo "$((blocks * unit)) $size"; }
else
  allocated=$(du --summarize --block-size=1 .) &&
    size=$(du --summarize --block-size=1 --apparent-size .) &&
    echo "${allocated%%[!0-9]*} ${size%%[!0-9]*}"
fi > /dev/termination-log 2>&1
"""
BLOCK: t.Final = "A block device does not show which blocks its storage has allocated; query the storage."


class Environment(t.NamedTuple):
    """How CDI runs its workers: image, pull policy and pull secrets of the cloner, and the placement in
    CDI.spec.workload."""

    image: str
    pull_policy: str
    pull_secrets: list[Object]
    placement: Object


class Job(t.NamedTuple):
    """What a pod does: the start of its name, a script of bash in the directory of the volume, for so many seconds at
    most, with these limits. What it writes to /dev/termination-log is its result.
    """

    prefix: str
    script: str
    seconds: int
    cpu: str
    memory: str


_JOB = Job(_PREFIX, SCRIPT, SECONDS, cpu="250m", memory="64Mi")


def obstacle(volume: Object, claim: Object | None) -> str | None:
    """Why a volume cannot be measured; None when it can."""
    if not filled(volume):
        return "The volume is not filled."
    if claim is None or not bound(claim):
        return "The claim is not bound."
    return BLOCK if claim["spec"].get("volumeMode") == "Block" else None


def filled(volume: Object) -> bool:
    return (volume.get("status") or {}).get("phase") == "Succeeded"


def bound(claim: Object | None) -> bool:
    return ((claim or {}).get("status") or {}).get("phase") == "Bound"


def judge_bound(claim: Object | None) -> Verdict:
    """Whether a claim is bound."""
    return Verdict(REACHED) if bound(claim) else Verdict(WAITING if claim else FAILED)


def occupant(claim: Object, pods: t.Iterable[Object]) -> str | None:
    """Why no other pod can mount the claim beside these pods of its namespace; None when one can."""
    if "ReadWriteOncePod" not in claim["spec"].get("accessModes", []):
        return None
    users = using(pods, claim["metadata"]["name"])
    return (
        f"Pod {users[0]['metadata']['namespace']}/{users[0]['metadata']['name']} has the claim for itself "
        "(ReadWriteOncePod)."
        if users
        else None
    )


def using(pods: t.Iterable[Object], claim_name: str) -> list[Object]:
    """The pods that use a claim of their namespace."""

    def mounts(pod: Object) -> bool:
        volumes = pod["spec"].get("volumes") or []
        return any((each.get("persistentVolumeClaim") or {}).get("claimName") == claim_name for each in volumes)

    return [pod for pod in pods if (pod.get("status") or {}).get("phase") not in _ENDED and mounts(pod)]


def is_measuring(pod: Object) -> bool:
    """Whether this is a pod of `measuring_pod`."""
    return str(pod["metadata"].get("generateName") or "") == _PREFIX


def measuring_pod(claim: Object, users: t.Iterable[Object], environment: Environment) -> Object:
    """A pod that measures the claim, on the node where it is in use."""
    metadata = claim["metadata"]
    nodes = [pod["spec"]["nodeName"] for pod in using(users, metadata["name"]) if pod["spec"].get("nodeName")]
    shared = {"ReadOnlyMany", "ReadWriteMany"} & set(claim["spec"].get("accessModes", []))
    return volume_pod(claim, environment, _JOB, nodes[0] if nodes and not shared else None)


def volume_pod(claim: Object, environment: Environment, job: Job, node: str | None = None) -> Object:
    """A pod that mounts the claim read-only and is deleted with it. A block device is the file VOLUME."""
    metadata = claim["metadata"]
    is_block = claim["spec"].get("volumeMode") == "Block"
    mounted: Object = (
        {"volumeDevices": [{"name": "volume", "devicePath": VOLUME}]}
        if is_block
        else {"workingDir": VOLUME, "volumeMounts": [{"name": "volume", "mountPath": VOLUME, "readOnly": True}]}
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": job.prefix,
            "namespace": metadata["namespace"],
            "labels": {"app.kubernetes.io/managed-by": "kubevirt.cdi"},
            # A sidecar would keep the pod from ending, as with CDI's own workers.
            "annotations": {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": metadata["name"], "uid": metadata["uid"]}
            ],
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": job.seconds,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _QEMU,
                "runAsGroup": _QEMU,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "imagePullSecrets": environment.pull_secrets,
            **{
                key: environment.placement[key]
                for key in ("nodeSelector", "affinity", "tolerations")
                if environment.placement.get(key)
            },
            **({"nodeName": node} if node else {}),
            "containers": [
                {
                    "name": "reader",
                    "image": environment.image,
                    "imagePullPolicy": environment.pull_policy,
                    "command": ["/bin/bash", "-c", job.script],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": job.cpu, "memory": job.memory},
                    },
                    **mounted,
                }
            ],
            "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": metadata["name"]}}],
        },
    }


def judge_pod(pod: Object | None) -> Verdict:
    """Whether such a pod has ended, or cannot."""
    if pod is None:
        return Verdict(FAILED, "it was deleted")
    status = pod.get("status") or {}
    if status.get("phase") == "Succeeded":
        return Verdict(REACHED)
    containers = status.get("containerStatuses") or [{}]
    state = containers[0].get("state") or {}
    if status.get("phase") == "Failed":
        return Verdict(FAILED, (state.get("terminated") or {}).get("message") or status.get("message") or "it failed")
    waiting = state.get("waiting") or {}
    scheduled = conditions(pod).get("PodScheduled", {})
    unscheduled = scheduled.get("message") if scheduled.get("status") == "False" else None
    reason = waiting.get("message") or unscheduled or waiting.get("reason") or status.get("phase") or "Pending"
    if waiting.get("reason") in (
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerError",
    ):
        return Verdict(FAILED, reason)
    return Verdict(WAITING, reason)


def message_of(pod: Object) -> str:
    """What a pod that has ended wrote to its termination log."""
    message = pod["status"]["containerStatuses"][0]["state"]["terminated"].get("message") or ""
    return str(message).strip()


def measured(pod: Object) -> dict[str, t.Any]:
    """What a pod that has ended measured: `allocated_bytes`, `size_bytes`, `not_measured`."""
    allocated, _space, size = message_of(pod).partition(" ")
    if not (allocated.isdecimal() and size.isdecimal()):
        return not_measured(f"The measuring pod reported {message_of(pod)!r}.")
    return {"allocated_bytes": int(allocated), "size_bytes": int(size), "not_measured": None}


def not_measured(reason: str) -> dict[str, t.Any]:
    return {"allocated_bytes": None, "size_bytes": None, "not_measured": reason}
