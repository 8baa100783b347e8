# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every object of the Kubernetes API has: annotations, conditions, timestamps. Pure rules."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime

Object = dict[str, t.Any]
Objects = list[Object]
# Namespace and name of an object.
Key = tuple[str, str]

_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")


def key_of(stored: Object) -> Key:
    """The key of a namespaced object."""
    return stored["metadata"]["namespace"], stored["metadata"]["name"]


def conditions(stored: Object | None) -> dict[str, Object]:
    """The conditions of any object by their type."""
    status = (stored or {}).get("status") or {}
    return {condition["type"]: condition for condition in status.get("conditions") or []}


def timestamp(text: str | None) -> datetime | None:
    """A time in RFC 3339, with or without fractions of a second; None for no text. Raises ValueError for other text."""
    if not text:
        return None
    parts = _RFC_3339.fullmatch(text)
    if not parts:
        raise ValueError(f"{text!r} is not a time in RFC 3339")
    date, clock, fraction, offset = parts.groups()
    # Python 3.10 reads six digits of a second, or none, and no Z.
    return datetime.fromisoformat(f"{date}T{clock}.{fraction or '':0<6.6}{'+00:00' if offset in 'Zz' else offset}")


def annotations_of(stored: Object | None) -> dict[str, str]:
    return ((stored or {}).get("metadata") or {}).get("annotations") or {}
