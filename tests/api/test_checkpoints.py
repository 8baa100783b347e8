# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-stage imports: CDI accepts new checkpoints of an existing volume, and pauses after each but the final one."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, SECRET

from tests.api.objects import SetStatus, fetch
from tests.modules import RunModule
from tests.wire import Wire

VDDK = {"url": "https://v", "uuid": "u", "backing_file": "b", "thumbprint": "t", "secret_ref": "s"}
FIRST, SECOND = {"previous": "", "current": "one"}, {"previous": "one", "current": "two"}


@pytest.fixture(autouse=True)
def credentials(connection: Connection, namespace: str) -> None:
    """The Secret that each import requires."""
    connection.create(SECRET, {"metadata": {"name": "s"}}, namespace, dry_run=False)


def staged(namespace: str, *stages: dict[str, str], final: bool | None = None, **options: Any) -> dict[str, Any]:
    requested = {
        "source": {"vddk": VDDK},
        "storage": {"size": "1Gi"},
        "checkpoints": list(stages),
        "final_checkpoint": final,
    }
    return {"name": "disk", "namespace": namespace, **requested, **options}


def test_further_checkpoints_are_an_update(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    assert module("data_volume", **staged(namespace, FIRST, final=False, wait=False)).result["changed"]
    set_status(namespace, "disk", "Paused")
    uid = fetch(connection, DATA_VOLUME, "disk", namespace)["metadata"]["uid"]
    for stages, final in (((FIRST, SECOND), False), ((FIRST, SECOND), True), ((SECOND,), None)):
        requested = staged(namespace, *stages, final=final, wait=False)
        predicted = module("data_volume", check=True, **requested).result
        real = module("data_volume", **requested).result
        assert (real["changed"], real["drift"]) == (True, "metadata") == (predicted["changed"], predicted["drift"])
        assert real["diff"] == predicted["diff"] and "spec" in real["diff"]["after"] | real["diff"]["before"]
        stored = fetch(connection, DATA_VOLUME, "disk", namespace)
        assert stored["spec"]["checkpoints"] == list(stages) and bool(stored["spec"].get("finalCheckpoint")) is bool(
            final
        )
        assert stored["metadata"]["uid"] == uid
        wire.requests.clear()
        assert not module("data_volume", **requested).result["changed"]
        assert [method for method, _path in wire.requests] == ["GET"]


def test_wait_ends_at_paused_before_the_final_checkpoint(
    module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    module("data_volume", **staged(namespace, FIRST, wait=False))
    set_status(namespace, "disk", "Paused")
    paused = module("data_volume", **staged(namespace, FIRST, final=False, wait_timeout=60)).result
    assert not paused.get("failed") and paused["phase"] == "Paused" and paused["diagnosis"] is None
    last = module("data_volume", **staged(namespace, FIRST, final=True, wait_timeout=6)).result
    assert last["failed"] and last["changed"]


def test_pause_of_an_earlier_checkpoint_does_not_end_the_wait(
    module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    def running(status: str, moment: int) -> dict[str, Any]:
        return {
            "conditions": [
                {"type": "Running", "status": status, "lastTransitionTime": f"2026-01-01T00:00:{moment:02}Z"}
            ]
        }

    module("data_volume", **staged(namespace, FIRST, wait=False))
    set_status(namespace, "disk", "Paused", **running("False", 1))
    late = module("data_volume", **staged(namespace, FIRST, SECOND, wait_timeout=6)).result
    assert late["failed"] and late["changed"] and late["phase"] == "Paused"
    third = {"previous": "two", "current": "three"}
    later = threading.Timer(2, lambda: set_status(namespace, "disk", "Paused", **running("False", 9)))
    later.start()
    done = module("data_volume", **staged(namespace, FIRST, SECOND, third, wait_timeout=60)).result
    later.join()
    assert not done.get("failed") and done["changed"] and done["phase"] == "Paused"
