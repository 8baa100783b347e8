# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage of a target runs out of space while KubeVirt copies to it: the machine goes on, and the next run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import POD
from kubernetes import client
from kubernetes.stream import stream

from tests.modules import Ran, official_client
from tests.real.objects import create_pod, existing, until
from tests.vm.claims import digest, written
from tests.vm.guest import Guest
from tests.vm.test_interrupted_moves import claim_of, in_the_middle, slow
from tests.vm.test_volume_migration import DATA, SIZE, Ok, is_whole

__all__ = ["slow"]
# Of the pool of 320 MiB, 237 MiB are free.
FILLED = "224Mi"
SMALL = {"storage_class_name": "small", "volume_mode": "Block", "access_modes": ["ReadWriteOnce"]}
# The guest writes its beats to the beginning of the disk.
EMPTY = 8 << 20


@pytest.fixture
def fill(connection: Connection, ok: Ok, namespace: str) -> Iterator[Callable[[], None]]:
    """Fills the small pool with a volume of a pod when it is called. The test ends with a pool that is empty again."""
    claim, pod = "filler", "filler"
    ok("data_volume", name=claim, namespace=namespace, source={"blank": {}}, storage={**SMALL, "size": FILLED})
    create_pod(connection, pod, namespace, claim, volumeDevices=[{"name": "volume", "devicePath": "/dev/volume"}])
    until(lambda: existing(connection, POD, pod, namespace)["status"]["phase"] == "Running", 300, "The pod waits")

    def write() -> None:
        stream(
            client.CoreV1Api(official_client()).connect_get_namespaced_pod_exec,
            pod,
            namespace,
            command=["dd", "if=/dev/zero", "of=/dev/volume", "bs=1M", "oflag=direct"],
            stdout=True,
            stderr=True,
        )

    yield write
    make_room(connection, ok, namespace)


def make_room(connection: Connection, ok: Ok, namespace: str) -> None:
    connection.delete(POD, "filler", namespace, dry_run=False)
    until(lambda: connection.get(POD, "filler", namespace) is None, 300, "The pod does not end")
    ok("data_volume", name="filler", namespace=namespace, state="absent")


def test_move_into_a_full_pool_loses_nothing_and_goes_on_when_there_is_room(
    start: Callable[..., Guest],
    slow: ExitStack,
    fill: Callable[[], None],
    module: Callable[..., Ran],
    ok: Ok,
    connection: Connection,
    namespace: str,
    tmp_path: Path,
) -> None:
    """F11. Nearly the whole disk has data, so that its copy needs space."""
    image = tmp_path / "dense.raw"
    image.write_bytes(bytes(EMPTY) + b"data" * ((SIZE - EMPTY) // 4))
    ok("volume_upload", name="source", namespace=namespace, path=str(image), storage={"size": "64Mi"})
    guest = start("machine", [DATA])
    guest.report()
    before = guest.beat()
    options = {"namespace": namespace, "machines": ["machine"], "to": SMALL, "wait_timeout": 900}
    begun = module("volume_migration", **options, state="present").result["volumes"][0]
    assert begun["action"] == "started"
    in_the_middle(guest)
    fill()

    full = module("volume_migration", **options)
    assert f"the storage of volume '{begun['target']}' has no space left" in full.refusal
    assert "make room, and run the task again" in full.refusal
    assert full.result["volumes"][0]["migration"]["failure"]
    middle = guest.beat(after=before["beats"] + 3)
    assert middle["boots"] == 1, "The guest started again"

    slow.close()
    make_room(connection, ok, namespace)
    moved = module("volume_migration", **options).result
    assert not moved.get("failed"), moved["msg"]
    (volume,) = moved["volumes"]
    assert (volume["state"], volume["target"]) == ("finished", begun["target"])
    assert claim_of(connection, namespace) == begun["target"]
    after = guest.beat(after=middle["beats"] + 3)
    assert after["boots"] == 1, "The guest started again"
    guest.stop()
    is_whole(written(connection, namespace, begun["target"]), after["beats"])
    assert digest(connection, namespace, begun["target"], EMPTY) == digest(connection, namespace, "source", EMPTY)
