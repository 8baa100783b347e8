# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a machine as text, for tests that fail."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    EVENT,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    VIRTUAL_MACHINE,
    Resource,
)

INSTANCE = Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", True)
_SHOWN = (VIRTUAL_MACHINE, INSTANCE, POD, DATA_VOLUME, PERSISTENT_VOLUME_CLAIM)
_LAST_EVENTS = 40


def state_of(connection: Connection, namespace: str) -> str:
    """The status of each machine, pod and volume of a namespace, and its last events."""
    lines = []
    for resource in _SHOWN:
        for found in connection.list(resource, namespace)[0]:
            deleted = " is being deleted" if "deletionTimestamp" in found["metadata"] else ""
            lines.append(f"{resource.kind} {found['metadata']['name']}{deleted}: {json.dumps(found.get('status'))}")
    events, _version = connection.list(EVENT, namespace)
    lines += [_sentence(event) for event in sorted(events, key=_time)[-_LAST_EVENTS:]]
    return "\n".join(lines)


def _time(event: dict[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _sentence(event: dict[str, Any]) -> str:
    involved = event["involvedObject"]
    return f"{_time(event)} {involved['kind']} {involved['name']}: {event['reason']}: {event['message']}"
