# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preallocation: whether it was requested, whether it was applied, and where CDI cannot apply it. Pure rules."""

from __future__ import annotations

import typing as t

from .._cdi.names import CONTENT_TYPE, PREFIX
from .._clone.record import clone_facts, is_clone
from .._kubernetes.objects import Object, annotations_of

# On the claim: what was requested, by the volume or by CDI's configuration.
REQUESTED = f"{PREFIX}storage.preallocation.requested"
APPLIED = f"{PREFIX}storage.preallocation"
_ARCHIVE = "CDI does not preallocate archives"
_THIN = "A {method} clone shares blocks with its source, and CDI does not preallocate it"


def preallocation_facts(
    volume: Object | None, claim: Object | None, predicted_method: str | None = None
) -> dict[str, t.Any]:
    """Whether it was `requested` and `applied`, whether CDI `supported` it, and why a requested one was `ignored`.

    `applied` is None without a claim, `supported` without the method of a clone, recorded or predicted.

    CDI records on the claim what was requested (the volume's own value or the cluster's), and that it was applied, but
    never that it was not (pkg/controller/common/util.go, v1.65.0). A host-assisted clone of files is recorded as
    preallocated even when that was not requested (fileToFileCloneProcessor in pkg/uploadserver/uploadserver.go,
    v1.65.0): such a record is no proof.
    """
    recorded = annotations_of(claim)
    spec = (volume or {}).get("spec") or {}
    requested = recorded[REQUESTED] == "true" if REQUESTED in recorded else spec.get("preallocation")
    applied = None if claim is None else recorded.get(APPLIED) == "true" and requested is not False
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
    content = annotations_of(claim).get(CONTENT_TYPE) or spec.get("contentType")
    if content == "archive":
        return False, _ARCHIVE
    if is_clone(volume, claim):
        method = clone_facts(volume, claim)["method"] or predicted_method
        if method is None:
            return None, ""
        if method != "copy":
            return False, _THIN.format(method=method)
    return True, ""
