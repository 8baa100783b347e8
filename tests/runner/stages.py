# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests in their order, from fast to real, and how long each kind took."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.runtime import commands, machine
from tests.cluster.runtime.profile import PROFILES
from tests.cluster.target import Target, target
from tests.runner import checks, docs, versions
from tests.runner.tree import ROOT, checkout_dir, environment

# What the scenarios take from the test cluster; whoever brings another cluster can set them.
_FIXTURES = ("KUBEVIRT_CDI_TEST_HTTP", "KUBEVIRT_CDI_TEST_IMAGES", "KUBEVIRT_CDI_TEST_MANIFESTS")

# They wait more than they compute.
_SIDE_BY_SIDE = ("--numprocesses=3", "--dist=loadfile")

_ON_1_61 = ("test_clone_methods", "test_scratch", "test_uploads", "test_release_1_61")
# What depends on the collection alone, or on how fast the cluster is, and not on CDI's release.
_NOT_ON_1_61 = (
    "test_clone_methods.py::test_c12_and_c13_a_copy_takes_two_pods_and_is_the_slowest",
    "test_uploads.py::test_progress_of_files_in_parallel_is_shown_while_they_are_sent_and_secrets_are_not",
    "test_uploads.py::test_at_a_terminal_the_progress_is_one_line_that_is_written_again",
    "test_uploads.py::test_bytes_seconds_and_speed_agree",
    "test_uploads.py::test_memory_stays_constant",
)


def run(names: list[str]) -> int:
    """Run the named stages, or all of `STAGES`; the first failure ends the run. Prints the seconds of each stage."""
    known = STAGES | ON_REQUEST
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ClusterError(f"There is no stage {', '.join(unknown)}: use {', '.join(known)}.")
    seconds: dict[str, float] = {}
    code = 0
    for name in names or STAGES:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        code = known[name]()
        seconds[name] = time.monotonic() - started
        if code:
            print(f"stage {name} failed; run it alone with: tests/run test {name}", file=sys.stderr)
            break
    for name, took in seconds.items():
        print(f"{name:10} {took:7.1f} s")
    return code


def _pytest(*arguments: str, more: dict[str, str] | None = None) -> int:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "--durations=5",
        *arguments,
    ]
    return subprocess.run(command, cwd=ROOT, check=False, env=environment(more or {})).returncode


def _unit() -> int:
    machine.install_file_tools()
    return _pytest(*_SIDE_BY_SIDE, "tests/unit")


def _kubectl() -> int:
    """The way to an API server, against kubectl's own; builds kubectl the first time."""
    return _pytest("--quiet", "tests/kubectl")


def _api() -> int:
    """Wire-level tests on a real API server without a node."""
    commands.up(PROFILES["api"])
    return _pytest(*_SIDE_BY_SIDE, "tests/api", "tests/versions", more=commands.environment(PROFILES["api"]))


def _cluster() -> int:
    """The test cluster itself: its storage, fixtures and clean end."""
    return _pytest("tests/cluster_tests")


def _molecule() -> int:
    """Scenarios on the full cluster, which is emptied first so that check mode is seen on an empty one.

    `upgrade` is the first: it leaves nothing, so that the others find an empty cluster, too. It removes CDI with all
    volumes, and so never runs on somebody else's cluster. What molecule remembers of a scenario is forgotten after the
    run: an interrupted one would otherwise make the next skip its preparation.
    """
    cluster = target()
    if cluster.own:
        commands.reset(PROFILES["full"])
    if not _has_fixtures(cluster):
        return 0
    with tempfile.TemporaryDirectory() as home:
        variables = environment(cluster.environment | {"ANSIBLE_HOME": home})
        others = ["--all", "--exclude", "upgrade"]
        for scenarios in (["--scenario-name", "upgrade"], others) if cluster.own else (others,):
            ended = subprocess.run(["molecule", "test", *scenarios], cwd=ROOT, check=False, env=variables)
            if ended.returncode:
                return ended.returncode
    return 0


def _real() -> int:
    """What one wants to see of a real CDI: each claim of the checklists a named test."""
    cluster = target()
    if not _has_fixtures(cluster):
        return 0
    machine.install_browser()
    return _pytest("tests/real", more=cluster.environment)


def _real_1_61() -> int:
    """Clones, scratch space and uploads as in stage `real`, and what only older releases do, on CDI 1.61.1.

    It needs a cluster without CDI, which has no way back. The last test upgrades CDI.
    """
    cluster = target()
    if not cluster.own:
        print("skipped: it empties the cluster, which is not ours")
        return 0
    commands.reset(PROFILES["full"])
    files = [f"tests/real/{name}.py" for name in _ON_1_61]
    others = [f"--deselect=tests/real/{name}" for name in _NOT_ON_1_61]
    return _pytest(*files, *others, more=cluster.environment | {"KUBEVIRT_CDI_TEST_RELEASE": "v1.61.1"})


def _coverage() -> int:
    """Which branches of the plugins the tests without a node run; prints the rest."""
    commands.up(PROFILES["api"])
    data = checkout_dir() / "coverage"
    shutil.rmtree(data, ignore_errors=True)
    machine.install_file_tools()
    more = commands.environment(PROFILES["api"]) | {"COVERAGE_FILE": str(data / "data")}
    configuration = f"--rcfile={Path(__file__).with_name('coverage.ini')}"
    pytest = ("-m", "pytest", "--quiet", "--import-mode=importlib", "-p", "no:cacheprovider")

    def coverage(*arguments: str) -> int:
        command = [sys.executable, "-m", "coverage", *arguments]
        return subprocess.run(command, cwd=ROOT, check=False, env=environment(more)).returncode

    code = coverage("run", configuration, *pytest, "tests/unit", "tests/api", "tests/versions")
    return code or coverage("combine", "--quiet", configuration) or coverage("report", configuration)


def _benchmarks() -> int:
    """Ratios against peers: declaring on the light cluster, uploads and clones on a real CDI."""
    commands.up(PROFILES["api"])
    code = _pytest("tests/benchmarks/test_declaring.py", more=commands.environment(PROFILES["api"]))
    cluster = target()
    if code or not _has_fixtures(cluster):
        return code
    return _pytest("tests/benchmarks/test_moving.py", more=cluster.environment)


def _has_fixtures(cluster: Target) -> bool:
    missing = [name for name in _FIXTURES if name not in {*os.environ, *cluster.environment}]
    if missing:
        print(f"skipped: this cluster has no {', '.join(missing)} (see tests/cluster/README.md)")
    return not missing


STAGES: dict[str, Callable[[], int]] = {
    "checks": checks.run,
    "unit": _unit,
    "kubectl": _kubectl,
    "api": _api,
    "cluster": _cluster,
    "molecule": _molecule,
    "real": _real,
}
# Not a part of all tests: they take long, or need what no other stage needs.
ON_REQUEST: dict[str, Callable[[], int]] = {
    "benchmarks": _benchmarks,
    "coverage": _coverage,
    "docs": docs.run,
    "real-1.61": _real_1_61,
    "versions": versions.run,
}
