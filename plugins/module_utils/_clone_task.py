# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Reads what CDI recorded of clones."""

from __future__ import annotations

import json
import typing as t

from ._clone import clone_facts, explain
from ._connection import Connection, Object, connect
from ._errors import ApiError, CdiError, NotServed
from ._preallocation import preallocation_facts
from ._resources import CDI, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_PROFILE, Resource

# A task that looks up one volume after the other uses one connection.
_connections: dict[str, Connection] = {}


def observe(params: dict[str, t.Any], terms: list[str]) -> list[dict[str, t.Any]]:
    """The facts of each `namespace/name`. Two requests for one volume, two for each namespace of several."""
    keys = [_key(term) for term in terms]
    mark = json.dumps(params, sort_keys=True, default=str)
    if mark not in _connections:
        _connections[mark] = connect(params)
    connection = _connections[mark]
    claims = _objects(connection, PERSISTENT_VOLUME_CLAIM, keys)
    volumes = _objects(connection, DATA_VOLUME, keys)
    return [_facts(connection, key, volumes.get(key), claims.get(key)) for key in keys]


def _key(term: str) -> tuple[str, str]:
    namespace, slash, name = term.partition("/")
    if not (namespace and slash and name) or "/" in name:
        raise CdiError(f"{term!r} names no volume; write namespace/name.")
    return namespace, name


def _objects(connection: Connection, resource: Resource, keys: list[tuple[str, str]]) -> dict[tuple[str, str], Object]:
    found: dict[tuple[str, str], Object] = {}
    try:
        for namespace in {key[0] for key in keys}:
            names = {key[1] for key in keys if key[0] == namespace}
            if len(names) == 1:
                stored = connection.get(resource, *names, namespace)
                items = [stored] if stored else []
            else:
                items, _version = connection.list(resource, namespace)
            found.update(((namespace, item["metadata"]["name"]), item) for item in items)
    except NotServed:
        pass  # A cluster without CDI has no DataVolumes.
    return found


def _facts(connection: Connection, key: tuple[str, str], volume: Object | None, claim: Object | None) -> dict[str, t.Any]:
    facts = clone_facts(volume, claim)
    override = strategy = storage_class = None
    if facts["method"] and not facts["fallback"]:
        storage_class = ((claim or {}).get("spec") or {}).get("storageClassName")
        override, strategy = _settings(connection, storage_class)
    return {
        "namespace": key[0],
        "name": key[1],
        "exists": bool(volume or claim),
        "observed": facts["method"] is not None,
        **facts,
        "reason": explain(facts, override, strategy, storage_class),
        "preallocation": preallocation_facts(volume, claim),
    }


def _settings(connection: Connection, storage_class: str | None) -> tuple[str | None, str | None]:
    """The CDI object's override and the storage profile's strategy, as far as they may be read."""
    try:
        objects, _version = connection.list(CDI)
        profile = connection.get(STORAGE_PROFILE, storage_class) if storage_class else None
    except ApiError:
        return None, None
    overrides = [item["spec"].get("cloneStrategyOverride") for item in objects]
    return next(iter(overrides), None), ((profile or {}).get("status") or {}).get("cloneStrategy")
