# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired against stored, and the only place that writes objects.

`changed` comes from comparing objects, never from having sent something. Check mode is the same code with dryRun=All.
"""

from __future__ import annotations

import typing as t

from .client import Connection
from .compare import diff_of, differs, keep_stored_spelling, normalise
from .errors import ApiError, ForeignAnswer, NotServed
from .managed_fields import keep_removed, owns_unrequested, relinquish_patch, without_removed
from .objects import Object
from .resources import Resource


class Change(t.NamedTuple):
    """What one write did, or in check mode would do. `object` is empty after a deletion."""

    changed: bool
    existed: bool
    object: Object
    diff: dict[str, t.Any]


def ensure_present(
    connection: Connection, resource: Resource, desired: Object, *, check_mode: bool, force: bool = False
) -> Change:
    """Read the object and make it as desired: one request when it already is."""
    metadata = desired["metadata"]
    try:
        stored = connection.get(resource, metadata["name"], metadata.get("namespace"))
    except NotServed:
        if not check_mode:
            raise
        stored = None
    return write(connection, resource, desired, stored, check_mode=check_mode, force=force)


def write(
    connection: Connection,
    resource: Resource,
    desired: Object,
    stored: Object | None,
    *,
    check_mode: bool,
    force: bool = False,
) -> Change:
    """Make a stored object, known to the caller, as desired: no request when it already is."""
    desired = {"apiVersion": resource.api_version, "kind": resource.kind, **desired}
    if stored is not None:
        desired = keep_stored_spelling(desired, stored)
        if not differs(desired, stored) and not owns_unrequested(stored, desired):
            return Change(False, True, stored, {})
    try:
        after = _apply(connection, resource, desired, stored or {}, check_mode=check_mode, force=force)
    except ApiError as exc:
        # In check mode its namespace or CRD may be what an earlier task would have made.
        if not check_mode or isinstance(exc, ForeignAnswer) or exc.code != 404 or stored is not None:
            raise
        after = desired
    change = _change(stored, after)
    # Of a new object check mode may not learn the server's defaults, when its namespace is new as well: the diff is what was asked for.
    return change if stored is not None else change._replace(diff=diff_of(None, desired))


def _apply(
    connection: Connection, resource: Resource, desired: Object, stored: Object, *, check_mode: bool, force: bool
) -> Object:
    """Server-side apply, and a merge patch where an apply cannot take our fields away."""
    try:
        return connection.apply(resource, desired, dry_run=check_mode, force=force)
    except ApiError as exc:
        if exc.lost and not check_mode:
            found = connection.what_became(
                exc, resource, desired["metadata"]["name"], desired["metadata"].get("namespace")
            )
            if found is None or differs(desired, found) or owns_unrequested(found, desired):
                raise
            return found
        # Of a map that loses its last field, and that anybody asks for as {}, the API server makes null, and then refuses it.
        removal = relinquish_patch(stored, desired) if exc.code == 422 and "null" in str(exc) else {}
        if not removal:
            raise
    after = connection.apply(resource, keep_removed(removal, desired, stored), dry_run=check_mode, force=force)
    if check_mode:
        return without_removed(removal, after)
    return connection.merge(
        resource, desired["metadata"]["name"], desired["metadata"].get("namespace"), removal, dry_run=False
    )


def patch(connection: Connection, resource: Resource, stored: Object, values: Object, *, check_mode: bool) -> Change:
    """Set some fields of an object that is another's to declare, by a JSON merge patch: null removes a key."""
    metadata = stored["metadata"]
    return _change(
        stored, connection.merge(resource, metadata["name"], metadata.get("namespace"), values, dry_run=check_mode)
    )


def _change(stored: Object | None, after: Object) -> Change:
    changed = normalise(stored or {}) != normalise(after)
    return Change(changed, stored is not None, after, diff_of(stored, after) if changed else {})


def ensure_absent(
    connection: Connection, resource: Resource, name: str, namespace: str | None = None, *, check_mode: bool
) -> Change:
    """Ask for the deletion of an object; whether it is gone is for the waiter to say."""
    try:
        stored = connection.get(resource, name, namespace)
    except NotServed:
        stored = None
    if stored is None:
        return Change(False, False, {}, {})
    if not stored["metadata"].get("deletionTimestamp"):
        connection.delete(resource, name, namespace, dry_run=check_mode, uid=stored["metadata"]["uid"])
    return Change(True, True, {}, diff_of(stored, None))
