# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to the API server: its answer as an object, or as an ApiError in words."""

from __future__ import annotations

import copy
import json
import math
import re
import time
import typing as t
from urllib.parse import urlencode

from .answers import Answer, NoAnswer, names_in, object_in, read_status, short, value_of
from .errors import ApiError, WatchExpired, target
from .exchange import LEAST_SECONDS, Exchange, Request
from .objects import Object, Objects
from .resources import Resource

_MOST_WARNINGS = 20
# Status codes of a refusal that something in front of the API server may have written: the code says enough.
_REFUSED = (401, 403, 407, 413, 429)
_WRITES = ("POST", "PUT", "PATCH", "DELETE")


class Api:
    """Sends the requests of one connection. An answer other than a 2xx is an ApiError with a sentence.

    `answer_seconds`: how long a whole answer may take.
    """

    def __init__(
        self, exchange: Exchange, host: str, warn: t.Callable[[str], None] | None, answer_seconds: float
    ) -> None:
        self.exchange, self.host = exchange, host
        self._answer_seconds = answer_seconds
        self._deadline = math.inf
        self._warn = warn
        self._warned: set[str] = set()
        self._discovered: dict[str, bool | None] = {}
        self._hidden: set[str] = set()

    def until(self, deadline: float) -> Api:
        """The same, with requests that end at `deadline` (of time.monotonic()). The last one still has a second."""
        bounded = copy.copy(self)
        bounded._deadline = min(self._deadline, deadline)
        return bounded

    def object(
        self, verb: str, method: str, resource: Resource, namespace: str | None, name: str | None, **options: t.Any
    ) -> Object:
        answer = self.send(verb, method, resource, namespace, name, **options)
        stored = object_in(value_of(answer), resource.kind)
        if stored is None:
            from .refusals import foreign_answer

            error = foreign_answer(verb, resource, namespace, name, answer, self.host)
            # A proxy may have answered after the API server had written.
            error.lost = method in _WRITES
            raise error
        return stored

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The stored object, None when there is none. Raises NotServed when the kind is unknown."""
        try:
            return self.object("get", "GET", resource, namespace, name)
        except ApiError as exc:
            if exc.not_found:
                return None
            raise

    def send(
        self,
        verb: str,
        method: str,
        resource: Resource,
        namespace: str | None,
        name: str | None,
        *,
        subresource: str = "",
        query: t.Mapping[str, str] | None = None,
        body: Object | Objects | None = None,
        content_type: str = "application/json",
        within_seconds: float | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """A 2xx answer. With `within_seconds`, the request is not repeated. Raises ApiError."""
        path = with_query("/".join(filter(None, (resource.path(namespace, name), subresource))), query or {})
        request = Request(method, path, None if body is None else json.dumps(body).encode(), content_type, repeatable)
        try:
            answer = self.exchange.ask(request, self._seconds(within_seconds), once=within_seconds is not None)
        except NoAnswer as exc:
            words = f"Cannot {verb} {target(resource, namespace, name)}: {exc}."
            raise ApiError(words, 0, lost=exc.sent and method in _WRITES, final=exc.final) from exc
        self.raise_for_status(verb, resource, namespace, name, answer, written=method in _WRITES)
        return answer

    def _seconds(self, within_seconds: float | None) -> float:
        bounds = (
            self._answer_seconds,
            self._deadline - time.monotonic(),
            math.inf if within_seconds is None else within_seconds,
        )
        return max(min(bounds), LEAST_SECONDS)

    def raise_for_status(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None,
        name: str | None,
        answer: Answer,
        *,
        written: bool = False,
    ) -> None:
        """Raise the ApiError, or WatchExpired, that an answer other than a 2xx stands for. Passes its warnings on."""
        self._show_warnings(answer)
        if 200 <= answer.status <= 299:
            return
        from .refusals import api_error, foreign_answer

        status = read_status(answer.body)
        if answer.status == 410 and status and verb in ("list", "watch"):
            raise WatchExpired
        if answer.status == 404 and not status.get("details", {}).get("name"):
            raise self._unknown(verb, resource, namespace, name, answer)
        if not status and not (answer.status in _REFUSED or answer.status >= 500):
            raise foreign_answer(verb, resource, namespace, name, answer, self.host)
        error = api_error(verb, resource, namespace, name, answer.status, answer.body)
        # From a proxy whose API server may have got the request, or from an API server that lost its store.
        error.lost = written and answer.status >= 500 and not (answer.status == 503 and status)
        raise error

    def _unknown(
        self, verb: str, resource: Resource, namespace: str | None, name: str | None, answer: Answer
    ) -> ApiError:
        """What a 404 means that names no object.

        An API server answers so, in plain text, for a kind that it does not serve. A wrong path is answered likewise.
        """
        from .refusals import foreign_answer, not_served

        if resource.group and self.serves(resource) is False:
            return not_served(verb, resource, namespace, name)
        return foreign_answer(verb, resource, namespace, name, answer, self.host)

    def serves(self, resource: Resource) -> bool | None:
        """Whether the API's discovery has this kind; None where there is no such API."""
        found = self._discovery("/apis", lambda value: names_in(value, "groups", "name"), resource.group)
        if found:
            path = f"/apis/{resource.group}/{resource.version}"
            return self._discovery(path, lambda value: names_in(value, "resources", "name"), resource.plural) or False
        return found

    def lacks(self, resource: Resource) -> bool:
        """Whether the API's discovery shows that it does not have this kind. Every API server has the core group."""
        return bool(resource.group) and self.serves(resource) is False and not self._hidden

    def _discovery(self, path: str, names: t.Callable[[t.Any], list[str] | None], name: str) -> bool | None:
        key = f"{path} {name}"
        if key not in self._discovered:
            try:
                answer = self.exchange.ask(Request("GET", path), self._seconds(None), once=False)
            except NoAnswer as exc:
                raise ApiError(f"Cannot read {self.host}{path}: {exc}.", 0, final=exc.final) from exc
            found = names(value_of(answer)) if answer.status == 200 else None
            # For a user who may not read it, the API server answers with a Status.
            refused = answer.status in (401, 403) and bool(read_status(answer.body))
            self._hidden.update([path] * refused)
            self._discovered[key] = name in found if found is not None else False if refused else None
        return self._discovered[key]

    def _show_warnings(self, answer: Answer) -> None:
        """Pass on the warnings of the API server (deprecated kinds, unknown fields), each text once."""
        for header in getattr(answer.headers, "getlist", lambda _name: ())("Warning"):
            quoted = re.match(r'299 \S+ "((?:[^"\\]|\\.)*)"', header)
            text = short(re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else header)
            if self._warn and text and text not in self._warned and len(self._warned) < _MOST_WARNINGS:
                self._warned.add(text)
                self._warn(f"The API server warns: {text}")


def with_query(path: str, query: t.Mapping[str, str]) -> str:
    """The path with the parameters that are not empty."""
    asked = {key: value for key, value in query.items() if value}
    return f"{path}?{urlencode(asked)}" if asked else path
