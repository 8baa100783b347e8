# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Storage profiles: what CDI shall know of a storage class that it does not know by itself."""

from __future__ import annotations

import time
import typing as t

from ._apply import for_result, write
from ._argspec import FORCE_CONFLICTS, ArgumentSpec, wait_spec
from ._connection import Object
from ._errors import CdiError, NotServed
from ._fields import to_fields
from ._module import Task
from ._resources import STORAGE_CLASS, STORAGE_PROFILE, VOLUME_SNAPSHOT_CLASS
from ._verdict import REACHED, WAITING, Verdict
from ._wait import wait_for

# As many as its definition allows (types.go, v1.65.0).
_MOST_SETS = 8
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
    "clone_strategy": {"type": "str", "choices": ["copy", "snapshot", "csi-clone"]},
    "data_import_cron_source_format": {"type": "str", "choices": ["pvc", "snapshot"]},
    "snapshot_class": {"type": "str"},
}
SPEC = ArgumentSpec({"name": {"type": "str", "required": True}, **OPTIONS}) + FORCE_CONFLICTS + wait_spec(60)


def check(params: dict[str, t.Any]) -> None:
    """Refuse what CDI could not use: it would stop looking at the whole profile (storageprofile-controller.go, v1.65.0)."""
    sets = params["claim_property_sets"] or []
    if len(sets) > _MOST_SETS:
        raise CdiError(f"claim_property_sets has {len(sets)} sets; give at most {_MOST_SETS}.")
    if not all(entry["access_modes"] for entry in sets):
        raise CdiError("claim_property_sets has a set without access_modes; give at least one access mode, for example ReadWriteOnce.")


def not_in_effect(wanted: Object, status: Object) -> list[str]:
    """The fields of a profile's spec that its status does not show yet (storageprofile-controller.go, v1.65.0)."""
    return [field for field, value in wanted.items() if status.get(field) != value]


def run(task: Task) -> dict[str, t.Any]:
    """One request when the profile is as asked and in effect."""
    connection, name = task.connection, task.params["name"]
    deadline = time.monotonic() + task.params["wait_timeout"]
    wanted = to_fields(task.params, OPTIONS)
    try:
        stored = connection.get(STORAGE_PROFILE, name)
    except NotServed:
        if not task.check_mode:
            raise
        stored = None
    if stored is None:
        if connection.get(STORAGE_CLASS, name) is None:
            raise CdiError(f"There is no StorageClass {name}; CDI makes a storage profile for each class: create the class first, or correct the name.")
        if task.params["wait"] and not task.check_mode:
            stored = _wait(task, lambda current: Verdict(REACHED) if current else Verdict(WAITING, "CDI has not made it yet"), deadline)
    _refuse_unknown_snapshot_class(task, stored, wanted)
    desired = {"metadata": {"name": name}, "spec": wanted}
    change = write(connection, STORAGE_PROFILE, desired, stored, check_mode=task.check_mode, force=task.params["force_conflicts"])
    stored = change.object

    def judge(current: Object | None) -> Verdict:
        missing = not_in_effect(wanted, (current or {}).get("status") or {})
        return Verdict(WAITING, f"{', '.join(missing)} not in effect") if missing else Verdict(REACHED)

    if task.params["wait"] and not task.check_mode and judge(stored).state != REACHED:
        stored = _wait(task, judge, deadline)
    return {"changed": change.changed, "storage_profile": for_result(stored), "diff": change.diff}


def _refuse_unknown_snapshot_class(task: Task, stored: Object | None, wanted: Object) -> None:
    """CDI takes any name, and then makes no snapshots."""
    asked = wanted.get("snapshotClass")
    if not asked or asked == ((stored or {}).get("spec") or {}).get("snapshotClass"):
        return
    try:
        found = task.connection.get(VOLUME_SNAPSHOT_CLASS, asked)
    except NotServed:
        found = None
    if found is None:
        raise CdiError(f"snapshot_class is {asked}, and there is no VolumeSnapshotClass of that name; create it first, or correct the name.")


def _wait(task: Task, judge: t.Callable[[Object | None], Verdict], deadline: float) -> Object:
    name = task.params["name"]
    outcome = wait_for(task.connection, STORAGE_PROFILE, None, [name], lambda _name, stored: judge(stored), deadline)[name]
    if outcome.verdict.state != REACHED:
        raise CdiError(
            f"StorageProfile {name} did not take effect within {task.params['wait_timeout']} s: {outcome.verdict.reason}; see the log of Deployment cdi-deployment."
        )
    return t.cast(Object, outcome.object)
