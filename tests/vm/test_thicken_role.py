# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook thicken on the real KubeVirt: a machine starts on a thin clone, becomes thick, and its base is deleted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    PERSISTENT_VOLUME_CLAIM,
    VOLUME_SNAPSHOT,
)

from tests.playing import Played, play
from tests.vm.claims import blocks, written
from tests.vm.guest import Guest
from tests.vm.test_volume_migration import DATA, SIZE, Ok, is_whole


def test_machine_starts_thin_becomes_thick_and_outlives_its_base(
    start: Callable[..., Guest], ok: Ok, connection: Connection, namespace: str
) -> None:
    """The eleven steps of the seed document, F1 and F5 to F13."""
    storage = {"size": "64Mi", "storage_class_name": "thin"}
    clone = {"name": "disk", "source": {"pvc": {"name": "golden"}}, "storage": storage}

    def thicken(state: str, **variables: Any) -> Played:
        common = {"cdi_namespace": namespace, "cdi_kubeconfig": os.environ["KUBECONFIG"], "cdi_thin_volumes": [clone]}
        played = play("kubevirt.cdi.thicken", variables={**common, "cdi_thicken_state": state, **variables})
        assert played.code == 0, played.output
        return played

    ok("data_volume", namespace=namespace, name="golden", source={"blank": {}}, storage=storage)
    thicken("thin")
    assert "changed=0 " in thicken("thin").output
    guest = start("machine", [{**DATA, "data_volume": {"name": "disk"}}])
    guest.report()
    before = guest.beat()

    thick = thicken("thick", cdi_thicken_when_done="delete_source")
    proof = thick.artifacts["cdi_artifact_thick"][f"{namespace}/disk"]
    assert (proof["allocated_bytes"], proof["size_bytes"], proof["depends_on"]) == (SIZE, SIZE, [])
    ok("data_volume", namespace=namespace, name="golden", state="absent")
    assert connection.get(PERSISTENT_VOLUME_CLAIM, "golden", namespace) is None
    assert connection.list(VOLUME_SNAPSHOT, namespace)[0] == []
    middle = guest.beat(after=before["beats"] + 1)
    assert middle["boots"] == 1, "The guest started again"

    guest.stop()
    is_whole(written(connection, namespace, proof["target"]), middle["beats"])
    assert blocks(connection, namespace, proof["target"]) * 512 >= SIZE
    guest.set_running(running=True)
    assert guest.beat(after=middle["beats"])["boots"] == 2
    for state in ("thin", "thick"):
        assert "changed=0 " in thicken(state).output
