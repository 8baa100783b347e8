# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""What there is of CDI on a cluster; nothing installed is an answer and no error."""

from __future__ import annotations

import typing as t

from ._apply import shown
from ._argspec import ArgumentSpec
from ._cdi import conditions, judge_cdi
from ._cdi_config import CONFIG_NAME, effective_config
from ._connection import Connection, Object
from ._errors import NotServed
from ._module import Task
from ._resources import CDI, CDI_CONFIG, STORAGE_PROFILE, Resource
from ._wait import REACHED

SPEC = ArgumentSpec({"storage_profiles": {"type": "bool", "default": False}})


def run(task: Task) -> dict[str, t.Any]:
    objects = _list(task.connection, CDI)
    # A second CDI object is one in error: the working one comes first.
    objects.sort(key=lambda item: (item.get("status") or {}).get("phase") == "Error")
    stored = objects[0] if objects else None
    status = (stored or {}).get("status") or {}
    config = task.connection.get(CDI_CONFIG, CONFIG_NAME) if stored and status.get("observedVersion") else None
    profiles = _list(task.connection, STORAGE_PROFILE) if stored and task.params["storage_profiles"] else []
    return {
        "changed": False,
        "installed": stored is not None,
        "ready": judge_cdi(stored, "").state == REACHED,
        "version": status.get("observedVersion"),
        "cdi": shown(stored),
        "conditions": {kind: condition["status"] for kind, condition in conditions(stored).items()},
        "asked": ((stored or {}).get("spec") or {}).get("config") or {},
        "effective": effective_config(config),
        "storage_profiles": [shown(profile) for profile in profiles],
    }


def _list(connection: Connection, resource: Resource) -> list[Object]:
    try:
        return connection.list(resource)[0]
    except NotServed:
        return []
