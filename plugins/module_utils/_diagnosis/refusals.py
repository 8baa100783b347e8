# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which LimitRange, ResourceQuota, class, account or policy keeps CDI's pods or claims out of a namespace. Pure rules.

CDI itself only reports `Error starting pod`.
"""

from __future__ import annotations

import re
import typing as t

from .._cdi.names import APP, APP_NAME, COMPONENT
from .._kubernetes.objects import Object
from .._kubernetes.quantity import parse, rough

QUOTA_EXCEEDED = "quota_exceeded"
RAISE_QUOTA = "raise the namespace's quota: an import, an upload or a clone requires room for two or three claims"
_RAISE_QUOTA_FOR_PODS = (
    "raise the namespace's quota, or delete what uses it: an import or an upload requires one pod, a clone two"
)
_NO_POD_FITS = "raise the namespace's quota, or lower pod_resource_requirements (module kubevirt.cdi.cdi_config)"
_LIMITS_REMEDY = (
    "have the LimitRange changed, or set pod_resource_requirements within it (module kubevirt.cdi.cdi_config)"
)
_POD = "CDI's pod"
_REFUSED = f"{_POD} is rejected"
_RETRIES = "CDI tries again at increasing intervals"
_TRIES_AGAIN = "wait, or delete the volume and declare it again"
_NAME_ANOTHER = "create it, or delete the volume and declare it with one that exists"
_COUNTING_REMEDY = "wait until the quota controller (kube-controller-manager) has counted what the namespace uses"
_POLICY_REMEDY = "make the policy or webhook accept CDI's pods"
# In the words of the quota plugin of the API server (k8s.io/apiserver,
# pkg/admission/plugin/resourcequota/controller.go,
# v0.34).
_EXCEEDED = re.compile(
    r"exceeded quota: (?P<name>[^\s,]+), requested: (?P<asked>\S+), used: (?P<used>\S+), limited: (?P<hard>[^\s;]+)"
)
_OWN_SCOPES = ("NotBestEffort", "NotTerminating")
# Of a trial pod: as CDI creates its own (SetRestrictedSecurityContext in pkg/controller/common/util.go,
# v1.65.0).
_USER = 107
_IMAGE = "quay.io/kubevirt/cdi-importer:v1.65.0"


class Worker(t.NamedTuple):
    """A pod of CDI that the API server rejects, and what it refers to."""

    namespace: str
    name: str
    priority_class: str = ""
    account: str = ""


class Room(t.NamedTuple):
    """What limits such a pod in its namespace. `resources`: those that CDI sets on its pods.

    `trial`: why the API server rejects such a pod, `` when it accepts it, None when that is unknown.
    """

    limit_ranges: t.Sequence[Object] = ()
    quotas: t.Sequence[Object] = ()
    resources: t.Mapping[str, t.Mapping[str, str]] = {}
    missing_class: bool = False
    missing_account: bool = False
    trial: str | None = None


class Refusal(t.NamedTuple):
    """Why a pod or a claim is rejected. `never`: it would be even if no other volume existed; `past`: it would be
    accepted now."""

    cause: str
    message: str
    remedy: str
    never: bool = False
    past: bool = False


def why_refused(worker: Worker, room: Room) -> Refusal | None:
    """Why the pod is rejected; None when it is unknown."""
    if room.missing_class:
        message = f"{_REFUSED}: PriorityClass {worker.priority_class!r} (priority_class_name) does not exist"
        return Refusal("priority_class_missing", message, _NAME_ANOTHER)
    if room.missing_account:
        message = (
            f"{_REFUSED}: ServiceAccount '{worker.namespace}/{worker.account}' (service_account_name) does not exist"
        )
        return Refusal("service_account_missing", message, _NAME_ANOTHER)
    found = _limited(room) or _over_quota(worker, room) or _tried(worker, room.trial or "")
    if found or room.trial is None:
        return found
    message = f"{_POD} was rejected in namespace {worker.namespace!r}, but would be accepted now; {_RETRIES}"
    return Refusal("worker_refused", message, _TRIES_AGAIN, past=True)


def _limited(room: Room) -> Refusal | None:
    for limit_range in room.limit_ranges:
        for item in limit_range["spec"]["limits"]:
            violation = _violation(item, room.resources) if item["type"] in ("Container", "Pod") else ""
            if violation:
                name = f"{limit_range['metadata']['namespace']}/{limit_range['metadata']['name']}"
                return Refusal("limit_range", f"{_REFUSED}: LimitRange '{name}' {violation}", _LIMITS_REMEDY)
    return None


def _violation(item: Object, resources: t.Mapping[str, t.Mapping[str, str]]) -> str:
    """How pods of one container with these resources violate one item of a LimitRange; `` if they do not
    (plugin/pkg/admission/limitranger, v1.34)."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    each = f"in a {item['type'].lower()}, and CDI's has"
    for name, most in (item.get("max") or {}).items():
        if name in limits and parse(limits[name]) > parse(most):
            return f"allows at most {most} of {name} {each} a limit of {limits[name]}"
    for name, least in (item.get("min") or {}).items():
        if name in requests and parse(requests[name]) < parse(least):
            return f"requires at least {least} of {name} {each} a request of {requests[name]}"
    for name, most in (item.get("maxLimitRequestRatio") or {}).items():
        if (
            name in limits
            and name in requests
            and parse(requests[name])
            and parse(limits[name]) / parse(requests[name]) > parse(most)
        ):
            ratio = f"{float(parse(limits[name]) / parse(requests[name])):.3g}"
            own = f"a limit of {limits[name]}, {ratio} times its request of {requests[name]}"
            return f"allows a limit of at most {most} times the request of {name} {each} {own}"
    return ""


def _over_quota(worker: Worker, room: Room) -> Refusal | None:
    asked = _asked(room.resources)
    for quota in room.quotas:
        if not _is_in_scope(quota, worker):
            continue
        status = quota.get("status") or {}
        hard, used = status.get("hard") or quota["spec"].get("hard") or {}, status.get("used") or {}
        counted = [(name, hard[name], used.get(name, "0"), asked[name]) for name in hard if name in asked]
        short = [each for each in counted if _is_short(*each[1:])]
        if short:
            return _exceeded(f"{quota['metadata']['namespace']}/{quota['metadata']['name']}", short, _POD)
    return None


def _asked(resources: t.Mapping[str, t.Mapping[str, str]]) -> dict[str, str]:
    """What a pod of CDI counts in quotas."""
    asked = {"pods": "1", "count/pods": "1"}
    for kind in ("requests", "limits"):
        for name, quantity in (resources.get(kind) or {}).items():
            asked[f"{kind}.{name}"] = quantity
            if kind == "requests":
                asked[name] = quantity
    return asked


def _is_short(hard: str, used: str, asked: str) -> bool:
    return parse(used) + parse(asked) > parse(hard)


def _is_in_scope(quota: Object, worker: Worker) -> bool:
    """Whether a quota certainly counts the pod. For other quotas, the trial shows it."""
    expressions = (quota["spec"].get("scopeSelector") or {}).get("matchExpressions") or []
    for scope in [
        *({"scopeName": name, "operator": "Exists"} for name in quota["spec"].get("scopes") or []),
        *expressions,
    ]:
        if scope["scopeName"] == "PriorityClass":
            named = worker.priority_class in (scope.get("values") or [])
            if not {"In": named, "NotIn": not named, "Exists": bool(worker.priority_class)}.get(
                scope["operator"], not worker.priority_class
            ):
                return False
        elif scope["scopeName"] not in _OWN_SCOPES:
            return False
    return True


def _exceeded(name: str, short: t.Sequence[tuple[str, str, str, str]], what: str) -> Refusal:
    listed = [
        f"{each} (hard {_shown(hard, each)}, used {_shown(used, each)}, requested {_shown(asked, each)})"
        for each, hard, used, asked in short
    ]
    never = any(parse(asked) > parse(hard) for _each, hard, _used, asked in short)
    computes = all(re.search("cpu|memory", each) for each, *_others in short)
    remedy = RAISE_QUOTA if what != _POD else _NO_POD_FITS if never and computes else _RAISE_QUOTA_FOR_PODS
    return Refusal(
        QUOTA_EXCEEDED,
        f"exceeded quota: ResourceQuota '{name}' has no room for {what}: {', '.join(listed)}",
        remedy,
        never,
    )


def _shown(quantity: str, resource: str) -> str:
    """Bytes in a readable unit; CPUs and numbers of objects as they are."""
    is_size = re.search(r"(^|[./])(storage|memory|ephemeral-storage)$", resource)
    return rough(parse(quantity)) if is_size and quantity.isdigit() else quantity


def quota_in(text: str, namespace: str = "", quotas: t.Sequence[Object] | None = None) -> Refusal | None:
    """The quota that the API server names when it rejects an object, usually a claim. `quotas`: those of the namespace
    now, if they were read.
    """
    found = _EXCEEDED.search(text)
    if not found:
        return None
    asked, used, hard = (
        dict(pair.split("=", 1) for pair in found[key].rstrip(".").split(",") if "=" in pair)
        for key in ("asked", "used", "hard")
    )
    now: Object = next(
        (quota.get("status") or {} for quota in quotas or () if quota["metadata"]["name"] == found["name"]), {}
    )
    hard, used = {**hard, **(now.get("hard") or {})}, {**used, **(now.get("used") or {})}
    short = [(name, hard[name], used.get(name, "0"), asked[name]) for name in asked if name in hard]
    try:
        if now and not any(_is_short(*each[1:]) for each in short):
            message = f"ResourceQuota '{namespace}/{found['name']}' was exceeded, but has room now; {_RETRIES}"
            return Refusal(QUOTA_EXCEEDED, message, _TRIES_AGAIN, past=True)
        pod = bool({"pods", "count/pods", "cpu", "memory"} & set(asked)) or any(
            re.search(r"\.(cpu|memory)$", name) for name in asked
        )
        what = _POD if pod else "the claim"
        return _exceeded("/".join(filter(None, (namespace, found["name"]))), short, what) if short else None
    except ValueError:
        return None  # The text is cut off in the middle of a number.


def _tried(worker: Worker, reason: str) -> Refusal | None:
    if not reason:
        return None
    quota = quota_in(reason, worker.namespace)
    if quota:
        return quota
    message = f"{_REFUSED}: {reason}"
    if "PriorityClass" in reason and "was found" in reason:
        return Refusal("priority_class_missing", message, _NAME_ANOTHER)
    if "looking up service account" in reason or "serviceaccount" in reason:
        return Refusal("service_account_missing", message, _NAME_ANOTHER)
    if "violates PodSecurity" in reason:
        return Refusal("pod_security", message, "have the pod security level of the namespace changed")
    if "usage per " in reason or " ratio per " in reason:
        return Refusal("limit_range", message, _LIMITS_REMEDY)
    if "status unknown for quota" in reason:
        return Refusal(QUOTA_EXCEEDED, message, _COUNTING_REMEDY, past=True)
    if "failed quota" in reason:
        return Refusal(QUOTA_EXCEEDED, message, "set pod_resource_requirements (module kubevirt.cdi.cdi_config)", True)
    return Refusal("worker_refused", message, _POLICY_REMEDY)


def refused_because(text: str) -> str | None:
    """The API server's reason to reject a trial pod, `` when the pod exists; None when it rejects the trial itself."""
    if "already exists" in text:
        return ""
    if " cannot create resource " in text:
        return None
    found = re.search(r'pods "[^"]*" is forbidden: (.*?) \(HTTP \d+\)', text) or re.search(
        r": (admission webhook .*?|.*denied.*?) \(HTTP \d+\)", text
    )
    return found.group(1).rstrip(".") if found else None


def trial_pod(worker: Worker, resources: t.Mapping[str, t.Any]) -> Object:
    """A pod that requires of a namespace what CDI's own pods require."""
    container: Object = {
        "name": "importer",
        "image": _IMAGE,
        "securityContext": {
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "runAsUser": _USER,
        },
        "resources": resources,
    }
    spec: Object = {
        "containers": [container],
        "restartPolicy": "OnFailure",
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "fsGroup": _USER},
    }
    if worker.priority_class:
        spec["priorityClassName"] = worker.priority_class
    if worker.account:
        spec["serviceAccountName"] = worker.account
    labels = {APP: APP_NAME, COMPONENT: "importer"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": worker.name, "namespace": worker.namespace, "labels": labels},
        "spec": spec,
    }
