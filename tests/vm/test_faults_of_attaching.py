# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of disks that module vm_disks attaches on the real KubeVirt: before the first request, and while it waits.

Each test prints the seconds that the report took. They are no assertion: a busy machine takes longer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    POD,
    VIRTUAL_MACHINE,
    Resource,
)

from tests.modules import run_on_cluster
from tests.real.objects import create, create_pod, existing, until
from tests.vm.guest import Guest
from tests.vm_disks.spec import Entry

HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
NODE = Resource("", "v1", "nodes", "Node", False)
# KubeVirt's DaemonSet virt-handler selects nodes by it.
_OS = "kubernetes.io/os"
_SECONDS = 300
_TRIES = 5
NO_DISKS: list[Entry] = []


class Refusal(NamedTuple):
    """A disk that module vm_disks refuses to attach, and parts of the sentence."""

    words: str
    remedy: str
    disk: Entry


REFUSALS = {
    "claim-missing": Refusal(
        "uses claim 'nothing', which does not exist",
        "create it with module kubevirt.cdi.data_volume",
        {"persistent_volume_claim": {"claim_name": "nothing"}},
    ),
    "wrong-mode": Refusal(
        "volumeMode=Filesystem, but a LUN is a block device",
        "volume_mode=Block",
        {"type": "lun", "data_volume": {"name": "used"}},
    ),
    "used-by-a-pod": Refusal(
        "which is in use by pod", "stop that first", {"persistent_volume_claim": {"claim_name": "used"}}
    ),
    "gate-off": Refusal("DeclarativeHotplugVolumes", "enable", {"name": "drive", "type": "cdrom", "bus": "sata"}),
}


def attach(guest: Guest, entry: Entry) -> dict[str, Any]:
    """The result of a task that attaches a disk. A webhook of KubeVirt that does not answer in time, as on a busy
    machine, is no fault of these tests."""
    options = {"name": "d", "bus": "scsi", **entry}
    for _try in range(_TRIES):
        started = time.monotonic()
        ran = run_on_cluster(
            "vm_disks", name=guest.name, namespace=guest.namespace, disks=[options], wait_timeout=_SECONDS
        )
        seconds = time.monotonic() - started
        if "failed calling webhook" not in str(ran.result.get("msg")):
            break
    print(f"{seconds:.1f} s: {ran.result.get('msg') or 'attached'}")
    return ran.result


def blank(connection: Connection, namespace: str, name: str, **source: Any) -> None:
    storage = {"resources": {"requests": {"storage": "32Mi"}}, "volumeMode": "Filesystem"}
    spec = {"source": source or {"blank": {}}, "storage": {**storage, "accessModes": ["ReadWriteOnce"]}}
    create(connection, DATA_VOLUME, name, namespace, spec=spec)


@pytest.mark.alone("the agent of a node")
def test_faults_of_disks_that_are_not_attached(
    start: Callable[..., Guest], connection: Connection, namespace: str
) -> None:
    guest = start("machine", NO_DISKS)
    blank(connection, namespace, "used")
    create_pod(connection, "user", namespace, "used")
    blank(connection, namespace, "missing", http={"url": f"{HTTP}/nothing"})
    blank(connection, namespace, "data")

    def filled() -> bool:
        return bool(existing(connection, DATA_VOLUME, "data", namespace).get("status", {}).get("phase") == "Succeeded")

    def used() -> bool:
        return bool(existing(connection, POD, "user", namespace)["status"]["phase"] == "Running")

    until(lambda: filled() and used(), _SECONDS, "the volumes are not filled")
    guest.until(lambda: guest.phase() == "Running", "does not run")
    before = existing(connection, VIRTUAL_MACHINE, guest.name, namespace)["spec"]
    for name, refusal in REFUSALS.items():
        result = attach(guest, refusal.disk)
        assert result.get("failed"), name
        assert refusal.words in result["msg"] and refusal.remedy in result["msg"], result["msg"]
    assert existing(connection, VIRTUAL_MACHINE, guest.name, namespace)["spec"] == before
    late = attach(guest, {"data_volume": {"name": "missing"}})
    assert late.get("failed") and late["diagnosis"]["cause"] == "source_not_found", late
    assert "disk 'd' waits for DataVolume 'missing'" in late["msg"] and "correct the URL" in late["msg"], late["msg"]
    # It would keep KubeVirt from attaching other disks.
    blocked = attach(guest, {"name": "data", "data_volume": {"name": "data"}})
    assert blocked.get("failed") and blocked["diagnosis"]["cause"] == "source_not_found", blocked
    assert "KubeVirt attaches no disk while disk 'd' waits" in blocked["msg"], blocked["msg"]
    for name in ("d", "data"):
        run_on_cluster(
            "vm_disks", name=guest.name, namespace=namespace, disks=[{"name": name, "state": "absent"}], wait=False
        )
    guest.until(lambda: not {"d", "data"} & set(_phases(guest)), "does not detach the disks")
    with _without_agent(connection, guest.instance()["status"]["nodeName"]):
        result = attach(guest, {"name": "data", "data_volume": {"name": "data"}})
        assert result.get("failed") and result["diagnosis"]["cause"] == "agent_down", result
        assert "virt-handler of KubeVirt, which starts machines and attaches disks, does not run on" in result["msg"], (
            result["msg"]
        )
        assert "DaemonSet virt-handler" in result["msg"], result["msg"]
        again = attach(guest, {"name": "data", "data_volume": {"name": "data"}})
        # It is declared now, so that the task only warns.
        assert not again.get("failed") and again["diagnosis"]["cause"] == "agent_down", again
    # KubeVirt continues by itself when the agent runs again.
    guest.until(lambda: _phases(guest).get("data") == "Ready", "does not attach the disk")


def _phases(guest: Guest) -> dict[str, str]:
    return {each["name"]: each.get("phase", "") for each in guest.instance()["status"]["volumeStatus"]}


@contextmanager
def _without_agent(connection: Connection, node: str) -> Iterator[None]:
    """virt-handler does not run on a node."""

    def ready() -> list[bool]:
        pods, _version = connection.list(POD, "kubevirt", label_selector="kubevirt.io=virt-handler")
        mine = [pod for pod in pods if pod["spec"].get("nodeName") == node]
        return [
            any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
            for pod in mine
        ]

    def label(value: str) -> None:
        connection.merge(NODE, node, None, {"metadata": {"labels": {_OS: value}}}, dry_run=False)

    label("none")
    try:
        until(lambda: not ready(), _SECONDS, f"virt-handler still runs on {node}")
        yield
    finally:
        label("linux")
        until(lambda: ready() == [True], _SECONDS, f"virt-handler does not run on {node}")
