# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply that also removes the fields that we no longer request."""

from __future__ import annotations

import typing as t

from .client import Connection
from .compare import differs
from .errors import ApiError
from .managed_fields import managed, owns_unrequested
from .objects import Object
from .resources import Resource


def apply_object(
    connection: Connection, resource: Resource, desired: Object, stored: Object, *, check_mode: bool, force: bool
) -> Object:
    """Server-side apply, with a merge patch where an apply cannot remove our fields. `stored` is empty for a new object."""
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
        # A map that loses its last field, and that any manager requests as {}, becomes null, which the API server then rejects.
        removal = relinquish_patch(stored, desired) if exc.code == 422 and "null" in str(exc) else {}
        if not removal:
            raise
    after = connection.apply(resource, _keep_removed(removal, desired, stored), dry_run=check_mode, force=force)
    if check_mode:
        return _without_removed(removal, after)
    return connection.merge(
        resource, desired["metadata"]["name"], desired["metadata"].get("namespace"), removal, dry_run=False
    )


def relinquish_patch(stored: Object, desired: Object) -> Object:
    """A merge patch that removes the fields that we applied, no other manager owns, and are no longer requested. It removes no list items."""
    ours = managed(stored, ours=True)
    return _removal(ours[0], managed(stored, ours=False), desired, stored) if ours else {}


def _removal(fields: Object, others: list[Object], desired: t.Any, stored: t.Any) -> Object:
    removal: Object = {}
    for path, below in fields.items():
        kind, _colon, name = path.partition(":")
        if kind != "f" or name not in stored:
            continue
        asked = (desired or {}).get(name)
        held = [other[path] for other in others if path in other]
        if below:
            removal[name] = _removal(below, held, asked, stored[name])
        elif asked is None and not held:
            removal[name] = None
    return {name: item for name, item in removal.items() if item != {}}


def _keep_removed(removal: Object, desired: Object | None, stored: Object) -> Object:
    desired = desired or {}
    kept = {
        name: stored[name] if below is None else _keep_removed(below, desired.get(name), stored[name])
        for name, below in removal.items()
    }
    return {**desired, **kept}


def _without_removed(removal: Object, value: Object) -> Object:
    left = {name: item for name, item in value.items() if name not in removal or removal[name] is not None}
    return {name: _without_removed(removal[name], item) if name in removal else item for name, item in left.items()}
