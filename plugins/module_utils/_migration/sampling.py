# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples the allocated bytes of the targets of a machine in a thread beside its move, which it never fails."""

from __future__ import annotations

import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._kubernetes.client import Connection
from .._kubernetes.errors import CdiError, unexpected
from .._kubernetes.resources import PERSISTENT_VOLUME_CLAIM, POD
from .._storage.allocation import Environment, not_measured
from .._storage.allocation_pod import measure_claim, read_environment
from .goal import LIVE
from .growth import Growth, added, due, seconds_to_next
from .machine import MOVING, NEEDED
from .outcome import Outcome

# A sample that takes longer is left out, and its pod deleted, so that the task does not wait long for it at its end.
_MOST_SECONDS = 30.0
_DELETION_SECONDS = 5.0
_PARALLEL = 8


def sampled(
    connection: Connection,
    outcome: Outcome,
    move: t.Callable[[Outcome], Outcome],
    pause: t.Callable[[float], float] = seconds_to_next,
) -> Outcome:
    """The outcome of `move` with the growth of its targets: samples taken beside it, and one if it has ended.

    `pause` returns the seconds to the next sample.
    """
    targets = [item.target for item in outcome.unit.in_state(NEEDED, MOVING)]
    if outcome.error or not targets:
        return move(outcome)
    sampler = _Sampler(connection, outcome.unit.namespace, targets)
    ended = threading.Event()
    beside = threading.Thread(target=sampler.sample_until, args=(ended, pause), daemon=True)
    beside.start()
    try:
        outcome = move(outcome)
    finally:
        ended.set()
        beside.join()
    if not outcome.error and (outcome.ended or outcome.method != LIVE):
        sampler.sample_end(outcome.allocations)
    return outcome._replace(growth=sampler.growth)


class _Sampler:
    def __init__(self, connection: Connection, namespace: str, targets: list[str]) -> None:
        self._connection, self._namespace = connection, namespace
        self._started = time.monotonic()
        self._environment: Environment | None = None
        self.growth = {target: Growth() for target in targets}

    def sample_until(self, ended: threading.Event, pause: t.Callable[[float], float]) -> None:
        while not ended.wait(pause(self._elapsed())):
            self._try(self.growth, ended=False)

    def sample_end(self, measured: t.Mapping[str, t.Mapping[str, t.Any]]) -> None:
        """The last samples. `measured`: what the move has measured itself."""
        for target in self.growth.keys() & measured.keys():
            self._add(target, measured[target])
        self._try(self.growth.keys() - measured.keys(), ended=True)

    def _try(self, targets: t.Collection[str], *, ended: bool) -> None:
        try:
            self._sample(targets, ended=ended)
        except CdiError as exc:
            self._missing(targets, str(exc))
        except Exception as exc:  # Not even a defect of this file may fail a move.
            self._missing(targets, unexpected(exc))

    def _sample(self, targets: t.Collection[str], *, ended: bool) -> None:
        if not targets:
            return
        until = time.monotonic() + _MOST_SECONDS
        reading = self._connection.until(until)
        claims, _version = reading.list(PERSISTENT_VOLUME_CLAIM, self._namespace)
        pods, _version = reading.list(POD, self._namespace)
        found = due(sorted(targets), claims, pods, ended=ended)
        for target, reason in found.missing.items():
            self._add(target, not_measured(reason))
        if not found.claims:
            return
        environment = self._environment = self._environment or read_environment(reading)
        measuring = self._connection.until(until + _DELETION_SECONDS)

        def measure(target: str) -> None:
            left = until - time.monotonic()
            self._add(target, measure_claim(measuring, found.claims[target], pods, environment, left))

        with ThreadPoolExecutor(_PARALLEL) as pool:
            list(pool.map(measure, found.claims))

    def _missing(self, targets: t.Iterable[str], reason: str) -> None:
        for target in targets:
            self._add(target, not_measured(reason))

    def _add(self, target: str, facts: t.Mapping[str, t.Any]) -> None:
        self.growth[target] = added(self.growth[target], self._elapsed(), facts)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started
