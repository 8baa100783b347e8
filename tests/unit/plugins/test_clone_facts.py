# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner is told of a DataVolume."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils._clone import METHOD
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone_facts import Cluster, target

KNOWN = Cluster({}, None, None, None, (), (1, 65, 0), True)


def written_by(manager: str) -> list[dict[str, Any]]:
    return [{"manager": manager, "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{METHOD}": {}}}}}]


@pytest.mark.parametrize(
    ("managers", "forced"),
    [
        (None, "copy"),
        (written_by("kubevirt.cdi"), "copy"),
        (written_by("cdi-controller"), None),
    ],
)
def test_a_method_that_cdi_recorded_is_not_one_that_somebody_asked_for(managers: Any, forced: str | None) -> None:
    metadata = {"name": "vm-1", "namespace": "images", "annotations": {METHOD: "copy"}}
    if managers is not None:
        metadata["managedFields"] = managers
    volume = {"metadata": metadata, "spec": {"source": {"pvc": {"name": "golden"}}, "storage": {}}}
    assert target(volume, KNOWN).forced == forced
