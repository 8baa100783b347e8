# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster could leave on the machine when it ends."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.cluster.runtime.node import DIRECTORIES
from tests.cluster.runtime.profile import Profile


class Untouched(NamedTuple):
    """The firewall and the directories of nodes on a machine before a cluster starts."""

    firewall: str
    node_directories: set[str]


def assert_nothing_left(profile: Profile) -> None:
    state = str(profile.state)
    running = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            running[entry.parent.name] = entry.read_bytes()
        except OSError:
            continue  # The process has ended since the listing.
    assert [command for command in running.values() if state.encode() in command] == []
    assert state not in Path("/proc/mounts").read_text()
    loops = json.loads(
        subprocess.run(["losetup", "--json", "--list"], check=True, capture_output=True, text=True).stdout or "{}"
    )
    assert [device for device in loops.get("loopdevices", []) if state in str(device["back-file"])] == []
    assert profile.interface not in {name for _index, name in socket.if_nameindex()}
    assert not profile.state.exists()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{profile.cgroup}*")) == []


def firewall() -> str:
    """The firewall rules of the machine, without their counters."""
    return (
        subprocess.run(["iptables-save"], check=True, capture_output=True, text=True)
        .stdout.split("# Completed")[0]
        .partition("\n")[2]
    )


def node_directories() -> set[str]:
    """Directories of nodes in the machine's /var/lib. Programs of the machine itself can have some there."""
    return {name for name in DIRECTORIES if Path("/var/lib", name).exists()}
