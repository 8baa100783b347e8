# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decides how CDI clones a volume, and the plan that follows from it. Sizes are bytes."""

from __future__ import annotations

import typing as t

COPY, SNAPSHOT, CSI_CLONE = "copy", "snapshot", "csi-clone"
METHODS = (SNAPSHOT, CSI_CLONE, COPY)
FILESYSTEM, BLOCK = "Filesystem", "Block"

# CDI's own words (planner.go and clone-controller-base.go, v1.65.0).
NO_POPULATOR = "In tree storage class does not support snapshot/clone"
NO_SNAPSHOT_CLASS = "No compatible volumesnapshotclass found"
INCOMPATIBLE_MODES = "The volume modes of source and target are incompatible"
NO_EXPANSION = "No volume expansion is possible"
NO_PROVISIONER_MATCH = "The storageclass provisioner does not match the volumesnapshotcontent driver"
INCOMPATIBLE_PROVISIONERS = "Provisioners are incompatible"
SMALLER_THAN = "is smaller than the source's"
# These words are ours: CDI waits for a source that is being deleted.
BEING_DELETED = "it is being deleted"
SNAPSHOT_IN_ERROR = "snapshot in error state with msg"


class StorageClass(t.NamedTuple):
    """A StorageClass with its StorageProfile. `csi`: its provisioner has a CSIDriver object.

    `strategy` and `snapshot_class` are in the profile's status; `strategy_set_by_user`: a user has set the strategy.
    """

    name: str
    provisioner: str
    csi: bool = True
    expansion: bool = False
    waits_for_consumer: bool = False
    strategy: str | None = None
    strategy_set_by_user: bool = False
    snapshot_class: str | None = None
    overhead: float = 0.06
    minimum: int = 0
    claim_property_sets: tuple[tuple[tuple[str, ...], str], ...] = ()


class Source(t.NamedTuple):
    """The source of a clone. `request` and `capacity` of a snapshot are its restore size; a `driver` of None is not
    known yet.

    `image_size` is the disk's virtual size that CDI has recorded; `measured`: CDI measures it with a pod.
    `waits`: why CDI does not start yet; `users`: the pods that CDI waits for. `problem`: why CDI never starts.
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
    """The requested DataVolume. `by_storage`: it has spec.storage, not spec.pvc. None: not given."""

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
    """All that decides. `snapshot_classes`: (name, driver) pairs. `version`: CDI's release; () is unknown and taken as
    the newest."""

    target: Target
    source: Source | None
    missing: str = ""
    override: str | None = None
    snapshot_classes: tuple[tuple[str, str], ...] = ()
    classes: tuple[StorageClass, ...] = ()
    version: tuple[int, ...] = ()


class Plan(t.NamedTuple):
    """What CDI will do. `method` is None when CDI cannot choose yet. `error`: why the clone can never succeed, in CDI's
    words if it has any."""

    method: str | None
    reason: str
    fallback_reason: str | None = None
    forced: bool = False
    error: str | None = None
    waits_for: tuple[str, ...] = ()
    remedy: str | None = None
