# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pods mount a claim, and what keeps a deleted object from going away."""

from __future__ import annotations

from .client import Connection
from .objects import Object
from .reader import Reader
from .resources import PERSISTENT_VOLUME_CLAIM, POD, Resource

_ENDED = ("Succeeded", "Failed")
_NAMED = 3
_PROTECTION = "kubernetes.io/pvc-protection"
_SECONDS = 10.0


def first_few(parts: list[str], last: str = ", ") -> str:
    shown = parts[:_NAMED] + ([f"{len(parts) - _NAMED} more"] if len(parts) > _NAMED else [])
    return last.join(shown)


def has_ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def is_mounted(pod: Object, claim: str) -> bool:
    """Whether a pod in the claim's namespace uses it and has not ended."""
    return not has_ended(pod) and claim in claims_of(pod)


def claims_of(pod: Object) -> set[str]:
    """The claims that a pod mounts. A claim for an ephemeral volume is named POD-VOLUME."""
    claims = set()
    for volume in (pod.get("spec") or {}).get("volumes") or []:
        if volume.get("persistentVolumeClaim"):
            claims.add(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral"):
            claims.add(f"{pod['metadata']['name']}-{volume['name']}")
    return claims


def held_by(connection: Connection, resource: Resource, stored: Object | None) -> str:
    """Why a deleted object still exists: the pods that use it, or the finalizers that remain."""
    metadata = (stored or {}).get("metadata") or {}
    finalizers = list(metadata.get("finalizers") or [])
    if not metadata.get("deletionTimestamp"):
        return "it is not marked for deletion"
    pods: list[Object] = []
    if resource is PERSISTENT_VOLUME_CLAIM and _PROTECTION in finalizers:
        pods = Reader(connection, within_seconds=_SECONDS).try_read(POD, metadata["namespace"]).items
    using = [
        f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in pods
        if is_mounted(pod, metadata["name"])
    ]
    if using:
        verb, pods_named = ("uses", "that pod") if len(using) == 1 else ("use", "those pods")
        return f"{first_few(using)} still {verb} it; delete {pods_named}, or stop what runs in it"
    return (
        f"finalizer {first_few(finalizers)} remains; check that its controller runs"
        if finalizers
        else "nothing is known to hold it"
    )
