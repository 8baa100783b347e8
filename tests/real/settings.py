# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests on a cluster share: its settings, and the lock that one has alone while it changes them."""

from __future__ import annotations

import hashlib
import json
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

# Of the machine, so that two runs on the same cluster respect each other.
_NAME = f"kubevirt-cdi-{hashlib.sha256(os.environ['KUBECONFIG'].encode()).hexdigest()[:12]}"
LOCK = SharedLock(Path(tempfile.gettempdir()) / _NAME)

# Where CDI says what it does with a spec.
_EFFECTIVE = ("cloneStrategy", "claimPropertySets", "snapshotClass")


def settings(connection: Connection) -> dict[str, Any]:
    """By their paths: what a test beside others must leave as it is, of CDI and of each storage class."""
    (cdi,), _version = connection.list(CDI)
    config = connection.get(CDI_CONFIG, "config") or {}
    # It has an entry for each storage class, those that tests make among them.
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
    # As it is when it has been stored for another process.
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One line for each setting of before that is another now; what tests have made since is their own."""
    return [f"{name}: {value} has become {now.get(name)}" for name, value in before.items() if now.get(name) != value]
