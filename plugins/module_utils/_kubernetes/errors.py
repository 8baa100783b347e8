# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type of the collection and the one place that words an answer of the API server."""

from __future__ import annotations

import os
import re
import traceback
import typing as t

from .answers import Answer, foreign, message_of, read_status, short
from .redaction import redact

if t.TYPE_CHECKING:
    from .resources import Resource


class CdiError(Exception):
    """A sentence for the user, without secrets; `result` holds facts that the task returns beside it."""

    def __init__(self, message: str, **result: t.Any) -> None:
        super().__init__(redact(message))
        self.result = result


class ApiError(CdiError):
    """The API server (or the way to it) refused a request; `code` is its HTTP status, 0 without an answer.

    `lost`: the server may have got the request, and what became of it is not known. `final`: asking again later cannot help.
    """

    def __init__(
        self, message: str, code: int, reason: str = "", *, lost: bool = False, final: bool | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.lost = lost
        self.final = 0 < code < 500 and code != 429 if final is None else final

    @property
    def not_found(self) -> bool:
        """Whether the API says that the object is not there."""
        return self.code == 404 and self.reason == "NotFound"


class NotServed(ApiError):
    """The API server does not know this kind: its CRD is not installed."""


class WatchExpired(Exception):
    """The API server no longer has the requested resource version: list again."""


class ForeignAnswer(ApiError):
    """What answered is not a Kubernetes API. It says nothing about what is there and what is not."""


def unexpected(exc: Exception) -> str:
    """The sentence for an error that no rule foresees: a defect of this collection, or an answer that no Kubernetes API gives."""
    place = traceback.extract_tb(exc.__traceback__)[-1]
    return redact(
        f"Unexpected {type(exc).__name__} ({short(str(exc))}) in {os.path.basename(place.filename)}, line {place.lineno}. "
        "Please report it to the maintainers of kubevirt.cdi."
    )


REMEDIES = {
    401: "the API server rejected the credentials, which may have expired: give a valid api_key, client certificate or kubeconfig",
    409: "run the task again, or leave the field to its owner",
    429: "the API server is overloaded, try again later",
}
# What helps when the server, or a webhook of CDI's (pkg/apiserver/webhooks, v1.65.0), says this.
_REMEDIES_FOR_WORDS = {
    "Client sent an HTTP request to an HTTPS server": "write host, or server in the kubeconfig, as https://",
    "cannot impersonate resource": 'grant the verb "impersonate" on it to the user that connects, or leave out impersonate_user',
    "being terminated": "wait until the namespace is gone and make it anew, or use another one",
    "failed calling webhook": "see that CDI's API server runs (Deployment cdi-apiserver in CDI's namespace), or run the task again",
    "exceeded quota": "raise the namespace's quota, or delete what is no longer needed",
    "insufficient permissions in clone source namespace": 'grant the verb "create" on datavolumes/source.cdi.kubevirt.io in the source\'s namespace',
    "field not declared in schema": "leave the option out, or upgrade what serves this kind: its release does not know the field",
    "Destination PVC": "delete the claim of that name, or give the volume another name",
}


def target(resource: Resource, namespace: str | None, name: str | None) -> str:
    """`DataVolume demo/disk`, `CDI cdi` or `DataVolumes in demo`."""
    if name:
        return f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"
    return f"{resource.kind} objects in namespace {namespace}" if namespace else f"{resource.kind} objects"


def api_error(
    verb: str, resource: Resource, namespace: str | None, name: str | None, code: int, body: bytes, right: str = ""
) -> ApiError:
    """Word a refused request: verb, target, the server's own message and the remedy we know. `right` is what to grant, if not the verb on the kind."""
    status = read_status(body)
    reason, details = status.get("reason", ""), status.get("details", {})
    message = message_of(status, code, body)
    what = target(resource, namespace, name)
    if code == 409 and details.get("causes"):
        return ApiError(conflict_sentence(verb, what, details["causes"]), code, reason)
    if code == 404 and details.get("kind") == "namespaces":
        return ApiError(
            f"Cannot create {what}: namespace {namespace!r} does not exist; create it first, or correct its name.",
            code,
            reason,
        )
    elsewhere = re.search(r'namespaces "([^"]+)" not found', message)
    if elsewhere:
        return ApiError(
            f"Cannot {verb} {what}: namespace {elsewhere.group(1)!r} does not exist; create it first, or correct its name.",
            code,
            reason,
        )
    remedy = next((remedy for words, remedy in _REMEDIES_FOR_WORDS.items() if words in message), REMEDIES.get(code))
    if (
        code == 403
        and "cannot impersonate resource" not in message
        and ((reason == "Forbidden" and " cannot " in message) or (right and not body))
    ):
        remedy = (
            f"grant {right}"
            if right
            else f'grant the verb "{verb}" on {resource.plural}{"." + resource.group if resource.group else ""}'
        )
    return ApiError(
        f"Cannot {verb} {what}: {message} (HTTP {code})" + (f"; {remedy}." if remedy else "."), code, reason
    )


def not_served(verb: str, resource: Resource, namespace: str | None, name: str | None) -> NotServed:
    remedy = (
        "install CDI first (module kubevirt.cdi.cdi)"
        if resource.group.endswith("cdi.kubevirt.io")
        else "install its CRD first"
    )
    what = target(resource, namespace, name)
    return NotServed(
        f"Cannot {verb} {what}: the cluster does not serve {resource.plural}.{resource.group}; {remedy}.",
        404,
        "NotServed",
    )


def foreign_answer(
    verb: str, resource: Resource, namespace: str | None, name: str | None, answer: Answer, url: str
) -> ForeignAnswer:
    return ForeignAnswer(f"Cannot {verb} {target(resource, namespace, name)}: {foreign(answer, url)}.", answer.status)


def conflict_sentence(verb: str, what: str, causes: list[dict[str, str]]) -> str:
    """Name the other field managers and the fields they own, from a server-side apply conflict's causes."""
    owners = sorted(
        {
            short(cause["message"]).removeprefix("conflict with ").replace('"', "")
            for cause in causes
            if "message" in cause
        }
    )
    fields = sorted({short(cause["field"]).lstrip(".") for cause in causes if "field" in cause})
    return (
        f"Cannot {verb} {what}: {', '.join(owners)} already manages {', '.join(fields)} with another value; "
        "change it there, leave it out here, or take it over with force_conflicts=true."
    )
