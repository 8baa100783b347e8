# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports in stages, which CDI lets change, and pauses between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, SECRET

from tests.api.conftest import SetStatus, fetch
from tests.modules import RunModule
from tests.wire import Wire

VDDK = {"url": "https://v", "uuid": "u", "backing_file": "b", "thumbprint": "t", "secret_ref": "s"}
FIRST, SECOND = {"previous": "", "current": "one"}, {"previous": "one", "current": "two"}


@pytest.fixture(autouse=True)
def credentials(connection: Connection, namespace: str) -> Iterator[None]:
    """The Secret without which no import is declared."""
    connection.create(SECRET, {"metadata": {"name": "s"}}, namespace, dry_run=False)
    yield


def staged(namespace: str, *stages: dict[str, str], final: bool | None = None, **options: Any) -> dict[str, Any]:
    asked = {
        "source": {"vddk": VDDK},
        "storage": {"size": "1Gi"},
        "checkpoints": list(stages),
        "final_checkpoint": final,
    }
    return {"name": "disk", "namespace": namespace, **asked, **options}


def test_further_stages_are_an_update(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    assert module("data_volume", **staged(namespace, FIRST, final=False, wait=False)).result["changed"]
    set_status(namespace, "disk", "Paused")
    uid = fetch(connection, DATA_VOLUME, "disk", namespace)["metadata"]["uid"]
    for stages, final in (((FIRST, SECOND), False), ((FIRST, SECOND), True), ((SECOND,), None)):
        asked = staged(namespace, *stages, final=final, wait=False)
        predicted = module("data_volume", check=True, **asked).result
        real = module("data_volume", **asked).result
        assert (real["changed"], real["drift"]) == (True, "metadata") == (predicted["changed"], predicted["drift"])
        assert real["diff"] == predicted["diff"] and "spec" in real["diff"]["after"] | real["diff"]["before"]
        stored = connection.get(DATA_VOLUME, "disk", namespace)
        assert stored["spec"]["checkpoints"] == list(stages) and bool(stored["spec"].get("finalCheckpoint")) is bool(
            final
        )
        assert stored["metadata"]["uid"] == uid
        wire.requests.clear()
        assert not module("data_volume", **asked).result["changed"]
        assert [method for method, _path in wire.requests] == ["GET"]


def test_paused_is_where_an_import_gets_before_its_last_stage(
    module: RunModule, namespace: str, set_status: SetStatus
) -> None:
    module("data_volume", **staged(namespace, FIRST, wait=False))
    set_status(namespace, "disk", "Paused")
    paused = module("data_volume", **staged(namespace, FIRST, final=False, wait_timeout=20)).result
    assert not paused.get("failed") and paused["phase"] == "Paused" and paused["diagnosis"] is None
    last = module("data_volume", **staged(namespace, FIRST, final=True, wait_timeout=2)).result
    assert last["failed"] and last["changed"]


def test_the_pause_of_an_earlier_stage_is_not_that_of_the_next(
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
    late = module("data_volume", **staged(namespace, FIRST, SECOND, wait_timeout=2)).result
    assert late["failed"] and late["changed"] and late["phase"] == "Paused"
    third = {"previous": "two", "current": "three"}
    later = threading.Timer(2, lambda: set_status(namespace, "disk", "Paused", **running("False", 9)))
    later.start()
    done = module("data_volume", **staged(namespace, FIRST, SECOND, third, wait_timeout=60)).result
    later.join()
    assert not done.get("failed") and done["changed"] and done["phase"] == "Paused"
