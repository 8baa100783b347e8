# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The facts of one DataVolume, the same in the results of data_volume and of data_volume_info. Pure."""

from __future__ import annotations

import typing as t

from . import _scratch as scratch
from ._apply import for_result
from ._cdi import conditions
from ._clone import annotations, clone_facts
from ._collected import as_volume, is_collected
from ._data_volume_growth import GROWN_TO
from ._preallocation import preallocation_facts

Object = dict[str, t.Any]


class VolumeAndClaim(t.NamedTuple):
    """A DataVolume and its claim."""

    volume: Object
    claim: Object | None


class ObservedScratch(t.NamedTuple):
    """What is known of a volume's scratch claim: the claim if it is there, and whether it is there or was (None: no trace)."""

    claim: Object | None = None
    observed: bool | None = None


def volume_facts(
    volume: Object | None,
    claim: Object | None,
    settings: scratch.Settings | None = None,
    seen: ObservedScratch = ObservedScratch(),
    allocation: Object | None = None,
) -> dict[str, t.Any]:
    """All facts but name and namespace. A volume or claim that is not there leaves null, but for a volume that was collected.

    Without `settings` the scratch claim is not predicted.
    """
    collected = volume is None and is_collected(claim)
    known = as_volume(t.cast(Object, claim)) if collected else volume
    status = (known or {}).get("status") or {}
    spec = (known or {}).get("spec") or {}
    claimed = (claim or {}).get("spec") or {}
    return {
        "source": scratch.source_kind(spec),
        "phase": status.get("phase"),
        "progress": status.get("progress"),
        "restarts": status.get("restartCount", 0),
        # CDI lets no size in a spec change: what a volume has grown to is noted on its claim.
        "size": annotations(claim).get(GROWN_TO) or (None if collected else scratch.asked_size(spec)),
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
    """The seconds from a DataVolume's creation until it was ready, None before."""
    ready = conditions(volume).get("Ready", {})
    moments = [
        scratch.timestamp(text)
        for text in (((volume or {}).get("metadata") or {}).get("creationTimestamp"), ready.get("lastTransitionTime"))
    ]
    if ready.get("status") != "True" or not all(moments):
        return None
    created, since = moments
    return max(0, round((since - created).total_seconds()))  # type: ignore[operator]


def scratch_facts(
    volume: Object, claim: Object | None, settings: scratch.Settings | None, seen: ObservedScratch
) -> dict[str, t.Any]:
    spec = volume.get("spec") or {}
    needed, rule = scratch.need(spec)
    facts: dict[str, t.Any] = {
        "needed": needed,
        "rule": rule,
        "storage_class_name": None,
        "storage_class_rule": None,
        "size": None,
        "problems": [],
        "observed": seen.observed,
        "left_over": None,
    }
    if seen.claim:
        facts["storage_class_name"] = seen.claim["spec"].get("storageClassName")
        facts["size"] = _mebibytes(int(scratch.parse(seen.claim["spec"]["resources"]["requests"]["storage"])))
        if scratch.left_over(volume, seen.claim):
            facts["left_over"] = "/".join((seen.claim["metadata"]["namespace"], seen.claim["metadata"]["name"]))
    elif settings and needed is not False:
        facts.update(_predicted(spec, claim, settings))
    if settings and needed is not False and (volume.get("status") or {}).get("phase") != "Succeeded":
        facts["problems"] = scratch.problems(settings, facts["storage_class_name"])
    return facts


def _predicted(spec: Object, claim: Object | None, settings: scratch.Settings) -> dict[str, t.Any]:
    """Class and size of the scratch claim that CDI would make now, from the target's claim, or from the claim that it would make."""
    claimed = (claim or {}).get("spec") or {}
    target_class = claimed.get("storageClassName") or settings.class_of(spec)
    block = claimed.get("volumeMode", settings.volume_mode(spec, target_class)) == "Block"
    if claim:
        request: int | None = int(scratch.parse(claim["spec"]["resources"]["requests"]["storage"]))
    else:
        request = scratch.target_bytes(settings, spec, target_class, block)
    scratch_class, rule = scratch.storage_class(settings, target_class)
    size = None if request is None else scratch.claim_bytes(settings, request, target_class, block, scratch_class)
    return {
        "storage_class_name": scratch_class,
        "storage_class_rule": rule,
        "size": None if size is None else _mebibytes(size),
    }


def _mebibytes(size: int) -> str:
    """CDI always asks for whole MiB."""
    return f"{size >> 20}Mi"
