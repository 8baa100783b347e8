# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process inside a cluster's namespaces: starts the components in order and restarts those that end.

`lifecycle.start` and `second_node` run it as `python -m tests.cluster.runtime.supervisor PLAN`; do not run it manually.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.csi.pool import create_pool, remove_pool
from tests.cluster.runtime.isolation import isolate

_LOOK_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_STEADY_SECONDS = 30.0
# Memory is plentiful, processors are not: Go collects garbage less often, for a sixth less work of the API server.
_GARBAGE = {"GOGC": "400"}


@dataclass
class Running:
    """A component's process (`pid` 0 while it does not run), and when it may be started or restarted."""

    name: str
    command: list[str]
    environment: dict[str, str]
    pid: int = 0
    started: float = 0
    restarts: int = -1
    start_at: float = 0
    pause: float = field(default=0.2, repr=False)


class Supervisor:
    def __init__(self, plan: Path) -> None:
        self._plan: dict[str, Any] = json.loads(plan.read_text())
        self._running: list[Running] = []
        self._stopping = False

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        isolate(self._plan["directories"], self._plan["leave"])
        _configure_network(self._plan["address"], self._plan["gateway"])
        for pool in self._plan["pools"]:
            create_pool(Path(pool["image"]), Path(pool["mount_point"]), pool["bytes"])
        for stage in self._plan["stages"]:
            self._running += [Running(**component) for component in stage["components"]]
            while not self._stopping and not (self._restart_ended() and self._ready(stage["ready"])):
                time.sleep(_LOOK_SECONDS)
        while not self._stopping:
            self._restart_ended()
            time.sleep(_LOOK_SECONDS)
        self._end()

    def _stop(self, _signal: int, _frame: object) -> None:
        self._stopping = True

    def _restart_ended(self) -> bool:
        """Start what is due, after reaping what has ended, and write the status. True when everything runs."""
        changed = False
        while True:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            for component in self._running:
                if component.pid == pid:
                    component.pid = 0
                    if time.time() - component.started > _STEADY_SECONDS:
                        component.pause = 0.2
                    component.start_at = time.time() + component.pause
                    component.pause = min(component.pause * 2, _LONGEST_PAUSE_SECONDS)
                    changed = True
        for component in self._running:
            if component.pid == 0 and component.start_at <= time.time():
                self._start(component)
                changed = True
        if changed:
            self._write_status()
        return all(component.pid for component in self._running)

    def _start(self, component: Running) -> None:
        with Path(self._plan["logs"], f"{component.name}.log").open("ab") as log:
            component.pid = subprocess.Popen(
                component.command,
                env=os.environ | _GARBAGE | component.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            ).pid
        component.started = time.time()
        component.restarts += 1

    def _write_status(self) -> None:
        rows = {
            component.name: {"pid": component.pid, "started": component.started, "restarts": component.restarts}
            for component in self._running
        }
        status = Path(self._plan["status"])
        partial = status.with_suffix(".partial")
        partial.write_text(json.dumps(rows))
        partial.rename(status)

    def _ready(self, probe: dict[str, str] | None) -> bool:
        if not probe:
            return True
        context = ssl.create_default_context(cafile=probe["ca"])
        context.load_cert_chain(probe["certificate"], probe["key"])
        try:
            with urllib.request.urlopen(probe["url"], context=context, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _end(self) -> None:
        """Kill all other processes in this namespace, then release the storage."""
        os.kill(-1, signal.SIGKILL)
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        for pool in self._plan["pools"]:
            remove_pool(Path(pool["image"]), Path(pool["mount_point"]))


def _configure_network(address: str, gateway: str) -> None:
    while not Path("/proc/net/dev").read_text().count("eth0:"):
        time.sleep(0.02)
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{address}/30", "dev", "eth0")
    _run("ip", "link", "set", "eth0", "up")
    _run("ip", "route", "add", "default", "via", gateway)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    Supervisor(Path(sys.argv[1])).run()
