# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the programs of a build: quietly, at low priority, and never longer than the build itself."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.errors import ClusterError

_running: set[subprocess.Popen[str]] = set()


def output(command: list[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """The output of the command. Raises `ClusterError` with its last messages when it fails."""
    if shutil.which(command[0]) is None:
        raise ClusterError(f"{command[0]} is not on this machine: install the package that contains it.")
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "nice", "-n", "10", *command],
        cwd=cwd,
        env=os.environ | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _running.add(process)
    try:
        printed, messages = process.communicate()
    finally:
        _running.discard(process)
    if process.returncode != 0:
        tail = "\n".join((messages or printed).splitlines()[-15:])
        raise ClusterError(f"`{shlex.join(command[:6])}` ended with {process.returncode} in {cwd}:\n{tail}")
    return printed


def stop_all() -> None:
    """End all commands that still run, with their children."""
    for process in list(_running):
        os.killpg(process.pid, signal.SIGTERM)
