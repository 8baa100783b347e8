# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of the full cluster, which the tests of the other files have used: nothing of it is left."""

from __future__ import annotations

from tests.cluster.runtime import commands
from tests.cluster.runtime.profile import PROFILES
from tests.cluster_tests.leftovers import Untouched, assert_nothing_left, firewall, node_directories

FULL = PROFILES["full"]


def test_down_removes_the_full_cluster_and_keeps_the_firewall(untouched: Untouched) -> None:
    commands.up(FULL)
    assert firewall() == untouched.firewall
    commands.down(FULL)
    assert_nothing_left(FULL)
    assert firewall() == untouched.firewall
    assert node_directories() <= untouched.node_directories
