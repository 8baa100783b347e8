# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which method CDI will clone by, and why: CDI's planner as a pure function of plain facts.

Rules from pkg/controller/clone/planner.go, clone/common.go, populators/clone-populator.go, populators/util.go,
datavolume/pvc-clone-controller.go, datavolume/snapshot-clone-controller.go, datavolume/util.go and clone-controller.go
of v1.65.0, and from v1.61.1 where they differ. Sizes are bytes.
"""

from __future__ import annotations

from .._cdi.names import METHOD, USE_POPULATOR
from .._kubernetes.quantity import rough, short
from .model import (
    COPY,
    CSI_CLONE,
    INCOMPATIBLE_MODES,
    INCOMPATIBLE_PROVISIONERS,
    METHODS,
    NO_EXPANSION,
    NO_POPULATOR,
    NO_PROVISIONER_MATCH,
    NO_SNAPSHOT_CLASS,
    SMALLER_THAN,
    SNAPSHOT,
    Facts,
    Plan,
    Source,
    StorageClass,
)
from .target_claim import (
    Refused,
    TargetClaim,
    disk_size,
    minimum_request,
    render,
    since,
    too_small,
    usable_bytes,
    validate,
)

_COMPARES_SNAPSHOT_MODE = (1, 62)


def decide(facts: Facts) -> Plan:
    """What CDI will do, without a `remedy`."""
    source = facts.source
    if source is None:
        return Plan(None, "CDI chooses the method when the source exists.", waits_for=(facts.missing,))
    if source.problem:
        return Plan(None, f"CDI will not clone: {source.problem}.", error=source.problem)
    try:
        claim = render(facts, source)
        validate(facts, source, claim)
        return _choose(facts, source, claim)
    except Refused as exc:
        return Plan(None, f"CDI will not clone: {exc}.", error=str(exc), waits_for=source.waits + source.users)


def _choose(facts: Facts, source: Source, claim: TargetClaim) -> Plan:
    """What CDI's planner chooses, if the clone gets there (shouldUseCDIPopulator, claimReadyForPopulation,
    getCloneStrategy)."""
    target, chosen = facts.target, facts.target.storage_class
    populator = target.populator if target.populator is not None else bool(chosen and chosen.csi)
    if not populator:
        why = (
            f"provisioner {chosen.provisioner} has no CSIDriver object"
            if chosen
            else "the storage class does not exist"
        )
        if target.populator is False:
            why = f"the annotation {USE_POPULATOR} requests it"
        return _checked(
            facts,
            source,
            claim,
            Plan(COPY, _fell_back(NO_POPULATOR, why), NO_POPULATOR, waits_for=source.waits + source.users),
        )
    if chosen is None:
        raise Refused(f"storage class {target.class_name} not found")
    if chosen.provisioner.startswith("kubernetes.io/"):
        raise Refused(f"can't use populator with in-tree storage class {chosen.provisioner}")
    waits = source.waits + source.users
    if chosen.waits_for_consumer and not target.immediate:
        waits += (f"a pod that uses the claim, as class {chosen.name} uses WaitForFirstConsumer",)
    if target.forced is not None:
        made = _forced(facts, source, claim, chosen)
    elif source.driver is None:
        made = Plan(None, "CDI chooses the method when the driver of the source is known.")
    elif source.kind == "pvc":
        made = _from_claim(facts, source, claim, chosen)
    else:
        made = _from_snapshot(facts, source, claim, chosen)
    return _checked(
        facts, source, claim, made._replace(waits_for=waits, reason=made.reason + _restore_warning(source, made))
    )


def _forced(facts: Facts, source: Source, claim: TargetClaim, chosen: StorageClass) -> Plan:
    """CDI records the method that the annotation requests. That CDI or the driver cannot use it shows only later."""
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
        # For a user's VolumeSnapshot, an annotation on its content may allow it.
        error = INCOMPATIBLE_MODES
    elif wanted != COPY and (source.capacity or source.request) < claim.request and not chosen.expansion:
        error = NO_EXPANSION
    return Plan(
        wanted,
        f"The annotation {METHOD} requests it, and CDI does not check it.",
        forced=True,
        error=error,
    )


def _from_claim(facts: Facts, source: Source, claim: TargetClaim, chosen: StorageClass) -> Plan:
    """computeStrategyForSourcePVC."""
    effective = max(claim.request, minimum_request(facts))
    if not claim.permissive and source.request > effective:
        raise Refused(too_small(facts, source, effective))
    wanted, reason = _wanted(facts, chosen)
    if wanted not in METHODS:
        raise Refused(f"unknown strategy/source {wanted}")
    common = source.driver == chosen.provisioner
    drivers = f"the source uses {source.driver}, class {chosen.name} uses {chosen.provisioner}"
    if wanted == SNAPSHOT:
        named = {profile.snapshot_class if profile else None for profile in (source.storage_class, chosen)}
        if not (common and _has_snapshot_class(facts, chosen.provisioner, named.pop() if len(named) == 1 else None)):
            return Plan(
                COPY,
                _fell_back(NO_SNAPSHOT_CLASS, f"none for driver {chosen.provisioner}" if common else drivers),
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


def _from_snapshot(facts: Facts, source: Source, claim: TargetClaim, chosen: StorageClass) -> Plan:
    """computeStrategyForSourceSnapshot, which ignores the override and the profile."""
    if source.driver != chosen.provisioner:
        drivers = f"the snapshot uses {source.driver}, class {chosen.name} uses {chosen.provisioner}"
        return Plan(COPY, _fell_back(NO_PROVISIONER_MATCH, drivers), NO_PROVISIONER_MATCH)
    if source.request < claim.request and not chosen.expansion:
        return _no_expansion(source.request, claim, chosen)
    if source.volume_mode != claim.volume_mode and since(facts, _COMPARES_SNAPSHOT_MODE):
        return _other_mode(source, claim)
    return Plan(
        SNAPSHOT, "The VolumeSnapshot and the target's class have the same driver, so CDI restores the snapshot."
    )


def _restore_warning(source: Source, made: Plan) -> str:
    """To copy a snapshot, CDI first restores it to the driver's first class by name, whatever its profile
    (createTempSourceClaim)."""
    restored_to = source.storage_class
    if made.method != COPY or source.kind != "snapshot" or restored_to is None or not restored_to.claim_property_sets:
        return ""
    if any(mode == source.volume_mode for _access, mode in restored_to.claim_property_sets):
        return ""
    return (
        f" To copy it, CDI restores the snapshot to class {restored_to.name}, the first class of the driver by name, "
        f"whose storage profile has no {source.volume_mode} volumes: the clone may never end."
    )


def _wanted(facts: Facts, chosen: StorageClass) -> tuple[str, str]:
    if facts.override is not None:
        return facts.override, f"The CDI object's cloneStrategyOverride requests {facts.override}."
    if chosen.strategy is not None:
        return chosen.strategy, f"The storage profile of {chosen.name} has the strategy {chosen.strategy}."
    return SNAPSHOT, f"The storage profile of {chosen.name} has no strategy, so CDI uses snapshot."


def _has_snapshot_class(facts: Facts, driver: str, named: str | None) -> bool:
    """Whether the driver has the named snapshot class, or any without a name (GetVolumeSnapshotClass)."""
    if named is None:
        return any(other == driver for _name, other in facts.snapshot_classes)
    drivers = dict(facts.snapshot_classes)
    if named not in drivers:
        raise Refused(f'VolumeSnapshotClass.snapshot.storage.k8s.io "{named}" not found')
    return drivers[named] == driver


def _fell_back(message: str, detail: str) -> str:
    return f"CDI falls back to copy: {message} ({detail})."


def _other_mode(source: Source, claim: TargetClaim) -> Plan:
    return Plan(
        COPY, _fell_back(INCOMPATIBLE_MODES, f"{source.volume_mode} to {claim.volume_mode}"), INCOMPATIBLE_MODES
    )


def _no_expansion(capacity: int, claim: TargetClaim, chosen: StorageClass) -> Plan:
    detail = (
        f"the claim requests {rough(claim.request)}, the source has {rough(capacity)}, "
        f"and class {chosen.name} does not allow expansion"
    )
    return Plan(COPY, _fell_back(NO_EXPANSION, detail), NO_EXPANSION)


def _checked(facts: Facts, source: Source, claim: TargetClaim, made: Plan) -> Plan:
    """The plan with the error of a copy, whose conditions CDI checks late and repeatedly
    (ValidateCanCloneSourceAndTargetSpec)."""
    if made.method != COPY:
        return made
    error = None
    if source.volume_mode != claim.volume_mode and facts.target.content_type == "archive":
        error = (
            f"source volumeMode ({source.volume_mode}) and target volumeMode ({claim.volume_mode}) do not match, "
            "contentType (archive)"
        )
    elif not claim.permissive:
        there, room = (
            disk_size(facts, source),
            usable_bytes(facts, claim.request, claim.volume_mode, facts.target.storage_class),
        )
        if there > room:
            error = (
                f"{short(room)}, which a claim of {rough(claim.request)} has without the overhead of its file system, "
                f"{SMALLER_THAN} {short(there)}"
            )
    return made._replace(error=error)
