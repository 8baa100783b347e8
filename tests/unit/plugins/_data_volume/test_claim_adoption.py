# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which existing claims a new DataVolume may adopt."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.names import POPULATED_FOR
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.claim_adoption import (
    is_terminating,
    refuse_claim,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.refused_volumes import volume


def _existing(**changes: Any) -> dict[str, Any]:
    spec = {"storageClassName": "thin", "volumeMode": "Filesystem", "resources": {"requests": {"storage": "2Gi"}}}
    return {"metadata": {"name": "disk", **changes.pop("metadata", {})}, "spec": {**spec, **changes}}


def _owned_by(kind: str) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": kind, "name": "disk", "controller": True}]}


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (_existing(), False),
        (_existing(metadata={"deletionTimestamp": "now"}), True),
        (_existing(metadata=_owned_by("DataVolume")), True),
        (_existing(metadata=_owned_by("StatefulSet")), False),
    ],
)
def test_claim_of_a_deleted_volume_is_terminating(claim: Any, expected: bool) -> None:
    assert is_terminating(claim) is expected


def test_existing_claim_is_adopted_only_with_adopt_claim() -> None:
    with pytest.raises(CdiError, match="a PersistentVolumeClaim of its name exists; set adopt_claim=true"):
        refuse_claim(volume(), _existing())
    refuse_claim(volume(adopt_claim=True), _existing())
    backup = {"annotations": {POPULATED_FOR: "disk"}}
    refuse_claim(volume(), _existing(metadata=backup))


@pytest.mark.parametrize(
    ("storage", "difference"),
    [
        ({"size": "3Gi"}, "storage.size: '2Gi' on the claim, '3Gi' requested"),
        (
            {"size": "1Gi", "storage_class_name": "fast"},
            "storage.storage_class_name: 'thin' on the claim, 'fast' requested",
        ),
        (
            {"size": "2048Mi", "volume_mode": "Block"},
            "storage.volume_mode: 'Filesystem' on the claim, 'Block' requested",
        ),
    ],
)
def test_claim_that_differs_from_the_request_is_not_adopted(storage: Any, difference: str) -> None:
    with pytest.raises(CdiError, match=f"cannot adopt the claim of its name: {difference}; request what the claim has"):
        refuse_claim(volume(adopt_claim=True, storage=storage), _existing())
