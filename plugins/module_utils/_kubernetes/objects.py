# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every stored object of the Kubernetes API has: annotations, conditions, timestamps. Pure rules."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

Object = dict[str, t.Any]


def conditions(stored: Object | None) -> dict[str, Object]:
    """The conditions of any object by their type."""
    status = (stored or {}).get("status") or {}
    return {condition["type"]: condition for condition in status.get("conditions") or []}


def timestamp(text: str | None) -> datetime | None:
    """A point in time as Kubernetes writes it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc) if text else None


def annotations_of(stored: Object | None) -> dict[str, str]:
    return ((stored or {}).get("metadata") or {}).get("annotations") or {}
