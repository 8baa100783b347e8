# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cdi_info on the wire."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, CDI_CONFIG, STORAGE_PROFILE


def _create(connection: Connection, resource: Any, name: str, **content: Any) -> None:
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": {}}
    connection.create(resource, {**body, **content}, dry_run=False)


def test_no_cdi_is_an_answer(wire, module, no_cdi) -> None:
    told = module("cdi_info").result
    assert told["installed"] is False and told["ready"] is False and told["version"] is None
    assert told["managed_by"] is None and told["cdi"] == {} and told["storage_profiles"] == []
    # One more than three: the groups that are served, since HyperConverged is not.
    assert [method for method, _path in wire.requests] == ["GET"] * 4


def test_all_there_is_costs_six_requests(wire, module, no_cdi) -> None:
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
    told = module("cdi_info").result
    assert [method for method, _path in wire.requests] == ["GET"] * 6
    assert told["installed"] and told["ready"] and told["phase"] == "Deployed"
    assert told["versions"] == {"observed": "v1.65.0", "target": "v1.65.0", "operator": "v1.65.0"}
    assert told["asked"] == config and told["effective"]["preallocation"] is True
    assert told["not_in_effect"] == ["scratch_space_storage_class: requested 'gone', in effect: not set"]
    assert (told["effective"]["upload_proxy_url"], told["effective"]["upload_proxy_ca"]) == ("u", "c")
    wire.requests.clear()
    assert module("cdi_info", storage_profiles=False).result["storage_profiles"] == []
    assert len(wire.requests) == 5


def test_storage_profiles_say_what_is_missing(module, no_cdi) -> None:
    _create(no_cdi, CDI, "cdi")
    _create(no_cdi, STORAGE_PROFILE, "cdi-test")
    profile = next(item for item in module("cdi_info").result["storage_profiles"] if item["name"] == "cdi-test")
    assert (profile["recognized"], profile["complete"], profile["claim_property_sets"]) == (None, False, [])
    no_cdi.delete(STORAGE_PROFILE, "cdi-test", dry_run=False)


@pytest.mark.usefixtures("hyperconverged")
def test_who_manages_cdi_is_told(module) -> None:
    expected = {"kind": "HyperConverged", "namespace": "default", "name": "the-owner"}
    assert module("cdi_info").result["managed_by"] == expected


def test_a_second_cdi_object_in_error_is_not_the_one(module, no_cdi) -> None:
    _create(no_cdi, CDI, "a-second", status={"phase": "Error"})
    _create(no_cdi, CDI, "cdi", status={"phase": "Deployed"})
    assert module("cdi_info").result["cdi"]["metadata"]["name"] == "cdi"
    no_cdi.delete(CDI, "a-second", dry_run=False)
