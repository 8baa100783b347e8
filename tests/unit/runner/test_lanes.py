# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lanes of stages that are small real processes, and what is printed of all stages."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runner import lanes
from tests.runner.lanes import Stage
from tests.runner.stages import LANES, STAGES, plan
from tests.runner.tree import ROOT


def _python(name: str, script: str) -> Stage:
    return Stage(name, (sys.executable, "-c", script))


def _notes(name: str, folder: Path, seconds: float = 0) -> Stage:
    """A stage that writes when it begins and ends."""
    note = f"open({str(folder / 'notes')!r}, 'a').write('{{}} {name}\\n'.format"
    return _python(name, f"import time; {note}('begin')); time.sleep({seconds}); {note}('end'))")


def _run(folder: Path, *lane: list[Stage]) -> tuple[list[lanes.Ended], list[str]]:
    said: list[str] = []
    return lanes.run(lane, folder, said.append), said


def test_stages_of_a_lane_follow_one_another_and_lanes_run_side_by_side(tmp_path: Path) -> None:
    first = [_notes("a", tmp_path, 1.5), _notes("b", tmp_path)]
    second = [_notes("c", tmp_path, 0.2), _notes("d", tmp_path, 2)]
    ended, _said = _run(tmp_path, first, second)
    assert {stage.name: stage.code for stage in ended} == dict.fromkeys("abcd", 0)
    notes = (tmp_path / "notes").read_text().splitlines()
    assert notes.index("end a") < notes.index("begin b") and notes.index("end c") < notes.index("begin d")
    assert notes.index("begin c") < notes.index("end a") and notes.index("begin d") < notes.index("end b")


def test_the_output_of_a_stage_is_said_in_one_piece_with_its_seconds(tmp_path: Path) -> None:
    script = "import sys, time; print('one'); sys.stdout.flush(); time.sleep(0.3); print('two', file=sys.stderr)"
    ended, said = _run(tmp_path, [_python("a", script)], [_python("b", script)])
    assert sorted(said[:2]) == ["== a: started", "== b: started"]
    for stage, text in zip(ended, said[2:], strict=True):
        assert text == f"== {stage.name}: ended after {stage.seconds:.1f} s\none\ntwo"
        assert stage.seconds >= 0.3


def test_the_processor_seconds_are_those_of_the_stage_and_its_children(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    waits = _python("waits", "import time; time.sleep(0.5)")
    child = _python("child", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])")
    (first, second), _said = _run(tmp_path, [waits, child])
    assert first.processor_seconds < 0.4 < second.processor_seconds


# Ends by an interrupt after it has cleaned up, and leaves a child that ignores interrupts.
_CLEANS_UP = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "60"])
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print(child.pid, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(0.5)
    print("cleaned up", flush=True)
"""


def _has_ended(pid: str) -> bool:
    """Gone, or no more than its exit code, within some time."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_the_first_failure_ends_the_others_which_clean_up(tmp_path: Path) -> None:
    fails = _python("fails", "import sys, time; time.sleep(1); print('why'); sys.exit(3)")
    started = time.monotonic()
    ended, said = _run(tmp_path, [fails, _notes("never", tmp_path)], [_python("long", _CLEANS_UP)])
    assert time.monotonic() - started < 30
    assert [(stage.name, stage.code) for stage in ended] == [("fails", 3)]
    assert said[-1].startswith("== fails: failed after ") and said[-1].endswith("\nwhy")
    assert not (tmp_path / "notes").exists()
    child, note = (tmp_path / "long.log").read_text().splitlines()
    assert note == "cleaned up" and _has_ended(child)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_all_stages(tmp_path: Path, sent: signal.Signals) -> None:
    script = f"""
import pathlib, signal, sys
from tests.runner import lanes
signal.signal(signal.SIGINT, signal.default_int_handler)
stage = lanes.Stage("long", (sys.executable, "-c", {_CLEANS_UP!r}))
lanes.run([[stage]], pathlib.Path({str(tmp_path)!r}), print)
"""
    log = tmp_path / "long.log"
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 30
        while not (log.exists() and log.read_text().endswith("\n")) and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(sent)
    child, note = log.read_text().splitlines()
    assert running.returncode and note == "cleaned up" and _has_ended(child)


def test_every_stage_is_in_one_lane() -> None:
    assert sorted(name for lane in LANES for name in lane) == sorted([*STAGES, "build"])


def test_a_run_of_some_stages_has_only_those_in_their_lanes() -> None:
    planned = [[stage.name for stage in lane] for lane in plan(["settings", "real", "vm", "unit"])]
    assert planned == [["unit"], ["real", "settings", "vm"]]
