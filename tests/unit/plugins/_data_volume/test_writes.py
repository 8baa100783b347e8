# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a change, and the outcome of a change that ends early."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.steps import in_steps
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.volume import (
    NOT_READ,
    Outcome,
    Volume,
    known,
    with_errors,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.writes import Collected
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.refused_volumes import volume

BEFORE = Outcome(Volume(volume(), None, None))
STORED = {"metadata": {"name": "disk"}}


def _write(outcome: Outcome) -> Outcome:
    return outcome.with_volume(stored=STORED)._replace(changed=True)


def _fail(_outcome: Outcome) -> Outcome:
    raise CdiError("The server is away.")


def _lose(_outcome: Outcome) -> Outcome:
    raise CdiError("The answer is lost.", changed=True)


def _collect(outcome: Outcome) -> Outcome:
    raise Collected(outcome.with_volume(stored=None))


def test_error_of_a_step_keeps_what_earlier_steps_did() -> None:
    ended = in_steps(BEFORE, _write, _fail, _collect)
    assert (ended.changed, ended.volume.stored, ended.error) == (True, STORED, "The server is away.")


def test_step_after_an_error_is_not_taken() -> None:
    assert not in_steps(BEFORE, _fail, _write).changed
    assert not in_steps(BEFORE._replace(error="failed before"), _write).changed


def test_write_that_may_have_reached_the_server_counts_as_a_change() -> None:
    ended = in_steps(BEFORE, _lose)
    assert ended.changed and ended.error == "The answer is lost."


def test_collection_ends_the_steps_with_what_was_done() -> None:
    with pytest.raises(Collected) as raised:
        in_steps(BEFORE, _write, _collect)
    assert raised.value.outcome.changed and raised.value.outcome.volume.stored is None


def test_steps_leave_their_input_as_it_is() -> None:
    in_steps(BEFORE, _write)
    assert not BEFORE.changed and BEFORE.volume.stored is None


def test_first_error_of_a_volume_remains() -> None:
    other = ("demo", "other")
    failed = with_errors({BEFORE.key: BEFORE._replace(error="first"), other: BEFORE}, dict.fromkeys([BEFORE.key], "x"))
    assert (failed[BEFORE.key].error, failed[other].error) == ("first", "")


def test_not_read_is_not_the_same_as_missing() -> None:
    assert known(NOT_READ) is None is known(None) and known(STORED) == STORED
    assert not Volume(
        volume(), NOT_READ, {"metadata": {"annotations": {"cdi.kubevirt.io/garbageCollected": "true"}}}
    ).collected
