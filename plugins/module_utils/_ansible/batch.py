# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For modules that take one object by its options, or a list of objects. Each has a key: its namespace and its name.

The namespace of a cluster-scoped object is empty.
"""

from __future__ import annotations

import collections
import typing as t

from .._kubernetes.client import Connection
from .._kubernetes.errors import CdiError, NotServed
from .._kubernetes.objects import Key, Object
from .._kubernetes.resources import Resource
from .module import Task
from .values import namespace_problem


class _Keyed(t.Protocol):
    @property
    def key(self) -> Key: ...


AnItem = t.TypeVar("AnItem", bound=_Keyed)


class Found(t.NamedTuple):
    """What was read of objects, by their keys. None: the object does not exist. With an error it was not read."""

    objects: dict[Key, Object | None]
    errors: dict[Key, str]


def options_of(params: dict[str, t.Any], plural: str, connection: Connection | None = None) -> list[dict[str, t.Any]]:
    """The options of each object. Raises CdiError when an object is listed twice.

    A namespaced object without a namespace is in that of the task, else in that of the connection. Without a connection
    its namespace is empty.
    """
    items = params[plural] if params[plural] is not None else [params]
    if "namespace" in params:
        named = [item["namespace"] or params["namespace"] for item in items]
        otherwise = default_namespace(connection) if connection and not all(named) else ""
        by_default = connection is None or not connection.namespace
        items = [
            {**item, "namespace": namespace or otherwise, "by_default": by_default and not namespace}
            for item, namespace in zip(items, named, strict=True)
        ]
    keys = [(item.get("namespace", ""), item["name"]) for item in items]
    twice = next((key for key, times in collections.Counter(keys).items() if times > 1), None)
    if twice:
        raise CdiError(f"{plural} has {'/'.join(filter(None, twice))} twice; remove one of them.")
    return items


def default_namespace(connection: Connection) -> str:
    """The namespace of objects without one, as for kubectl: that of the kubeconfig's context, else `default`."""
    problem = namespace_problem(connection.namespace)
    if problem:
        raise CdiError(f"The kubeconfig's context has the namespace {connection.namespace!r}, which {problem}.")
    return connection.namespace or "default"


def by_namespace(items: t.Sequence[AnItem]) -> list[tuple[str, list[AnItem]]]:
    return [
        (namespace, [item for item in items if item.key[0] == namespace])
        for namespace in sorted({item.key[0] for item in items})
    ]


def find(task: Task, keys: t.Collection[Key], resource: Resource, *, needed: bool) -> Found:
    """Read the objects of these keys: one object of a namespace by a GET, several by one LIST.

    A failed request is the error of each key of its namespace. A cluster that does not serve the resource has no such
    objects. Raises NotServed when they are `needed`, but not in check mode, where an earlier task may install the CRD.
    """
    found = Found({}, {})
    for namespace in sorted({key[0] for key in keys}):
        some = [key for key in keys if key[0] == namespace]
        try:
            stored = _stored(task.connection, resource, namespace, [name for _namespace, name in some])
        except NotServed:
            if needed and not task.check_mode:
                raise
            return found._replace(objects={**dict.fromkeys(keys), **found.objects})
        except CdiError as exc:
            found.errors.update(dict.fromkeys(some, str(exc)))
            continue
        found.objects.update({key: stored.get(key[1]) for key in some})
    return found


def _stored(connection: Connection, resource: Resource, namespace: str, names: list[str]) -> dict[str, Object]:
    if len(names) == 1:
        stored = connection.get(resource, names[0], namespace)
        return {names[0]: stored} if stored else {}
    listed, _version = connection.list(resource, namespace)
    return {stored["metadata"]["name"]: stored for stored in listed if stored["metadata"]["name"] in names}
