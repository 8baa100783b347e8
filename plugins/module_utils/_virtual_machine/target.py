# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine of a task: what is declared, what was read, and what became of it. Frozen: steps return new ones."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Key, Object
from .attachment import Expected
from .elements import Element, elements_of
from .gates import IMPERATIVE
from .plan import Change, Declared, Plan, runs

if t.TYPE_CHECKING:
    # A task that changes nothing does not need it.
    from .._diagnosis.rules import Diagnosis

_RUNNING = "Running"
# Run strategies with which KubeVirt starts a machine without a request.
_STARTS = ("Always", "RerunOnFailure", "Once")


class Growth(t.NamedTuple):
    """A claim that shall grow to `requested` bytes, so that its disk grows from `before` to `typed`."""

    disk: str
    claim: Object
    requested: int
    before: str
    typed: str
    has_data_volume: bool


class Deletion(t.NamedTuple):
    """A volume to delete once its disk is detached: its DataVolume if it has one, and its claim."""

    disk: str
    data_volume: Object | None
    claim: Object | None

    @property
    def title(self) -> str:
        kind = "DataVolume" if self.data_volume is not None else "PersistentVolumeClaim"
        metadata = (self.data_volume or self.claim or {})["metadata"]
        return f"{kind} {metadata['namespace']}/{metadata['name']}"


class Target(t.NamedTuple):
    """A machine with the disks that are declared for it. `machine` and `instance` are None if they do not exist."""

    key: Key
    declared: Declared
    machine: Object | None = None
    instance: Object | None = None

    @property
    def title(self) -> str:
        return "/".join(self.key)

    @property
    def stored(self) -> Object:
        """The machine, of which the caller knows that it exists."""
        return t.cast(Object, self.machine)

    @property
    def running(self) -> bool:
        return runs(self.instance)

    @property
    def has_started(self) -> bool:
        """Whether KubeVirt accepts requests for the instance."""
        return has_started(self.instance)

    @property
    def unattached(self) -> dict[str, Element]:
        """The disks that a started instance shall attach, and has not attached yet."""
        if self.instance is None or not self.has_started:
            return {}
        found = (self.instance.get("status") or {}).get("volumeStatus") or []
        waiting = {each["name"] for each in found if "hotplugVolume" in each and each.get("phase") != "Ready"}
        disks = elements_of(self.instance.get("spec")).items()
        return {name: disk for name, disk in disks if name in waiting and disk.volume is not None}

    @property
    def needs_look(self) -> bool:
        """Whether there may be a problem with the machine that only other objects explain."""
        return self.is_late or self.prints_firmware or bool(self.unattached)

    @property
    def prints_firmware(self) -> bool:
        """Whether the firmware of the instance, which has started, prints on the console what it boots."""
        firmware = (((self.instance or {}).get("spec") or {}).get("domain") or {}).get("firmware") or {}
        bios = (firmware.get("bootloader") or {}).get("bios") or {}
        return self.has_started and bool(bios.get("useSerial"))

    @property
    def is_late(self) -> bool:
        """Whether the machine should run, and does not."""
        if self.machine is None or self.machine["metadata"].get("deletionTimestamp"):
            return False
        if self.running:
            return not self.has_started
        if self.instance is not None and phase_of(self.instance) != "Failed":
            return False  # It stops, or has ended by itself.
        spec = self.machine.get("spec") or {}
        return (spec.get("runStrategy") or ("Always" if spec.get("running") else "")) in _STARTS


def phase_of(instance: Object | None) -> str:
    """The phase of an instance, empty without one."""
    return str(((instance or {}).get("status") or {}).get("phase") or "")


def has_started(instance: Object | None) -> bool:
    return phase_of(instance) == _RUNNING


class Outcome(t.NamedTuple):
    """What a task does with a machine, also when an error followed.

    `done`: what happened to disks, by their names. `notes`: what the result says beside that. `diagnosis`: why the
    machine does not run, or does not attach its disks.
    """

    target: Target
    plan: Plan = ()
    way: str = ""
    growths: tuple[Growth, ...] = ()
    deletions: tuple[Deletion, ...] = ()
    changed: bool = False
    done: t.Mapping[str, str] = {}
    diff: t.Mapping[str, t.Any] = {}
    notes: tuple[str, ...] = ()
    error: str = ""
    diagnosis: Diagnosis | None = None

    @property
    def key(self) -> Key:
        return self.target.key

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to do, also not in the running instance."""
        return not (self.growths or self.deletions or any(each.writes or each.hot for each in self.plan))

    def did(self, name: str, what: str) -> Outcome:
        return self._replace(changed=True, done={**self.done, name: what})


Outcomes = dict[Key, Outcome]


def unfailed(outcomes: Outcomes) -> list[Outcome]:
    return [outcome for outcome in outcomes.values() if not outcome.error]


def with_error(outcome: Outcome, error: str) -> Outcome:
    """The outcome with this error, unless it has one."""
    return outcome if outcome.error or not error else outcome._replace(error=error)


def expected(outcome: Outcome, *, replaced: bool = False) -> Expected:
    """What the instance shall have after the first requests, or with `replaced` after the last ones.

    Where KubeVirt plugs on request, a volume that replaces another one is requested when that is detached.
    """
    hot = [change for change in outcome.plan if change.hot]
    later = [change for change in hot if change.replaces and outcome.way == IMPERATIVE]
    attached = later if replaced else [change for change in hot if change.plugs and change not in later]
    detached = (
        [] if replaced else [change for change in hot if change.unplugs and (not change.plugs or change in later)]
    )
    return Expected(
        {change.name: change.wanted for change in attached},
        [change.name for change in detached],
        {growth.disk: growth.requested for growth in outcome.growths} if outcome.target.running else {},
    )


def replacements(outcome: Outcome) -> list[Change]:
    """Volumes that are requested when another one of their name is detached."""
    return [change for change in outcome.plan if change.replaces] if outcome.way == IMPERATIVE else []
