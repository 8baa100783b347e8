# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the disks that are smaller than declared.

A claim that grows while it is attached grows in the guest too: virt-handler sees its new capacity, and QEMU resizes the
disk (pkg/virt-handler/vm.go, v1.8.2; the feature gate ExpandDisks is always on since 1.8).
"""

from __future__ import annotations

import copy

from .._cdi.status import active
from .._cdi.status import release as release_numbers
from .._data_volume.resize import grown_to, requested_bytes
from .._kubernetes.objects import Key, Object, Objects
from .._kubernetes.quantity import like, whole_bytes
from .._kubernetes.reader import Reader
from .._kubernetes.resources import CDI, CDI_CONFIG, CONFIG_NAME, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, Resource
from .._storage.scratch import Settings, target_bytes
from .._storage.scratch_need import asked_size
from .machine import PERSISTENT
from .plan import Entry
from .rendering import TEMPLATE
from .target import Growth, Outcome


def in_namespace(reader: Reader, resource: Resource, key: Key) -> Object | None:
    """An object of a key, by one LIST for all that are looked for in its namespace."""
    items: Objects = reader.read(resource, key[0]).unless_forbidden()
    return next((item for item in items if item["metadata"]["name"] == key[1]), None)


def find_growths(reader: Reader, outcome: Outcome) -> tuple[tuple[Growth, ...], list[str]]:
    """The claims of a machine's disks that have to grow, and a sentence for each that cannot. Raises CdiError."""
    found: list[Growth] = []
    refusals: list[str] = []
    for entry in outcome.target.declared.entries:
        if entry.present and entry.size and entry.disk.source in PERSISTENT and entry.disk.claim:
            growth, refusal = _growth(reader, entry, entry.size, (outcome.key[0], entry.disk.claim))
            found += [growth] if growth else []
            refusals += [refusal] if refusal else []
    return tuple(found), refusals


def _growth(reader: Reader, entry: Entry, typed: str, key: Key) -> tuple[Growth | None, str]:
    size = whole_bytes(typed)
    volume = None
    if entry.disk.source in ("data_volume", TEMPLATE):
        volume = in_namespace(reader, DATA_VOLUME, key)
        if volume is not None and _asked(volume) == size:
            return None, ""
    claim = in_namespace(reader, PERSISTENT_VOLUME_CLAIM, key)
    if claim is None:
        return None, ""  # A missing volume is refused elsewhere, and one that is created gets its size.
    if volume is None and _has_volume(claim):
        volume = in_namespace(reader, DATA_VOLUME, key)
    recorded = grown_to(claim)
    has = recorded if recorded is not None else _asked(volume) or requested_bytes(claim)
    if size == has:
        return None, ""
    title = f"Disk {entry.name!r}: {'DataVolume' if volume else 'claim'} {key[1]!r} has {like(has, typed)}"
    if size < has:
        return None, f"{title} and cannot shrink to {typed}; set size to {like(has, typed)} or more."
    phase = "Succeeded" if volume is None else (volume.get("status") or {}).get("phase") or "Pending"
    bound = (claim.get("status") or {}).get("phase") == "Bound"
    if not bound or phase != "Succeeded":
        shown = phase if bound else (claim.get("status") or {}).get("phase") or "Pending"
        return None, f"{title} and cannot grow to {typed} in phase {shown}; wait until it is filled."
    requested = size if volume is None else _with_overhead(reader, volume, claim, typed)
    return Growth(entry.name, claim, requested, like(has, typed), typed, volume is not None), ""


def _asked(volume: Object | None) -> int | None:
    asked = asked_size(volume["spec"]) if volume else None
    return None if asked is None else whole_bytes(asked)


def _has_volume(claim: Object) -> bool:
    return any(owner.get("kind") == DATA_VOLUME.kind for owner in claim["metadata"].get("ownerReferences") or [])


def _with_overhead(reader: Reader, volume: Object, claim: Object, typed: str) -> int:
    """What CDI would request for a disk of this size."""
    spec = copy.deepcopy(volume["spec"])
    target = spec.get("storage") if spec.get("storage") is not None else spec["pvc"]
    target["resources"] = {"requests": {"storage": typed}}
    release = str((active(reader.try_read(CDI).items).get("status") or {}).get("observedVersion", ""))
    config = reader.read(CDI_CONFIG, None, CONFIG_NAME).object or {}
    settings = Settings(config, release_numbers(release))
    block = claim["spec"].get("volumeMode") == "Block"
    return target_bytes(settings, spec, claim["spec"].get("storageClassName"), block) or whole_bytes(typed)
