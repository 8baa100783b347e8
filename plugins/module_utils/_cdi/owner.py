# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who manages CDI when it is not us: HyperConverged or OLM. What they own they change back, so it is left to them."""

from __future__ import annotations

import json
import typing as t

from .._kubernetes.client import Connection
from .._kubernetes.errors import CdiError
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import HYPER_CONVERGED

_HYPERCONVERGED_CDI = "cdi-kubevirt-hyperconverged"
_HYPERCONVERGED_NAME = "kubevirt-hyperconverged"
JSON_PATCH = "containerizeddataimporter.kubevirt.io/jsonpatch"
# CDI.spec to HyperConverged.spec (kubevirt/hyperconverged-cluster-operator, controllers/handlers/cdi.go and
# api/v1beta1).
HYPERCONVERGED_FIELDS = {
    "certConfig": "certConfig",
    "config.filesystemOverhead": "filesystemOverhead",
    "config.insecureRegistries": "storageImport.insecureRegistries",
    "config.logVerbosity": "logVerbosityConfig.cdi",
    "config.podResourceRequirements": "resourceRequirements.storageWorkloads",
    "config.scratchSpaceStorageClass": "scratchSpaceStorageClass",
    "config.tlsSecurityProfile": "tlsSecurityProfile",
    "infra": "infra.nodePlacement",
    "uninstallStrategy": "uninstallStrategy",
    "workload": "workloads.nodePlacement",
}


class Owner(t.NamedTuple):
    """The object that manages CDI: a HyperConverged, or one of the Operator Lifecycle Manager."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def find_hyperconverged(connection: Connection, cdis: t.Iterable[Object]) -> Owner | None:
    """The HyperConverged that manages CDI. CDI has no owner reference to it, so it is found by listing, or by CDI's
    name.

    For a user who cannot list HyperConvergeds, the API server decides about the write.
    """
    for item in Reader(connection).read(HYPER_CONVERGED).items:
        return Owner(HYPER_CONVERGED.kind, item["metadata"]["namespace"], item["metadata"]["name"])
    if any(item["metadata"]["name"] == _HYPERCONVERGED_CDI for item in cdis):
        return Owner(HYPER_CONVERGED.kind, "", _HYPERCONVERGED_NAME)
    return None


def olm_owner(stored: Object | None) -> Owner | None:
    """The OLM object that an object belongs to, usually a ClusterServiceVersion."""
    metadata = (stored or {}).get("metadata") or {}
    labels = metadata.get("labels") or {}
    if "olm.owner" in labels:
        return Owner(
            labels.get("olm.owner.kind", "ClusterServiceVersion"),
            labels.get("olm.owner.namespace", ""),
            labels["olm.owner"],
        )
    for reference in metadata.get("ownerReferences") or []:
        if reference["kind"] == "ClusterServiceVersion":
            return Owner(reference["kind"], metadata.get("namespace", ""), reference["name"])
    return None


def refuse(owner: Owner | None, cdi: str, requested: t.Mapping[str, t.Any]) -> None:
    """Raise CdiError with the owner's field for each requested field of CDI; `requested` is a merge patch of
    CDI.spec."""
    if owner is None:
        return
    if owner.kind != HYPER_CONVERGED.kind:
        raise CdiError(
            f"CDI {cdi} belongs to {owner} of the Operator Lifecycle Manager, which reverts direct changes; "
            "make the changes there or in its Subscription."
        )
    fields, operations = [], []
    for path, value in _flat(requested):
        if path in HYPERCONVERGED_FIELDS:
            fields.append(f"spec.{HYPERCONVERGED_FIELDS[path]} for {path}")
        else:
            operation: dict[str, t.Any] = {
                "op": "remove" if value is None else "add",
                "path": "/spec/" + path.replace(".", "/"),
            }
            operations.append(operation if value is None else {**operation, "value": value})
    remedies = [f"set on it {', '.join(fields)}"] if fields else []
    if operations:
        remedies.append(f"add to its annotation {JSON_PATCH}: {json.dumps(operations)}")
    raise CdiError(
        f"CDI {cdi} belongs to {owner}, which installs, upgrades and removes it and reverts direct changes; "
        f"{'; '.join(remedies) or 'change that object'}."
    )


def _flat(requested: t.Mapping[str, t.Any]) -> t.Iterator[tuple[str, t.Any]]:
    for field, value in requested.items():
        if field == "config":
            yield from ((f"config.{key}", item) for key, item in (value or {}).items())
        else:
            yield field, value
