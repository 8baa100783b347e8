# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""What keeps a DataVolume from ever being filled, found before it is created: its class, what it refers to, and the claim that CDI would make. Pure rules."""

from __future__ import annotations

import difflib
import re
import typing as t

from ._clone import annotations
from ._clone_facts import DEFAULT_CLASS, DEFAULT_VIRTUALIZATION_CLASS, default_class
from ._errors import ApiError
from ._overhead import required_space, usable_space
from ._quantity import parse, short
from ._resources import (
    CONFIG_MAP,
    DATA_SOURCE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    PRIORITY_CLASS,
    SECRET,
    SERVICE_ACCOUNT,
    VOLUME_SNAPSHOT,
    Resource,
)
from ._scratch import Settings, asked_size, overhead_of, target_bytes
from ._values import LARGEST

if t.TYPE_CHECKING:
    from ._image import Image

Object = dict[str, t.Any]

_MINIMUM = "cdi.kubevirt.io/minimumSupportedPvcSize"
_RAISES_TO_MINIMUM = (1, 64)
_TAKES_PEM = (1, 65)
_MEBIBYTE = 1 << 20
# Fields of a source by the kind of the object in the volume's namespace that they name, with their options.
_NAMED_BY_SOURCES = (
    ("secretRef", "secret_ref", SECRET),
    ("certConfigMap", "cert_config_map", CONFIG_MAP),
    ("secretExtraHeaders", "secret_extra_headers", SECRET),
    ("extraArgs", "extra_args", CONFIG_MAP),
)
_CLONED = (PERSISTENT_VOLUME_CLAIM, VOLUME_SNAPSHOT, DATA_SOURCE)
_POPULATORS = {"PersistentVolumeClaim": PERSISTENT_VOLUME_CLAIM, "VolumeSnapshot": VOLUME_SNAPSHOT}
_TOLD_CLASSES = 20


class Planned(t.NamedTuple):
    """A DataVolume that a task is about to create. `replaces`: an older one of its name goes first. `by_default`: nobody has named its namespace."""

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


class Reference(t.NamedTuple):
    """An object that a DataVolume names, and the option that names it. `namespace` is empty for a cluster's object."""

    resource: Resource
    namespace: str
    name: str
    option: str

    @property
    def is_source(self) -> bool:
        return self.resource in _CLONED

    @property
    def title(self) -> str:
        return f"{self.resource.kind} '{self.namespace + '/' if self.namespace else ''}{self.name}'"


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


def references(planned: Planned) -> list[Reference]:
    """The objects that have to be there, so that CDI can fill the volume."""
    spec, namespace = planned.spec, planned.key[0]
    found = []
    for kind, source in (spec.get("source") or {}).items():
        where = f"source.{kind}"
        if kind in ("pvc", "snapshot"):
            resource = PERSISTENT_VOLUME_CLAIM if kind == "pvc" else VOLUME_SNAPSHOT
            found.append(Reference(resource, source.get("namespace") or namespace, source["name"], where))
        for field, option, resource in _NAMED_BY_SOURCES:
            names = (source or {}).get(field) or []
            found += [
                Reference(resource, namespace, name, f"{where}.{option}")
                for name in ([names] if isinstance(names, str) else names)
            ]
    if spec.get("sourceRef"):
        found.append(
            Reference(
                DATA_SOURCE, spec["sourceRef"].get("namespace") or namespace, spec["sourceRef"]["name"], "source_ref"
            )
        )
    target = spec[planned.option]
    for field, option in (("dataSource", "data_source"), ("dataSourceRef", "data_source_ref")):
        populator = target.get(field) or {}
        if populator.get("kind") in _POPULATORS:
            found.append(
                Reference(_POPULATORS[populator["kind"]], namespace, populator["name"], f"{planned.option}.{option}")
            )
    for value, option, resource, place in (
        (spec.get("priorityClassName"), "priority_class_name", PRIORITY_CLASS, ""),
        (spec.get("serviceAccountName"), "service_account_name", SERVICE_ACCOUNT, namespace),
        (target.get("volumeName"), f"{planned.option}.volume_name", PERSISTENT_VOLUME, ""),
    ):
        if value:
            found.append(Reference(resource, place, value, option))
    return found


def absent(reference: Reference, namespace_exists: bool, others: t.Collection[str]) -> str:
    """What is said of an object that is not there; `others` are the names of its kind in the same place."""
    if not namespace_exists:
        return f"namespace {reference.namespace!r} of {reference.option} does not exist; correct {reference.option}.namespace, or create it first"
    similar = difflib.get_close_matches(reference.name, others, 3, 0.7)
    hint = f"; similar: {', '.join(similar)}" if similar else ""
    return f"{reference.title} ({reference.option}) does not exist{hint}; correct the name, or create it first"


def terminating(reference: Reference, stored: Object) -> str:
    """What is said of a source that is going away; `` when it is not."""
    since = stored["metadata"].get("deletionTimestamp")
    if not since:
        return ""
    remedy = "wait until it is gone and create it again, or use another source"
    return f"{reference.title} ({reference.option}) has been marked for deletion since {since}; {remedy}"


def without_ca(planned: Planned, reference: Reference, stored: Object, version: tuple[int, ...]) -> str:
    """What is said of a ConfigMap from which CDI takes no CA for a registry (collectCerts in registry-datasource.go, v1.61.1 and v1.65.0); `` when it does."""
    old = bool(version) and version < _TAKES_PEM
    endings = (".crt",) if old else (".crt", ".pem")
    keys = sorted({**(stored.get("data") or {}), **(stored.get("binaryData") or {})})
    by_node = ((planned.spec.get("source") or {}).get("registry") or {}).get("pullMethod") == "node"
    if (
        reference.option != "source.registry.cert_config_map"
        or by_node
        or not stored
        or any(key.endswith(endings) for key in keys)
    ):
        return ""
    named = f"its keys are {', '.join(keys)}" if keys else "it has no keys"
    release = "CDI before 1.65" if old else "CDI"
    return f"{reference.title} ({reference.option}) gives no CA: {release} only takes keys that end in {' or '.join(endings)} for a registry, and {named}"


def claim_of(planned: Planned, settings: Settings) -> Object | None:
    """The PersistentVolumeClaim that CDI would make, None when its size depends on a source (pkg/controller/datavolume/util.go, v1.65.0)."""
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
        minimum = annotations(settings.profiles.get(class_name or "")).get(_MINIMUM)
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
    labels = {**(metadata.get("labels") or {}), "app": "containerized-data-importer"}
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
    return f"{planned.option}.size is {asked_size(planned.spec)}, which with the file system's overhead is not below 8Ei, the limit of Kubernetes; ask for less"


def claim_refusal(planned: Planned, claim: Object, settings: Settings, refused: ApiError) -> str:
    """Why the API server would not take CDI's claim; `` when its answer to the trial says nothing about that."""
    text = str(refused)
    found = re.search(r"^[^:]*: (.*) \(HTTP \d+\)", text)
    said = found.group(1) if found else text.rstrip(".")
    if " cannot create resource " in said or (refused.code not in (403, 422) and "denied the request" not in said):
        return ""
    said = re.sub(r'^(persistentvolumeclaims|PersistentVolumeClaim(\.\S+)?) "[^"]*" is (forbidden|invalid): ', "", said)
    if "being terminated" in said:
        return f"namespace {planned.key[0]!r} is being deleted; wait until it is gone and create it again, or use another one"
    if "exceeded quota" in said:
        # What is replaced gives its share back.
        return (
            ""
            if planned.replaces
            else f"its claim is refused: {said}; ask for less, delete what is no longer needed, or have the quota raised"
        )
    size = f"its claim of {_shown(claimed_bytes(claim))}{_inflated(planned, claim)} is refused"
    limit = re.search(r"(maximum|minimum) storage usage per PersistentVolumeClaim is (\w+)", said)
    if limit:
        return f"{size} by a LimitRange: {said}; {_within(planned, claim, settings, *limit.groups())}, or have the LimitRange changed"
    return f"{size}: {said}; change what is refused, or ask the cluster's administrator"


def _overhead(settings: Settings, planned: Planned) -> float:
    """The overhead of the class that the claim will have; none for a claim that no class provisions."""
    name = settings.class_of(planned.spec)
    return overhead_of(settings, name) if name else 0.0


def too_small(planned: Planned, settings: Settings, image: Image) -> str:
    """Whether the disk of the image fits into the volume."""
    size, needed = asked_size(planned.spec), image.virtual_size
    if size is None or needed is None:
        return ""
    usable = -(-int(parse(size)) // _MEBIBYTE) * _MEBIBYTE
    if planned.option == "pvc" and settings.volume_mode(planned.spec, settings.class_of(planned.spec)) != "Block":
        usable = usable_space(int(parse(size)), _overhead(settings, planned), settings.version)
    if needed <= usable:
        return ""
    least = (
        required_space(needed, _overhead(settings, planned), settings.version) if planned.option == "pvc" else needed
    )
    omit = "" if planned.option == "pvc" else ", or omit the size"
    holds = f"the image holds a disk of {_shown(needed)} ({image.format})"
    return f"{planned.option}.size is {size}, and {holds}; request at least {-(-least // _MEBIBYTE)}Mi{omit}"


def _inflated(planned: Planned, claim: Object) -> str:
    asked = asked_size(planned.spec) or "0"
    return (
        f" ({planned.option}.size {asked} and the file system's overhead)"
        if parse(asked) < claimed_bytes(claim)
        else ""
    )


def _within(planned: Planned, claim: Object, settings: Settings, bound: str, limit: str) -> str:
    option = f"{planned.option}.size"
    if bound == "minimum":
        return f"ask for {option}={limit} at least"
    inflated = planned.option == "storage" and claim["spec"]["volumeMode"] != "Block"
    overhead = overhead_of(settings, claim["spec"].get("storageClassName")) if inflated else 0.0
    most = usable_space(int(parse(limit)), overhead, settings.version)
    return f"ask for {option}={most // _MEBIBYTE}Mi at most" if most >= _MEBIBYTE else "no disk fits into that"


def _shown(size: int) -> str:
    return f"{-(-size // _MEBIBYTE)}Mi" if size % _MEBIBYTE else short(parse(size))


def trial(claim: Object) -> tuple[str, str]:
    """Claims that differ in nothing but their names are tried out once."""
    metadata = claim["metadata"]
    return metadata["namespace"], repr(
        (claim["spec"], sorted(metadata["labels"].items()), sorted(metadata["annotations"].items()))
    )


def missing_namespace(namespace: str) -> str:
    return f"namespace {namespace!r} does not exist; create it first, correct its name, or set create_namespace=true"
