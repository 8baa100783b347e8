# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task has to read and to write for a volume, by what is on the cluster."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.drift import (
    is_settled,
    needs_claim,
    needs_release,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.spec import desired
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.volume import NOT_READ, Volume

from tests.refused_volumes import volume

COLLECTED = {
    "metadata": {"annotations": {"cdi.kubevirt.io/garbageCollected": "true"}},
    "spec": {"resources": {"requests": {"storage": "1Gi"}}},
}
TEN = {"size": "10Gi"}


def _stored(metadata: Any = None, status: Any = None, **options: Any) -> dict[str, Any]:
    stored = desired(volume(**options))
    return {**stored, "metadata": {**stored["metadata"], **(metadata or {})}, "status": status or {}}


def _applied(**spec: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"f:spec": {f"f:{name}": {} for name in spec}}
    return {"managedFields": [{"manager": "kubevirt.cdi", "operation": "Apply", "fieldsV1": fields}]}


@pytest.mark.parametrize(
    ("options", "stored", "claim", "settled"),
    [
        ({}, NOT_READ, NOT_READ, False),
        ({}, None, None, False),
        ({}, _stored(), NOT_READ, True),
        ({"labels": {"a": "b"}}, _stored(), NOT_READ, False),
        # A label of another manager stays, and one of ours that is no longer requested goes.
        ({}, _stored({"labels": {"a": "b"}}), NOT_READ, True),
        ({}, _stored(_applied(preallocation=True), preallocation=True), None, False),
        ({"storage": TEN}, _stored(), None, False),
        ({}, _stored({"deletionTimestamp": "now"}), NOT_READ, False),
        ({"binding": "immediate"}, _stored(status={"phase": "WaitForFirstConsumer"}), None, False),
        ({}, None, COLLECTED, True),
        ({"storage": TEN}, None, COLLECTED, False),
        ({"state": "absent"}, None, None, True),
        ({"state": "absent"}, _stored(), NOT_READ, False),
        ({"state": "absent"}, None, COLLECTED, False),
        ({"state": "absent", "keep_claim": True}, None, COLLECTED, True),
    ],
)
def test_volume_is_settled_when_nothing_has_to_be_written(
    options: dict[str, Any], stored: Any, claim: Any, settled: bool
) -> None:
    assert is_settled(Volume(volume(**options), stored, claim)) is settled


@pytest.mark.parametrize(
    ("options", "stored", "needed"),
    [
        ({}, None, True),
        ({}, _stored(), False),
        ({"storage": TEN}, _stored(), True),
        ({"storage": TEN}, _stored({"deletionTimestamp": "now"}), False),
        ({"binding": "immediate"}, _stored(status={"phase": "PendingPopulation"}), True),
        ({"binding": "immediate"}, _stored(status={"phase": "Succeeded"}), False),
        ({"state": "absent"}, _stored(), False),
        ({"state": "absent"}, None, True),
    ],
)
def test_claim_is_read_only_when_it_decides(options: dict[str, Any], stored: Any, needed: bool) -> None:
    assert needs_claim(Volume(volume(**options), stored)) is needed


@pytest.mark.parametrize(
    ("options", "stored", "claim", "needed"),
    [
        ({}, None, None, False),
        ({"service_account_name": "worker"}, None, None, True),
        ({"service_account_name": "worker", "state": "absent"}, None, None, False),
        ({"service_account_name": "worker"}, _stored(service_account_name="worker"), NOT_READ, False),
        ({"storage": TEN}, _stored(), {"metadata": {}, "spec": {}}, True),
        ({"storage": TEN}, _stored(), None, False),
    ],
)
def test_release_is_read_only_when_it_decides(options: dict[str, Any], stored: Any, claim: Any, needed: bool) -> None:
    assert needs_release(Volume(volume(**options), stored, claim)) is needed
