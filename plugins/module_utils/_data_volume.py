# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""A DataVolume's meaning: what options ask for, and what has drifted. Pure rules."""

from __future__ import annotations

import copy
import typing as t

from ._apply import differs, normalise
from ._clone import PREFIX, annotations
from ._data_volume_options import SPEC_OPTIONS
from ._errors import CdiError
from ._fields import to_fields
from ._preallocation import REQUESTED
from ._public import SECRET_FIELDS, without_secrets
from ._quantity import parse, short

Object = t.Dict[str, t.Any]

BIND_IMMEDIATELY = f"{PREFIX}storage.bind.immediate.requested"
ADOPT_CLAIM = f"{PREFIX}allowClaimAdoption"
POPULATED_FOR = f"{PREFIX}storage.populatedFor"
# What CDI chooses, and writes on the claim, where a DataVolume does not say it.
_CHOSEN = ("accessModes", "storageClassName", "volumeMode")
_SIZES = ("spec.storage.resources.requests.storage", "spec.pvc.resources.requests.storage")


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
            spec[target]["resources"] = {"requests": {"storage": size}} if size else {}
    asked = texts(volume["annotations"])
    if volume["binding"] == "immediate":
        asked[BIND_IMMEDIATELY] = "true"
    if volume["adopt_claim"]:
        asked[ADOPT_CLAIM] = "true"
    metadata = {"name": volume["name"], "namespace": volume["namespace"], "labels": texts(volume["labels"]), "annotations": asked}
    return {"metadata": metadata, "spec": spec}


def texts(values: t.Mapping[str, t.Any] | None) -> dict[str, str]:
    """Labels and annotations are texts: YAML's true is meant as `true`."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (values or {}).items()}


class Drift(t.NamedTuple):
    """How a stored DataVolume differs from the asked one: each line names a field and both values.

    `grows_to` is the asked size in bytes when nothing but a larger size, or one where CDI chose it, is asked for.
    """

    lines: list[str]
    grows_to: int | None = None


def spec_drift(wanted: Object, stored: Object) -> Drift:
    """What differs between two DataVolume specs, as CDI's webhook compares them: it lets no spec change (datavolume-validate.go, v1.65.0)."""
    found = _differences(normalise(wanted["spec"]), normalise(stored["spec"]), "spec")
    lines = [_line(*difference) for difference in found]
    if len(found) != 1 or found[0][0] not in _SIZES:
        return Drift(lines)
    _path, size, before = found[0]
    grows = size is not None and (before is None or parse(size) > parse(before))
    return Drift(lines, int(parse(size)) if grows else None)


def without_chosen(wanted: Object, stored: Object, claim: Object | None) -> Object:
    """`wanted` without what the stored volume leaves to CDI, and CDI has chosen just so: nothing has to be made anew for writing it down."""
    wanted, before = copy.deepcopy(wanted), stored["spec"]
    spec = wanted["spec"]
    for target in {"storage", "pvc"} & set(spec) & set(before):
        for field in _CHOSEN:
            asked = spec[target].get(field)
            if asked and not before[target].get(field) and claim and not differs({field: asked}, {field: claim["spec"].get(field)}):
                del spec[target][field]
    if spec.get("contentType") == "kubevirt" and "contentType" not in before:
        del spec["contentType"]
    requested = annotations(claim).get(REQUESTED)
    if "preallocation" not in before and requested is not None and spec.get("preallocation") is (requested == "true"):
        del spec["preallocation"]
    return wanted


def _differences(wanted: t.Any, stored: t.Any, path: str) -> list[tuple[str, t.Any, t.Any]]:
    sides = [side for side in (wanted, stored) if side is not None]
    if any(sides) and all(isinstance(side, dict) for side in sides):
        keys = sorted({key for side in sides for key in side})
        return [line for key in keys for line in _differences((wanted or {}).get(key), (stored or {}).get(key), f"{path}.{key}")]
    if wanted is None or stored is None:
        same = wanted is stored
    else:
        same = not differs({"value": wanted}, {"value": stored})
    return [] if same else [(path, wanted, stored)]


def _line(path: str, wanted: t.Any, stored: t.Any) -> str:
    if path.rpartition(".")[2] in SECRET_FIELDS:
        return f"{path} differs"
    sides = (without_secrets(stored), without_secrets(wanted, stored))
    values = ("unset" if value is None else short(parse(value)) if path in _SIZES else str(value) for value in sides)
    return f"{path} is {' and not '.join(values)}"


def is_terminating(claim: Object) -> bool:
    """Whether a claim without its DataVolume is only waiting for its own deletion: it must be gone before a new volume of its name."""
    owners = [owner for owner in claim["metadata"].get("ownerReferences") or [] if owner.get("controller")]
    return bool(claim["metadata"].get("deletionTimestamp") or any(owner["kind"] == "DataVolume" for owner in owners))


def refuse_claim(volume: t.Mapping[str, t.Any], claim: Object) -> None:
    """Raises CdiError when a claim that is there already must not become the volume's, or is not what is asked for.

    CDI takes it without a look at its data, size or class (pkg/controller/common/util.go ClaimMayExistBeforeDataVolume, v1.65.0).
    """
    title = f"DataVolume {volume['namespace']}/{volume['name']}"
    if annotations(claim).get(POPULATED_FOR) == volume["name"]:
        return
    if not volume["adopt_claim"]:
        raise CdiError(
            f"{title} cannot be made: a PersistentVolumeClaim of its name exists; "
            "say adopt_claim=true to take it with its data as they are, delete it, or choose another name."
        )
    target, spec = volume["storage"] or volume["pvc"], claim["spec"]
    size = (spec.get("resources") or {}).get("requests", {}).get("storage", "0")
    stored = {
        "size": target["size"] if target["size"] and parse(target["size"]) <= parse(size) else size,
        "storage_class_name": spec.get("storageClassName"),
        "volume_mode": spec.get("volumeMode"),
    }
    lines = [f"{option} is {value} and not {target[option]}" for option, value in stored.items() if target[option] not in (None, value)]
    if lines:
        raise CdiError(f"{title} cannot adopt the claim of its name: {'; '.join(lines)}; ask for what the claim is.")
