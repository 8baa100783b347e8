# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on an object that is waited for: all that pure rules need of the waiter."""

from __future__ import annotations

import typing as t

WAITING: t.Final = "waiting"
REACHED: t.Final = "reached"
FAILED: t.Final = "failed"


class Verdict(t.NamedTuple):
    """Whether an object is in the wanted state: `state` is WAITING, REACHED or FAILED, `reason` says why it is not.

    A failure that may heal by itself (a quota, an image pull) has a `grace`: the seconds that it must last to count.
    """

    state: str
    reason: str = ""
    grace: float = 0


Judge: t.TypeAlias = "t.Callable[[str, dict[str, t.Any] | None], Verdict]"
