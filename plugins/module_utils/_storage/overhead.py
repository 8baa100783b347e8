# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a Filesystem claim that CDI leaves to the file system: sizes in bytes, the overhead as a fraction.

Until 1.62 the overhead is a part of the claim, since 1.63 it is added to the disk (pkg/util/util.go and
pkg/controller/common/util.go, v1.61.1 and v1.65.0). A version of () is unknown, and taken as the newest.
"""

from __future__ import annotations

import math
import typing as t

from .._kubernetes.quantity import MIB

_ADDED = (1, 63)
_BEFORE = (1, 62)


class Overhead(t.NamedTuple):
    """What CDI of a release reserves for the file system: a share of the size, between 0 and 1."""

    share: float
    version: tuple[int, ...] = ()


NO_OVERHEAD = Overhead(0.0)


def required_space(size: int, overhead: float, version: tuple[int, ...]) -> int:
    """The size of the claim that a disk of this size requires, in bytes."""
    aligned = math.ceil(size / MIB) * MIB
    if version and version < _ADDED:
        return math.ceil(aligned / (1 - overhead))
    return math.ceil(aligned * (1 + overhead))


def usable_space(size: int, overhead: float, version: tuple[int, ...]) -> int:
    """The largest disk that fits into a claim of this size, in bytes."""
    usable = math.ceil((1 - overhead) * size if version and version < _ADDED else size / (1 + overhead))
    return usable // MIB * MIB


def enough_space(size: int, overhead: float, version: tuple[int, ...]) -> int:
    """The size of the claim to create for a disk of this size, in bytes. For an unknown release, it is enough for
    each."""
    return required_space(size, overhead, version or _BEFORE)
