# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cdi takes back what it applied, beside an operator that holds the maps around it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import client as _connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI

# There is no operator here: nothing gets ready.
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
def operator(no_cdi: Connection, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes `CDI.spec` as CDI's operator, by an apply or by an update."""

    def apply(spec: dict[str, Any]) -> None:
        body = {"apiVersion": CDI.api_version, "kind": CDI.kind, "metadata": {"name": "cdi"}, "spec": spec}
        no_cdi.apply(CDI, body, dry_run=False)

    def update(spec: dict[str, Any]) -> None:
        no_cdi.merge(CDI, "cdi", None, {"spec": spec}, dry_run=False)

    def write(how: str, spec: dict[str, Any]) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(_connection, "FIELD_MANAGER", "cdi-operator")
            {"apply": apply, "update": update}[how](spec)

    return write


def _both(**options: Any) -> dict[str, Any]:
    return {**NEW, "infra": options, "workload": options}


@pytest.mark.parametrize("how", ["apply", "update"])
@pytest.mark.parametrize(
    ("option", "first", "emptied"),
    [("node_selector", FAST, {}), ("affinity", AFFINITY, {}), ("tolerations", [TOLERATION], [])],
)
def test_an_emptied_placement_is_taken_away(wire, module, no_cdi, operator, how, option, first, emptied) -> None:
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
    spec = no_cdi.get(CDI, "cdi")["spec"]
    assert "disk" not in str(spec) and spec["infra"]["apiServerReplicas"] == 3
    assert spec["config"] == {"featureGates": ["HonorWaitForFirstConsumer", "WebhookPvcRendering"]}
    wire.requests.clear()
    assert not module("cdi", **_both(**{option: emptied})).result["changed"]
    assert wire.writes() == []


def test_others_keep_their_fields_in_a_map_that_we_leave(wire, module, no_cdi, operator) -> None:
    module("cdi", **_both(node_selector=FAST))
    operator("apply", {"infra": {}, "workload": {"nodeSelector": {**FAST, "zone": "a"}}})
    after = {**_both(node_selector={}), "priority_class": "system-cluster-critical", "image_pull_policy": "Always"}
    predicted = module("cdi", check=True, **after).result
    wire.requests.clear()
    assert module("cdi", **after).result["diff"] == predicted["diff"]
    # An apply that is refused, one that leaves the fields, and the merge patch that removes them.
    assert [method for method, _path in wire.writes()] == ["PATCH"] * 3
    spec = no_cdi.get(CDI, "cdi")["spec"]
    assert spec["workload"]["nodeSelector"] == {**FAST, "zone": "a"} and not spec["infra"].get("nodeSelector")
    assert spec["imagePullPolicy"] == "Always" and not module("cdi", **after).result["changed"]


def test_what_an_installation_asked_for_is_taken_away_later(module, no_cdi) -> None:
    module("cdi", **_both(node_selector=FAST))
    assert module("cdi", **_both(node_selector={"zone": "a"})).result["changed"]
    assert no_cdi.get(CDI, "cdi")["spec"]["workload"]["nodeSelector"] == {"zone": "a"}
    assert module("cdi", **_both(node_selector={})).result["changed"]
    assert not no_cdi.get(CDI, "cdi")["spec"]["infra"].get("nodeSelector")
