# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a DataVolume references, and what is wrong with objects that CDI cannot use. Pure rules."""

from __future__ import annotations

import difflib
import typing as t

from .._kubernetes.objects import Object
from .._kubernetes.resources import (
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
from .._storage.claims import Planned

_TAKES_PEM = (1, 65)
# Fields of sources that name an object in the volume's namespace: the field, its option, and the kind of the object.
_NAMED_BY_SOURCES = (
    ("secretRef", "secret_ref", SECRET),
    ("certConfigMap", "cert_config_map", CONFIG_MAP),
    ("secretExtraHeaders", "secret_extra_headers", SECRET),
    ("extraArgs", "extra_args", CONFIG_MAP),
)
_CLONED = (PERSISTENT_VOLUME_CLAIM, VOLUME_SNAPSHOT, DATA_SOURCE)
_POPULATORS = {"PersistentVolumeClaim": PERSISTENT_VOLUME_CLAIM, "VolumeSnapshot": VOLUME_SNAPSHOT}


class Reference(t.NamedTuple):
    """An object that a DataVolume names, and the option that does. `namespace` is empty for a cluster-scoped object."""

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


def references(planned: Planned) -> list[Reference]:
    """The objects that must exist for CDI to fill the volume."""
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


def problem_of_absent(reference: Reference, namespace_exists: bool, others: t.Collection[str]) -> str:
    """What is wrong with a reference to a missing object. `others`: the names of its kind in the same namespace."""
    if not namespace_exists:
        return (
            f"namespace {reference.namespace!r} of {reference.option} does not exist; "
            f"correct {reference.option}.namespace, or create it first"
        )
    similar = difflib.get_close_matches(reference.name, others, 3, 0.7)
    hint = f"; similar: {', '.join(similar)}" if similar else ""
    return f"{reference.title} ({reference.option}) does not exist{hint}; correct the name, or create it first"


def problem_of_terminating(reference: Reference, stored: Object) -> str:
    """What is wrong with a source that is being deleted; `` when it is not."""
    since = stored["metadata"].get("deletionTimestamp")
    if not since:
        return ""
    remedy = "wait until it is deleted and create it again, or use another source"
    return f"{reference.title} ({reference.option}) has been marked for deletion since {since}; {remedy}"


def problem_of_ca(planned: Planned, reference: Reference, stored: Object, version: tuple[int, ...]) -> str:
    """What is wrong with a ConfigMap from which CDI takes no CA for a registry; `` when it does.

    collectCerts in registry-datasource.go, v1.61.1 and v1.65.0.
    """
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
    return (
        f"{reference.title} ({reference.option}) gives no CA: for a registry, {release} only reads keys that end in "
        f"{' or '.join(endings)}, and {named}"
    )


def missing_namespace(namespace: str) -> str:
    return f"namespace {namespace!r} does not exist; create it first, correct its name, or set create_namespace=true"
