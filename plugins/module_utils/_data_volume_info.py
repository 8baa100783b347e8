# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""What there is of DataVolumes and their claims."""

from __future__ import annotations

import typing as t

from ._apply import shown
from ._argspec import ArgumentSpec
from ._clone import clone_facts, preallocation_facts
from ._connection import Object
from ._errors import NotServed
from ._module import Task
from ._resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM

SPEC = ArgumentSpec(
    {
        "name": {"type": "str"},
        "namespace": {"type": "str"},
        "label_selectors": {"type": "list", "elements": "str", "default": []},
    },
    required_by={"name": ["namespace"]},
)


def run(task: Task) -> dict[str, t.Any]:
    """Two LISTs for any number of volumes; the claims alone have the reason for a fallback and whether preallocation was applied."""
    namespace = task.params["namespace"]
    field_selector = f"metadata.name={task.params['name']}" if task.params["name"] else ""
    try:
        volumes, _version = task.connection.list(
            DATA_VOLUME, namespace, label_selector=",".join(task.params["label_selectors"]), field_selector=field_selector
        )
    except NotServed:
        volumes = []
    claims: dict[tuple[str, str], Object] = {}
    if volumes:
        items, _version = task.connection.list(PERSISTENT_VOLUME_CLAIM, namespace, field_selector=field_selector)
        claims = {_key(claim): claim for claim in items}
    return {"changed": False, "data_volumes": [_facts(volume, claims.get(_key(volume))) for volume in volumes]}


def _key(stored: Object) -> tuple[str, str]:
    return stored["metadata"]["namespace"], stored["metadata"]["name"]


def _facts(volume: Object, claim: Object | None) -> dict[str, t.Any]:
    namespace, name = _key(volume)
    status = volume.get("status") or {}
    spec = (claim or {}).get("spec") or {}
    return {
        "name": name,
        "namespace": namespace,
        "phase": status.get("phase"),
        "progress": status.get("progress"),
        "restarts": status.get("restartCount", 0),
        "storage_class_name": spec.get("storageClassName"),
        "volume_mode": spec.get("volumeMode"),
        "capacity": (((claim or {}).get("status") or {}).get("capacity") or {}).get("storage"),
        "clone": clone_facts(volume, claim),
        "preallocation": preallocation_facts(claim),
        "data_volume": shown(volume),
    }
