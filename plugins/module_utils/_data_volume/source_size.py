# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of volumes that leave it to the images they are imported from. Pure rules."""

from __future__ import annotations

import typing as t

from .._storage.scratch import asked_size
from .reconcile import Item


def keep_stored_sizes(items: t.Iterable[Item]) -> None:
    """A volume whose size was left to its image has the size that it was created with."""
    for item in items:
        target = sizeless(item)
        if target is not None and item.stored is not None:
            target["size"] = asked_size(item.stored.get("spec") or {})
            item.volume["size_by_image"] = True


def http_source(item: Item) -> t.Mapping[str, t.Any] | None:
    return (item.volume["source"] or {}).get("http")


def sizeless(item: Item) -> dict[str, t.Any] | None:
    """The `storage` of a volume whose image is to tell the size."""
    target = item.volume["storage"] if item.present and http_source(item) else None
    return target if target and target["size"] is None else None
