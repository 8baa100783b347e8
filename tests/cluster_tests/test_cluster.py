# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test cluster starts quickly, restarts failed components, reports errors and cleans up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.errors import ClusterError
from tests.cluster.runtime import commands, lifecycle, machine, objects
from tests.cluster.runtime.profile import PROFILES, Profile
from tests.cluster_tests.leftovers import Untouched, assert_nothing_left, firewall

API = PROFILES["api"]
FULL = PROFILES["full"]


@pytest.fixture
def api() -> Iterator[Profile]:
    """A new light cluster."""
    commands.down(API)
    commands.up(API)
    yield API
    commands.down(API)


def test_light_cluster_is_ready_within_two_minutes() -> None:
    """Some five seconds on a machine without other work, on which other stages run."""
    commands.down(API)
    started = time.monotonic()
    commands.up(API)
    assert time.monotonic() - started < 120
    commands.down(API)


def test_component_restarts_when_it_ends(api: Profile) -> None:
    supervisor = int((api.state / "pid").read_text())
    etcd = next(pid for pid in _descendants(supervisor) if b"/server" in Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(etcd, signal.SIGKILL)
    lifecycle.wait_until(lambda: _restarts(api, "etcd") == 1, 300, "etcd was not restarted", api)
    assert _restarts(api, "kube-apiserver") in (0, 1)


def test_down_removes_the_light_cluster(api: Profile) -> None:
    commands.down(api)
    assert_nothing_left(api)


def test_full_cluster_is_ready_within_five_minutes_and_reset_empties_it(untouched: Untouched) -> None:
    """Twenty to thirty seconds on a machine without other work, of which ten to twenty import a GiB of images."""
    started = time.monotonic()
    commands.up(FULL)
    assert time.monotonic() - started < 300
    assert firewall() == untouched.firewall
    marker = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "left-over"}}
    objects.apply(objects.connect(FULL.kubeconfig), [marker])
    started = time.monotonic()
    commands.reset(FULL)
    assert time.monotonic() - started < 300
    namespaces = (
        objects.connect(FULL.kubeconfig).resources.get(api_version="v1", kind="Namespace").get().to_dict()["items"]
    )
    assert "left-over" not in {item["metadata"]["name"] for item in namespaces}


def test_cluster_starts_again_after_it_was_killed() -> None:
    """The tests of other files use this cluster. test_removal.py ends it."""
    commands.up(FULL)
    os.kill(int((FULL.state / "pid").read_text()), signal.SIGKILL)
    lifecycle.wait_until(lambda: not lifecycle.is_up(FULL), 300, "The supervisor outlived its parent", FULL)
    commands.up(FULL)
    lifecycle.wait_until(lambda: all(row["pid"] for row in commands.status(FULL)), 300, "A component is down", FULL)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["up", "--profile", "large"], "There is no profile 'large': use one of full, api."),
        (["up", "--with", "openshift"], "There is no extra 'openshift': use --with kubevirt."),
        (["up", "--nodes", "3"], "--nodes is 3: use 1 or 2."),
        (
            ["up", "--nodes", "2", "--profile", "api"],
            "The api cluster runs no pods: use --nodes 2 with --profile full.",
        ),
        (["status", "--profile", "api"], "The api cluster is not up: run"),
        (["env", "--profile", "api"], "The api cluster is not up: run"),
        (["logs", "--profile", "api", "nothing"], "There is no log of 'nothing'"),
    ],
)
def test_wrong_argument_prints_one_sentence(arguments: list[str], sentence: str) -> None:
    commands.down(API)
    ended = subprocess.run(
        [sys.executable, "-m", "tests.cluster", *arguments], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: {sentence}") and ended.stderr.count("\n") == 1


def test_check_requires_root() -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(ClusterError, match=r"user 65534 cannot: run this as root"):
            machine.check_machine(API)
    finally:
        os.seteuid(0)


def test_check_names_an_address_in_use() -> None:
    commands.down(API)
    lifecycle.ip("address", "add", f"{API.host_address}/32", "dev", "lo")
    try:
        with pytest.raises(ClusterError, match=f"This machine already has the address {API.host_address}: remove it"):
            machine.check_address(API)
    finally:
        lifecycle.ip("address", "delete", f"{API.host_address}/32", "dev", "lo")


def test_check_names_a_disk_without_enough_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The disk is a real file system of 1 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(
            ClusterError, match=r"has 0 GiB of free space and needs 3 GiB: free some space, or set XDG_CACHE_HOME"
        ):
            machine.check_machine(API)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def _restarts(profile: Profile, name: str) -> int:
    return next(int(row["restarts"]) for row in commands.status(profile) if row["name"] == name)


def _descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(below for child in children for below in _descendants(child))]
