# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The target claim of a clone as CDI writes and validates it.

Rules from pkg/controller/datavolume/util.go, clone-controller.go, pvc-clone-controller.go and
snapshot-clone-controller.go of v1.65.0.
"""

from __future__ import annotations

import typing as t

from .._kubernetes.quantity import rough, short
from .._storage.overhead import required_space, usable_space
from .model import BLOCK, FILESYSTEM, SMALLER_THAN, Facts, Source, StorageClass, Target

_RAISES_TO_MINIMUM = (1, 64)


class TargetClaim(t.NamedTuple):
    """The target claim as CDI writes it. `permissive`: it may be smaller than the source's claim."""

    volume_mode: str
    request: int
    permissive: bool


class Refused(Exception):
    """CDI will not clone; the text says why."""


def render(facts: Facts, source: Source) -> TargetClaim:
    """The claim that CDI renders from spec.storage or takes from spec.pvc (renderPvcSpec, detectCloneSize).

    Raises Refused when CDI cannot choose access or volume modes.
    """
    target = facts.target
    if not target.by_storage:
        return TargetClaim(target.volume_mode or FILESYSTEM, target.size or 0, target.permissive)
    mode = _volume_mode(target)
    chosen = target.storage_class
    overhead = chosen.overhead if chosen else 0.0

    def inflated(size: int) -> int:
        return required_space(size, overhead, facts.version) if mode == FILESYSTEM else size

    image = _image_size(facts, source)
    if target.size is not None:
        request = max(inflated(target.size), minimum_request(facts))
        # CDI measures a disk that moves from a file system to a device, and compares its size.
        measured = mode == BLOCK and source.volume_mode == FILESYSTEM and source.measured
        return TargetClaim(mode, request, target.permissive or (measured and request >= image))
    if source.kind == "snapshot":
        return TargetClaim(mode, source.request, target.permissive)
    return TargetClaim(mode, inflated(image), target.permissive or (source.capacity or source.request) > image)


def _volume_mode(target: Target) -> str:
    """The claim's volume mode (renderPvcSpecVolumeModeAndAccessModesAndStorageClass). Raises Refused with CDI's
    messages."""
    asked, chosen = target.volume_mode, target.storage_class
    if target.content_type == "archive":
        if asked == BLOCK:
            raise Refused("ContentType Archive cannot have block volumeMode")
        asked = FILESYSTEM
    if chosen is None:
        if not target.access_modes:
            raise Refused("PVC spec is missing accessMode and no storageClass to choose profile")
        return asked or FILESYSTEM
    sets = chosen.claim_property_sets
    if asked:
        if not target.access_modes and not any(mode == asked and access for access, mode in sets):
            raise Refused(f"no matching accessMode specified in StorageProfile {chosen.name}")
        return asked
    if target.access_modes:
        return next((mode for access, mode in sets if set(access) & set(target.access_modes)), FILESYSTEM)
    if not sets or not sets[0][0]:
        raise Refused(f"no accessMode specified in StorageProfile {chosen.name}")
    return sets[0][1]


def _image_size(facts: Facts, source: Source) -> int:
    """The disk's size. Until CDI has measured it: the largest disk that fits into the source, as CDI creates it."""
    if not (source.measured and source.volume_mode == FILESYSTEM):
        return source.capacity or source.request
    if source.image_size is not None:
        return source.image_size
    return usable_bytes(facts, source.request, FILESYSTEM, source.storage_class)


def usable_bytes(facts: Facts, size: int, mode: str, storage_class: StorageClass | None) -> int:
    overhead = storage_class.overhead if storage_class else 0.0
    return usable_space(size, overhead, facts.version) if mode == FILESYSTEM else size


def minimum_request(facts: Facts) -> int:
    """The StorageProfile's minimumSupportedPvcSize, to which CDI raises requests since 1.64; else 0."""
    chosen = facts.target.storage_class
    return chosen.minimum if chosen and since(facts, _RAISES_TO_MINIMUM) else 0


def since(facts: Facts, release: tuple[int, ...]) -> bool:
    return not facts.version or facts.version >= release


def validate(facts: Facts, source: Source, claim: TargetClaim) -> None:
    """What CDI's controller checks before it creates the claim (validateClone, validateSnapshotClone). Raises
    Refused."""
    target = facts.target
    if source.kind == "pvc" and source.content_type != target.content_type:
        raise Refused(
            f"Source contentType ({source.content_type}) and target contentType ({target.content_type}) do not match"
        )
    if source.kind == "pvc" and not (target.size is not None and source.volume_mode == BLOCK) and target.by_storage:
        return
    if source.kind == "snapshot" and not source.request and target.size is None:
        raise Refused("size not specified by user/provisioner, can't tell how much needed for restore")
    if target.size is None:
        return
    size = max(target.size, minimum_request(facts)) if target.by_storage else target.size
    if source.request > size:
        raise Refused(too_small(facts, source, size))


def too_small(facts: Facts, source: Source, request: int) -> str:
    """Why a request is too small: the sizes of disks, as users know them, or of claims if only the overhead differs."""
    target, disk = facts.target, disk_size(facts, source)
    asked = (
        target.size
        if target.size is not None
        else usable_bytes(facts, request, _volume_mode(target), target.storage_class)
    )
    if disk > asked:
        return f"{short(asked)} {SMALLER_THAN} {short(disk)}"
    return f"{short(request)} {SMALLER_THAN} {rough(source.request)}, which include the overhead of its file system"


def disk_size(facts: Facts, source: Source) -> int:
    """The largest disk that fits into the source's claim."""
    return usable_bytes(facts, source.request, source.volume_mode, source.storage_class)
