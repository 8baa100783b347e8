# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What CDI before 1.62 leaves of a DataVolume that has succeeded, with `dataVolumeTTLSeconds`: the claim with its data.

CDI marks the claim, removes the DataVolume from its owners, and deletes the DataVolume
(pkg/controller/datavolume/garbagecollect.go, v1.61.1). Pure rules.
"""

from __future__ import annotations

import typing as t

from .._cdi.names import CONTENT_TYPE, PREFIX
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.quantity import parse, short
from .preallocation import REQUESTED
from .resize import grown_to, requested_bytes
from .spec import Drift, value_text

_MARK = f"{PREFIX}garbageCollected"
# CDI's webhook sets this on each DataVolume that is created while CDI collects.
_WILL_BE = f"{PREFIX}storage.deleteAfterCompletion"
_POPULATORS = {"pvc": "VolumeCloneSource", "snapshot": "VolumeCloneSource", "upload": "VolumeUploadSource"}
_SUCCEEDED = {"phase": "Succeeded", "progress": "100.0%"}


def will_be_collected(volume: Object | None) -> bool:
    """Whether CDI deletes a DataVolume after it has succeeded. That may have happened since the volume was read."""
    return annotations_of(volume).get(_WILL_BE) == "true"


def is_collected(claim: Object | None) -> bool:
    """Whether a claim is what is left of a DataVolume: not adopted by a new one, and not being deleted."""
    if annotations_of(claim).get(_MARK) != "true" or claim is None:
        return False
    owners = claim["metadata"].get("ownerReferences") or []
    return not claim["metadata"].get("deletionTimestamp") and not any(owner["kind"] == "DataVolume" for owner in owners)


def as_volume(claim: Object) -> Object:
    """The DataVolume that was collected, as far as its claim shows it, for rules that take a DataVolume."""
    metadata, spec = claim["metadata"], claim["spec"]
    target = {
        field: spec[field] for field in ("accessModes", "resources", "storageClassName", "volumeMode") if field in spec
    }
    kept = {
        key: metadata[key]
        for key in ("name", "namespace", "labels", "annotations", "creationTimestamp")
        if key in metadata
    }
    bound = {"type": "Bound", "status": str((claim.get("status") or {}).get("phase") == "Bound")}
    volume: Object = {"metadata": kept, "spec": {"pvc": target}, "status": {**_SUCCEEDED, "conditions": [bound]}}
    if annotations_of(claim).get(CONTENT_TYPE) == "archive":
        volume["spec"]["contentType"] = "archive"
    if (spec.get("dataSourceRef") or {}).get("kind") == _POPULATORS["upload"]:
        volume["spec"]["source"] = {"upload": {}}
    return volume


def collected_drift(volume: t.Mapping[str, t.Any], claim: Object) -> Drift:
    """How the claim differs from the options of its DataVolume. Of its source only the kind is still known."""
    target, spec = volume["storage"] or volume["pvc"] or {}, claim["spec"]
    option = "storage" if volume["storage"] else "pvc"
    sides = {
        f"{option}.storage_class_name": (target.get("storage_class_name"), spec.get("storageClassName")),
        f"{option}.volume_mode": (target.get("volume_mode"), spec.get("volumeMode", "Filesystem")),
        f"{option}.access_modes": (sorted(target.get("access_modes") or []), sorted(spec.get("accessModes") or [])),
        "content_type": (volume["content_type"], annotations_of(claim).get(CONTENT_TYPE) or "kubevirt"),
        "preallocation": (
            volume["preallocation"],
            {"true": True, "false": False}.get(annotations_of(claim).get(REQUESTED, "")),
        ),
        "source": (_populator(volume), (spec.get("dataSourceRef") or {}).get("kind")),
    }
    # What the claim does not show is no drift: without a CSI driver, for example, CDI fills claims without a populator.
    lines = [
        f"{name}: {value_text(stored)} on the claim, {value_text(requested)} requested"
        for name, (requested, stored) in sides.items()
        if requested not in (None, []) and stored not in (None, requested)
    ]
    size = parse(target["size"]) if target.get("size") else None
    if size is None or size <= requested_bytes(claim) or grown_to(claim) == size:
        return Drift(lines)
    larger = f"{option}.size: at most {short(requested_bytes(claim))!r} on the claim, {target['size']!r} requested"
    return Drift([*lines, larger], None if lines else int(size))


def _populator(volume: t.Mapping[str, t.Any]) -> str | None:
    """The kind of object that CDI sets as a claim's data source, None when it depends on more than the options."""
    kinds = [kind for kind, value in (volume["source"] or {}).items() if value is not None]
    return _POPULATORS.get(kinds[0], "VolumeImportSource") if kinds else None
