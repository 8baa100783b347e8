# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cdi_info: what it returns, and how many requests it takes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    STORAGE_PROFILE,
    Resource,
)

from tests.api.objects import body
from tests.modules import RunModule
from tests.wire import Wire


def _create(connection: Connection, resource: Resource, name: str, **fields: Any) -> None:
    connection.create(resource, body(resource, name, **{"spec": {}, **fields}), dry_run=False)


def test_missing_cdi_is_no_error(wire: Wire, module: RunModule, no_cdi: Connection) -> None:
    result = module("cdi_info").result
    assert result["installed"] is False and result["ready"] is False and result["version"] is None
    assert result["managed_by"] is None and result["cdi"] == {} and result["storage_profiles"] == []
    # The fourth lists the API groups, because HyperConverged is not served.
    assert [method for method, _path in wire.requests] == ["GET"] * 4


def test_complete_result_takes_six_requests(wire: Wire, module: RunModule, no_cdi: Connection) -> None:
    conditions = [
        {"type": kind, "status": state, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind, state in (("Available", "True"), ("Progressing", "False"), ("Degraded", "False"))
    ]
    versions = {"observedVersion": "v1.65.0", "targetVersion": "v1.65.0", "operatorVersion": "v1.65.0"}
    config = {"scratchSpaceStorageClass": "gone", "preallocation": True}
    status = {"phase": "Deployed", **versions, "conditions": conditions}
    _create(no_cdi, CDI, "cdi", spec={"config": config}, status=status)
    reported = {"preallocation": True, "uploadProxyURL": "u", "uploadProxyCA": "c"}
    _create(no_cdi, CDI_CONFIG, "config", spec=config, status=reported)
    result = module("cdi_info").result
    assert [method for method, _path in wire.requests] == ["GET"] * 6
    assert result["installed"] and result["ready"] and result["phase"] == "Deployed"
    assert result["versions"] == {"observed": "v1.65.0", "target": "v1.65.0", "operator": "v1.65.0"}
    assert result["asked"] == config and result["effective"]["preallocation"] is True
    assert result["not_in_effect"] == ["scratch_space_storage_class: requested 'gone', in effect: not set"]
    assert (result["effective"]["upload_proxy_url"], result["effective"]["upload_proxy_ca"]) == ("u", "c")
    wire.requests.clear()
    assert module("cdi_info", storage_profiles=False).result["storage_profiles"] == []
    assert len(wire.requests) == 5


def test_storage_profile_reports_missing_properties(module: RunModule, no_cdi: Connection) -> None:
    _create(no_cdi, CDI, "cdi")
    _create(no_cdi, STORAGE_PROFILE, "cdi-test")
    profile = next(item for item in module("cdi_info").result["storage_profiles"] if item["name"] == "cdi-test")
    assert (profile["recognized"], profile["complete"], profile["claim_property_sets"]) == (None, False, [])
    no_cdi.delete(STORAGE_PROFILE, "cdi-test", dry_run=False)


@pytest.mark.usefixtures("hyperconverged")
def test_manager_of_cdi_is_reported(module: RunModule) -> None:
    expected = {"kind": "HyperConverged", "namespace": "default", "name": "the-owner"}
    assert module("cdi_info").result["managed_by"] == expected


def test_cdi_object_in_error_is_not_the_active_one(module: RunModule, no_cdi: Connection) -> None:
    _create(no_cdi, CDI, "a-second", status={"phase": "Error"})
    _create(no_cdi, CDI, "cdi", status={"phase": "Deployed"})
    assert module("cdi_info").result["cdi"]["metadata"]["name"] == "cdi"
    no_cdi.delete(CDI, "a-second", dry_run=False)
