# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what may be forbidden, not served, or not there, each thing once for all that depends on it."""

from __future__ import annotations

import time
import typing as t

from .client import Connection
from .errors import ApiError, NotServed
from .objects import Key, Object
from .resources import CDI, CDI_CONFIG, STORAGE_CLASS, STORAGE_PROFILE, Resource

_SETTINGS = (CDI, CDI_CONFIG, STORAGE_CLASS, STORAGE_PROFILE)


class Reading(t.NamedTuple):
    """What one read gave. For a single object, `items` has one element or none.

    Without an `error`, the API server answered: what is not in `items` does not exist. An `error` says why `items` is
    empty.
    """

    items: list[Object]
    error: ApiError | None = None

    @property
    def object(self) -> Object | None:
        return self.items[0] if self.items else None

    @property
    def is_forbidden(self) -> bool:
        return self.error is not None and self.error.code == 403

    @property
    def is_known(self) -> bool:
        """Whether what is not in `items` does not exist. That is also so for a kind that the cluster does not serve."""
        return self.error is None or isinstance(self.error, NotServed)

    def unless_forbidden(self) -> list[Object]:
        """The items. Raises the ApiError when the user may not read them."""
        if self.error is not None and not self.is_known:
            raise self.error
        return self.items


class Reader:
    """Reads each kind or object once. Forbidden resources are skipped and remembered.

    With `known`, the settings of the cluster that another reader has read still count. With `within_seconds`, each
    request ends after so long.
    """

    def __init__(
        self, connection: Connection, known: Reader | None = None, *, within_seconds: float | None = None
    ) -> None:
        self.connection = connection
        # By kind, namespace and name: a right does not depend on a selector.
        self._forbidden: dict[tuple[Resource, str | None, str], Reading] = {}
        self._readings: dict[tuple[Resource, str | None, str, str, str], Reading] = {}
        self._within_seconds = within_seconds
        self._warned: set[Resource] = set()
        if known:
            self._forbidden.update({key: found for key, found in known._forbidden.items() if key[0] in _SETTINGS})
            self._readings.update({key: found for key, found in known._readings.items() if key[0] in _SETTINGS})

    def again(self, within_seconds: float | None = None) -> Reader:
        """A reader that has read nothing yet, but still skips what is forbidden and does not repeat a warning."""
        seconds = self._within_seconds if within_seconds is None else within_seconds
        other = Reader(self.connection, within_seconds=seconds)
        other._forbidden, other._warned = self._forbidden, self._warned
        return other

    def read(
        self,
        resource: Resource,
        namespace: str | None = None,
        name: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Reading:
        """The objects of a kind in a namespace or in the cluster, or the one object of that name. One request at most.

        Raises ApiError unless the API server answers, forbids the request, or does not serve the kind.
        """
        key = (resource, namespace, name, label_selector, field_selector)
        if key in self._readings:
            return self._readings[key]
        if key[:3] in self._forbidden:
            return self._forbidden[key[:3]]
        try:
            found = Reading(self._request(resource, namespace, name, label_selector, field_selector))
        except NotServed as exc:
            found = Reading([], exc)
        except ApiError as exc:
            if exc.code != 403:
                raise
            found = self._forbidden[key[:3]] = Reading([], exc)
        self._readings[key] = found
        return found

    def try_read(
        self,
        resource: Resource,
        namespace: str | None = None,
        name: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> Reading:
        """Like `read`, for what only adds detail: raises no ApiError. A request that failed is sent again next time."""
        try:
            return self.read(resource, namespace, name, label_selector=label_selector, field_selector=field_selector)
        except ApiError as exc:
            return Reading([], exc)

    def objects(self, resource: Resource, keys: t.Collection[Key]) -> dict[Key, Object]:
        """The existing objects by (namespace, name). At most one request for each namespace.

        The namespace of a cluster-scoped object is ``.
        """
        found = {}
        for namespace in sorted({key[0] for key in keys}):
            names = sorted({key[1] for key in keys if key[0] == namespace})
            items = self.read(resource, namespace or None, names[0] if len(names) == 1 else "").items
            found.update(
                {(namespace, item["metadata"]["name"]): item for item in items if item["metadata"]["name"] in names}
            )
        return found

    def refusal(self, resource: Resource, namespace: str | None = None) -> str:
        """Why something of this kind and namespace could not be read; `` when nothing was forbidden."""
        return next(
            (str(found.error) for key, found in self._forbidden.items() if key[:2] == (resource, namespace)), ""
        )

    def warn_if_forbidden(
        self, resource: Resource, namespace: str | None, what: str, warn: t.Callable[[str], None]
    ) -> bool:
        """Warn, once for each kind, that `what` (a clause) could not be read. At most two requests more.

        A user without any right on an API group also gets 403 for kinds that are not served: no warning, and False.
        """
        refusal = self.refusal(resource, namespace)
        forbidden = bool(refusal) and not self.connection.lacks(resource)
        if forbidden and resource not in self._warned:
            self._warned.add(resource)
            warn(f"{what}: {refusal}")
        return forbidden

    def _request(
        self, resource: Resource, namespace: str | None, name: str, label_selector: str, field_selector: str
    ) -> list[Object]:
        if not name:
            return self.connection.list(
                resource,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                within_seconds=self._within_seconds,
            )[0]
        connection = self.connection
        if self._within_seconds is not None:
            connection = connection.until(time.monotonic() + self._within_seconds)
        stored = connection.get(resource, name, namespace)
        return [] if stored is None else [stored]
