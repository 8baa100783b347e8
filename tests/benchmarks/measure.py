# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command and tells what it took: time, and the memory of its largest process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Cost:
    """`peak_mib` is the peak resident set, in MiB, of the largest of the processes that ran."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str


def cost_of(command: list[str], *, env: Mapping[str, str] | None = None, given: str = "") -> Cost:
    """Run the command, with `given` on its standard input; it must succeed."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as text:
        text.write(given)
        text.seek(0)
        started = time.monotonic()
        process = subprocess.Popen(
            command, env=os.environ | dict(env or {}), stdin=text, stdout=output, stderr=subprocess.STDOUT
        )
        _pid, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        printed = output.read()
    assert process.returncode == 0, f"{command[:3]} ended with {process.returncode}:\n{printed[-3000:]}"
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, printed)


def play(directory: Path, tasks: list[dict[str, Any]], *, collections: Path | None = None, **variables: Any) -> Cost:
    """Run a playbook of these tasks on localhost, as a user would."""
    file = directory / "play.yml"
    file.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}])
    )
    env = {"ANSIBLE_PYTHON_INTERPRETER": sys.executable, "ANSIBLE_NOCOLOR": "1"}
    if collections:
        env["ANSIBLE_COLLECTIONS_PATH"] = f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{collections}"
    return cost_of(["ansible-playbook", "--inventory=localhost,", "--connection=local", str(file)], env=env)
