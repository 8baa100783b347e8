# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a DataVolume clones, from its spec and the DataSource that it names. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object


def source_reference(
    spec: Object, namespace: str, data_sources: t.Mapping[tuple[str, str], Object]
) -> tuple[str, str, str] | None:
    """Kind (`pvc` or `snapshot`), namespace and name of what a DataVolume clones; None if it is not a clone, or its
    DataSource has no source yet."""
    source = spec.get("source") or {}
    reference = data_source_key(spec, namespace)
    if reference:
        stored = data_sources.get(reference, {})
        source = (stored.get("spec") or {}).get("source") or {}
        if "dataSource" in source:
            source = (stored.get("status") or {}).get("source") or {}
    for kind in ("pvc", "snapshot"):
        if source.get(kind):
            return kind, source[kind].get("namespace") or namespace, source[kind]["name"]
    return None


def data_source_key(spec: Object, namespace: str) -> tuple[str, str] | None:
    reference = spec.get("sourceRef")
    return (reference.get("namespace") or namespace, reference["name"]) if reference else None
