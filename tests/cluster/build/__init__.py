# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the programs of the test cluster from Go modules and Debian packages, once for each pinned version.

`ensure("kubernetes", "etcd")` builds what is missing and returns the paths of the products.
"""

from __future__ import annotations

from pathlib import Path

from tests.cluster.build.recipes import PRODUCTS, RECIPES
from tests.cluster.build.scheduler import run
from tests.cluster.errors import ClusterError


def ensure(*names: str) -> dict[str, Path]:
    """The path of each named product, after building the missing ones.

    Raises `ClusterError` for an unknown name and for a build that fails.
    """
    unknown = [name for name in names if name not in PRODUCTS]
    if unknown:
        raise ClusterError(f"There is no product {', '.join(unknown)}: choose from {', '.join(PRODUCTS)}.")
    built = run(RECIPES, {PRODUCTS[name].recipe for name in names})
    return {name: built[PRODUCTS[name].recipe] / PRODUCTS[name].path for name in names}
