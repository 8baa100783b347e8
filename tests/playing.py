# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks as a user does, and parses their output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

# Variables that select a cluster. Tests select theirs by arguments.
_CONNECTION = re.compile(r"K8S_AUTH_|KUBECONFIG$")


class Played(NamedTuple):
    """How a run of ansible-playbook ended, and what it printed."""

    code: int
    output: str

    @property
    def artifacts(self) -> dict[str, Any]:
        """The values that set_stats published for later jobs."""
        text = self.output.partition("CUSTOM STATS:")[2].partition("RUN:")[2].strip()
        return dict(json.JSONDecoder().raw_decode(text)[0]) if text else {}

    @property
    def errors(self) -> int:
        """The number of failed tasks."""
        return self.output.count("FAILED! =>")


def play(
    *arguments: str | Path, variables: dict[str, Any] | None = None, environment: dict[str, str] | None = None
) -> Played:
    """Run ansible-playbook. Only arguments, variables and `environment` select the cluster."""
    base = {name: value for name, value in os.environ.items() if not _CONNECTION.match(name)}
    command = ["ansible-playbook", *map(str, arguments)]
    if variables is not None:
        command += ["--extra-vars", json.dumps(variables)]
    ended = subprocess.run(
        command,
        env=base
        | {"ANSIBLE_SHOW_CUSTOM_STATS": "true", "ANSIBLE_NOCOLOR": "1", "KUBECONFIG": "/nowhere"}
        | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return Played(ended.returncode, ended.stdout + ended.stderr)


def write_play(folder: Path, tasks: list[dict[str, Any]], **keywords: Any) -> Path:
    """Write a playbook with one play on localhost into `folder`."""
    path = folder / "play.yml"
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks, **keywords}]))
    return path


def local_hosts(folder: Path, variables: dict[str, dict[str, Any]]) -> Path:
    """Write an inventory of hosts with their variables, whose tasks run on this machine."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    path = folder / "inventory.yml"
    path.write_text(json.dumps({"all": {"hosts": variables, "vars": local}}))
    return path
