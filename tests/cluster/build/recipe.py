# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: how to build a directory of the build cache, and what it depends on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.paths import cache_dir

Built = Mapping[str, Path]


def builds_dir() -> Path:
    """The directory of all builds."""
    return cache_dir() / "builds"


@dataclass(frozen=True)
class Recipe:
    """`build(target, built)` fills the empty directory `target`; `built` has the directories of `needs`.

    `fetch` downloads what `build` uses; it runs earlier, in parallel with other builds. A recipe without `compiles`
    mostly waits for the network, so it runs in parallel with those that compile.
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
    """16 hex digits that change with the inputs of this recipe and of its needs."""
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
    """The directory of the result; it exists only when the result is complete."""
    return builds_dir() / f"{recipe.name}-{key(recipe, recipes)}"


def make(recipe: Recipe, recipes: Mapping[str, Recipe], built: Built) -> Path:
    """Build with another name and rename at the end, so that an interrupted build never counts as finished."""
    finished = finished_dir(recipe, recipes)
    partial = finished.with_name(f"{finished.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    recipe.build(partial, built)
    partial.rename(finished)
    return finished
