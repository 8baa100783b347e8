# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which method CDI will clone, and why: CDI's planner told again as a pure function of plain facts.

Rules from pkg/controller/clone/planner.go, clone/common.go, populators/clone-populator.go, populators/util.go,
datavolume/pvc-clone-controller.go, datavolume/snapshot-clone-controller.go, datavolume/util.go and clone-controller.go of
v1.65.0, and from v1.61.1 where they differ. Sizes are bytes.
"""

from __future__ import annotations

import typing as t

from .._cdi.names import METHOD, USE_POPULATOR
from .._kubernetes.quantity import rough, short
from .._storage.overhead import required_space, usable_space

COPY, SNAPSHOT, CSI_CLONE = "copy", "snapshot", "csi-clone"
METHODS = (SNAPSHOT, CSI_CLONE, COPY)
FILESYSTEM, BLOCK = "Filesystem", "Block"

# CDI's words (planner.go and clone-controller-base.go, v1.65.0).
NO_POPULATOR = "In tree storage class does not support snapshot/clone"
NO_SNAPSHOT_CLASS = "No compatible volumesnapshotclass found"
INCOMPATIBLE_MODES = "The volume modes of source and target are incompatible"
NO_EXPANSION = "No volume expansion is possible"
NO_PROVISIONER_MATCH = "The storageclass provisioner does not match the volumesnapshotcontent driver"
INCOMPATIBLE_PROVISIONERS = "Provisioners are incompatible"
SMALLER_THAN = "is smaller than the source's"
# This one is ours: CDI waits for a claim that goes.
BEING_DELETED = "it is being deleted"
SNAPSHOT_IN_ERROR = "snapshot in error state with msg"

_COMPARES_SNAPSHOT_MODE = (1, 62)
_RAISES_TO_MINIMUM = (1, 64)


class StorageClass(t.NamedTuple):
    """A StorageClass and what its StorageProfile says. `csi`: there is a CSIDriver object of its provisioner.

    `strategy` and `snapshot_class` are the profile's status; `strategy_asked`: somebody has set it, CDI did not choose it.
    """

    name: str
    provisioner: str
    csi: bool = True
    expansion: bool = False
    waits_for_consumer: bool = False
    strategy: str | None = None
    strategy_asked: bool = False
    snapshot_class: str | None = None
    overhead: float = 0.06
    minimum: int = 0
    claim_property_sets: tuple[tuple[tuple[str, ...], str], ...] = ()


class Source(t.NamedTuple):
    """What is cloned. `request` and `capacity` of a snapshot are its restore size; `driver` None is not known yet.

    `image_size` is the disk's virtual size as CDI has noted it; `measured`: CDI measures it by a pod of its own.
    `waits`: why CDI does not start yet; `users`: the pods for which it waits. `problem`: why it never will.
    """

    kind: str
    title: str
    driver: str | None
    storage_class: StorageClass | None
    volume_mode: str
    request: int
    capacity: int | None
    content_type: str = "kubevirt"
    image_size: int | None = None
    measured: bool = False
    waits: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    problem: str | None = None


class Target(t.NamedTuple):
    """The DataVolume that is asked for. `by_storage`: by spec.storage and not spec.pvc. None is not given."""

    by_storage: bool
    storage_class: StorageClass | None
    class_name: str | None
    volume_mode: str | None = None
    access_modes: tuple[str, ...] = ()
    size: int | None = None
    content_type: str = "kubevirt"
    forced: str | None = None
    populator: bool | None = None
    permissive: bool = False
    immediate: bool = False


class Facts(t.NamedTuple):
    """All that decides. `snapshot_classes`: (name, driver). `version`: CDI's, () when not known, which is taken for the newest."""

    target: Target
    source: Source | None
    missing: str = ""
    override: str | None = None
    snapshot_classes: tuple[tuple[str, str], ...] = ()
    classes: tuple[StorageClass, ...] = ()
    version: tuple[int, ...] = ()


class Plan(t.NamedTuple):
    """`method` is None when CDI cannot choose (yet). `error`: what keeps the clone from ever succeeding, in CDI's words where it has any."""

    method: str | None
    reason: str
    fallback_reason: str | None = None
    forced: bool = False
    error: str | None = None
    waits_for: tuple[str, ...] = ()
    remedy: str | None = None


class _Claim(t.NamedTuple):
    """The target claim as CDI writes it."""

    volume_mode: str
    request: int
    permissive: bool


class _Refused(Exception):
    """CDI will not clone this; the text says why."""


def decide(facts: Facts) -> Plan:
    """What CDI will do; `remedy` is for `_clone_remedy` to find."""
    source = facts.source
    if source is None:
        return Plan(None, "CDI chooses the method when the source exists.", waits_for=(facts.missing,))
    if source.problem:
        return Plan(None, f"CDI will not clone: {source.problem}.", error=source.problem)
    try:
        claim = _render(facts, source)
        _validate(facts, source, claim)
        return _choose(facts, source, claim)
    except _Refused as exc:
        return Plan(None, f"CDI will not clone: {exc}.", error=str(exc), waits_for=source.waits + source.users)


def _render(facts: Facts, source: Source) -> _Claim:
    """The claim that CDI makes of spec.storage, or takes from spec.pvc (renderPvcSpec, detectCloneSize)."""
    target = facts.target
    if not target.by_storage:
        return _Claim(target.volume_mode or FILESYSTEM, target.size or 0, target.permissive)
    mode = _volume_mode(target)
    chosen = target.storage_class
    overhead = chosen.overhead if chosen else 0.0

    def inflated(size: int) -> int:
        return required_space(size, overhead, facts.version) if mode == FILESYSTEM else size

    image = _image_size(facts, source)
    if target.size is not None:
        request = max(inflated(target.size), _minimum(facts))
        # CDI measures a disk that goes from a file system to a device, and then compares that.
        measured = mode == BLOCK and source.volume_mode == FILESYSTEM and source.measured
        return _Claim(mode, request, target.permissive or (measured and request >= image))
    if source.kind == "snapshot":
        return _Claim(mode, source.request, target.permissive)
    return _Claim(mode, inflated(image), target.permissive or (source.capacity or source.request) > image)


def _volume_mode(target: Target) -> str:
    """renderPvcSpecVolumeModeAndAccessModesAndStorageClass, with CDI's messages."""
    asked, chosen = target.volume_mode, target.storage_class
    if target.content_type == "archive":
        if asked == BLOCK:
            raise _Refused("ContentType Archive cannot have block volumeMode")
        asked = FILESYSTEM
    if chosen is None:
        if not target.access_modes:
            raise _Refused("PVC spec is missing accessMode and no storageClass to choose profile")
        return asked or FILESYSTEM
    sets = chosen.claim_property_sets
    if asked:
        if not target.access_modes and not any(mode == asked and access for access, mode in sets):
            raise _Refused(f"no matching accessMode specified in StorageProfile {chosen.name}")
        return asked
    if target.access_modes:
        return next((mode for access, mode in sets if set(access) & set(target.access_modes)), FILESYSTEM)
    if not sets or not sets[0][0]:
        raise _Refused(f"no accessMode specified in StorageProfile {chosen.name}")
    return sets[0][1]


def _image_size(facts: Facts, source: Source) -> int:
    """The disk's size; until CDI has measured it, the largest that the source can hold, which is what CDI itself makes."""
    if not (source.measured and source.volume_mode == FILESYSTEM):
        return source.capacity or source.request
    if source.image_size is not None:
        return source.image_size
    return _usable(facts, source.request, FILESYSTEM, source.storage_class)


def _usable(facts: Facts, size: int, mode: str, storage_class: StorageClass | None) -> int:
    overhead = storage_class.overhead if storage_class else 0.0
    return usable_space(size, overhead, facts.version) if mode == FILESYSTEM else size


def _minimum(facts: Facts) -> int:
    """The profile's minimumSupportedPvcSize, which CDI raises requests to since 1.64."""
    chosen = facts.target.storage_class
    return chosen.minimum if chosen and _since(facts, _RAISES_TO_MINIMUM) else 0


def _since(facts: Facts, release: tuple[int, ...]) -> bool:
    return not facts.version or facts.version >= release


def _validate(facts: Facts, source: Source, claim: _Claim) -> None:
    """What the DataVolume's controller looks at before it makes the claim (validateClone, validateSnapshotClone)."""
    target = facts.target
    if source.kind == "pvc" and source.content_type != target.content_type:
        raise _Refused(
            f"Source contentType ({source.content_type}) and target contentType ({target.content_type}) do not match"
        )
    if source.kind == "pvc" and not (target.size is not None and source.volume_mode == BLOCK) and target.by_storage:
        return
    if source.kind == "snapshot" and not source.request and target.size is None:
        raise _Refused("size not specified by user/provisioner, can't tell how much needed for restore")
    if target.size is None:
        return
    size = max(target.size, _minimum(facts)) if target.by_storage else target.size
    if source.request > size:
        raise _Refused(_too_small(facts, source, size))


def _too_small(facts: Facts, source: Source, request: int) -> str:
    """What is compared as the user knows it: disks, without the overhead of file systems where that is not what makes the difference."""
    target, disk = facts.target, disk_size(facts, source)
    asked = (
        target.size if target.size is not None else _usable(facts, request, _volume_mode(target), target.storage_class)
    )
    if disk > asked:
        return f"{short(asked)} {SMALLER_THAN} {short(disk)}"
    return f"{short(request)} {SMALLER_THAN} {rough(source.request)}, which include the overhead of its file system"


def disk_size(facts: Facts, source: Source) -> int:
    """The largest disk that fits into the source's claim."""
    return _usable(facts, source.request, source.volume_mode, source.storage_class)


def _choose(facts: Facts, source: Source, claim: _Claim) -> Plan:
    """The way to the planner (shouldUseCDIPopulator, claimReadyForPopulation, getCloneStrategy), and what it chooses."""
    target, chosen = facts.target, facts.target.storage_class
    populator = target.populator if target.populator is not None else bool(chosen and chosen.csi)
    if not populator:
        why = (
            f"provisioner {chosen.provisioner} has no CSIDriver object" if chosen else "there is no such storage class"
        )
        if target.populator is False:
            why = f"the annotation {USE_POPULATOR} says so"
        return _checked(
            facts,
            source,
            claim,
            Plan(COPY, _fell_back(NO_POPULATOR, why), NO_POPULATOR, waits_for=source.waits + source.users),
        )
    if chosen is None:
        raise _Refused(f"storage class {target.class_name} not found")
    if chosen.provisioner.startswith("kubernetes.io/"):
        raise _Refused(f"can't use populator with in-tree storage class {chosen.provisioner}")
    waits = source.waits + source.users
    if chosen.waits_for_consumer and not target.immediate:
        waits += (f"a pod that uses the claim, as class {chosen.name} binds for the first consumer",)
    if target.forced is not None:
        made = _forced(facts, source, claim, chosen)
    elif source.driver is None:
        made = Plan(None, "CDI chooses the method when the driver of the source is known.")
    elif source.kind == "pvc":
        made = _from_claim(facts, source, claim, chosen)
    else:
        made = _from_snapshot(facts, source, claim, chosen)
    return _checked(
        facts, source, claim, made._replace(waits_for=waits, reason=made.reason + _told_of_restore(source, made))
    )


def _forced(facts: Facts, source: Source, claim: _Claim, chosen: StorageClass) -> Plan:
    """CDI records the method that the annotation asks for, and finds out later that it cannot (Plan), or that the driver will not."""
    wanted = str(facts.target.forced)
    error = None
    if wanted not in METHODS or (source.kind == "snapshot" and wanted == CSI_CLONE):
        error = f"unknown strategy/source {wanted}"
    elif (
        wanted == SNAPSHOT
        and source.kind == "pvc"
        and not _has_snapshot_class(facts, chosen.provisioner, chosen.snapshot_class)
    ):
        error = "no compatible volumesnapshotclass"
    elif wanted != COPY and source.driver not in (None, chosen.provisioner):
        error = INCOMPATIBLE_PROVISIONERS
    elif wanted != COPY and source.kind == "pvc" and source.volume_mode != claim.volume_mode:
        # Of a VolumeSnapshot that somebody made, an annotation on its content may allow it.
        error = INCOMPATIBLE_MODES
    elif wanted != COPY and (source.capacity or source.request) < claim.request and not chosen.expansion:
        error = NO_EXPANSION
    return Plan(
        wanted,
        f"The annotation {METHOD} asks for it, and CDI does not check it.",
        forced=True,
        error=error,
    )


def _from_claim(facts: Facts, source: Source, claim: _Claim, chosen: StorageClass) -> Plan:
    """computeStrategyForSourcePVC."""
    effective = max(claim.request, _minimum(facts))
    if not claim.permissive and source.request > effective:
        raise _Refused(_too_small(facts, source, effective))
    wanted, reason = _wanted(facts, chosen)
    if wanted not in METHODS:
        raise _Refused(f"unknown strategy/source {wanted}")
    common = source.driver == chosen.provisioner
    drivers = f"the source is on {source.driver}, class {chosen.name} on {chosen.provisioner}"
    if wanted == SNAPSHOT:
        named = {profile.snapshot_class if profile else None for profile in (source.storage_class, chosen)}
        if not (common and _has_snapshot_class(facts, chosen.provisioner, named.pop() if len(named) == 1 else None)):
            return Plan(
                COPY,
                _fell_back(NO_SNAPSHOT_CLASS, f"none is of driver {chosen.provisioner}" if common else drivers),
                NO_SNAPSHOT_CLASS,
            )
    if wanted in (SNAPSHOT, CSI_CLONE):
        capacity = source.capacity or source.request
        if not common:
            return Plan(COPY, _fell_back(INCOMPATIBLE_PROVISIONERS, drivers), INCOMPATIBLE_PROVISIONERS)
        if source.volume_mode != claim.volume_mode:
            return _other_mode(source, claim)
        if capacity < claim.request and not chosen.expansion:
            return _no_expansion(capacity, claim, chosen)
    return Plan(wanted, reason)


def _from_snapshot(facts: Facts, source: Source, claim: _Claim, chosen: StorageClass) -> Plan:
    """computeStrategyForSourceSnapshot: neither the override nor the profile has a say."""
    if source.driver != chosen.provisioner:
        drivers = f"the snapshot is of {source.driver}, class {chosen.name} of {chosen.provisioner}"
        return Plan(COPY, _fell_back(NO_PROVISIONER_MATCH, drivers), NO_PROVISIONER_MATCH)
    if source.request < claim.request and not chosen.expansion:
        return _no_expansion(source.request, claim, chosen)
    if source.volume_mode != claim.volume_mode and _since(facts, _COMPARES_SNAPSHOT_MODE):
        return _other_mode(source, claim)
    return Plan(SNAPSHOT, "The VolumeSnapshot is of the driver of the target's class, and is restored.")


def _told_of_restore(source: Source, made: Plan) -> str:
    """To copy a snapshot CDI restores it first, to the driver's first class by name, and asks no profile (createTempSourceClaim)."""
    restored_to = source.storage_class
    if made.method != COPY or source.kind != "snapshot" or restored_to is None or not restored_to.claim_property_sets:
        return ""
    if any(mode == source.volume_mode for _access, mode in restored_to.claim_property_sets):
        return ""
    return (
        f" For that it restores the snapshot to class {restored_to.name}, the first of its driver by name, "
        f"whose storage profile has no {source.volume_mode} volumes: it may never end."
    )


def _wanted(facts: Facts, chosen: StorageClass) -> tuple[str, str]:
    if facts.override is not None:
        return facts.override, f"The CDI object's cloneStrategyOverride asks for {facts.override}."
    if chosen.strategy is not None:
        return chosen.strategy, f"The storage profile of {chosen.name} says {chosen.strategy}."
    return SNAPSHOT, f"The storage profile of {chosen.name} says nothing, and CDI takes snapshot."


def _has_snapshot_class(facts: Facts, driver: str, named: str | None) -> bool:
    """GetVolumeSnapshotClass: the named class if it is of the driver, without a name any of the driver."""
    if named is None:
        return any(other == driver for _name, other in facts.snapshot_classes)
    drivers = dict(facts.snapshot_classes)
    if named not in drivers:
        raise _Refused(f'VolumeSnapshotClass.snapshot.storage.k8s.io "{named}" not found')
    return drivers[named] == driver


def _fell_back(message: str, detail: str) -> str:
    return f"CDI falls back to copy: {message} ({detail})."


def _other_mode(source: Source, claim: _Claim) -> Plan:
    return Plan(
        COPY, _fell_back(INCOMPATIBLE_MODES, f"{source.volume_mode} to {claim.volume_mode}"), INCOMPATIBLE_MODES
    )


def _no_expansion(capacity: int, claim: _Claim, chosen: StorageClass) -> Plan:
    detail = f"the claim requests {rough(claim.request)}, the source has {rough(capacity)}, and class {chosen.name} does not allow expansion"
    return Plan(COPY, _fell_back(NO_EXPANSION, detail), NO_EXPANSION)


def _checked(facts: Facts, source: Source, claim: _Claim, made: Plan) -> Plan:
    """A copy has conditions of its own, which CDI tests late and again and again (ValidateCanCloneSourceAndTargetSpec)."""
    if made.method != COPY:
        return made
    error = None
    if source.volume_mode != claim.volume_mode and facts.target.content_type == "archive":
        error = f"source volumeMode ({source.volume_mode}) and target volumeMode ({claim.volume_mode}) do not match, contentType (archive)"
    elif not claim.permissive:
        there, room = (
            disk_size(facts, source),
            _usable(facts, claim.request, claim.volume_mode, facts.target.storage_class),
        )
        if there > room:
            error = f"{short(room)}, which a claim of {rough(claim.request)} has beside its file system, {SMALLER_THAN} {short(there)}"
    return made._replace(error=error)
