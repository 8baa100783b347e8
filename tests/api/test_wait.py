# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits with real watches: they end with the requested state, at the first failure, or at the timeout."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.wait import QUIET_SECONDS, StallProbe, wait_for

from tests.api.objects import SetStatus, body
from tests.wire import Wire


class SetPhase(Protocol):
    """Gives a volume a phase, now or after some seconds; creates it if it does not exist."""

    def __call__(self, name: str, phase: str, after: float = 0) -> None: ...


# A busy machine takes some seconds for what is done at once; a wait that misses it lasts until its timeout.
_AT_ONCE, _TIMEOUT = 20, 60
# Also on a busy machine, a change that follows after half a second comes within this grace period.
_GRACE = 8.0

BLANK = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
VERDICTS = {
    "Succeeded": Verdict(REACHED),
    "Failed": Verdict(FAILED, "broken"),
    "Paused": Verdict(FAILED, "may recover", grace=1.0),
    "Unknown": Verdict(FAILED, "may recover", grace=_GRACE),
}


@pytest.fixture
def set_phase(direct: Connection, namespace: str, set_status: SetStatus) -> Iterator[SetPhase]:
    timers: list[threading.Timer] = []

    def run(name: str, phase: str, after: float = 0) -> None:
        if direct.get(DATA_VOLUME, name, namespace) is None:
            direct.create(DATA_VOLUME, body(DATA_VOLUME, name, spec=BLANK), namespace, dry_run=False)
        if not after:
            set_status(namespace, name, phase)
            return
        timers.append(threading.Timer(after, set_status, (namespace, name, phase)))
        timers[-1].start()

    yield run
    for timer in timers:
        timer.cancel()
        timer.join()


def _judge(_name: str, stored: dict[str, Any] | None) -> Verdict:
    phase = ((stored or {}).get("status") or {}).get("phase", "")
    return VERDICTS.get(phase, Verdict(WAITING, phase or "nothing"))


def _wait(direct: Connection, namespace: str, names: list[str], seconds: float) -> tuple[dict[str, str], float]:
    """The state of each name, and the seconds that it took."""
    started = time.monotonic()
    outcomes = wait_for(direct, DATA_VOLUME, namespace, names, _judge, started + seconds)
    return {name: outcome.verdict.state for name, outcome in outcomes.items()}, time.monotonic() - started


def test_wait_for_a_reached_state_ends_at_once(direct: Connection, namespace: str, set_phase: SetPhase) -> None:
    set_phase("disk", "Succeeded")
    states, seconds = _wait(direct, namespace, ["disk"], _TIMEOUT)
    assert states == {"disk": REACHED} and seconds < _AT_ONCE


def test_change_ends_the_wait_at_once(direct: Connection, namespace: str, set_phase: SetPhase) -> None:
    set_phase("disk", "Pending")
    set_phase("disk", "Succeeded", after=1.0)
    states, seconds = _wait(direct, namespace, ["disk"], _TIMEOUT)
    assert states == {"disk": REACHED} and seconds < _AT_ONCE


def test_failure_of_one_volume_does_not_end_the_wait_for_others(
    direct: Connection, namespace: str, set_phase: SetPhase
) -> None:
    set_phase("bad", "Failed")
    set_phase("good", "Pending")
    set_phase("good", "Succeeded", after=1.0)
    states, _seconds = _wait(direct, namespace, ["bad", "good"], _TIMEOUT)
    assert states == {"bad": FAILED, "good": REACHED}


def test_failure_ends_the_wait_at_once(direct: Connection, namespace: str, set_phase: SetPhase) -> None:
    set_phase("disk", "Failed")
    states, seconds = _wait(direct, namespace, ["disk"], _TIMEOUT)
    assert states == {"disk": FAILED} and seconds < _AT_ONCE


def test_failure_with_a_grace_period_counts_when_it_lasts(
    direct: Connection, namespace: str, set_phase: SetPhase
) -> None:
    set_phase("disk", "Paused")
    states, seconds = _wait(direct, namespace, ["disk"], _TIMEOUT)
    assert states == {"disk": FAILED} and 1 <= seconds < _AT_ONCE


def test_failure_that_ends_within_its_grace_period_does_not_count(
    direct: Connection, namespace: str, set_phase: SetPhase
) -> None:
    set_phase("disk", "Unknown")
    set_phase("disk", "Succeeded", after=0.5)
    states, _seconds = _wait(direct, namespace, ["disk"], _TIMEOUT)
    assert states == {"disk": REACHED}


def test_wait_ends_at_the_timeout(direct: Connection, namespace: str, set_phase: SetPhase) -> None:
    set_phase("disk", "Pending")
    states, seconds = _wait(direct, namespace, ["disk"], 2)
    assert states == {"disk": WAITING} and 1.9 <= seconds < 2 + _AT_ONCE


def test_grace_period_starts_again_after_a_recovery(direct: Connection, namespace: str, set_phase: SetPhase) -> None:
    set_phase("disk", "Unknown")
    for phase, after in (("Pending", 0.5), ("Unknown", _GRACE + 3.5), ("Succeeded", _GRACE + 4)):
        set_phase("disk", phase, after=after)
    states, _seconds = _wait(direct, namespace, ["disk"], _TIMEOUT)
    assert states == {"disk": REACHED}


def test_failure_that_flickers_counts(direct: Connection, namespace: str, set_phase: SetPhase) -> None:
    for number in range(60):
        set_phase("disk", "Paused" if number % 2 else "Pending", after=0.3 * number + 0.01)
    states, seconds = _wait(direct, namespace, ["disk"], _TIMEOUT)
    assert states == {"disk": FAILED} and seconds < 0.3 * 60


@pytest.mark.parametrize(
    "faults",
    [
        [(0, {}, b"")] * 5,
        [(429, {"Retry-After": "1"}, b"{}")] * 3,
        [(503, {}, b"{}"), (500, {}, b"{}"), (0, {}, b"")],
    ],
    ids=["five cut connections", "too many requests", "a restart"],
)
def test_wait_survives_an_outage_of_some_seconds(
    wire: Wire,
    connection: Connection,
    namespace: str,
    set_phase: SetPhase,
    faults: list[tuple[int, dict[str, Any], bytes]],
) -> None:
    set_phase("disk", "Succeeded")
    wire.faults += faults
    states, seconds = _wait(connection, namespace, ["disk"], _TIMEOUT)
    assert states == {"disk": REACHED} and len(faults) <= seconds
    assert len(wire.requests) == len(faults) + 1


def test_outage_is_reported_at_the_timeout(namespace: str) -> None:
    unreachable = connect({"host": "http://127.0.0.1:9", "api_key": "token"})
    started = time.monotonic()
    with pytest.raises(ApiError, match="no answer from the Kubernetes API"):
        _wait(unreachable, namespace, ["disk"], 3)
    assert 2 <= time.monotonic() - started < 3 + _AT_ONCE


def test_silent_server_is_reported_at_the_timeout(namespace: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = connect({"host": f"http://127.0.0.1:{silent.getsockname()[1]}", "api_key": "token"})
        started = time.monotonic()
        with pytest.raises(ApiError, match="no answer from the Kubernetes API"):
            _wait(mute, namespace, ["disk"], 3)
        assert 3 <= time.monotonic() - started < 3 + _AT_ONCE


def test_missing_right_ends_the_wait_at_once(wire: Wire, namespace: str) -> None:
    started = time.monotonic()
    with pytest.raises(ApiError, match='grant the verb "list"'):
        _wait(connect({"host": wire.url, "api_key": "test-limited-token"}), namespace, ["disk"], _TIMEOUT)
    assert time.monotonic() - started < _AT_ONCE


def test_events_of_other_volumes_do_not_extend_the_timeout(
    direct: Connection, namespace: str, set_phase: SetPhase
) -> None:
    set_phase("disk", "Pending")
    for number in range(150):
        set_phase("other", f"Phase{number}", after=0.1 * number + 0.05)
    states, seconds = _wait(direct, namespace, ["disk", "another"], 2)
    assert states["disk"] == WAITING and 1.9 <= seconds < 0.1 * 150


Probed = tuple[StallProbe, list[list[str]]]


@pytest.fixture
def stall_probe() -> Probed:
    """A probe that finds each stalled volume broken, and the names of each probe."""
    probed: list[list[str]] = []

    def probe(quiet: dict[str, Any], seconds: float) -> dict[str, Verdict]:
        probed.append(sorted(quiet))
        return dict.fromkeys(quiet, Verdict(FAILED, "found by the probe", grace=0.5))

    return StallProbe(lambda stored: ((stored or {}).get("status") or {}).get("phase"), probe), probed


def test_stalled_volume_is_probed(direct: Connection, namespace: str, set_phase: SetPhase, stall_probe: Probed) -> None:
    probe, probed = stall_probe
    set_phase("stuck", "Pending")
    set_phase("quick", "Succeeded")
    started = time.monotonic()
    outcomes = wait_for(direct, DATA_VOLUME, namespace, ["stuck", "quick"], _judge, started + _TIMEOUT, probe)
    assert [outcomes[name].verdict.reason for name in ("stuck", "quick")] == ["found by the probe", ""]
    assert probed == [["stuck"]] and QUIET_SECONDS <= time.monotonic() - started < QUIET_SECONDS + _AT_ONCE


def test_changing_volume_takes_one_watch_and_no_probe(
    wire: Wire, connection: Connection, namespace: str, set_phase: SetPhase, stall_probe: Probed
) -> None:
    probe, probed = stall_probe
    set_phase("disk", "Pending")
    for number in range(3):
        set_phase("disk", f"Phase{number}", after=2.0 * (number + 1))
    set_phase("disk", "Succeeded", after=8)
    outcomes = wait_for(connection, DATA_VOLUME, namespace, ["disk"], _judge, time.monotonic() + _TIMEOUT, probe)
    assert outcomes["disk"].verdict.state == REACHED
    assert probed == [] and wire.count("GET", "watch=true") == 1
