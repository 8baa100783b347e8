# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one waiter: a LIST and one watch for any number of objects of a kind in a namespace."""

from __future__ import annotations

import random
import time
import typing as t

from .client import Connection, WatchExpired
from .errors import ApiError, CdiError, target
from .mounts import held_by
from .objects import Object
from .resources import Resource
from .verdict import REACHED, WAITING, Judge, Verdict

# An object that has not moved for so long is looked at more closely: again after as long, later less and less often.
QUIET_SECONDS = 4.0
_MOST_QUIET_SECONDS = 30.0
_PAUSE_SECONDS = 1.0
# A watch on which nothing has come for so long, not even a bookmark, is checked by a read: again after twice as long, up to the most.
SILENT_SECONDS = 10.0
MOST_SILENT_SECONDS = 60.0
# As client-go does it (v0.34.4, tools/cache/reflector.go): after a watch that ended at once, this pause, doubled each time.
_FIRST_BACKOFF_SECONDS = 0.8
_MOST_BACKOFF_SECONDS = 30.0
_AT_ONCE_SECONDS = 10.0
# A state that was read so shortly before the deadline is the last one.
_FRESH_SECONDS = 0.5


class Outcome(t.NamedTuple):
    """The last verdict on one object and the object as it was then (None: it does not exist)."""

    verdict: Verdict
    object: Object | None


class StallProbe(t.NamedTuple):
    """How to look more closely at objects that do not move.

    `moved(object)` is what changes when an object gets on; `look(objects, seconds)` reads what else is known of those
    (objects by name) that do not, within these seconds, and returns verdicts by name.
    """

    moved: t.Callable[[Object | None], t.Hashable]
    probe: t.Callable[[dict[str, Object | None], float], dict[str, Verdict]]


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
        self.names = tuple(names)
        self._watched = {name: _Watched() for name in names}
        self._judge, self._deadline, self._probe = judge, deadline, probe

    def left(self) -> float:
        return self._deadline - time.monotonic()

    def waits(self) -> bool:
        """Whether something is waited for still, be its time up or not."""
        return any(
            watched.outcome.verdict.state == WAITING or watched.outcome.verdict.grace
            for watched in self._watched.values()
        )

    def differs(self, found: t.Mapping[str, Object]) -> bool:
        """Whether a read shows another state than the last one known."""
        return any(
            _version(found.get(name)) != _version(watched.outcome.object) for name, watched in self._watched.items()
        )

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
        return (
            min(self._deadline, max(watched.settled_at(self._deadline) for watched in self._watched.values()))
            - time.monotonic()
        )

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
            name: watched.outcome if watched.settled_at(self._deadline) <= now else _unfinished(watched.outcome)
            for name, watched in self._watched.items()
        }


class _Watching:
    """How often a watch is opened, and when a silent one is checked by a read."""

    def __init__(self) -> None:
        self._silent_seconds = SILENT_SECONDS
        self._backoff = 0.0
        self._read_seconds = 0.0
        self.heard_at = time.monotonic()

    def most_seconds(self, left: float) -> float:
        """How long a read may take: of the last one, at the deadline, no more than can be expected of this server."""
        return max(left, _PAUSE_SECONDS, min(3 * self._read_seconds, _AT_ONCE_SECONDS))

    def listed(self, unseen: bool, seconds: float) -> None:
        """The objects were read in so many seconds; `unseen`: they had changed, and the watch did not say so."""
        self.heard_at = time.monotonic()
        self._read_seconds = max(self._read_seconds, seconds)
        # A proxy that holds a watch back will hold back the next one, too.
        self._silent_seconds = SILENT_SECONDS / 2 if unseen else self._silent_seconds

    def heard(self) -> None:
        self.heard_at = time.monotonic()
        self._silent_seconds = SILENT_SECONDS

    def silent_for(self) -> float:
        """Seconds until the watch has been silent for too long."""
        return self.heard_at + self._silent_seconds - time.monotonic()

    def checked(self) -> None:
        self._silent_seconds = min(2 * self._silent_seconds, MOST_SILENT_SECONDS)

    def backoff(self, lasted: float, ended_early: bool) -> float:
        """Seconds before the next watch, after one that lasted so long."""
        if not ended_early or lasted >= _AT_ONCE_SECONDS:
            self._backoff = 0.0
            return 0.0
        self._backoff = min(max(2 * self._backoff, _FIRST_BACKOFF_SECONDS), _MOST_BACKOFF_SECONDS)
        return self._backoff * random.uniform(1.0, 1.5)


def _version(stored: Object | None) -> t.Any:
    return stored["metadata"].get("resourceVersion") if stored else None


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

    `judge(name, object)` is pure. A broken watch is resumed, a silent one is checked by a read, and at the deadline what is waited for still is
    read a last time. The API server may be away for as long as the deadline allows, which is exceeded by a second or two at most. Raises
    ApiError when the server refuses, or is still away at the deadline.
    """
    wait, watching = _Wait(names, judge, deadline, probe), _Watching()
    selector = f"metadata.name={next(iter(names))}" if len(names) == 1 else ""
    version = ""
    while True:
        watches = False
        try:
            version = _read(connection, resource, namespace, selector, wait, watching, first=not version)
            watches = True
            while wait.remaining() > 0 and watching.silent_for() > 0:
                wait.probe()
                pause = _watch(connection, resource, namespace, selector, wait, watching, version)
                version = pause.version
                if pause.seconds:
                    time.sleep(max(min(pause.seconds, wait.remaining()), 0))
                    break
            if wait.remaining() <= 0 and not (
                wait.waits() and wait.left() <= 0 and time.monotonic() - watching.heard_at > _FRESH_SECONDS
            ):
                return wait.outcomes()
            watching.checked()
        except WatchExpired:
            time.sleep(max(min(watching.backoff(0.0, ended_early=True), wait.left()), 0))
        except ApiError as exc:
            # An API server that restarts is worth waiting for; a refusal is not.
            if exc.final or wait.left() <= _PAUSE_SECONDS:
                raise
            pause = watching.backoff(0.0, ended_early=True) if watches else _PAUSE_SECONDS
            time.sleep(max(min(pause, wait.left() - _PAUSE_SECONDS), 0))


class _Pause(t.NamedTuple):
    """The version that a watch has come to, and the seconds before the next one."""

    version: str
    seconds: float


def _read(
    connection: Connection,
    resource: Resource,
    namespace: str | None,
    selector: str,
    wait: _Wait,
    watching: _Watching,
    *,
    first: bool,
) -> str:
    started = time.monotonic()
    items, version = connection.list(
        resource, namespace, field_selector=selector, within_seconds=watching.most_seconds(wait.left())
    )
    found = {item["metadata"]["name"]: item for item in items}
    watching.listed(not first and wait.differs(found), time.monotonic() - started)
    for name in wait.names:
        wait.update(name, found.get(name))
    return version


def _watch(
    connection: Connection,
    resource: Resource,
    namespace: str | None,
    selector: str,
    wait: _Wait,
    watching: _Watching,
    version: str,
) -> _Pause:
    """One watch, until there is something to do beside it."""
    opened = time.monotonic()
    quiet = min(wait.pause(), watching.silent_for())
    asked = wait.remaining()
    broke = False
    for kind, stored in connection.watch(
        resource, namespace, version, timeout_seconds=asked, quiet_seconds=quiet, field_selector=selector
    ):
        version = stored["metadata"]["resourceVersion"]
        watching.heard()
        if kind != "BOOKMARK":
            wait.update(stored["metadata"].get("name"), None if kind == "DELETED" else stored)
        if wait.pause() <= 0:
            broke = True
            break
    lasted = time.monotonic() - opened
    # What ends before anything was due was ended by the server, or by something on the way.
    early = not broke and lasted < min(quiet, asked) - 0.1
    return _Pause(version, watching.backoff(lasted, early))


def poll_until(connection: Connection, check: t.Callable[[Connection], Verdict], deadline: float) -> Verdict:
    """Ask `check` again and again until it is not WAITING, for truths that no single object's watch can tell.

    It gets a connection whose requests end at the deadline, and is asked a last time there. Raises ApiError when the server refuses, or is
    still away at the deadline.
    """
    bounded = connection.until(deadline)
    pause = 0.2
    while True:
        remaining = deadline - time.monotonic()
        try:
            verdict = check(bounded)
            if verdict.state != WAITING or remaining <= 0:
                return verdict
        except ApiError as exc:
            if exc.final or remaining <= 0:
                raise
        time.sleep(max(min(pause, deadline - time.monotonic()), 0))
        pause = min(pause * 1.5, 2.0)
