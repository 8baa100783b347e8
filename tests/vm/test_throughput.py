# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the guest writes to its disk before and after the move to a preallocated volume."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from tests.vm.guest import Guest
from tests.vm.test_volume_migration import DATA, THICK, Ok, migrate, thin

__all__ = ["migrate"]
# The whole disk in pieces of 8 MiB.
PIECE_MIB, PIECES = 8, 8


def speed(guest: Guest, after: int = 0, passes: int = 1) -> tuple[float, int]:
    """The median of the next passes over the whole disk in MiB/s, and the number of lines up to their end."""
    end = after + passes * PIECES
    guest.until(lambda: len(guest.lines("speed")) >= end, f"has not written piece {end}")
    seconds = [line["hundredths"] / 100 for line in guest.lines("speed")[after:end]]
    return PIECE_MIB / statistics.median(seconds), end


def test_throughput_of_the_guest_is_measured_before_and_after_the_move(
    start: Callable[..., Guest], migrate: Ok, ok: Ok, namespace: str, record_property: Callable[[str, object], None]
) -> None:
    """F5. The first pass over a thin disk allocates its blocks. The figures are printed, and not compared."""
    thin(ok, namespace, annotations=THICK)
    guest = start("machine", [{**DATA, "serial": "SPEED1"}])
    first, end = speed(guest)
    second, _end = speed(guest, end, passes=2)
    assert migrate(to={"preallocation": True})["state"] == "finished"
    # The console of the new pod begins with the move.
    moved, _end = speed(guest, len(guest.lines("speed")), passes=2)
    figures = {"thin, first pass": first, "thin, later passes": second, "thick": moved}
    text = ", ".join(f"{name}: {figure:.0f} MiB/s ({figure / moved:.2f})" for name, figure in figures.items())
    record_property("throughput of the guest", text)
