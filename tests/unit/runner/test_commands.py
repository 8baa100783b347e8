# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of `tests/run`."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.runner.tree import ROOT


def test_pytest_finds_the_collection_in_an_empty_environment() -> None:
    wanted = "tests/unit/plugins/_kubernetes/test_quantity.py"
    variables = {name: value for name, value in os.environ.items() if name in ("HOME", "PATH", "XDG_CACHE_HOME")}
    command = [sys.executable, "-m", "tests.runner", "pytest", "--collect-only", "--quiet", wanted]
    ended = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{wanted}::" in ended.stdout
