# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which storage class a claim gets, and whether that class can provide a volume. Pure rules."""

from __future__ import annotations

import typing as t

from .._cdi.status import active, release
from .._kubernetes.objects import Object, annotations_of
from .claims import Planned
from .scratch import Settings

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
DEFAULT_VIRTUALIZATION_CLASS = "storageclass.kubevirt.io/is-default-virt-class"


def default_class(storage_classes: t.Iterable[Object], annotation: str) -> str | None:
    """The newest of the default classes, and the first by name among equally old ones
    (GetPlatformDefaultStorageClass)."""
    defaults = [item["metadata"] for item in storage_classes if annotations_of(item).get(annotation) == "true"]
    defaults.sort(key=lambda metadata: metadata["name"])
    defaults.sort(key=lambda metadata: metadata.get("creationTimestamp") or "", reverse=True)
    return defaults[0]["name"] if defaults else None


def cluster_settings(
    config: Object, cdis: t.Iterable[Object], profiles: t.Iterable[Object], classes: t.Sequence[Object]
) -> Settings:
    """The settings from the CDIConfig, and all CDI, StorageProfile and StorageClass objects."""
    default = default_class(classes, DEFAULT_CLASS)
    return Settings(
        config,
        release((active(cdis).get("status") or {}).get("observedVersion") or ""),
        {profile["metadata"]["name"]: profile for profile in profiles},
        default,
        default_class(classes, DEFAULT_VIRTUALIZATION_CLASS) or default,
    )


_NAMED_CLASSES = 20


def available(classes: t.Sequence[Object]) -> str:
    """The names of the storage classes, with the default marked."""
    defaults = ((DEFAULT_VIRTUALIZATION_CLASS, " (default for virtual machines)"), (DEFAULT_CLASS, " (default)"))
    marks = {default_class(classes, annotation): mark for annotation, mark in defaults}
    names = sorted(item["metadata"]["name"] for item in classes)
    if len(names) > _NAMED_CLASSES:
        names.sort(key=lambda name: name not in marks)  # Of many classes, the defaults are listed first.
    more = f" and {len(names) - _NAMED_CLASSES} more" if len(names) > _NAMED_CLASSES else ""
    return (", ".join(name + marks.get(name, "") for name in names[:_NAMED_CLASSES]) or "none") + more


def unknown_class(name: str, classes: t.Sequence[Object], option: str = "") -> str:
    """The message about a storage class that does not exist."""
    return f"storage class {name!r}{f' ({option})' if option else ''} does not exist; available: {available(classes)}"


def class_problem(
    planned: Planned, classes: t.Sequence[Object], persistent_volumes: t.Callable[[], t.Sequence[Object] | None]
) -> str:
    """Why the claim could never get a volume of its storage class; `` when it could.

    A class without a StorageClass object, and the empty class, only match existing PersistentVolumes. These are read
    when they matter; None when they cannot be read.
    """
    target = planned.spec[planned.option]
    given, option = target.get("storageClassName"), f"{planned.option}.storage_class_name"
    if target.get("volumeName") or target.get("selector") or any(given == item["metadata"]["name"] for item in classes):
        return ""
    disk = planned.option == "storage" and planned.spec.get("contentType") != "archive"
    default = (disk and default_class(classes, DEFAULT_VIRTUALIZATION_CLASS)) or default_class(classes, DEFAULT_CLASS)
    if given is None and default:
        return ""
    if any(_fits(volume, given or "", planned.key) for volume in persistent_volumes() or ()):
        return ""
    if given:
        return unknown_class(given, classes, option)
    names = available(classes)
    if given == "":
        omit = "omit the option to use the default class" if default else "omit the option and make a class the default"
        return (
            f"{option} is '', which requests a PersistentVolume without a class, and none is available; "
            f"{omit}{f' {default!r}' if default else ''}, or name one of: {names}"
        )
    if not classes:
        return (
            f"{option} is not set, and the cluster has no storage class; "
            "install a storage driver with a StorageClass first"
        )
    return f"{option} is not set, and no storage class is the default; name one of: {names}"


def _fits(volume: Object, class_name: str, key: tuple[str, str]) -> bool:
    spec = volume.get("spec") or {}
    bound = spec.get("claimRef") or {}
    free = not bound or (bound.get("namespace"), bound.get("name")) == key
    return (
        free and not volume["metadata"].get("deletionTimestamp") and (spec.get("storageClassName") or "") == class_name
    )
