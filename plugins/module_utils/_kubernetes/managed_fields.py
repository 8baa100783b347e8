# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which field manager owns which field of a stored object. Pure rules."""

from __future__ import annotations

import json
import typing as t

from .client import FIELD_MANAGER
from .objects import Object


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


def keep_removed(removal: Object, desired: Object | None, stored: Object) -> Object:
    desired = desired or {}
    kept = {
        name: stored[name] if below is None else keep_removed(below, desired.get(name), stored[name])
        for name, below in removal.items()
    }
    return {**desired, **kept}


def without_removed(removal: Object, value: Object) -> Object:
    left = {name: item for name, item in value.items() if name not in removal or removal[name] is not None}
    return {name: without_removed(removal[name], item) if name in removal else item for name, item in left.items()}
