# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status of CDI means, and which releases may follow each other: pure rules."""

from __future__ import annotations

import re
import typing as t

from .._kubernetes.errors import CdiError, target
from .._kubernetes.objects import Object, conditions
from .._kubernetes.resources import OPERATOR, Resource
from .._kubernetes.verdict import REACHED, WAITING, Verdict
from .names import API_SERVER, CONTROLLER, UPLOAD_PROXY

# As in the release's cdi-cr.yaml (manifests/templates/release/cdi-cr.yaml.in, v1.65.0). Older releases ignore unknown
# gates.
FIRST_FEATURE_GATES = ["HonorWaitForFirstConsumer", "WebhookPvcRendering"]
# The operator's environment variable with the image of each Deployment (pkg/operator/resources/namespaced, v1.65.0).
_IMAGE_VARIABLES = {
    API_SERVER: "APISERVER_IMAGE",
    CONTROLLER: "CONTROLLER_IMAGE",
    UPLOAD_PROXY: "UPLOAD_PROXY_IMAGE",
}


def title(resource: Resource, item: Object) -> str:
    """How results name an object: `Deployment cdi/cdi-operator`."""
    return target(resource, item["metadata"].get("namespace"), item["metadata"]["name"])


def refuse_downgrade(installed: str, wanted: str) -> None:
    """Raise CdiError for a downgrade, which CDI's operator silently ignores (controller-lifecycle-operator-sdk,
    reconciler.go)."""
    if release(installed) and release(wanted) and release(wanted) < release(installed):
        raise CdiError(
            f"CDI {installed} is installed, but the manifest is of {wanted}, and CDI cannot be downgraded; "
            f"give {installed} or a newer release."
        )


def release(version: str) -> tuple[t.Any, ...]:
    """A release as a sort key (https://semver.org); () for a development build, which CDI takes as the newest."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?", version)
    if not match:
        return ()
    *numbers, preview = match.groups()
    identifiers = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in (preview or "").split(".")]
    return (*map(int, numbers), not preview, identifiers)


def active(cdis: t.Iterable[Object]) -> Object:
    """The active CDI object, {} without one: the only one, or the one that is not in phase Error (GetActiveCDI,
    v1.65.0)."""
    return min(cdis, key=lambda cdi: (cdi.get("status") or {}).get("phase") == "Error", default={})


def judge_cdi(stored: Object | None, version: str) -> Verdict:
    """Whether CDI is ready. Available alone does not say so, as it stays True during an upgrade (status/cr-status.go,
    v1.65.0)."""
    status = (stored or {}).get("status") or {}
    found = conditions(stored)
    states = {kind: found.get(kind, {}).get("status", "Unknown") for kind in ("Available", "Progressing", "Degraded")}
    versions = {status.get(name, "") for name in ("observedVersion", "targetVersion", "operatorVersion")}
    ready = status.get("phase") == "Deployed" and states == {
        "Available": "True",
        "Progressing": "False",
        "Degraded": "False",
    }
    if ready and len(versions) == 1 and (not version or versions == {version}):
        return Verdict(REACHED)
    listed = ", ".join(f"{kind} is {state}" for kind, state in states.items())
    messages = "; ".join(condition["message"] for condition in found.values() if condition.get("message"))
    observed = status.get("observedVersion") or "none"
    return Verdict(
        WAITING,
        f"phase is {status.get('phase') or 'unset'}, {listed}, observed version {observed}"
        + (f" ({messages})" if messages else ""),
    )


def judge_deployment(stored: Object | None) -> Verdict:
    """Whether all pods of a Deployment run its newest template."""
    status = (stored or {}).get("status") or {}
    wanted = ((stored or {}).get("spec") or {}).get("replicas", 1)
    current = stored is not None and status.get("observedGeneration") == stored["metadata"].get("generation")
    if current and all(status.get(name, 0) == wanted for name in ("replicas", "updatedReplicas", "availableReplicas")):
        return Verdict(REACHED)
    return Verdict(WAITING, f"{status.get('availableReplicas', 0)} of {wanted} pods are available")


def judge_components(deployments: t.Iterable[Object], environment: t.Mapping[str, str], cdi: Object) -> Verdict:
    """Whether the operator and each Deployment of CDI runs, with the requested image and number of replicas.

    `environment` is the operator's. The CDI object stays Deployed for a moment after a change of its operator.
    """
    found = {item["metadata"]["name"]: item for item in deployments}
    spec_of_cdi = cdi.get("spec") or {}
    infra = spec_of_cdi.get("infra") or {}
    patched = bool((spec_of_cdi.get("customizeComponents") or {}).get("patches"))
    replicas = {
        API_SERVER: "apiServerReplicas",
        CONTROLLER: "deploymentReplicas",
        UPLOAD_PROXY: "uploadProxyReplicas",
    }
    for name in (OPERATOR, *_IMAGE_VARIABLES):
        verdict = judge_deployment(found.get(name))
        if verdict.state == REACHED and name != OPERATOR and not patched:
            spec = found[name]["spec"]
            image, wanted_image = (
                spec["template"]["spec"]["containers"][0]["image"],
                environment.get(_IMAGE_VARIABLES[name]),
            )
            wanted_replicas = infra.get(replicas[name]) or 1
            if wanted_image and image != wanted_image:
                verdict = Verdict(WAITING, f"its image is {image}, not {wanted_image} yet")
            elif spec.get("replicas", 1) != wanted_replicas:
                verdict = Verdict(WAITING, f"it has {spec.get('replicas', 1)} replicas, not {wanted_replicas} yet")
        if verdict.state != REACHED:
            return Verdict(WAITING, f"Deployment {name}: {verdict.reason}")
    return Verdict(REACHED)


def pods_in_trouble(pods: t.Iterable[Object]) -> list[str]:
    """What keeps pods from running: images that cannot be pulled, containers that fail, no suitable node."""
    troubles = []
    for pod in pods:
        status = pod.get("status") or {}
        scheduled = conditions(pod).get("PodScheduled", {})
        if scheduled.get("status") == "False":
            troubles.append(f"pod {pod['metadata']['name']} is not scheduled ({scheduled.get('message')})")
        for container in status.get("containerStatuses") or []:
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                troubles.append(
                    f"pod {pod['metadata']['name']} is in {waiting['reason']} ({waiting.get('message', 'no message')})"
                )
    return troubles


def judge_condition(stored: Object | None, kind: str) -> Verdict:
    """Whether one condition is True."""
    condition = conditions(stored).get(kind, {})
    if condition.get("status") == "True":
        return Verdict(REACHED)
    return Verdict(WAITING, condition.get("message") or f"{kind} is {condition.get('status', 'not reported')}")


def operator_environment(deployment: Object) -> dict[str, str]:
    """The operator's environment variables: OPERATOR_VERSION, and an image for each component."""
    (container, *_others) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: str(entry.get("value", "")) for entry in container.get("env", [])}
