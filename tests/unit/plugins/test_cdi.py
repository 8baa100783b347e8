# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release manifest and CDI's status mean."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils import _cdi as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi_config import (
    is_as_asked,
    merged,
    not_in_effect,
    wanted_spec,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._wait import REACHED, WAITING

OPERATOR: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "cdi-operator", "namespace": "cdi", "creationTimestamp": None},
    "spec": {"template": {"spec": {"containers": [{"env": [{"name": "OPERATOR_VERSION", "value": "v1.65.0"}]}]}}},
}


def test_objects_come_in_the_order_of_their_creation_without_a_status() -> None:
    crd = {"kind": "CustomResourceDefinition", "metadata": {"name": "x"}, "status": {"conditions": None}}
    namespace = {"kind": "Namespace", "metadata": {"name": "cdi"}}
    objects = rules.manifest_objects([OPERATOR, None, crd, namespace], "m")
    assert [item["kind"] for item in objects] == ["Namespace", "CustomResourceDefinition", "Deployment"]
    assert "status" not in objects[1] and "creationTimestamp" not in objects[2]["metadata"]
    assert rules.operator_version(rules.operator_deployment(objects)) == "v1.65.0"


@pytest.mark.parametrize("documents", [[], ["text"], [{"kind": "Pod", "metadata": {}}]])
def test_another_manifest_is_refused(documents: list[Any]) -> None:
    with pytest.raises(CdiError, match="give the cdi-operator.yaml of a release"):
        rules.manifest_objects(documents, "m")


def test_a_version_that_the_operator_removed_stays_away() -> None:
    versions = [{"name": "v1alpha1"}, {"name": "v1beta1"}]
    desired = {"kind": "CustomResourceDefinition", "spec": {"versions": versions}}
    stored = {"spec": {"versions": [{"name": "v1beta1"}]}}
    assert rules.without_removed_version(desired, None) == desired
    assert rules.without_removed_version(desired, stored)["spec"]["versions"] == [{"name": "v1beta1"}]


@pytest.mark.parametrize(("installed", "wanted"), [("v1.65.0", "v1.61.1"), ("1.10.0", "v1.9.9")])
def test_a_downgrade_is_refused(installed: str, wanted: str) -> None:
    with pytest.raises(CdiError, match="cannot be downgraded"):
        rules.refuse_downgrade(installed, wanted)


@pytest.mark.parametrize(
    ("installed", "wanted"), [("", "v1.65.0"), ("v1.65.0", "v1.65.0"), ("v1.9.9", "v1.10.0"), ("devel", "v1.61.1")]
)
def test_anything_else_is_an_install_or_an_upgrade(installed: str, wanted: str) -> None:
    rules.refuse_downgrade(installed, wanted)


def _status(**changes: Any) -> dict[str, Any]:
    version = {"observedVersion": "v1", "targetVersion": "v1", "operatorVersion": "v1"}
    conditions = {"Available": "True", "Progressing": "False", "Degraded": "False"} | changes.pop("conditions", {})
    listed = [{"type": kind, "status": state} for kind, state in conditions.items()]
    return {"status": {"phase": "Deployed", **version, "conditions": listed, **changes}}


def test_cdi_is_ready_when_all_of_its_status_says_so() -> None:
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
def test_available_alone_is_not_ready(changes: dict[str, Any]) -> None:
    assert rules.judge_cdi(_status(**changes), "v1").state == WAITING


def test_another_release_is_not_ready() -> None:
    assert rules.judge_cdi(_status(), "v2").state == WAITING
    assert "phase is unset" in rules.judge_cdi(None, "v2").reason


def test_conditions_may_be_null() -> None:
    assert rules.judge_condition({"status": {"conditions": None}}, "Established").state == WAITING


def test_a_deployment_is_ready_in_its_newest_generation() -> None:
    stored = {"metadata": {"generation": 2}, "spec": {"replicas": 1}}
    ready = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    assert rules.judge_deployment({**stored, "status": ready}).state == REACHED
    assert rules.judge_deployment({**stored, "status": {**ready, "observedGeneration": 1}}).state == WAITING
    assert rules.judge_deployment(None).state == WAITING


def test_config_asks_for_no_more_than_was_given() -> None:
    assert wanted_spec({"preallocation": False}) == {"config": {"preallocation": False}}
    assert wanted_spec({"scratch_space_storage_class": ""}) == {"config": {"scratchSpaceStorageClass": None}}
    assert wanted_spec({"clone_strategy_override": "copy"}) == {"cloneStrategyOverride": "copy"}
    assert wanted_spec({"image_pull_secrets": ["a"]}) == {"config": {"imagePullSecrets": [{"name": "a"}]}}
    proxy = {"http_proxy": "http://p", "no_proxy": "", "trusted_ca_proxy": None}
    assert wanted_spec({"import_proxy": proxy}) == {"config": {"importProxy": {"HTTPProxy": "http://p", "noProxy": ""}}}


@pytest.mark.parametrize(
    ("wanted", "stored", "expected"),
    [
        ({"a": None}, {}, True),
        ({"a": None}, {"a": "x"}, False),
        ({"a": []}, {}, True),
        ({"a": False}, {}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": {"b": 1}}, {}, False),
        ({"a": ["x"]}, {"a": ["x"]}, True),
    ],
)
def test_a_merge_patch_that_changes_nothing_is_not_sent(wanted: Any, stored: Any, expected: bool) -> None:
    assert is_as_asked(wanted, stored) is expected
    assert (merged(stored, wanted) == stored) is expected or wanted == {"a": []}


def test_what_cdi_ignores_is_told() -> None:
    wanted = {"config": {"preallocation": True, "scratchSpaceStorageClass": "fast", "uploadProxyURLOverride": None}}
    assert not_in_effect(wanted, {"preallocation": True, "scratchSpaceStorageClass": "fast"}) == []
    assert not_in_effect(wanted, {"preallocation": True}) == ["scratchSpaceStorageClass is None and not 'fast'"]
    assert not_in_effect({"config": {"preallocation": False}}, {}) == []
