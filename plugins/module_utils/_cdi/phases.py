# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a DataVolume is to get to, and whether it is there. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object, conditions

NEEDS_CONSUMER = ("WaitForFirstConsumer", "PendingPopulation")
# Why a volume is waited for of which `is_of_earlier_claim` holds.
OF_EARLIER_CLAIM = "CDI still reports the state of the deleted volume"


def goal(volume: t.Mapping[str, t.Any]) -> str:
    """What to wait for: `wait_for`, by default `upload_ready` for an upload and `succeeded` for all else."""
    uploads = (volume["source"] or {}).get("upload") is not None
    return volume["wait_for"] or ("upload_ready" if uploads else "succeeded")


def phase_of(stored: Object) -> str:
    return (stored.get("status") or {}).get("phase") or "Pending"


def reached(volume: t.Mapping[str, t.Any], stored: Object) -> bool:
    """Whether a stored DataVolume is in the phase to wait for."""
    phase, wanted = phase_of(stored), goal(volume)
    return (
        (phase == "Succeeded" and not (wanted == "bound" and is_unproven(stored)))
        or (phase == "Paused" and _has_later_stages(stored))
        or (phase in NEEDS_CONSUMER and volume["binding"] != "immediate")
        or (wanted == "upload_ready" and phase == "UploadReady")
        or (wanted == "bound" and conditions(stored).get("Bound", {}).get("status") == "True")
    )


def _has_later_stages(stored: Object) -> bool:
    """Whether a multi-stage import pauses after its last declared stage, because later stages follow."""
    spec = stored.get("spec") or {}
    return bool(spec.get("checkpoints")) and not spec.get("finalCheckpoint")


def is_unproven(stored: Object) -> bool:
    """Whether another populator fills the volume and its claim is not bound: CDI reports Succeeded before that
    (external-population-controller.go, v1.65.0)."""
    by_others = not {"source", "sourceRef"} & set(stored.get("spec") or {"source": None})
    return by_others and conditions(stored).get("Bound", {}).get("status") != "True"


def is_of_earlier_claim(stored: Object, claim: Object | None) -> bool:
    """Whether the success of a DataVolume is that of a claim of the same name that was deleted before.

    CDI reads DataVolumes and claims from caches that are updated independently. When a volume was deleted and created
    again, it may take the old claim, which was filled, for that of the new DataVolume, and report Succeeded until it
    learns of the deletion (updateStatus, pkg/controller/datavolume/controller-base.go, v1.65.0).
    """
    is_bound = conditions(stored).get("Bound", {}).get("status") == "True"
    if phase_of(stored) != "Succeeded" and not is_bound:
        return False
    if claim is None or (is_bound and (claim.get("status") or {}).get("phase") != "Bound"):
        return True
    owners = claim["metadata"].get("ownerReferences") or []
    return not any(owner["uid"] == stored["metadata"]["uid"] for owner in owners)
