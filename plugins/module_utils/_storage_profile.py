# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Storage profiles: what CDI shall know of a storage class that it does not know by itself."""

from __future__ import annotations

import time
import typing as t

from ._apply import ensure_present, shown
from ._argspec import FORCE_CONFLICTS, ArgumentSpec, wait_spec
from ._connection import Object
from ._errors import CdiError
from ._fields import to_fields
from ._module import Task
from ._resources import STORAGE_CLASS, STORAGE_PROFILE
from ._wait import REACHED, WAITING, Verdict, wait_for

_OPTIONS: dict[str, t.Any] = {
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
SPEC = ArgumentSpec({"name": {"type": "str", "required": True}, **_OPTIONS}) + FORCE_CONFLICTS + wait_spec(60)


def not_in_effect(wanted: Object, status: Object) -> list[str]:
    """The fields of a profile's spec that its status does not show yet (storageprofile-controller.go, v1.65.0)."""
    return [field for field, value in wanted.items() if status.get(field) != value]


def run(task: Task) -> dict[str, t.Any]:
    connection, name = task.connection, task.params["name"]
    deadline = time.monotonic() + task.params["wait_timeout"]
    wanted = to_fields(task.params, _OPTIONS)
    if connection.get(STORAGE_CLASS, name) is None:
        raise CdiError(f"There is no StorageClass {name}; CDI makes a storage profile for each class: create the class first, or correct the name.")
    if not task.check_mode and task.params["wait"]:
        _wait(task, lambda stored: Verdict(REACHED) if stored else Verdict(WAITING, "CDI has not made it yet"), deadline)
    desired = {"metadata": {"name": name}, "spec": wanted}
    change = ensure_present(connection, STORAGE_PROFILE, desired, check_mode=task.check_mode, force=task.params["force_conflicts"])
    stored = change.object
    if task.params["wait"] and not task.check_mode:

        def judge(current: Object | None) -> Verdict:
            missing = not_in_effect(wanted, (current or {}).get("status") or {})
            return Verdict(WAITING, f"{', '.join(missing)} not in effect") if missing else Verdict(REACHED)

        stored = _wait(task, judge, deadline)
    return {"changed": change.changed, "storage_profile": shown(stored), "diff": change.diff}


def _wait(task: Task, judge: t.Callable[[Object | None], Verdict], deadline: float) -> Object:
    name = task.params["name"]
    outcome = wait_for(task.connection, STORAGE_PROFILE, None, [name], lambda _name, stored: judge(stored), deadline)[name]
    if outcome.verdict.state != REACHED:
        raise CdiError(
            f"StorageProfile {name} is not as asked after {task.params['wait_timeout']} s: {outcome.verdict.reason}; see the log of Deployment cdi-deployment."
        )
    return t.cast(Object, outcome.object)
