# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Tells what there is of CDI on a cluster."""

from __future__ import annotations

import typing as t

from ._apply import for_result
from ._argspec import ArgumentSpec
from ._cdi import active, conditions, judge_cdi
from ._cdi_config import CONFIG_NAME, effective_config, not_in_effect
from ._cdi_owner import find_hyperconverged, find_operator, olm_owner
from ._connection import Connection, Object
from ._errors import NotServed
from ._module import Task
from ._public import without_secrets
from ._resources import CDI, CDI_CONFIG, STORAGE_PROFILE, Resource
from ._verdict import REACHED

SPEC = ArgumentSpec({"storage_profiles": {"type": "bool", "default": True}})


def run(task: Task) -> dict[str, t.Any]:
    connection = task.connection
    objects = _list(connection, CDI)
    stored = active(objects) or None
    status = (stored or {}).get("status") or {}
    asked = ((stored or {}).get("spec") or {}).get("config") or {}
    config = connection.get(CDI_CONFIG, CONFIG_NAME) if status.get("observedVersion") else None
    profiles = _list(connection, STORAGE_PROFILE) if stored and task.params["storage_profiles"] else []
    operator = find_operator(connection)
    owner = find_hyperconverged(connection, objects) or olm_owner(operator) or olm_owner(stored)
    return {
        "changed": False,
        "installed": stored is not None,
        "ready": judge_cdi(stored, "").state == REACHED,
        "version": status.get("observedVersion"),
        "versions": {kind: status.get(f"{kind}Version") for kind in ("observed", "target", "operator")},
        "namespace": operator["metadata"]["namespace"] if operator else None,
        "managed_by": owner and owner._asdict(),
        "cdi": for_result(stored),
        "phase": status.get("phase"),
        "conditions": {kind: condition["status"] for kind, condition in conditions(stored).items()},
        "asked": without_secrets(asked),
        "effective": effective_config(config),
        "not_in_effect": not_in_effect({"config": asked}, config) if config else [],
        "storage_profiles": [_profile(profile) for profile in profiles],
    }


def _profile(profile: Object) -> dict[str, t.Any]:
    """A storage profile's facts. It is complete when CDI can choose access and volume modes by it."""
    status = profile.get("status") or {}
    recognized = conditions(profile).get("Recognized")
    sets = status.get("claimPropertySets") or []
    return {
        "name": profile["metadata"]["name"],
        "provisioner": status.get("provisioner"),
        "recognized": recognized and recognized.get("status") == "True",
        "complete": any(entry.get("accessModes") for entry in sets),
        "clone_strategy": status.get("cloneStrategy"),
        "claim_property_sets": sets,
        "data_import_cron_source_format": status.get("dataImportCronSourceFormat"),
        "snapshot_class": status.get("snapshotClass"),
    }


def _list(connection: Connection, resource: Resource) -> list[Object]:
    try:
        return connection.list(resource)[0]
    except NotServed:
        return []
