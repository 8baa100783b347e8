# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other tools: kubernetes.core and kubevirt.core from PyPI, virtctl and kubectl from Go modules.

The cache keeps them. Only the benchmarks, and tests of virtual machines, need them.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

from tests.cluster.build.commands import output
from tests.cluster.build.golang import programs
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.build.scheduler import run

# The last release for Python 3.11; it contains kubernetes.core 6.2.0 and kubevirt.core 2.2.3.
ANSIBLE_PACKAGE = "ansible==12.3.0"
_COLLECTIONS = ("ansible_collections/kubernetes/core/", "ansible_collections/kubevirt/core/")


def _unpack_collections(target: Path, _built: Built) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target), ANSIBLE_PACKAGE]
    output(pip, cwd=target)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith(_COLLECTIONS)])
    wheel.unlink()


_RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("peer-collections", (ANSIBLE_PACKAGE, *_COLLECTIONS), _unpack_collections, compiles=False),
        programs("peer-programs", "peers", ".", "tool"),
    )
}


def peer_collections() -> Path:
    """The collections path of kubernetes.core and kubevirt.core."""
    return run(_RECIPES, ["peer-collections"])["peer-collections"]


def program(name: str) -> str:
    """The path of `virtctl` or `kubectl`."""
    path = shutil.which(name, path=str(run(_RECIPES, ["peer-programs"])["peer-programs"]))
    assert path, f"the recipe peer-programs does not build {name}"
    return path
