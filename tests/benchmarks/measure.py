# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command and tells what it took: time, and the memory of its largest process."""

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
    """`peak_mib` is the peak resident set, in MiB, of the largest of the processes that ran; `said` is when each line came."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    said: list[tuple[float, str]]

    @property
    def output(self) -> str:
        return "".join(line for _moment, line in self.said)

    def moment(self, words: str) -> float:
        """Seconds after the start at which a line with these words came."""
        return next(moment for moment, line in self.said if words in line)


# A process begins with the peak of the one that started it: this one is small, and so may be what is measured.
_LAUNCHER = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024], file)
sys.exit(code)
"""


def cost_of(command: list[str], *, env: Mapping[str, str] | None = None, given: str = "") -> Cost:
    """Run the command, with `given` on its standard input; it must succeed."""
    with tempfile.NamedTemporaryFile("r") as report:
        started = time.monotonic()
        said = []
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
                said.append((time.monotonic() - started, line))
        seconds = time.monotonic() - started
        assert process.returncode == 0, f"{command[:3]} ended with {process.returncode}:\n{said[-30:]}"
        cpu_seconds, peak_mib = json.load(report)
    return Cost(seconds, cpu_seconds, peak_mib, said)


def play(directory: Path, tasks: list[dict[str, Any]], *, collections: Path | None = None, **variables: Any) -> Cost:
    """Run a playbook of these tasks on localhost, as a user would."""
    file = directory / "play.yml"
    file.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks}]))
    env = {"ANSIBLE_PYTHON_INTERPRETER": sys.executable, "ANSIBLE_NOCOLOR": "1"}
    if collections:
        env["ANSIBLE_COLLECTIONS_PATH"] = f"{os.environ['ANSIBLE_COLLECTIONS_PATH']}:{collections}"
    return cost_of(["ansible-playbook", "--inventory=localhost,", "--connection=local", str(file)], env=env)
