# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts and ends the namespaces of a cluster, and cleans up the machine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.runtime import node
from tests.cluster.runtime.component import Component
from tests.cluster.runtime.profile import Profile
from tests.cluster.runtime.storage import pools

_CGROUPS = Path("/sys/fs/cgroup")
# A cluster's pods are a group and its control plane is another; each shares the processors with every single process of
# the tests. With 16 times the usual share (of version 1 and of version 2 of cgroups), CDI keeps up with its events,
# which it sends one by one, also when all processors are busy.
_CONTROL_PLANE = "-control-plane"
_SHARES = {"cpu.shares": 16 * 1024, "cpu.weight": 16 * 100}
_END_SECONDS = 30.0


@dataclass(frozen=True)
class Stage:
    """Components that start together; with `waits` the next stage starts when the API server is ready."""

    components: Sequence[Component]
    waits: bool = False


def is_up(profile: Profile) -> bool:
    return _init_pid(profile) is not None


def start(profile: Profile, stages: Sequence[Stage], directories: Sequence[str] = ()) -> None:
    """Start the supervisor in its namespaces and connect them to the machine's network.

    The files of these directories in the cluster's /var/lib are in the state directory.
    """
    (profile.state / "logs").mkdir(exist_ok=True)
    storage = [
        {"image": str(pool.image), "mount_point": str(pool.mount_point), "bytes": pool.size_bytes}
        for pool in pools(profile)
    ]
    plan = {
        "address": profile.address,
        "gateway": profile.host_address,
        "leave": [],
        "directories": {name: str(profile.state / "var-lib" / name) for name in directories},
        "pools": storage if profile.name == "full" else [],
        "logs": str(profile.state / "logs"),
        "status": str(profile.state / "status.json"),
        "stages": [
            {
                "components": [asdict(component) for component in stage.components],
                "ready": _probe(profile) if stage.waits else None,
            }
            for stage in stages
        ],
    }
    file = profile.state / "plan.json"
    file.write_text(json.dumps(plan, indent=1))
    if profile.name == "full":
        for group in _cgroups(profile):
            group.mkdir(exist_ok=True)
            for name, share in _SHARES.items():
                if (group / name).exists():
                    (group / name).write_text(str(share))
    with (profile.state / "logs" / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            supervisor(file),
            cwd=Path(__file__).parents[3],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: _join(profile),
        )
    (profile.state / "pid").write_text(str(process.pid))
    wait_until(lambda: _init_pid(profile) is not None, 60, "The cluster's namespaces did not start", profile)
    ip("link", "add", profile.interface, "type", "veth", "peer", "name", "eth0", "netns", str(_init_pid(profile)))
    ip("address", "add", f"{profile.host_address}/30", "dev", profile.interface)
    ip("link", "set", profile.interface, "up")
    if profile.name == "full":
        for network in (profile.service_range, profile.second_network):
            ip("route", "add", network, "via", profile.address)


def supervisor(plan: Path) -> list[str]:
    """The command that runs a supervisor in namespaces of its own. It ends with its parent."""
    namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    program = [sys.executable, "-m", "tests.cluster.runtime.supervisor", str(plan)]
    return ["unshare", *namespaces, "--propagation", "private", *program]


def stop(profile: Profile) -> None:
    """End all processes of the cluster and remove what they left on the machine, except the state directory."""
    pid = _init_pid(profile)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(ClusterError):
            wait_until(lambda: _init_pid(profile) is None, _END_SECONDS, "The supervisor does not end", profile)
        if _init_pid(profile) is not None:
            os.kill(pid, signal.SIGKILL)
    if Path("/sys/class/net", profile.interface).exists():
        # The interface goes with its namespace, which the kernel may still be removing.
        subprocess.run(["ip", "link", "delete", profile.interface], check=False, stderr=subprocess.DEVNULL)
    wait_until(lambda: not _loop_devices(profile), 60, f"Loop devices still hold files below {profile.state}", profile)
    for group in _cgroups(profile):
        _remove_cgroup(group)


def remove_state(profile: Profile, keep: Sequence[str] = ()) -> None:
    """Delete the state directory, or all its entries except those in `keep`."""
    if not profile.state.exists():
        return
    for entry in profile.state.iterdir():
        if entry.name in keep:
            continue
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    if not keep:
        profile.state.rmdir()


def wait_until(check: Callable[[], bool], seconds: float, sentence: str, profile: Profile) -> None:
    """Raises ClusterError with `sentence` when `check` is still false after `seconds`."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise ClusterError(f"{sentence} after {seconds:.0f} s: read the logs in {profile.state / 'logs'}.")
        time.sleep(0.1)


def ip(*arguments: str) -> None:
    """Run `ip`. Raises ClusterError with its message."""
    ended = subprocess.run(["ip", *arguments], check=False, capture_output=True, text=True)
    if ended.returncode:
        raise ClusterError(f"`ip {' '.join(arguments)}` failed: {ended.stderr.strip()}; run `down` and try again.")


def _probe(profile: Profile) -> dict[str, str]:
    pki = profile.certificates
    return {
        "url": f"{profile.server}/readyz",
        "ca": str(pki / "ca.crt"),
        "certificate": str(pki / "admin.crt"),
        "key": str(pki / "admin.key"),
    }


def _init_pid(profile: Profile) -> int | None:
    """The supervisor's process id as the machine sees it, None when it does not run."""
    try:
        outer = int((profile.state / "pid").read_text())
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        if b"unshare" in Path(f"/proc/{outer}/cmdline").read_bytes() and children:
            return int(children[0])
    except (OSError, ValueError):
        pass
    return None


def _cgroups(profile: Profile) -> list[Path]:
    """The cgroups of the nodes and of the control plane, in each hierarchy."""
    hierarchies = [entry for entry in _CGROUPS.iterdir() if entry.is_dir() and not entry.is_symlink()]
    suffixes = (*node.SUFFIXES, _CONTROL_PLANE)
    return [entry / f"{profile.cgroup}{suffix}" for entry in hierarchies for suffix in suffixes]


def _join(profile: Profile) -> None:
    """Move this process, and so its children, to the control plane's group of processes that share processors."""
    for group in _cgroups(profile):
        if group.name.endswith(_CONTROL_PLANE) and any((group / name).exists() for name in _SHARES):
            (group / "cgroup.procs").write_text("0")


def _remove_cgroup(group: Path) -> None:
    """A cgroup's directory can be removed when those below it are, and no process is in it."""
    if group.exists():
        for below in [entry for entry in group.iterdir() if entry.is_dir()]:
            _remove_cgroup(below)
        for _attempt in range(50):
            try:
                group.rmdir()
                return
            except OSError:
                time.sleep(0.1)
        raise ClusterError(f"The cgroup {group} is still in use: end its processes, then run `down` again.")


def _loop_devices(profile: Profile) -> list[str]:
    listed = subprocess.run(
        ["losetup", "--json", "--list", "--output", "NAME,BACK-FILE"], check=True, capture_output=True, text=True
    )
    devices = json.loads(listed.stdout or "{}").get("loopdevices", [])
    held = [device["name"] for device in devices if str(device["back-file"]).startswith(str(profile.state))]
    for name in held:
        subprocess.run(["losetup", "--detach", name], check=False, stderr=subprocess.DEVNULL)
    return held
