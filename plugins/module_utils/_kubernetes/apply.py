# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes objects as desired.

`changed` comes from comparing objects, never from having sent a request. Check mode is the same code with dryRun=All.
"""

from __future__ import annotations

import typing as t

from .client import Connection
from .compare import diff_of, differs, keep_stored_spelling, normalise
from .errors import ApiError, ForeignAnswer, NotServed
from .managed_fields import owns_unrequested
from .objects import Object
from .resources import Resource


class Change(t.NamedTuple):
    """What one write did, or would do in check mode. `object` is empty after a deletion."""

    changed: bool
    existed: bool
    object: Object
    diff: dict[str, t.Any]


def ensure_present(
    connection: Connection, resource: Resource, desired: Object, *, check_mode: bool, force: bool = False
) -> Change:
    """Read an object and make it as desired. One request when it already is."""
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
    """Make an object, which the caller has read, as desired. No request when it already is."""
    desired = {"apiVersion": resource.api_version, "kind": resource.kind, **desired}
    if stored is not None:
        desired = keep_stored_spelling(desired, stored)
        if not differs(desired, stored) and not owns_unrequested(stored, desired):
            return Change(False, True, stored, {})
    from .server_side_apply import apply_object

    try:
        after = apply_object(connection, resource, desired, stored or {}, check_mode=check_mode, force=force)
    except ApiError as exc:
        # In check mode, an earlier task of the play may be the one that creates its namespace or CRD.
        if not check_mode or isinstance(exc, ForeignAnswer) or exc.code != 404 or stored is not None:
            raise
        after = desired
    change = _change(stored, after)
    # In check mode, the server's defaults for an object in a new namespace are unknown: the diff of a new object is what was requested.
    return change if stored is not None else change._replace(diff=diff_of(None, desired))


def patch(connection: Connection, resource: Resource, stored: Object, values: Object, *, check_mode: bool) -> Change:
    """Set some fields of an object that another client declares, by a JSON merge patch: null removes a key."""
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
    """Send the deletion of an object. `wait_gone` waits until it no longer exists."""
    try:
        stored = connection.get(resource, name, namespace)
    except NotServed:
        stored = None
    if stored is None:
        return Change(False, False, {}, {})
    if not stored["metadata"].get("deletionTimestamp"):
        connection.delete(resource, name, namespace, dry_run=check_mode, uid=stored["metadata"]["uid"])
    return Change(True, True, {}, diff_of(stored, None))
