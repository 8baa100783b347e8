# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When targets are sampled, which claims are measured, and what a sample adds."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.growth import Growth, added, due, seconds_to_next
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.allocation import BLOCK, not_measured

from tests.unit.plugins._migration.moves import Object, claim

PENDING: Object = {**claim("target"), "status": {"phase": "Pending"}}
BOUND = claim("target")
COPY, IMPORT = claim("tmp-pvc-uid-target"), claim("prime-uid-target")
NOT_BOUND = "The claim is not bound."


def pod(name: str, claim_name: str = "target", phase: str = "Running", **metadata: Any) -> Object:
    volumes = [{"name": "disk", "persistentVolumeClaim": {"claimName": claim_name}}]
    return {"metadata": {"name": name, **metadata}, "spec": {"volumes": volumes}, "status": {"phase": phase}}


MOVING = pod("virt-launcher-web")
MEASURING = pod("kubevirt-cdi-allocation-x", generateName="kubevirt-cdi-allocation-")


@pytest.mark.parametrize(
    ("elapsed", "seconds"), [(0.0, 10.0), (0.5, 9.5), (9.75, 0.25), (10.0, 10.0), (12.5, 7.5), (37.0, 3.0)]
)
def test_sample_is_due_every_ten_seconds(elapsed: float, seconds: float) -> None:
    assert seconds_to_next(elapsed) == seconds


@pytest.mark.parametrize(
    ("claims", "pods", "ended", "measured", "missing"),
    [
        # A target that a running pod uses.
        ([BOUND], [MOVING], False, "target", None),
        ([BOUND], [MEASURING, MOVING], False, "target", None),
        # Nothing would hold a target that no pod of the move uses yet.
        ([], [], False, None, None),
        ([BOUND], [], False, None, None),
        ([BOUND], [MEASURING], False, None, None),
        ([BOUND], [pod("virt-launcher-web", phase="Pending")], False, None, None),
        ([BOUND], [pod("virt-launcher-web", phase="Succeeded")], False, None, None),
        ([BOUND], [pod("other", "source")], False, None, None),
        ([PENDING], [MOVING], False, None, None),
        # CDI fills another claim first.
        ([PENDING, COPY], [pod("cdi-upload", COPY["metadata"]["name"])], False, "tmp-pvc-uid-target", None),
        ([PENDING, IMPORT], [pod("importer", IMPORT["metadata"]["name"])], False, "prime-uid-target", None),
        ([PENDING, COPY], [], False, None, None),
        ([PENDING, claim("tmp-pvc-uid-other")], [pod("cdi-upload", "tmp-pvc-uid-other")], False, None, None),
        ([BOUND, COPY], [MOVING, pod("cdi-upload", COPY["metadata"]["name"])], False, "target", None),
        # A move that has ended.
        ([BOUND], [], True, "target", None),
        ([PENDING, COPY], [], True, None, NOT_BOUND),
        ([], [], True, None, NOT_BOUND),
        # A block device.
        ([claim("target", volumeMode="Block")], [MOVING], False, None, BLOCK),
        ([claim("target", volumeMode="Block")], [], True, None, BLOCK),
    ],
)
def test_claim_is_measured_when_that_cannot_harm_the_move(
    claims: list[Object], pods: list[Object], ended: bool, measured: str | None, missing: str | None
) -> None:
    found = due(["target"], claims, pods, ended=ended)
    assert {target: each["metadata"]["name"] for target, each in found.claims.items()} == (
        {"target": measured} if measured else {}
    )
    assert found.missing == ({"target": missing} if missing else {})


def test_each_target_is_looked_at_on_its_own() -> None:
    found = due(["target", "block", "gone"], [BOUND, claim("block", volumeMode="Block")], [MOVING])
    assert (list(found.claims), list(found.missing)) == (["target"], ["block"])


def test_samples_are_added_in_order_and_the_last_reason_is_kept() -> None:
    def facts(allocated: int) -> dict[str, Any]:
        return {"allocated_bytes": allocated, "size_bytes": 9, "not_measured": None}

    growth = Growth()
    for seconds, found in (
        (10.04, facts(0)),
        (20.0, not_measured("A.")),
        (30.0, not_measured("B.")),
        (40.26, facts(5)),
    ):
        growth = added(growth, seconds, found)
    assert growth.samples == ({"seconds": 10.0, "allocated_bytes": 0}, {"seconds": 40.3, "allocated_bytes": 5})
    assert growth.missing == "B."
