# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes CDI in an order in which nothing remains. No manifest is required: the objects of a release have known
names."""

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
from .._kubernetes.objects import Object, key_of
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

_NAMED = 3
# The other objects have the kind of the CDI object, or lead to the rest.
_BEFORE_CDI_IS_GONE = (DEPLOYMENT, ROLE_BINDING, ROLE, SERVICE_ACCOUNT, NAMESPACE)

Known = tuple[Resource, Object]


def remove(task: Task, cdi: Object | None, operator: Object | None) -> dict[str, Change]:
    """Remove the data (if requested), the CDI object, and then the operator, which cleans up after it.

    Returns the changes by the titles of the objects, in their order. Raises CdiError with the objects that were deleted
    before.
    """
    connection, params = task.connection, task.params
    deadline = time.monotonic() + params["wait_timeout"]
    binding = connection.get(CLUSTER_ROLE_BINDING, OPERATOR)
    namespace = namespace_of(operator, binding=binding) or DEFAULT_NAMESPACE
    found = _found(connection, namespace, binding)
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
    steps = _steps(data, [(CDI, cdi)] if cdi else [], found, wait=params["wait"])
    if not task.check_mode:
        deleted: list[Known] = []
        try:
            for step in steps:
                deleted.extend(_deleted(connection, step.objects))
                _wait_until(task, step, deadline)
            if params["wait"]:
                _wait_gone(task, found, deadline)
        except CdiError as exc:
            exc.result = {
                "changed": bool(deleted),
                "changed_objects": [title(resource, item) for resource, item in deleted],
            }
            raise
    return {
        title(resource, item): Change(True, True, {}, diff_of(item, None))
        for step in steps
        for resource, item in step.objects
    }


class _Step(t.NamedTuple):
    """Objects to delete, and the objects to wait for before the next step, until `judge` has them REACHED."""

    objects: list[Known]
    awaited: list[Known]
    judge: t.Callable[[Object | None], Verdict]


def _steps(data: list[Known], cdis: list[Known], found: list[Known], *, wait: bool) -> list[_Step]:
    """The order of removal.

    DataImportCrons go before the DataVolumes, which they would create again. The operator stays until it has cleaned up
    after the CDI object. What that owns may go together with the operator's namespace.
    """
    crons, volumes = ([each for each in data if each[0] is resource] for resource in (DATA_IMPORT_CRON, DATA_VOLUME))
    first = [each for each in found if each[0] in _BEFORE_CDI_IS_GONE]
    return [
        _Step(crons, crons, judge_gone),
        _Step(volumes, volumes, judge_gone),
        _Step(cdis, cdis, judge_cleaned_up),
        _Step(first, cdis if wait else [], judge_gone),
        _Step([each for each in found if each not in first], [], judge_gone),
    ]


def _found(connection: Connection, namespace: str, binding: Object | None) -> list[Known]:
    """The existing objects of a release manifest in the order of deletion: the binding, which leads to the namespace,
    last."""
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
        # A namespace that the manifest did not create stays, with its contents.
        if item is not None and (resource is not NAMESPACE or COMPONENT in (item["metadata"].get("labels") or {})):
            found.append((resource, item))
    return [*found, (CLUSTER_ROLE_BINDING, binding)] if binding else found


def _claims_that_go(connection: Connection, namespace: str, found: list[Known], data: list[Known]) -> list[Object]:
    """Claims in CDI's own namespace that belong to no DataVolume, and go with the namespace."""
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
        f"There are {counted} ({first}), which would be deleted with their data; "
        "delete them first, or set delete_data_volumes=true."
    )


def _refuse_in_use(reader: UserReader, data: list[Known], claims: list[Object]) -> None:
    """Raise CdiError, before any write, when the data that go with CDI are in use."""
    known = [(resource, item) for resource, item in data if resource is DATA_VOLUME] + [
        (PERSISTENT_VOLUME_CLAIM, claim) for claim in claims
    ]
    keys = {key_of(item): title(resource, item) for resource, item in reversed(known)}
    # Clones between volumes that all go do not count.
    used = {keys[key]: users for key in sorted(keys) if (users := reader.users(key)._replace(clones=()))}
    if used:
        first = [f"{name} by {users.sentence}" for name, users in used.items()]
        more = f", and {len(first) - _NAMED} more" if len(first) > _NAMED else ""
        raise CdiError(
            f"CDI was not removed, because data that would be deleted are in use: {'; '.join(first[:_NAMED])}{more}; "
            f"{next(iter(used.values())).remedy}, or set when_in_use=delete to delete them anyway."
        )


def judge_gone(stored: Object | None) -> Verdict:
    """Whether a deleted object no longer exists."""
    return Verdict(REACHED) if stored is None else Verdict(WAITING, _finalizers(stored))


def judge_cleaned_up(stored: Object | None) -> Verdict:
    """Whether the operator has cleaned up after a deleted CDI object, and only the garbage collector still keeps it."""
    left = set((stored or {}).get("metadata", {}).get("finalizers") or []) - {"foregroundDeletion"}
    return Verdict(WAITING, _finalizers(stored)) if left else Verdict(REACHED)


def _finalizers(stored: Object | None) -> str:
    return ", ".join(f"finalizer {name}" for name in (stored or {}).get("metadata", {}).get("finalizers") or [])


def _deleted(connection: Connection, objects: t.Iterable[Known]) -> t.Iterator[Known]:
    """Delete in the foreground, so that an object goes after all that it owns, such as the claim of a DataVolume.

    Yields each object after its deletion, without those that were already marked for deletion.
    """
    for resource, item in objects:
        metadata = item["metadata"]
        if metadata.get("deletionTimestamp"):
            continue
        connection.delete(
            resource,
            metadata["name"],
            metadata.get("namespace"),
            dry_run=False,
            propagation="Foreground",
            uid=metadata["uid"],
        )
        yield resource, item


def _wait_until(task: Task, step: _Step, deadline: float) -> None:
    """Wait for the objects of a step, and show which ones. Raises CdiError with what still keeps an object at the
    deadline."""
    by_place: dict[tuple[Resource, str | None], list[str]] = {}
    for resource, item in step.awaited:
        by_place.setdefault((resource, item["metadata"].get("namespace")), []).append(item["metadata"]["name"])
    for (resource, namespace), names in by_place.items():
        outcomes = wait_for(
            task.connection,
            resource,
            namespace,
            names,
            functools.partial(_judged, step),
            deadline,
            observe=functools.partial(_show, task, resource, namespace),
        )
        for name, outcome in outcomes.items():
            if outcome.verdict.state != REACHED:
                raise CdiError(
                    f"{target(resource, namespace, name)} was not deleted within {task.params['wait_timeout']} s: "
                    f"{_held_by(task.connection, resource, outcome.object)}; or see the log of {OPERATOR}."
                )


def _judged(step: _Step, _name: str, stored: Object | None) -> Verdict:
    return step.judge(stored)


def _show(
    task: Task, resource: Resource, namespace: str | None, name: str, _stored: Object | None, verdict: Verdict
) -> None:
    """Write a line of progress for an object that is being deleted."""
    shown = target(resource, namespace, name)
    if verdict.state == REACHED:
        task.progress.ends(shown, "deleted")
    else:
        task.progress.waits(shown, "being deleted", None, verdict.reason)


def _held_by(connection: Connection, resource: Resource, stored: Object | None) -> str:
    """What keeps an object, or the claim of a DataVolume, which must go first."""
    metadata = (stored or {}).get("metadata") or {}
    if resource is DATA_VOLUME and metadata:
        claim = connection.get(PERSISTENT_VOLUME_CLAIM, metadata["name"], metadata["namespace"])
        if claim:
            return held_by(connection, PERSISTENT_VOLUME_CLAIM, claim)
    return held_by(connection, resource, stored)


def _wait_gone(task: Task, objects: list[Known], deadline: float) -> None:
    """Wait until none of the objects exists. Raises CdiError at the deadline."""

    def left(bounded: Connection) -> Verdict:
        for resource, item in objects:
            if bounded.get(resource, item["metadata"]["name"], item["metadata"].get("namespace")) is not None:
                return Verdict(WAITING, title(resource, item))
        return Verdict(REACHED)

    def show(verdict: Verdict) -> None:
        if verdict.state == WAITING:
            task.progress.waits(verdict.reason, "being deleted")

    verdict = poll_until(task.connection, left, deadline, observe=show)
    if verdict.state != REACHED:
        raise CdiError(
            f"CDI was not removed within {task.params['wait_timeout']} s: {verdict.reason} still exists; "
            "run the task again, or check the finalizers of that object."
        )
