# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A claim that exists before its DataVolume: whether the DataVolume may adopt it. Pure rules."""

from __future__ import annotations

import typing as t

from .._cdi.names import POPULATED_FOR
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.quantity import like, whole_bytes
from .spec import value_text


def is_terminating(claim: Object) -> bool:
    """Whether a claim without its DataVolume is being deleted: a new volume of its name has to wait for that."""
    owners = [owner for owner in claim["metadata"].get("ownerReferences") or [] if owner.get("controller")]
    return bool(claim["metadata"].get("deletionTimestamp") or any(owner["kind"] == "DataVolume" for owner in owners))


def refuse_claim(volume: t.Mapping[str, t.Any], claim: Object) -> None:
    """Raises CdiError when an existing claim must not become the volume's, or differs from the options.

    CDI adopts it without regard to its data, size or class (ClaimMayExistBeforeDataVolume in
    pkg/controller/common/util.go, v1.65.0).
    """
    title = f"DataVolume {volume['namespace']}/{volume['name']}"
    if annotations_of(claim).get(POPULATED_FOR) == volume["name"]:
        return
    if not volume["adopt_claim"]:
        raise CdiError(
            f"{title} cannot be created: a PersistentVolumeClaim of its name exists; "
            "set adopt_claim=true to adopt it with its data, delete it, or choose another name."
        )
    option = "storage" if volume["storage"] else "pvc"
    target, spec = volume[option], claim["spec"]
    size, requested = whole_bytes((spec.get("resources") or {}).get("requests", {}).get("storage", "0")), target["size"]
    stored = {
        # A larger claim has room for the volume.
        "size": requested if requested and whole_bytes(requested) <= size else like(size, requested),
        "storage_class_name": spec.get("storageClassName"),
        "volume_mode": spec.get("volumeMode"),
    }
    lines = [
        f"{option}.{name}: {value_text(value)} on the claim, {target[name]!r} requested"
        for name, value in stored.items()
        if target[name] not in (None, value)
    ]
    if lines:
        raise CdiError(f"{title} cannot adopt the claim of its name: {'; '.join(lines)}; request what the claim has.")
