# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far KubeVirt is with a move, and what a result says of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.following import (
    goes_back,
    judge,
    judge_begun,
    migration_facts,
    newest,
    percent,
    refused,
    without_room,
)

from tests.unit.plugins._migration.moves import instance, machine, migrated, volume

Object = dict[str, Any]
CLAIMS = {"data": "target"}
SOURCE, TARGET = volume("data", "source"), volume("data", "target")
MOVES = {"migratedVolumes": [migrated()]}
READY = {"migrationUid": "1", "targetNodeDomainReadyTimestamp": "2026-01-01T10:00:00Z"}
FAILURE = {"failed": True, "failureReason": "no space left."}
FULL = {
    "migrationUid": "2",
    "failed": True,
    "failureReason": "migration of disk vda failed: No space left on device.",
}
NO_VOLUME = {"conditions": [{"type": "VolumesChange", "status": "False", "message": "no DataVolume target."}]}
REFUSED = {"conditions": [{"type": "RestartRequired", "status": "True", "message": "invalid volumes: luns."}]}


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        (None, FAILED, "its instance ended while the volumes were moved"),
        (instance(TARGET, phase="Failed"), FAILED, "its instance ended while the volumes were moved"),
        (instance(SOURCE), WAITING, "KubeVirt has not begun"),
        (instance(SOURCE, **NO_VOLUME), WAITING, "no DataVolume target"),
        (instance(TARGET, **MOVES), WAITING, "KubeVirt schedules the migration"),
        (instance(TARGET, **MOVES, migrationState={"migrationUid": "1"}), WAITING, "KubeVirt copies the volumes"),
        (
            instance(TARGET, **MOVES, migrationState=READY),
            WAITING,
            "the guest runs on the new volumes, and KubeVirt has not recorded it yet",
        ),
        (
            instance(TARGET, **MOVES, migrationState=FAILURE),
            WAITING,
            "the last attempt failed: no space left; KubeVirt tries it again",
        ),
        (instance(TARGET, migrationState={"completed": True}), REACHED, ""),
    ],
)
def test_move_has_ended_when_the_domain_uses_the_target(found: Object | None, state: str, reason: str) -> None:
    assert judge(CLAIMS, found)[:2] == (state, reason)


@pytest.mark.parametrize(
    ("found", "state"),
    [(instance(SOURCE), WAITING), (instance(TARGET, **MOVES), REACHED), (instance(TARGET), REACHED), (None, FAILED)],
)
def test_move_has_begun_when_the_instance_names_it(found: Object | None, state: str) -> None:
    assert judge_begun(CLAIMS, found).state == state


@pytest.mark.parametrize(
    ("attempt", "full"),
    [
        ({}, False),
        (FULL, True),
        ({**FULL, "migrationUid": "1"}, False),
        ({**FULL, "failed": False}, False),
        ({**FULL, "failureReason": "Guest agent error"}, False),
        ({**FULL, "failureReason": None}, False),
    ],
    ids=["no attempt", "full", "full before the task", "under way", "another failure", "no reason"],
)
def test_attempt_that_failed_for_want_of_space_names_the_target_and_the_remedy(attempt: Object, full: bool) -> None:
    found = without_room(CLAIMS, instance(TARGET, **MOVES, migrationState=attempt), "1")
    assert bool(found) is full
    assert not full or "'target' has no space left (migration of disk vda failed: No space left on device)" in found


@pytest.mark.parametrize(
    ("status", "found", "reason"),
    [
        (REFUSED, instance(SOURCE), "invalid volumes: luns"),
        (REFUSED, instance(TARGET, **MOVES), ""),
        (REFUSED, instance(TARGET), ""),
        ({}, instance(SOURCE), ""),
    ],
)
def test_refusal_is_that_of_a_move_that_has_not_begun(status: Object, found: Object, reason: str) -> None:
    assert refused(machine(TARGET, status=status), found, CLAIMS) == reason


def test_move_that_had_ended_goes_back() -> None:
    again = instance(SOURCE, migratedVolumes=[migrated(source="target", target="source")])
    assert goes_back({"data": "source"}, again)
    assert not goes_back({"data": "source"}, instance(TARGET, **MOVES))


def test_newest_migration_is_shown() -> None:
    def attempt(name: str, time: str, phase: str, vmi: str = "web") -> Object:
        return {
            "metadata": {"name": name, "creationTimestamp": time},
            "spec": {"vmiName": vmi},
            "status": {"phase": phase},
        }

    listed = [
        attempt("b", "2026-01-01T10:00:02Z", "Succeeded"),
        attempt("a", "2026-01-01T10:00:01Z", "Failed"),
        attempt("c", "2026-01-01T10:00:03Z", "Running", "other"),
    ]
    found = newest(listed, "web")
    state = {"sourceNode": "one", "targetNode": "two", "completed": True}
    times = {"startTimestamp": "2026-01-01T10:00:02Z", "endTimestamp": "2026-01-01T10:00:05Z"}
    assert migration_facts(found, instance(TARGET, migrationState={**state, **times})) == {
        "name": "b",
        "phase": "Succeeded",
        "source_node": "one",
        "target_node": "two",
        "seconds": 3.0,
        "failure": None,
    }
    running = {**(found or {}), "status": {"phase": "Running"}}
    (late,) = [migration_facts(running, instance(TARGET, migrationState={**state, **times}))]
    assert late and late["phase"] == "Succeeded", "The migration is updated after the instance"
    assert migration_facts(None, instance(SOURCE)) is None
    assert [percent(each) for each in (None, listed[2], found)] == [0, pytest.approx(83.3, abs=0.1), 100]
