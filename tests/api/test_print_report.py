# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action print_report prints lines of text: at a terminal, in a pipe, and with ansible-runner, as AWX does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report import build
from ansible_collections.kubevirt.cdi.plugins.plugin_utils._report_view import lines

from tests.playing import write_play
from tests.report_facts import facts, found, ill

REPORT = build(
    facts(
        found("golden"),
        found("broken", phase="ImportInProgress", diagnosis=ill("The server answers 404 \"to\" 'all'")),
        results={"volumes": {"failed": True, "msg": "It failed."}},
        cluster={"name": "east", "host": "https://east:6443"},
    )
)


def project(tmp_path: Path, **options: Any) -> Path:
    """A folder for ansible-runner."""
    (tmp_path / "project").mkdir()
    write_play(tmp_path / "project", [{"name": "Print", "kubevirt.cdi.print_report": {"report": REPORT, **options}}])
    return tmp_path


def run(command: list[str], **variables: str) -> str:
    ended = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def has_block(text: str, expected: list[str]) -> bool:
    """Whether a text contains these lines one after the other, apart from colors."""
    plain = re.sub("\x1b\\[[0-9;]*m", "", text.replace("\r", ""))
    return "\n".join(expected) in "\n".join(line.rstrip() for line in plain.splitlines())


@pytest.mark.parametrize("result_format", ["json", "yaml"])
def test_lines_are_printed_verbatim(tmp_path: Path, result_format: str) -> None:
    book = project(tmp_path) / "project" / "play.yml"
    output = run(["ansible-playbook", str(book)], ANSIBLE_CALLBACK_RESULT_FORMAT=result_format)
    assert has_block(output, lines(REPORT)), output


def test_ansible_runner_prints_the_same_lines(tmp_path: Path) -> None:
    folder = project(tmp_path, remarks=["The report is also in /tmp/x"])
    output = run([sys.executable, "-m", "ansible_runner", "run", "--playbook", "play.yml", str(folder)])
    assert has_block(output, [*lines(REPORT), "The report is also in /tmp/x"]), output
    events = [json.loads(path.read_text()) for path in folder.glob("artifacts/*/job_events/*.json")]
    assert any("images/broken" in event["stdout"] for event in events), "AWX shows the output of events"


def test_failures_are_red(tmp_path: Path) -> None:
    book = project(tmp_path) / "project" / "play.yml"
    output = run(["ansible-playbook", str(book)], ANSIBLE_FORCE_COLOR="1", ANSIBLE_COLOR_ERROR="red")
    red = [line for line in output.splitlines() if line.startswith("\x1b[0;31m")]
    assert any("volumes FAILED: It failed." in line for line in red) and any("images/broken" in line for line in red)
    assert not any("images/golden" in line for line in red)


def test_invalid_report_is_refused(tmp_path: Path) -> None:
    book = project(tmp_path) / "project" / "play.yml"
    book.write_text(book.read_text().replace('"steps"', '"stps"'))
    ended = subprocess.run(["ansible-playbook", str(book)], capture_output=True, text=True, check=False)
    assert (
        ended.returncode == 2
        and "report is not what filter kubevirt.cdi.report returns." in ended.stdout + ended.stderr
    )
