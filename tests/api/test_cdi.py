# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cdi: what it writes, what it refuses before it writes, and how many requests it takes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.fields import field_name
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.options import CR_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    CUSTOM_RESOURCE_DEFINITION,
    DATA_VOLUME,
    DEPLOYMENT,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    PRIORITY_CLASS,
    SERVICE_ACCOUNT,
)

from tests.api.objects import fetch
from tests.modules import RunModule, run_module
from tests.wire import Wire

MANIFESTS = os.environ["KUBEVIRT_CDI_TEST_MANIFESTS"]
# No operator runs here, so CDI never becomes ready.
NEW: dict[str, Any] = {"manifest": f"{MANIFESTS}/v1.65.0/cdi-operator.yaml", "wait": False}
OLD: dict[str, Any] = {"manifest": f"{MANIFESTS}/v1.61.1/cdi-operator.yaml", "wait": False}

pytestmark = pytest.mark.usefixtures("no_cdi")


def test_check_mode_predicts_installation_without_writing(wire: Wire, module: RunModule) -> None:
    options = {**NEW, "image_pull_secrets": ["credentials"], "infra": {"api_server_replicas": 2}}
    predicted = module("cdi", check=True, **options).result
    assert wire.writes() == []
    real = module("cdi", **options).result
    assert predicted["changed"] and predicted["changed_objects"] == real["changed_objects"]
    assert predicted["diff"] == real["diff"]
    assert real["diff"][-1]["after"]["spec"]["config"]["imagePullSecrets"] == [{"name": "credentials"}]


def test_cdi_is_created_with_its_complete_spec(module: RunModule, no_cdi: Connection) -> None:
    """The operator deploys CDI as soon as the object exists, and would deploy it again for a later change."""
    options: dict[str, Any] = {
        "infra": {"node_selector": {"disk": "fast"}, "tolerations": [{"key": "infra", "operator": "Exists"}]},
        "workload": {"node_selector": {"disk": "slow"}},
        "image_pull_secrets": ["credentials"],
    }
    result = module("cdi", **NEW, **options).result
    stored = fetch(no_cdi, CDI, "cdi")
    # The API server increments the generation with each change of the spec.
    assert stored["metadata"]["generation"] == 1 and result["cdi"]["spec"] == stored["spec"]
    assert stored["spec"]["infra"]["nodeSelector"] == {"disk": "fast"}
    assert stored["spec"]["config"] == {
        "featureGates": ["HonorWaitForFirstConsumer", "WebhookPvcRendering"],
        "imagePullSecrets": [{"name": "credentials"}],
    }
    assert not module("cdi", **NEW, **options).result["changed"]
    module("cdi", **NEW)
    spec = fetch(no_cdi, CDI, "cdi")["spec"]
    assert "disk" not in str(spec) and "tolerations" not in spec["infra"] and spec["config"] == stored["spec"]["config"]


def test_error_reports_what_was_written(no_cdi: Connection) -> None:
    # Not through the counting proxy, which delays the answer of a watch.
    options = {"kubeconfig": os.environ["KUBECONFIG"], "manifest": NEW["manifest"], "wait_timeout": 6}
    result = run_module("cdi", options).result
    assert result["failed"] and "is not ready after 6 s" in result["msg"]
    assert (
        result["changed"]
        and "CDI cdi" in result["changed_objects"]
        and len(result["diff"]) == len(result["changed_objects"])
    )
    again = run_module("cdi", options).result
    assert again["failed"] and not again["changed"] and again["changed_objects"] == []


def test_second_run_writes_nothing_and_takes_twelve_requests(wire: Wire, module: RunModule) -> None:
    module("cdi", **NEW)
    wire.requests.clear()
    again = module("cdi", **NEW).result
    assert not again["changed"] and again["changed_objects"] == [] and again["diff"] == []
    # CDI objects, operators, HyperConverged and the API groups, then the eight objects of the manifest.
    assert [method for method, _path in wire.requests] == ["GET"] * 12


def test_version_that_the_operator_removed_from_the_crd_is_no_change(module: RunModule, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    name = "cdis.cdi.kubevirt.io"
    stored = fetch(no_cdi, CUSTOM_RESOURCE_DEFINITION, name)
    kept = [version for version in stored["spec"]["versions"] if version["name"] != "v1alpha1"]
    no_cdi.merge(CUSTOM_RESOURCE_DEFINITION, name, None, {"spec": {"versions": kept}}, dry_run=False)
    assert not module("cdi", **NEW).result["changed"]


def test_options_change_only_their_fields(module: RunModule, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    no_cdi.merge(CDI, "cdi", None, {"spec": {"config": {"preallocation": True}}}, dry_run=False)
    options: dict[str, Any] = {
        "uninstall_strategy": "BlockUninstallIfWorkloadsExist",
        "infra": {"api_server_replicas": 2, "tolerations": [{"key": "infra", "operator": "Exists"}]},
        "workload": {"node_selector": {"disk": "fast"}},
        "cert_config": {"ca": {"duration": "72h"}},
        "customize_components": {
            "patches": [{"resource_name": "*", "resource_type": "Deployment", "type": "merge", "patch": {"a": 1}}]
        },
    }
    predicted = module("cdi", check=True, **NEW, **options).result
    changed = module("cdi", **NEW, **options).result
    assert changed["changed_objects"] == ["CDI cdi"] and changed["diff"] == predicted["diff"]
    spec = fetch(no_cdi, CDI, "cdi")["spec"]
    assert spec["infra"]["apiServerReplicas"] == 2 and spec["certConfig"]["ca"]["duration"] == "72h0m0s"
    assert spec["workload"]["nodeSelector"] == {"disk": "fast"} and spec["config"]["preallocation"] is True
    assert json.loads(spec["customizeComponents"]["patches"][0]["patch"]) == {"a": 1}
    assert not module("cdi", **NEW, **options).result["changed"]
    assert module("cdi", **NEW).result["changed"]
    spec = fetch(no_cdi, CDI, "cdi")["spec"]
    assert spec["infra"] == {"nodeSelector": {"kubernetes.io/os": "linux"}} and "uninstallStrategy" not in spec
    assert spec["config"]["preallocation"] is True


def test_image_registry_and_pull_secrets_reach_operator_and_cdi(module: RunModule, no_cdi: Connection) -> None:
    own: dict[str, Any] = {"image_registry": "registry.example.com:5000/mirror", "image_pull_secrets": ["credentials"]}
    module("cdi", **NEW)
    predicted = module("cdi", check=True, **NEW, **own).result
    assert module("cdi", **NEW, **own).result["diff"] == predicted["diff"]
    pod = fetch(no_cdi, DEPLOYMENT, "cdi-operator", "cdi")["spec"]["template"]["spec"]
    images = [entry["value"] for entry in pod["containers"][0]["env"] if entry["name"].endswith("_IMAGE")]
    images.append(pod["containers"][0]["image"])
    assert len(images) == 8 and all(image.startswith("registry.example.com:5000/mirror/cdi-") for image in images)
    assert pod["imagePullSecrets"] == [{"name": "credentials"}]
    assert fetch(no_cdi, CDI, "cdi")["spec"]["config"]["imagePullSecrets"] == [{"name": "credentials"}]
    assert not module("cdi", **NEW, **own).result["changed"]
    assert module("cdi", **NEW, image_pull_secrets=[]).result["changed"]
    assert not fetch(no_cdi, CDI, "cdi")["spec"]["config"].get("imagePullSecrets")


def test_downgrade_is_refused_before_a_write(wire: Wire, module: RunModule, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    no_cdi.merge(CDI, "cdi", None, {"status": {"observedVersion": "v1.65.0"}}, dry_run=False)
    assert module("cdi", **NEW).result["version"] == {"from": "v1.65.0", "to": "v1.65.0"}
    wire.requests.clear()
    assert "CDI v1.65.0 is installed, but the manifest is of v1.61.1" in module("cdi", **OLD).refusal
    assert wire.writes() == []


def test_field_of_another_manager_needs_force_conflicts(module: RunModule, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    no_cdi.merge(CDI, "cdi", None, {"spec": {"infra": {"apiServerReplicas": 3}}}, dry_run=False)
    message = module("cdi", **NEW, infra={"api_server_replicas": 2}).refusal
    assert "spec.infra.apiServerReplicas" in message and "force_conflicts=true" in message
    assert module("cdi", **NEW, infra={"api_server_replicas": 2}, force_conflicts=True).result["changed"]


def test_second_cdi_object_is_refused(wire: Wire, module: RunModule) -> None:
    module("cdi", **NEW)
    wire.requests.clear()
    assert "set name=cdi" in module("cdi", name="other", **NEW).refusal
    assert "set name=cdi" in module("cdi", name="other", state="absent").refusal
    assert wire.writes() == []


def test_second_operator_is_refused(wire: Wire, module: RunModule, no_cdi: Connection, namespace: str) -> None:
    module("cdi", **NEW)
    stored = fetch(no_cdi, DEPLOYMENT, "cdi-operator", "cdi")
    no_cdi.delete(DEPLOYMENT, "cdi-operator", "cdi", dry_run=False)
    elsewhere = {**stored, "metadata": {"name": "cdi-operator"}}
    no_cdi.create(DEPLOYMENT, elsewhere, namespace, dry_run=False)
    wire.requests.clear()
    assert f"runs in namespace {namespace}" in module("cdi", **NEW).refusal
    assert wire.writes() == []
    no_cdi.delete(DEPLOYMENT, "cdi-operator", namespace, dry_run=False)


def test_unknown_priority_class_is_refused(wire: Wire, module: RunModule, no_cdi: Connection) -> None:
    wire.requests.clear()
    assert "does not exist; create it first" in module("cdi", **NEW, priority_class="cdi-test").refusal
    assert wire.writes() == []
    metadata = {"name": "cdi-test"}
    own = {"apiVersion": PRIORITY_CLASS.api_version, "kind": "PriorityClass", "metadata": metadata, "value": 1}
    no_cdi.create(PRIORITY_CLASS, own, dry_run=False)
    assert module("cdi", **NEW, priority_class="cdi-test").result["cdi"]["spec"]["priorityClass"] == "cdi-test"
    no_cdi.delete(PRIORITY_CLASS, "cdi-test", dry_run=False)


@pytest.mark.usefixtures("hyperconverged")
def test_cdi_of_hyperconverged_is_not_changed(wire: Wire, module: RunModule) -> None:
    message = module("cdi", **NEW, uninstall_strategy="RemoveWorkloads", priority_class="high").refusal
    assert "belongs to HyperConverged default/the-owner" in message
    assert "spec.uninstallStrategy for uninstallStrategy" in message and "nodePlacement" not in message
    assert '"path": "/spec/priorityClass", "value": "high"' in message
    assert "belongs to HyperConverged" in module("cdi", state="absent").refusal
    assert wire.writes() == []


def test_operator_of_olm_is_not_changed(wire: Wire, module: RunModule, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    labels = {"olm.owner": "cdi.v1", "olm.owner.namespace": "cdi", "olm.owner.kind": "ClusterServiceVersion"}
    no_cdi.merge(DEPLOYMENT, "cdi-operator", "cdi", {"metadata": {"labels": labels}}, dry_run=False)
    wire.requests.clear()
    assert "belongs to ClusterServiceVersion cdi/cdi.v1" in module("cdi", **NEW).refusal
    assert "belongs to ClusterServiceVersion cdi/cdi.v1" in module("cdi", state="absent").refusal
    assert wire.writes() == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "any of the following are missing: version, manifest"),
        ({"version": "latest"}, "version is 'latest'"),
        ({"version": "v1.65.0", "manifest": "x"}, "mutually exclusive"),
        ({"manifest": "/nowhere", "checksum": "sha256:12"}, "checksum is 'sha256:12'"),
        ({"manifest": "/nowhere"}, "manifest /nowhere does not exist"),
        ({**NEW, "checksum": "sha256:" + "0" * 64}, "nothing was written"),
        ({**NEW, "image_registry": "https://r"}, "image_registry is 'https://r'"),
        ({**NEW, "infra": {"deployment_replicas": 0}}, "infra.deployment_replicas is 0"),
    ],
)
def test_invalid_option_is_refused_before_a_request(
    wire: Wire, module: RunModule, options: dict[str, Any], expected: str
) -> None:
    assert expected in module("cdi", **options).refusal
    assert wire.requests == []


@pytest.fixture
def volume(module: RunModule, no_cdi: Connection, namespace: str) -> Iterator[str]:
    """Namespace and name of a DataVolume."""
    module("data_volume", name="data", namespace=namespace, source={"blank": {}}, storage={"size": "1Mi"}, wait=False)
    yield f"{namespace}/data"
    no_cdi.delete(DATA_VOLUME, "data", namespace, dry_run=False)


def test_removal_is_refused_while_data_volumes_exist(wire: Wire, module: RunModule, volume: str) -> None:
    module("cdi", **NEW)
    wire.requests.clear()
    message = module("cdi", state="absent").refusal
    assert f"1 DataVolumes ({volume})" in message and "delete_data_volumes=true" in message
    assert wire.writes() == []


def test_removal_is_refused_while_a_claim_exists_in_the_cdi_namespace(
    wire: Wire, module: RunModule, no_cdi: Connection
) -> None:
    module("cdi", **NEW)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"}, "spec": spec}
    no_cdi.create(PERSISTENT_VOLUME_CLAIM, claim, "cdi", dry_run=False)
    wire.requests.clear()
    assert "1 PersistentVolumeClaims (cdi/kept)" in module("cdi", state="absent").refusal
    assert wire.writes() == []
    no_cdi.merge(PERSISTENT_VOLUME_CLAIM, "kept", "cdi", {"metadata": {"finalizers": None}}, dry_run=False)
    no_cdi.delete(PERSISTENT_VOLUME_CLAIM, "kept", "cdi", dry_run=False)


def test_check_mode_predicts_removal_without_a_manifest(wire: Wire, module: RunModule, volume: str) -> None:
    module("cdi", **NEW)
    wire.requests.clear()
    predicted = module("cdi", check=True, state="absent", delete_data_volumes=True).result
    assert predicted["changed"] and predicted["changed_objects"][:2] == [f"DataVolume {volume}", "CDI cdi"]
    assert len(predicted["changed_objects"]) == 10
    # Three find users of the data, and two find out whether the kinds of a 404 are served.
    assert {request[0] for request in wire.requests} == {"GET"} and len(wire.requests) == 19


def test_each_field_of_cdi_except_the_configuration_has_an_option(no_cdi: Connection) -> None:
    """Module cdi_config has the options for `config` and `cloneStrategyOverride`."""
    (version, *_others) = [
        version
        for version in fetch(no_cdi, CUSTOM_RESOURCE_DEFINITION, "cdis.cdi.kubevirt.io")["spec"]["versions"]
        if version["name"] == "v1beta1"
    ]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert {field_name(option) for option in CR_OPTIONS} == schema.keys() - {"config", "cloneStrategyOverride"}
    for option in ("infra", "workload", "cert_config", "customize_components"):
        below = {field_name(name) for name in CR_OPTIONS[option]["options"]}
        assert below == schema[field_name(option)]["properties"].keys(), option


def test_removal_is_refused_while_a_pod_uses_a_volume(
    wire: Wire, module: RunModule, no_cdi: Connection, volume: str
) -> None:
    module("cdi", **NEW)
    namespace = volume.partition("/")[0]
    no_cdi.create(SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, namespace, dry_run=False)
    spec = {
        "containers": [{"name": "c", "image": "none"}],
        "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
    }
    no_cdi.create(POD, {"metadata": {"name": "app"}, "spec": spec}, namespace, dry_run=False)
    wire.requests.clear()
    for check in (True, False):
        message = module("cdi", check=check, state="absent", delete_data_volumes=True).refusal
        assert message == (
            "CDI was not removed, because data that would be deleted are in use: "
            f"DataVolume {volume} by pod {namespace}/app; "
            f"delete pod {namespace}/app, or set when_in_use=delete to delete them anyway."
        )
    assert wire.writes() == []
    predicted = module("cdi", check=True, state="absent", delete_data_volumes=True, when_in_use="delete").result
    assert predicted["changed"] and not predicted.get("failed")
