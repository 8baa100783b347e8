# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads each thing of a cluster once for all that depends on it."""

from __future__ import annotations

import typing as t

from .client import Connection
from .errors import ApiError, NotServed
from .objects import Object
from .resources import CDI, CDI_CONFIG, STORAGE_CLASS, STORAGE_PROFILE, Resource

Key = tuple[str, str]


class Reader:
    """Reads each thing once. What may not be read is remembered, and never guessed. What `known` has read of the cluster's settings still holds."""

    def __init__(self, connection: Connection, known: Reader | None = None) -> None:
        self.connection = connection
        self.refused: dict[tuple[Resource, str | None], str] = {}
        self._lists: dict[tuple[Resource, str | None], list[Object]] = {}
        self._single: dict[tuple[Resource, str, str | None], Object | None] = {}
        if known:
            settings = (CDI, CDI_CONFIG, STORAGE_CLASS, STORAGE_PROFILE)
            self.refused.update({key: why for key, why in known.refused.items() if key[0] in settings})
            self._lists.update({key: found for key, found in known._lists.items() if key[0] in settings})
            self._single.update({key: found for key, found in known._single.items() if key[0] in settings})

    def list(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        if (resource, namespace) not in self._lists:
            self._lists[resource, namespace] = self._read(
                resource, namespace, lambda: self.connection.list(resource, namespace)[0], []
            )
        return self._lists[resource, namespace]

    def objects(self, resource: Resource, keys: t.Collection[Key]) -> dict[Key, Object]:
        """Those of the (namespace, name) that exist; the namespace of a cluster's object is ``."""
        found = {}
        for namespace in sorted({key[0] for key in keys}):
            names = sorted({key[1] for key in keys if key[0] == namespace})
            items = (
                self.list(resource, namespace or None)
                if len(names) > 1
                else self.get(resource, names[0], namespace or None)
            )
            found.update(
                {(namespace, item["metadata"]["name"]): item for item in items if item["metadata"]["name"] in names}
            )
        return found

    def get(self, resource: Resource, name: str, namespace: str | None) -> list[Object]:
        key = (resource, name, namespace)
        if key not in self._single:
            self._single[key] = self._read(
                resource, namespace, lambda: self.connection.get(resource, name, namespace), None
            )
        stored = self._single[key]
        return [stored] if stored else []

    def _read(self, resource: Resource, namespace: str | None, request: t.Callable[[], t.Any], nothing: t.Any) -> t.Any:
        try:
            return request()
        except NotServed:
            return nothing  # A cluster without snapshots, or without CDI.
        except ApiError as exc:
            if exc.code != 403:
                raise
            self.refused[resource, namespace] = str(exc)
            return nothing
