# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs stages in lanes: the stages of a lane in sequence, the lanes side by side. The first failure ends the run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# An interrupted stage stops its clusters within this time.
_END_SECONDS = 90.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Stage:
    """A named command."""

    name: str
    command: Sequence[str]


@dataclass(frozen=True)
class Ended:
    """The exit code of a stage, its duration, and the processor time of its processes."""

    name: str
    code: int
    seconds: float
    processor_seconds: float


class _Running:
    """A stage in its own process group. It writes to a file, so that the output of two stages does not mix."""

    def __init__(self, stage: Stage, log: Path) -> None:
        self.stage, self._log = stage, log
        self._started = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                stage.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def ended(self) -> Ended | None:
        """None while it runs."""
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if not pid:
            return None
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - self._started
        return Ended(self.stage.name, code, seconds, usage.ru_utime + usage.ru_stime)

    def output(self) -> str:
        return self._log.read_text(errors="replace").rstrip()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the stage."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _end(running: Sequence[_Running]) -> None:
    """Interrupt the stages as Ctrl-C does, so that they clean up, then kill what is left of them."""
    deadline = time.monotonic() + _END_SECONDS
    left = list(running)
    try:
        for stage in running:
            stage.send(signal.SIGINT)
        while (left := [stage for stage in left if not stage.ended()]) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
    finally:
        for stage in running:
            stage.send(signal.SIGKILL)


def run(lanes: Sequence[Sequence[Stage]], folder: Path, say: Callable[[str], None]) -> list[Ended]:
    """Run the lanes, and pass the output of each stage to `say` when it ends.

    While a stage runs, its output is in `STAGE.log` in the folder. A stage that fails is the last of the result: it
    ends the others, as an interrupt does.
    """
    waiting = [deque(lane) for lane in lanes]
    running: dict[int, _Running] = {}
    results: list[Ended] = []
    with _interrupted_by_sigterm():
        try:
            while any(waiting) or running:
                for number, lane in enumerate(waiting):
                    if lane and number not in running:
                        stage = lane.popleft()
                        running[number] = _Running(stage, folder / f"{stage.name}.log")
                        say(f"== {stage.name}: started")
                time.sleep(_LOOK_SECONDS)
                for number, process in list(running.items()):
                    if ended := process.ended():
                        del running[number]
                        results.append(ended)
                        how = "failed" if ended.code else "ended"
                        say(f"== {ended.name}: {how} after {ended.seconds:.1f} s\n{process.output()}")
                        if ended.code:
                            return results
        finally:
            _end(list(running.values()))
    return results


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """CI systems end a job with SIGTERM: the stages must not outlive it."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
