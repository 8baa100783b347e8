# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which field manager owns which fields of a stored object. Pure rules."""

from __future__ import annotations

import json
import typing as t

from .objects import Object
from .resources import FIELD_MANAGER


def owns_unrequested(stored: Object, desired: Object) -> bool:
    """Whether we applied a field that is no longer requested, or requested to be empty. Only a write removes it."""
    return any(_has_unrequested(fields, desired, stored) for fields in managed(stored, ours=True))


def managed(stored: Object, *, ours: bool) -> list[Object]:
    """The fields of each entry in managedFields: with `ours` those that we applied, else all others."""
    return [
        entry.get("fieldsV1", {})
        for entry in stored.get("metadata", {}).get("managedFields", [])
        if ours
        is (
            entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")
        )
    ]


def owners_of(stored: Object | None, *path: str) -> list[str]:
    """The names of the other managers of a field."""
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


def _has_unrequested(fields: dict[str, t.Any], desired: t.Any, stored: t.Any) -> bool:
    for path, below in fields.items():
        kind, _colon, text = path.partition(":")
        if kind == "f":
            if not isinstance(desired, dict) or desired.get(text) is None:
                return True
            held = stored.get(text) if isinstance(stored, dict) else None
            if desired[text] == [] and held:
                return True
            if below and _has_unrequested(below, desired[text], held):
                return True
        elif kind == "k":
            keys = json.loads(text)
            matches = [
                item for item in desired or [] if all(item.get(key, value) == value for key, value in keys.items())
            ]
            if not matches or _has_unrequested(below, matches[0], None):
                return True
        elif kind == "v" and json.loads(text) not in (desired or []):
            return True
    return False
