# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CDI object that module cdi requests, and the options that it refuses before any request."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.options import SPEC, check, cr_spec
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError


def _params(**given: Any) -> dict[str, Any]:
    return {**dict.fromkeys(SPEC.options), "infra": {}, "workload": {}, **given}


def test_cr_spec_has_the_fields_of_the_options() -> None:
    patch = {"resource_name": "*", "resource_type": "Deployment", "patch": "{}", "type": "merge"}
    given = _params(
        priority_class="high",
        infra={"node_selector": {"a": "b"}, "api_server_replicas": 2},
        cert_config={"ca": {"duration": "72h", "renew_before": "90m"}, "server": None},
        customize_components={"patches": [patch], "flags": {"upload_proxy": {"v": 3}}},
    )
    assert cr_spec(given) == {
        "priorityClass": "high",
        "infra": {"nodeSelector": {"a": "b"}, "apiServerReplicas": 2},
        "workload": {},
        "certConfig": {"ca": {"duration": "72h0m0s", "renewBefore": "1h30m0s"}},
        "customizeComponents": {
            "patches": [{"resourceName": "*", "resourceType": "Deployment", "patch": "{}", "type": "merge"}],
            "flags": {"uploadProxy": {"v": "3"}},
        },
    }


@pytest.mark.parametrize(
    ("given", "written"), [("45s", "45s"), ("90s", "1m30s"), ("60m", "1h0m0s"), ("1h1s", "1h0m1s")]
)
def test_cr_spec_writes_durations_as_the_operator_does(given: str, written: str) -> None:
    assert cr_spec(_params(cert_config={"ca": {"duration": given}}))["certConfig"]["ca"]["duration"] == written


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"version": "latest"}, "version is 'latest'"),
        ({"checksum": "abc"}, "checksum is 'abc'"),
        ({"image_registry": "https://r"}, "image_registry is 'https://r'"),
        ({"infra": {"deployment_replicas": 0}}, "infra.deployment_replicas is 0"),
        ({"cert_config": {"ca": {"duration": "2d"}}}, "cert_config.ca.duration is '2d'"),
        ({"cert_config": {"ca": {"duration": "1h", "renew_before": "1h"}}}, "less than the duration"),
        (
            {"customize_components": {"patches": [{"resource_type": "Service", "resource_name": "x", "patch": "{"}]}},
            "patch of Service x in customize_components is not JSON",
        ),
    ],
)
def test_check_refuses_invalid_values(given: dict[str, Any], named: str) -> None:
    with pytest.raises(CdiError, match=named):
        check(_params(**given))


def test_check_accepts_valid_values() -> None:
    certificates = {"ca": {"duration": "2h", "renew_before": "1h"}, "client": {"renew_before": "1h"}}
    check(_params(version="v1.65.0", infra={"deployment_replicas": 2}, cert_config=certificates))
