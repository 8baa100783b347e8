# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a DataVolume never held data that could be used, so that it may be recreated without on_drift=recreate.

A volume was never filled when its own objects prove it. In doubt it held data. The proof:

- The DataVolume is the only owner of its claim and has no owner. It names neither a PersistentVolume nor a populator
  other than CDI's.
- Its phase is one before success. `Paused` and `Unknown` are not, nor are the phases in which a client or a clone hands
  its data over.
- Its claim does not exist or is not bound: CDI fills another claim first (`prime-...`) and hands it over as a whole, so
  no pod can have seen a byte of an import, however much was downloaded.
- Or its claim is bound, because CDI fills it in place, and its importer has written nothing: it reports no progress and
  does not run.
- The first stage of a multi-stage import has not begun: a stage may take hours, and is worth as much as data.

Pure rules.
"""

from __future__ import annotations

from .._cdi.names import ADOPT_CLAIM, CHECK_STATIC_VOLUME, POPULATED_FOR, PRE_POPULATED
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
# In these phases CDI works on the claim that it hands over at the end.
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
# On a volume: its claim has data that CDI did not write.
_FILLED_BY_OTHERS = (PRE_POPULATED, CHECK_STATIC_VOLUME, ADOPT_CLAIM)


def never_filled(volume: Object, claim: Object | None) -> bool:
    """Whether a DataVolume and its claim, None when that does not exist, prove that it never held data."""
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
    phase = status.get("phase") or ""
    untouched = not status.get("restartCount") and status.get("progress") in _NO_PROGRESS
    if (spec.get("checkpoints") or phase == "UploadScheduled") and not (phase in _EARLY and untouched):
        return False
    if claim is None:
        return phase in _EARLY + _ON_THE_WAY
    if not _is_its_own(volume, claim) or POPULATED_FOR in annotations_of(claim):
        return False
    if (claim.get("status") or {}).get("phase") in (None, "Pending") and not claim["spec"].get("volumeName"):
        return phase in _EARLY + _ON_THE_WAY
    return phase in _IN_PLACE and _wrote_nothing(volume, claim)


def _is_its_own(volume: Object, claim: Object) -> bool:
    owners = [owner.get("uid") for owner in claim["metadata"].get("ownerReferences") or []]
    return owners == [volume["metadata"].get("uid")] and not claim["metadata"].get("deletionTimestamp")


def _wrote_nothing(volume: Object, claim: Object) -> bool:
    """Whether an importer that writes into the claim itself does not run, and has never reported progress."""
    status, running = volume.get("status") or {}, conditions(volume).get("Running", {})
    imports = bool({"http", "s3", "gcs", "registry"} & set(volume["spec"].get("source") or {}))
    return (
        imports
        and claim["status"].get("phase") == "Bound"
        and status.get("progress") in _NO_PROGRESS
        and running.get("status") == "False"
    )
