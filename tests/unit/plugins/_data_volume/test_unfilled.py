# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What proves that a volume never held data."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.unfilled import never_filled

HTTP = {"http": {"url": "http://x/disk"}}
NOT_RUNNING = [{"type": "Running", "status": "False", "reason": "Error"}]


def stored(
    phase: str = "Pending",
    source: Any = None,
    *,
    metadata: Any = None,
    storage: Any = None,
    conditions: Any = (),
    **more: Any,
) -> dict[str, Any]:
    status = {name: more.pop(name) for name in ("progress", "restartCount") if name in more}
    spec = {
        "source": HTTP if source is None else source,
        "storage": storage or {"resources": {"requests": {"storage": "1Gi"}}},
        **more,
    }
    return {
        "metadata": {"uid": "u", "name": "disk", **(metadata or {})},
        "spec": spec,
        "status": {"phase": phase, "conditions": list(conditions), **status},
    }


def claim(
    phase: str | None = "Pending", owner: str | None = "u", volume: str | None = None, **metadata: Any
) -> dict[str, Any]:
    if owner:
        metadata["ownerReferences"] = [{"kind": "DataVolume", "uid": owner, "controller": True}]
    spec = {"volumeName": volume} if volume else {}
    return {"metadata": {"name": "disk", **metadata}, "spec": spec, "status": {"phase": phase} if phase else {}}


BOUND = claim("Bound", volume="pv")
DONE = "2026-01-01T00:00:00Z"
SNAPSHOT_CLONE = {"pvc": {"name": "golden"}}
STAGES = [{"previous": "", "current": "one"}]


@pytest.mark.parametrize(
    ("volume", "held"),
    [
        pytest.param(stored(), None, id="wrong class: CDI has created no claim"),
        pytest.param(stored(""), None, id="CDI has not looked at it"),
        pytest.param(stored(), claim(), id="no persistent volume yet"),
        pytest.param(stored("WaitForFirstConsumer"), claim(), id="no consumer yet"),
        pytest.param(stored("PendingPopulation"), claim(), id="no consumer yet, by a populator"),
        pytest.param(stored("ImportInProgress", progress="N/A", restartCount=3), claim(), id="404"),
        pytest.param(
            stored("ImportInProgress", progress="30.1%"),
            claim(),
            id="a download that has got somewhere, into a claim of CDI's own",
        ),
        pytest.param(stored("Failed", progress="100.0%"), claim(), id="checksum"),
        pytest.param(stored("CloneFromSnapshotSourceInProgress", SNAPSHOT_CLONE), claim(), id="a clone on its way"),
        pytest.param(stored("Pending", SNAPSHOT_CLONE), None, id="missing source"),
        pytest.param(
            stored("Pending", {}, sourceRef={"kind": "DataSource", "name": "x"}), None, id="missing DataSource"
        ),
        pytest.param(
            stored("UploadScheduled", {"upload": {}}, progress="N/A"),
            claim(),
            id="an upload that no client could begin",
        ),
        pytest.param(stored("ImportScheduled", {"vddk": {}}, checkpoints=STAGES), claim(), id="first stage not begun"),
        pytest.param(
            stored("ImportInProgress", progress="N/A", restartCount=1, conditions=NOT_RUNNING),
            BOUND,
            id="404, filled in place",
        ),
        pytest.param(stored("ImportScheduled", conditions=NOT_RUNNING), BOUND, id="its importer does not start"),
    ],
)
def test_volume_was_never_filled(volume: Any, held: Any) -> None:
    assert never_filled(volume, held)


@pytest.mark.parametrize(
    ("volume", "held"),
    [
        pytest.param(stored("Succeeded"), BOUND, id="filled"),
        pytest.param(stored("Succeeded"), claim(), id="succeeded, not bound: filled by others"),
        pytest.param(stored("Succeeded"), None, id="filled, and its claim was taken away"),
        pytest.param(stored("Paused", {"vddk": {}}, checkpoints=STAGES), claim(), id="a stage is done"),
        pytest.param(stored("ImportInProgress", {"vddk": {}}, checkpoints=STAGES), claim(), id="a stage may be done"),
        pytest.param(
            stored("ImportScheduled", {"vddk": {}}, checkpoints=STAGES, progress="40.0%"),
            claim(),
            id="a later stage is about to begin",
        ),
        pytest.param(stored("UploadReady", {"upload": {}}), claim(), id="a client may be sending"),
        pytest.param(stored("UploadScheduled", {"upload": {}}, restartCount=1), claim(), id="a client may have sent"),
        pytest.param(stored("RebindInProgress", SNAPSHOT_CLONE), claim(), id="its data are being handed over"),
        pytest.param(stored("Unknown"), claim(), id="unknown"),
        pytest.param(stored("NoSuchPhase"), claim(), id="a phase of a later release"),
        pytest.param(stored("ImportInProgress", progress="N/A"), BOUND, id="in place, no word on whether it runs"),
        pytest.param(
            stored("ImportInProgress", progress="N/A", conditions=[{"type": "Running", "status": "True"}]),
            BOUND,
            id="in place, at work",
        ),
        pytest.param(
            stored("ImportInProgress", progress="0.5%", conditions=NOT_RUNNING), BOUND, id="in place, has written"
        ),
        pytest.param(
            stored("CloneInProgress", SNAPSHOT_CLONE, progress="N/A", conditions=NOT_RUNNING),
            BOUND,
            id="in place, a copy",
        ),
        pytest.param(stored("Failed", conditions=NOT_RUNNING), BOUND, id="in place, given up"),
        pytest.param(stored("Pending"), claim("Lost"), id="its persistent volume is lost"),
        pytest.param(stored("Pending"), claim("Pending", volume="pv"), id="to be bound to a given persistent volume"),
        pytest.param(stored("Pending", storage={"volumeName": "pv"}), claim(), id="names a persistent volume"),
        pytest.param(
            stored("Pending", storage={"selector": {"matchLabels": {}}, "volumeName": "x"}),
            claim(),
            id="selects a persistent volume by labels",
        ),
        pytest.param(stored("Pending"), claim("Bound", owner=None, volume="pv"), id="a claim of another owner"),
        pytest.param(stored("Pending"), claim(owner="other"), id="a claim of another volume"),
        pytest.param(stored("Pending"), claim(deletionTimestamp=DONE), id="a claim that goes"),
        pytest.param(
            stored("Pending"),
            claim(annotations={"cdi.kubevirt.io/storage.populatedFor": "disk"}),
            id="restored from a backup",
        ),
        pytest.param(
            stored("Pending", metadata={"annotations": {"cdi.kubevirt.io/storage.prePopulated": "disk"}}),
            None,
            id="populated by a user",
        ),
        pytest.param(
            stored("Pending", metadata={"annotations": {"cdi.kubevirt.io/allowClaimAdoption": "true"}}),
            None,
            id="adopts a claim",
        ),
        pytest.param(
            stored("Pending", metadata={"ownerReferences": [{"kind": "VirtualMachine", "uid": "v"}]}),
            None,
            id="a virtual machine's",
        ),
        pytest.param(stored() | {"spec": {"storage": {"dataSourceRef": {}}}}, claim(), id="filled by others"),
    ],
)
def test_volume_was_filled_in_doubt(volume: Any, held: Any) -> None:
    assert not never_filled(volume, held)
