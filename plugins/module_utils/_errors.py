# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The one error type of the collection and the one place that words an answer of the API server."""

from __future__ import annotations

import json
import re
import typing as t

from ._public import redact_urls

if t.TYPE_CHECKING:
    from ._resources import Resource


class CdiError(Exception):
    """A sentence for the user, in which URLs show no secrets; `result` holds facts that the task returns beside it."""

    def __init__(self, message: str, **result: t.Any) -> None:
        super().__init__(redact_urls(message))
        self.result = result


class ApiError(CdiError):
    """The API server (or the way to it) refused a request; `code` is its HTTP status, 0 without an answer."""

    def __init__(self, message: str, code: int, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class NotServed(ApiError):
    """The API server does not know this kind: its CRD is not installed."""


REMEDIES = {
    401: "give a valid api_key, client certificate or kubeconfig (see the options and variables K8S_AUTH_*)",
    409: "run the task again, or leave the field to its owner",
    429: "the API server is overloaded, try again later",
}
# What helps when the server, or a webhook of CDI's (pkg/apiserver/webhooks, v1.65.0), says this.
_REMEDIES_FOR_WORDS = {
    "being terminated": "wait until the namespace is gone and make it anew, or use another one",
    "failed calling webhook": "see that CDI's API server runs (Deployment cdi-apiserver in CDI's namespace), or run the task again",
    "exceeded quota": "raise the namespace's quota, or delete what is no longer needed",
    "insufficient permissions in clone source namespace": "grant the verb \"create\" on datavolumes/source.cdi.kubevirt.io in the source's namespace",
    "field not declared in schema": "leave the option out, or upgrade what serves this kind: its release does not know the field",
    "Destination PVC": "delete the claim of that name, or give the volume another name",
}


def target(resource: Resource, namespace: str | None, name: str | None) -> str:
    """`DataVolume demo/disk`, `CDI cdi` or `DataVolumes in demo`."""
    if name:
        return f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"
    return f"{resource.kind} objects in namespace {namespace}" if namespace else f"{resource.kind} objects"


def status_of(body: bytes) -> dict[str, t.Any]:
    """The Status object in an answer's body, empty when the body is something else."""
    try:
        status = json.loads(body)
    except ValueError:
        return {}
    return status if isinstance(status, dict) and status.get("kind") == "Status" else {}


def api_error(verb: str, resource: Resource, namespace: str | None, name: str | None, code: int, body: bytes, right: str = "") -> ApiError:
    """Word a refused request: verb, target, the server's own message and the remedy we know. `right` is what to grant, if not the verb on the kind."""
    status = status_of(body)
    reason = status.get("reason", "")
    message = " ".join((status.get("message") or body.decode("utf-8", "replace") or "no message").split()).rstrip(".")
    what = target(resource, namespace, name)
    if code == 404 and not status.get("details", {}).get("name") and resource.group:
        remedy = "install CDI first (module kubevirt.cdi.cdi)" if resource.group.endswith("cdi.kubevirt.io") else "install its CRD first"
        return NotServed(f"Cannot {verb} {what}: the cluster does not serve {resource.plural}.{resource.group}; {remedy}.", code, reason)
    if code == 409 and status.get("details", {}).get("causes"):
        return ApiError(conflict_sentence(verb, what, status["details"]["causes"]), code, reason)
    if code == 404 and status.get("details", {}).get("kind") == "namespaces":
        return ApiError(f"Cannot create {what}: namespace {namespace!r} does not exist; create it first, or correct its name.", code, reason)
    elsewhere = re.search(r'namespaces "([^"]+)" not found', message)
    if elsewhere:
        return ApiError(f"Cannot {verb} {what}: namespace {elsewhere.group(1)!r} does not exist; create it first, or correct its name.", code, reason)
    remedy = next((remedy for words, remedy in _REMEDIES_FOR_WORDS.items() if words in message), REMEDIES.get(code))
    if code == 403 and (reason == "Forbidden" and " cannot " in message or right and not body):
        remedy = f"grant {right}" if right else f"grant the verb \"{verb}\" on {resource.plural}{'.' + resource.group if resource.group else ''}"
    return ApiError(f"Cannot {verb} {what}: {message} (HTTP {code})" + (f"; {remedy}." if remedy else "."), code, reason)


def conflict_sentence(verb: str, what: str, causes: list[dict[str, str]]) -> str:
    """Name the other field managers and the fields they own, from a server-side apply conflict's causes."""
    owners = sorted({cause["message"].removeprefix("conflict with ").replace('"', "") for cause in causes if "message" in cause})
    fields = sorted({cause["field"].lstrip(".") for cause in causes if "field" in cause})
    return (
        f"Cannot {verb} {what}: {', '.join(owners)} already manages {', '.join(fields)} with another value; "
        "change it there, leave it out here, or take it over with force_conflicts=true."
    )
