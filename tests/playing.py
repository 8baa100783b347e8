# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks as a user does, and takes their output apart."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

# What must not choose the cluster for a test that says by itself which one it means.
_CONNECTION = re.compile(r"K8S_AUTH_|KUBECONFIG$")


class Played(NamedTuple):
    """How a run of ansible-playbook ended, and what it printed."""

    code: int
    output: str

    @property
    def artifacts(self) -> dict[str, Any]:
        """What set_stats published for later jobs."""
        text = self.output.partition("CUSTOM STATS:")[2].partition("RUN:")[2].strip()
        return dict(json.JSONDecoder().raw_decode(text)[0]) if text else {}

    @property
    def errors(self) -> int:
        """How many tasks failed."""
        return self.output.count("FAILED! =>")


def play(
    *arguments: str | Path, variables: dict[str, Any] | None = None, environment: dict[str, str] | None = None
) -> Played:
    """Run ansible-playbook; the cluster is what the arguments, the variables or the environment name, and no other."""
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
