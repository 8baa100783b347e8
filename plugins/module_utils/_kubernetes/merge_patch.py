# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON merge patches (RFC 7396), as plain data: null asks for a key to be absent."""

from __future__ import annotations

import typing as t

from .compare import differs
from .quantity import equal


def changes_nothing(patch: t.Any, stored: t.Any) -> bool:
    """Whether an object already means what a merge patch asks for."""
    if isinstance(patch, dict):
        return all(changes_nothing(value, (stored or {}).get(key)) for key, value in patch.items())
    if patch in (None, []):
        return stored in (None, [], "", {})
    return stored is not None and (equal(patch, stored) or not differs({"value": patch}, {"value": stored}))


def merged(stored: t.Any, patch: t.Any) -> t.Any:
    """What a merge patch makes of an object."""
    if not isinstance(patch, dict):
        return patch
    result = dict(stored) if isinstance(stored, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
