# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which storage class a claim gets, and whether that class can provide a volume. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object, annotations_of
from .claims import Planned

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
DEFAULT_VIRTUALIZATION_CLASS = "storageclass.kubevirt.io/is-default-virt-class"


def default_class(storage_classes: list[Object], annotation: str) -> str | None:
    """The newest of the default classes, of equally old ones the first by name (GetPlatformDefaultStorageClass)."""
    defaults = [item["metadata"] for item in storage_classes if annotations_of(item).get(annotation) == "true"]
    defaults.sort(key=lambda metadata: metadata["name"])
    defaults.sort(key=lambda metadata: metadata.get("creationTimestamp") or "", reverse=True)
    return defaults[0]["name"] if defaults else None


_TOLD_CLASSES = 20


def available(classes: t.Sequence[Object]) -> str:
    """The names of storage classes, with a mark at the default."""
    defaults = ((DEFAULT_VIRTUALIZATION_CLASS, " (default for virtual machines)"), (DEFAULT_CLASS, " (default)"))
    marks = {default_class(list(classes), annotation): mark for annotation, mark in defaults}
    names = sorted(item["metadata"]["name"] for item in classes)
    more = f" and {len(names) - _TOLD_CLASSES} more" if len(names) > _TOLD_CLASSES else ""
    return (", ".join(name + marks.get(name, "") for name in names[:_TOLD_CLASSES]) or "none") + more


def unknown_class(name: str, classes: t.Sequence[Object], option: str = "") -> str:
    """What is said everywhere of a storage class that is not there."""
    return f"storage class {name!r}{f' ({option})' if option else ''} does not exist; available: {available(classes)}"


def class_problem(
    planned: Planned, classes: t.Sequence[Object], persistent_volumes: t.Callable[[], t.Sequence[Object] | None]
) -> str:
    """Whether the claim could never get a volume of its storage class.

    A class without a StorageClass object, and the empty class, are only good for a PersistentVolume that is there: these are asked for when it matters,
    None when they may not be read.
    """
    target = planned.spec[planned.option]
    given, option = target.get("storageClassName"), f"{planned.option}.storage_class_name"
    if target.get("volumeName") or target.get("selector") or any(given == item["metadata"]["name"] for item in classes):
        return ""
    disk = planned.option == "storage" and planned.spec.get("contentType") != "archive"
    default = (disk and default_class(list(classes), DEFAULT_VIRTUALIZATION_CLASS)) or default_class(
        list(classes), DEFAULT_CLASS
    )
    if given is None and default:
        return ""
    if any(_fits(volume, given or "", planned.key) for volume in persistent_volumes() or ()):
        return ""
    if given:
        return unknown_class(given, classes, option)
    names = available(classes)
    if given == "":
        leave = (
            f"leave the option out to get the default class {default!r}"
            if default
            else "leave the option out and make a class the default"
        )
        return f"{option} is '', which asks for a PersistentVolume without a class, and none is available; {leave}, or name one of: {names}"
    if not classes:
        return f"no {option} is given, and the cluster has no storage class; install a storage driver with a StorageClass first"
    return f"no {option} is given, and no storage class is the default; name one of: {names}"


def _fits(volume: Object, class_name: str, key: tuple[str, str]) -> bool:
    spec = volume.get("spec") or {}
    bound = spec.get("claimRef") or {}
    free = not bound or (bound.get("namespace"), bound.get("name")) == key
    return (
        free and not volume["metadata"].get("deletionTimestamp") and (spec.get("storageClassName") or "") == class_name
    )
