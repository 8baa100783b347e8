# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module writes of its progress, and that the action plugin reads it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ansible_collections.kubevirt.cdi.plugins.action.volume_upload import Lines
from ansible_collections.kubevirt.cdi.plugins.module_utils._errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload_progress import Progress


def test_a_thousand_pieces_are_told_in_a_few_lines_and_the_last_always(tmp_path: Path) -> None:
    path, started = tmp_path / "progress", time.monotonic()
    with Progress(str(path)) as progress:
        progress.say("demo/disk", "reading")
        for sent in range(1001):
            progress.sent("demo/disk", sent, 1000, 2.5)
    written = path.read_text().splitlines()
    told = [json.loads(line) for line in written]
    assert told[0] == {"volume": "demo/disk", "step": "reading"}
    assert told[-1] == {"volume": "demo/disk", "sent": 1000, "size": 1000, "seconds": 2.5}
    assert len(told) <= 3 + (time.monotonic() - started) / 0.5
    assert "100 %" in (Lines(live=False).shown(written[-1], 0.0) or "")


def test_at_a_terminal_transfers_are_told_in_one_line_until_they_end() -> None:
    lines = Lines(live=True)

    def told(**line: object) -> str | None:
        return lines.shown(json.dumps(line), 0.0)

    assert told(volume="demo/a", step="reading") == "volume_upload demo/a: reading"
    assert told(volume="demo/a", sent=30 << 20, size=100 << 20, seconds=0.5) is None
    assert told(volume="demo/b", sent=1 << 20, size=10 << 20, seconds=0.5) is None
    assert lines.under_way == "demo/a: 30 % of 100 MiB, 60 MiB/s  demo/b: 10 % of 10 MiB, 2 MiB/s"
    assert told(volume="demo/a", sent=100 << 20, size=100 << 20, seconds=1) == "volume_upload demo/a: 100 % of 100 MiB, 100 MiB/s"
    assert told(volume="demo/b", step="trying again") == "volume_upload demo/b: trying again"
    assert lines.under_way == ""


def test_volumes_are_told_each_at_its_own_pace(tmp_path: Path) -> None:
    with Progress(str(tmp_path / "progress")) as progress:
        for volume in ("demo/a", "demo/b"):
            progress.sent(volume, 1, 1000, 0.1)
    assert [json.loads(line)["volume"] for line in (tmp_path / "progress").open()] == ["demo/a", "demo/b"]


def test_progress_needs_no_file() -> None:
    with Progress(None) as progress:
        progress.say("demo/disk", "reading")


def test_a_full_disk_ends_no_upload() -> None:
    with Progress("/dev/full") as progress:
        progress.say("demo/disk", "reading")


def test_a_progress_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(CdiError, match="progress_file is .*/nowhere/progress, which cannot be written"):
        with Progress(str(tmp_path / "nowhere" / "progress")):
            pass
