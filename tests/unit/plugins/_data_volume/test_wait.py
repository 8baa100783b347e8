# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging volumes while they are awaited: by their progress, their source, and what is left of them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.volume import Outcome, Volume
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.wait import VolumeJudge, sources_first
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING

from tests.refused_volumes import volume
from tests.unit.plugins._diagnosis import objects

BLANK: dict[str, Any] = {"source": {"blank": {}}}
COLLECTED = {
    "metadata": {
        "name": "disk",
        "namespace": "demo",
        "annotations": {"cdi.kubevirt.io/garbageCollected": "true"},
    },
    "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    "status": {"phase": "Bound"},
}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _awaited(name: str = "disk", paused_at: str | None = None, **options: Any) -> Outcome:
    declared = volume(**{**BLANK, "name": name, **options})
    return Outcome(Volume(declared, _stored("Pending", name=name), None), paused_at=paused_at)


def _stored(phase: str, progress: str = "", *, name: str = "disk", moment: str = "") -> dict[str, Any]:
    running = {"type": "Running", "status": "False", "lastTransitionTime": moment}
    return {
        "metadata": {"name": name, "namespace": "demo", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {**BLANK, "checkpoints": [{"current": "a"}]} if phase == "Paused" else dict(BLANK),
        "status": {"phase": phase, "progress": progress, "conditions": [running] if moment else []},
    }


def _judge(*outcomes: Outcome, claim: Any = None, clock: Clock | None = None) -> VolumeJudge:
    return VolumeJudge({each.key[1]: each for each in outcomes}, lambda _name: claim, clock or Clock())


def test_volume_advances_with_a_new_phase_or_more_percent() -> None:
    clock = Clock()
    advance = _judge(_awaited(), clock=clock).advance
    steps = [("Pending", ""), ("ImportInProgress", "10%"), ("ImportInProgress", "12%"), ("ImportInProgress", "N/A")]
    still = []
    for phase, progress in [*steps, ("Pending", ""), ("ImportInProgress", "11%"), ("ImportInProgress", "13%")]:
        clock.now += 5
        still.append(advance.still("disk", _stored(phase, progress)))
    # A worker that starts again has to get further than the one before.
    assert still == [0, 0, 0, 5, 10, 15, 0]


@pytest.mark.parametrize(
    ("claim", "state"),
    [(None, FAILED), (COLLECTED, REACHED), ({**COLLECTED, "metadata": {"name": "disk"}}, FAILED)],
)
def test_deleted_volume_is_reached_only_when_cdi_collected_it(claim: Any, state: str) -> None:
    judge = _judge(_awaited(), claim=claim)
    assert judge.update("disk", None).state == state
    assert judge.noted(_awaited()).volume.claim == claim


def test_clone_fails_with_its_source() -> None:
    of_source: dict[str, Any] = {"source": {"pvc": {"name": "golden", "namespace": None}}}
    judge = _judge(_awaited("golden"), _awaited("disk", **of_source))
    assert judge.sources == {"disk": "golden"}
    assert judge.update("disk", _stored("CloneScheduled")).state == WAITING
    failed = judge.update("golden", None)
    assert failed.state == FAILED and judge.update("disk", _stored("CloneScheduled")) == failed


def test_pause_before_the_stages_changed_does_not_count() -> None:
    judge = _judge(_awaited(paused_at="2026-01-01T00:00:01Z"))
    assert judge.update("disk", _stored("Paused", moment="2026-01-01T00:00:01Z")).state == WAITING
    assert judge.update("disk", _stored("Paused", moment="2026-01-01T00:00:09Z")).state == REACHED


@pytest.mark.parametrize("drift", ["recreate", "unfilled"])
@pytest.mark.parametrize(
    "claim",
    [
        None,
        {"metadata": {}, "status": {"phase": "Pending"}},
        {"metadata": {"ownerReferences": [{"uid": "old"}]}, "status": {"phase": "Bound"}},
        {"metadata": {"ownerReferences": [{"uid": "new"}]}, "status": {"phase": "Pending"}},
    ],
)
def test_recreated_volume_is_not_filled_while_cdi_reports_the_state_of_the_old_claim(drift: str, claim: Any) -> None:
    stored = _stored("Succeeded")
    stored["metadata"]["uid"] = "new"
    stored["status"]["conditions"] = [{"type": "Bound", "status": "True"}]
    outcome = _awaited()._replace(drift=drift)
    own = {"metadata": {"ownerReferences": [{"uid": "new"}]}, "status": {"phase": "Bound"}}
    assert _judge(outcome, claim=claim).update("disk", stored).state == WAITING
    assert _judge(outcome, claim=own).update("disk", stored).state == REACHED


def test_claim_of_a_volume_that_was_not_recreated_is_not_read() -> None:
    def read(_name: str) -> None:
        raise AssertionError("one request for each volume")

    outcome = _awaited()
    assert VolumeJudge({"disk": outcome}, read, Clock()).update("disk", _stored("Succeeded")).state == REACHED


def test_evidence_of_a_probe_holds_until_the_next_one() -> None:
    judge = _judge(_awaited())
    message = 'persistentvolumeclaims "prime" is forbidden: exceeded quota: q'
    judge.note(["disk"], objects.around(objects.event(objects.CLAIM, "ErrClaimFailed", message)))
    for restarts in (0, 1):
        assert judge.update("disk", objects.stored("Pending", restarts)).state == FAILED
        assert "exceeded quota: q" in (judge.diagnoses["disk"] or {})["message"]
    assert judge.noted(_awaited()).diagnosis == judge.diagnoses["disk"]
    judge.note(["disk"], objects.around())
    assert judge.update("disk", objects.stored("Pending")).state == WAITING


def test_sources_come_before_clones_in_a_chain_and_in_a_circle() -> None:
    assert sources_first(["c", "b", "a"], {"c": "b", "b": "a"}) == ["a", "b", "c"]
    assert sorted(sources_first(["a", "b"], {"a": "b", "b": "a"})) == ["a", "b"]
