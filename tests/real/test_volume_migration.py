# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module volume_migration with CDI alone, on one node: volumes that no machine uses are copied."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
)

from tests.cluster.build.disk_images import DISK_BYTES
from tests.modules import run_on_cluster
from tests.real.objects import create_pod, existing, new_namespace, until
from tests.real.scratch_setup import HTTP, IMAGES, SIZE

THICK = {"preallocation": True}
_IMAGE_DIGEST = hashlib.sha256((IMAGES / "disk.raw").read_bytes()).hexdigest()


@pytest.fixture
def namespace(connection: Connection) -> Iterator[str]:
    with new_namespace(connection) as name:
        yield name


def _run(module: str, namespace: str, **options: Any) -> dict[str, Any]:
    result = run_on_cluster(module, namespace=namespace, wait_timeout=300, **options).result
    assert not result.get("failed"), result["msg"]
    return result


def _moved(namespace: str, **options: Any) -> dict[str, Any]:
    result = _run("volume_migration", namespace, names=["base"], **options)
    (volume,) = result["volumes"]
    return {**volume, "changed": result["changed"]}


def _claims(connection: Connection, namespace: str) -> set[str]:
    return {claim["metadata"]["name"] for claim in connection.list(PERSISTENT_VOLUME_CLAIM, namespace)[0]}


def test_thin_clone_becomes_thick_and_its_base_can_go(
    connection: Connection, namespace: str, digest: Callable[[str, str, int], str]
) -> None:
    """F3, F4, F6, F13: imported, cloned without a copy, made thick by a copy, and then independent."""
    image = {"name": "image", "source": {"http": {"url": f"{HTTP}/disk.qcow2"}}, "storage": SIZE}
    _run("data_volume", namespace, data_volumes=[image])
    clone = {"name": "base", "source": {"pvc": {"name": "image"}}, "storage": SIZE}
    cloned = _run("data_volume", namespace, data_volumes=[{**clone, "require_clone_method": ["snapshot"]}])
    assert cloned["data_volumes"][0]["clone"]["method"] == "snapshot"

    predicted = run_on_cluster("volume_migration", check=True, namespace=namespace, names=["base"], to=THICK).result
    (planned,) = predicted["volumes"]
    assert (planned["action"], planned["method"]) == ("moved", "offline")
    assert connection.get(DATA_VOLUME, planned["target"], namespace) is None

    moved = _moved(namespace, to=THICK)
    assert (moved["action"], moved["target"], moved["state"]) == ("moved", planned["target"], "finished")
    assert moved["reason"] == "no machine uses the volume, so CDI copies it"
    assert moved["allocation"]["allocated_bytes"] >= moved["allocation"]["size_bytes"] >= DISK_BYTES
    assert not _moved(namespace, to=THICK)["changed"]

    deleted = _moved(namespace, to=THICK, when_done="delete_source")
    assert deleted["action"] == "source_deleted"
    connection.delete(DATA_VOLUME, "image", namespace, dry_run=False)
    until(lambda: _claims(connection, namespace) == {moved["target"]}, 300, "the base and the clone are not deleted")
    assert digest(namespace, moved["target"], DISK_BYTES) == _IMAGE_DIGEST
    assert not _moved(namespace, to=THICK, when_done="delete_source")["changed"]


def test_volume_in_use_is_refused_and_moved_to_a_block_device_afterwards(
    connection: Connection, namespace: str, digest: Callable[[str, str, int], str]
) -> None:
    image = {"name": "base", "source": {"http": {"url": f"{HTTP}/disk.qcow2"}}, "storage": SIZE}
    _run("data_volume", namespace, data_volumes=[image])
    create_pod(connection, "reader", namespace, "base")
    refused = run_on_cluster(
        "volume_migration", namespace=namespace, names=["base"], to={"volume_mode": "Block"}
    ).refusal
    assert "Volume 'base' is also in use by pod" in refused
    assert [each["metadata"]["name"] for each in connection.list(DATA_VOLUME, namespace)[0]] == ["base"]
    connection.delete(POD, "reader", namespace, dry_run=False)
    until(lambda: connection.get(POD, "reader", namespace) is None, 300, "the pod is not deleted")

    moved = _moved(namespace, to={"volume_mode": "Block"})
    target = existing(connection, PERSISTENT_VOLUME_CLAIM, moved["target"], namespace)
    assert target["spec"]["volumeMode"] == "Block"
    assert digest(namespace, moved["target"], DISK_BYTES) == _IMAGE_DIGEST
    # Nothing that has ended is taken back.
    assert not run_on_cluster("volume_migration", namespace=namespace, names=["base"], state="aborted").result[
        "changed"
    ]
