# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command and measures its time and the memory of its largest process."""

from __future__ import annotations

import json
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
    """`peak_mib` is the peak resident set of the largest process in MiB; `lines` has each line with its second."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    lines: list[tuple[float, str]]

    @property
    def output(self) -> str:
        return "".join(line for _moment, line in self.lines)

    def moment(self, words: str) -> float:
        """The second of the first line with these words, from the start."""
        return next(moment for moment, line in self.lines if words in line)


# A process starts with the peak of its parent: this small launcher keeps that peak low.
_LAUNCHER = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024], file)
sys.exit(code)
"""


def cost_of(command: list[str], *, env: Mapping[str, str] | None = None, given: str = "") -> Cost:
    """Run a command, which must succeed, with `given` on its standard input."""
    with tempfile.NamedTemporaryFile("r") as report:
        started = time.monotonic()
        lines = []
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, report.name, *command],
            env=os.environ | dict(env or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdin and process.stdout
            process.stdin.write(given)
            process.stdin.close()
            for line in process.stdout:
                lines.append((time.monotonic() - started, line))
        seconds = time.monotonic() - started
        assert process.returncode == 0, f"{command[:3]} ended with {process.returncode}:\n{lines[-30:]}"
        cpu_seconds, peak_mib = json.load(report)
    return Cost(seconds, cpu_seconds, peak_mib, lines)


def play(directory: Path, tasks: list[dict[str, Any]], *, collections: Path | None = None, **variables: Any) -> Cost:
    """Run a playbook with these tasks on localhost."""
    file = directory / "play.yml"
    file.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    env = {"ANSIBLE_PYTHON_INTERPRETER": sys.executable, "ANSIBLE_NOCOLOR": "1"}
    if collections:
        env["ANSIBLE_COLLECTIONS_PATH"] = f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{collections}"
    return cost_of(["ansible-playbook", "--inventory=localhost,", "--connection=local", str(file)], env=env)
