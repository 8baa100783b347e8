# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs recipes in order: one compilation at a time, downloads in parallel, one builder on a machine."""

from __future__ import annotations

import fcntl
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.build import commands
from tests.cluster.build.progress import Progress
from tests.cluster.build.recipe import Recipe, builds_dir, finished_dir, make


def in_order(recipes: Mapping[str, Recipe], names: Iterable[str]) -> list[Recipe]:
    """The named recipes and their needs, each after its own needs, otherwise in the order of `recipes`."""
    wanted: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending.extend(recipes[name].needs)
    return [recipe for name, recipe in recipes.items() if name in wanted]


@contextmanager
def only_builder() -> Iterator[None]:
    """Hold the build lock of the machine. The end of the process always releases it."""
    builds_dir().mkdir(parents=True, exist_ok=True)
    with (builds_dir() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another build is running on this machine: waiting for it to end.", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(recipes: Mapping[str, Recipe], names: Iterable[str]) -> dict[str, Path]:
    """The directory of each named recipe, after building missing ones under the build lock."""
    asked = list(names)
    finished = {name: finished_dir(recipes[name], recipes) for name in asked}
    if not all(path.exists() for path in finished.values()):
        with only_builder():
            _build_missing(recipes, asked)
    return finished


def _build_missing(recipes: Mapping[str, Recipe], names: list[str]) -> None:
    """Build missing results. A recipe with a result is finished, even if results of its needs are gone."""
    missing: list[Recipe] = []
    built = {name: finished_dir(recipe, recipes) for name, recipe in recipes.items()}
    asked = set(names)
    for recipe in reversed(in_order(recipes, names)):
        if recipe.name in asked and not built[recipe.name].exists():
            missing.insert(0, recipe)
            asked.update(recipe.needs)
    if not missing:
        return
    progress = Progress()
    compiling = ThreadPoolExecutor(1)
    loading = ThreadPoolExecutor(1)
    done: dict[str, Future[None]] = {}

    def fetch(recipe: Recipe) -> None:
        if recipe.fetch:
            with progress.step(f"{recipe.name} downloads"):
                recipe.fetch()

    def step(recipe: Recipe, fetched: Future[None]) -> None:
        for earlier in (fetched, *(done[need] for need in recipe.needs if need in done)):
            earlier.result()
        with progress.step(recipe.name):
            make(recipe, recipes, built)

    try:
        # Downloads for compilations come first: a recipe that does not compile waits for its own.
        fetch_order = sorted(missing, key=lambda recipe: not recipe.compiles)
        fetches = {recipe.name: loading.submit(fetch, recipe) for recipe in fetch_order}
        for recipe in missing:
            lane = compiling if recipe.compiles else loading
            done[recipe.name] = lane.submit(step, recipe, fetches[recipe.name])
        for future in wait(done.values(), return_when=FIRST_EXCEPTION).done:
            future.result()
    finally:
        for pool in (compiling, loading):
            pool.shutdown(wait=False, cancel_futures=True)
        commands.stop_all()
        for pool in (compiling, loading):
            pool.shutdown()
        progress.close()
        _record(progress)


def _record(progress: Progress) -> None:
    """Print and save the seconds of each step; steps that did not run keep their last value."""
    file = builds_dir() / "times.json"
    seconds = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(seconds | progress.seconds, indent=2) + "\n")
    for name, spent in progress.seconds.items():
        print(f"{spent:8.1f} s  {name}", file=sys.stderr)
    print(f"{progress.elapsed():8.1f} s  in all", file=sys.stderr, flush=True)
