# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One watch of a kind, as events."""

from __future__ import annotations

import json
import math
import time
import typing as t

from .answers import Answer, NoAnswer, event_in, loads
from .api import Api, with_query
from .errors import ApiError, WatchExpired, target
from .exchange import Request
from .objects import Object
from .refusals import api_error, foreign_answer
from .resources import Resource

# Longer than any object. No line of a watch is longer.
_LONGEST_LINE = 16 * 1024 * 1024


def watch(
    api: Api,
    resource: Resource,
    namespace: str | None,
    resource_version: str,
    *,
    timeout_seconds: float,
    quiet_seconds: float,
    field_selector: str = "",
) -> t.Generator[tuple[str, Object], None, None]:
    """Yield (type, object) until `timeout_seconds` have passed, or no whole event has come for `quiet_seconds`.

    Raises WatchExpired, or ApiError when cut off; nothing is tried again.
    """
    query = {
        "watch": "true",
        "resourceVersion": resource_version,
        "fieldSelector": field_selector,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(max(1, math.ceil(timeout_seconds))),
    }
    path = with_query(resource.path(namespace), query)
    now = time.monotonic()
    end, quiet_at, rest = now + timeout_seconds, now + quiet_seconds, b""
    pieces = api.exchange.stream(Request("GET", path), lambda: min(end, quiet_at) - time.monotonic())
    try:
        for piece in pieces:
            if isinstance(piece, Answer):
                api.raise_for_status("watch", resource, namespace, None, piece)
                continue
            *lines, rest = (rest + (piece or b"")).split(b"\n")
            for line in filter(None, map(bytes.strip, lines)):
                yield _event(api, resource, namespace, line)
                quiet_at = time.monotonic() + quiet_seconds
            if len(rest) > _LONGEST_LINE:
                _event(api, resource, namespace, rest[:_LONGEST_LINE])
            if time.monotonic() >= min(end, quiet_at):
                return
        if rest.strip():
            yield _event(api, resource, namespace, rest, last=True)
    except NoAnswer as exc:
        words = f"Cannot watch {target(resource, namespace, None)}: {exc}."
        raise ApiError(words, 0, final=exc.final) from exc
    finally:
        pieces.close()


def _event(
    api: Api, resource: Resource, namespace: str | None, line: bytes, *, last: bool = False
) -> tuple[str, Object]:
    try:
        event = event_in(loads(line))
    except ValueError as exc:
        if last and line.lstrip().startswith(b"{"):
            raise ApiError(
                f"Cannot watch {target(resource, namespace, None)}: the connection broke in the middle of an event.",
                0,
            ) from exc
        event = None
    if event is None:
        raise foreign_answer("watch", resource, namespace, None, Answer(200, {}, line), api.host)
    kind, stored = event
    if kind != "ERROR":
        return event
    code = stored.get("code")
    if code == 410:
        raise WatchExpired
    raise api_error(
        "watch", resource, namespace, None, code if isinstance(code, int) else 0, json.dumps(stored).encode()
    )
