# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which method CDI has cloned by, read from the target claim, and why."""

from __future__ import annotations

import typing as t

from .._cdi.names import CLONE_ERROR, CLONE_REQUEST, METHOD, PREFIX
from .._kubernetes.objects import Object, annotations_of

# The field manager of CDI's controller.
_CONTROLLER = "cdi-controller"
_UNDECIDED = (None, "", "Pending", "PendingPopulation", "WaitForFirstConsumer")


def clone_facts(volume: Object | None, claim: Object | None) -> dict[str, t.Any]:
    """How a volume was cloned, by the annotations of its claim; those of the DataVolume come later and are fewer.

    `method` is None for a volume that is not a clone, or whose method CDI has not chosen yet (clone-populator.go,
    v1.65.0).
    """
    recorded = annotations_of(claim) or annotations_of(volume)
    stored = volume if volume is not None else claim or {}
    forced = (
        is_clone(volume, claim)
        and "managedFields" in stored.get("metadata", {})
        and set_by_user(stored, METHOD) is not None
    )
    reason, phase = (annotations_of(claim).get(f"{PREFIX}{name}") for name in ("cloneFallbackReason", "clonePhase"))
    volume_phase = ((volume or {}).get("status") or {}).get("phase")
    # Until CDI has begun, the annotation of a forced method is only a request.
    begun = phase or reason or (claim is None and volume_phase not in _UNDECIDED) or not forced
    return {
        "method": recorded.get(METHOD) if begun and is_clone(volume, claim) else None,
        "forced": forced,
        "fallback": bool(reason),
        "fallback_reason": reason,
        "phase": phase,
        "error": annotations_of(claim).get(CLONE_ERROR),
    }


def set_by_user(stored: Object | None, annotation: str) -> str | None:
    """The value of an annotation unless only CDI has set it, by the field managers of a stored object; else None."""
    entries = ((stored or {}).get("metadata") or {}).get("managedFields")
    owners = [
        entry.get("manager") or ""
        for entry in entries or []
        if f"f:{annotation}" in ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations", {})
    ]
    ours = entries is not None and not any(owner != _CONTROLLER for owner in owners)
    return None if ours else annotations_of(stored).get(annotation)


def is_clone(volume: Object | None, claim: Object | None) -> bool:
    """Whether a volume is a clone, by the source of its DataVolume, or of its claim without one."""
    if volume is not None:
        spec = volume.get("spec") or {}
        return bool({"pvc", "snapshot"} & set(spec.get("source") or {})) or "sourceRef" in spec
    source = ((claim or {}).get("spec") or {}).get("dataSourceRef") or {}
    return source.get("kind") == "VolumeCloneSource" or CLONE_REQUEST in annotations_of(claim)


def explain(facts: dict[str, t.Any], override: str | None, strategy: str | None, storage_class: str | None) -> str:
    """One sentence on why CDI chose the method. `strategy` is the storage profile's, `override` the CDI object's."""
    method = facts["method"]
    if facts["fallback"]:
        return f"CDI fell back to {method}: {facts['fallback_reason']}."
    if method is None:
        return "CDI has recorded no clone method."
    if facts["forced"]:
        return f"The annotation {METHOD} requested it, and CDI did not check it."
    if override == method:
        return f"The CDI object's cloneStrategyOverride requests {method}."
    if strategy == method:
        return f"The storage profile of {storage_class} has the strategy {method}."
    now = f"has the strategy {strategy}" if strategy else "has no strategy"
    return f"{method} was chosen when the clone was created; the storage profile of {storage_class} now {now}."
