# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preallocation: asked for, applied, and where CDI cannot apply it. Pure rules."""

from __future__ import annotations

import typing as t

from .._cdi.names import PREFIX
from .._clone.record import clone_facts, is_clone
from .._kubernetes.objects import Object, annotations_of

# On the claim: what was asked for, by the volume or by CDI's configuration.
REQUESTED = f"{PREFIX}storage.preallocation.requested"
_ARCHIVE = "CDI does not preallocate archives"
_THIN = "A {method} clone shares blocks with its source, and CDI does not preallocate it"


def preallocation_facts(
    volume: Object | None, claim: Object | None, predicted_method: str | None = None
) -> dict[str, t.Any]:
    """Asked, applied, and whether CDI could apply it; `ignored` says why a preallocation that was asked for is not there.

    Null is what nobody knows yet: without a claim whether it was applied, without a clone's method, recorded or predicted, whether it can be.

    CDI records on the claim what was asked (its own value or the cluster's) and only ever that it was applied
    (pkg/controller/common/util.go, v1.65.0). A host-assisted clone of files is recorded as preallocated even when that was not asked
    for (fileToFileCloneProcessor in pkg/uploadserver/uploadserver.go, v1.65.0): such a record is no proof.
    """
    recorded = annotations_of(claim)
    spec = (volume or {}).get("spec") or {}
    asked = recorded.get(REQUESTED)
    requested = spec.get("preallocation") if asked is None else asked == "true"
    applied = (
        None if claim is None else recorded.get(f"{PREFIX}storage.preallocation") == "true" and requested is not False
    )
    supported, reason = _support(volume, claim, spec, predicted_method)
    return {
        "requested": requested,
        "applied": applied,
        "supported": supported,
        "ignored": f"{reason}." if requested and supported is False else None,
    }


def _support(
    volume: Object | None, claim: Object | None, spec: Object, predicted_method: str | None
) -> tuple[bool | None, str]:
    content = annotations_of(claim).get(f"{PREFIX}storage.contentType") or spec.get("contentType")
    if content == "archive":
        return False, _ARCHIVE
    if is_clone(volume, claim):
        method = clone_facts(volume, claim)["method"] or predicted_method
        if method is None:
            return None, ""
        if method != "copy":
            return False, _THIN.format(method=method)
    return True, ""
