# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which volume a volume has replaced: what module volume_migration writes is what data_volume_info reads."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.moved import moved_from
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.goal import LIVE, OFFLINE, Goal, target_options
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.scratch import Settings

from tests.unit.plugins._migration.moves import claim


@pytest.mark.parametrize("method", [LIVE, OFFLINE])
def test_target_of_several_moves_names_the_first_volume(method: str) -> None:
    first = claim("web-root")
    goal = Goal(preallocation=True)
    made = target_options(goal, first, None, method, Settings({}))
    again = target_options(goal, claim("second", annotations=made["annotations"]), None, method, Settings({}))
    for options in (made, again):
        target: dict[str, Any] = {"metadata": {"name": "target", "annotations": options["annotations"]}}
        # CDI copies the annotations of a DataVolume to its claim.
        assert moved_from(target, None) == moved_from(None, target) == "web-root"


def test_volume_that_was_not_moved_has_replaced_none() -> None:
    assert moved_from(None, None) is None
    assert moved_from({"metadata": {"name": "a"}}, claim()) is None
