# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what the test cluster runs from Go modules and Debian packages, once per pinned version.

`ensure("kubernetes", "etcd")` answers where the things are and builds what is missing first.
"""

from __future__ import annotations

from pathlib import Path

from tests.cluster.build.recipes import PRODUCTS, RECIPES
from tests.cluster.build.scheduler import run
from tests.cluster.errors import ClusterError


def ensure(*names: str) -> dict[str, Path]:
    """Where each named product is, after building those that are missing.

    Raises `ClusterError` for an unknown name and for a build that fails.
    """
    unknown = [name for name in names if name not in PRODUCTS]
    if unknown:
        raise ClusterError(f"Nothing is called {', '.join(unknown)}: choose from {', '.join(PRODUCTS)}.")
    built = run(RECIPES, {PRODUCTS[name].recipe for name in names})
    return {name: built[PRODUCTS[name].recipe] / PRODUCTS[name].path for name in names}
