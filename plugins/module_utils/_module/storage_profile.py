# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage profiles: what CDI cannot find out about a storage class by itself."""

from __future__ import annotations

import functools
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

from .._ansible.argspec import FORCE_CONFLICTS, ArgumentSpec, wait_spec
from .._ansible.batch import find, options_of
from .._ansible.fields import field_name, to_fields
from .._ansible.module import Task
from .._cdi.names import CONTROLLER
from .._kubernetes.apply import write
from .._kubernetes.compare import diff_of, for_result
from .._kubernetes.errors import CdiError
from .._kubernetes.managed_fields import owners_of
from .._kubernetes.merge_patch import merged
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import STORAGE_CLASS, STORAGE_PROFILE, VOLUME_SNAPSHOT_CLASS, Resource
from .._kubernetes.verdict import REACHED, WAITING, Verdict
from .._kubernetes.wait import wait_for

_PARALLEL_WRITES = 8
# As many as the CRD allows (types.go, v1.65.0).
_MOST_SETS = 8
# An empty text or list removes the field.
OPTIONS: dict[str, t.Any] = {
    "claim_property_sets": {
        "type": "list",
        "elements": "dict",
        "options": {
            "access_modes": {
                "type": "list",
                "elements": "str",
                "required": True,
                "choices": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"],
            },
            "volume_mode": {"type": "str", "choices": ["Filesystem", "Block"], "required": True},
        },
    },
    "clone_strategy": {"type": "str", "choices": ["copy", "snapshot", "csi-clone", ""]},
    "data_import_cron_source_format": {"type": "str", "choices": ["pvc", "snapshot", ""]},
    "snapshot_class": {"type": "str"},
}
SPEC = (
    ArgumentSpec(
        {
            "name": {"type": "str"},
            **OPTIONS,
            "storage_profiles": {
                "type": "list",
                "elements": "dict",
                "options": {"name": {"type": "str", "required": True}, **OPTIONS},
            },
        },
        required_one_of=[("name", "storage_profiles")],
        mutually_exclusive=[(option, "storage_profiles") for option in ("name", *OPTIONS)],
    )
    + FORCE_CONFLICTS
    + wait_spec(60)
)


class Profile(t.NamedTuple):
    """One requested storage profile, by its options."""

    options: t.Mapping[str, t.Any]

    @property
    def name(self) -> str:
        return str(self.options["name"])

    @property
    def wanted(self) -> Object:
        """The requested `spec`, without the fields to remove."""
        return {name: value for name, value in to_fields(self.options, OPTIONS).items() if value not in ("", [])}

    @property
    def removed(self) -> dict[str, str]:
        """The options whose fields are to be removed, by these fields."""
        return {field_name(option): option for option in OPTIONS if self.options[option] in ("", [])}


class Outcome(t.NamedTuple):
    """What became of a profile. `stored` is the StorageProfile, None while it does not exist."""

    stored: Object | None = None
    changed: bool = False
    diff: t.Mapping[str, t.Any] = MappingProxyType({})
    error: str = ""


Outcomes = dict[str, Outcome]
# Why an object must be waited for; `` when it does not.
_Reason: t.TypeAlias = "t.Callable[[Profile, Object | None], str]"


def check(params: dict[str, t.Any]) -> None:
    """Validate the options before any request.

    Raises CdiError for values with which CDI would ignore the whole profile (storageprofile-controller.go, v1.65.0).
    """
    for profile in options_of(params, "storage_profiles"):
        name, sets = profile["name"], profile["claim_property_sets"] or []
        if not name:
            raise CdiError("name is empty; set it to the name of a storage class.")
        if len(sets) > _MOST_SETS:
            raise CdiError(
                f"Storage profile {name}: claim_property_sets has {len(sets)} sets; give at most {_MOST_SETS}."
            )
        if not all(entry["access_modes"] for entry in sets):
            raise CdiError(
                f"Storage profile {name}: claim_property_sets has a set without access_modes; "
                "give at least one access mode, for example ReadWriteOnce."
            )


def not_in_effect(wanted: Object, status: Object) -> list[str]:
    """The fields of a profile's spec that are not in its status yet (storageprofile-controller.go, v1.65.0)."""
    return [name for name, value in wanted.items() if status.get(name) != value]


def run(task: Task) -> dict[str, t.Any]:
    """One GET for a profile, or one LIST for several, when all are as requested and in effect."""
    deadline = time.monotonic() + task.params["wait_timeout"]
    profiles = {options["name"]: Profile(options) for options in options_of(task.params, "storage_profiles")}
    outcomes = _read(task, profiles)
    outcomes |= _unknown_classes(functools.lru_cache(None)(functools.partial(_names, task)), profiles, outcomes)
    waits = task.params["wait"] and not task.check_mode
    if waits:
        missing = {name: each for name, each in profiles.items() if outcomes[name].stored is None}
        outcomes |= _waited(task, missing, outcomes, _not_created, deadline)
    written = {name: each for name, each in profiles.items() if not outcomes[name].error}
    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        writes = pool.map(lambda name: _ensured(task, written[name], outcomes[name]), written)
        outcomes |= dict(zip(written, writes, strict=True))
    if waits:
        outcomes |= _waited(task, profiles, outcomes, _not_effective, deadline)
    return _result(task, outcomes)


def _read(task: Task, profiles: t.Mapping[str, Profile]) -> Outcomes:
    found = find(task, [("", name) for name in profiles], STORAGE_PROFILE, needed=True)
    return {name: Outcome(found.objects.get(("", name)), error=found.errors.get(("", name), "")) for name in profiles}


def _unknown_classes(
    names: t.Callable[[Resource], list[str]], profiles: t.Mapping[str, Profile], outcomes: Outcomes
) -> Outcomes:
    """The errors of profiles that name a class which does not exist.

    CDI creates a profile for each storage class. It accepts any name of a VolumeSnapshotClass, but then takes no
    snapshots.
    """
    refused = {}
    for name, profile in profiles.items():
        stored, wanted = outcomes[name].stored, profile.wanted.get("snapshotClass")
        if outcomes[name].error:
            continue
        if stored is None and name not in names(STORAGE_CLASS):
            error = (
                f"There is no StorageClass {name}; CDI creates a storage profile for each class: "
                f"create the class first, or use one of: {', '.join(names(STORAGE_CLASS)) or 'none'}."
            )
        elif (
            wanted
            and wanted != ((stored or {}).get("spec") or {}).get("snapshotClass")
            and wanted not in names(VOLUME_SNAPSHOT_CLASS)
        ):
            error = (
                f"Storage profile {name}: snapshot_class is {wanted}, and there is no VolumeSnapshotClass of that "
                f"name; create it first, or use one of: {', '.join(names(VOLUME_SNAPSHOT_CLASS)) or 'none'}."
            )
        else:
            continue
        refused[name] = outcomes[name]._replace(error=error)
    return refused


def _names(task: Task, resource: Resource) -> list[str]:
    return sorted(stored["metadata"]["name"] for stored in Reader(task.connection).read(resource).unless_forbidden())


def _ensured(task: Task, profile: Profile, outcome: Outcome) -> Outcome:
    """The outcome of writing one profile, whose error must not hide the others' results."""
    before, name, force = outcome.stored, profile.name, task.params["force_conflicts"]
    stored = before
    try:
        for removed, option in profile.removed.items():
            owners = owners_of(before, "spec", removed)
            if owners and not force:
                raise CdiError(
                    f"StorageProfile {name} has {option} from {', '.join(owners)}; "
                    "remove it there, omit the option, or take it over with force_conflicts=true."
                )
        desired = {"metadata": {"name": name}, "spec": profile.wanted}
        stored = write(
            task.connection, STORAGE_PROFILE, desired, before, check_mode=task.check_mode, force=force
        ).object
        left = {"spec": dict.fromkeys(removed for removed in profile.removed if removed in (stored.get("spec") or {}))}
        if left["spec"]:
            task.connection.merge(STORAGE_PROFILE, name, None, left, dry_run=task.check_mode)
            stored = merged(stored, left)
    except CdiError as exc:
        # What may have been written counts as written.
        diff = diff_of(before, stored)
        return Outcome(stored, _differs(diff) or bool(exc.result.get("changed")), diff, str(exc))
    diff = diff_of(before, stored)
    return Outcome(stored, _differs(diff), diff)


def _differs(diff: t.Mapping[str, t.Any]) -> bool:
    return bool(diff["before"] or diff["after"])


def _not_created(_profile: Profile, stored: Object | None) -> str:
    return "" if stored else "CDI has not created it yet"


def _not_effective(profile: Profile, stored: Object | None) -> str:
    missing = not_in_effect(profile.wanted, (stored or {}).get("status") or {})
    return f"{', '.join(missing)} not in effect" if missing else ""


def _waited(
    task: Task, profiles: t.Mapping[str, Profile], outcomes: Outcomes, reason: _Reason, deadline: float
) -> Outcomes:
    """The outcomes of those profiles that must be waited for."""
    waiting = {
        name: profile
        for name, profile in profiles.items()
        if not outcomes[name].error and reason(profile, outcomes[name].stored)
    }
    if not waiting:
        return {}

    def judge(name: str, stored: Object | None) -> Verdict:
        why = reason(waiting[name], stored)
        return Verdict(WAITING, why) if why else Verdict(REACHED)

    try:
        found = wait_for(task.connection, STORAGE_PROFILE, None, list(waiting), judge, deadline)
    except CdiError as exc:
        return {name: outcomes[name]._replace(error=str(exc)) for name in waiting}
    return {
        name: outcomes[name]._replace(
            stored=last.object or outcomes[name].stored,
            error=""
            if last.verdict.state == REACHED
            else f"StorageProfile {name} did not take effect within {task.params['wait_timeout']} s: "
            f"{last.verdict.reason}; see the log of Deployment {CONTROLLER}.",
        )
        for name, last in found.items()
    }


def _result(task: Task, outcomes: Outcomes) -> dict[str, t.Any]:
    facts: dict[str, t.Any] = {"changed": any(outcome.changed for outcome in outcomes.values())}
    if task.params["storage_profiles"] is None:
        (outcome,) = outcomes.values()
        facts.update(storage_profile=for_result(outcome.stored), diff=dict(outcome.diff) if outcome.changed else {})
    else:
        facts["storage_profiles"] = [
            {
                "name": name,
                "changed": outcome.changed,
                "storage_profile": for_result(outcome.stored),
                **({"error": outcome.error} if outcome.error else {}),
            }
            for name, outcome in outcomes.items()
        ]
        facts["diff"] = [
            {"before_header": name, "after_header": name, **outcome.diff}
            for name, outcome in outcomes.items()
            if outcome.changed
        ]
    errors = list(dict.fromkeys(outcome.error for outcome in outcomes.values() if outcome.error))
    if errors:
        raise CdiError(" ".join(errors), **facts)
    return facts
