# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests the collection with other releases of Python, ansible-core and kubernetes, each combination in a venv."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.paths import cache_dir
from tests.cluster.runtime import commands
from tests.cluster.runtime.profile import PROFILES
from tests.runner.tree import ROOT, environment

# The last release of hypothesis for Python 3.10.
_TOOLS = ("backports.zstd==1.8.0", "hypothesis==6.168.5", "pytest==9.2.0")
_TESTS = (
    "tests/unit/plugins",
    *(f"tests/api/test_{name}.py" for name in ("clone_method", "clone_method_options", "connection", "secrets")),
    "tests/versions",
)
# The oldest and the newest client are compared with kubectl. That comparison requires Python 3.11.
_ENDS = ("29.0.0", "37.0.2")


@dataclass(frozen=True)
class Combination:
    """Versions that are tested together. `more` are other packages with their versions."""

    python: str
    ansible_core: str
    kubernetes: str
    more: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"Python {self.python}, ansible-core {self.ansible_core}, kubernetes {self.kubernetes}"

    @property
    def venv(self) -> Path:
        return cache_dir() / "versions" / f"{self.python}-{self.ansible_core}-{self.kubernetes}"


# Every maintained ansible-core, and the releases of the client that break something: 36.0.0 and 36.0.1 drop the
# Authorization header, 37 has newly generated code. Enterprise Linux 9 and Debian 12 have websocket-client 1.2.3.
COMBINATIONS = (
    Combination("3.10", "2.16.19", "29.0.0", ("websocket-client==1.2.3",)),
    Combination("3.10", "2.17.14", "35.0.0"),
    Combination("3.11", "2.18.19", "29.0.0"),
    Combination("3.11", "2.19.14", "36.0.3"),
    Combination("3.12", "2.20.10", "33.1.0"),
    Combination("3.12", "2.21.5", "36.0.0"),
    Combination("3.13", "2.21.5", "36.0.1"),
    Combination("3.13", "2.22.0rc1", "37.0.2"),
)


def run() -> int:
    """Run the tests with each combination whose Python is on this machine, and print a table. Returns an exit code."""
    commands.up(PROFILES["api"])
    outcomes = {combination: _run(combination) for combination in COMBINATIONS}
    for combination, code in outcomes.items():
        outcome = {None: f"not run: Python {combination.python} is not here", 0: "passed"}.get(code, "FAILED")
        print(f"{combination!s:65} {outcome}")
    return max(code or 0 for code in outcomes.values())


def _run(combination: Combination) -> int | None:
    print(f"-- {combination}", flush=True)
    interpreter = _interpreter(combination.python)
    if interpreter is None:
        return None
    bin_dir = _venv(combination, interpreter) / "bin"
    variables = commands.environment(PROFILES["api"]) | {
        "PATH": f"{bin_dir}:{os.environ['PATH']}",
        "KUBEVIRT_CDI_TEST_EXAMPLES_SHARE": "10",
    }
    command = [str(bin_dir / "python"), "-m", "pytest", "--quiet", "--import-mode=importlib", "-p", "no:cacheprovider"]
    agreement = ["tests/kubectl"] if combination.kubernetes in _ENDS and combination.python != "3.10" else []
    return subprocess.run([*command, *_TESTS, *agreement], cwd=ROOT, check=False, env=environment(variables)).returncode


def _interpreter(version: str) -> str | None:
    """The interpreter of pyenv, or of the machine."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = sorted(pyenv.glob(f"{version}.*/bin/python{version}"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


def _venv(combination: Combination, interpreter: str) -> Path:
    """The venv of a combination, created once. An incomplete one is created again."""
    packages = [f"ansible-core=={combination.ansible_core}", f"kubernetes=={combination.kubernetes}"]
    packages += [*combination.more, *_TOOLS]
    mark = combination.venv / "made"
    if not mark.exists():
        shutil.rmtree(combination.venv, ignore_errors=True)
        subprocess.run([interpreter, "-m", "venv", str(combination.venv)], check=True)
    if not mark.exists() or mark.read_text().split() != packages:
        subprocess.run([combination.venv / "bin" / "pip", "install", "--quiet", *packages], check=True)
        mark.write_text("\n".join(packages))
    return combination.venv
