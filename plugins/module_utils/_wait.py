# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The one waiter: a LIST and one watch for any number of objects of a kind in a namespace."""

from __future__ import annotations

import time
import typing as t

from ._connection import Connection, Object, WatchExpired
from ._errors import ApiError, CdiError, target
from ._resources import Resource
from ._users import held_by

WAITING: t.Final = "waiting"
REACHED: t.Final = "reached"
FAILED: t.Final = "failed"

# An object that has not moved for so long is looked at more closely: again after as long, later less and less often.
QUIET_SECONDS = 4.0
_MOST_QUIET_SECONDS = 30.0
_PAUSE_SECONDS = 1.0


class Verdict(t.NamedTuple):
    """Whether an object has got where it should: `state` is WAITING, REACHED or FAILED, `reason` says why not.

    A FAILED that may heal by itself (a quota, an image pull) carries `grace`: the seconds for which it has to last to count.
    """

    state: str
    reason: str = ""
    grace: float = 0


class Outcome(t.NamedTuple):
    """The last verdict on one object and the object as it was then (None: it does not exist)."""

    verdict: Verdict
    object: Object | None


class StallProbe(t.NamedTuple):
    """How to look more closely at objects that do not move.

    `moved(object)` is what changes when an object gets on; `look(objects, seconds)` reads what else is known of those
    (objects by name) that do not, within these seconds, and returns verdicts by name.
    """

    moved: t.Callable[[t.Optional[Object]], t.Hashable]
    probe: t.Callable[[t.Dict[str, t.Optional[Object]], float], t.Dict[str, Verdict]]


Judge = t.Callable[[str, t.Optional[Object]], Verdict]


class _Watched:
    """One object that is waited for."""

    def __init__(self) -> None:
        self.outcome = Outcome(Verdict(WAITING), None)
        self.moved: t.Hashable = None
        self.moved_at = self.look_at = 0.0
        self.ailing_since: float | None = None
        self.fine_since: float | None = None

    def judged(self, verdict: Verdict, stored: Object | None) -> None:
        self.outcome = Outcome(verdict, stored)
        now = time.monotonic()
        if not verdict.grace:
            if self.fine_since is None:
                self.fine_since = now
            return
        # Not forgotten when it looks better for a moment: a controller that tries again does that each time.
        if self.ailing_since is None or (self.fine_since is not None and now - self.fine_since > verdict.grace):
            self.ailing_since = now
        self.fine_since = None

    def settled_at(self, deadline: float) -> float:
        """When the verdict is final, if nothing more happens."""
        verdict = self.outcome.verdict
        if verdict.state == WAITING:
            return deadline
        return (self.ailing_since or 0.0) + verdict.grace if verdict.grace else 0.0


class _Wait:
    """All objects that are waited for, and the clock."""

    def __init__(self, names: t.Collection[str], judge: Judge, deadline: float, probe: StallProbe | None) -> None:
        self._watched = {name: _Watched() for name in names}
        self._judge, self._deadline, self._probe = judge, deadline, probe

    def left(self) -> float:
        return self._deadline - time.monotonic()

    def update(self, name: str | None, stored: Object | None) -> None:
        watched = self._watched.get(name or "")
        if watched is None:
            return
        watched.judged(self._judge(t.cast(str, name), stored), stored)
        moved = self._probe.moved(stored) if self._probe else None
        if not watched.look_at or moved != watched.moved:
            watched.moved, watched.moved_at = moved, time.monotonic()
            watched.look_at = watched.moved_at + QUIET_SECONDS

    def remaining(self) -> float:
        """Seconds until every verdict is final, if nothing more happens."""
        return min(self._deadline, max(watched.settled_at(self._deadline) for watched in self._watched.values())) - time.monotonic()

    def pause(self) -> float:
        """Seconds until there is something to do, if nothing more happens."""
        looks = [watched.look_at for watched in self._unsettled().values()] if self._probe else []
        return min([self.remaining(), *(look_at - time.monotonic() for look_at in looks)])

    def _unsettled(self) -> dict[str, _Watched]:
        now = time.monotonic()
        return {name: watched for name, watched in self._watched.items() if watched.settled_at(self._deadline) > now}

    def probe(self) -> None:
        """Look closely at what has not moved for some time."""
        now = time.monotonic()
        unsettled = self._unsettled()
        if not self._probe or not any(watched.look_at <= now for watched in unsettled.values()):
            return
        # One look serves all that are nearly due.
        due = {name: watched for name, watched in unsettled.items() if watched.look_at <= now + QUIET_SECONDS / 2}
        verdicts = self._probe.probe({name: watched.outcome.object for name, watched in due.items()}, self.left())
        now = time.monotonic()
        for name, watched in due.items():
            watched.judged(verdicts[name], watched.outcome.object)
            watched.look_at = now + min(max(QUIET_SECONDS, (now - watched.moved_at) / 4), _MOST_QUIET_SECONDS)

    def outcomes(self) -> dict[str, Outcome]:
        now = time.monotonic()
        return {
            name: watched.outcome if watched.settled_at(self._deadline) <= now else _unfinished(watched.outcome) for name, watched in self._watched.items()
        }


def wait_gone(connection: Connection, resource: Resource, namespace: str | None, name: str, timeout: float) -> None:
    """Wait until an object that was deleted is no longer there. Raises CdiError after `timeout` seconds."""

    def judge(_name: str, stored: Object | None) -> Verdict:
        return Verdict(REACHED) if stored is None else Verdict(WAITING, "it is still there")

    outcome = wait_for(connection, resource, namespace, [name], judge, time.monotonic() + timeout)[name]
    if outcome.verdict.state != REACHED:
        held = held_by(connection, resource, outcome.object)
        raise CdiError(f"{target(resource, namespace, name)} was not deleted within {timeout:.0f} s: {held}.")


def _unfinished(outcome: Outcome) -> Outcome:
    """A failure that did not last long enough to count when the time was up."""
    return outcome._replace(verdict=Verdict(WAITING, outcome.verdict.reason))


def wait_for(
    connection: Connection,
    resource: Resource,
    namespace: str | None,
    names: t.Collection[str],
    judge: Judge,
    deadline: float,
    probe: StallProbe | None = None,
) -> dict[str, Outcome]:
    """Watch the named objects until each is REACHED or FAILED, or until `deadline` (of time.monotonic()) has passed.

    `judge(name, object)` is pure. A broken watch is resumed; the API server may be away for as long as the deadline allows,
    which is never exceeded by more than a second. Raises ApiError when the server refuses, or is still away at the deadline.
    """
    wait = _Wait(names, judge, deadline, probe)
    selector = f"metadata.name={next(iter(names))}" if len(names) == 1 else ""
    while True:
        try:
            items, version = connection.list(resource, namespace, field_selector=selector, within_seconds=wait.left())
            found = {item["metadata"]["name"]: item for item in items}
            for name in names:
                wait.update(name, found.get(name))
            while wait.remaining() > 0:
                wait.probe()
                changes = connection.watch(
                    resource, namespace, version, timeout_seconds=wait.remaining(), quiet_seconds=wait.pause(), field_selector=selector
                )
                for kind, stored in changes:
                    version = stored["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        wait.update(stored["metadata"].get("name"), None if kind == "DELETED" else stored)
                    if wait.pause() <= 0:
                        break
            return wait.outcomes()
        except WatchExpired:
            continue
        except ApiError as exc:
            # An API server that restarts is worth waiting for; a refusal is not.
            if 0 < exc.code < 500 and exc.code != 429 or wait.left() <= _PAUSE_SECONDS:
                raise
            time.sleep(_PAUSE_SECONDS)


def poll_until(check: t.Callable[[], Verdict], deadline: float) -> Verdict:
    """Ask `check` again and again until it is not WAITING, for truths that no single object's watch can tell."""
    pause = 0.2
    while True:
        verdict = check()
        remaining = deadline - time.monotonic()
        if verdict.state != WAITING or remaining <= 0:
            return verdict
        time.sleep(min(pause, remaining))
        pause = min(pause * 1.5, 2.0)
