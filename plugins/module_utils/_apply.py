# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Desired against stored, and the only place that writes objects.

`changed` comes from comparing objects, never from having sent something. Check mode is the same code with dryRun=All.
"""

from __future__ import annotations

import json
import typing as t

from ._connection import FIELD_MANAGER, Connection, Object
from ._errors import ApiError, ForeignAnswer, NotServed
from ._public import SECRET_ANNOTATIONS, without_secrets
from ._quantity import parse, short, whole_bytes
from ._resources import Resource

# A source without options is still a source.
_MEANINGFUL_WHEN_EMPTY = ("blank", "upload")
_SERVER_METADATA = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_QUANTITY_MAPS = ("limits", "requests")
_SIZES = ("memory", "ephemeral-storage")


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
    after = connection.apply(resource, _still_with(removal, desired, stored), dry_run=check_mode, force=force)
    if check_mode:
        return _without(removal, after)
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


def for_result(stored: Object | None) -> Object:
    """An object as results return it: without the bookkeeping of field managers, and without secrets."""
    if not stored:
        return {}
    return t.cast(
        Object,
        without_secrets(
            {**stored, "metadata": {key: value for key, value in stored["metadata"].items() if key != "managedFields"}}
        ),
    )


def keep_stored_spelling(desired: t.Any, stored: t.Any) -> t.Any:
    """What is desired, in the words of what is stored where both mean the same.

    CDI writes a quantity again in its own way and so takes the field over: another spelling of it would be a conflict.
    """
    if isinstance(desired, list) and isinstance(stored, list) and len(desired) == len(stored):
        return [keep_stored_spelling(*pair) for pair in zip(desired, stored)]
    if not isinstance(desired, dict) or not isinstance(stored, dict):
        return desired
    words = {key: keep_stored_spelling(item, stored[key]) if key in stored else item for key, item in desired.items()}
    for key in _QUANTITY_MAPS:
        quantities = words.get(key)
        if isinstance(quantities, dict) and isinstance(stored.get(key), dict):
            held = stored[key]
            words[key] = {
                name: held[name] if name in held and _canonical(name, value) == _canonical(name, held[name]) else value
                for name, value in quantities.items()
            }
    return words


def normalise(value: t.Any) -> t.Any:
    """An object's meaning: without what the server keeps for itself, without empty values, quantities by their value."""
    if not isinstance(value, dict):
        return [normalise(item) for item in value] if isinstance(value, list) else value
    meaning = {}
    for key, item in value.items():
        if key == "metadata" and isinstance(item, dict):
            item = {name: entry for name, entry in item.items() if name not in _SERVER_METADATA}
        if key in _QUANTITY_MAPS and isinstance(item, dict):
            item = {name: _canonical(name, quantity) for name, quantity in item.items()}
        item = normalise(item)
        if (
            key == "status"
            or key in SECRET_ANNOTATIONS
            or (item in (None, {}, []) and key not in _MEANINGFUL_WHEN_EMPTY)
        ):
            continue
        meaning[key] = item
    return meaning


def _canonical(name: str, quantity: t.Any) -> t.Any:
    """One spelling for each value: of sizes as one writes them, because diffs show it."""
    try:
        if name == "storage":
            return short(whole_bytes(quantity))
        return short(parse(quantity)) if name in _SIZES else f"{parse(quantity).normalize():f}"
    except ValueError:
        return quantity


def differs(desired: t.Any, stored: t.Any) -> bool:
    """Whether any key that is asked for is stored with another meaning; what else is stored does not count."""
    return _differs(normalise(desired), normalise(stored))


def _differs(desired: t.Any, stored: t.Any) -> bool:
    if isinstance(desired, dict) and isinstance(stored, dict):
        return any(key not in stored or _differs(item, stored[key]) for key, item in desired.items())
    if isinstance(desired, list) and isinstance(stored, list):
        return len(desired) != len(stored) or any(_differs(*pair) for pair in zip(desired, stored))
    if isinstance(desired, bool) or isinstance(stored, bool):
        return desired is not stored
    return bool(desired != stored)


def owns_unrequested(stored: Object, desired: Object) -> bool:
    """Whether we applied a field earlier that is no longer asked for, or asked to be empty: only a write takes it away."""
    return any(_has_unasked(fields, desired, stored) for fields in _managed(stored, ours=True))


def _managed(stored: Object, *, ours: bool) -> list[Object]:
    """The fields of each manager's entry: those that we applied, or all others."""
    return [
        entry.get("fieldsV1", {})
        for entry in stored.get("metadata", {}).get("managedFields", [])
        if ours
        is (
            entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")
        )
    ]


def owners_of(stored: Object | None, *path: str) -> list[str]:
    """The other managers that hold a field, by their names."""
    owners = set()
    for entry in (stored or {}).get("metadata", {}).get("managedFields", []):
        fields = entry.get("fieldsV1", {})
        for name in path:
            fields = fields.get(f"f:{name}")
            if fields is None:
                break
        else:
            if entry.get("manager") != FIELD_MANAGER:
                owners.add(entry["manager"])
    return sorted(owners)


def _has_unasked(fields: dict[str, t.Any], desired: t.Any, stored: t.Any) -> bool:
    for path, below in fields.items():
        kind, _colon, text = path.partition(":")
        if kind == "f":
            if not isinstance(desired, dict) or desired.get(text) is None:
                return True
            held = stored.get(text) if isinstance(stored, dict) else None
            if desired[text] == [] and held:
                return True
            if below and _has_unasked(below, desired[text], held):
                return True
        elif kind == "k":
            keys = json.loads(text)
            matches = [
                item for item in desired or [] if all(item.get(key, value) == value for key, value in keys.items())
            ]
            if not matches or _has_unasked(below, matches[0], None):
                return True
        elif kind == "v" and json.loads(text) not in (desired or []):
            return True
    return False


def relinquish_patch(stored: Object, desired: Object) -> Object:
    """A merge patch that removes what we applied, nobody else holds, and is no longer asked for; out of a list it takes nothing."""
    ours = _managed(stored, ours=True)
    return _removal(ours[0], _managed(stored, ours=False), desired, stored) if ours else {}


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


def _still_with(removal: Object, desired: Object | None, stored: Object) -> Object:
    desired = desired or {}
    kept = {
        name: stored[name] if below is None else _still_with(below, desired.get(name), stored[name])
        for name, below in removal.items()
    }
    return {**desired, **kept}


def _without(removal: Object, value: Object) -> Object:
    left = {name: item for name, item in value.items() if name not in removal or removal[name] is not None}
    return {name: _without(removal[name], item) if name in removal else item for name, item in left.items()}


def diff_of(before: Object | None, after: Object | None) -> dict[str, t.Any]:
    """What Ansible shows in diff mode of a change from one object to another; None is no object."""
    old, new = normalise(before or {}), normalise(after or {})
    return difference(without_secrets(old), without_secrets(new, old))


def difference(before: t.Any, after: t.Any) -> dict[str, t.Any]:
    """Both sides of a diff, reduced to the keys that are not the same."""
    if not isinstance(before, dict) or not isinstance(after, dict) or not before or not after:
        return {"before": before, "after": after}
    sides: dict[str, t.Any] = {"before": {}, "after": {}}
    for key in sorted({*before, *after}):
        if key not in before:
            sides["after"][key] = after[key]
        elif key not in after:
            sides["before"][key] = before[key]
        elif before[key] != after[key]:
            below = difference(before[key], after[key])
            sides["before"][key], sides["after"][key] = below["before"], below["after"]
    return sides
