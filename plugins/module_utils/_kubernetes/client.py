# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to an API server: the verbs used on it."""

from __future__ import annotations

import copy
import json
import math
import re
import time
import typing as t
from urllib.parse import urlencode

from .answers import Answer, event_in, list_in, loads, names_in, object_in, read_status, short, value_of
from .errors import ApiError, api_error, foreign_answer, not_served, target
from .exchange import ANSWER_TIMEOUT_SECONDS, LEAST_SECONDS, Exchange, NoAnswer, Request
from .objects import Object
from .resources import POD, SELF_SUBJECT_ACCESS_REVIEW, UPLOAD_TOKEN_REQUEST, Resource
from .transport import Transport, open_transport

FIELD_MANAGER = "kubevirt.cdi"
PAGE_SIZE = 500
# Longer than any object; a line of a watch is no longer.
_LONGEST_LINE = 16 * 1024 * 1024
# POSTs that are answered and never stored.
_ANSWERED_ONLY = (SELF_SUBJECT_ACCESS_REVIEW, UPLOAD_TOKEN_REQUEST)
_CREATE_ATTEMPTS = 3
_MOST_WARNINGS = 20
# Refusals that something in front of the API server may have written, which say enough by their code.
_REFUSED = (401, 403, 407, 413, 429)
_EXPIRED_LISTS = 5
_LEAST_OF_A_TASK_SECONDS = 15.0
_WRITES = ("POST", "PATCH", "DELETE")

UNVERIFIED = "The API server's certificate is not verified: set validate_certs to true and give ca_cert."


class WatchExpired(Exception):
    """The API server no longer knows the resource version: list again."""


def connect(params: t.Mapping[str, t.Any], warn: t.Callable[[str], None] | None = None) -> Connection:
    """Open a connection from the authentication options; `warn` gets each of the API server's warnings once. See `open_transport`."""
    return Connection(open_transport(params), warn, _answer_seconds(params))


def _answer_seconds(params: t.Mapping[str, t.Any]) -> float:
    """How long a whole answer may take: as long as the task would wait, but long enough for slow webhooks."""
    waits = params.get("wait") and params.get("wait_timeout")
    return min(max(float(waits), _LEAST_OF_A_TASK_SECONDS), ANSWER_TIMEOUT_SECONDS) if waits else ANSWER_TIMEOUT_SECONDS


class Connection:
    """The verbs of one API server. Objects are plain dictionaries, as in JSON."""

    def __init__(
        self,
        transport: Transport,
        warn: t.Callable[[str], None] | None = None,
        answer_seconds: float = ANSWER_TIMEOUT_SECONDS,
    ) -> None:
        self.transport = transport
        self.host, self.namespace = transport.host, transport.namespace
        self.verifies_certificates = transport.verifies_certificates
        self._exchange = Exchange(transport)
        self._answer_seconds = answer_seconds
        self._deadline = math.inf
        self._warn = warn
        self._warned: set[str] = set()
        self._discovered: dict[str, bool | None] = {}

    def until(self, deadline: float) -> Connection:
        """The same connection, whose requests end at `deadline` (of time.monotonic()), but for the second that a last one is given."""
        bounded = copy.copy(self)
        bounded._deadline = min(self._deadline, deadline)
        return bounded

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The stored object, None when there is none. Raises NotServed when the kind is unknown."""
        try:
            return self._object("get", "GET", resource, namespace, name)
        except ApiError as exc:
            if exc.not_found:
                return None
            raise

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        within_seconds: float | None = None,
    ) -> tuple[list[Object], str]:
        """All objects (of one namespace, or of the cluster), page by page, and the list's resource version.

        With `within_seconds` nothing is tried again, and an answer that takes longer is an ApiError.
        """
        query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": field_selector}
        items: list[Object] = []
        expired = 0
        while True:
            try:
                page = self._page(resource, namespace, query, within_seconds)
            except WatchExpired as exc:
                if "continue" not in query or expired >= _EXPIRED_LISTS:
                    raise ApiError(
                        f"Cannot list {target(resource, namespace, None)}: {self.host} says that the list has expired (HTTP 410).",
                        410,
                    ) from exc
                expired += 1
                # So many objects, or so slow a server, that the first page's version is no longer kept.
                items = []
                del query["continue"]
                continue
            items += page["items"]
            if not page["metadata"].get("continue"):
                return items, page["metadata"]["resourceVersion"]
            if page["metadata"]["continue"] == query.get("continue"):
                raise ApiError(
                    f"Cannot list {target(resource, namespace, None)}: {self.host} gives the same page again and again.",
                    200,
                )
            query["continue"] = page["metadata"]["continue"]

    def _page(
        self, resource: Resource, namespace: str | None, query: t.Mapping[str, str], within_seconds: float | None
    ) -> Object:
        answer = self._send("list", "GET", resource, namespace, None, query=query, within_seconds=within_seconds)
        page = list_in(value_of(answer), resource.kind)
        if page is None:
            raise foreign_answer("list", resource, namespace, None, answer, self.host)
        return page

    def apply(
        self, resource: Resource, body: Object, *, dry_run: bool, force: bool = False, manager: str = ""
    ) -> Object:
        """Server-side apply as field manager `kubevirt.cdi`, or another one."""
        query = {
            "fieldManager": manager or FIELD_MANAGER,
            "force": "true" if force else "",
            "dryRun": "All" if dry_run else "",
        }
        metadata = body["metadata"]
        return self._object(
            "patch",
            "PATCH",
            resource,
            metadata.get("namespace"),
            metadata["name"],
            query=query,
            body=body,
            content_type="application/apply-patch+yaml",
        )

    def merge(self, resource: Resource, name: str, namespace: str | None, body: Object, *, dry_run: bool) -> Object:
        """JSON merge patch: null removes a key. A field that the server does not know is refused, not pruned in silence."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}
        try:
            return self._object(
                "patch",
                "PATCH",
                resource,
                namespace,
                name,
                query=query,
                body=body,
                content_type="application/merge-patch+json",
            )
        except ApiError as exc:
            if dry_run or not exc.lost:
                raise
            from .merge_patch import changes_nothing

            found = self.what_became(exc, resource, name, namespace)
            if found is None or not changes_nothing(body, found):
                raise
            return found

    def create(self, resource: Resource, body: Object, namespace: str | None = None, *, dry_run: bool) -> Object:
        """POST, for objects that must not exist yet or that are answered and never stored.

        After a lost answer the object is read: it is sent again only when it is not there.
        """
        query = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else ""}
        stored = not dry_run and resource not in _ANSWERED_ONLY
        lost = False
        for attempt in range(_CREATE_ATTEMPTS):
            try:
                return self._object(
                    "create", "POST", resource, namespace, None, query=query, body=body, repeatable=not stored
                )
            except ApiError as exc:
                if not stored or not (exc.lost or (lost and exc.reason == "AlreadyExists")):
                    raise
                lost = True
                found = self.what_became(exc, resource, body["metadata"].get("name"), namespace)
                if found is not None and any(
                    entry.get("manager") == FIELD_MANAGER for entry in found["metadata"].get("managedFields") or []
                ):
                    return found
                if found is not None or exc.code == 500 or attempt == _CREATE_ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def what_became(self, lost: ApiError, resource: Resource, name: str | None, namespace: str | None) -> Object | None:
        """The object, after the answer to a write was lost. Raises an ApiError that says what may be when it cannot be read either."""
        try:
            if name:
                return self.get(resource, name, namespace)
            unread = "it has no name yet by which it could be read"
        except ApiError as exc:
            unread = f"reading it failed, too ({short(str(exc))})"
        error = ApiError(
            f"{str(lost).rstrip('.')}; it may have been written: {unread}.", lost.code, lost.reason, final=lost.final
        )
        error.result["changed"] = True
        raise error from lost

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        dry_run: bool,
        propagation: str = "Background",
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        """Delete; an object that is already gone is no error. With `uid` only that very object is deleted, with `version` only as it was read."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        preconditions = {"uid": uid, "resourceVersion": version}
        if uid or version:
            body["preconditions"] = {key: value for key, value in preconditions.items() if value}
        if dry_run:
            body["dryRun"] = ["All"]  # The API server does not look at the query of a deletion that has a body.
        query = {"dryRun": "All" if dry_run else ""}
        try:
            # Without the uid, a second one could meet an object that somebody made in between.
            answer = self._send(
                "delete", "DELETE", resource, namespace, name, query=query, body=body, repeatable=bool(uid) or dry_run
            )
        except ApiError as exc:
            if exc.not_found:
                return
            if dry_run or not (exc.lost or (uid and exc.code == 409)):
                raise
            found = self.what_became(exc, resource, name, namespace)
            if (
                found is not None
                and not found["metadata"].get("deletionTimestamp")
                and found["metadata"].get("uid") == (uid or found["metadata"].get("uid"))
            ):
                raise
            return
        if not read_status(answer.body) and object_in(value_of(answer), resource.kind) is None:
            raise foreign_answer("delete", resource, namespace, name, answer, self.host)

    def watch(
        self,
        resource: Resource,
        namespace: str | None,
        resource_version: str,
        *,
        timeout_seconds: float,
        quiet_seconds: float,
        field_selector: str = "",
    ) -> t.Iterator[tuple[str, Object]]:
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
        path = _with_query(resource.path(namespace), query)
        now = time.monotonic()
        end, quiet_at, rest = now + timeout_seconds, now + quiet_seconds, b""
        pieces = self._exchange.stream(Request("GET", path), lambda: min(end, quiet_at) - time.monotonic())
        try:
            for piece in pieces:
                if isinstance(piece, Answer):
                    self._check("watch", resource, namespace, None, piece)
                    continue
                *lines, rest = (rest + (piece or b"")).split(b"\n")
                for line in filter(None, map(bytes.strip, lines)):
                    yield self._event(resource, namespace, line)
                    quiet_at = time.monotonic() + quiet_seconds
                if len(rest) > _LONGEST_LINE:
                    self._event(resource, namespace, rest[:_LONGEST_LINE])
                if time.monotonic() >= min(end, quiet_at):
                    return
            if rest.strip():
                yield self._event(resource, namespace, rest, last=True)
        except NoAnswer as exc:
            words = f"Cannot watch {target(resource, namespace, None)}: {exc}."
            raise ApiError(words, 0, final=exc.final) from exc
        finally:
            pieces.close()

    def _event(
        self, resource: Resource, namespace: str | None, line: bytes, *, last: bool = False
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
            raise foreign_answer("watch", resource, namespace, None, Answer(200, {}, line), self.host)
        kind, stored = event
        if kind != "ERROR":
            return event
        code = stored.get("code")
        if code == 410:
            raise WatchExpired
        raise api_error(
            "watch", resource, namespace, None, code if isinstance(code, int) else 0, json.dumps(stored).encode()
        )

    def log(self, namespace: str, pod: str, lines: int = 5) -> str:
        """The last lines that a pod has written."""
        answer = self._send(
            "get the log of", "GET", POD, namespace, pod, subresource="log", query={"tailLines": str(lines)}
        )
        return answer.body.decode(errors="replace")

    def websocket(
        self, resource: Resource, namespace: str, name: str, subresource: str, query: str, subprotocols: list[str]
    ) -> t.Any:
        """Open a WebSocket of package `websocket-client` to a subresource, by the same credentials, TLS and proxy as all requests."""
        import websocket

        verb = f"{subresource} to"
        try:
            return self.transport.websocket(f"{resource.path(namespace, name)}/{subresource}?{query}", subprotocols)
        except websocket.WebSocketBadStatusException as exc:
            # The request is a GET, for which the API server wants `create`, too. Old releases of the package do not keep the answer's body.
            right = f'"get" and "create" on {resource.plural}/{subresource}'
            raise api_error(
                verb, resource, namespace, name, exc.status_code, getattr(exc, "resp_body", None) or b"", right
            ) from exc
        except (websocket.WebSocketException, OSError) as exc:
            raise ApiError(
                f"Cannot {verb} {target(resource, namespace, name)}: no WebSocket to {self.host} ({exc}).", 0
            ) from exc

    def _object(
        self, verb: str, method: str, resource: Resource, namespace: str | None, name: str | None, **options: t.Any
    ) -> Object:
        answer = self._send(verb, method, resource, namespace, name, **options)
        stored = object_in(value_of(answer), resource.kind)
        if stored is None:
            error = foreign_answer(verb, resource, namespace, name, answer, self.host)
            # Somebody answered in the API's place, perhaps after the API has written.
            error.lost = method in _WRITES
            raise error
        return stored

    def _send(
        self,
        verb: str,
        method: str,
        resource: Resource,
        namespace: str | None,
        name: str | None,
        *,
        subresource: str = "",
        query: t.Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        within_seconds: float | None = None,
        repeatable: bool = True,
    ) -> Answer:
        """A 2xx answer. With `within_seconds` nothing is tried again."""
        path = _with_query("/".join(filter(None, (resource.path(namespace, name), subresource))), query or {})
        request = Request(method, path, None if body is None else json.dumps(body).encode(), content_type, repeatable)
        try:
            answer = self._exchange.ask(request, self._seconds(within_seconds), once=within_seconds is not None)
        except NoAnswer as exc:
            words = f"Cannot {verb} {target(resource, namespace, name)}: {exc}."
            raise ApiError(words, 0, lost=exc.sent and method in _WRITES, final=exc.final) from exc
        self._check(verb, resource, namespace, name, answer, written=method in _WRITES)
        return answer

    def _seconds(self, within_seconds: float | None) -> float:
        bounds = (
            self._answer_seconds,
            self._deadline - time.monotonic(),
            math.inf if within_seconds is None else within_seconds,
        )
        return max(min(bounds), LEAST_SECONDS)

    def _check(
        self,
        verb: str,
        resource: Resource,
        namespace: str | None,
        name: str | None,
        answer: Answer,
        *,
        written: bool = False,
    ) -> None:
        """Raise what an answer means that is not a 2xx."""
        self._show_warnings(answer)
        if 200 <= answer.status <= 299:
            return
        status = read_status(answer.body)
        if answer.status == 410 and status and verb in ("list", "watch"):
            raise WatchExpired
        if answer.status == 404 and not status.get("details", {}).get("name"):
            raise self._unknown(verb, resource, namespace, name, answer)
        if not status and not (answer.status in _REFUSED or answer.status >= 500):
            raise foreign_answer(verb, resource, namespace, name, answer, self.host)
        error = api_error(verb, resource, namespace, name, answer.status, answer.body)
        # Of a proxy whose API server may have got the request, or of an API server that lost its store in the middle.
        error.lost = written and answer.status >= 500 and not (answer.status == 503 and status)
        raise error

    def _unknown(
        self, verb: str, resource: Resource, namespace: str | None, name: str | None, answer: Answer
    ) -> ApiError:
        """What a 404 means that names no object: an API server answers so, in plain text, for a kind that it does not serve. So does a wrong path."""
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

    def _discovery(self, path: str, names: t.Callable[[t.Any], list[str] | None], name: str) -> bool | None:
        key = f"{path} {name}"
        if key not in self._discovered:
            try:
                answer = self._exchange.ask(Request("GET", path), self._seconds(None), once=False)
            except NoAnswer as exc:
                raise ApiError(f"Cannot read {self.host}{path}: {exc}.", 0, final=exc.final) from exc
            found = names(value_of(answer)) if answer.status == 200 else None
            # Who may not read it is refused by the API itself, with a Status.
            refused = answer.status in (401, 403) and bool(read_status(answer.body))
            self._discovered[key] = name in found if found is not None else False if refused else None
        return self._discovered[key]

    def _show_warnings(self, answer: Answer) -> None:
        """Pass on what the API server warns of (deprecated kinds, fields that it does not know), each text once."""
        for header in getattr(answer.headers, "getlist", lambda _name: ())("Warning"):
            quoted = re.match(r'299 \S+ "((?:[^"\\]|\\.)*)"', header)
            text = short(re.sub(r"\\(.)", r"\1", quoted.group(1)) if quoted else header)
            if self._warn and text and text not in self._warned and len(self._warned) < _MOST_WARNINGS:
                self._warned.add(text)
                self._warn(f"The API server warns: {text}")


def _with_query(path: str, query: t.Mapping[str, str]) -> str:
    asked = {key: value for key, value in query.items() if value}
    return f"{path}?{urlencode(asked)}" if asked else path
