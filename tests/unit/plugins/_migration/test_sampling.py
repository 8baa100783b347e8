# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampling never fails a move, and ends with it; tests/api/test_volume_migration.py has the requests."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.goal import LIVE, OFFLINE
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.machine import DONE
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.outcome import Outcome, results
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.sampling import sampled

from tests.unit.plugins._migration.moves import unit

MEASURED = {"allocated_bytes": 7, "size_bytes": 7, "not_measured": None}
# A connection that is none: whatever sampling asks of it is an unexpected error.
NONE = cast(Connection, None)
OFF, ON = Outcome(unit(), OFFLINE), Outcome(unit(), LIVE)


@pytest.mark.parametrize(
    ("outcome", "ended", "samples", "missing"),
    [
        (OFF, {}, [], "Unexpected AttributeError"),
        (ON, {"ended": True}, [], "Unexpected AttributeError"),
        # The move measures a preallocated target itself.
        (ON, {"ended": True, "allocations": {"target": MEASURED}}, [7], None),
        # KubeVirt still moves it.
        (ON, {}, [], None),
        (ON, {"error": "E."}, [], None),
        (OFF, {"error": "E."}, [], None),
    ],
)
def test_move_ends_with_what_could_be_sampled(
    outcome: Outcome, ended: dict[str, Any], samples: list[int], missing: str | None
) -> None:
    found = sampled(NONE, outcome, lambda begun: begun._replace(changed=True, **ended))
    assert found._replace(growth={}) == outcome._replace(changed=True, **ended)
    (result,) = results(found)
    assert [sample["allocated_bytes"] for sample in result["growth"]] == samples
    assert (result["not_sampled"] or "").startswith(missing or "") and (result["not_sampled"] is None) is (not missing)


def test_error_of_a_move_ends_the_sampling() -> None:
    def fail(_outcome: Outcome) -> Outcome:
        raise CdiError("It failed.")

    before = set(threading.enumerate())
    with pytest.raises(CdiError, match=r"It failed\."):
        sampled(NONE, ON, fail)
    assert not set(threading.enumerate()) - before


@pytest.mark.parametrize(
    "outcome", [ON._replace(error="Refused."), Outcome(unit()._replace(items=(unit().items[0]._replace(state=DONE),)))]
)
def test_unit_that_does_not_move_is_not_sampled(outcome: Outcome) -> None:
    assert sampled(NONE, outcome, lambda same: same).growth == {}


class Refusing:
    """A connection that refuses everything, and counts how often it was used."""

    def __init__(self) -> None:
        self.uses = threading.Semaphore(0)

    def until(self, _deadline: float) -> Connection:
        self.uses.release()
        raise CdiError("It is refused.")


def test_samples_are_taken_again_and_again_beside_the_move() -> None:
    refusing = Refusing()

    def move(outcome: Outcome) -> Outcome:
        assert all(refusing.uses.acquire(timeout=60) for _sample in range(3))
        return outcome

    found = sampled(cast(Connection, refusing), ON, move, lambda _elapsed: 0.0)
    assert found.growth["target"].missing == "It is refused."
