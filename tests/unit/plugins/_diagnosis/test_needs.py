# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read beside the first evidence."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.needs import Needs, needs, without_claim

from tests.unit.plugins._diagnosis import objects

NOTHING = Needs(classes=False, drivers=False, users=[], silent=[], workers=[], quotas=[])
IN_USE = "pod src/user using PersistentVolumeClaim golden"
QUOTA = "forbidden: exceeded quota: q, requested: requests.storage=2Gi, used: requests.storage=0, limited: x"


def _pending() -> dict[str, Any]:
    return objects.stored("ImportScheduled", Bound=objects.PENDING)


@pytest.mark.parametrize(
    ("evidence", "changes"),
    [
        (objects.owned(objects.PRIME), {"classes": True, "drivers": True}),
        (
            objects.around(objects.event(objects.CLAIM, "ErrClaimNotValid", "no storageClass to choose profile")),
            {"classes": True},
        ),
        (objects.around(objects.event(objects.CLAIM, "CloneSourceInUse", IN_USE)), {"users": ["src"]}),
        (objects.around(objects.event(objects.CLAIM, "ErrExceededQuota", QUOTA)), {"quotas": [""]}),
        (objects.around(objects.event(objects.CLAIM, "ClaimLost", "gone")), {}),
    ],
)
def test_a_cause_requires_more_evidence(evidence: Evidence, changes: dict[str, Any]) -> None:
    assert needs([_pending()], evidence) == NOTHING._replace(**changes)


def test_nothing_is_required_without_volumes() -> None:
    assert needs([], Evidence()) == NOTHING


def test_a_volume_without_a_claim_is_found_by_its_condition() -> None:
    missing = objects.stored("Pending", Bound={"reason": "NotFound", "message": "No PVC found"})
    evidence = Evidence(controllers=[objects.controller(1)])
    assert without_claim([missing, _pending()], evidence) == [missing]
