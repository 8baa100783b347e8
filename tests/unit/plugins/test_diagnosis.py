# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a DataVolume has got to, and what is said of one that gets no further."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils import _diagnosis as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume_options import VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._wait import FAILED, REACHED, WAITING


def _volume(**options: Any) -> dict[str, Any]:
    defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
    return {
        **defaults,
        "name": "disk",
        "namespace": "demo",
        "source": {"blank": {}},
        "storage": {"size": "1Gi"},
        **options,
    }


def _stored(phase: str, restarts: int = 0, **conditions: dict[str, str]) -> dict[str, Any]:
    listed = [{"type": kind, "status": "False", **condition} for kind, condition in conditions.items()]
    return {"metadata": {"name": "disk"}, "status": {"phase": phase, "restartCount": restarts, "conditions": listed}}


@pytest.mark.parametrize(
    ("options", "stored", "state"),
    [
        ({}, _stored("Succeeded"), REACHED),
        ({}, _stored("ImportInProgress"), WAITING),
        ({}, _stored(""), WAITING),
        ({}, None, FAILED),
        ({}, _stored("Failed"), FAILED),
        ({}, _stored("PendingPopulation"), REACHED),
        ({}, _stored("WaitForFirstConsumer"), REACHED),
        ({"binding": "immediate"}, _stored("PendingPopulation"), WAITING),
        ({"source": {"upload": {}}}, _stored("UploadReady"), REACHED),
        ({"source": {"upload": {}}, "wait_for": "succeeded"}, _stored("UploadReady"), WAITING),
        ({"wait_for": "bound"}, _stored("ImportInProgress", Bound={"status": "True"}), REACHED),
        ({}, _stored("Pending", Bound={"reason": "ErrClaimNotValid"}), FAILED),
        ({}, _stored("ImportScheduled", Running={"reason": "ContainerCreating"}), WAITING),
        ({}, _stored("ImportScheduled", Running={"reason": "Scratch space required"}), WAITING),
    ],
)
def test_where_a_volume_has_got_to(options: dict[str, Any], stored: Any, state: str) -> None:
    assert rules.judge(_volume(**options), stored).state == state


def test_what_cannot_heal_fails_at_once_with_its_remedy() -> None:
    message = "Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"
    verdict = rules.judge(_volume(), _stored("ImportInProgress", Running={"reason": "Error", "message": message}))
    assert (verdict.state, verdict.grace) == (FAILED, 0) and verdict.reason.endswith("; correct the URL")


def test_a_worker_that_fails_may_be_started_again() -> None:
    running = {"reason": "Error", "message": "expected status code 200, got 503"}
    assert rules.judge(_volume(), _stored("ImportInProgress", 2, Running=running)).state == WAITING
    verdict = rules.judge(_volume(), _stored("ImportInProgress", 3, Running=running))
    assert (verdict.state, verdict.grace) == (FAILED, 0) and "after 3 restarts" in verdict.reason


def test_a_failure_without_a_condition_says_so() -> None:
    assert rules.judge(_volume(), _stored("Failed")).reason == "phase Failed, no reason: no message"


def test_what_may_heal_has_to_last() -> None:
    pull = {"reason": "ImagePullBackOff", "message": "not found"}
    assert rules.judge(_volume(), _stored("ImportScheduled", Running=pull)).grace > 0
    quota = rules.judge(
        _volume(), _stored("Pending", Bound={"reason": "ErrExceededQuota", "message": "exceeded quota"})
    )
    assert quota.grace > 0 and "raise the namespace's quota" in quota.reason


def test_warnings_are_those_of_the_volume_and_its_helpers() -> None:
    def event(name: str, message: str, kind: str = "Warning", time: str = "1") -> dict[str, Any]:
        return {
            "type": kind,
            "reason": "R",
            "message": message,
            "involvedObject": {"name": name},
            "lastTimestamp": time,
        }

    events = [
        event("disk", "b", time="2"),
        event("disk", "a"),
        event("prime-uid", "c", time="3"),
        event("other", "d"),
        event("disk", "e", "Normal"),
    ]
    assert rules.warnings_about(events, "disk", "uid") == ["R: a", "R: b", "R: c"]
    assert rules.warnings_about([event("x", "y")], "disk", None) == []
