# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""require_clone_method of a clone whose source the same task makes, or an earlier one that check mode did not run."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import DATA_VOLUME

SOURCE: dict[str, Any] = {"name": "golden", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
CLONE: dict[str, Any] = {
    "name": "clone",
    "source": {"pvc": {"name": "golden"}},
    "storage": {"size": "1Gi"},
    "require_clone_method": ["snapshot"],
}


@pytest.mark.parametrize("volumes", [[CLONE, SOURCE], [CLONE]])
def test_check_mode_does_not_refuse_what_it_cannot_foretell(module, namespace, volumes) -> None:
    result = module("data_volume", namespace=namespace, data_volumes=volumes, check=True).result
    assert not result.get("failed"), result["msg"]
    foreseen = result["data_volumes"][0]["clone"]["foreseen"]
    assert (foreseen["method"], foreseen["reason"]) == (None, "CDI chooses the method when the source exists.")


def test_a_source_that_is_not_there_is_asked_for(module, connection, namespace) -> None:
    """Nor does a task that waits for nothing wait for a source."""
    result = module("data_volume", namespace=namespace, data_volumes=[CLONE, SOURCE], wait=False).result
    assert result["failed"]
    assert "has no clone method yet" in result["msg"]
    assert result["msg"].endswith("which does not exist; make the source by a task before.")
    assert [item["changed"] for item in result["data_volumes"]] == [False, True]
    assert connection.get(DATA_VOLUME, "clone", namespace) is None


def test_a_clone_is_not_made_when_the_source_of_its_task_failed(module, connection, namespace) -> None:
    result = module("data_volume", namespace=namespace, data_volumes=[CLONE, SOURCE], wait_timeout=1).result
    clone, source = result["data_volumes"]
    assert source["error"]
    assert clone["error"] == (
        f"DataVolume {namespace}/clone is not made, because its source in this task failed; mend that first."
    )
    assert connection.get(DATA_VOLUME, "clone", namespace) is None
