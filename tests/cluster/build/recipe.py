# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recipe: how one directory of the build cache comes to be, and what it depends on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.paths import cache_dir

Built = Mapping[str, Path]


def builds_dir() -> Path:
    """All builds, one directory each."""
    return cache_dir() / "builds"


@dataclass(frozen=True)
class Recipe:
    """`build(target, built)` fills the empty directory `target`; `built` has the directories of `needs`.

    `fetch` downloads what `build` will use and runs earlier, beside other builds. A recipe that is not `compiles`
    waits for the network most of its time, so it runs beside those that are.
    """

    name: str
    inputs: tuple[Path | str, ...]
    build: Callable[[Path, Built], None]
    needs: tuple[str, ...] = ()
    fetch: Callable[[], None] | None = None
    compiles: bool = True


def _files(path: Path) -> list[Path]:
    """The files below a directory in a fixed order, or the file itself."""
    return [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())


def key(recipe: Recipe, recipes: Mapping[str, Recipe]) -> str:
    """16 hex digits that change with the inputs of this recipe and of all that it needs."""
    digest = hashlib.sha256(recipe.name.encode())
    for value in recipe.inputs:
        if isinstance(value, str):
            digest.update(f"\0{value}".encode())
            continue
        for file in _files(value):
            digest.update(f"\0{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    for need in recipe.needs:
        digest.update(f"\0{key(recipes[need], recipes)}".encode())
    return digest.hexdigest()[:16]


def finished_dir(recipe: Recipe, recipes: Mapping[str, Recipe]) -> Path:
    """Where the recipe's result is; it exists only once the result is complete."""
    return builds_dir() / f"{recipe.name}-{key(recipe, recipes)}"


def make(recipe: Recipe, recipes: Mapping[str, Recipe], built: Built) -> Path:
    """Build under another name and rename at the end, so that no interrupted build is taken for a finished one."""
    finished = finished_dir(recipe, recipes)
    partial = finished.with_name(f"{finished.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    recipe.build(partial, built)
    partial.rename(finished)
    return finished
