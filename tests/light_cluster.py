# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More clusters of profile `api`, in addition to that of the stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.runner.tree import ROOT


@contextmanager
def light_cluster(number: int, state: Path) -> Iterator[dict[str, str]]:
    """Start a cluster with this number, which also uses the next one, and yield its variables."""
    try:
        _run("up", number, state)
        yield json.loads(_run("env --json", number, state))
    finally:
        _run("down", number, state)


def _run(command: str, number: int, state: Path) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.runner", "cluster", *command.split(), "--profile", "api"],
        cwd=ROOT,
        env=os.environ | {"KUBEVIRT_CDI_TEST_NUMBER": str(number), "XDG_STATE_HOME": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
