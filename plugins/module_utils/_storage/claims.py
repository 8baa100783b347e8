# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The claim that CDI creates for a DataVolume, and why the API server or the image refuses it. Pure rules."""

from __future__ import annotations

import re
import typing as t

from .._ansible.values import LARGEST
from .._cdi.names import APP, APP_NAME, MINIMUM_SIZE
from .._kubernetes.errors import ApiError
from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.quantity import MIB, parse, short
from .._kubernetes.resources import PERSISTENT_VOLUME_CLAIM
from .overhead import required_space, usable_space
from .scratch import Settings, overhead_of, target_bytes
from .scratch_need import asked_size

if t.TYPE_CHECKING:
    from .._image.formats import Image


_RAISES_TO_MINIMUM = (1, 64)


class Planned(t.NamedTuple):
    """A DataVolume that a task will create. `replaces`: an older one of that name is deleted first. `by_default`: its
    namespace is not given."""

    wanted: Object
    replaces: bool = False
    by_default: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return self.wanted["metadata"]["namespace"], self.wanted["metadata"]["name"]

    @property
    def spec(self) -> Object:
        return t.cast(Object, self.wanted["spec"])

    @property
    def option(self) -> str:
        """`storage` or `pvc`."""
        return "storage" if "storage" in self.spec else "pvc"


def claim_of(planned: Planned, settings: Settings) -> Object | None:
    """The PersistentVolumeClaim that CDI would create; None when its size depends on a source
    (pkg/controller/datavolume/util.go, v1.65.0)."""
    spec = planned.spec
    target = spec[planned.option]
    class_name = target.get("storageClassName")
    if class_name is None:
        class_name = settings.class_of(spec)
    mode = settings.volume_mode(spec, class_name)
    needed = target_bytes(settings, spec, class_name, mode == "Block")
    if needed is None:
        return None
    if planned.option == "storage" and (not settings.version or settings.version >= _RAISES_TO_MINIMUM):
        minimum = annotations_of(settings.profiles.get(class_name or "")).get(MINIMUM_SIZE)
        needed = max(needed, int(parse(minimum)) if minimum else 0)
    modes = [
        each.get("accessModes") or [] for each in settings.property_sets(class_name) if each.get("volumeMode") == mode
    ]
    fields = {
        field: value for field, value in target.items() if field not in ("resources", "storageClassName") and value
    }
    claim = {
        **fields,
        "accessModes": target.get("accessModes") or next(filter(None, modes), ["ReadWriteOnce"]),
        "volumeMode": mode,
    }
    if class_name is not None:
        claim["storageClassName"] = class_name
    claim["resources"] = {"requests": {"storage": str(needed)}}
    metadata = planned.wanted["metadata"]
    labels = {**(metadata.get("labels") or {}), APP: APP_NAME}
    return {
        "apiVersion": PERSISTENT_VOLUME_CLAIM.api_version,
        "kind": PERSISTENT_VOLUME_CLAIM.kind,
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": metadata.get("annotations") or {},
        },
        "spec": claim,
    }


def claimed_bytes(claim: Object) -> int:
    return int(claim["spec"]["resources"]["requests"]["storage"])


def too_large(planned: Planned, claim: Object) -> str:
    if claimed_bytes(claim) <= LARGEST:
        return ""
    return (
        f"{planned.option}.size is {asked_size(planned.spec)}, which with the overhead of the file system is not below "
        "8Ei, "
        "the limit of Kubernetes; request less"
    )


def claim_refusal(planned: Planned, claim: Object, settings: Settings, refused: ApiError) -> str:
    """Why the API server would reject CDI's claim, by its answer to a trial; `` when that is about something else."""
    text = str(refused)
    found = re.search(r"^[^:]*: (.*) \(HTTP \d+\)", text)
    reason = found.group(1) if found else text.rstrip(".")
    if " cannot create resource " in reason or (refused.code not in (403, 422) and "denied the request" not in reason):
        return ""
    reason = re.sub(
        r'^(persistentvolumeclaims|PersistentVolumeClaim(\.\S+)?) "[^"]*" is (forbidden|invalid): ', "", reason
    )
    if "being terminated" in reason:
        return (
            f"namespace {planned.key[0]!r} is being deleted; wait until it no longer exists and create it again, "
            "or use another namespace"
        )
    if "exceeded quota" in reason:
        if planned.replaces:
            return ""  # The volume that it replaces releases its share.
        remedy = "request less, delete what is no longer required, or have the quota raised"
        return f"its claim is rejected: {reason}; {remedy}"
    size = f"its claim of {_shown(claimed_bytes(claim))}{_inflated(planned, claim)} is rejected"
    limit = re.search(r"(maximum|minimum) storage usage per PersistentVolumeClaim is (\w+)", reason)
    if limit:
        remedy = _within(planned, claim, settings, *limit.groups())
        return f"{size} by a LimitRange: {reason}; {remedy}, or have the LimitRange changed"
    return f"{size}: {reason}; change what is rejected, or ask the administrator of the cluster"


def _overhead(settings: Settings, planned: Planned) -> float:
    """The file system overhead of the claim's class; 0 for a claim without a class."""
    name = settings.class_of(planned.spec)
    return overhead_of(settings, name) if name else 0.0


def too_small(planned: Planned, settings: Settings, image: Image) -> str:
    """Why the disk of the image does not fit into the volume; `` when it does, or when a size is unknown."""
    size, needed = asked_size(planned.spec), image.virtual_size
    if size is None or needed is None:
        return ""
    usable = -(-int(parse(size)) // MIB) * MIB
    if planned.option == "pvc" and settings.volume_mode(planned.spec, settings.class_of(planned.spec)) != "Block":
        usable = usable_space(int(parse(size)), _overhead(settings, planned), settings.version)
    if needed <= usable:
        return ""
    least = (
        required_space(needed, _overhead(settings, planned), settings.version) if planned.option == "pvc" else needed
    )
    omit = "" if planned.option == "pvc" else ", or omit the size"
    holds = f"the image holds a disk of {_shown(needed)} ({image.format})"
    return f"{planned.option}.size is {size}, and {holds}; request at least {-(-least // MIB)}Mi{omit}"


def _inflated(planned: Planned, claim: Object) -> str:
    asked = asked_size(planned.spec) or "0"
    return (
        f" ({planned.option}.size {asked} and the overhead of the file system)"
        if parse(asked) < claimed_bytes(claim)
        else ""
    )


def _within(planned: Planned, claim: Object, settings: Settings, bound: str, limit: str) -> str:
    option = f"{planned.option}.size"
    if bound == "minimum":
        return f"request at least {option}={limit}"
    inflated = planned.option == "storage" and claim["spec"]["volumeMode"] != "Block"
    overhead = overhead_of(settings, claim["spec"].get("storageClassName")) if inflated else 0.0
    most = usable_space(int(parse(limit)), overhead, settings.version)
    return f"request at most {option}={most // MIB}Mi" if most >= MIB else "no disk fits into that"


def _shown(size: int) -> str:
    return f"{-(-size // MIB)}Mi" if size % MIB else short(parse(size))


def trial(claim: Object) -> tuple[str, str]:
    """A key that is the same for claims that differ only in their names: one trial is enough for them."""
    metadata = claim["metadata"]
    return metadata["namespace"], repr(
        (claim["spec"], sorted(metadata["labels"].items()), sorted(metadata["annotations"].items()))
    )
