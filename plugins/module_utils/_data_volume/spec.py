# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DataVolume that options request, and how a stored one differs from it. Pure rules."""

from __future__ import annotations

import copy
import typing as t

from .._ansible.fields import field_name, to_fields
from .._cdi.names import ADOPT_CLAIM, BIND_IMMEDIATELY
from .._kubernetes.compare import differs, normalise
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.public import SECRET_FIELDS, without_secrets
from .._kubernetes.quantity import like, parse, whole_bytes
from .options import SPEC_OPTIONS
from .preallocation import REQUESTED

# CDI chooses these, and writes them on the claim, where a DataVolume leaves them out.
_CHOSEN = ("accessModes", "storageClassName", "volumeMode")
_SIZE = ("resources", "requests", "storage")
_STAGES = ("checkpoints", "finalCheckpoint")
# CDI imports in stages from these, and accepts other stages later (datavolume-validate.go, v1.65.0).
_STAGED_SOURCES = ("imageio", "vddk")

Path = tuple[str, ...]


def desired(volume: t.Mapping[str, t.Any]) -> Object:
    """The DataVolume that validated options request."""
    values = copy.deepcopy({option: volume[option] for option in SPEC_OPTIONS})
    for kind in ("pvc", "snapshot"):
        reference = (values["source"] or {}).get(kind)
        if reference is not None and not reference["namespace"]:
            reference["namespace"] = volume["namespace"]
    spec = to_fields(values, SPEC_OPTIONS)
    for target in ("storage", "pvc"):
        if target in spec:
            size = spec[target].pop("size", None)
            spec[target]["resources"] = {"requests": {"storage": _whole(size)}} if size else {}
    if not spec.get("finalCheckpoint"):
        spec.pop("finalCheckpoint", None)  # CDI's controller drops a false one when it next writes the volume.
    annotations = texts(volume["annotations"])
    if volume["binding"] == "immediate":
        annotations[BIND_IMMEDIATELY] = "true"
    if volume["adopt_claim"]:
        annotations[ADOPT_CLAIM] = "true"
    metadata = {
        "name": volume["name"],
        "namespace": volume["namespace"],
        "labels": texts(volume["labels"]),
        "annotations": annotations,
    }
    return {"metadata": metadata, "spec": spec}


def texts(values: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    """Labels and annotations are strings: YAML's true becomes `true`."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (values or {}).items()}


def _whole(size: str) -> str:
    """A size as it was typed. One that is not a whole number of bytes is rounded up, as the API server stores it."""
    return size.strip() if parse(size) == whole_bytes(size) else str(whole_bytes(size))


class Drift(t.NamedTuple):
    """How a stored DataVolume differs from the requested one in what CDI does not change.

    Each line names an option and both values. `grows_to` is the requested size in bytes when only the size differs, and
    the requested one is larger, or CDI had chosen the stored one.
    """

    lines: list[str]
    grows_to: int | None = None


def spec_drift(wanted: Object, stored: Object) -> Drift:
    """What differs between two specs, as CDI's webhook compares them: only the stages of an import may change."""
    found = _differences(normalise(_spec(wanted)), normalise(_spec(stored)), ())
    if _may_change_stages(wanted["spec"]):
        found = [difference for difference in found if difference[0][0] not in _STAGES]
    size = _size_of(wanted["spec"])
    lines = [_line(*difference, size) for difference in found]
    if len(found) != 1 or not _is_size(found[0][0]):
        return Drift(lines)
    _path, requested, before = found[0]
    grows = requested is not None and (before is None or whole_bytes(requested) > whole_bytes(before))
    return Drift(lines, whole_bytes(requested) if grows else None)


def changes_stages(wanted: Object, stored: Object) -> bool:
    """Whether the stages of an import differ, in which CDI accepts changes."""
    before, after = (({name: normalise(_spec(each)).get(name) for name in _STAGES}) for each in (stored, wanted))
    return before != after


def _may_change_stages(spec: Object) -> bool:
    return bool(spec.get("checkpoints")) and any(kind in (spec.get("source") or {}) for kind in _STAGED_SOURCES)


def _spec(volume: Object) -> Object:
    return {name: value for name, value in volume["spec"].items() if name != "finalCheckpoint" or value}


def _size_of(spec: Object) -> str | None:
    size = (((spec.get("storage") or spec.get("pvc") or {}).get("resources") or {}).get("requests") or {}).get(
        "storage"
    )
    return None if size is None else str(size)


def _is_size(path: Path) -> bool:
    return path[0] in ("storage", "pvc") and path[1:] == _SIZE


def without_chosen(wanted: Object, stored: Object, claim: Object | None) -> Object:
    """`wanted` without values that the stored volume left to CDI, and that CDI chose as requested: these are no drift.

    A size of the same number of bytes is spelled as it is stored.
    """
    wanted, before = copy.deepcopy(wanted), stored["spec"]
    spec = wanted["spec"]
    sizes = _size_of(spec), _size_of(before)
    if None not in sizes and whole_bytes(t.cast(str, sizes[0])) == whole_bytes(t.cast(str, sizes[1])):
        spec["storage" if "storage" in spec else "pvc"]["resources"]["requests"]["storage"] = sizes[1]
    for target in {"storage", "pvc"} & set(spec) & set(before):
        for field in _CHOSEN:
            requested = spec[target].get(field)
            if (
                requested
                and not before[target].get(field)
                and claim
                and not differs({field: requested}, {field: claim["spec"].get(field)})
            ):
                del spec[target][field]
    if spec.get("contentType") == "kubevirt" and "contentType" not in before:
        del spec["contentType"]
    recorded = annotations_of(claim).get(REQUESTED)
    if "preallocation" not in before and recorded is not None and spec.get("preallocation") is (recorded == "true"):
        del spec["preallocation"]
    return wanted


def _differences(wanted: t.Any, stored: t.Any, path: Path) -> list[tuple[Path, t.Any, t.Any]]:
    sides = [side for side in (wanted, stored) if side is not None]
    if any(sides) and all(isinstance(side, dict) for side in sides):
        keys = sorted({key for side in sides for key in side})
        return [
            line
            for key in keys
            for line in _differences((wanted or {}).get(key), (stored or {}).get(key), (*path, key))
        ]
    if wanted is None and stored is None:
        return []
    if wanted is None or stored is None or differs({"value": wanted}, {"value": stored}):
        return [(path, wanted, stored)]
    return []


def _line(path: Path, wanted: t.Any, stored: t.Any, typed: str | None) -> str:
    """`source.pvc.name: 'goldn' on the cluster, 'golden' requested`."""
    option = _option(path)
    if path[-1] in SECRET_FIELDS:
        return f"{option} differs"
    before, after = without_secrets(stored), without_secrets(wanted, stored)
    if _is_size(path):
        before, after = (None if size is None else like(whole_bytes(size), typed) for size in (stored, wanted))
    return f"{option}: {value_text(before)} on the cluster, {'not' if after is None else value_text(after)} requested"


def value_text(value: t.Any) -> str:
    """A value as messages show it: as YAML writes it, texts quoted."""
    if value is None or value == {}:
        return "unset" if value is None else "set"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _option(path: Path) -> str:
    """The option of a field. A field without an option keeps the API's name."""
    if _is_size(path):
        return f"{path[0]}.size"
    names, options = [], SPEC_OPTIONS
    for part in path:
        name = next((name for name in options if field_name(name) == part), part)
        names.append(name)
        options = (options.get(name) or {}).get("options") or {}
    return ".".join(names)
