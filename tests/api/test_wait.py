# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The waiter on real watches: it ends when the object has got there, fails early, and never waits too long."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING, Verdict
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.wait import QUIET_SECONDS, StallProbe, wait_for

from tests.wire import Wire

BLANK = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
VERDICTS = {
    "Succeeded": Verdict(REACHED),
    "Failed": Verdict(FAILED, "broken"),
    "Paused": Verdict(FAILED, "may heal", grace=1.0),
}


@pytest.fixture
def set_phase(direct: Connection, namespace: str) -> Iterator[Callable[..., None]]:
    """Creates a volume, and gives volumes a phase as CDI's controller would, now or some seconds later."""
    timers: list[threading.Timer] = []

    def patch(name: str, phase: str) -> None:
        answer = direct.transport.request(
            "PATCH",
            f"{DATA_VOLUME.path(namespace, name)}/status",
            {"Content-Type": "application/merge-patch+json"},
            body=json.dumps({"status": {"phase": phase}}),
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


def test_what_is_there_is_not_waited_for(direct: Connection, namespace: str, set_phase: Callable[..., None]) -> None:
    set_phase("disk", "Succeeded")
    states, seconds = _wait(direct, namespace, ["disk"], 10)
    assert states == {"disk": REACHED} and seconds < 1


def test_a_change_ends_the_wait_at_once(direct: Connection, namespace: str, set_phase: Callable[..., None]) -> None:
    set_phase("disk", "Pending")
    set_phase("disk", "Succeeded", after=1.0)
    states, seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": REACHED} and seconds < 3


def test_several_are_waited_for_together_and_a_failure_does_not_end_the_others(
    direct: Connection, namespace: str, set_phase: Callable[..., None]
) -> None:
    set_phase("bad", "Failed")
    set_phase("good", "Pending")
    set_phase("good", "Succeeded", after=1.0)
    states, _seconds = _wait(direct, namespace, ["bad", "good"], 20)
    assert states == {"bad": FAILED, "good": REACHED}


def test_a_failure_ends_the_wait_early(direct: Connection, namespace: str, set_phase: Callable[..., None]) -> None:
    set_phase("disk", "Failed")
    states, seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": FAILED} and seconds < 1


def test_what_may_heal_counts_when_it_lasts(direct: Connection, namespace: str, set_phase: Callable[..., None]) -> None:
    set_phase("disk", "Paused")
    states, seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": FAILED} and 1 <= seconds < 4


def test_what_heals_is_no_failure(direct: Connection, namespace: str, set_phase: Callable[..., None]) -> None:
    set_phase("disk", "Paused")
    set_phase("disk", "Succeeded", after=0.5)
    states, _seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": REACHED}


def test_the_time_out_is_kept(direct: Connection, namespace: str, set_phase: Callable[..., None]) -> None:
    set_phase("disk", "Pending")
    states, seconds = _wait(direct, namespace, ["disk"], 2)
    assert states == {"disk": WAITING} and 1.9 <= seconds < 3.1


def test_an_ailment_that_was_overcome_is_forgotten(
    direct: Connection, namespace: str, set_phase: Callable[..., None]
) -> None:
    set_phase("disk", "Paused")
    for phase, after in (("Pending", 0.4), ("Paused", 2.4), ("Succeeded", 2.9)):
        set_phase("disk", phase, after=after)
    states, _seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": REACHED}


def test_an_ailment_that_flickers_lasts(direct: Connection, namespace: str, set_phase: Callable[..., None]) -> None:
    for number in range(12):
        set_phase("disk", "Paused" if number % 2 else "Pending", after=0.3 * number + 0.01)
    states, seconds = _wait(direct, namespace, ["disk"], 20)
    assert states == {"disk": FAILED} and seconds < 3.5


@pytest.mark.parametrize(
    "faults",
    [
        [(0, {}, b"")] * 5,
        [(429, {"Retry-After": "1"}, b"{}")] * 3,
        [(503, {}, b"{}"), (500, {}, b"{}"), (0, {}, b"")],
    ],
    ids=["five cut connections", "too many requests", "a restart"],
)
def test_an_api_server_that_is_away_for_some_seconds_is_waited_for(
    wire: Wire,
    connection: Connection,
    namespace: str,
    set_phase: Callable[..., None],
    faults: list[tuple[int, dict[str, Any], bytes]],
) -> None:
    set_phase("disk", "Succeeded")
    wire.faults += faults
    states, seconds = _wait(connection, namespace, ["disk"], 20)
    assert states == {"disk": REACHED} and len(faults) <= seconds < len(faults) + 4
    assert len(wire.requests) == len(faults) + 1


def test_an_api_server_that_stays_away_is_told_at_the_time_out(namespace: str) -> None:
    nobody = connect({"host": "http://127.0.0.1:9", "api_key": "token"})
    started = time.monotonic()
    with pytest.raises(ApiError, match="no answer from the Kubernetes API"):
        _wait(nobody, namespace, ["disk"], 3)
    assert 2 <= time.monotonic() - started <= 4


def test_an_api_server_that_never_answers_is_told_at_the_time_out(namespace: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = connect({"host": f"http://127.0.0.1:{silent.getsockname()[1]}", "api_key": "token"})
        started = time.monotonic()
        with pytest.raises(ApiError, match="no answer from the Kubernetes API"):
            _wait(mute, namespace, ["disk"], 3)
        assert 3 <= time.monotonic() - started <= 4


def test_a_refusal_is_not_waited_for(wire: Wire, namespace: str) -> None:
    started = time.monotonic()
    with pytest.raises(ApiError, match='grant the verb "list"'):
        _wait(connect({"host": wire.url, "api_key": "test-limited-token"}), namespace, ["disk"], 20)
    assert time.monotonic() - started < 2


def test_the_time_out_is_kept_however_much_happens(
    direct: Connection, namespace: str, set_phase: Callable[..., None]
) -> None:
    set_phase("disk", "Pending")
    for number in range(40):
        set_phase("other", f"Phase{number}", after=0.1 * number + 0.05)
    states, seconds = _wait(direct, namespace, ["disk", "another"], 2)
    assert states["disk"] == WAITING and 1.9 <= seconds < 3


@pytest.fixture
def looks(direct: Connection, monkeypatch: pytest.MonkeyPatch) -> tuple[StallProbe, list[list[str]], list[str]]:
    """A way to look closely, which finds everything broken; who was looked at; and the watches that were opened."""
    looked: list[list[str]] = []
    watches: list[str] = []

    def probe(quiet: dict[str, Any], seconds: float) -> dict[str, Verdict]:
        looked.append(sorted(quiet))
        return dict.fromkeys(quiet, Verdict(FAILED, "seen from near", grace=0.5))

    def watch(*arguments: Any, **options: Any) -> Any:
        watches.append(arguments[2])
        return opened(*arguments, **options)

    opened = direct.watch
    monkeypatch.setattr(direct, "watch", watch)
    return StallProbe(lambda stored: ((stored or {}).get("status") or {}).get("phase"), probe), looked, watches


def test_what_does_not_move_is_looked_at_closely(
    direct: Connection,
    namespace: str,
    set_phase: Callable[..., None],
    looks: tuple[StallProbe, list[list[str]], list[str]],
) -> None:
    probe, looked, _watches = looks
    set_phase("stuck", "Pending")
    set_phase("quick", "Succeeded")
    started = time.monotonic()
    outcomes = wait_for(direct, DATA_VOLUME, namespace, ["stuck", "quick"], _judge, started + 30, probe)
    assert [outcomes[name].verdict.reason for name in ("stuck", "quick")] == ["seen from near", ""]
    assert looked == [["stuck"]] and QUIET_SECONDS <= time.monotonic() - started < QUIET_SECONDS + 3


def test_what_moves_costs_one_watch_and_no_look(
    direct: Connection,
    namespace: str,
    set_phase: Callable[..., None],
    looks: tuple[StallProbe, list[list[str]], list[str]],
) -> None:
    probe, looked, watches = looks
    set_phase("disk", "Pending")
    for number in range(3):
        set_phase("disk", f"Phase{number}", after=2.0 * (number + 1))
    set_phase("disk", "Succeeded", after=8)
    outcomes = wait_for(direct, DATA_VOLUME, namespace, ["disk"], _judge, time.monotonic() + 30, probe)
    assert outcomes["disk"].verdict.state == REACHED
    assert looked == [] and len(watches) == 1
