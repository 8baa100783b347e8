# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage profiles: what CDI shall know of a storage class that it does not know by itself."""

from __future__ import annotations

import functools
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from .._ansible.argspec import FORCE_CONFLICTS, ArgumentSpec, wait_spec
from .._ansible.batch import guarded, options_of, read
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
# As many as its definition allows (types.go, v1.65.0).
_MOST_SETS = 8
# An empty text or list asks for the field to be absent.
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


@dataclass
class Item:
    """One profile on its way through the task."""

    profile: dict[str, t.Any]
    stored: Object | None = None
    changed: bool = False
    diff: dict[str, t.Any] = field(default_factory=dict)
    error: str = ""
    present: t.ClassVar[bool] = True

    @property
    def key(self) -> tuple[str, str]:
        return "", self.profile["name"]

    @property
    def wanted(self) -> Object:
        """`spec` as asked for, without what is to be absent."""
        return {name: value for name, value in to_fields(self.profile, OPTIONS).items() if value not in ("", [])}

    @property
    def emptied(self) -> dict[str, str]:
        """The options that are to be absent, by their fields."""
        return {field_name(option): option for option in OPTIONS if self.profile[option] in ("", [])}


def check(params: dict[str, t.Any]) -> None:
    """Refuse what CDI could not use: it would stop looking at the whole profile (storageprofile-controller.go, v1.65.0)."""
    for profile in options_of(params, "storage_profiles"):
        name, sets = profile["name"], profile["claim_property_sets"] or []
        if not name:
            raise CdiError("name is empty; give the name of a storage class.")
        if len(sets) > _MOST_SETS:
            raise CdiError(
                f"Storage profile {name}: claim_property_sets has {len(sets)} sets; give at most {_MOST_SETS}."
            )
        if not all(entry["access_modes"] for entry in sets):
            raise CdiError(
                f"Storage profile {name}: claim_property_sets has a set without access_modes; give at least one access mode, for example ReadWriteOnce."
            )


def not_in_effect(wanted: Object, status: Object) -> list[str]:
    """The fields of a profile's spec that its status does not show yet (storageprofile-controller.go, v1.65.0)."""
    return [name for name, value in wanted.items() if status.get(name) != value]


def run(task: Task) -> dict[str, t.Any]:
    """One GET for a profile, or one LIST for several, when all are as asked and in effect."""
    deadline = time.monotonic() + task.params["wait_timeout"]
    items = [Item(profile) for profile in options_of(task.params, "storage_profiles")]
    read(task, items, STORAGE_PROFILE, "stored")
    _refuse_unknown_classes(task, items)
    waits = task.params["wait"] and not task.check_mode
    if waits:
        _wait(
            task,
            [item for item in items if item.stored is None],
            lambda _item, stored: "" if stored else "CDI has not made it yet",
            deadline,
        )
    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        list(pool.map(lambda item: guarded(item, lambda: _ensure(task, item)), items))
    if waits:
        _wait(task, items, _missing, deadline)
    return _result(task, items)


def _refuse_unknown_classes(task: Task, items: list[Item]) -> None:
    """CDI makes a profile for each storage class, and takes any name of a VolumeSnapshotClass, and then makes no snapshots."""
    known = functools.lru_cache(None)(functools.partial(_names, task))
    for item in items:
        name, asked = item.profile["name"], item.wanted.get("snapshotClass")
        if item.error:
            continue
        if item.stored is None and name not in known(STORAGE_CLASS):
            item.error = (
                f"There is no StorageClass {name}; CDI makes a storage profile for each class: "
                f"create the class first, or use one of: {', '.join(known(STORAGE_CLASS)) or 'none'}."
            )
        elif (
            asked
            and asked != ((item.stored or {}).get("spec") or {}).get("snapshotClass")
            and asked not in known(VOLUME_SNAPSHOT_CLASS)
        ):
            item.error = (
                f"Storage profile {name}: snapshot_class is {asked}, and there is no VolumeSnapshotClass of that name; "
                f"create it first, or use one of: {', '.join(known(VOLUME_SNAPSHOT_CLASS)) or 'none'}."
            )


def _names(task: Task, resource: Resource) -> list[str]:
    return sorted(stored["metadata"]["name"] for stored in Reader(task.connection).read(resource).unless_forbidden())


def _ensure(task: Task, item: Item) -> None:
    before, name = item.stored, item.profile["name"]
    for emptied, option in item.emptied.items():
        owners = owners_of(before, "spec", emptied)
        if owners and not task.params["force_conflicts"]:
            raise CdiError(
                f"StorageProfile {name} has {option} from {', '.join(owners)}; "
                "take it away there, leave the option out, or take it over with force_conflicts=true."
            )
    desired = {"metadata": {"name": name}, "spec": item.wanted}
    item.stored = write(
        task.connection,
        STORAGE_PROFILE,
        desired,
        before,
        check_mode=task.check_mode,
        force=task.params["force_conflicts"],
    ).object
    left = {"spec": dict.fromkeys(emptied for emptied in item.emptied if emptied in (item.stored.get("spec") or {}))}
    if left["spec"]:
        task.connection.merge(STORAGE_PROFILE, name, None, left, dry_run=task.check_mode)
        item.stored = merged(item.stored, left)
    item.diff = diff_of(before, item.stored)
    item.changed = bool(item.diff["before"] or item.diff["after"])


def _missing(item: Item, stored: Object | None) -> str:
    missing = not_in_effect(item.wanted, (stored or {}).get("status") or {})
    return f"{', '.join(missing)} not in effect" if missing else ""


def _wait(task: Task, items: list[Item], reason: t.Callable[[Item, Object | None], str], deadline: float) -> None:
    """Watch those for whose profile there is a reason to wait."""
    waiting = {item.profile["name"]: item for item in items if not item.error and reason(item, item.stored)}
    if not waiting:
        return

    def judge(name: str, stored: Object | None) -> Verdict:
        why = reason(waiting[name], stored)
        return Verdict(WAITING, why) if why else Verdict(REACHED)

    try:
        outcomes = wait_for(task.connection, STORAGE_PROFILE, None, list(waiting), judge, deadline)
    except CdiError as exc:
        for item in waiting.values():
            item.error = str(exc)
        return
    for name, outcome in outcomes.items():
        waiting[name].stored = outcome.object or waiting[name].stored
        if outcome.verdict.state != REACHED:
            waiting[name].error = (
                f"StorageProfile {name} did not take effect within {task.params['wait_timeout']} s: {outcome.verdict.reason}; "
                f"see the log of Deployment {CONTROLLER}."
            )


def _result(task: Task, items: list[Item]) -> dict[str, t.Any]:
    facts: dict[str, t.Any] = {"changed": any(item.changed for item in items)}
    if task.params["storage_profiles"] is None:
        facts.update(storage_profile=for_result(items[0].stored), diff=items[0].diff if items[0].changed else {})
    else:
        results = [
            {"name": item.profile["name"], "changed": item.changed, "storage_profile": for_result(item.stored)}
            for item in items
        ]
        facts["storage_profiles"] = [
            {**result, "error": item.error} if item.error else result for result, item in zip(results, items)
        ]
        facts["diff"] = [
            {"before_header": item.profile["name"], "after_header": item.profile["name"], **item.diff}
            for item in items
            if item.changed
        ]
    errors = list(dict.fromkeys(item.error for item in items if item.error))
    if errors:
        raise CdiError(" ".join(errors), **facts)
    return facts
