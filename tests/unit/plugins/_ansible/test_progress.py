# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress that modules write, and that action plugins show."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.progress import Progress, lasting
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._progress import Lines

MIB = 1024 * 1024
NO_NODE = "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu"


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def state(
    phase: str, reason: str = "", percent: float | None = None, seconds: float = 0, name: str = "demo/disk"
) -> str:
    return json.dumps({"object": name, "phase": phase, "percent": percent, "reason": reason, "seconds": seconds})


def sent(mebibytes: float, size: float, seconds: float = 1, name: str = "demo/disk") -> str:
    return json.dumps({"object": name, "sent": int(mebibytes * MIB), "size": int(size * MIB), "seconds": seconds})


def test_many_pieces_are_few_lines_including_the_last(tmp_path: Path) -> None:
    path, started = tmp_path / "progress", time.monotonic()
    with Progress(str(path)) as progress:
        progress.say("demo/disk", "reading")
        for each in range(1001):
            progress.sent("demo/disk", each, 1000, 2.5)
    lines = written(path)
    assert lines[0] == {"object": "demo/disk", "step": "reading"}
    assert lines[-1] == {"object": "demo/disk", "sent": 1000, "size": 1000, "seconds": 2.5}
    assert len(lines) <= 3 + (time.monotonic() - started) / 0.5
    assert "100 %" in (Lines("volume_upload", live=False).shown(json.dumps(lines[-1]), 0.0) or "")


def test_a_disk_that_is_sent_as_a_stream_has_its_own_progress(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    with Progress(str(path)) as progress:
        progress.sent("demo/disk", 430 * MIB, 1024 * MIB, 4.3, (3441 * MIB, 8192 * MIB))
        progress.sent("demo/disk", 1024 * MIB, 1024 * MIB, 10.24, (8192 * MIB, 8192 * MIB))
    lines = written(path)
    assert (lines[0]["disk"], lines[0]["disk_size"]) == (3441 * MIB, 8192 * MIB)
    shown = Lines("volume_upload", live=False)
    assert [shown.shown(json.dumps(line), 0.0) for line in lines] == [
        "volume_upload demo/disk: 41 % of 1024 MiB, 100 MiB/s, disk 3441 of 8192 MiB",
        "volume_upload demo/disk: 100 % of 1024 MiB, 100 MiB/s, disk 8192 of 8192 MiB",
    ]


def test_a_stream_of_unknown_size_shows_the_share_of_the_disk(tmp_path: Path) -> None:
    path, size = tmp_path / "progress", 8192 * MIB
    with Progress(str(path)) as progress:
        progress.sent("demo/disk", 312 * MIB, None, 28.4, (3441 * MIB, size))
    with Progress(str(path)) as progress:
        progress.sent("demo/disk", 500 * MIB, None, 45.5, (size, size))
        progress.sent("demo/disk", 501 * MIB, 501 * MIB, 45.5, (size, size))
    lines = written(path)
    assert [line["size"] for line in lines] == [None, None, 501 * MIB]
    shown, live = Lines("volume_upload", live=False), Lines("volume_upload", live=True)
    assert [shown.shown(json.dumps(line), 0.0) for line in lines] == [
        "volume_upload demo/disk: 42 % of the disk of 8192 MiB, 312 MiB sent, 11 MiB/s",
        "volume_upload demo/disk: 99 % of the disk of 8192 MiB, 500 MiB sent, 11 MiB/s",
        "volume_upload demo/disk: 100 % of 501 MiB, 11 MiB/s, disk 8192 of 8192 MiB",
    ]
    assert live.shown(json.dumps(lines[0]), 0.0) is None
    assert live.under_way(0.0) == "demo/disk: 42 % of the disk of 8192 MiB, 312 MiB sent, 11 MiB/s"


def test_a_new_phase_or_reason_is_written_at_once_and_only_once(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    with Progress(str(path)) as progress:
        for percent in range(100):
            progress.waits("demo/disk", "ImportInProgress", percent)
        progress.waits("demo/disk", "ImportInProgress", 99, "Error: see https://ann:s3cret@host/?sig=s3cret")
        progress.waits("demo/disk", "ImportScheduled", None, NO_NODE, 20.2)
        progress.ends("demo/disk", "Succeeded")
        progress.ends("demo/other", "was there")
    first, *_others, failed, scheduled, ended = written(path)
    assert first == {"object": "demo/disk", "phase": "ImportInProgress", "percent": 0, "reason": "", "seconds": 0}
    assert (
        len(_others) < 3 and "s3cret" not in path.read_text() and failed["reason"] == "Error: see https://***@host/?***"
    )
    assert (scheduled["reason"], scheduled["seconds"], scheduled["percent"]) == (NO_NODE, 20.2, None)
    assert ended["ended"] and ended["phase"] == "Succeeded"


def test_the_interval_applies_to_each_volume_separately(tmp_path: Path) -> None:
    with Progress(str(tmp_path / "progress")) as progress:
        for volume in ("demo/a", "demo/b"):
            progress.sent(volume, 1, 1000, 0.1)
    assert [line["object"] for line in written(tmp_path / "progress")] == ["demo/a", "demo/b"]


def test_progress_needs_no_file() -> None:
    with Progress(None) as progress:
        progress.say("demo/disk", "reading")


def test_a_full_disk_does_not_fail_the_task() -> None:
    with Progress("/dev/full") as progress:
        progress.say("demo/disk", "reading")


def test_a_progress_file_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    refused = pytest.raises(CdiError, match=r"progress_file is .*/nowhere/progress, which cannot be written")
    with refused, Progress(str(tmp_path / "nowhere" / "progress")):
        pass


@pytest.mark.parametrize(
    ("text", "seconds", "expected"),
    [
        (NO_NODE, 20.4, "Unschedulable for 20 s: 0/1 nodes are available: 1 Insufficient cpu"),
        (NO_NODE, 0.4, NO_NODE),
        ("ImportScheduled", 5, "ImportScheduled for 5 s"),
        (
            "its claim has 1Gi of 2Gi, FileSystemResizePending: wait",
            7,
            "its claim has 1Gi of 2Gi, FileSystemResizePending: wait for 7 s",
        ),
    ],
)
def test_a_reason_shows_its_duration(text: str, seconds: float, expected: str) -> None:
    assert lasting(text, seconds) == expected


def test_a_transfer_prints_a_line_for_each_tenth() -> None:
    lines, shown = Lines("volume_upload", live=False), []
    for each in range(1001):
        shown.append(lines.shown(sent(each, 1000, each / 100), each / 100))
    assert [line for line in shown if line] == [
        f"volume_upload demo/disk: {percent} % of 1000 MiB, 100 MiB/s" for percent in range(10, 101, 10)
    ]
    assert lines.shown('{"object": "demo/disk", "step": "done"}', 11.0) == "volume_upload demo/disk: done"
    assert lines.shown('{"object": "demo/d', 11.0) is None


def test_a_slow_transfer_is_shown_every_half_minute() -> None:
    lines = Lines("volume_upload", live=False)
    shown = [bool(lines.shown(sent(number / MIB, 100), number)) for number in (0, 10, 29, 31, 40, 62)]
    assert shown == [False, False, False, True, False, True]


def test_waiting_prints_a_line_for_each_change_and_every_half_minute() -> None:
    lines = Lines("data_volume", live=False)
    seen = [
        (0.0, state("ImportScheduled")),
        (4.0, state("ImportScheduled", NO_NODE, seconds=3.6)),
        (8.0, state("ImportScheduled", NO_NODE, seconds=7.6)),
        (35.0, state("ImportInProgress", percent=4.1)),
        (36.0, state("ImportInProgress", percent=9.9)),
        (37.0, state("ImportInProgress", percent=12.5)),
    ]
    shown = []
    for now in range(40):
        shown += [lines.shown(line, now) for when, line in seen if when == now]
        shown += lines.overdue(now)
    ended = json.dumps({**json.loads(state("Succeeded")), "ended": True})
    assert [line for line in [*shown, lines.shown(ended, 41.0), *lines.overdue(99.0)] if line] == [
        "data_volume demo/disk: ImportScheduled",
        "data_volume demo/disk: ImportScheduled, Unschedulable for 4 s: 0/1 nodes are available: 1 Insufficient cpu",
        "data_volume demo/disk: ImportScheduled, Unschedulable for 34 s: 0/1 nodes are available: 1 Insufficient cpu",
        "data_volume demo/disk: ImportInProgress, 4 %",
        "data_volume demo/disk: ImportInProgress, 12 %",
        "data_volume demo/disk: Succeeded",
    ]


def test_a_terminal_shows_all_objects_in_one_line() -> None:
    lines = Lines("volume_upload", live=True)
    step = json.dumps({"object": "demo/a", "step": "reading"})
    assert lines.shown(step, 0.0) == "volume_upload demo/a: reading"
    assert lines.shown(sent(30, 100, 0.5, "demo/a"), 0.0) is None
    assert lines.shown(sent(1, 10, 0.5, "demo/b"), 0.0) is None
    assert lines.shown(state("ImportScheduled", NO_NODE, name="demo/c"), 0.0) is None
    assert lines.under_way(20.0) == (
        "demo/a: 30 % of 100 MiB, 60 MiB/s  demo/b: 10 % of 10 MiB, 2 MiB/s  "
        "demo/c: ImportScheduled, Unschedulable for 20 s: 0/1 nodes are available: 1 Insufficient cpu"
    )
    assert lines.overdue(99.0) == []
    assert lines.shown(sent(100, 100, 1, "demo/a"), 0.0) == "volume_upload demo/a: 100 % of 100 MiB, 100 MiB/s"
    trying = json.dumps({"object": "demo/b", "step": "trying again"})
    assert lines.shown(trying, 0.0) == "volume_upload demo/b: trying again"
    ended = json.dumps({**json.loads(state("Succeeded", name="demo/c")), "ended": True})
    assert lines.shown(ended, 0.0) is None and lines.under_way(0.0) == ""
