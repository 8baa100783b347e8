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
    """`peak_mib` is the peak resident set, in MiB, of the largest of the processes that ran."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str


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
        ended = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, report.name, *command],
            env=os.environ | dict(env or {}),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        assert ended.returncode == 0, f"{command[:3]} ended with {ended.returncode}:\n{ended.stdout[-3000:]}"
        cpu_seconds, peak_mib = json.load(report)
    return Cost(seconds, cpu_seconds, peak_mib, ended.stdout)


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
