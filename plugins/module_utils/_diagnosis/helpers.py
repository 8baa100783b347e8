# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the helper objects of other volumes make progress and so release what they use, or are blocked. Pure
rules."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from .._cdi.names import CLONE_REQUEST, COMPONENT, METHOD, RUNNING
from .._kubernetes.objects import Object, annotations_of, timestamp
from .rules import INTENDED, UPLOADED

# A claim without a pod counts as working for so many seconds.
_YOUNG_SECONDS = 4.0
# A pod that takes longer to start is blocked. A worker that has run for so long after a failure has recovered.
_STARTING_SECONDS = 30.0
_RECOVERED_SECONDS = 10.0
_STARTS = ("ContainerCreating", "PodInitializing", "")
_UPLOAD_SERVER = "cdi-upload-server"


def is_at_work(kind: str, item: Object, claims: t.Sequence[Object], warned: bool) -> bool:
    """Whether a helper claim, pod or snapshot makes progress. `claims`: its chain of owners. `warned`: events report a
    problem. A copy whose source is in use already has an upload server.
    """
    if kind == "pod":
        return _pod_works(item, claims, warned)
    if kind == "snapshot":
        return not ((item.get("status") or {}).get("error") or warned)
    refused = annotations_of(item).get(f"{RUNNING}.reason", "").startswith("Err")
    return not refused and not warned and age(item["metadata"].get("creationTimestamp")) < _YOUNG_SECONDS


def _pod_works(pod: Object, claims: t.Sequence[Object], warned: bool) -> bool:
    status = pod.get("status") or {}
    phase = status.get("phase")
    states = [(each.get("state") or {}, each.get("restartCount", 0)) for each in status.get("containerStatuses") or []]
    if phase == "Running":
        if (pod["metadata"].get("labels") or {}).get(COMPONENT) == _UPLOAD_SERVER and (
            warned or not any(map(_is_uploaded_to, claims))
        ):
            return False
        return bool(states) and all(_container_works(state, restarts) for state, restarts in states)
    if phase == "Pending":
        scheduled = any(
            each.get("type") == "PodScheduled" and each.get("status") == "True"
            for each in status.get("conditions") or []
        )
        starts = all((state.get("waiting") or {}).get("reason", "") in _STARTS for state, _restarts in states)
        return scheduled and starts and not warned and age(status.get("startTime")) < _STARTING_SECONDS
    return phase == "Succeeded"


def _container_works(state: Object, restarts: int) -> bool:
    if "running" in state:
        return not restarts or age(state["running"].get("startedAt")) > _RECOVERED_SECONDS
    return "terminated" in state and state["terminated"].get("exitCode") == 0


def _is_uploaded_to(claim: Object) -> bool:
    """Whether data are sent to the claim: by a client, or, for a copy, by CDI. An unused upload server runs for
    ever."""
    noted = annotations_of(claim)
    is_copy = METHOD in noted or CLONE_REQUEST in noted
    return is_copy or (INTENDED in noted and UPLOADED not in noted)


def age(since: str | None) -> float:
    """The seconds since a point in time; 0 if unknown."""
    moment = timestamp(since)
    return max(0.0, (datetime.now(timezone.utc) - moment).total_seconds()) if moment else 0.0
