# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cdi removes placements that it applied, while the operator owns the maps that contain them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI
from kubernetes import client

from tests.api.objects import body, fetch
from tests.modules import RunModule
from tests.wire import Wire

WriteSpec = Callable[[str, dict[str, Any]], None]
# No operator runs here, so CDI never becomes ready.
NEW: dict[str, Any] = {
    "manifest": f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml",
    "wait": False,
}
FAST = {"disk": "fast"}
TERMS = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]}
AFFINITY = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": TERMS}}
TOLERATION = {"key": "disk", "operator": "Exists"}

pytestmark = pytest.mark.usefixtures("no_cdi")


@pytest.fixture
def operator(no_cdi: Connection, api_client: client.ApiClient) -> WriteSpec:
    """Writes `CDI.spec` as CDI's operator, by an apply or by an update."""

    def write(how: str, spec: dict[str, Any]) -> None:
        if how == "apply":
            no_cdi.apply(CDI, body(CDI, "cdi", spec=spec), dry_run=False, manager="cdi-operator")
        else:
            client.CustomObjectsApi(api_client).patch_cluster_custom_object(
                CDI.group, CDI.version, CDI.plural, "cdi", {"spec": spec}, field_manager="cdi-operator"
            )

    return write


def _both(**options: Any) -> dict[str, Any]:
    return {**NEW, "infra": options, "workload": options}


@pytest.mark.parametrize("how", ["apply", "update"])
@pytest.mark.parametrize(
    ("option", "first", "emptied"),
    [("node_selector", FAST, {}), ("affinity", AFFINITY, {}), ("tolerations", [TOLERATION], [])],
)
def test_empty_placement_is_removed(
    wire: Wire,
    module: RunModule,
    no_cdi: Connection,
    operator: WriteSpec,
    how: str,
    option: str,
    first: dict[str, Any] | list[Any],
    emptied: dict[str, Any] | list[Any],
) -> None:
    operators = {"infra": {"apiServerReplicas": 3}, "workload": {}}
    module("cdi", **NEW)
    operator("update", operators)
    assert module("cdi", **_both(**{option: first})).result["changed"]
    operator(how, operators)
    wire.requests.clear()
    predicted = module("cdi", check=True, **_both(**{option: emptied})).result
    assert predicted["changed"] and wire.writes() == []
    real = module("cdi", **_both(**{option: emptied})).result
    assert real["changed"] and real["diff"] == predicted["diff"]
    spec = fetch(no_cdi, CDI, "cdi")["spec"]
    assert "disk" not in str(spec) and spec["infra"]["apiServerReplicas"] == 3
    assert spec["config"] == {"featureGates": ["HonorWaitForFirstConsumer", "WebhookPvcRendering"]}
    wire.requests.clear()
    assert not module("cdi", **_both(**{option: emptied})).result["changed"]
    assert wire.writes() == []


def test_fields_of_other_managers_stay_in_a_released_map(
    wire: Wire, module: RunModule, no_cdi: Connection, operator: Callable[..., None]
) -> None:
    module("cdi", **_both(node_selector=FAST))
    operator("apply", {"infra": {}, "workload": {"nodeSelector": {**FAST, "zone": "a"}}})
    after = {**_both(node_selector={}), "priority_class": "system-cluster-critical", "image_pull_policy": "Always"}
    predicted = module("cdi", check=True, **after).result
    wire.requests.clear()
    assert module("cdi", **after).result["diff"] == predicted["diff"]
    # An apply that conflicts, one that releases the fields, and a merge patch that removes them.
    assert [method for method, _path in wire.writes()] == ["PATCH"] * 3
    spec = fetch(no_cdi, CDI, "cdi")["spec"]
    assert spec["workload"]["nodeSelector"] == {**FAST, "zone": "a"} and not spec["infra"].get("nodeSelector")
    assert spec["imagePullPolicy"] == "Always" and not module("cdi", **after).result["changed"]


def test_placement_of_the_installation_is_removed_later(module: RunModule, no_cdi: Connection) -> None:
    module("cdi", **_both(node_selector=FAST))
    assert module("cdi", **_both(node_selector={"zone": "a"})).result["changed"]
    assert fetch(no_cdi, CDI, "cdi")["spec"]["workload"]["nodeSelector"] == {"zone": "a"}
    assert module("cdi", **_both(node_selector={})).result["changed"]
    assert not fetch(no_cdi, CDI, "cdi")["spec"]["infra"].get("nodeSelector")
