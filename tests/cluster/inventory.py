# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists all objects of a cluster, for comparisons before and after: `python -m tests.cluster.inventory`."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from kubernetes import config

from tests.cluster.errors import ClusterError

# Objects that the cluster creates and deletes by itself.
_PASSING = ("Event", "Lease", "ComponentStatus")
_STAYS_SECONDS = 5
_SETTLES_WITHIN_SECONDS = 90


def inventory(kubeconfig: str) -> list[str]:
    """`GROUP/Kind namespace/name` of each object of each kind that the API server serves, sorted."""
    api = config.new_client_from_config(kubeconfig)

    def get(path: str) -> Any:
        return api.call_api(path, "GET", response_type="object", auth_settings=["BearerToken"])[0]

    found = []
    versions = {"/api/v1": ""} | {
        f"/apis/{group['preferredVersion']['groupVersion']}": group["name"] for group in get("/apis/")["groups"]
    }
    for path, group in versions.items():
        for resource in get(path)["resources"]:
            if "list" not in resource["verbs"] or resource["kind"] in _PASSING:
                continue
            for item in get(f"{path}/{resource['name']}")["items"]:
                metadata = item["metadata"]
                found.append(f"{group}/{resource['kind']} {metadata.get('namespace', '')}/{metadata['name']}")
    return sorted(set(found))


def settled(kubeconfig: str) -> list[str]:
    """The inventory once it stays the same: a cluster that has just started still creates objects."""
    deadline = time.monotonic() + _SETTLES_WITHIN_SECONDS
    found = inventory(kubeconfig)
    while time.monotonic() < deadline:
        time.sleep(_STAYS_SECONDS)
        before, found = found, inventory(kubeconfig)
        if found == before:
            return found
    raise ClusterError(f"The cluster still creates or deletes objects after {_SETTLES_WITHIN_SECONDS} s.")


if __name__ == "__main__":
    print(json.dumps(settled(os.environ["KUBECONFIG"])))
