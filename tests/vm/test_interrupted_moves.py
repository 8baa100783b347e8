# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves of volumes that are interrupted: no data are lost, and the next task ends them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    VIRTUAL_MACHINE,
    Resource,
)

from tests.modules import Ran
from tests.real.objects import create, existing
from tests.vm.claims import written
from tests.vm.guest import Guest
from tests.vm.kubevirt_setup import NAMESPACE as KUBEVIRT
from tests.vm.test_volume_migration import DATA, Ok, is_whole, thin

POLICY = Resource("migrations.kubevirt.io", "v1alpha1", "migrationpolicies", "MigrationPolicy", False)
BLOCK, FILESYSTEM = {"volume_mode": "Block"}, {"volume_mode": "Filesystem"}
# Runs a module in a process of its own, which can be killed.
_PROGRAM = "import json, sys; from tests.modules import run_in_process; run_in_process(*json.loads(sys.argv[1]))"


@pytest.fixture
def slow(connection: Connection, namespace: str) -> Iterator[ExitStack]:
    """Machines of the namespace migrate so slowly that a move has a middle, until it is closed."""
    spec = {
        "selectors": {"namespaceSelector": {"kubernetes.io/metadata.name": namespace}},
        "bandwidthPerMigration": "2Mi",
        "completionTimeoutPerGiB": 6000,
    }
    create(connection, POLICY, namespace, spec=spec)
    with ExitStack() as stack:
        stack.callback(connection.delete, POLICY, namespace, dry_run=False)
        yield stack


@pytest.fixture
def guest(start: Callable[..., Guest], ok: Ok, namespace: str) -> Guest:
    """A machine whose guest writes beats to a thin volume."""
    thin(ok, namespace)
    started = start("machine", [DATA])
    started.report()
    return started


def in_the_middle(guest: Guest) -> None:
    """Wait until KubeVirt copies a volume."""

    def copies() -> bool:
        status = guest.instance()["status"]
        state = status.get("migrationState") or {}
        return bool(status.get("migratedVolumes")) and bool(state.get("startTimestamp")) and not state.get("completed")

    guest.until(copies, "does not copy its volume")


def claim_of(connection: Connection, namespace: str) -> str:
    """The claim of the disk in the template."""
    spec = existing(connection, VIRTUAL_MACHINE, "machine", namespace)["spec"]["template"]["spec"]
    (name,) = [each["dataVolume"]["name"] for each in spec["volumes"] if each["name"] == "data"]
    return str(name)


def test_killed_task_and_controllers_and_a_restart_lose_nothing(
    guest: Guest, slow: ExitStack, module: Callable[..., Ran], connection: Connection, namespace: str
) -> None:
    """F11: the seed's step 8, a restart in the middle; and the ends of Ansible, virt-controller and virt-handler."""
    before = guest.beat()
    options = {"namespace": namespace, "machines": ["machine"], "wait_timeout": 900}

    # The task is killed, and KubeVirt loses its controller and the agents of both nodes.
    arguments = json.dumps(["volume_migration", {"kubeconfig": os.environ["KUBECONFIG"], **options, "to": BLOCK}])
    with subprocess.Popen([sys.executable, "-c", _PROGRAM, arguments]) as task:
        in_the_middle(guest)
        task.kill()
    for pod in connection.list(POD, KUBEVIRT)[0]:
        if pod["metadata"]["name"].startswith(("virt-controller", "virt-handler")):
            connection.delete(POD, pod["metadata"]["name"], KUBEVIRT, dry_run=False)
    ended = module("volume_migration", **options, to=BLOCK).result
    assert not ended.get("failed"), ended["msg"]
    (volume,) = ended["volumes"]
    assert (volume["state"], volume["target"]) == ("finished", claim_of(connection, namespace))
    middle = guest.beat(after=before["beats"] + 3)
    assert middle["boots"] == 1, "The guest started again"

    # The machine is switched off in the middle of its next move, and started again.
    begun = module("volume_migration", **options, to=FILESYSTEM, state="present").result["volumes"][0]
    assert begun["action"] == "started"
    in_the_middle(guest)
    guest.stop()
    refused = module("volume_migration", **options, to=FILESYSTEM).refusal
    assert f"ended while disk 'data' was moved, and its template names '{begun['target']}'" in refused
    assert "Run the task with state=aborted" in refused
    aborted = module("volume_migration", **options, state="aborted").result
    assert aborted["volumes"][0]["state"] == "aborted"
    assert claim_of(connection, namespace) == volume["target"]
    assert connection.get(PERSISTENT_VOLUME_CLAIM, begun["target"], namespace) is None
    is_whole(written(connection, namespace, claim_of(connection, namespace)), middle["beats"])
    guest.set_running(running=True)
    again = guest.beat(after=middle["beats"])
    assert again["boots"] == 2

    slow.close()
    moved = module("volume_migration", **options, to=FILESYSTEM).result
    assert not moved.get("failed"), moved["msg"]
    last = guest.beat(after=again["beats"] + 1)
    assert last["boots"] == 2
    guest.stop()
    is_whole(written(connection, namespace, claim_of(connection, namespace)), last["beats"])


def test_target_that_is_deleted_is_left_for_a_new_one(
    guest: Guest, slow: ExitStack, module: Callable[..., Ran], connection: Connection, namespace: str
) -> None:
    """Kubernetes keeps the data of a deleted claim only until the machine ends."""
    before = guest.beat()
    options = {"namespace": namespace, "machines": ["machine"], "wait_timeout": 900, "to": BLOCK}
    begun = module("volume_migration", **options, state="present").result["volumes"][0]
    in_the_middle(guest)
    connection.delete(DATA_VOLUME, begun["target"], namespace, dry_run=False)
    slow.close()

    reported = module("volume_migration", **options)
    assert f"runs on volume '{begun['target']}', which another client is deleting" in reported.refusal
    moved = module("volume_migration", **options).result
    assert not moved.get("failed"), moved["msg"]
    (volume,) = moved["volumes"]
    assert volume["differs"] == ["it is being deleted"]
    assert volume["target"] == claim_of(connection, namespace) != begun["target"]
    after = guest.beat(after=before["beats"] + 3)
    assert after["boots"] == 1, "The guest started again"
    guest.stop()
    is_whole(written(connection, namespace, volume["target"]), after["beats"])
