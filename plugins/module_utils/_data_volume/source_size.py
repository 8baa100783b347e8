# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of volumes that leave it to the images that they are imported from. Pure rules."""

from __future__ import annotations

import typing as t

from .._storage.scratch_need import asked_size
from .volume import Volume


def keep_stored_size(volume: Volume) -> Volume:
    """A volume whose size is left to its image has the size that it was created with."""
    stored = volume.data_volume
    if not is_sizeless(volume) or stored is None:
        return volume
    return with_size(volume, asked_size(stored.get("spec") or {}))._replace(sized_by_image=True)


def with_size(volume: Volume, size: str | None) -> Volume:
    storage = {**volume.options["storage"], "size": size}
    return volume._replace(options={**volume.options, "storage": storage})


def http_source(volume: Volume) -> t.Mapping[str, t.Any] | None:
    return (volume.options["source"] or {}).get("http")


def is_sizeless(volume: Volume) -> bool:
    """Whether the image has to give the size of the volume."""
    storage = volume.options["storage"] if volume.present and http_source(volume) else None
    return storage is not None and storage["size"] is None
