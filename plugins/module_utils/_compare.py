# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Whether two objects mean the same. Pure rules."""

from __future__ import annotations

import typing as t

from ._public import SECRET_ANNOTATIONS
from ._quantity import parse

# A source without options is still a source.
_MEANINGFUL_WHEN_EMPTY = ("blank", "upload")
_SERVER_METADATA = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
QUANTITY_MAPS = ("limits", "requests")


def normalise(value: t.Any) -> t.Any:
    """An object's meaning: without what the server keeps for itself, without empty values, quantities by their value."""
    if not isinstance(value, dict):
        return [normalise(item) for item in value] if isinstance(value, list) else value
    meaning = {}
    for key, item in value.items():
        if key == "metadata" and isinstance(item, dict):
            item = {name: entry for name, entry in item.items() if name not in _SERVER_METADATA}
        if key in QUANTITY_MAPS and isinstance(item, dict):
            item = {name: _canonical(quantity) for name, quantity in item.items()}
        item = normalise(item)
        if key == "status" or key in SECRET_ANNOTATIONS or (item in (None, {}, []) and key not in _MEANINGFUL_WHEN_EMPTY):
            continue
        meaning[key] = item
    return meaning


def _canonical(quantity: t.Any) -> t.Any:
    try:
        return f"{parse(quantity).normalize():f}"
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
