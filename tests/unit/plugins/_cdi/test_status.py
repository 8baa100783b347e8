# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of CDI's status, and downgrades."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi import status as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, DEPLOYMENT
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import REACHED, WAITING


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [("v1.65.0", "v1.61.1"), ("1.10.0", "v1.9.9"), ("v1.66.0", "v1.66.0-rc.1"), ("v1.66.0-rc.10", "v1.66.0-rc.9")],
)
def test_a_downgrade_is_refused(installed: str, wanted: str) -> None:
    with pytest.raises(CdiError, match="cannot be downgraded"):
        rules.refuse_downgrade(installed, wanted)


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [
        ("", "v1.65.0"),
        ("v1.65.0", "v1.65.0"),
        ("v1.9.9", "v1.10.0"),
        ("devel", "v1.61.1"),
        ("v1.66.0-rc.1", "v1.66.0"),
        ("v1.66.0-alpha", "v1.66.0-beta.2"),
    ],
)
def test_an_install_or_an_upgrade_is_not_refused(installed: str, wanted: str) -> None:
    rules.refuse_downgrade(installed, wanted)


def _status(**changes: Any) -> dict[str, Any]:
    version = {"observedVersion": "v1", "targetVersion": "v1", "operatorVersion": "v1"}
    conditions = {"Available": "True", "Progressing": "False", "Degraded": "False"} | changes.pop("conditions", {})
    listed = [{"type": kind, "status": state} for kind, state in conditions.items()]
    return {"status": {"phase": "Deployed", **version, "conditions": listed, **changes}}


def _cdi(name: str, phase: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("cdis", "name"),
    [
        ([_cdi("a", "Deployed")], "a"),
        # The only CDI object counts even in phase Error: CDI continues to use it.
        ([_cdi("a", "Error")], "a"),
        ([_cdi("a", "Error"), _cdi("b", "Deployed")], "b"),
        ([_cdi("a", "Deployed"), _cdi("b", "Error")], "a"),
        ([_cdi("a", "Error"), {"metadata": {"name": "b"}}], "b"),
    ],
)
def test_active_prefers_the_cdi_object_that_is_not_in_error(cdis: list[Any], name: str) -> None:
    assert rules.active(cdis)["metadata"]["name"] == name


def test_active_is_empty_without_a_cdi_object() -> None:
    assert rules.active([]) == {}


def test_cdi_is_ready_when_its_whole_status_is() -> None:
    assert rules.judge_cdi(_status(), "v1").state == REACHED
    assert rules.judge_cdi(_status(), "").state == REACHED


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": "Upgrading"},
        {"conditions": {"Degraded": "True"}},
        {"conditions": {"Available": "False"}},
        {"observedVersion": "v0"},
    ],
)
def test_cdi_is_not_ready_when_only_available_is_true(changes: dict[str, Any]) -> None:
    assert rules.judge_cdi(_status(**changes), "v1").state == WAITING


def test_cdi_is_not_ready_with_another_release() -> None:
    assert rules.judge_cdi(_status(), "v2").state == WAITING
    assert "phase is unset" in rules.judge_cdi(None, "v2").reason


def test_a_condition_is_waited_for_when_conditions_are_null() -> None:
    assert rules.judge_condition({"status": {"conditions": None}}, "Established").state == WAITING


def test_a_deployment_is_ready_only_in_its_newest_generation() -> None:
    stored = {"metadata": {"generation": 2}, "spec": {"replicas": 1}}
    ready = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    assert rules.judge_deployment({**stored, "status": ready}).state == REACHED
    assert rules.judge_deployment({**stored, "status": {**ready, "observedGeneration": 1}}).state == WAITING
    assert rules.judge_deployment(None).state == WAITING


ENVIRONMENT = {"APISERVER_IMAGE": "r/api:1", "CONTROLLER_IMAGE": "r/controller:1", "UPLOAD_PROXY_IMAGE": "r/proxy:1"}
IMAGES = {"cdi-operator": "r/operator:1", "cdi-apiserver": "r/api:1", "cdi-deployment": "r/controller:1"}


def _deployments(replicas: int = 1, **images: str) -> list[dict[str, Any]]:
    other = {name.replace("_", "-"): image for name, image in images.items()}
    whole = {**IMAGES, "cdi-uploadproxy": "r/proxy:1", **other}
    status = {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
    return [
        {
            "metadata": {"name": name, "generation": 1},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"image": image}]}}},
            "status": status,
        }
        for name, image in whole.items()
    ]


def test_components_are_ready_only_with_the_images_of_the_operator() -> None:
    assert rules.judge_components(_deployments(), ENVIRONMENT, {}).state == REACHED
    stale = rules.judge_components(_deployments(cdi_deployment="old/controller:1"), ENVIRONMENT, {})
    assert stale.reason == "Deployment cdi-deployment: its image is old/controller:1, not r/controller:1 yet"
    missing = rules.judge_components(_deployments()[:-1], ENVIRONMENT, {})
    assert missing.state == WAITING and "cdi-uploadproxy" in missing.reason


def test_components_are_ready_only_with_the_requested_replicas() -> None:
    asked = {"spec": {"infra": {"apiServerReplicas": 2, "deploymentReplicas": 2, "uploadProxyReplicas": 2}}}
    assert rules.judge_components(_deployments(replicas=2), ENVIRONMENT, asked).state == REACHED
    fewer = rules.judge_components(_deployments(), ENVIRONMENT, asked)
    assert fewer.reason == "Deployment cdi-apiserver: it has 1 replicas, not 2 yet"
    more = rules.judge_components(_deployments(replicas=2), ENVIRONMENT, {})
    assert more.reason == "Deployment cdi-apiserver: it has 2 replicas, not 1 yet"


def test_patched_components_are_not_compared() -> None:
    patched = {"spec": {"customizeComponents": {"patches": [{"resourceName": "*"}]}}}
    assert rules.judge_components(_deployments(cdi_deployment="mine"), ENVIRONMENT, patched).state == REACHED


def test_pods_in_trouble_have_a_reason() -> None:
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    starting = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    unscheduled = [{"type": "PodScheduled", "status": "False", "message": "no node"}]
    pods: list[dict[str, Any]] = [
        {"metadata": {"name": "a"}, "status": {"containerStatuses": [waiting]}},
        {"metadata": {"name": "b"}, "status": {"containerStatuses": [starting, {"state": {"running": {}}}]}},
        {"metadata": {"name": "c"}, "status": {"conditions": unscheduled}},
        {"metadata": {"name": "d"}},
    ]
    assert rules.pods_in_trouble(pods) == [
        "pod a is in ImagePullBackOff (no such image)",
        "pod c is not scheduled (no node)",
    ]


def test_title_has_kind_namespace_and_name() -> None:
    named = {"metadata": {"name": "x", "namespace": "n"}}
    assert rules.title(DEPLOYMENT, named) == "Deployment n/x"
    assert rules.title(CDI, {"metadata": {"name": "cdi"}}) == "CDI cdi"
