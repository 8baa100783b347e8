# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""A DataVolume's meaning: what options ask for, and what has drifted. Pure rules."""

from __future__ import annotations

import copy
import re
import typing as t

from ._apply import differs, normalise
from ._clone import PREFIX
from ._data_volume_options import SOURCES, VOLUME_OPTIONS
from ._errors import CdiError
from ._fields import to_fields
from ._quantity import parse

Object = t.Dict[str, t.Any]

BIND_IMMEDIATELY = f"{PREFIX}storage.bind.immediate.requested"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SPEC_OPTIONS = (
    *("source", "source_ref", "storage", "pvc", "content_type", "preallocation"),
    *("priority_class_name", "service_account_name", "checkpoints", "final_checkpoint"),
)


def check(volume: t.Mapping[str, t.Any]) -> None:
    """Refuse a volume that CDI could never accept. Raises CdiError that names option, value and remedy."""
    name = volume["name"]
    if not _NAME.fullmatch(name):
        raise CdiError(f"name is {name!r}; use lower case letters, digits, - and ., at most 253 of them.")
    if volume["state"] == "absent":
        return
    if volume["on_drift"] == "recreate" and volume["keep_claim"]:
        raise CdiError(f"DataVolume {name} has on_drift=recreate and keep_claim; the claim that is kept would be in the way: give one of them.")
    if volume["storage"] and volume["pvc"]:
        raise CdiError(f"DataVolume {name} has storage and pvc; give one of them.")
    target = volume["storage"] or volume["pvc"]
    if not target:
        raise CdiError(f"DataVolume {name} has neither storage nor pvc; give storage with a size.")
    chosen = [kind for kind in SOURCES if (volume["source"] or {}).get(kind) is not None]
    if bool(chosen) == bool(volume["source_ref"]) or len(chosen) > 1:
        given = ", ".join([*chosen, *(["source_ref"] if volume["source_ref"] else [])]) or "none"
        raise CdiError(f"DataVolume {name} needs exactly one source ({', '.join(SOURCES)}) or source_ref, and has {given}.")
    size = target["size"]
    if size is None:
        if volume["pvc"] or chosen not in (["pvc"], ["snapshot"], []):
            where = "pvc" if volume["pvc"] else "storage"
            raise CdiError(f"DataVolume {name} has no size; give {where}.size, for example 10Gi (only a clone by storage can do without).")
        return
    try:
        too_small = parse(size) < 1024 * 1024
    except ValueError as exc:
        raise CdiError(f"DataVolume {name} has the size {exc}") from exc
    if too_small:
        raise CdiError(f"DataVolume {name} has the size {size}; ask for at least 1Mi.")


def desired(volume: t.Mapping[str, t.Any]) -> Object:
    """The DataVolume that checked options ask for."""
    values = copy.deepcopy(dict(volume))
    for target in ("storage", "pvc"):
        if values[target]:
            size = values[target].pop("size", None)
            values[target]["resources"] = {"requests": {"storage": size}} if size else {}
    for kind in ("pvc", "snapshot"):
        reference = (values["source"] or {}).get(kind)
        if reference is not None and not reference["namespace"]:
            reference["namespace"] = values["namespace"]
    options = {option: VOLUME_OPTIONS[option] for option in _SPEC_OPTIONS}
    spec = to_fields(values, options)
    for target in ("storage", "pvc"):
        if values[target]:
            spec[target]["resources"] = values[target]["resources"]
    annotations = dict(values["annotations"] or {})
    if values["binding"] == "immediate":
        annotations[BIND_IMMEDIATELY] = "true"
    metadata = {"name": values["name"], "namespace": values["namespace"], "labels": values["labels"] or {}, "annotations": annotations}
    return {"metadata": metadata, "spec": spec}


def spec_drift(wanted: Object, stored: Object) -> list[str]:
    """What differs between two DataVolume specs, as CDI's webhook compares them: it lets no spec change (datavolume-validate.go, v1.65.0)."""
    return _drift(normalise(wanted["spec"]), normalise(stored["spec"]), "spec")


def _drift(wanted: t.Any, stored: t.Any, path: str) -> list[str]:
    if isinstance(wanted, dict) and isinstance(stored, dict):
        return [line for key in sorted({*wanted, *stored}) for line in _drift(wanted.get(key), stored.get(key), f"{path}.{key}")]
    if wanted is None or stored is None:
        same = wanted is stored
    else:
        same = not differs({"value": wanted}, {"value": stored})
    return [] if same else [f"{path} is {_told(stored)} and not {_told(wanted)}"]


def _told(value: t.Any) -> str:
    return "unset" if value is None else str(value)
