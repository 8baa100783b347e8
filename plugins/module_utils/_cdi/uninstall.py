# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes CDI, in an order that leaves nothing hanging. No manifest is needed: what a release installs has known names."""

from __future__ import annotations

import functools
import time
import typing as t

from .._ansible.module import Task
from .._kubernetes.apply import Change
from .._kubernetes.client import Connection
from .._kubernetes.compare import diff_of
from .._kubernetes.errors import CdiError, target
from .._kubernetes.mounts import held_by
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import (
    CDI,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CUSTOM_RESOURCE_DEFINITION,
    DATA_IMPORT_CRON,
    DATA_VOLUME,
    DEPLOYMENT,
    NAMESPACE,
    OPERATOR,
    PERSISTENT_VOLUME_CLAIM,
    ROLE,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    Resource,
)
from .._kubernetes.verdict import REACHED, WAITING, Verdict
from .._kubernetes.wait import poll_until, wait_for
from .installation import DEFAULT_NAMESPACE, namespace_of
from .manifest import CUSTOM_RESOURCE_DEFINITION_NAME
from .names import COMPONENT
from .status import title
from .users import UserReader

# The others are known to the cluster's garbage collector as the kind of the CDI object, or are the way to find the rest.
_NAMED = 3
_BEFORE_CDI_IS_GONE = (DEPLOYMENT, ROLE_BINDING, ROLE, SERVICE_ACCOUNT, NAMESPACE)

Known = tuple[Resource, Object]


def remove(task: Task, cdi: Object | None, operator: Object | None) -> dict[str, Change]:
    """Remove the data (when that was said), the CDI object, and then the operator that cleans up after it.

    Returns the changes by the objects' titles, in their order. Ends when nothing is left, or raises CdiError.
    """
    connection, params = task.connection, task.params
    deadline = time.monotonic() + params["wait_timeout"]
    binding = connection.get(CLUSTER_ROLE_BINDING, OPERATOR)
    namespace = namespace_of(operator, binding=binding) or DEFAULT_NAMESPACE
    found = _found(connection, namespace, binding)
    # Crons go first: they would make their volumes again.
    reader = Reader(connection)
    data = [
        (resource, item)
        for resource in (DATA_IMPORT_CRON, DATA_VOLUME)
        for item in reader.read(resource).unless_forbidden()
    ]
    claims = _claims_that_go(connection, namespace, found, data)
    if (data or claims) and not params["delete_data_volumes"]:
        raise _would_be_lost(data, claims, namespace)
    if params["when_in_use"] == "fail":
        _refuse_in_use(UserReader(reader.again(), task.warn, all_namespaces=True), data, claims)
    crons, volumes = ([each for each in data if each[0] is resource] for resource in (DATA_IMPORT_CRON, DATA_VOLUME))
    objects: list[Known] = [(CDI, cdi)] if cdi else []
    if not task.check_mode:
        waiter = _Waiter(task, deadline)
        try:
            _remove_in_order(waiter, crons, volumes, objects, found, params["wait"])
        except CdiError as exc:
            exc.result = {
                "changed": bool(waiter.deleted),
                "changed_objects": [title(resource, item) for resource, item in waiter.deleted],
            }
            raise
    return {
        title(resource, item): Change(True, True, {}, diff_of(item, None))
        for resource, item in [*crons, *volumes, *objects, *found]
    }


def _remove_in_order(
    waiter: _Waiter, crons: list[Known], volumes: list[Known], objects: list[Known], found: list[Known], wait: bool
) -> None:
    for step in (crons, volumes):
        waiter.delete(step)
        waiter.until(step, _is_gone)
    waiter.delete(objects)
    # The operator has to live until it has cleaned up. What the CDI object owns may go together with the operator's namespace.
    waiter.until(objects, _is_cleaned_up)
    waiter.delete([each for each in found if each[0] in _BEFORE_CDI_IS_GONE])
    if wait:
        waiter.until(objects, _is_gone)
    waiter.delete([each for each in found if each[0] not in _BEFORE_CDI_IS_GONE])
    if wait:
        verdict = poll_until(waiter.connection, lambda bounded: _left(waiter.task, bounded, found), waiter.deadline)
        if verdict.state != REACHED:
            raise CdiError(f"CDI is not gone after {waiter.timeout} s: {verdict.reason}.")


def _found(connection: Connection, namespace: str, binding: Object | None) -> list[Known]:
    """What a release manifest installs and is there, in the order of deletion: the binding, which leads to the namespace, last."""
    known = [
        (DEPLOYMENT, OPERATOR),
        (ROLE_BINDING, OPERATOR),
        (ROLE, OPERATOR),
        (SERVICE_ACCOUNT, OPERATOR),
        (NAMESPACE, namespace),
        (CUSTOM_RESOURCE_DEFINITION, CUSTOM_RESOURCE_DEFINITION_NAME),
        (CLUSTER_ROLE, "cdi-operator-cluster"),
    ]
    found = []
    for resource, name in known:
        item = connection.get(resource, name, namespace if resource.namespaced else None)
        # A namespace that somebody else made stays, with what is in it.
        if item is not None and (resource is not NAMESPACE or COMPONENT in (item["metadata"].get("labels") or {})):
            found.append((resource, item))
    return [*found, (CLUSTER_ROLE_BINDING, binding)] if binding else found


def _claims_that_go(connection: Connection, namespace: str, found: list[Known], data: list[Known]) -> list[Object]:
    """Claims in CDI's own namespace that are no DataVolume's: they go with the namespace."""
    if all(resource is not NAMESPACE for resource, _item in found):
        return []
    volumes = {item["metadata"]["uid"] for _resource, item in data}
    claims, _version = connection.list(PERSISTENT_VOLUME_CLAIM, namespace)
    return [
        claim
        for claim in claims
        if not any(owner["uid"] in volumes for owner in claim["metadata"].get("ownerReferences") or [])
    ]


def _would_be_lost(data: list[Known], claims: list[Object], namespace: str) -> CdiError:
    kinds = [resource.kind for resource, _item in data] + [PERSISTENT_VOLUME_CLAIM.kind for _claim in claims]
    counted = ", ".join(f"{kinds.count(kind)} {kind}s" for kind in dict.fromkeys(kinds))
    names = [
        f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in [*(item for _resource, item in data), *claims]
    ]
    first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return CdiError(
        f"There are {counted} ({first}), which would be deleted with their data; delete them first, or set delete_data_volumes=true."
    )


def _refuse_in_use(reader: UserReader, data: list[Known], claims: list[Object]) -> None:
    """Raises CdiError, before anything is written, when somebody uses the data that go with CDI."""
    known = [(resource, item) for resource, item in data if resource is DATA_VOLUME] + [
        (PERSISTENT_VOLUME_CLAIM, claim) for claim in claims
    ]
    keys = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): title(resource, item)
        for resource, item in reversed(known)
    }
    # Clones between volumes that all go are not in anybody's way.
    used = {keys[key]: users for key in sorted(keys) if (users := reader.users(key)._replace(clones=()))}
    if used:
        first = [f"{name} by {users.sentence}" for name, users in used.items()]
        more = f", and {len(first) - _NAMED} more" if len(first) > _NAMED else ""
        raise CdiError(
            f"CDI was not removed, because data that would be deleted are in use: {'; '.join(first[:_NAMED])}{more}; "
            f"{next(iter(used.values())).remedy}, or set when_in_use=delete to delete them anyway."
        )


def _is_gone(stored: Object | None) -> bool:
    return stored is None


def _is_cleaned_up(stored: Object | None) -> bool:
    return stored is None or set(stored["metadata"].get("finalizers") or []) <= {"foregroundDeletion"}


class _Waiter:
    """Deletes objects, which it remembers, and waits for them, until `deadline`."""

    def __init__(self, task: Task, deadline: float) -> None:
        self.task, self.connection, self.deadline, self.timeout = (
            task,
            task.connection,
            deadline,
            task.params["wait_timeout"],
        )
        self.deleted: list[Known] = []

    def delete(self, step: list[Known]) -> None:
        """In the foreground: an object is gone when all that it owns is, such as the claim of a DataVolume."""
        for resource, item in step:
            metadata = item["metadata"]
            if not metadata.get("deletionTimestamp"):
                namespace = metadata.get("namespace")
                self.connection.delete(
                    resource, metadata["name"], namespace, dry_run=False, propagation="Foreground", uid=metadata["uid"]
                )
                self.deleted.append((resource, item))

    def held(self, resource: Resource, stored: Object | None) -> str:
        """What holds an object, or the claim of a DataVolume, which goes before it."""
        metadata = (stored or {}).get("metadata") or {}
        claim = (
            self.connection.get(PERSISTENT_VOLUME_CLAIM, metadata["name"], metadata["namespace"])
            if resource is DATA_VOLUME and metadata
            else None
        )
        return (
            held_by(self.connection, PERSISTENT_VOLUME_CLAIM, claim)
            if claim
            else held_by(self.connection, resource, stored)
        )

    def until(self, step: list[Known], reached: t.Callable[[Object | None], bool]) -> None:
        by_place: dict[tuple[Resource, str | None], list[str]] = {}
        for resource, item in step:
            by_place.setdefault((resource, item["metadata"].get("namespace")), []).append(item["metadata"]["name"])

        for (resource, namespace), names in by_place.items():
            judge = functools.partial(self._judge, reached, resource, namespace)
            for name, outcome in wait_for(
                self.task.connection, resource, namespace, names, judge, self.deadline
            ).items():
                if outcome.verdict.state != REACHED:
                    raise CdiError(
                        f"{target(resource, namespace, name)} was not deleted within {self.timeout} s: {self.held(resource, outcome.object)}; "
                        f"or see the log of {OPERATOR}."
                    )

    def _judge(
        self,
        reached: t.Callable[[Object | None], bool],
        resource: Resource,
        namespace: str | None,
        name: str,
        stored: Object | None,
    ) -> Verdict:
        if stored is None or reached(stored):
            self.task.progress.ends(target(resource, namespace, name), "deleted")
            return Verdict(REACHED)
        self.task.progress.waits(target(resource, namespace, name), "being deleted", None, _finalizers(stored))
        return Verdict(WAITING)


def _finalizers(stored: Object | None) -> str:
    return ", ".join(f"finalizer {name}" for name in (stored or {}).get("metadata", {}).get("finalizers") or [])


def _left(task: Task, connection: Connection, found: list[Known]) -> Verdict:
    for resource, item in found:
        if connection.get(resource, item["metadata"]["name"], item["metadata"].get("namespace")) is not None:
            task.progress.waits(title(resource, item), "being deleted")
            return Verdict(WAITING, f"{title(resource, item)} is still there")
    return Verdict(REACHED)
