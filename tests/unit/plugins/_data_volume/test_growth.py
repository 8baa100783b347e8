# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a volume may grow, and when its growth has ended."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import growth
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.resize import (
    GROWN_TO,
    grown_to,
    requested_bytes,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING

GIB = 1 << 30


def _claim(
    request: str = "2Gi", capacity: str | None = "2Gi", grown_to: str | None = None, **status: Any
) -> dict[str, Any]:
    annotations = {GROWN_TO: grown_to} if grown_to else {}
    size = {"capacity": {"storage": capacity}} if capacity else {}
    return {
        "metadata": {"annotations": annotations},
        "spec": {"resources": {"requests": {"storage": request}}},
        "status": {"phase": "Bound", **size, **status},
    }


def _volume(phase: str = "Succeeded") -> dict[str, Any]:
    return {"metadata": {"name": "disk", "namespace": "demo"}, "status": {"phase": phase}}


def _condition(kind: str, message: str = "", status: str = "True") -> list[dict[str, str]]:
    return [{"type": kind, "status": status, "message": message}]


@pytest.mark.parametrize(
    ("claim", "state"),
    [
        (None, FAILED),
        (_claim(), REACHED),
        (_claim(capacity="3Gi"), REACHED),
        (_claim(capacity="1Gi"), WAITING),
        (_claim(capacity=None), WAITING),
        (_claim(capacity="1Gi", conditions=_condition("FileSystemResizePending")), REACHED),
        (_claim(capacity="1Gi", conditions=_condition("FileSystemResizePending", status="False")), WAITING),
        (_claim(capacity="1Gi", conditions=_condition("ControllerResizeError", "no space")), WAITING),
        (_claim(capacity="1Gi", allocatedResourceStatuses={"storage": "ControllerResizeInfeasible"}), FAILED),
        (_claim(capacity="1Gi", allocatedResourceStatuses={"storage": "ControllerResizeInProgress"}), WAITING),
        # The condition may be that of an earlier growth.
        (
            _claim(
                capacity="1Gi", allocatedResources={"storage": "2Gi"}, conditions=_condition("FileSystemResizePending")
            ),
            REACHED,
        ),
        (
            _claim(
                capacity="1Gi",
                allocatedResources={"storage": "1.5Gi"},
                conditions=_condition("FileSystemResizePending"),
            ),
            FAILED,
        ),
        (
            _claim(
                "10Ti", "1Gi", allocatedResources={"storage": "2Gi"}, conditions=_condition("FileSystemResizePending")
            ),
            FAILED,
        ),
        (
            _claim(
                "10Ti",
                "1Gi",
                allocatedResources={"storage": "2Gi"},
                conditions=[*_condition("FileSystemResizePending"), *_condition("ControllerResizeError")],
            ),
            WAITING,
        ),
        (_claim("0.3Gi", "322122547"), WAITING),
        (_claim("0.3Gi", "322122548"), REACHED),
        (_claim("322122548", "0.3Gi"), REACHED),
    ],
)
def test_growth_is_judged_by_capacity_and_conditions(claim: Any, state: str) -> None:
    assert growth.judge_growth(claim).state == state


def test_verdict_names_why_a_claim_does_not_grow() -> None:
    waiting = growth.judge_growth(_claim(capacity="1Gi", conditions=_condition("ControllerResizeError", "no space")))
    assert (
        waiting.reason
        == "its claim has 1Gi and requests 2Gi, with the overhead of the file system, ControllerResizeError: no space"
    )
    infeasible = {"storage": "NodeResizeInfeasible"}
    conditions = _condition("NodeResizeError", "read-only")
    failed = growth.judge_growth(_claim(capacity="1Gi", allocatedResourceStatuses=infeasible, conditions=conditions))
    assert failed.reason == "the storage cannot grow it (NodeResizeInfeasible): read-only"


def test_growth_after_one_that_waits_for_a_pod_fails_with_a_remedy() -> None:
    claim = _claim(
        "10Ti", "1Gi", allocatedResources={"storage": "2Gi"}, conditions=_condition("FileSystemResizePending")
    )
    verdict = growth.judge_growth(claim)
    assert verdict.grace and verdict.reason.startswith("its claim has 1Gi and requests 10Ti")
    assert verdict.reason.endswith(
        "its file system grows to 2Gi when a pod uses it: start a pod, then run the task again"
    )


def test_failure_of_an_earlier_growth_has_a_grace_period() -> None:
    infeasible: dict[str, Any] = {"allocatedResourceStatuses": {"storage": "ControllerResizeInfeasible"}}
    assert growth.judge_growth(_claim("2Gi", "1Gi", allocatedResources={"storage": "2Gi"}, **infeasible)).grace == 0
    assert growth.judge_growth(_claim("2Gi", "1Gi", allocatedResources={"storage": "8Ti"}, **infeasible)).grace > 0


def test_filled_volume_may_grow() -> None:
    growth.refuse_growth(_volume(), _claim(), 3 * GIB)
    growth.refuse_growth(_volume("ImportInProgress"), _claim(grown_to="3Gi"), 3 * GIB)


@pytest.mark.parametrize(
    ("volume", "claim"),
    [(_volume("ImportInProgress"), _claim()), (_volume(), _claim(phase="Pending")), (_volume("Pending"), None)],
)
def test_unfilled_volume_may_not_grow(volume: dict[str, Any], claim: Any) -> None:
    with pytest.raises(CdiError, match=r"DataVolume demo/disk cannot grow to 3Gi in phase .*; wait until it is filled"):
        growth.refuse_growth(volume, claim, 3 * GIB)


def test_grown_volume_does_not_shrink() -> None:
    with pytest.raises(CdiError, match="has grown to 4Gi and cannot shrink to 3Gi; request at least 4Gi"):
        growth.refuse_growth(_volume(), _claim(grown_to="4Gi"), 3 * GIB)


def test_invalid_record_of_growth_is_ignored() -> None:
    assert grown_to(_claim(grown_to="much")) is None
    assert grown_to(_claim(grown_to="0.3Gi")) == 322122548
    assert requested_bytes({"spec": {}}) == 0
