# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each step of sending, as a function of what is known and what happened."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, Verdict
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload import sending_steps as steps
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.answers import Answer
from hypothesis import given
from hypothesis import strategies as st

SOME, ALL = (True, False), (True, True)
NONE, NOW = (False, False), 5000.0
START = steps.State(retries=2, patience=600)
FULL = "effective image size is larger than available size"
UNREACHED = "dial tcp: connect: connection refused"


def _answered(status: int, text: str = "", sent: tuple[bool, bool] = ALL, now: float = NOW) -> steps.Answered:
    """`sent`: whether some bytes were sent, and whether all were."""
    return steps.Answered(Answer(status, text), *sent, now)


@pytest.mark.parametrize(
    ("before", "event", "command", "after"),
    [
        ({}, steps.Started(), steps.WAIT_READY, {}),
        ({}, steps.Ready(False, NOW), steps.REQUEST_TOKEN, {}),
        ({}, steps.TokenIssued("a", NOW), steps.SEND, {"token": "a", "token_time": NOW}),
        ({"token": "a", "token_time": NOW - 240}, steps.Ready(False, NOW), steps.SEND, {}),
        ({"token": "a", "token_time": NOW - 241}, steps.Ready(False, NOW), steps.REQUEST_TOKEN, {}),
        ({}, steps.Ready(True, NOW), steps.FILLED_BY_OTHER, {}),
        ({"may_be_taken": True}, steps.Ready(True, NOW), steps.RECORD, {}),
        # An accepted upload.
        ({}, _answered(200), steps.WAIT_FINISHED, {"attempts": 1, "may_finish": True, "may_be_taken": True}),
        ({"attempts": 1}, steps.Judged(Verdict(REACHED)), steps.RECORD, {"attempts": 1}),
        ({"attempts": 1}, steps.Judged(Verdict(FAILED, "x")), steps.PAUSE, {"reason": "x", "pause": 2}),
        ({"attempts": 3}, steps.Judged(Verdict(FAILED, "x")), steps.EXHAUSTED, {"reason": "x"}),
        # A broken one.
        ({}, _answered(0, sent=SOME), steps.PAUSE, {"attempts": 1, "may_be_begun": True, "remains": True}),
        ({}, _answered(0), steps.PAUSE, {"may_finish": True, "may_be_taken": True}),
        ({"attempts": 2}, _answered(0, sent=SOME), steps.EXHAUSTED, {"attempts": 3}),
        ({"may_finish": True}, _answered(0, sent=SOME), steps.PAUSE, {"may_finish": True}),
        ({"may_finish": True}, _answered(500, "unexpected EOF", SOME), steps.PAUSE, {"may_finish": False}),
        # One that was refused.
        ({"token": "a"}, _answered(401), steps.PAUSE, {"token": "", "remains": False, "may_be_begun": False}),
        ({}, _answered(400, "Invalid format"), steps.REFUSED, {"may_finish": False}),
        ({"remains": True, "can_replace": True}, _answered(400, FULL), steps.REPLACE, {"attempts": 1}),
        ({"remains": True, "can_replace": True, "attempts": 2}, _answered(400, FULL), steps.REFUSED, {"attempts": 3}),
        ({"remains": True}, _answered(400, FULL), steps.REFUSED, {}),
        ({"can_replace": True}, _answered(400, FULL), steps.REFUSED, {}),
        ({"remains": True, "attempts": 1}, steps.Replaced(), steps.PAUSE, {"remains": False}),
        # A server that is busy, or not reached yet.
        ({}, _answered(503, sent=NONE), steps.PAUSE, {"attempts": 0, "busy_since": NOW, "may_be_begun": False}),
        ({"busy_since": NOW - 600}, _answered(503, sent=NONE), steps.PAUSE, {"busy_since": NOW - 600}),
        ({"busy_since": NOW - 601}, _answered(503, sent=NONE), steps.BUSY, {}),
        ({}, _answered(502, UNREACHED), steps.PAUSE, {"attempts": 0, "unreached_since": NOW, "may_be_taken": False}),
        ({"unreached_since": NOW - 15}, _answered(502, UNREACHED), steps.PAUSE, {"attempts": 1}),
        ({"unreached_since": NOW - 9}, _answered(0, sent=SOME), steps.PAUSE, {"unreached_since": None}),
    ],
)
def test_step_follows_from_state_and_event(
    before: dict[str, Any], event: steps.Event, command: str, after: dict[str, Any]
) -> None:
    state, found = steps.next_step(START._replace(**before), event)
    assert found.name == command
    assert {key: getattr(state, key) for key in after} == after


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    ("event", "command"),
    [
        (steps.Forbidden(), steps.FORBIDDEN),
        (_answered(503, sent=NONE), steps.BUSY),
        (_answered(401, sent=NONE), steps.EXHAUSTED),
    ],
)
def test_record_is_removed_when_nothing_was_taken(event: steps.Event, command: str, begun: bool) -> None:
    state = START._replace(attempts=2, busy_since=0.0, may_be_begun=begun)
    assert steps.next_step(state, event)[1] == steps.Command(command, forget=not begun)


def test_pauses_double_up_to_the_longest() -> None:
    state, pauses = START._replace(retries=9), []
    for _attempt in range(7):
        state, command = steps.next_step(state, _answered(0, sent=SOME))
        pauses.append(command.seconds)
    assert pauses == [1, 2, 4, 8, 16, 16, 16]


ANSWERS = st.tuples(
    st.sampled_from([0, 200, 400, 401, 409, 500, 502, 503, 504]), st.sampled_from(["", FULL, UNREACHED])
)


@given(answers=st.lists(st.tuples(ANSWERS, st.sampled_from([NONE, SOME, ALL])), max_size=40), retries=st.integers(0, 5))
def test_upload_ends_and_succeeds_only_after_all_was_sent(
    answers: list[tuple[tuple[int, str], tuple[bool, bool]]], retries: int
) -> None:
    """Whatever the server answers: attempts stay within the limit, and nothing is recorded that was not sent as a
    whole.
    """
    state, clock, whole, left = START._replace(retries=retries), 0.0, False, iter(answers)
    current: steps.Event = steps.Started()
    while True:
        state, command = steps.next_step(state, current)
        clock += 1 + command.seconds
        assert state.attempts <= retries + 1
        if command.name == steps.WAIT_READY:
            current = steps.Ready(False, clock)
        elif command.name == steps.REQUEST_TOKEN:
            current = steps.TokenIssued("token", clock)
        elif command.name == steps.SEND:
            (status, text), sent = next(left, ((0, ""), NONE))
            whole = whole or sent == ALL
            current = steps.Answered(Answer(status, text), *sent, clock)
        elif command.name == steps.WAIT_FINISHED:
            current = steps.Judged(Verdict(REACHED))
        elif command.name == steps.PAUSE:
            current = steps.Started()
        else:
            break
    assert command.name != steps.REPLACE, "there is nothing to replace"
    assert (state.may_be_taken is False) or whole
