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

WAITING: t.Final = "waiting"
REACHED: t.Final = "reached"
FAILED: t.Final = "failed"

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


Judge = t.Callable[[str, t.Optional[Object]], Verdict]


def wait_for(
    connection: Connection, resource: Resource, namespace: str | None, names: t.Collection[str], judge: Judge, deadline: float
) -> dict[str, Outcome]:
    """Watch the named objects until each is REACHED or FAILED, or until `deadline` (of time.monotonic()) has passed.

    `judge(name, object)` is pure. A broken watch is resumed; the API server may be away for as long as the deadline allows.
    """
    outcomes: dict[str, Outcome] = {}
    ailing_since: dict[str, float] = {}
    selector = f"metadata.name={next(iter(names))}" if len(names) == 1 else ""

    def settle(name: str, stored: Object | None) -> None:
        outcomes[name] = Outcome(judge(name, stored), stored)
        # Not forgotten when it looks better for a moment: a controller that tries again does that each time.
        if outcomes[name].verdict.grace:
            ailing_since.setdefault(name, time.monotonic())

    def settled_at(name: str) -> float:
        """When the verdict on this object is final, if nothing more happens to it."""
        verdict = outcomes[name].verdict
        if verdict.state == WAITING:
            return deadline
        return ailing_since.get(name, 0) + verdict.grace

    def remaining() -> float:
        return min(deadline, max(map(settled_at, names))) - time.monotonic()

    while True:
        try:
            items, version = connection.list(resource, namespace, field_selector=selector)
            found = {item["metadata"]["name"]: item for item in items}
            for name in names:
                settle(name, found.get(name))
            while remaining() > 0:
                for kind, stored in connection.watch(resource, namespace, version, timeout_seconds=remaining(), field_selector=selector):
                    version = stored["metadata"]["resourceVersion"]
                    name = stored["metadata"].get("name")
                    if kind != "BOOKMARK" and name in names:
                        settle(name, None if kind == "DELETED" else stored)
                        if remaining() <= 0:
                            break
            return {name: outcome if settled_at(name) <= time.monotonic() else _unfinished(outcome) for name, outcome in outcomes.items()}
        except WatchExpired:
            continue
        except ApiError as exc:
            # An API server that restarts is worth waiting for; a refusal is not.
            if 0 < exc.code < 500 and exc.code != 429 or time.monotonic() + _PAUSE_SECONDS >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def wait_gone(connection: Connection, resource: Resource, namespace: str | None, name: str, timeout: float) -> None:
    """Wait until an object that was deleted is no longer there. Raises CdiError after `timeout` seconds."""

    def judge(_name: str, stored: Object | None) -> Verdict:
        return Verdict(REACHED) if stored is None else Verdict(WAITING, "it is still there")

    if wait_for(connection, resource, namespace, [name], judge, time.monotonic() + timeout)[name].verdict.state != REACHED:
        raise CdiError(f"{target(resource, namespace, name)} is not gone after {timeout:.0f} s: a pod may still use it, or a finalizer hold it.")


def _unfinished(outcome: Outcome) -> Outcome:
    """A failure that did not last long enough to count when the time was up."""
    return outcome._replace(verdict=Verdict(WAITING, outcome.verdict.reason))


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
