# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static checks of the collection: sanity, lints, types, licenses, documentation, and the importer of Galaxy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.runner import docs, tarball
from tests.runner.tree import ROOT, checkout_dir, collections_path, copy_checkout, environment

# ansible-test 2.19 would download this file to install pip in its environments; Python includes pip.
_GET_PIP = Path.home() / ".ansible" / "test" / "cache" / "get_pip_24_2.py"
_GET_PIP_TEXT = "import ensurepip\nensurepip.bootstrap(upgrade=True, default_pip=True)\n"
# The file descriptor to which a check writes: several checks run at the same time.
Log = int


def run() -> int:
    """0 when all checks pass. Prints the time of each check when it ends, after its output if it failed."""
    collections_path()
    copy = _copy("lint")
    if not _GET_PIP.exists():
        _GET_PIP.parent.mkdir(parents=True, exist_ok=True)
        _GET_PIP.write_text(_GET_PIP_TEXT)
    failed = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = {pool.submit(_logged, check, copy): name for name, check in CHECKS.items()}
        for ended in as_completed(running):
            code, seconds, output = ended.result()
            if code:
                failed = code
                print(output.rstrip())
            print(f"{'failed' if code else 'ok':6} {running[ended]:22} {seconds:6.1f} s", flush=True)
    return failed


def _logged(check: Callable[[Path, Log], int], copy: Path) -> tuple[int, float, str]:
    started = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        code = check(copy, log.fileno())
        log.seek(0)
        return code, time.monotonic() - started, log.read()


def _call(log: Log, *command: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> int:
    return subprocess.run(command, cwd=cwd, check=False, stdout=log, stderr=log, env=env).returncode


def _copy(purpose: str) -> Path:
    """The files of the checkout that git knows, at a path that Ansible accepts for a collection."""
    target = checkout_dir() / purpose / "ansible_collections" / "kubevirt" / "cdi"
    shutil.rmtree(target, ignore_errors=True)
    copy_checkout(target)
    subprocess.run(["git", "init", "--quiet"], cwd=target, check=True)
    return target


def _sanity(_copy_of_all: Path, log: Log) -> int:
    return _ansible_test(log, "sanity", "--skip-test", "pylint")


def _pylint(_copy_of_all: Path, log: Log) -> int:
    """The slowest test of ansible-test, beside its others."""
    return _ansible_test(log, "pylint", "--test", "pylint")


def _ansible_test(log: Log, purpose: str, *tests: str) -> int:
    """On a separate copy, because ansible-test writes files that the other checks must not read.

    ansible-test runs with our Python, and each of its tests in an environment that it keeps in the home directory.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _call(log, "ansible-test", "sanity", "--python", python, "--color", "no", *tests, cwd=_copy(purpose))


def _lint(copy: Path, log: Log) -> int:
    return _call(log, "ansible-lint", "--nocolor", cwd=copy, env=environment({}))


def _types(copy: Path, log: Log) -> int:
    """The plugins as `ansible_collections.kubevirt.cdi.plugins`, the tests as `tests`."""
    return _call(
        log,
        *("mypy", "--config-file", "mypy.ini", f"--cache-dir={checkout_dir() / 'mypy'}"),
        *("-p", "ansible_collections.kubevirt.cdi.plugins", "-p", "tests"),
        env=environment({"MYPYPATH": f"{collections_path()}:{ROOT}"}),
    )


def _ruff(copy: Path, log: Log) -> int:
    return _call(log, "ruff", "check", "--no-cache", cwd=copy) or _call(
        log, "ruff", "format", "--no-cache", "--check", cwd=copy
    )


def _galaxy(copy: Path, log: Log) -> int:
    """Run the importer of Galaxy and Automation Hub on the tarball; a warning is a failure."""
    with tempfile.TemporaryDirectory() as directory:
        built = tarball.build(copy, Path(directory))
        found = tarball.importer_findings(built)
    os.write(log, "\n".join(found).encode())
    return 1 if found else 0


def _changelog(copy: Path, log: Log) -> int:
    """The fragments and changelog.yaml are valid, and CHANGELOG.rst is generated from them."""
    code = _call(log, "antsibull-changelog", "lint", cwd=copy)
    code = code or _call(log, "antsibull-changelog", "lint-changelog-yaml", "changelogs/changelog.yaml", cwd=copy)
    if code:
        return code
    with tempfile.TemporaryDirectory() as directory:
        again = Path(directory) / "CHANGELOG.rst"
        code = _call(log, "antsibull-changelog", "generate", "--output", str(again), cwd=copy)
        return code or _call(log, "diff", "-u", "CHANGELOG.rst", str(again), cwd=copy)


def _references(copy: Path, log: Log) -> int:
    """antsibull-docs can render the documentation, and links to options, values and plugins have a target."""
    return _call(
        log,
        *("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--check-extra-docs-refs", "--skip-rstcheck"),
        *("--validate-collection-refs", "dependent", str(copy)),
    )


def _licenses(copy: Path, log: Log) -> int:
    """Every file states its license (https://reuse.software)."""
    return _call(log, "reuse", "lint", "--lines")


def _site(copy: Path, log: Log) -> int:
    return docs.run(log)


# The slowest first, which balances the processors.
CHECKS: dict[str, Callable[[Path, Log], int]] = {
    "ansible-test pylint": _pylint,
    "ansible-test sanity": _sanity,
    "galaxy-importer": _galaxy,
    "documentation": _site,
    "ansible-lint": _lint,
    "mypy": _types,
    "ruff": _ruff,
    "antsibull-docs": _references,
    "reuse": _licenses,
    "antsibull-changelog": _changelog,
}
