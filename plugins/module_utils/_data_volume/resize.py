# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a claim records and requests of its size: CDI accepts no other size in a DataVolume, so its claim grows."""

from __future__ import annotations

from .._kubernetes.objects import Object, annotations_of
from .._kubernetes.quantity import whole_bytes

# On the claim: the size that its volume last grew to. It does not grow again when the overhead of file systems changes.
GROWN_TO = "kubevirt.cdi/grown-to"


def grown_to(claim: Object) -> int | None:
    """The size of the volume, in bytes, that a claim last grew to; None when it never grew."""
    try:
        return whole_bytes(annotations_of(claim)[GROWN_TO])
    except (KeyError, ValueError):
        return None


def requested_bytes(claim: Object) -> int:
    return whole_bytes(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", 0))
