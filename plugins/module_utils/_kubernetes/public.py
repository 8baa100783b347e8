# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds and redacts secrets in URLs (user, password, and the query, which can be a signature), headers and tokens.

Pure rules.
"""

from __future__ import annotations

import re
import typing as t
from urllib.parse import parse_qsl, unquote, urlsplit

# A password can contain @ and ?, and also / if the text before it cannot be a host with a port.
_USERS = (
    re.compile(r"(?<=://)[^/\s:@\"]*:[^/\s]*@[^/\s.:\[]*/(?:(?!://|\?[\w.-]+=)[^\s\"<>])*@"),
    re.compile(r"(?<=://)[^/\s:@\"\[]*:(?!\d*(?:[/?#]|$))[^/\s@]*/(?:(?!://|\?[\w.-]+=)[^\s\"<>])*@"),
    re.compile(r"(?<=://)[^/\s]*@"),
)
_HOST_TO_WHITE_SPACE = re.compile(r"://\S+")
# Characters after a URL in a text: the end of a quotation, a bracket or a sentence.
_CLOSING = "\"'])}>,;:."
_USER_OF_URL = re.compile(
    r"^((?:[A-Za-z][\w.+-]*:)?/+)?"
    r"([^/:@]*:[^/]*@[^/.:\[]*/(?:(?!\?[\w.-]+=).)*"
    r"|[^/:@\[]*:(?!\d*(?:[/?#]|$))(?!//)[^/@]*/(?:(?!\?[\w.-]+=).)*"
    r"|[^/]*)@",
    re.DOTALL,
)
_QUERY_OF_URL = re.compile(r"[?].*|#[^#]*=.*", re.DOTALL)

# Headers in fields and options, and tokens, which permit anyone to clone the source (pkg/token, v1.65.0).
SECRET_FIELDS = ("extraHeaders", "extra_headers", "basic_auth", "proxy_basic_auth")
SECRET_ANNOTATIONS = (
    "cdi.kubevirt.io/storage.clone.token",
    "cdi.kubevirt.io/storage.extended.clone.token",
    "kubectl.kubernetes.io/last-applied-configuration",
)
# Names of fields, flags, variables and query parameters whose value is a secret.
SECRET_NAME = re.compile("token|passw|pwd|secret|key|credential|signature|^sig$|pin$", re.IGNORECASE)
# The least characters of a possible secret: with a name, and in a place that also holds plain words.
SHORTEST, LONG = 4, 16
_HIDDEN = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"


def redact_urls(text: str) -> str:
    """A text without the secrets in its URLs."""
    for user in _USERS:
        text = user.sub("***@", text)
    return _HOST_TO_WHITE_SPACE.sub(_without_query, text)


def _without_query(found: re.Match[str]) -> str:
    url, mark, query = _split_query(found.group())
    return f"{url}{mark}***{query[len(query.rstrip(_CLOSING)) :]}" if mark else url


def _split_query(url: str) -> tuple[str, str, str]:
    """A URL split at the ? of its query, or at the # of a fragment with tokens, as of login pages."""
    found = _QUERY_OF_URL.search(url)
    return (url[: found.start()], url[found.start()], url[found.start() + 1 :]) if found else (url, "", "")


def public_url(url: str) -> str:
    """A URL without its secrets, also if it has no scheme or is malformed."""
    shown, mark, _query = _split_query(_USER_OF_URL.sub(r"\1***@", url))
    return f"{shown}{mark}***" if mark else shown


def user_of(url: t.Any) -> str:
    """User and password in a URL as written, else an empty text."""
    found = _USER_OF_URL.match(url) if isinstance(url, str) else None
    return found.group(2) if found else ""


def secrets_of_url(url: t.Any) -> set[str]:
    """User, password and query values of a URL, as written and decoded."""
    if not isinstance(url, str) or "://" not in url:
        return set()
    found = secrets_of_user(user_of(url))
    try:
        query = parse_qsl(urlsplit(url).query, keep_blank_values=False)
    except ValueError:
        query = []
    found.update(
        value for name, value in query if len(value) >= LONG or (len(value) >= SHORTEST and SECRET_NAME.search(name))
    )
    return found


def secrets_of_user(user: str) -> set[str]:
    """The secrets in `user:password`. A parser may read a part as host, path or query if it is not encoded."""
    _name, colon, password = user.partition(":")
    if not colon:
        # A token without a user.
        return {user, unquote(user)} if len(user) >= LONG else set()
    pieces = {piece for piece in re.split("[/?#@]", password) if len(piece) >= SHORTEST and not piece.isdigit()}
    return {password, unquote(password), *pieces} - {""}


def texts_in(value: t.Any) -> t.Iterator[str]:
    """All texts and numbers in plain data, as texts."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, str):
        yield value
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _hidden(_text: str) -> str:
    return _HIDDEN


# How texts below these keys are shown. All other texts can contain URLs.
_SHOWN_BY: dict[str, t.Callable[[str], str]] = {
    "url": public_url,
    "host": public_url,
    "proxy": public_url,
    **dict.fromkeys(SECRET_FIELDS, _hidden),
}


def without_secrets(value: t.Any, before: t.Any = None, shown_by: t.Callable[[str], str] = redact_urls) -> t.Any:
    """Plain data for results. A text that differs from `before` only in redacted parts is marked."""
    if isinstance(value, dict):
        others = before if isinstance(before, dict) else {}
        return {
            key: without_secrets(item, others.get(key), _SHOWN_BY.get(key, shown_by))
            for key, item in value.items()
            if key not in SECRET_ANNOTATIONS
        }
    if isinstance(value, list):
        same_length = isinstance(before, list) and len(before) == len(value)
        pairs = zip(value, before if same_length else [None] * len(value), strict=True)
        return [without_secrets(item, other, shown_by) for item, other in pairs]
    if not isinstance(value, str):
        return value
    shown = shown_by(value)
    only_hidden = isinstance(before, str) and before != value and shown_by(before) == shown
    return f"{shown} (redacted parts differ)" if only_hidden else shown
