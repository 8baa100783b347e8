# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for any number of objects of a kind in a namespace, by a LIST and one watch."""

from __future__ import annotations

import random
import time
import typing as t

from .client import Connection
from .errors import ApiError, CdiError, WatchExpired, target
from .mounts import held_by
from .objects import Object
from .resources import Resource
from .verdict import REACHED, WAITING, Judge, Verdict

# An object that has not changed for so long is probed, then again after as long, and later less often.
QUIET_SECONDS = 4.0
_MOST_QUIET_SECONDS = 30.0
_PAUSE_SECONDS = 1.0
# A watch without any event, even a bookmark, for so long is checked by a read, then after twice as long, up to the
# maximum.
SILENT_SECONDS = 10.0
MOST_SILENT_SECONDS = 60.0
# As in client-go (v0.34.4, tools/cache/reflector.go): the pause after a watch that ended at once, doubled each time.
_FIRST_BACKOFF_SECONDS = 0.8
_MOST_BACKOFF_SECONDS = 30.0
_AT_ONCE_SECONDS = 10.0
# A state that was read so shortly before the deadline is final.
_FRESH_SECONDS = 0.5

# Called after each verdict on an object with its name, the object and the verdict.
Observe: t.TypeAlias = "t.Callable[[str, Object | None, Verdict], None]"


class Outcome(t.NamedTuple):
    """The last verdict on one object, and the object at that time (None: it did not exist)."""

    verdict: Verdict
    object: Object | None


class StallProbe(t.NamedTuple):
    """How to find out why objects do not progress.

    `moved(object)` changes when an object progresses. `probe(objects, seconds)` gets the objects that do not, by name,
    reads more about them within these seconds, and returns verdicts by name.
    """

    moved: t.Callable[[Object | None], t.Hashable]
    probe: t.Callable[[dict[str, Object | None], float], dict[str, Verdict]]


class _Scope(t.NamedTuple):
    """What is read and watched: all objects of a kind in a namespace, or those of a field selector."""

    connection: Connection
    resource: Resource
    namespace: str | None
    selector: str


class _Watched:
    """One awaited object."""

    def __init__(self) -> None:
        self.outcome = Outcome(Verdict(WAITING), None)
        self.moved: t.Hashable = None
        self.moved_at = self.probe_at = 0.0
        self.ailing_since: float | None = None
        self.fine_since: float | None = None

    def judged(self, verdict: Verdict, stored: Object | None) -> None:
        self.outcome = Outcome(verdict, stored)
        now = time.monotonic()
        if not verdict.grace:
            if self.fine_since is None:
                self.fine_since = now
            return
        # A short recovery does not reset a failure, because each retry of a controller looks like one.
        if self.ailing_since is None or (self.fine_since is not None and now - self.fine_since > verdict.grace):
            self.ailing_since = now
        self.fine_since = None

    def settled_at(self, deadline: float) -> float:
        """When the verdict becomes final, if nothing else happens."""
        verdict = self.outcome.verdict
        if verdict.state == WAITING:
            return deadline
        return (self.ailing_since or 0.0) + verdict.grace if verdict.grace else 0.0


class _Wait:
    """All awaited objects, and the remaining time."""

    def __init__(
        self,
        names: t.Collection[str],
        judge: Judge,
        deadline: float,
        probe: StallProbe | None,
        observe: Observe | None,
    ) -> None:
        self.names = tuple(names)
        self._watched = {name: _Watched() for name in names}
        self._judge, self._deadline, self._probe, self._observe = judge, deadline, probe, observe

    def left(self) -> float:
        return self._deadline - time.monotonic()

    def is_unsettled(self) -> bool:
        """Whether an object has no final verdict yet. The deadline may have passed."""
        return any(
            watched.outcome.verdict.state == WAITING or watched.outcome.verdict.grace
            for watched in self._watched.values()
        )

    def differs(self, found: t.Mapping[str, Object]) -> bool:
        """Whether a read shows a state other than the last known one."""
        return any(
            _version(found.get(name)) != _version(watched.outcome.object) for name, watched in self._watched.items()
        )

    def update(self, name: str, stored: Object | None) -> None:
        watched = self._watched.get(name)
        if watched is None:
            return
        self._judged(name, watched, self._judge(name, stored), stored)
        moved = self._probe.moved(stored) if self._probe else None
        if not watched.probe_at or moved != watched.moved:
            watched.moved, watched.moved_at = moved, time.monotonic()
            watched.probe_at = watched.moved_at + QUIET_SECONDS

    def _judged(self, name: str, watched: _Watched, verdict: Verdict, stored: Object | None) -> None:
        watched.judged(verdict, stored)
        if self._observe:
            self._observe(name, stored, verdict)

    def remaining(self) -> float:
        """Seconds until every verdict is final, if nothing else happens."""
        return (
            min(self._deadline, max(watched.settled_at(self._deadline) for watched in self._watched.values()))
            - time.monotonic()
        )

    def pause(self) -> float:
        """Seconds until there is something to do, if nothing else happens."""
        probes = [watched.probe_at for watched in self._unsettled().values()] if self._probe else []
        return min([self.remaining(), *(probe_at - time.monotonic() for probe_at in probes)])

    def _unsettled(self) -> dict[str, _Watched]:
        now = time.monotonic()
        return {name: watched for name, watched in self._watched.items() if watched.settled_at(self._deadline) > now}

    def probe(self) -> None:
        """Probe the objects that have not moved for some time."""
        now = time.monotonic()
        unsettled = self._unsettled()
        if not self._probe or not any(watched.probe_at <= now for watched in unsettled.values()):
            return
        # One probe serves all that are nearly due.
        due = {name: watched for name, watched in unsettled.items() if watched.probe_at <= now + QUIET_SECONDS / 2}
        verdicts = self._probe.probe({name: watched.outcome.object for name, watched in due.items()}, self.left())
        now = time.monotonic()
        for name, watched in due.items():
            self._judged(name, watched, verdicts[name], watched.outcome.object)
            watched.probe_at = now + min(max(QUIET_SECONDS, (now - watched.moved_at) / 4), _MOST_QUIET_SECONDS)

    def outcomes(self) -> dict[str, Outcome]:
        now = time.monotonic()
        return {
            name: watched.outcome if watched.settled_at(self._deadline) <= now else _unfinished(watched.outcome)
            for name, watched in self._watched.items()
        }


class _Watching:
    """When to open the next watch, and when to check a silent watch by a read."""

    def __init__(self) -> None:
        self._silent_seconds = SILENT_SECONDS
        self._backoff = 0.0
        self._read_seconds = 0.0
        self.heard_at = time.monotonic()

    def most_seconds(self, left: float) -> float:
        """How long a read may take. The read at the deadline gets as long as reads of this server take."""
        return max(left, _PAUSE_SECONDS, min(3 * self._read_seconds, _AT_ONCE_SECONDS))

    def listed(self, unseen: bool, seconds: float) -> None:
        """A read took `seconds`. `unseen`: it shows a change without an event of the watch."""
        self.heard_at = time.monotonic()
        self._read_seconds = max(self._read_seconds, seconds)
        # A proxy that buffers this watch also buffers the next one.
        self._silent_seconds = SILENT_SECONDS / 2 if unseen else self._silent_seconds

    def heard(self) -> None:
        self.heard_at = time.monotonic()
        self._silent_seconds = SILENT_SECONDS

    def silent_for(self) -> float:
        """Seconds until the watch counts as silent."""
        return self.heard_at + self._silent_seconds - time.monotonic()

    def checked(self) -> None:
        self._silent_seconds = min(2 * self._silent_seconds, MOST_SILENT_SECONDS)

    def backoff(self, lasted: float, ended_early: bool) -> float:
        """Seconds before the next watch, after a watch that `lasted` so long."""
        if not ended_early or lasted >= _AT_ONCE_SECONDS:
            self._backoff = 0.0
            return 0.0
        self._backoff = min(max(2 * self._backoff, _FIRST_BACKOFF_SECONDS), _MOST_BACKOFF_SECONDS)
        return self._backoff * random.uniform(1.0, 1.5)


def _version(stored: Object | None) -> t.Any:
    return stored["metadata"].get("resourceVersion") if stored else None


def wait_gone(
    connection: Connection,
    resource: Resource,
    namespace: str | None,
    name: str,
    timeout: float,
    deadline: float | None = None,
) -> None:
    """Wait until a deleted object no longer exists. Raises CdiError after `timeout` seconds.

    `deadline` (of time.monotonic()) ends the wait earlier, when a part of the timeout has already passed.
    """

    def judge(_name: str, stored: Object | None) -> Verdict:
        return Verdict(REACHED) if stored is None else Verdict(WAITING, "it still exists")

    ends = time.monotonic() + timeout if deadline is None else deadline
    outcome = wait_for(connection, resource, namespace, [name], judge, ends)[name]
    if outcome.verdict.state != REACHED:
        held = held_by(connection, resource, outcome.object)
        raise CdiError(f"{target(resource, namespace, name)} was not deleted within {timeout:.0f} s: {held}.")


def _unfinished(outcome: Outcome) -> Outcome:
    """A failure that had not lasted for its grace at the deadline counts as waiting."""
    return outcome._replace(verdict=Verdict(WAITING, outcome.verdict.reason))


def wait_for(
    connection: Connection,
    resource: Resource,
    namespace: str | None,
    names: t.Collection[str],
    judge: Judge,
    deadline: float,
    probe: StallProbe | None = None,
    observe: Observe | None = None,
) -> dict[str, Outcome]:
    """Watch the named objects until each is REACHED or FAILED, or until `deadline` (of time.monotonic()) has passed.

    `judge(name, object)` is pure; `observe(name, object, verdict)` gets each verdict. A broken watch is resumed, a
    silent one is checked by a read, and objects without a final verdict are read again at the deadline. The API server
    may be unavailable until the deadline, which is exceeded by two seconds at most. Raises ApiError when the server
    refuses a request, or is unavailable at the deadline.
    """
    wait, watching = _Wait(names, judge, deadline, probe, observe), _Watching()
    selector = f"metadata.name={next(iter(names))}" if len(names) == 1 else ""
    scope = _Scope(connection, resource, namespace, selector)
    version = ""
    while True:
        watches = False
        try:
            version = _read(scope, wait, watching, first=not version)
            watches = True
            while wait.remaining() > 0 and watching.silent_for() > 0:
                wait.probe()
                version, seconds = _watch(scope, wait, watching, version)
                if seconds:
                    time.sleep(max(min(seconds, wait.remaining()), 0.0))
                    break
            if wait.remaining() <= 0 and not (
                wait.is_unsettled() and wait.left() <= 0 and time.monotonic() - watching.heard_at > _FRESH_SECONDS
            ):
                return wait.outcomes()
            watching.checked()
        except WatchExpired:
            time.sleep(max(min(watching.backoff(0.0, ended_early=True), wait.left()), 0.0))
        except ApiError as exc:
            # Wait for an API server that restarts, but not after a refusal.
            if exc.final or wait.left() <= _PAUSE_SECONDS:
                raise
            seconds = watching.backoff(0.0, ended_early=True) if watches else _PAUSE_SECONDS
            time.sleep(max(min(seconds, wait.left() - _PAUSE_SECONDS), 0.0))


def _read(scope: _Scope, wait: _Wait, watching: _Watching, *, first: bool) -> str:
    """Update all objects by one LIST, and return its version."""
    connection, resource, namespace, selector = scope
    started = time.monotonic()
    items, version = connection.list(
        resource, namespace, field_selector=selector, within_seconds=watching.most_seconds(wait.left())
    )
    found = {item["metadata"]["name"]: item for item in items}
    watching.listed(not first and wait.differs(found), time.monotonic() - started)
    for name in wait.names:
        wait.update(name, found.get(name))
    return version


def _watch(scope: _Scope, wait: _Wait, watching: _Watching, version: str) -> tuple[str, float]:
    """One watch until something else is due. Returns its last version, and the seconds before the next watch."""
    connection, resource, namespace, selector = scope
    opened = time.monotonic()
    quiet = min(wait.pause(), watching.silent_for())
    requested = wait.remaining()
    broke = False
    for kind, stored in connection.watch(
        resource, namespace, version, timeout_seconds=requested, quiet_seconds=quiet, field_selector=selector
    ):
        version = stored["metadata"]["resourceVersion"]
        watching.heard()
        if kind != "BOOKMARK":
            wait.update(stored["metadata"].get("name") or "", None if kind == "DELETED" else stored)
        if wait.pause() <= 0:
            broke = True
            break
    lasted = time.monotonic() - opened
    # A watch that ends before anything was due was ended by the server or a proxy.
    early = not broke and lasted < min(quiet, requested) - 0.1
    return version, watching.backoff(lasted, early)


def poll_until(
    connection: Connection,
    probe: t.Callable[[Connection], Verdict],
    deadline: float,
    observe: t.Callable[[Verdict], None] | None = None,
) -> Verdict:
    """Call `probe` until its verdict is not WAITING, for states that no watch of a single object shows.

    `probe` gets a connection whose requests end at the deadline, and is called once more then; `observe` gets each
    verdict. Raises ApiError when the server refuses a request, or is unavailable at the deadline.
    """
    bounded = connection.until(deadline)
    pause = 0.2
    while True:
        remaining = deadline - time.monotonic()
        try:
            verdict = probe(bounded)
            if observe:
                observe(verdict)
            if verdict.state != WAITING or remaining <= 0:
                return verdict
        except ApiError as exc:
            if exc.final or remaining <= 0:
                raise
        time.sleep(max(min(pause, deadline - time.monotonic()), 0.0))
        pause = min(pause * 1.5, 2.0)
