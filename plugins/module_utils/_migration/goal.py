# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a volume shall be after its move, whether it is that already, and the volume that is created for it. Pure rules.

A target has the name of its source and a digest of the source and the goal: the next run finds the target of a run that
was interrupted, and another goal has another target.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from .._cdi.names import METHOD
from .._data_volume.moved import MOVED_FROM_FIRST
from .._data_volume.preallocation import preallocation_facts
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.quantity import MIB, parse, short, whole_bytes
from .._storage.overhead import usable_space
from .._storage.scratch import Settings, overhead_of

# On a target and its claim: the name of the claim that it replaces.
MOVED_FROM = "kubevirt.cdi/moved-from"
# On the claim of a target, until its move has ended: KubeVirt may have written to it, or not yet.
BEGUN = "kubevirt.cdi/move-begun"
LIVE: t.Final = "live"
OFFLINE: t.Final = "offline"

_LONGEST_BASE = 56


class Goal(t.NamedTuple):
    """Option `to`. What is None stays as it is."""

    storage_class_name: str | None = None
    volume_mode: str | None = None
    access_modes: tuple[str, ...] | None = None
    preallocation: bool | None = None
    size: str | None = None


def goal_of(options: t.Mapping[str, t.Any] | None) -> Goal:
    values = dict(options or {})
    modes = values.get("access_modes")
    return Goal(**{**values, "access_modes": tuple(sorted(modes)) if modes else None})


def lacks(goal: Goal, claim: Object, volume: Object | None) -> list[str]:
    """What a claim differs in from the goal, as `preallocation: false, true requested`; empty when it is reached.

    A claim that is being deleted is lost when its machine stops: until then, a live move rescues its data.
    """
    spec = claim["spec"]
    has = {
        "storage_class_name": spec.get("storageClassName"),
        "volume_mode": mode_of(claim),
        "access_modes": tuple(sorted(spec.get("accessModes") or [])),
        "preallocation": is_preallocated(claim, volume),
    }
    found = [
        f"{name}: {_shown(has[name])}, {_shown(wanted)} requested"
        for name, wanted in goal._asdict().items()
        if name in has and wanted is not None and wanted != has[name]
    ]
    if claim["metadata"].get("deletionTimestamp"):
        found.append("it is being deleted")
    if goal.size is not None and whole_bytes(goal.size) > capacity_of(claim):
        found.append(f"size: {short(capacity_of(claim))}, {goal.size} requested")
    return found


def _shown(value: t.Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def mode_of(claim: Object) -> str:
    return claim["spec"].get("volumeMode") or "Filesystem"


def is_preallocated(claim: Object, volume: Object | None) -> bool:
    """Whether CDI has recorded that it preallocated the claim."""
    return bool(preallocation_facts(volume, claim)["applied"])


def capacity_of(claim: Object) -> int:
    """The bytes of a claim: its capacity, or its request while it is not bound."""
    capacity = (claim.get("status") or {}).get("capacity") or {}
    return int(parse(capacity.get("storage") or _request(claim)))


def _request(claim: Object) -> str:
    return str(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def disk_bytes(claim: Object, settings: Settings) -> int:
    """The largest disk that a claim can hold, in bytes: what a target must have room for.

    A Block claim is the disk. On a Filesystem claim CDI leaves room for the file system (usable_space), and KubeVirt,
    which creates the image of a claim that CDI did not fill, does not: it has the smaller of request and capacity
    (pkg/host-disk/host-disk.go replaceForHostDisk, v1.8.2).
    """
    capacity = capacity_of(claim)
    if mode_of(claim) == "Block":
        return _mebibytes_up(capacity)
    smaller = min(capacity, int(parse(_request(claim))) or capacity)
    if not _is_filled_by_cdi(claim):
        return smaller // MIB * MIB
    return usable_space(smaller, overhead_of(settings, claim["spec"].get("storageClassName")), settings.version)


def _mebibytes_up(size: int) -> int:
    return -(-size // MIB) * MIB


def _is_filled_by_cdi(claim: Object) -> bool:
    return any(name.startswith("cdi.kubevirt.io/") for name in annotations_of(claim))


def target_name(goal: Goal, claim: Object) -> str:
    """The name of the target: that of the first source of a chain of moves, and a digest."""
    base = annotations_of(claim).get(MOVED_FROM_FIRST) or claim["metadata"]["name"]
    text = json.dumps([claim["metadata"].get("uid"), goal], sort_keys=True)
    return f"{base[:_LONGEST_BASE].rstrip('-.')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def target_options(
    goal: Goal, claim: Object, volume: Object | None, method: str, settings: Settings
) -> dict[str, t.Any]:
    """The options of module data_volume for the target of a move."""
    metadata, spec = claim["metadata"], claim["spec"]
    class_name = goal.storage_class_name or spec.get("storageClassName")
    same_class = class_name == spec.get("storageClassName")
    preallocation = is_preallocated(claim, volume) if goal.preallocation is None else goal.preallocation
    modes = goal.access_modes or (tuple(spec.get("accessModes") or []) if same_class else ())
    storage: dict[str, t.Any] = {"volume_mode": goal.volume_mode or mode_of(claim)}
    if class_name:
        storage["storage_class_name"] = class_name
    if modes:
        storage["access_modes"] = list(modes)
    first = annotations_of(claim).get(MOVED_FROM_FIRST) or metadata["name"]
    annotations = {MOVED_FROM: metadata["name"], MOVED_FROM_FIRST: first}
    if method == LIVE:
        storage["size"] = goal.size or short(disk_bytes(claim, settings))
        source: dict[str, t.Any] = {"blank": {}}
    else:
        source = {"pvc": {"name": metadata["name"], "namespace": metadata["namespace"]}}
        if goal.size:
            storage["size"] = goal.size
        if preallocation:
            # CDI preallocates only what it copies.
            annotations[METHOD] = "copy"
    return {
        "name": target_name(goal, claim),
        "namespace": metadata["namespace"],
        "labels": {
            key: value
            for key, value in ((volume or {}).get("metadata", {}).get("labels") or {}).items()
            if "kubevirt.io/" not in key
        },
        "annotations": annotations,
        "source": source,
        "storage": storage,
        "preallocation": preallocation,
        # A copy has no consumer that would bind its claim.
        "binding": "immediate" if method == OFFLINE else "wait_for_consumer",
    }
