# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to an API server and the verbs that it understands."""

from __future__ import annotations

import copy
import time
import typing as t

from .api import Api
from .errors import ApiError
from .exchange import ANSWER_TIMEOUT_SECONDS, Exchange
from .objects import Object, Objects
from .resources import FIELD_MANAGER, POD, Resource
from .transport import Transport, open_transport

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
        return self._api.get(resource, name, namespace)

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        within_seconds: float | None = None,
    ) -> tuple[Objects, str]:
        """All objects of one namespace or of the cluster, and the resource version of the list.

        With `within_seconds`, no request is repeated, and an answer that takes longer raises ApiError.
        """
        from .listing import list_all

        return list_all(
            self._api,
            resource,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            within_seconds=within_seconds,
        )

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
        from .writes import merge

        return merge(self._api, resource, name, namespace, body, dry_run=dry_run)

    def json_patch(
        self, resource: Resource, name: str, namespace: str | None, operations: Objects, *, dry_run: bool
    ) -> Object:
        """JSON patch (RFC 6902). It is not repeated after a lost answer: its tests would fail on its own effect."""
        from .writes import json_patch

        return json_patch(self._api, resource, name, namespace, operations, dry_run=dry_run)

    def request_subresource(
        self, resource: Resource, name: str, namespace: str | None, subresource: str, body: Object
    ) -> None:
        """PUT to a subresource that carries out a request, and whose answer has no object."""
        self._api.send("update", "PUT", resource, namespace, name, subresource=subresource, body=body, repeatable=False)

    def create(self, resource: Resource, body: Object, namespace: str | None = None, *, dry_run: bool) -> Object:
        """POST an object that must not exist yet, or that the API server answers without storing it.

        After a lost answer, the object is read, and sent again only if it does not exist.
        """
        from .writes import create

        return create(self._api, resource, body, namespace, dry_run=dry_run)

    def what_became(self, lost: ApiError, resource: Resource, name: str | None, namespace: str | None) -> Object | None:
        """The object after a lost answer to a write. Raises ApiError with result `changed` if it cannot be read."""
        from .writes import what_became

        return what_became(self._api, lost, resource, name, namespace)

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
        from .writes import delete

        delete(
            self._api,
            resource,
            name,
            namespace,
            dry_run=dry_run,
            propagation=propagation,
            uid=uid,
            version=version,
        )

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

    def log(self, namespace: str, pod: str, lines: int = 5, container: str = "") -> str:
        """The last lines of the log of a pod, which has one container unless it is named."""
        query = {"tailLines": str(lines), **({"container": container} if container else {})}
        answer = self._api.send("get the log of", "GET", POD, namespace, pod, subresource="log", query=query)
        return answer.body.decode(errors="replace")
