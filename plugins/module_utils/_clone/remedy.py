# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The change that would make a clone faster: each change that a user can make is tried on the plan."""

from __future__ import annotations

import functools
import itertools
import typing as t

from .._cdi.names import METHOD, USE_POPULATOR
from .._kubernetes.quantity import MIB, short
from .model import BEING_DELETED, COPY, CSI_CLONE, SNAPSHOT, Facts, Plan, Source, StorageClass
from .planner import decide
from .target_claim import disk_size

# The most classes to try for a faster clone.
_CLASSES_TRIED = 4


def plan(facts: Facts) -> Plan:
    """What CDI will do, and the fewest changes that would make it faster, or possible at all."""
    decided = decide(facts)
    return decided._replace(remedy=_remedy(facts, decided))


def _remedy(facts: Facts, decided: Plan) -> str | None:
    """The fewest changes whose plan is a fast clone, or a clone at all; None if no change helps or none is required."""
    if facts.source is None or (decided.method != COPY and not decided.error):
        return None
    if (facts.source.problem or "").startswith(BEING_DELETED):
        return "name another source, or create the source again first"
    if facts.source.problem:
        return "delete the VolumeSnapshot and create it again, with a VolumeSnapshotClass and from a bound claim"
    changes = list(_changes(facts, facts.source))
    for number in (1, 2, 3):
        for chosen in itertools.combinations(changes, number):
            changed = facts
            for _sentence, change in chosen:
                changed = change(changed)
            better = decide(changed)
            if not better.error and better.method is not None and (decided.error or better.method != COPY):
                return " and ".join(sentence for sentence, _change in chosen)
    return None


_Change = tuple[str, t.Callable[[Facts], Facts]]


def _changes(facts: Facts, source: Source) -> t.Iterator[_Change]:
    """What a user can change, the smallest change first."""
    target, chosen = facts.target, facts.target.storage_class
    if target.forced is not None:
        yield f"omit the annotation {METHOD}", lambda now: _asking(now, forced=None)
    if target.populator is False:
        yield f"omit the annotation {USE_POPULATOR}", lambda now: _asking(now, populator=None)
    if source.content_type != target.content_type:
        yield f"set content_type={source.content_type}", lambda now: _asking(now, content_type=source.content_type)
    if target.volume_mode != source.volume_mode:
        yield f"set volume_mode={source.volume_mode}", lambda now: _asking(now, volume_mode=source.volume_mode)
    if not target.access_modes:
        yield "set access_modes", lambda now: _asking(now, access_modes=("ReadWriteOnce",))
    claimed = -(-max(source.request, source.capacity or 0) // MIB) * MIB
    if target.size is not None and target.size < claimed:
        # A claim by spec.storage gets the overhead on top.
        for size in sorted({disk_size(facts, source), claimed}) if target.by_storage else [claimed]:
            omit = " or omit the size" if target.by_storage else ""
            if size > target.size:
                yield f"request at least {short(size)}{omit}", functools.partial(_asking, size=size)
        if target.by_storage:
            yield "omit the size", lambda now: _asking(now, size=None)
    if chosen:
        yield from _class_changes(facts, source, chosen)
    for other in _similar_classes(facts, source)[:_CLASSES_TRIED]:
        yield (
            f"clone to class {other.name}",
            functools.partial(_asking, storage_class=other, class_name=other.name),
        )


def _similar_classes(facts: Facts, source: Source) -> list[StorageClass]:
    """Classes of the source's driver, the source's own first. A snapshot has no class."""
    chosen = facts.target.storage_class
    similar = [
        item
        for item in facts.classes
        if item.provisioner == source.driver and (chosen is None or item.name != chosen.name)
    ]
    own = source.storage_class.name if source.storage_class and source.kind == "pvc" else None
    return sorted(similar, key=lambda item: (item.name != own, item.name))


def _class_changes(facts: Facts, source: Source, chosen: StorageClass) -> t.Iterator[_Change]:
    driver = chosen.provisioner
    served = [name for name, other in facts.snapshot_classes if other == driver]
    if not chosen.expansion:
        yield f"set allowVolumeExpansion on class {chosen.name}", lambda now: _with_class(now, expansion=True)
    if facts.override is not None:
        yield (
            f"remove cloneStrategyOverride {facts.override} from the CDI object",
            lambda now: now._replace(override=None),
        )
    if served:
        yield (
            f"set clone_strategy of the storage profile {chosen.name} to snapshot",
            lambda now: _with_class(now, strategy=SNAPSHOT),
        )
        if chosen.snapshot_class not in (None, served[0]):
            yield (
                f"set snapshot_class of the storage profile {chosen.name} to {served[0]}",
                lambda now: _with_class(now, snapshot_class=served[0]),
            )
    else:
        sentence = f"create a VolumeSnapshotClass for driver {driver}, if it supports snapshots"
        yield sentence, lambda now: _with_snapshot_class(now, driver)
    sentence = (
        f"set clone_strategy of the storage profile {chosen.name} to csi-clone, if driver {driver} supports clones"
    )
    yield sentence, lambda now: _with_class(now, strategy=CSI_CLONE)


def _asking(facts: Facts, **changes: t.Any) -> Facts:
    return facts._replace(target=facts.target._replace(**changes))


def _with_class(facts: Facts, **changes: t.Any) -> Facts:
    """The facts with a changed class of the target, and of the source if that has the same class."""
    chosen = facts.target.storage_class
    if chosen is None:
        return facts
    changed = chosen._replace(**changes)
    source = facts.source
    if source and source.storage_class == chosen:
        source = source._replace(storage_class=changed)
    return _asking(facts, storage_class=changed)._replace(source=source)


def _with_snapshot_class(facts: Facts, driver: str) -> Facts:
    """The facts with a snapshot class of the driver, for which CDI chooses the strategy snapshot
    (reconcileCloneStrategy)."""
    chosen = facts.target.storage_class
    strategy = chosen.strategy if chosen and chosen.strategy_set_by_user else SNAPSHOT
    made = _with_class(facts, strategy=strategy, snapshot_class=None)
    return made._replace(snapshot_classes=(*made.snapshot_classes, ("new", driver)))
