# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of the tests, which run in lanes side by side."""

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

from tests.cluster.build import ensure
from tests.cluster.errors import ClusterError
from tests.cluster.runtime import commands, machine
from tests.cluster.runtime.extras import Extras, saved
from tests.cluster.runtime.profile import PROFILES, first_number
from tests.cluster.target import Target, given, target
from tests.runner import checks, docs, figures, lanes, versions
from tests.runner.tree import ROOT, checkout_dir, environment

# Variables of the test cluster that stages `molecule`, `settings` and `real` need; for another cluster, set them.
_FIXTURES = ("KUBEVIRT_CDI_TEST_HTTP", "KUBEVIRT_CDI_TEST_IMAGES", "KUBEVIRT_CDI_TEST_MANIFESTS")

_DOWN = (sys.executable, "-m", "tests.cluster", "down")
_PYTEST = (sys.executable, "-m", "pytest", "--import-mode=importlib", "-p", "no:cacheprovider")
# The tests of a file run in one process. Most of them wait more than they compute.
_SIDE_BY_SIDE = ("--numprocesses=3", "--dist=loadfile")
# In the order of tests/real/conftest.py.
_IN_ORDER = ("--numprocesses=4", "--dist=loadfile", "--no-loadscope-reorder")
# In the order of tests/vm/conftest.py. A machine that boots takes a processor.
_TWO_AT_ONCE = ("--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder")

# The number of the clusters that stage `cluster` starts and ends, after those of `api`.
_OWN_NUMBER = 18

ON_1_61 = ("test_clone_methods", "test_scratch", "test_uploads", "test_release_1_61", "test_release_1_61_collected")
# These depend on the collection or on the speed of the cluster, and not on the release of CDI.
NOT_ON_1_61 = (
    "test_clone_methods.py::test_c12_c13_copy_needs_two_pods_and_is_slowest",
    "test_uploads.py::test_progress_of_parallel_uploads_is_printed_without_secrets",
    "test_uploads.py::test_terminal_shows_progress_in_one_line",
    "test_uploads.py::test_bytes_seconds_and_speed_agree",
    "test_uploads.py::test_memory_stays_constant",
)


def run(names: Sequence[str]) -> int:
    """Run the named stages, or all of them. The first failure ends the run. Prints times and the slowest tests."""
    known = {**STAGES, **ON_REQUEST}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ClusterError(f"There is no stage {', '.join(unknown)}: use {', '.join(known)}.")
    shutil.rmtree(_results(), ignore_errors=True)
    _results().mkdir(parents=True)
    if len(names) == 1:
        ended = [_here(names[0], known[names[0]])]
    else:
        ended = lanes.run(plan(names), _results(), lambda text: print(text, flush=True))
    print(f"\n{'stage':10} {'seconds':>8} {'processor seconds, without clusters':>36}")
    for stage in ended:
        print(f"{stage.name:10} {stage.seconds:8.1f} {stage.processor_seconds:36.1f}")
    for line in (*figures.slowest(_results()), *figures.times_to_report(_results())):
        print(line)
    failed = ended[-1]
    if failed.code:
        print(f"stage {failed.name} failed; run it alone with: tests/run test {failed.name}", file=sys.stderr)
    return failed.code


def run_part(name: str) -> int:
    """Run one stage, as the process of a lane."""
    return {**STAGES, **ON_REQUEST}[name]()


def _here(name: str, stage: Callable[[], int]) -> lanes.Ended:
    started, before = time.monotonic(), _processor_seconds()
    code = stage()
    return lanes.Ended(name, code, time.monotonic() - started, _processor_seconds() - before)


def _processor_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def plan(names: Sequence[str]) -> list[list[lanes.Stage]]:
    """The lanes with the named stages only; stages on request run in the second lane, which has the full cluster."""
    first, second = ([name for name in lane if not names or name in names] for lane in LANES)
    second += [name for name in names if name in ON_REQUEST and name not in second]
    command = (sys.executable, "-m", "tests.runner", "part")
    return [[lanes.Stage(name, (*command, name)) for name in lane] for lane in (first, second)]


def _other_cluster(number: int, state: Path) -> dict[str, str]:
    """The variables that select another test cluster than that of `tests/run cluster`."""
    return {
        "KUBEVIRT_CDI_TEST_NUMBER": str((first_number() + number - 1) % 254 + 1),
        "XDG_STATE_HOME": str(state),
    }


def _results() -> Path:
    """For each stage its output, `STAGE.log`, and the times of its tests in the format of JUnit, `STAGE.xml`."""
    return checkout_dir() / "results"


def run_pytest(arguments: Sequence[str]) -> int:
    """Run pytest with these arguments in the environment of the stages."""
    return _call([*_PYTEST, *arguments], environment({}))


def _pytest(stage: str, *arguments: str, more: Mapping[str, str] | None = None) -> int:
    results = f"--junitxml={_results() / f'{stage}.xml'}"
    return _call([*_PYTEST, results, *arguments], environment(dict(more or {})))


def _call(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """The exit code. An interrupt reaches the command as well: wait until it has cleaned up."""
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
    """Connections to an API server, compared with those of kubectl, which is built the first time."""
    return _pytest("kubectl", "tests/kubectl")


def _api() -> int:
    """Tests of requests to a real API server without a node."""
    commands.up(PROFILES["api"])
    return _pytest("api", *_SIDE_BY_SIDE, "tests/api", "tests/versions", more=commands.environment(PROFILES["api"]))


def _cluster() -> int:
    """The test cluster: its storage, fixtures and cleanup, on clusters that no other stage uses."""
    with tempfile.TemporaryDirectory(prefix="kubevirt-cdi-") as state:
        own = _other_cluster(_OWN_NUMBER, Path(state))
        try:
            return _pytest("cluster", "tests/cluster_tests", more=own)
        finally:
            _call(_DOWN, environment(own))


def _molecule() -> int:
    """Scenarios on the full cluster, which is emptied first, so that check mode also runs on an empty cluster.

    `upgrade` is the first and leaves an empty cluster for the others. It removes CDI with all volumes, and never runs
    on another cluster than ours. The state that molecule keeps is deleted after the run: after an interrupted run,
    molecule would skip the preparation of a scenario.
    """
    cluster = target(empty=True)
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
    """Each other claim about a real CDI as a named test."""
    cluster = target()
    if not _has_fixtures(cluster):
        return 0
    machine.install_browser()
    return _pytest("real", *_IN_ORDER, "-m", "not alone", "tests/real", more=cluster.environment)


def _settings() -> int:
    """The claims whose tests change settings that the whole cluster shares: one test at a time, after stage `real`."""
    cluster = target()
    if not _has_fixtures(cluster):
        return 0
    return _pytest("settings", "-m", "alone", "tests/real", more=cluster.environment)


def _real_1_61() -> int:
    """Clones, scratch space and uploads as in stage `real`, and the behavior of older releases, on CDI 1.61.1.

    It resets the cluster, because CDI cannot be downgraded. The last test upgrades CDI.
    """
    cluster = target(empty=True)
    if not cluster.own:
        print("skipped: this stage resets the cluster, and KUBECONFIG names another cluster than the test cluster")
        return 0
    files = [f"tests/real/{name}.py" for name in ON_1_61]
    others = [f"--deselect=tests/real/{name}" for name in NOT_ON_1_61]
    return _pytest("real-1.61", *files, *others, more=cluster.environment | {"KUBEVIRT_CDI_TEST_RELEASE": "v1.61.1"})


def _vm() -> int:
    """Virtual machines on a real KubeVirt, which the tests install. Restarts a test cluster without its images."""
    if given():
        print("skipped: this stage installs KubeVirt, and KUBECONFIG names another cluster than the test cluster")
        return 0
    wanted = Extras(kubevirt=True, nodes=2)
    if not saved(PROFILES["full"]).covers(wanted):
        commands.down(PROFILES["full"])
    commands.up(PROFILES["full"], wanted)
    more = commands.environment(PROFILES["full"])
    return _pytest("vm", *_TWO_AT_ONCE, "tests/vm", more=more) or _pytest("vm-down", "tests/vm/down.py", more=more)


def _coverage() -> int:
    """Print the branches of the plugins that the tests without a node do not cover."""
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
    """Compare with other tools: declarations on the light cluster, uploads and clones on a real CDI."""
    commands.up(PROFILES["api"])
    code = _pytest("declaring", "tests/benchmarks/test_declaring.py", more=commands.environment(PROFILES["api"]))
    cluster = target()
    if code or not _has_fixtures(cluster):
        return code
    files = [f"tests/benchmarks/test_{name}.py" for name in ("moving", "sparse_uploads", "thin_start")]
    return _pytest("moving", *files, more=cluster.environment)


def _has_fixtures(cluster: Target) -> bool:
    missing = [name for name in _FIXTURES if name not in {*os.environ, *cluster.environment}]
    if missing:
        print(f"skipped: this cluster has no {', '.join(missing)} (see tests/cluster/README.md)")
    return not missing


def _build() -> int:
    """Build what the test clusters lack."""
    machine.install_packages()
    ensure(*commands.PRODUCTS["api"], *commands.PRODUCTS["full"])
    return 0


STAGES: dict[str, Callable[[], int]] = {
    "checks": checks.run,
    "unit": _unit,
    "kubectl": _kubectl,
    "api": _api,
    "cluster": _cluster,
    "molecule": _molecule,
    "real": _real,
    "settings": _settings,
}
# Not part of all tests: these take long, or need programs that no other stage needs.
ON_REQUEST: dict[str, Callable[[], int]] = {
    "build": _build,
    "benchmarks": _benchmarks,
    "coverage": _coverage,
    "docs": docs.run,
    "real-1.61": _real_1_61,
    "versions": versions.run,
    "vm": _vm,
}
# Those of the second lane wait for the build, which runs while the others compute.
LANES = (("checks", "unit", "kubectl", "api"), ("build", "molecule", "real", "settings", "cluster"))
