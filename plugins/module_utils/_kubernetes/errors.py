# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error types of the collection, and the sentences for answers of the API server."""

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
    """A sentence for the user, without secrets. `result` has facts that the task returns with it."""

    def __init__(self, message: str, **result: t.Any) -> None:
        super().__init__(redact(message))
        self.result = result


class ApiError(CdiError):
    """The API server, or the connection to it, refused a request; `code` is the HTTP status, 0 without an answer.

    `lost`: the server may have received the request, and its effect is not known. `final`: a later retry cannot help.
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
        """Whether the API reports that the object does not exist."""
        return self.code == 404 and self.reason == "NotFound"


class NotServed(ApiError):
    """The API server does not know this kind: its CRD is not installed."""


class WatchExpired(Exception):
    """The API server no longer has the requested resource version: list again."""


class ForeignAnswer(ApiError):
    """The answer is not from a Kubernetes API. It says nothing about which objects exist."""


def unexpected(exc: Exception) -> str:
    """The sentence for an unexpected error: a defect of this collection, or an answer that no Kubernetes API gives."""
    place = traceback.extract_tb(exc.__traceback__)[-1]
    return redact(
        f"Unexpected {type(exc).__name__} ({short(str(exc))}) in {os.path.basename(place.filename)}, "
        f"line {place.lineno}. Please report it to the maintainers of kubevirt.cdi."
    )


# The beginning of messages of urllib3.
_OBJECT_SHOWN = re.compile(r"^(<[^>]*>|HTTPS?Connection(Pool)?\([^)]*\)): ")

REMEDIES = {
    401: "the API server rejected the credentials, which may have expired: "
    "set a valid api_key, client certificate or kubeconfig",
    409: "run the task again, or leave the field to its manager",
    429: "the API server is overloaded, try again later",
}
# Remedies for words of the API server or of CDI's webhooks (pkg/apiserver/webhooks, v1.65.0).
_REMEDIES_FOR_WORDS = {
    "Client sent an HTTP request to an HTTPS server": "write host, or server in the kubeconfig, as https://",
    "cannot impersonate resource": 'grant the verb "impersonate" on it to the user that connects, '
    "or leave out impersonate_user",
    "being terminated": "wait until the namespace is deleted and create it again, or use a different one",
    "failed calling webhook": "check that CDI's API server runs (Deployment cdi-apiserver in CDI's namespace), "
    "or run the task again",
    "exceeded quota": "raise the namespace's quota, or delete what is no longer needed",
    "insufficient permissions in clone source namespace": (
        'grant the verb "create" on datavolumes/source.cdi.kubevirt.io in the namespace of the source'
    ),
    "field not declared in schema": "leave the option out, or upgrade CDI or Kubernetes, whose release lacks the field",
    "Destination PVC": "delete the claim of that name, or give the volume a different name",
}


def target(resource: Resource, namespace: str | None, name: str | None) -> str:
    """`DataVolume demo/disk`, `CDI cdi` or `DataVolumes in demo`."""
    if name:
        return f"{resource.kind} {namespace}/{name}" if namespace else f"{resource.kind} {name}"
    return f"{resource.kind} objects in namespace {namespace}" if namespace else f"{resource.kind} objects"


def api_error(
    verb: str, resource: Resource, namespace: str | None, name: str | None, code: int, body: bytes, right: str = ""
) -> ApiError:
    """The error for a refused request: verb, target, the server's message and the known remedy.

    `right` is the permission to grant, if it is not the verb on the kind.
    """
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
            f"Cannot {verb} {what}: namespace {elsewhere.group(1)!r} does not exist; "
            "create it first, or correct its name.",
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
    """Name the other field managers and their fields, from the causes of a server-side apply conflict."""
    owners = sorted(
        {
            short(cause["message"]).removeprefix("conflict with ").replace('"', "")
            for cause in causes
            if "message" in cause
        }
    )
    fields = sorted({short(cause["field"]).lstrip(".") for cause in causes if "field" in cause})
    return (
        f"Cannot {verb} {what}: {', '.join(owners)} already manages {', '.join(fields)} with a different value; "
        "change it there, leave it out here, or take it over with force_conflicts=true."
    )


def wrapped(exc: BaseException) -> list[BaseException]:
    """An error and the errors that it wraps, from the outside in."""
    chain = [exc]
    while True:
        inner = getattr(chain[-1], "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((each for each in reversed(chain[-1].args) if isinstance(each, BaseException)), None)
        if inner is None:
            inner = getattr(chain[-1], "original_error", None)
        if not isinstance(inner, BaseException) or inner in chain:
            return chain
        chain.append(inner)


def without_object(exc: BaseException) -> str:
    """The text of an error of urllib3, without the connection at its beginning."""
    return _OBJECT_SHOWN.sub("", str(exc))
