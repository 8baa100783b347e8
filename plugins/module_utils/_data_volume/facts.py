# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of one DataVolume, the same in the results of data_volume and of data_volume_info. Pure rules."""

from __future__ import annotations

import typing as t

from .._clone.record import clone_facts
from .._kubernetes.compare import for_result
from .._kubernetes.objects import Object, annotations_of, conditions, timestamp
from .._storage.scratch_facts import ObservedScratch, scratch_facts
from .._storage.scratch_need import asked_size, source_kind
from .preallocation import preallocation_facts
from .resize import GROWN_TO

if t.TYPE_CHECKING:
    from .._storage.scratch import Settings

_NO_SCRATCH = ObservedScratch()


def volume_facts(
    volume: Object | None,
    claim: Object | None,
    settings: Settings | None = None,
    seen: ObservedScratch = _NO_SCRATCH,
    allocation: Object | None = None,
) -> dict[str, t.Any]:
    """All facts but name and namespace. Without a volume or claim its facts are None, unless CDI collected the volume.

    Without `settings` the scratch claim is not predicted.
    """
    known, collected = volume, False
    if volume is None and claim is not None:
        from .collected import as_volume, is_collected

        collected = is_collected(claim)
        known = as_volume(claim) if collected else None
    status = (known or {}).get("status") or {}
    spec = (known or {}).get("spec") or {}
    claimed = (claim or {}).get("spec") or {}
    return {
        "source": source_kind(spec),
        "phase": status.get("phase"),
        "progress": status.get("progress"),
        "restarts": status.get("restartCount", 0),
        # CDI accepts no other size in a spec: the size that a volume grew to is noted on its claim.
        "size": annotations_of(claim).get(GROWN_TO) or (None if collected else asked_size(spec)),
        "capacity": (((claim or {}).get("status") or {}).get("capacity") or {}).get("storage"),
        "storage_class_name": claimed.get("storageClassName"),
        "volume_mode": claimed.get("volumeMode"),
        "clone": clone_facts(volume, claim),
        "preallocation": preallocation_facts(volume, claim),
        "allocation": allocation,
        "scratch": scratch_facts(volume, claim, settings, seen) if volume else None,
        "ready_after": ready_after(volume),
        "collected": collected,
        "data_volume": for_result(volume),
    }


def ready_after(volume: Object | None) -> int | None:
    """The seconds from a DataVolume's creation until it was ready, None while it is not."""
    ready = conditions(volume).get("Ready", {})
    created = timestamp(((volume or {}).get("metadata") or {}).get("creationTimestamp"))
    since = timestamp(ready.get("lastTransitionTime"))
    if ready.get("status") != "True" or created is None or since is None:
        return None
    return max(0, round((since - created).total_seconds()))
