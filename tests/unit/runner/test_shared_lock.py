# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of the tests on one cluster, taken by real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.runner.tree import ROOT

# Takes the lock, says so, and keeps it until its standard input ends.
_HOLDER = """
import pathlib, sys
from tests.shared_lock import SharedLock
lock = SharedLock(pathlib.Path(sys.argv[1]))
if sys.argv[2] in ("then alone", "then released"):
    lock.take(alone=False)
    print("shared", flush=True)
    sys.stdin.readline()
    with lock.held(alone=True if sys.argv[2] == "then alone" else None):
        print(sys.argv[2], flush=True)
        sys.stdin.readline()
    print("shared", flush=True)
else:
    lock.take(alone=sys.argv[2] == "alone")
    print("has it", flush=True)
sys.stdin.readline()
"""
# Long enough for a process that may enter, which needs a few milliseconds.
_WAITS_SECONDS = 0.5


class Holder:
    """A process that wants the lock."""

    def __init__(self, lock: Path, how: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(lock), how],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def says(self, seconds: float) -> str:
        """The next line, empty if none comes within so many seconds."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + seconds
        while not (line := self._process.stdout.readline()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return line.strip()

    @property
    def has_it(self) -> bool:
        return self.says(10) == "has it"

    @property
    def waits(self) -> bool:
        return not self.says(_WAITS_SECONDS)

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self, sent: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(sent)
        self._process.wait()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[str], Holder]]:
    holders: list[Holder] = []

    def start(how: str) -> Holder:
        holders.append(Holder(tmp_path / "lock", how))
        return holders[-1]

    yield start
    for each in holders:
        each.end(signal.SIGKILL)


def _first_to_say(expected: str, holders: list[Holder]) -> Holder:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for each in holders:
            if said := each.says(0):
                assert said == expected
                return each
    raise AssertionError(f"no process says {expected!r}")


def test_shares_stand_side_by_side(holder: Callable[[str], Holder]) -> None:
    assert [holder("shared").has_it for _number in range(3)] == [True] * 3


def test_one_is_alone(holder: Callable[[str], Holder]) -> None:
    alone = holder("alone")
    assert alone.has_it
    shared, other = holder("shared"), holder("alone")
    assert shared.waits and other.waits
    alone.end()
    second = _first_to_say("has it", [shared, other])
    third = other if second is shared else shared
    assert third.waits
    second.end()
    assert third.has_it


def test_shares_that_come_later_do_not_starve_the_one_that_waits_to_be_alone(holder: Callable[[str], Holder]) -> None:
    first = holder("shared")
    assert first.has_it
    alone = holder("alone")
    assert alone.waits
    later = [holder("shared") for _number in range(3)]
    assert all(each.waits for each in later)
    first.end()
    assert alone.has_it and all(each.waits for each in later)
    alone.end()
    assert all(each.has_it for each in later)


def test_a_process_that_is_killed_holds_nothing(holder: Callable[[str], Holder]) -> None:
    killed = holder("alone")
    assert killed.has_it
    killed.end(signal.SIGKILL)
    assert holder("alone").has_it


def test_two_that_share_can_both_be_alone_for_some_time(holder: Callable[[str], Holder]) -> None:
    """Neither waits for the share of the other."""
    holders = [holder("then alone"), holder("then alone")]
    assert [each.says(10) for each in holders] == ["shared", "shared"]
    for each in holders:
        each.go_on()
    now = _first_to_say("then alone", holders)
    then = holders[1 - holders.index(now)]
    assert then.waits
    now.go_on()
    assert then.says(10) == "then alone"
    assert not now.says(_WAITS_SECONDS)
    then.go_on()
    assert [each.says(10) for each in holders] == ["shared", "shared"]


def test_share_that_is_released_for_some_time_is_taken_again(holder: Callable[[str], Holder]) -> None:
    share = holder("then released")
    assert share.says(10) == "shared"
    alone = holder("alone")
    assert alone.waits
    share.go_on()
    assert share.says(10) == "then released" and alone.has_it
    share.go_on()
    assert share.waits
    alone.end()
    assert share.says(10) == "shared"
