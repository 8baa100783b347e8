# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the CSI driver that tests request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.cluster.csi import faults
from tests.cluster.errors import ClusterError
from tests.cluster.paths import state_dir
from tests.cluster_tests.csi_driver import MIB, THIN, Driver

PROFILE = "full"


@pytest.fixture
def driver(start_driver: Callable[..., Driver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A driver that reads its faults from the file of a profile."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    state_dir(PROFILE).mkdir(parents=True)
    return start_driver("--driver-name", THIN, "--faults", str(faults.faults_file(PROFILE)))


def test_fault_ends_after_its_count_until_it_is_set_again(driver: Driver) -> None:
    for _attempt in range(2):
        faults.set_faults(PROFILE, {"CreateVolume": {"code": "UNAVAILABLE", "message": "no array", "count": 2}})
        for _attempt in range(2):
            with pytest.raises(grpc.RpcError) as caught:
                driver.create("volume", MIB)
            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "no array")
        assert driver.create("volume", MIB)


def test_fault_affects_only_matching_calls(driver: Driver) -> None:
    faults.set_faults(PROFILE, {"CreateVolume": {"code": "INTERNAL", "match": "pvc/name.*unlucky"}})
    parameters = {"csi.storage.k8s.io/pvc/name": "unlucky"}
    assert driver.create("one", MIB)
    with pytest.raises(grpc.RpcError, match=r"injected fault"):
        driver.create("two", MIB, **parameters)
    faults.clear_faults(PROFILE)
    assert driver.create("two", MIB, **parameters)


def test_delay_does_not_fail_the_call(driver: Driver) -> None:
    faults.set_faults(PROFILE, {"CreateVolume": {"delay_seconds": 1.5}})
    began = time.monotonic()
    assert driver.create("slow", MIB)
    assert time.monotonic() - began >= 1.5


def test_delayed_call_does_not_delay_the_end_of_the_driver(driver: Driver) -> None:
    faults.set_faults(PROFILE, {"CreateVolume": {"delay_seconds": 3600}})

    def call() -> None:
        with pytest.raises(grpc.RpcError):
            driver.create("slow", MIB)

    caller = threading.Thread(target=call)
    caller.start()
    time.sleep(1)
    began = time.monotonic()
    driver.stop()
    assert time.monotonic() - began < 15
    caller.join()


def test_invalid_file_fails_the_call(driver: Driver) -> None:
    faults.faults_file(PROFILE).write_text("{", encoding="utf-8")
    with pytest.raises(grpc.RpcError, match=r"correct or delete it"):
        driver.create("volume", MIB)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"MakeVolume": {}}, "unknown CSI call 'MakeVolume'"),
        ({"CreateVolume": {"codes": "INTERNAL"}}, "give an object with keys of code, count"),
        ({"CreateVolume": "INTERNAL"}, "give an object with keys of code, count"),
        ({"CreateVolume": {"code": "BROKEN"}}, "has code 'BROKEN'"),
        ({"CreateVolume": {"delay_seconds": -1}}, "has delay_seconds -1"),
        ({"CreateVolume": {"count": 0}}, "has count 0"),
        ({"CreateVolume": {"match": "("}}, "no regular expression"),
    ],
)
def test_invalid_fault_is_refused(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=message.replace("(", r"\(")):
        faults.set_faults(PROFILE, content)
