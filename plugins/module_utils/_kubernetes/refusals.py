# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences for answers of the API server that are errors, and for answers that are not from a Kubernetes API."""

from __future__ import annotations

import http.client
import re
import typing as t

from .answers import MOST_WORDS, Answer, loads, read_status, short
from .errors import ApiError, ForeignAnswer, NotServed, target
from .public import public_url
from .redaction import redact

if t.TYPE_CHECKING:
    from .resources import Resource

_BEGINNING = 4096
_TITLE = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>")

_REMEDIES = {
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
    # The names of KubeVirt's webhooks begin like this.
    'failed calling webhook "virtualmachine': "check that KubeVirt's API server runs (Deployment virt-api in its "
    "namespace), or run the task again",
    "failed calling webhook": "check that CDI's API server runs (Deployment cdi-apiserver in CDI's namespace), "
    "or run the task again",
    "exceeded quota": "raise the namespace's quota, or delete what is no longer needed",
    "insufficient permissions in clone source namespace": (
        'grant the verb "create" on datavolumes/source.cdi.kubevirt.io in the namespace of the source'
    ),
    "field not declared in schema": "leave the option out, or upgrade CDI or Kubernetes, whose release lacks the field",
    "Destination PVC": "delete the claim of that name, or give the volume a different name",
}


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
    remedy = next((remedy for words, remedy in _REMEDIES_FOR_WORDS.items() if words in message), _REMEDIES.get(code))
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


def message_of(status: dict[str, t.Any], code: int, body: bytes) -> str:
    """The reason in an answer: message of a Status, title of a page, a short text, or the meaning of the code."""
    if status.get("message"):
        return short(status["message"], MOST_WORDS)
    # Redacted before it is cut: the cut may go through a secret.
    text = redact(body.decode("utf-8", "replace"))[:_BEGINNING]
    if _is_page(text):
        import html  # Few answers need it.

        title = _TITLE.search(text)
        text = html.unescape(_MARKUP.sub(" ", title.group(2))) if title else ""
    return short(text) or http.client.responses.get(code, "no message")


def _is_page(text: str) -> bool:
    return bool(re.match(r"\s*(<!doctype|<html|<head|<\?xml|<!--|<body)", text, re.IGNORECASE)) or "</" in text


def what_it_is(answer: Answer) -> str:
    """What an answer is that is not from a Kubernetes API."""
    if answer.cut:
        return "more than 256 MiB"
    if not answer.body.strip():
        return "nothing"
    try:
        loads(answer.body)
        return "JSON that is not a Kubernetes object"
    except ValueError:
        text = answer.body[:4096].decode("utf-8", "replace")
    if _is_page(text):
        return "an HTML page"
    begins = text.lstrip()[:1]
    return "damaged or incomplete JSON" if begins and begins in "{[" else "text that is not JSON"


def foreign(answer: Answer, url: str) -> str:
    """The middle of the sentence on an answer that is not from a Kubernetes API: what came, and what to check."""
    shown = public_url(url)
    if 300 <= answer.status <= 399:
        location = short(public_url(answer.headers.get("Location") or ""))
        where = f" to {location}" if location else ""
        return (
            f"{shown} redirects{where} (HTTP {answer.status}), and redirects are not followed; "
            "give the URL of the Kubernetes API itself as host, not that of a login page or a dashboard"
        )
    if 200 <= answer.status <= 299:
        return (
            f"{shown} did not answer as a Kubernetes API but with {what_it_is(answer)} (HTTP {answer.status}); "
            "check that host is the URL of the Kubernetes API, not of a login page or a dashboard"
        )
    return (
        f"{shown} is not a Kubernetes API: {message_of({}, answer.status, answer.body)} (HTTP {answer.status}); "
        "check host, also its path, and proxy"
    )
