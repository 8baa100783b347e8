# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired against stored, as plain data: what differs, and how the difference is shown. Pure rules."""

from __future__ import annotations

import typing as t

from .objects import Object
from .public import SECRET_ANNOTATIONS, without_secrets
from .quantity import parse, short, whole_bytes

# A source without options is still a source.
_MEANINGFUL_WHEN_EMPTY = ("blank", "upload")
_SERVER_METADATA = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_QUANTITY_MAPS = ("limits", "requests")
_SIZES = ("memory", "ephemeral-storage")


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
        return [keep_stored_spelling(*pair) for pair in zip(desired, stored, strict=True)]
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
        return len(desired) != len(stored) or any(_differs(*pair) for pair in zip(desired, stored, strict=True))
    if isinstance(desired, bool) or isinstance(stored, bool):
        return desired is not stored
    return bool(desired != stored)


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
