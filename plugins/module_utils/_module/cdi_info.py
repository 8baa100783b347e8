# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports what is installed of CDI, and what is in effect."""

from __future__ import annotations

import typing as t

from .._ansible.argspec import ArgumentSpec
from .._ansible.module import Task
from .._cdi.config import effective_config, not_in_effect
from .._cdi.installation import find_operator, namespace_of
from .._cdi.owner import find_hyperconverged, olm_owner
from .._cdi.status import active, judge_cdi
from .._kubernetes.compare import for_result
from .._kubernetes.objects import Object, conditions
from .._kubernetes.public import public_url, without_secrets
from .._kubernetes.reader import Reader, Reading
from .._kubernetes.resources import CDI, CDI_CONFIG, CONFIG_NAME, STORAGE_PROFILE, Resource
from .._kubernetes.verdict import REACHED

SPEC = ArgumentSpec({"storage_profiles": {"type": "bool", "default": True}})


def run(task: Task) -> dict[str, t.Any]:
    """At most five requests. Without the right to read CDI objects, CDIConfig still shows whether CDI is installed and
    what is in effect."""
    connection, reader = task.connection, Reader(task.connection)
    found = reader.read(CDI)
    objects, not_readable = found.items, _not_readable(CDI, "list", found)
    stored = active(objects) or None
    status = (stored or {}).get("status") or {}
    asked = ((stored or {}).get("spec") or {}).get("config") or {}
    config = None
    if status.get("observedVersion") or not_readable:
        found = reader.read(CDI_CONFIG, name=CONFIG_NAME)
        config = found.object
        not_readable += _not_readable(CDI_CONFIG, "get", found)
    profiles: list[Object] = []
    if (stored or config) and task.params["storage_profiles"]:
        found = reader.read(STORAGE_PROFILE)
        profiles = found.items
        not_readable += _not_readable(STORAGE_PROFILE, "list", found)
    unknown = stored is None and bool(not_readable)
    operator = find_operator(connection)
    owner = find_hyperconverged(connection, objects) or olm_owner(operator) or olm_owner(stored)
    return {
        "changed": False,
        "host": public_url(connection.host),
        "not_readable": not_readable,
        "installed": True if stored or config else None if unknown else False,
        "ready": None if unknown else judge_cdi(stored, "").state == REACHED,
        "version": status.get("observedVersion"),
        "versions": {kind: status.get(f"{kind}Version") for kind in ("observed", "target", "operator")},
        "namespace": namespace_of(operator),
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
    """The facts of a storage profile, which is complete when CDI can choose access and volume modes by it."""
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


def _not_readable(resource: Resource, verb: str, found: Reading) -> list[str]:
    """What to grant to a user who cannot read a kind."""
    if not found.is_forbidden:
        return []
    return [f'{resource.kind} objects cannot be read: grant the verb "{verb}" on {resource.plural}.{resource.group}.']
