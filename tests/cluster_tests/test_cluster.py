# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test cluster comes up quickly, mends itself, says what is wrong, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.runtime import bed, lifecycle, machine, objects
from tests.cluster.runtime.profile import PROFILES, Profile

API = PROFILES["api"]
FULL = PROFILES["full"]


@pytest.fixture
def api() -> Iterator[Profile]:
    """The light cluster, freshly started."""
    bed.down(API)
    bed.up(API)
    yield API
    bed.down(API)


def test_the_light_cluster_is_ready_in_ten_seconds() -> None:
    bed.down(API)
    started = time.monotonic()
    bed.up(API)
    assert time.monotonic() - started < 10
    bed.down(API)


def test_a_component_that_ends_is_started_again_and_status_says_so(api: Profile) -> None:
    supervisor = int((api.state / "pid").read_text())
    etcd = next(pid for pid in _descendants(supervisor) if b"/server" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(etcd, signal.SIGKILL)
    lifecycle.wait_until(lambda: _restarts(api, "etcd") == 1, 20, "etcd was not started again", api)
    assert _restarts(api, "kube-apiserver") in (0, 1)


def test_a_cluster_that_was_killed_does_not_stand_in_the_way_of_the_next() -> None:
    bed.up(FULL)
    os.kill(int((FULL.state / "pid").read_text()), signal.SIGKILL)
    lifecycle.wait_until(lambda: not lifecycle.is_up(FULL), 10, "The supervisor outlived its parent", FULL)
    bed.up(FULL)
    assert all(row["pid"] for row in bed.status(FULL))


def test_down_leaves_nothing_of_the_light_cluster(api: Profile) -> None:
    bed.down(api)
    _assert_nothing_left(api)


def test_down_leaves_nothing_of_the_full_cluster_and_the_firewall_is_untouched() -> None:
    before = _firewall()
    bed.up(FULL)
    assert _firewall() == before
    bed.down(FULL)
    _assert_nothing_left(FULL)
    assert _firewall() == before


def test_the_full_cluster_is_ready_in_thirty_seconds_and_reset_empties_it() -> None:
    bed.down(FULL)
    started = time.monotonic()
    bed.up(FULL)
    assert time.monotonic() - started < 30
    marker = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "left-over"}}
    objects.apply(objects.connect(FULL.kubeconfig), [marker])
    started = time.monotonic()
    bed.reset(FULL)
    assert time.monotonic() - started < 30
    namespaces = (
        objects.connect(FULL.kubeconfig).resources.get(api_version="v1", kind="Namespace").get().to_dict()["items"]
    )
    assert "left-over" not in {item["metadata"]["name"] for item in namespaces}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["up", "--profile", "large"], "There is no profile 'large': use one of full, api."),
        (["status", "--profile", "api"], "The api cluster is not up: run"),
        (["env", "--profile", "api"], "The api cluster is not up: run"),
        (["logs", "--profile", "api", "nothing"], "There is no log of 'nothing'"),
    ],
)
def test_wrong_words_end_in_one_sentence(arguments: list[str], sentence: str) -> None:
    bed.down(API)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.cluster", *arguments], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: {sentence}") and ended.stderr.count("\n") == 1


def test_without_root_it_says_so() -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(ClusterError, match="user 65534 may not: run this as root"):
            machine.check_machine(API)
    finally:
        os.seteuid(0)


def test_a_taken_address_is_named() -> None:
    bed.down(API)
    lifecycle.ip("address", "add", f"{API.host_address}/32", "dev", "lo")
    try:
        with pytest.raises(ClusterError, match=f"The address {API.host_address} is taken"):
            machine.check_address(API)
    finally:
        lifecycle.ip("address", "delete", f"{API.host_address}/32", "dev", "lo")


def test_too_small_a_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A real small file system."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(ClusterError, match="has 0 GiB free and 3 GiB are needed: free some, or set XDG_CACHE_HOME"):
            machine.check_machine(API)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def _restarts(profile: Profile, name: str) -> int:
    return next(row["restarts"] for row in bed.status(profile) if row["name"] == name)


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in _descendants(child))]


def _assert_nothing_left(profile: Profile) -> None:
    state = str(profile.state)
    commands = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands[entry.parent.name] = entry.read_bytes()
        except OSError:
            continue  # It ended while we looked.
    assert [command for command in commands.values() if state.encode() in command] == []
    assert state not in Path("/proc/mounts").read_text()
    loops = json.loads(
        subprocess.run(["losetup", "--json", "--list"], check=True, capture_output=True, text=True).stdout or "{}"
    )
    assert [device for device in loops.get("loopdevices", []) if state in str(device["back-file"])] == []
    assert profile.interface not in {name for _index, name in socket.if_nameindex()}
    assert not profile.state.exists()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{profile.cgroup}")) == []


def _firewall() -> str:
    """The rules of the machine itself, without their counters."""
    return (
        subprocess.run(["iptables-save"], check=True, capture_output=True, text=True)
        .stdout.split("# Completed")[0]
        .partition("\n")[2]
    )
