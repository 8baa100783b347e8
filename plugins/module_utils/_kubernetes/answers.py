# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognizes the answers of a Kubernetes API; refusals.py describes the others. Pure rules.

Only a Status of the API means that an object does not exist: a wrong path, a login page or a proxy also answers 404.
"""

from __future__ import annotations

import json
import re
import typing as t

from .redaction import redact

# No list of 500 objects is larger.
MOST_BYTES = 256 * 1024 * 1024
_SHORT, MOST_WORDS = 200, 600
# Characters that move a cursor or hide text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")

# The types of the fields that every rule reads, from the schemas of the API.
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
    """An answer to a request. `cut`: the body was longer."""

    status: int
    headers: t.Any
    body: bytes
    cut: bool = False


class NoAnswer(Exception):
    """No whole answer. `sent`: the server may have the request. `final`: a retry cannot succeed. `late`: time-out."""

    def __init__(self, words: str, *, sent: bool, final: bool = False, late: bool = False) -> None:
        super().__init__(words)
        self.sent, self.final, self.late = sent, final, late


def loads(body: bytes) -> t.Any:
    """The JSON of a body. Raises ValueError for anything else, and for JSON that is nested too deeply."""
    try:
        return json.loads(body)
    except RecursionError as exc:
        raise ValueError("nested too deeply") from exc


def value_of(answer: Answer) -> t.Any:
    """The JSON of the answer; None, which is not an object, for anything else."""
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
    """The Status object in a body, with fields of the types that the API defines; empty for any other body."""
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
    """An object of this kind; None for anything else. An answer that is not stored has no name, but a result."""
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
    """A list of objects of this kind, with its version. The items have no kind, and an empty list may be null."""
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
    """Type and object of a line of a watch; None for anything else."""
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
    """Text of another program as part of a sentence: one short line without secrets."""
    line = " ".join(_CONTROL.sub(" ", redact(text)).split()).rstrip(".")
    if len(line) <= most:
        return line
    # An API server quotes the request first, and explains the error at the end.
    return f"{line[: most // 2].rstrip()} ... {line[-most // 2 :].lstrip()}"
