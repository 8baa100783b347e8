# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a cluster, which all tests share, and the lock that a test holds alone while it changes them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    DEPLOYMENT,
    STORAGE_CLASS,
    STORAGE_PROFILE,
)

from tests.shared_lock import SharedLock

# For all processes of the machine: two runs on the same cluster wait for each other.
_NAME = f"kubevirt-cdi-{hashlib.sha256(os.environ['KUBECONFIG'].encode()).hexdigest()[:12]}"
LOCK = SharedLock(Path(tempfile.gettempdir()) / _NAME)

# The fields of StorageProfile.status that follow from the spec.
_EFFECTIVE = ("cloneStrategy", "claimPropertySets", "snapshotClass")


def settings(connection: Connection) -> dict[str, Any]:
    """The settings that a test must leave as they are, by the kind and name of their object."""
    (cdi,), _version = connection.list(CDI)
    config = connection.get(CDI_CONFIG, "config") or {}
    # The overhead has an entry for each storage class, including those that tests create.
    effective = {key: value for key, value in config["status"].items() if key != "filesystemOverhead"}
    found: dict[str, Any] = {"CDI": cdi["spec"], "CDIConfig": config["spec"], "CDIConfig status": effective}
    for deployment in connection.list(DEPLOYMENT, "cdi")[0]:
        found[f"Deployment {deployment['metadata']['name']}"] = (
            deployment["spec"]["replicas"],
            deployment["status"].get("availableReplicas", 0),
        )
    for stored in connection.list(STORAGE_CLASS)[0]:
        fields = {key: value for key, value in stored.items() if key != "metadata"}
        found[f"StorageClass {stored['metadata']['name']}"] = (fields, stored["metadata"].get("annotations"))
    for profile in connection.list(STORAGE_PROFILE)[0]:
        status = {key: profile.get("status", {}).get(key) for key in _EFFECTIVE}
        found[f"StorageProfile {profile['metadata']['name']}"] = (profile["spec"], status)
    return found


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """A line for each setting that changed. Objects that tests created since do not count."""
    return [f"{name}: {value} is now {now.get(name)}" for name, value in before.items() if now.get(name) != value]
