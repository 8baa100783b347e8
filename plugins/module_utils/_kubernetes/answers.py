# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which answers are a Kubernetes API's, and what the others are, in words. Pure rules.

Only a Status of the API says that something is not there: a wrong path, a login page or a proxy answers 404, too.
"""

from __future__ import annotations

import http.client
import json
import re
import typing as t

from .public import public_url
from .redaction import redact

# No list of 500 objects is larger.
MOST_BYTES = 256 * 1024 * 1024
_SHORT, MOST_WORDS, _BEGINNING = 200, 600, 4096
_TITLE = re.compile(r"<(title|h1)\b[^>]*>(.*?)</\1", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<[^>]*>")
# Directory separators and the like are no control characters; what moves a cursor or hides text is.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")

# The fields of an object that every rule reads, and what the API's schemas say of them.
_TEXT, _TEXTS, _OBJECTS = "text", "texts", "objects"
_METADATA: dict[str, t.Any] = {
    **dict.fromkeys(
        ("name", "generateName", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp"), _TEXT
    ),
    "labels": _TEXTS,
    "annotations": _TEXTS,
    "ownerReferences": _OBJECTS,
    "managedFields": _OBJECTS,
}

_ANSWERS: dict[str, tuple[str, type]] = {
    "SelfSubjectAccessReview": ("allowed", bool),
    "UploadTokenRequest": ("token", str),
}


class Answer(t.NamedTuple):
    """`cut`: the body went on."""

    status: int
    headers: t.Any
    body: bytes
    cut: bool = False


def loads(body: bytes) -> t.Any:
    """A body's JSON. Raises ValueError for anything else, also for what no parser should follow."""
    try:
        return json.loads(body)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def value_of(answer: Answer) -> t.Any:
    """The answer's JSON; None, which is no object, for anything else."""
    try:
        return None if answer.cut else loads(answer.body)
    except ValueError:
        return None


def names_in(value: t.Any, plural: str, key: str) -> list[str] | None:
    """The names in an answer of the discovery API; None for any other answer."""
    if not isinstance(value, dict) or value.get("kind") not in ("APIGroupList", "APIResourceList"):
        return None
    items = value.get(plural)
    if not isinstance(items, list):
        return None
    return [item[key] for item in items if isinstance(item, dict) and isinstance(item.get(key), str)]


def read_status(body: bytes) -> dict[str, t.Any]:
    """The Status object in a body, with fields of the types that it has in the API; empty when the body is something else."""
    try:
        status = loads(body)
    except ValueError:
        return {}
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return {}
    details = status.get("details")
    details = dict(details) if isinstance(details, dict) else None
    if details is not None:
        causes = details.get("causes")
        texts = (
            [{key: str(item) for key, item in cause.items()} for cause in causes if isinstance(cause, dict)]
            if isinstance(causes, list)
            else []
        )
        details = {**{key: item for key, item in details.items() if isinstance(item, str)}, "causes": texts}
    words = {key: status[key] for key in ("message", "reason") if isinstance(status.get(key), str)}
    return {"kind": "Status", **words, **({} if details is None else {"details": details})}


def object_in(value: t.Any, kind: str) -> dict[str, t.Any] | None:
    """An object of this kind, None for everything else. An answer that is never stored has no name, but what was asked for."""
    if (
        not isinstance(value, dict)
        or value.get("kind") != kind
        or not isinstance(value.get("metadata"), dict)
        or not _fits(value)
    ):
        return None
    if kind in _ANSWERS:
        field, expected = _ANSWERS[kind]
        return value if isinstance((value.get("status") or {}).get(field), expected) else None
    return value if all(value["metadata"].get(name) for name in ("name", "uid")) else None


def list_in(value: t.Any, kind: str) -> dict[str, t.Any] | None:
    """A list of objects of this kind with its version. Its items lack their kind, and an empty list may be null."""
    if not isinstance(value, dict) or value.get("kind") != f"{kind}List" or not isinstance(value.get("metadata"), dict):
        return None
    items = value.get("items", False)
    items = [] if items is None else items
    metadata = value["metadata"]
    if (
        not isinstance(items, list)
        or not isinstance(metadata.get("resourceVersion"), str)
        or not isinstance(metadata.get("continue", ""), str)
    ):
        return None
    good = all(
        isinstance(item, dict)
        and isinstance(item.get("metadata"), dict)
        and item["metadata"].get("name")
        and _fits(item)
        for item in items
    )
    return {**value, "items": items} if good else None


def event_in(value: t.Any) -> tuple[str, dict[str, t.Any]] | None:
    """Type and object of a watch's line, None for everything else."""
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("type"), str)
        or not isinstance(value.get("object"), dict)
    ):
        return None
    kind, stored = value["type"], value["object"]
    if kind == "ERROR":
        return kind, stored
    metadata = stored.get("metadata")
    good = isinstance(metadata, dict) and isinstance(metadata.get("resourceVersion"), str) and _fits(stored)
    return (kind, stored) if good else None


def _fits(stored: dict[str, t.Any]) -> bool:
    metadata = stored["metadata"]
    if not all(_is(metadata.get(name), kind) for name, kind in _METADATA.items()):
        return False
    if not all(isinstance(stored.get(name), (dict, type(None))) for name in ("spec", "status")):
        return False
    return _is((stored.get("status") or {}).get("conditions"), _OBJECTS)


def _is(value: t.Any, kind: str) -> bool:
    if value is None:
        return True
    if kind == _TEXT:
        return isinstance(value, str)
    if kind == _TEXTS:
        return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def short(text: str, most: int = _SHORT) -> str:
    """What somebody else wrote, as a part of a sentence: one line, without secrets, and not long."""
    line = " ".join(_CONTROL.sub(" ", redact(text)).split()).rstrip(".")
    if len(line) <= most:
        return line
    # An API server quotes what it was sent first, and says what is wrong with it at the end.
    return f"{line[: most // 2].rstrip()} ... {line[-most // 2 :].lstrip()}"


def message_of(status: dict[str, t.Any], code: int, body: bytes) -> str:
    """The reason that an answer gives: a Status's message, a page's title, a short text, or else what its code means."""
    if status.get("message"):
        return short(status["message"], MOST_WORDS)
    # Without secrets before it is cut: the end of a long text may be a half of one.
    text = redact(body.decode("utf-8", "replace"))[:_BEGINNING]
    if _is_page(text):
        import html  # Few answers need it.

        title = _TITLE.search(text)
        text = html.unescape(_MARKUP.sub(" ", title.group(2))) if title else ""
    return short(text) or http.client.responses.get(code, "no message")


def _is_page(text: str) -> bool:
    return bool(re.match(r"\s*(<!doctype|<html|<head|<\?xml|<!--|<body)", text, re.IGNORECASE)) or "</" in text


def what_it_is(answer: Answer) -> str:
    """What an answer that is not an API's is instead."""
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
    return "JSON that is damaged or incomplete" if begins and begins in "{[" else "no JSON"


def foreign(answer: Answer, url: str) -> str:
    """The sentence's middle for an answer that is not an API's: what came, and what to check."""
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
