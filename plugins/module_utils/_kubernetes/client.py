# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to an API server and the verbs that it understands."""

from __future__ import annotations

import copy
import time
import typing as t

from .answers import list_in, object_in, read_status, short, value_of
from .api import Api
from .errors import ApiError, WatchExpired, target
from .exchange import ANSWER_TIMEOUT_SECONDS, Exchange
from .objects import Object, Objects
from .resources import FIELD_MANAGER, POD, SELF_SUBJECT_ACCESS_REVIEW, UPLOAD_TOKEN_REQUEST, Resource
from .transport import Transport, open_transport

PAGE_SIZE = 500
# POST requests that the API server answers without storing an object.
_ANSWERED_ONLY = (SELF_SUBJECT_ACCESS_REVIEW, UPLOAD_TOKEN_REQUEST)
_CREATE_ATTEMPTS = 3
_EXPIRED_LISTS = 5
_LEAST_OF_A_TASK_SECONDS = 15.0

UNVERIFIED = "The API server's certificate is not verified: set validate_certs to true and give ca_cert."


def connect(
    params: t.Mapping[str, t.Any],
    warn: t.Callable[[str], None] | None = None,
    *,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> Connection:
    """Open a connection from the authentication options. See `open_transport` for what that sends and raises.

    `warn` gets each warning of the API server once. `clock` decides when credentials in files are read again, `sleep`
    pauses between attempts.
    """
    return Connection(open_transport(params, clock), warn, _answer_seconds(params), sleep)


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
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.transport = transport
        self.host, self.namespace = transport.host, transport.namespace
        self.verifies_certificates = transport.verifies_certificates
        self._api = Api(Exchange(transport, sleep), transport.host, warn, answer_seconds)

    def until(self, deadline: float) -> Connection:
        """The connection with requests that end at `deadline` (of time.monotonic()). The last one has a second."""
        bounded = copy.copy(self)
        bounded._api = self._api.until(deadline)
        return bounded

    def lacks(self, resource: Resource) -> bool:
        """Whether the API server's discovery shows that it does not serve this kind."""
        return self._api.lacks(resource)

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The stored object, None when there is none. Raises NotServed when the kind is unknown."""
        try:
            return self._api.object("get", "GET", resource, namespace, name)
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
    ) -> tuple[Objects, str]:
        """All objects of one namespace or of the cluster, page by page, and the resource version of the list.

        With `within_seconds`, no request is repeated, and an answer that takes longer raises ApiError.
        """
        query = {"limit": str(PAGE_SIZE), "labelSelector": label_selector, "fieldSelector": field_selector}
        items: Objects = []
        expired = 0
        while True:
            try:
                page = self._page(resource, namespace, query, within_seconds)
            except WatchExpired as exc:
                if "continue" not in query or expired >= _EXPIRED_LISTS:
                    raise ApiError(
                        f"Cannot list {target(resource, namespace, None)}: the list expired on {self.host} (HTTP 410); "
                        "run the task again.",
                        410,
                    ) from exc
                expired += 1
                # With many objects or a slow server, the version of the first page is no longer kept: start again.
                items = []
                del query["continue"]
                continue
            items += page["items"]
            if not page["metadata"].get("continue"):
                return items, page["metadata"]["resourceVersion"]
            if page["metadata"]["continue"] == query.get("continue"):
                raise ApiError(
                    f"Cannot list {target(resource, namespace, None)}: {self.host} repeats the same page; "
                    "check the proxies on the way.",
                    200,
                )
            query["continue"] = page["metadata"]["continue"]

    def _page(
        self, resource: Resource, namespace: str | None, query: t.Mapping[str, str], within_seconds: float | None
    ) -> Object:
        answer = self._api.send("list", "GET", resource, namespace, None, query=query, within_seconds=within_seconds)
        page = list_in(value_of(answer), resource.kind)
        if page is None:
            from .refusals import foreign_answer

            raise foreign_answer("list", resource, namespace, None, answer, self.host)
        return page

    def apply(
        self, resource: Resource, body: Object, *, dry_run: bool, force: bool = False, manager: str = ""
    ) -> Object:
        """Server-side apply, by default as field manager `kubevirt.cdi`."""
        query = {
            "fieldManager": manager or FIELD_MANAGER,
            "force": "true" if force else "",
            "dryRun": "All" if dry_run else "",
        }
        metadata = body["metadata"]
        return self._api.object(
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
        """JSON merge patch: null removes a key. The API server rejects unknown fields, it does not prune them."""
        query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", "dryRun": "All" if dry_run else ""}
        try:
            return self._api.object(
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
        """POST an object that must not exist yet, or that the API server answers without storing it.

        After a lost answer, the object is read, and sent again only if it does not exist.
        """
        query = {"fieldManager": FIELD_MANAGER, "dryRun": "All" if dry_run else ""}
        stored = not dry_run and resource not in _ANSWERED_ONLY
        lost = False
        for attempt in range(_CREATE_ATTEMPTS):
            try:
                return self._api.object(
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
        """The object after a lost answer to a write. Raises ApiError with result `changed` if it cannot be read."""
        try:
            if name:
                return self.get(resource, name, namespace)
            unread = "it has no name yet, so it cannot be read"
        except ApiError as exc:
            unread = f"reading it also failed ({short(str(exc))})"
        error = ApiError(
            f"{str(lost).rstrip('.')}; it may have been written, but {unread}.",
            lost.code,
            lost.reason,
            final=lost.final,
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
        """Delete an object. One that does not exist is not an error.

        `uid` and `version` are preconditions: only this object, only in this version.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        preconditions = {"uid": uid, "resourceVersion": version}
        if uid or version:
            body["preconditions"] = {key: value for key, value in preconditions.items() if value}
        if dry_run:
            body["dryRun"] = ["All"]  # With a body, the API server ignores the query.
        query = {"dryRun": "All" if dry_run else ""}
        try:
            # Without the uid, a repeated request could delete an object that was created after the first request.
            answer = self._api.send(
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
            from .refusals import foreign_answer

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
    ) -> t.Generator[tuple[str, Object], None, None]:
        """The events of a watch as (type, object). See `_kubernetes.watch`."""
        from .watch import watch

        return watch(
            self._api,
            resource,
            namespace,
            resource_version,
            timeout_seconds=timeout_seconds,
            quiet_seconds=quiet_seconds,
            field_selector=field_selector,
        )

    def log(self, namespace: str, pod: str, lines: int = 5) -> str:
        """The last lines of a pod's log."""
        answer = self._api.send(
            "get the log of", "GET", POD, namespace, pod, subresource="log", query={"tailLines": str(lines)}
        )
        return answer.body.decode(errors="replace")

    def websocket(
        self, resource: Resource, namespace: str, name: str, subresource: str, query: str, subprotocols: t.Sequence[str]
    ) -> t.Any:
        """Open a WebSocket (of package `websocket-client`) to a subresource, with credentials, TLS and proxy."""
        import websocket

        from .refusals import api_error

        verb = f"{subresource} to"
        try:
            return self.transport.websocket(f"{resource.path(namespace, name)}/{subresource}?{query}", subprotocols)
        except websocket.WebSocketBadStatusException as exc:
            # The API server also requires `create` for this GET. Old releases of the package drop the body.
            right = f'"get" and "create" on {resource.plural}/{subresource}'
            raise api_error(
                verb, resource, namespace, name, exc.status_code, getattr(exc, "resp_body", None) or b"", right
            ) from exc
        except (websocket.WebSocketException, OSError) as exc:
            raise ApiError(
                f"Cannot {verb} {target(resource, namespace, name)}: no WebSocket to {self.host} ({exc}).", 0
            ) from exc
