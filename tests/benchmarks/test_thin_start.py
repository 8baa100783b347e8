# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The time from the declaration of a machine's disk to its first use: a thin clone, a copy and an import."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.cdi_setup import connection
from tests.modules import run_on_cluster
from tests.real.objects import new_namespace

__all__ = ["connection"]

GIB = 2
ROUNDS = 3
OF_A_COPY_AT_LEAST = 5.0
HTTP, IMAGES = os.environ["KUBEVIRT_CDI_TEST_HTTP"], Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"])
SOURCES: dict[str, dict[str, Any]] = {
    "thin clone (snapshot)": {"source": {"pvc": {"name": "golden"}}, "require_clone_method": ["snapshot"]},
    "full copy": {"source": {"pvc": {"name": "golden"}}, "annotations": {"cdi.kubevirt.io/cloneType": "copy"}},
    "import": {"source": {"http": {"url": f"{HTTP}/thin-start.raw"}}},
}


@pytest.fixture
def image() -> Iterator[Path]:
    """A raw image of random bytes on the HTTP server of the test cluster."""
    file = IMAGES / "thin-start.raw"
    with file.open("wb") as written:
        for _mib in range(GIB << 10):
            written.write(os.urandom(1 << 20))
    yield file
    file.unlink()


def test_thin_clone_is_ready_several_times_as_fast_as_a_copy(
    connection: Connection, image: Path, figure: Callable[..., None]
) -> None:
    storage = {"size": f"{GIB}Gi", "storage_class_name": "thin"}
    seconds: dict[str, list[float]] = {name: [] for name in SOURCES}
    with new_namespace(connection) as namespace:

        def declare(**volume: Any) -> float:
            started = time.monotonic()
            volumes = [{"storage": storage, **volume}]
            result = run_on_cluster("data_volume", namespace=namespace, data_volumes=volumes, wait_timeout=900).result
            assert not result.get("failed"), result["msg"]
            return time.monotonic() - started

        declare(name="golden", source={"http": {"url": f"{HTTP}/{image.name}"}})
        for number in range(ROUNDS):
            for place, (name, volume) in enumerate(SOURCES.items()):
                seconds[name].append(declare(name=f"disk-{number}-{place}", **volume))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    thin = medians["thin clone (snapshot)"]
    for name, median in medians.items():
        figure(f"volume of {GIB} GiB", name, f"{median:.1f} s", f"{median / thin:.1f} times the thin clone")
    assert medians["full copy"] / thin >= OF_A_COPY_AT_LEAST, seconds
