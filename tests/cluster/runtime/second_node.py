# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second node inside the namespaces of the first one, which connects it to the machine.

The first supervisor runs it as `python -m tests.cluster.runtime.second_node PLAN`; do not run it manually.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.cluster.runtime import lifecycle
from tests.cluster.runtime.component import Component
from tests.cluster.runtime.node import DIRECTORIES, Node, first

_INTERFACE = "node2"


def second_node(node: Node, components: Sequence[Component]) -> Component:
    """The component of the first supervisor that runs the second one, which runs these components."""
    state = node.profile.state
    # Directories of the first node. The pools stay: the volumes of both nodes are in them.
    leave = ["/run", "/var/log", *(f"/var/lib/{name}" for name in DIRECTORIES)]
    leave.append(str(first(node.profile).file("containerd-run")))
    plan = {
        "address": node.address,
        "gateway": node.profile.second_gateway,
        "pods": node.pods,
        "leave": leave,
        "directories": {name: str(node.file("var-lib") / name) for name in DIRECTORIES},
        "pools": [],
        "logs": str(state / "logs"),
        "status": str(node.file("status", ".json")),
        "stages": [{"components": [asdict(component) for component in components], "ready": None}],
    }
    file = node.file("plan", ".json")
    file.write_text(json.dumps(plan, indent=1))
    return Component(node.name, [sys.executable, "-m", "tests.cluster.runtime.second_node", str(file)])


def run(file: Path) -> int:
    """Run the supervisor of the second node until it ends, and connect it to the first node."""
    plan = json.loads(file.read_text())
    # The interface of an earlier run goes with its namespace, which the kernel may still be removing.
    subprocess.run(["ip", "link", "delete", _INTERFACE], check=False, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(lifecycle.supervisor(file))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (child := children.read_text().split()):
        time.sleep(0.02)
    lifecycle.ip("link", "add", _INTERFACE, "type", "veth", "peer", "name", "eth0", "netns", child[0])
    lifecycle.ip("address", "add", f"{plan['gateway']}/30", "dev", _INTERFACE)
    lifecycle.ip("link", "set", _INTERFACE, "up")
    lifecycle.ip("route", "add", plan["pods"], "via", plan["address"])
    return process.wait()


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
