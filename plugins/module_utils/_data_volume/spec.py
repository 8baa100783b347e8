# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DataVolume's meaning: what options ask for, and what has drifted. Pure rules."""

from __future__ import annotations

import copy
import typing as t

from .._ansible.fields import field_name, to_fields
from .._cdi.names import PREFIX
from .._kubernetes.compare import differs, normalise
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.public import SECRET_FIELDS, without_secrets
from .._kubernetes.quantity import like, parse, whole_bytes
from .options import SPEC_OPTIONS
from .preallocation import REQUESTED

BIND_IMMEDIATELY = f"{PREFIX}storage.bind.immediate.requested"
ADOPT_CLAIM = f"{PREFIX}allowClaimAdoption"
POPULATED_FOR = f"{PREFIX}storage.populatedFor"
# What CDI chooses, and writes on the claim, where a DataVolume does not say it.
_CHOSEN = ("accessModes", "storageClassName", "volumeMode")
_SIZE = ("resources", "requests", "storage")
_STAGES = ("checkpoints", "finalCheckpoint")
# CDI imports in stages from these, and admits other stages later (datavolume-validate.go, v1.65.0).
_STAGED_SOURCES = ("imageio", "vddk")

Path = tuple[str, ...]


def desired(volume: t.Mapping[str, t.Any]) -> Object:
    """The DataVolume that checked options ask for."""
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
    asked = texts(volume["annotations"])
    if volume["binding"] == "immediate":
        asked[BIND_IMMEDIATELY] = "true"
    if volume["adopt_claim"]:
        asked[ADOPT_CLAIM] = "true"
    metadata = {
        "name": volume["name"],
        "namespace": volume["namespace"],
        "labels": texts(volume["labels"]),
        "annotations": asked,
    }
    return {"metadata": metadata, "spec": spec}


def texts(values: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    """Labels and annotations are texts: YAML's true is meant as `true`."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (values or {}).items()}


def _whole(size: str) -> str:
    """A size as it was typed, unless that is no whole number of bytes: the API server would store it in a spelling of its own."""
    return size.strip() if parse(size) == whole_bytes(size) else str(whole_bytes(size))


class Drift(t.NamedTuple):
    """How a stored DataVolume differs from the requested one in what CDI does not change: each line names an option and both values.

    `grows_to` is the requested size in bytes when nothing but a larger size, or one where CDI chose it, is asked for.
    """

    lines: list[str]
    grows_to: int | None = None


def spec_drift(wanted: Object, stored: Object) -> Drift:
    """What differs between two DataVolume specs, as CDI's webhook compares them: it lets no spec change but for the stages of an import."""
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
    """Whether the stages of an import differ, which CDI lets change."""
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
    """`wanted` without what the stored volume leaves to CDI, and CDI has chosen just so: nothing has to be made anew for writing it down.

    A size of as many bytes is spelled as it is stored.
    """
    wanted, before = copy.deepcopy(wanted), stored["spec"]
    spec = wanted["spec"]
    sizes = _size_of(spec), _size_of(before)
    if None not in sizes and whole_bytes(t.cast(str, sizes[0])) == whole_bytes(t.cast(str, sizes[1])):
        spec["storage" if "storage" in spec else "pvc"]["resources"]["requests"]["storage"] = sizes[1]
    for target in {"storage", "pvc"} & set(spec) & set(before):
        for field in _CHOSEN:
            asked = spec[target].get(field)
            if (
                asked
                and not before[target].get(field)
                and claim
                and not differs({field: asked}, {field: claim["spec"].get(field)})
            ):
                del spec[target][field]
    if spec.get("contentType") == "kubevirt" and "contentType" not in before:
        del spec["contentType"]
    requested = annotations_of(claim).get(REQUESTED)
    if "preallocation" not in before and requested is not None and spec.get("preallocation") is (requested == "true"):
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
    if wanted is None or stored is None:
        same = wanted is stored
    else:
        same = not differs({"value": wanted}, {"value": stored})
    return [] if same else [(path, wanted, stored)]


def _line(path: Path, wanted: t.Any, stored: t.Any, typed: str | None) -> str:
    """`source.pvc.name: 'goldn' on the cluster, 'golden' requested`."""
    option = _option(path)
    if path[-1] in SECRET_FIELDS:
        return f"{option} differs"
    if _is_size(path):
        before, after = (None if size is None else like(whole_bytes(size), typed) for size in (stored, wanted))
    else:
        before, after = without_secrets(stored), without_secrets(wanted, stored)
    return f"{option}: {_value(before)} on the cluster, {'not' if after is None else _value(after)} requested"


def _value(value: t.Any) -> str:
    if value is None or value == {}:
        return "unset" if value is None else "set"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _option(path: Path) -> str:
    """The option that says a field; what the module has no option for keeps the API's name."""
    if _is_size(path):
        return f"{path[0]}.size"
    names, options = [], SPEC_OPTIONS
    for part in path:
        name = next((name for name in options if field_name(name) == part), part)
        names.append(name)
        options = (options.get(name) or {}).get("options") or {}
    return ".".join(names)


def is_terminating(claim: Object) -> bool:
    """Whether a claim without its DataVolume is only waiting for its own deletion: it must be gone before a new volume of its name."""
    owners = [owner for owner in claim["metadata"].get("ownerReferences") or [] if owner.get("controller")]
    return bool(claim["metadata"].get("deletionTimestamp") or any(owner["kind"] == "DataVolume" for owner in owners))


def refuse_claim(volume: t.Mapping[str, t.Any], claim: Object) -> None:
    """Raises CdiError when a claim that is there already must not become the volume's, or is not what is asked for.

    CDI takes it without a look at its data, size or class (pkg/controller/common/util.go ClaimMayExistBeforeDataVolume, v1.65.0).
    """
    title = f"DataVolume {volume['namespace']}/{volume['name']}"
    if annotations_of(claim).get(POPULATED_FOR) == volume["name"]:
        return
    if not volume["adopt_claim"]:
        raise CdiError(
            f"{title} cannot be created: a PersistentVolumeClaim of its name exists; "
            "set adopt_claim=true to take it with its data, delete it, or choose another name."
        )
    target, spec = volume["storage"] or volume["pvc"], claim["spec"]
    size = (spec.get("resources") or {}).get("requests", {}).get("storage", "0")
    option = "storage" if volume["storage"] else "pvc"
    stored = {
        "size": target["size"]
        if target["size"] and whole_bytes(target["size"]) <= whole_bytes(size)
        else like(whole_bytes(size), target["size"]),
        "storage_class_name": spec.get("storageClassName"),
        "volume_mode": spec.get("volumeMode"),
    }
    lines = [
        f"{option}.{name}: {_value(value)} on the claim, {target[name]!r} requested"
        for name, value in stored.items()
        if target[name] not in (None, value)
    ]
    if lines:
        raise CdiError(f"{title} cannot adopt the claim of its name: {'; '.join(lines)}; request what the claim has.")
