# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a DataVolume never held data that anybody could have used, so that it may be made anew without asking. Pure rules.

A volume was never filled when its own objects prove it; in doubt it held data:

- The DataVolume is its claim's only owner and nobody's child, and asks neither for a given PersistentVolume nor for other populators.
- Its phase is one before success. `Paused`, `Unknown`, and the phases in which a client or a clone hands its data over, are not.
- Its claim is missing or not bound: CDI fills another claim first (`prime-...`) and gives it away as a whole, so that no pod can have
  seen a byte of an import, however far its download had got.
- Or its claim is bound, because CDI fills it in place, and its importer has written nothing: no progress, and the importer does not run.
- A multi-stage import has not begun with its first stage: an earlier stage took hours, and is worth as much as data.
"""

from __future__ import annotations

from .._cdi.names import PREFIX
from .._kubernetes.objects import Object, annotations_of, conditions

_EARLY = (
    "",
    "Pending",
    "WaitForFirstConsumer",
    "PendingPopulation",
    "PVCBound",
    "ImportScheduled",
    "CloneScheduled",
    "UploadScheduled",
)
# What CDI does to the claim that it gives away at the end.
_ON_THE_WAY = (
    "ImportInProgress",
    "CloneInProgress",
    "CloneFromSnapshotSourceInProgress",
    "CSICloneInProgress",
    "SnapshotForSmartCloneInProgress",
    "Failed",
)
_IN_PLACE = ("", "Pending", "PVCBound", "ImportScheduled", "ImportInProgress")
_NO_PROGRESS = (None, "", "N/A", "0%", "0.0%", "0.00%")
_POPULATED = f"{PREFIX}storage.populatedFor"
# On a volume: its claim has data that CDI did not put there.
_FILLED_BY_OTHERS = (
    f"{PREFIX}storage.prePopulated",
    f"{PREFIX}storage.checkStaticVolume",
    f"{PREFIX}allowClaimAdoption",
)


def never_filled(volume: Object, claim: Object | None) -> bool:
    """Whether a DataVolume and its claim (None: there is none) prove that it never held data. Pods that wait for it are another question."""
    spec, status = volume.get("spec") or {}, volume.get("status") or {}
    target = spec.get("storage") or spec.get("pvc") or {}
    if volume["metadata"].get("ownerReferences") or not {"source", "sourceRef"} & set(spec):
        return False
    if (
        target.get("volumeName")
        or target.get("selector")
        or any(name in annotations_of(volume) for name in _FILLED_BY_OTHERS)
    ):
        return False
    phase, untouched = (
        status.get("phase") or "",
        not status.get("restartCount") and status.get("progress") in _NO_PROGRESS,
    )
    if (spec.get("checkpoints") or phase == "UploadScheduled") and not (phase in _EARLY and untouched):
        return False
    if claim is None:
        return phase in _EARLY + _ON_THE_WAY
    if not _is_its_own(volume, claim) or _POPULATED in annotations_of(claim):
        return False
    if (claim.get("status") or {}).get("phase") in (None, "Pending") and not claim["spec"].get("volumeName"):
        return phase in _EARLY + _ON_THE_WAY
    return phase in _IN_PLACE and _wrote_nothing(volume, claim)


def _is_its_own(volume: Object, claim: Object) -> bool:
    owners = claim["metadata"].get("ownerReferences") or []
    return [owner.get("uid") for owner in owners] == [volume["metadata"].get("uid")] and not claim["metadata"].get(
        "deletionTimestamp"
    )


def _wrote_nothing(volume: Object, claim: Object) -> bool:
    """Of an importer that writes into the claim itself: it is not at work, and has never said how far it was."""
    status, running = volume.get("status") or {}, conditions(volume).get("Running", {})
    imports = bool({"http", "s3", "gcs", "registry"} & set(volume["spec"].get("source") or {}))
    return (
        imports
        and claim["status"].get("phase") == "Bound"
        and status.get("progress") in _NO_PROGRESS
        and running.get("status") == "False"
    )
