# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""What CDI's release manifest and the status of a CDI object mean: pure rules."""

from __future__ import annotations

import re
import typing as t

from ._errors import CdiError
from ._resources import MANIFEST_KINDS
from ._wait import REACHED, WAITING, Verdict

Object = t.Dict[str, t.Any]

OPERATOR = "cdi-operator"
CUSTOM_RESOURCE_DEFINITION_NAME = "cdis.cdi.kubevirt.io"
RELEASE_URL = "https://github.com/kubevirt/containerized-data-importer/releases/download/{version}/cdi-operator.yaml"
# What the release's own cdi-cr.yaml asks for (manifests/templates/release/cdi-cr.yaml.in, v1.65.0).
FIRST_FEATURE_GATES = ["HonorWaitForFirstConsumer"]


def manifest_objects(documents: t.Iterable[t.Any], source: str) -> list[Object]:
    """The objects of a release manifest in the order of their creation. Raises CdiError when it is none."""
    objects = [document for document in documents if document]
    for item in objects:
        if not isinstance(item, dict) or item.get("kind") not in MANIFEST_KINDS:
            kind = item.get("kind") if isinstance(item, dict) else item
            raise CdiError(f"manifest {source} holds an object of kind {kind!r}, which no release of CDI has; give the cdi-operator.yaml of a release.")
        item.pop("status", None)
        item["metadata"].pop("creationTimestamp", None)
    if not any(item["kind"] == "Deployment" and item["metadata"]["name"] == OPERATOR for item in objects):
        raise CdiError(f"manifest {source} has no Deployment {OPERATOR}; give the cdi-operator.yaml of a release.")
    order = list(MANIFEST_KINDS)
    return sorted(objects, key=lambda item: order.index(item["kind"]))


def operator_deployment(objects: t.Iterable[Object]) -> Object:
    """The operator's Deployment in a manifest that has one."""
    return next(item for item in objects if item["kind"] == "Deployment" and item["metadata"]["name"] == OPERATOR)


def operator_version(deployment: Object) -> str:
    """The release that an operator Deployment installs, as its OPERATOR_VERSION says, `` when it says none."""
    (container, *_others) = deployment["spec"]["template"]["spec"]["containers"]
    return next((str(entry.get("value", "")) for entry in container.get("env", []) if entry["name"] == "OPERATOR_VERSION"), "")


def without_removed_version(desired: Object, stored: Object | None) -> Object:
    """The operator takes v1alpha1 out of its own CRD (pkg/operator/controller/cruft.go, v1.65.0): do not put it back."""
    if stored is None or desired["kind"] != "CustomResourceDefinition":
        return desired
    kept = {version["name"] for version in stored["spec"]["versions"]}
    versions = [version for version in desired["spec"]["versions"] if version["name"] in kept or version["name"] != "v1alpha1"]
    return {**desired, "spec": {**desired["spec"], "versions": versions}}


def refuse_downgrade(installed: str, wanted: str) -> None:
    """CDI's operator silently ignores a downgrade (controller-lifecycle-operator-sdk, reconciler.go): say so first."""
    if release(installed) and release(wanted) and release(wanted) < release(installed):
        raise CdiError(f"CDI {installed} is installed and the manifest is of {wanted}; CDI cannot be downgraded: give {installed} or a newer release.")


def release(version: str) -> tuple[int, ...]:
    """`v1.65.0` as numbers that can be compared; empty for a build that is no release."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, match.groups())) if match else ()


def conditions(stored: Object | None) -> dict[str, Object]:
    """The conditions of any object by their type."""
    status = (stored or {}).get("status") or {}
    return {condition["type"]: condition for condition in status.get("conditions") or []}


def judge_cdi(stored: Object | None, version: str) -> Verdict:
    """CDI's full ready test: Available alone stays True during an upgrade (status/cr-status.go, v1.65.0)."""
    status = (stored or {}).get("status") or {}
    found = conditions(stored)
    states = {kind: found.get(kind, {}).get("status", "Unknown") for kind in ("Available", "Progressing", "Degraded")}
    versions = {status.get(name, "") for name in ("observedVersion", "targetVersion", "operatorVersion")}
    ready = status.get("phase") == "Deployed" and states == {"Available": "True", "Progressing": "False", "Degraded": "False"}
    if ready and len(versions) == 1 and (not version or versions == {version}):
        return Verdict(REACHED)
    told = ", ".join(f"{kind} is {state}" for kind, state in states.items())
    messages = "; ".join(condition["message"] for condition in found.values() if condition.get("message"))
    observed = status.get("observedVersion") or "none"
    return Verdict(WAITING, f"phase is {status.get('phase') or 'unset'}, {told}, observed version {observed}" + (f" ({messages})" if messages else ""))


def judge_deployment(stored: Object | None) -> Verdict:
    """Whether a Deployment's newest template runs everywhere."""
    status = (stored or {}).get("status") or {}
    wanted = ((stored or {}).get("spec") or {}).get("replicas", 1)
    current = stored is not None and status.get("observedGeneration") == stored["metadata"].get("generation")
    if current and all(status.get(name, 0) == wanted for name in ("replicas", "updatedReplicas", "availableReplicas")):
        return Verdict(REACHED)
    return Verdict(WAITING, f"{status.get('availableReplicas', 0)} of {wanted} pods are available")


def judge_condition(stored: Object | None, kind: str) -> Verdict:
    """Whether one condition is True."""
    condition = conditions(stored).get(kind, {})
    if condition.get("status") == "True":
        return Verdict(REACHED)
    return Verdict(WAITING, condition.get("message") or f"{kind} is {condition.get('status', 'not reported')}")
