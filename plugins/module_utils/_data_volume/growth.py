# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a volume may grow, and when its claim has grown. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.quantity import like, rough, whole_bytes
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from .resize import grown_to, requested_bytes

# An earlier growth may still be reported for this long before the storage begins the new one.
_SETTLES = 10.0


def refuse_growth(volume: Object, claim: Object | None, size: int, typed: str | None = None) -> None:
    """Raises CdiError when a volume cannot grow to `size` bytes now. `typed` is the size as the user wrote it."""
    metadata, phase = volume["metadata"], (volume.get("status") or {}).get("phase") or "Pending"
    title = f"DataVolume {metadata['namespace']}/{metadata['name']}"
    recorded = grown_to(claim) if claim else None
    if recorded is not None:
        if recorded > size:
            least = like(recorded, typed)
            raise CdiError(
                f"{title} has grown to {least} and cannot shrink to {like(size, typed)}; request at least {least}."
            )
        return
    if claim is None or phase != "Succeeded" or (claim.get("status") or {}).get("phase") != "Bound":
        raise CdiError(
            f"{title} cannot grow to {like(size, typed)} in phase {phase}; "
            "wait until it is filled, or set on_drift=recreate to delete it with its data and create it again."
        )


def judge_growth(claim: Object | None) -> Verdict:
    """Whether a claim has the size that it requests.

    With the condition FileSystemResizePending the storage has done its part: the file system grows when a pod next uses
    the claim. The condition may be that of an earlier growth, which `allocatedResources` shows: the size that was last
    requested from the storage. Clusters without that field show no more.
    """
    if claim is None:
        return Verdict(FAILED, "its claim was deleted while it grew")
    status, requested = claim.get("status") or {}, requested_bytes(claim)
    capacity = whole_bytes((status.get("capacity") or {}).get("storage", 0))
    found = {
        condition["type"]: condition
        for condition in status.get("conditions") or []
        if condition.get("status") == "True"
    }
    allocated = (status.get("allocatedResources") or {}).get("storage")
    pending = "FileSystemResizePending" in found
    if capacity >= requested or (pending and (allocated is None or whole_bytes(allocated) >= requested)):
        return Verdict(REACHED)
    refused = next((found[kind] for kind in ("ControllerResizeError", "NodeResizeError") if kind in found), None)
    states = (status.get("allocatedResourceStatuses") or {}).get("storage", "")
    if states.endswith("Infeasible"):
        grace = 0.0 if allocated is None or whole_bytes(allocated) == requested else _SETTLES
        return Verdict(
            FAILED, f"the storage cannot grow it ({states}): {(refused or {}).get('message') or 'no message'}", grace
        )
    cause = f", {refused['type']}: {refused.get('message') or 'no message'}" if refused else ""
    size = (
        f"its claim has {rough(capacity)} and requests {rough(requested)}, with the overhead of the file system{cause}"
    )
    if pending and not refused:
        earlier = rough(whole_bytes(t.cast(str, allocated)))
        reason = f"{size}; its file system grows to {earlier} when a pod uses it: start a pod, then run the task again"
        return Verdict(FAILED, reason, _SETTLES)
    return Verdict(WAITING, size)
