# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module volume_migration on the real KubeVirt: while the guest writes numbered beats, and while the machine is off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE,
)

from tests.modules import Ran
from tests.real.objects import existing
from tests.vm.claims import blocks, written
from tests.vm.guest import Guest
from tests.vm_disks.spec import Entry

THICK = {"cdi.kubevirt.io/storage.thick-provisioned": "true"}
DATA: Entry = {"name": "data", "serial": "DATA1", "bus": "virtio", "data_volume": {"name": "source"}}
SIZE = 64 << 20

Ok = Callable[..., dict[str, Any]]


@pytest.fixture
def migrate(module: Callable[..., Ran], namespace: str) -> Ok:
    """Runs the module for the machine of the test, which must succeed. Returns the result of its only volume."""

    def run(**options: Any) -> dict[str, Any]:
        given = {"namespace": namespace, "machines": ["machine"], "wait_timeout": 900, **options}
        result = module("volume_migration", **given).result
        assert not result.get("failed"), result["msg"]
        (volume,) = result["volumes"]
        return {**volume, "changed": result["changed"], "diff": result["diff"]}

    return run


def thin(ok: Ok, namespace: str, **more: Any) -> None:
    """A thin volume with the name `source`."""
    ok("data_volume", name="source", namespace=namespace, source={"blank": {}}, storage={"size": "64Mi"}, **more)


def is_whole(found: list[str], after: int) -> None:
    """The guest writes beat N to sector N, and no beat up to `after` is missing, also from before the move."""
    beats = found[1:]
    assert found[0].startswith("boots ")
    assert beats == [f"beat {number}" for number in range(1, len(found))]
    assert len(beats) >= after


def test_thin_volume_becomes_thick_while_the_guest_writes(
    start: Callable[..., Guest], migrate: Ok, ok: Ok, connection: Connection, namespace: str
) -> None:
    """F1, F6, F8, F10, F12, F13: started thin, moved to a preallocated volume, and independent of its source."""
    thin(ok, namespace, annotations=THICK)
    guest = start("machine", [DATA])
    guest.report()
    before = guest.beat()
    to = {"preallocation": True}

    predicted = migrate(to=to, check=True)
    assert (predicted["action"], predicted["method"], predicted["changed"]) == ("moved", "live", True)
    assert connection.get(DATA_VOLUME, predicted["target"], namespace) is None

    moved = migrate(to=to)
    assert (moved["action"], moved["state"], moved["target"]) == ("moved", "finished", predicted["target"])
    assert moved["allocation"] == {"allocated_bytes": SIZE, "size_bytes": SIZE, "not_measured": None}
    assert moved["migration"]["phase"] == "Succeeded"
    assert moved["migration"]["source_node"] != moved["migration"]["target_node"]
    after = guest.beat(after=before["beats"] + 3)
    assert after["boots"] == before["boots"] == 1, "The guest started again"

    again = migrate(to=to)
    assert (again["changed"], again["state"]) == (False, "finished")
    deleted = migrate(to=to, when_done="delete_source")
    assert deleted["action"] == "source_deleted"
    assert connection.get(PERSISTENT_VOLUME_CLAIM, "source", namespace) is None
    assert not migrate(to=to, when_done="delete_source")["changed"]

    guest.stop()
    is_whole(written(connection, namespace, moved["target"]), after["beats"])
    assert blocks(connection, namespace, moved["target"]) * 512 >= SIZE
    guest.set_running(running=True)
    assert guest.beat(after=after["beats"])["boots"] == 2


def test_move_is_refused_aborted_and_finished(
    start: Callable[..., Guest], migrate: Ok, module: Callable[..., Ran], ok: Ok, connection: Connection, namespace: str
) -> None:
    thin(ok, namespace)
    guest = start("machine", [DATA])
    guest.report()
    before = guest.beat()
    options = {"namespace": namespace, "machines": ["machine"]}
    refused = module("volume_migration", **options, to={"preallocation": True}).refusal
    assert "runs with discard=unmap, because claim 'source' lacked the annotation" in refused
    template = existing(connection, VIRTUAL_MACHINE, "machine", namespace)["spec"]

    begun = migrate(to={"volume_mode": "Block"}, state="present")
    assert (begun["action"], begun["state"], begun["method"]) == ("started", "started", "live")
    aborted = migrate(state="aborted")
    assert (aborted["action"], aborted["state"]) == ("aborted", "aborted")
    assert connection.get(PERSISTENT_VOLUME_CLAIM, begun["target"], namespace) is None
    found = existing(connection, VIRTUAL_MACHINE, "machine", namespace)["spec"]
    assert found["template"] == template["template"]
    assert not migrate(state="aborted")["changed"]
    middle = guest.beat(after=before["beats"] + 1)

    begun = migrate(to={"volume_mode": "Block"}, state="present")
    waited = migrate(to={"volume_mode": "Block"})
    assert (waited["state"], waited["target"]) == ("finished", begun["target"])
    after = guest.beat(after=middle["beats"] + 3)
    assert after["boots"] == before["boots"] == 1, "The guest started again"
    guest.stop()
    is_whole(written(connection, namespace, begun["target"]), after["beats"])

    # The machine is off: CDI copies the volume, and the next start has it.
    thick = migrate(to={"volume_mode": "Filesystem", "preallocation": True})
    assert (thick["action"], thick["method"], thick["allocation"]["allocated_bytes"]) == ("moved", "offline", SIZE)
    assert not migrate(to={"volume_mode": "Filesystem", "preallocation": True})["changed"]
    is_whole(written(connection, namespace, thick["target"]), after["beats"])
    guest.set_running(running=True)
    assert guest.beat(after=after["beats"])["boots"] == 2
