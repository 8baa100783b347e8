# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for the tests of the test cluster itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.csi.pool import create_pool, remove_pool
from tests.cluster.runtime import commands
from tests.cluster.runtime.profile import PROFILES
from tests.cluster_tests.csi_driver import Driver
from tests.cluster_tests.leftovers import Untouched, firewall, node_directories

_POOL_BYTES = 40 << 30  # a sparse file; the default volume of csi-sanity has 10 GiB


@pytest.fixture(scope="session")
def untouched() -> Untouched:
    """The machine before the first start of the full cluster."""
    commands.down(PROFILES["full"])
    return Untouched(firewall(), node_directories())


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Path]:
    """A fresh storage pool."""
    if os.geteuid() != 0:
        pytest.fail("These tests mount a storage pool: run them as root.")
    image, mount_point = tmp_path / "pool.img", tmp_path / "pool"
    create_pool(image, mount_point, _POOL_BYTES)
    yield mount_point
    remove_pool(image, mount_point)


@pytest.fixture
def start_driver(pool: Path) -> Iterator[Callable[..., Driver]]:
    """Starts drivers on the pool with the given command-line options; they end with the test."""
    drivers: list[Driver] = []
    # tmp_path is too long: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory() as directory:

        def start(*options: str) -> Driver:
            driver = Driver(pool, Path(directory), *options)
            drivers.append(driver)
            return driver

        yield start
        for driver in drivers:
            driver.stop()
