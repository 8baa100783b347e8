# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending until CDI has taken the data, as a state machine: after each event, what to do next. Pure rules.

Each attempt starts from the first byte, because the upload server keeps nothing of a broken one. A server that is busy
may process all the data of an earlier attempt: it is waited for, and the attempt does not count. Nor does one that did
not reach the server yet.
"""

from __future__ import annotations

import typing as t

from .._kubernetes.verdict import REACHED, Verdict
from .answers import Answer

# CDI's tokens are valid for 300 s, which is checked when a request begins (pkg/token/token.go, v1.65.0).
TOKEN_SECONDS = 240
LONGEST_PAUSE_SECONDS = 16
# Before 1.65, CDI's proxy uses the address of a Service, which nodes may learn after the upload server is ready.
ADDRESS_SECONDS = 15


class State(t.NamedTuple):
    """What is known between two steps. Times are of a monotonic clock, in seconds; None says that it is not so now.

    `patience` is how many seconds a busy server is waited for. `attempts` counts those that failed. `remains`: the
    target may contain data of an attempt. `may_be_begun`: the server may have taken a byte of this file,
    `may_be_taken`: all of them; `may_finish`: CDI may be at work on all of them now.
    """

    retries: int
    patience: float
    can_replace: bool = False
    remains: bool = False
    may_be_begun: bool = False
    may_be_taken: bool = False
    may_finish: bool = False
    attempts: int = 0
    pause: int = 1
    reason: str = ""
    token: str = ""
    token_time: float = 0.0
    busy_since: float | None = None
    unreached_since: float | None = None


# Events


class Started(t.NamedTuple):
    """Nothing was sent yet, or the pause before the next attempt is over."""


class Ready(t.NamedTuple):
    """The upload server listens, or the target is already populated."""

    is_populated: bool
    now: float


class TokenIssued(t.NamedTuple):
    token: str
    now: float


class Answered(t.NamedTuple):
    """An attempt ended, after some bytes or all had been sent."""

    answer: Answer
    some_sent: bool
    all_sent: bool
    now: float


class Forbidden(t.NamedTuple):
    """The API server does not allow the attempt, nor would it allow the next."""


class Judged(t.NamedTuple):
    """What became of data that the upload server accepted: REACHED or FAILED."""

    verdict: Verdict


class Replaced(t.NamedTuple):
    """The target was recreated, and is empty."""


Event: t.TypeAlias = "Started | Ready | TokenIssued | Answered | Forbidden | Judged | Replaced"

# Commands
WAIT_READY, REQUEST_TOKEN, SEND, WAIT_FINISHED, REPLACE, PAUSE, RECORD = (
    "wait for the server",
    "request a token",
    "send",
    "wait for CDI",
    "replace",
    "pause",
    "record",
)
# Commands that end in an error.
FILLED_BY_OTHER, FORBIDDEN, BUSY, REFUSED, EXHAUSTED = "filled by another", "forbidden", "busy", "refused", "exhausted"


class Command(t.NamedTuple):
    """`seconds` to pause.

    `forget`: nothing of the file was taken, so the target must not be recorded as meant for it.
    """

    name: str
    seconds: int = 0
    forget: bool = False


def next_step(state: State, event: Event) -> tuple[State, Command]:
    """What to do after an event, and what is known then."""
    if isinstance(event, Started):
        return state, Command(WAIT_READY)
    if isinstance(event, Ready):
        return _after_ready(state, event)
    if isinstance(event, TokenIssued):
        return state._replace(token=event.token, token_time=event.now), Command(SEND)
    if isinstance(event, Answered):
        return _after_answer(state, event)
    if isinstance(event, Forbidden):
        return state, Command(FORBIDDEN, forget=not state.may_be_begun)
    if isinstance(event, Replaced):
        return _again(state._replace(remains=False))
    if event.verdict.state == REACHED:
        return state, Command(RECORD)
    return _again(state._replace(reason=event.verdict.reason, may_finish=False))


def _after_ready(state: State, event: Ready) -> tuple[State, Command]:
    if event.is_populated:
        # If its answer got lost, CDI had taken all of an earlier attempt.
        return state, Command(RECORD) if state.may_be_taken else Command(FILLED_BY_OTHER, forget=True)
    if not state.token or event.now - state.token_time > TOKEN_SECONDS:
        return state, Command(REQUEST_TOKEN)
    return state, Command(SEND)


def _after_answer(state: State, event: Answered) -> tuple[State, Command]:
    answer, now = event.answer, event.now
    may_finish = (event.all_sent and not answer.is_refusal) or (
        state.may_finish and (answer.nothing_taken or not answer.status)
    )
    state = state._replace(
        reason=answer.reason,
        may_finish=may_finish,
        may_be_taken=state.may_be_taken or may_finish,
        may_be_begun=state.may_be_begun or not answer.nothing_taken,
        unreached_since=_since(state.unreached_since, answer.is_unreached, now),
    )
    if state.unreached_since is not None and now - state.unreached_since < ADDRESS_SECONDS:
        return _again(state)
    if answer.is_busy:
        # Not reset by other answers: it is the patience for the whole upload.
        state = state._replace(busy_since=now if state.busy_since is None else state.busy_since)
        if now - (state.busy_since or 0.0) > state.patience:
            return state, Command(BUSY, forget=not state.may_be_begun)
        return _again(state)
    state = state._replace(attempts=state.attempts + 1)
    if (
        answer.status != 200
        and answer.is_full
        and state.remains
        and state.can_replace
        and state.attempts <= state.retries
    ):
        # What a killed server has written of a raw disk stays, and the next server counts it as used. The target
        # contains nothing else.
        return state, Command(REPLACE)
    if answer.status != 200 and not answer.is_worth_a_retry:
        return state, Command(REFUSED)
    state = state._replace(
        token="" if answer.status == 401 else state.token,
        remains=state.remains or (event.some_sent and not answer.nothing_taken),
    )
    return (state, Command(WAIT_FINISHED)) if answer.status == 200 else _again(state)


def _since(before: float | None, holds: bool, now: float) -> float | None:
    """Since when something holds without interruption."""
    return (now if before is None else before) if holds else None


def _again(state: State) -> tuple[State, Command]:
    if state.attempts > state.retries:
        return state, Command(EXHAUSTED, forget=not state.may_be_begun)
    pause = min(2 * state.pause, LONGEST_PAUSE_SECONDS)
    return state._replace(pause=pause), Command(PAUSE, seconds=state.pause)
