# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of a known speed, by a clock that does not depend on the machine."""

from __future__ import annotations

import itertools

from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.pace import Pace

from tests.image_files import MIB

# In MiB/s. By the clock below, a sample of 64 KiB is compressed at 125 MiB/s.
SLOW, FAST = 11, 400


def pace_of(mib_per_second: float) -> Pace:
    """Of a network with this speed. What is compressed, a sample or a piece, takes 0.5 ms."""
    seconds = (number * 0.0005 for number in itertools.count())
    pace = Pace(lambda: next(seconds))
    pace.sent(MIB, 1 / mib_per_second)
    return pace
