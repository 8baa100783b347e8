# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch space: its class and size, its name, and its problems. Pure rules.

They are true for CDI 1.60 and later. Where a release changed one, the release decides.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timezone

from .._cdi.names import APP, APP_NAME, USE_POPULATOR
from .._kubernetes.objects import Key, Object, annotations_of, conditions, timestamp
from .._kubernetes.quantity import MIB, parse
from .overhead import required_space, usable_space
from .scratch_need import asked_size

_SUFFIX = "-scratch"
# CDI deletes a scratch claim when the worker pod has ended, at most its grace period after the volume is filled.
_LEFT_OVER_SECONDS = 60
_TARGETS_CLASS_SINCE = (1, 65)


@dataclass(frozen=True)
class Settings:
    """What CDI decides by: the CDIConfig, its release (() if unknown), StorageProfiles by name, and the names of the
    default classes."""

    config: Object = field(default_factory=dict)
    version: tuple[int, ...] = ()
    profiles: dict[str, Object] = field(default_factory=dict)
    default_class: str | None = None
    virtualization_class: str | None = None

    @property
    def status(self) -> Object:
        return self.config.get("status") or {}

    @property
    def requested_class(self) -> str | None:
        return (self.config.get("spec") or {}).get("scratchSpaceStorageClass")

    def property_sets(self, class_name: str | None) -> list[Object]:
        """The claim property sets of a class by its StorageProfile; empty if that has none."""
        return ((self.profiles.get(class_name or "") or {}).get("status") or {}).get("claimPropertySets") or []

    def class_of(self, spec: Object) -> str | None:
        """The class of the claim that CDI will create from a DataVolume's spec."""
        target = spec.get("storage") or spec.get("pvc") or {}
        disk = "storage" in spec and spec.get("contentType") != "archive"
        return target.get("storageClassName") or (self.virtualization_class if disk else self.default_class)

    def volume_mode(self, spec: Object, class_name: str | None) -> str:
        """The volume mode of the claim that CDI will create: for `storage`, the first of the profile that fits
        (pkg/controller/datavolume/util.go)."""
        target = spec.get("storage") or spec.get("pvc") or {}
        wanted = set(target.get("accessModes") or [])
        fitting = [
            each["volumeMode"] for each in self.property_sets(class_name) if wanted <= set(each.get("accessModes", []))
        ]
        return str(target.get("volumeMode") or ("storage" in spec and next(iter(fitting), None)) or "Filesystem")


def storage_class(settings: Settings, target_class: str | None) -> tuple[str | None, str]:
    """The class of the scratch claim, and why CDI uses it (GetScratchPvcStorageClass in pkg/controller/util.go).

    CDIConfig.status has the configured class if it exists, or, before 1.65, the cluster's default class
    (config-controller.go). Without either, the class of the target counts; without that, the API server's default.
    """
    effective = settings.status.get("scratchSpaceStorageClass")
    old = bool(settings.version) and settings.version < _TARGETS_CLASS_SINCE
    if effective and effective == settings.requested_class:
        return effective, "It is configured as scratchSpaceStorageClass."
    if effective:
        return (
            effective,
            "It is the cluster's default class, which CDI before 1.65 uses if no existing class is configured.",
        )
    if target_class and old:
        return (
            target_class,
            "It is the volume's own class, because no existing class is configured and the cluster has no default "
            "class.",
        )
    if target_class:
        return (
            target_class,
            "It is the volume's own class, which CDI since 1.65 uses if no existing class is configured.",
        )
    if settings.default_class:
        return settings.default_class, "It is the cluster's default class, because the volume has none."
    return None, "No class is configured, the volume has none, and the cluster has no default class."


def claim_bytes(
    settings: Settings, request: int, target_class: str | None, block: bool, scratch_class: str | None
) -> int:
    """The bytes that the scratch claim requests for a target claim of `request` bytes.

    See createScratchPersistentVolumeClaim in pkg/controller/util.go.
    """
    usable = usable_space(request, 0.0 if block else overhead_of(settings, target_class), settings.version)
    required = required_space(usable, overhead_of(settings, scratch_class), settings.version)
    return math.ceil(required / MIB) * MIB


def target_bytes(settings: Settings, spec: Object, target_class: str | None, block: bool) -> int | None:
    """The bytes that the claim will request which CDI creates from this spec; None if that depends on a clone's source.

    See pkg/controller/datavolume/util.go.
    """
    size = asked_size(spec)
    if size is None:
        return None
    asked = int(parse(size))
    if spec.get("pvc") or block:
        return asked
    return required_space(asked, overhead_of(settings, target_class), settings.version)


def overhead_of(settings: Settings, class_name: str | None) -> float:
    """The share of a claim for the file system (GetFilesystemOverheadForStorageClass in pkg/controller/common/util.go).

    A claim with the class `""` has none. CDIConfig.status lists each existing class after some time. A class that is
    not listed counts as the default class if it does not exist, and has the global overhead if it does: a caller that
    knows that it exists passes settings without the default class.
    """
    if class_name == "":
        return 0.0
    overheads = settings.status.get("filesystemOverhead") or {}
    classes = overheads.get("storageClass") or {}
    return float(classes.get(class_name, classes.get(settings.default_class, overheads.get("global", "0"))))


def problems(settings: Settings, scratch_class: str | None) -> list[str]:
    """What keeps the scratch claim from its requested class or from binding; each with the remedy."""
    found = []
    requested = settings.requested_class
    if requested and requested != settings.status.get("scratchSpaceStorageClass"):
        found.append(
            f"CDI ignores scratchSpaceStorageClass {requested}, because there is no StorageClass of that name, "
            f"and uses {scratch_class or 'no class'}; correct it with module kubevirt.cdi.cdi_config."
        )
    if settings.config and not scratch_class:
        found.append(
            "The scratch claim will have no StorageClass and wait for a PersistentVolume that fits; "
            "make a class the default, or set scratch_space_storage_class with module kubevirt.cdi.cdi_config."
        )
    if not can_hold_scratch(settings, scratch_class):
        found.append(
            "Scratch space is always Filesystem and ReadWriteOnce, which the StorageProfile of StorageClass "
            f"{scratch_class} does not support: the worker pod would stay Pending; "
            "set scratch_space_storage_class to another class with module kubevirt.cdi.cdi_config."
        )
    return found


def can_hold_scratch(settings: Settings, class_name: str | None) -> bool:
    """Whether a class supports scratch claims. A class without claim property sets may."""
    sets = settings.property_sets(class_name)
    return not sets or any(
        each.get("volumeMode") == "Filesystem" and "ReadWriteOnce" in each.get("accessModes", []) for each in sets
    )


def claim_name(volume: Object, claim: Object | None) -> str | None:
    """The name of a volume's scratch claim; None when it depends on a claim that does not exist."""
    if annotations_of(volume).get(USE_POPULATOR) == "true":
        uid = ((claim or {}).get("metadata") or {}).get("uid")
        return f"prime-{uid}{_SUFFIX}" if uid else None
    return _shortened(volume["metadata"]["name"])


def _shortened(base: str, longest: int = 253) -> str:
    """CDI's name for a resource of `base` (openshift/library-go/pkg/build/naming/namer.go)."""
    if len(base) + len(_SUFFIX) <= longest:
        return base + _SUFFIX
    digest = 0x811C9DC5
    for byte in base.encode():
        digest = (digest ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{base[: longest - 10 - len(_SUFFIX) + 1]}-{digest:08x}{_SUFFIX}"


def left_over(volume: Object, scratch: Object | None, now: datetime | None = None) -> bool:
    """Whether a scratch claim still exists a minute after its volume was filled or failed."""
    if scratch is None or ((volume.get("status") or {}).get("phase") or "") not in ("Succeeded", "Failed"):
        return False
    ended = [timestamp(condition.get("lastTransitionTime")) for condition in conditions(volume).values()]
    known = [moment for moment in ended if moment]
    now = now or datetime.now(timezone.utc)
    return not known or (now - max(known)).total_seconds() > _LEFT_OVER_SECONDS


def orphaned_scratch(claims: t.Iterable[Object], now: datetime | None = None) -> list[Key]:
    """The scratch claims, by namespace and name, whose volume has not existed for a minute. `claims`: all claims."""
    claims = list(claims)
    there = {
        (each["metadata"]["namespace"], mark)
        for each in claims
        for mark in (each["metadata"]["name"], each["metadata"]["uid"])
    }
    now = now or datetime.now(timezone.utc)
    found = []
    for each in claims:
        metadata = each["metadata"]
        if not metadata["name"].endswith(_SUFFIX) or (metadata.get("labels") or {}).get(APP) != APP_NAME:
            continue
        target = metadata["name"][: -len(_SUFFIX)]
        since = timestamp(metadata.get("deletionTimestamp") or metadata["creationTimestamp"])
        gone = not {(metadata["namespace"], target), (metadata["namespace"], target.removeprefix("prime-"))} & there
        if gone and since and (now - since).total_seconds() > _LEFT_OVER_SECONDS:
            found.append((metadata["namespace"], metadata["name"]))
    return found
