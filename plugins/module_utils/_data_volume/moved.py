# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volume a volume has replaced, as module volume_migration notes it. Pure rules."""

from __future__ import annotations

from .._kubernetes.objects import Object, annotations_of

# On a target and its claim: the name of the first claim of a chain of moves. All its targets are named after it.
MOVED_FROM_FIRST = "kubevirt.cdi/moved-from-first"


def moved_from(volume: Object | None, claim: Object | None) -> str | None:
    """The name of the volume that was moved to this one, of the first of several moves; None for a volume that was
    not moved."""
    return annotations_of(claim).get(MOVED_FROM_FIRST) or annotations_of(volume).get(MOVED_FROM_FIRST)
