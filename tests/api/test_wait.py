# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The waiter on real watches: it ends when the object has got there, fails early, and never waits too long."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import DATA_VOLUME
from ansible_collections.kubevirt.cdi.plugins.module_utils._wait import FAILED, REACHED, WAITING, Verdict, wait_for

BLANK = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
VERDICTS = {
    "Succeeded": Verdict(REACHED),
    "Failed": Verdict(FAILED, "broken"),
    "Paused": Verdict(FAILED, "may heal", grace=1.0),
}


@pytest.fixture
def direct() -> Connection:
    """Not through the counting proxy, which would hold a watch's answer back."""
    return connect({"kubeconfig": os.environ["KUBECONFIG"]})


@pytest.fixture
def set_phase(direct: Connection, namespace: str) -> Iterator[Callable[..., None]]:
    """Creates a volume, and gives volumes a phase as CDI's controller would, now or some seconds later."""
    timers: list[threading.Timer] = []

    def patch(name: str, phase: str) -> None:
        url = f"{os.environ['KUBEVIRT_CDI_TEST_SERVER']}{DATA_VOLUME.path(namespace, name)}/status"
        answer = direct.api_client.rest_client.pool_manager.request(
            "PATCH",
            url,
            body=json.dumps({"status": {"phase": phase}}),
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert answer.status == 200, answer.data

    def run(name: str, phase: str, after: float = 0) -> None:
        if direct.get(DATA_VOLUME, name, namespace) is None:
            body = {
                "apiVersion": "cdi.kubevirt.io/v1beta1",
                "kind": "DataVolume",
                "metadata": {"name": name},
                "spec": BLANK,
            }
            direct.create(DATA_VOLUME, body, namespace, dry_run=False)
        if not after:
            patch(name, phase)
            return
        timers.append(threading.Timer(after, patch, (name, phase)))
        timers[-1].start()

    yield run
    for timer in timers:
        timer.join()


def _judge(_name: str, stored: dict[str, Any] | None) -> Verdict:
    phase = ((stored or {}).get("status") or {}).get("phase", "")
    return VERDICTS.get(phase, Verdict(WAITING, phase or "nothing"))


def _wait(direct: Connection, namespace: str, names: list[str], seconds: float) -> tuple[dict[str, str], float]:
    """The state of each name, and the seconds that it took."""
    started = time.monotonic()
    outcomes = wait_for(direct, DATA_VOLUME, namespace, names, _judge, started + seconds)
    return {name: outcome.verdict.state for name, outcome in outcomes.items()}, time.monotonic() - started


def test_what_is_there_is_not_waited_for(direct, namespace, set_phase) -> None:
    set_phase("disk", "Succeeded")
    states, seconds = _wait(direct, namespace, ["disk"], 10)
    assert states == {"disk": REACHED} and seconds < 1


def test_a_change_ends_the_wait_at_once(direct, namespace, set_phase) -> None:
    set_phase("disk", "Pending")
    set_phase("disk", "Succeeded", after=1.0)
    states, seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": REACHED} and seconds < 3


def test_several_are_waited_for_together_and_a_failure_does_not_end_the_others(direct, namespace, set_phase) -> None:
    set_phase("bad", "Failed")
    set_phase("good", "Pending")
    set_phase("good", "Succeeded", after=1.0)
    states, _seconds = _wait(direct, namespace, ["bad", "good"], 20)
    assert states == {"bad": FAILED, "good": REACHED}


def test_a_failure_ends_the_wait_early(direct, namespace, set_phase) -> None:
    set_phase("disk", "Failed")
    states, seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": FAILED} and seconds < 1


def test_what_may_heal_counts_when_it_lasts(direct, namespace, set_phase) -> None:
    set_phase("disk", "Paused")
    states, seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": FAILED} and 1 <= seconds < 4


def test_what_heals_is_no_failure(direct, namespace, set_phase) -> None:
    set_phase("disk", "Paused")
    set_phase("disk", "Succeeded", after=0.5)
    states, _seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": REACHED}


def test_the_time_out_is_kept(direct, namespace, set_phase) -> None:
    set_phase("disk", "Pending")
    states, seconds = _wait(direct, namespace, ["disk"], 2)
    assert states == {"disk": WAITING} and 1.9 <= seconds < 3.1
