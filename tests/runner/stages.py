# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of the tests. All of them run in two lanes side by side; the slowest tests are listed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from tests.cluster.build import ensure
from tests.cluster.errors import ClusterError
from tests.cluster.runtime import commands, machine
from tests.cluster.runtime.profile import PROFILES, first_number
from tests.cluster.target import Target, target
from tests.runner import checks, docs, lanes, versions
from tests.runner.tree import ROOT, checkout_dir, environment

# What the scenarios take from the test cluster; whoever brings another cluster can set them.
_FIXTURES = ("KUBEVIRT_CDI_TEST_HTTP", "KUBEVIRT_CDI_TEST_IMAGES", "KUBEVIRT_CDI_TEST_MANIFESTS")

# Tests of a file stay together. Most wait more than they compute.
_SIDE_BY_SIDE = ("--numprocesses=3", "--dist=loadfile")
# Groups that tests/real/conftest.py makes, in its order.
_BY_GROUP = ("--numprocesses=4", "--dist=loadgroup", "--no-loadscope-reorder")

_SLOWEST = 20
# The first address of the clusters that stage `cluster` starts and ends, beside those of `api` and its workers.
_OWN_NUMBERS = 18

_ON_1_61 = ("test_clone_methods", "test_scratch", "test_uploads", "test_release_1_61", "test_release_1_61_collected")
# What depends on the collection alone, or on how fast the cluster is, and not on CDI's release.
_NOT_ON_1_61 = (
    "test_clone_methods.py::test_c12_c13_copy_needs_two_pods_and_is_slowest",
    "test_uploads.py::test_progress_of_parallel_uploads_is_printed_without_secrets",
    "test_uploads.py::test_terminal_shows_progress_in_one_line",
    "test_uploads.py::test_bytes_seconds_and_speed_agree",
    "test_uploads.py::test_memory_stays_constant",
)


def run(names: Sequence[str]) -> int:
    """Run the named stages, or all of `LANES`; the first failure ends the run. Prints the seconds and the slowest tests."""
    known = {**STAGES, **ON_REQUEST}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ClusterError(f"There is no stage {', '.join(unknown)}: use {', '.join(known)}.")
    shutil.rmtree(_results(), ignore_errors=True)
    _results().mkdir(parents=True)
    if len(names) == 1:
        ended = [_here(names[0], known[names[0]])]
    else:
        ended = lanes.run(_lanes(names), _results(), lambda text: print(text, flush=True))
    print(f"\n{'stage':10} {'seconds':>8} {'processor seconds, without clusters':>36}")
    for stage in ended:
        print(f"{stage.name:10} {stage.seconds:8.1f} {stage.processor_seconds:36.1f}")
    for line in _slowest(_results()):
        print(line)
    failed = ended[-1]
    if failed.code:
        print(f"stage {failed.name} failed; run it alone with: tests/run test {failed.name}", file=sys.stderr)
    return failed.code


def run_part(name: str) -> int:
    """A stage of a lane, in a process of its own."""
    return {**STAGES, **ON_REQUEST}[name]()


def _here(name: str, stage: Callable[[], int]) -> lanes.Ended:
    started, before = time.monotonic(), _processor_seconds()
    code = stage()
    return lanes.Ended(name, code, time.monotonic() - started, _processor_seconds() - before)


def _processor_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _lanes(names: Sequence[str]) -> list[list[lanes.Stage]]:
    """The lanes with the named stages only; stages on request are a part of the second, which has the full cluster.

    The first lane computes and the second waits, so the processors are the second one's when it wants them: its tests
    have bounds of time, and it takes longer.
    """
    first, second = ([name for name in lane if not names or name in names] for lane in LANES)
    second += [name for name in names if name in ON_REQUEST]
    command = (sys.executable, "-m", "tests.runner", "part")
    return [
        [lanes.Stage(name, (*command, name), nice=10) for name in first],
        [lanes.Stage(name, (*command, name)) for name in second],
    ]


def _results() -> Path:
    """What the stages printed, and the seconds of their tests, as JUnit's XML."""
    return checkout_dir() / "results"


def _slowest(results: Path) -> list[str]:
    """The slowest tests of all stages, as lines."""
    cases = [
        (float(case.get("time", 0)), path.stem, f"{case.get('classname')}::{case.get('name')}")
        for path in results.glob("*.xml")
        for case in ElementTree.parse(path).iter("testcase")
    ]
    slowest = sorted(cases, reverse=True)[:_SLOWEST]
    return [f"\nThe {len(slowest)} slowest tests:"] * bool(slowest) + [
        f"{seconds:7.1f} s {stage:8} {name}" for seconds, stage, name in slowest
    ]


def _pytest(stage: str, *arguments: str, more: Mapping[str, str] | None = None) -> int:
    command = [sys.executable, "-m", "pytest", "--import-mode=importlib", "-p", "no:cacheprovider"]
    command += [f"--junitxml={_results() / f'{stage}.xml'}", *arguments]
    return _call(command, environment(dict(more or {})))


def _call(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """The exit code. An interrupt is also the command's, and waits until that has cleaned up."""
    process = subprocess.Popen(command, cwd=ROOT, env=variables)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def _unit() -> int:
    machine.install_file_tools()
    return _pytest("unit", *_SIDE_BY_SIDE, "tests/unit")


def _kubectl() -> int:
    """The way to an API server, against kubectl's own; builds kubectl the first time."""
    return _pytest("kubectl", "tests/kubectl")


def _api() -> int:
    """Wire-level tests on a real API server without a node."""
    commands.up(PROFILES["api"])
    return _pytest("api", *_SIDE_BY_SIDE, "tests/api", "tests/versions", more=commands.environment(PROFILES["api"]))


def _cluster() -> int:
    """The test cluster itself: its storage, fixtures and clean end, on clusters that no other stage uses."""
    with tempfile.TemporaryDirectory(prefix="kubevirt-cdi-") as state:
        own = {
            "KUBEVIRT_CDI_TEST_NUMBER": str((first_number() + _OWN_NUMBERS - 1) % 254 + 1),
            "XDG_STATE_HOME": state,
        }
        try:
            return _pytest("cluster", "tests/cluster_tests", more=own)
        finally:
            _call([sys.executable, "-m", "tests.cluster", "down"], environment(own))


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
            code = _call(["molecule", "test", *scenarios], variables)
            if code:
                return code
    return 0


def _real() -> int:
    """What one wants to see of a real CDI: each claim of the checklists a named test."""
    cluster = target()
    if not _has_fixtures(cluster):
        return 0
    machine.install_browser()
    return _pytest("real", *_BY_GROUP, "tests/real", more=cluster.environment)


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
    return _pytest("real-1.61", *files, *others, more=cluster.environment | {"KUBEVIRT_CDI_TEST_RELEASE": "v1.61.1"})


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
    code = _pytest("declaring", "tests/benchmarks/test_declaring.py", more=commands.environment(PROFILES["api"]))
    cluster = target()
    if code or not _has_fixtures(cluster):
        return code
    return _pytest("moving", "tests/benchmarks/test_moving.py", more=cluster.environment)


def _has_fixtures(cluster: Target) -> bool:
    missing = [name for name in _FIXTURES if name not in {*os.environ, *cluster.environment}]
    if missing:
        print(f"skipped: this cluster has no {', '.join(missing)} (see tests/cluster/README.md)")
    return not missing


def _build() -> int:
    """What both clusters are made of, while the stages that need none run."""
    ensure(*commands.PRODUCTS["api"], *commands.PRODUCTS["full"])
    return 0


STAGES: dict[str, Callable[[], int]] = {
    "checks": checks.run,
    "unit": _unit,
    "kubectl": _kubectl,
    "api": _api,
    "build": _build,
    "cluster": _cluster,
    "molecule": _molecule,
    "real": _real,
}
LANES = (("checks", "unit", "kubectl", "api"), ("build", "cluster", "molecule", "real"))
# Not a part of all tests: they take long, or need what no other stage needs.
ON_REQUEST: dict[str, Callable[[], int]] = {
    "benchmarks": _benchmarks,
    "coverage": _coverage,
    "docs": docs.run,
    "real-1.61": _real_1_61,
    "versions": versions.run,
}
