# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target of an upload as stored: whether it is populated, what it contains, how large it is, and how it is made
again. Pure rules.
"""

from __future__ import annotations

import re
import typing as t

from .._cdi.names import BIND_IMMEDIATELY, CONTENT_TYPE, PREFIX, RUNNING
from .._data_volume.collected import is_collected
from .._data_volume.preallocation import REQUESTED
from .._data_volume.resize import requested_bytes
from .._diagnosis.diagnose import weigh
from .._diagnosis.evidence import Evidence
from .._diagnosis.rules import INTENDED, UPLOADED
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.quantity import parse
from .._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict

UPLOAD_TARGET = f"{PREFIX}storage.upload.target"
POD_PHASE, POD_READY = f"{PREFIX}storage.pod.phase", f"{PREFIX}storage.pod.ready"
# Annotations and labels that belong to one life of a volume or claim; a new one must not inherit them.
NOT_INHERITED = re.compile(r"cdi\.kubevirt\.io/|kubevirt\.cdi/|(pv|volume|volume\.beta|kubectl)\.kubernetes\.io/")
_KEPT_ON_CLAIMS = (UPLOAD_TARGET, CONTENT_TYPE, REQUESTED, BIND_IMMEDIATELY)


def inherited(values: t.Mapping[str, str] | None, keep: t.Collection[str]) -> dict[str, str]:
    """The labels or annotations that a new volume or claim takes over."""
    return {key: value for key, value in (values or {}).items() if key in keep or not NOT_INHERITED.match(key)}


def is_populated(volume: Object | None, claim: Object | None) -> bool:
    """Whether CDI has filled the DataVolume, or the claim if there is no DataVolume."""
    if volume is not None:
        return bool(((volume.get("status") or {}).get("phase")) == "Succeeded")
    return is_collected(claim) or annotations_of(claim).get(POD_PHASE) == "Succeeded"


def recorded_digest(claim: Object | None) -> str | None:
    """The digest of the file that the claim contains, or was meant to contain; None if neither is known."""
    return annotations_of(claim).get(UPLOADED) or annotations_of(claim).get(INTENDED)


def is_upload_claim(claim: Object) -> bool:
    """Whether CDI accepts uploads for a claim without a DataVolume (upload-populator.go and upload-controller.go,
    v1.65.0).
    """
    return populated_by_source(claim) is not None or UPLOAD_TARGET in annotations_of(claim)


def populated_by_source(claim: Object) -> str | None:
    """The VolumeUploadSource that a claim names."""
    source = claim["spec"].get("dataSourceRef") or {}
    return source.get("name") if source.get("kind") == "VolumeUploadSource" else None


def is_archive_claim(claim: Object) -> bool:
    return annotations_of(claim).get(CONTENT_TYPE) == "archive"


def claim_size(claim: Object) -> int:
    """The bytes of a claim that CDI uses: the whole device, or of a file system at most the request
    (calculateTargetSize, pkg/importer/data-processor.go, v1.65.0).
    """
    capacity = ((claim.get("status") or {}).get("capacity") or {}).get("storage")
    asked = int(requested_bytes(claim))
    if capacity is None:
        return asked
    return int(parse(capacity)) if claim["spec"].get("volumeMode") == "Block" else min(asked, int(parse(capacity)))


def recreated_claim(claim: Object) -> Object:
    """A claim like this one, but empty."""
    metadata, spec = claim["metadata"], claim["spec"]
    return {
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": inherited(metadata.get("labels"), ()),
            "annotations": inherited(metadata.get("annotations"), _KEPT_ON_CLAIMS),
        },
        "spec": {key: value for key, value in spec.items() if key not in ("volumeName", "dataSource")},
    }


def refuse_owned(kind: str, target: Object) -> None:
    """Refuse to delete a target that a controller owns. Raises CdiError."""
    metadata = target["metadata"]
    owner = next((owner for owner in metadata.get("ownerReferences") or [] if owner.get("controller")), None)
    if owner:
        raise CdiError(
            f"{kind} {metadata['namespace']}/{metadata['name']} belongs to {owner['kind']} {owner['name']}; "
            "replace it there, or give another name."
        )


def judge_claim_ready(claim: Object | None, evidence: Evidence | None = None) -> Verdict:
    """Whether data can be sent to a claim without a DataVolume, or why not."""
    if claim is None:
        return Verdict(FAILED, "it was deleted during the wait")
    annotations = annotations_of(claim)
    if is_populated(None, claim) or annotations.get(POD_READY) == "true":
        return Verdict(REACHED)
    verdict = weigh(claim, evidence) if evidence else None
    if verdict:
        return verdict
    message = annotations.get(f"{RUNNING}.message") or annotations.get(f"{PREFIX}storage.condition.bound.message")
    phase = (claim.get("status") or {}).get("phase")
    return Verdict(WAITING, f"it is {phase}, and its upload server is not ready" + (f" ({message})" if message else ""))
