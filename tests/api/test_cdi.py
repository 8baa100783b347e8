# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cdi on the wire: what it writes, what it refuses before, and how many requests it takes."""

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

from tests.modules import run_module

MANIFESTS = os.environ["KUBEVIRT_CDI_TEST_MANIFESTS"]
# There is no operator here: nothing gets ready.
NEW: dict[str, Any] = {"manifest": f"{MANIFESTS}/v1.65.0/cdi-operator.yaml", "wait": False}
OLD: dict[str, Any] = {"manifest": f"{MANIFESTS}/v1.61.1/cdi-operator.yaml", "wait": False}

pytestmark = pytest.mark.usefixtures("no_cdi")


def _refusal(ran: Any) -> str:
    assert ran.result.get("failed"), ran.result
    assert "Traceback" not in ran.output and "\n" not in ran.result["msg"]
    return str(ran.result["msg"])


def test_check_mode_predicts_an_installation_and_writes_nothing(wire, module) -> None:
    options = {**NEW, "image_pull_secrets": ["credentials"], "infra": {"api_server_replicas": 2}}
    predicted = module("cdi", check=True, **options).result
    assert wire.writes() == []
    real = module("cdi", **options).result
    assert predicted["changed"] and predicted["changed_objects"] == real["changed_objects"]
    assert predicted["diff"] == real["diff"]
    assert real["diff"][-1]["after"]["spec"]["config"]["imagePullSecrets"] == [{"name": "credentials"}]


def test_the_object_begins_with_its_whole_spec(module, no_cdi: Connection) -> None:
    """Its operator would deploy CDI at once, and a second time for what came later."""
    options = {
        "infra": {"node_selector": {"disk": "fast"}, "tolerations": [{"key": "infra", "operator": "Exists"}]},
        "workload": {"node_selector": {"disk": "slow"}},
        "image_pull_secrets": ["credentials"],
    }
    result = module("cdi", **NEW, **options).result
    stored = no_cdi.get(CDI, "cdi")
    # The API server counts each change of the spec.
    assert stored["metadata"]["generation"] == 1 and result["cdi"]["spec"] == stored["spec"]
    assert stored["spec"]["infra"]["nodeSelector"] == {"disk": "fast"}
    assert stored["spec"]["config"] == {
        "featureGates": ["HonorWaitForFirstConsumer", "WebhookPvcRendering"],
        "imagePullSecrets": [{"name": "credentials"}],
    }
    assert not module("cdi", **NEW, **options).result["changed"]
    module("cdi", **NEW)
    spec = no_cdi.get(CDI, "cdi")["spec"]
    assert "disk" not in str(spec) and "tolerations" not in spec["infra"] and spec["config"] == stored["spec"]["config"]


def test_an_error_says_what_was_written_before(no_cdi: Connection) -> None:
    # Not through the counting proxy, which would hold a watch's answer back.
    options = {"kubeconfig": os.environ["KUBECONFIG"], "manifest": NEW["manifest"], "wait_timeout": 1}
    result = run_module("cdi", options).result
    assert result["failed"] and "is not ready after 1 s" in result["msg"]
    assert (
        result["changed"]
        and "CDI cdi" in result["changed_objects"]
        and len(result["diff"]) == len(result["changed_objects"])
    )
    again = run_module("cdi", options).result
    assert again["failed"] and not again["changed"] and again["changed_objects"] == []


def test_a_second_run_writes_nothing_and_counts_its_requests(wire, module) -> None:
    module("cdi", **NEW)
    wire.requests.clear()
    again = module("cdi", **NEW).result
    assert not again["changed"] and again["changed_objects"] == [] and again["diff"] == []
    # CDI objects, operators and HyperConverged, the groups that are served, then the eight objects of the manifest.
    assert [method for method, _path in wire.requests] == ["GET"] * 12


def test_the_operator_may_take_the_old_version_out_of_its_definition(module, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    name = "cdis.cdi.kubevirt.io"
    stored = no_cdi.get(CUSTOM_RESOURCE_DEFINITION, name)
    kept = [version for version in stored["spec"]["versions"] if version["name"] != "v1alpha1"]
    no_cdi.merge(CUSTOM_RESOURCE_DEFINITION, name, None, {"spec": {"versions": kept}}, dry_run=False)
    assert not module("cdi", **NEW).result["changed"]


def test_options_change_only_what_they_name(module, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    no_cdi.merge(CDI, "cdi", None, {"spec": {"config": {"preallocation": True}}}, dry_run=False)
    options = {
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
    spec = no_cdi.get(CDI, "cdi")["spec"]
    assert spec["infra"]["apiServerReplicas"] == 2 and spec["certConfig"]["ca"]["duration"] == "72h0m0s"
    assert spec["workload"]["nodeSelector"] == {"disk": "fast"} and spec["config"]["preallocation"] is True
    assert json.loads(spec["customizeComponents"]["patches"][0]["patch"]) == {"a": 1}
    assert not module("cdi", **NEW, **options).result["changed"]
    assert module("cdi", **NEW).result["changed"]
    spec = no_cdi.get(CDI, "cdi")["spec"]
    assert spec["infra"] == {"nodeSelector": {"kubernetes.io/os": "linux"}} and "uninstallStrategy" not in spec
    assert spec["config"]["preallocation"] is True


def test_images_and_pull_secrets_of_ones_own_reach_operator_and_cdi(module, no_cdi: Connection) -> None:
    own = {"image_registry": "registry.example.com:5000/mirror", "image_pull_secrets": ["credentials"]}
    module("cdi", **NEW)
    predicted = module("cdi", check=True, **NEW, **own).result
    assert module("cdi", **NEW, **own).result["diff"] == predicted["diff"]
    pod = no_cdi.get(DEPLOYMENT, "cdi-operator", "cdi")["spec"]["template"]["spec"]
    images = [entry["value"] for entry in pod["containers"][0]["env"] if entry["name"].endswith("_IMAGE")]
    images.append(pod["containers"][0]["image"])
    assert len(images) == 8 and all(image.startswith("registry.example.com:5000/mirror/cdi-") for image in images)
    assert pod["imagePullSecrets"] == [{"name": "credentials"}]
    assert no_cdi.get(CDI, "cdi")["spec"]["config"]["imagePullSecrets"] == [{"name": "credentials"}]
    assert not module("cdi", **NEW, **own).result["changed"]
    assert module("cdi", **NEW, image_pull_secrets=[]).result["changed"]
    assert not no_cdi.get(CDI, "cdi")["spec"]["config"].get("imagePullSecrets")


def test_a_downgrade_is_refused_before_anything_is_written(wire, module, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    no_cdi.merge(CDI, "cdi", None, {"status": {"observedVersion": "v1.65.0"}}, dry_run=False)
    assert module("cdi", **NEW).result["version"] == {"from": "v1.65.0", "to": "v1.65.0"}
    wire.requests.clear()
    assert "CDI v1.65.0 is installed and the manifest is of v1.61.1" in _refusal(module("cdi", **OLD))
    assert wire.writes() == []


def test_a_field_of_another_manager_is_not_taken_unasked(module, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    no_cdi.merge(CDI, "cdi", None, {"spec": {"infra": {"apiServerReplicas": 3}}}, dry_run=False)
    message = _refusal(module("cdi", **NEW, infra={"api_server_replicas": 2}))
    assert "spec.infra.apiServerReplicas" in message and "force_conflicts=true" in message
    assert module("cdi", **NEW, infra={"api_server_replicas": 2}, force_conflicts=True).result["changed"]


def test_a_second_cdi_object_is_refused(wire, module) -> None:
    module("cdi", **NEW)
    wire.requests.clear()
    assert "set name=cdi" in _refusal(module("cdi", name="other", **NEW))
    assert "set name=cdi" in _refusal(module("cdi", name="other", state="absent"))
    assert wire.writes() == []


def test_a_second_operator_is_refused(wire, module, no_cdi: Connection, namespace) -> None:
    module("cdi", **NEW)
    stored = no_cdi.get(DEPLOYMENT, "cdi-operator", "cdi")
    no_cdi.delete(DEPLOYMENT, "cdi-operator", "cdi", dry_run=False)
    elsewhere = {**stored, "metadata": {"name": "cdi-operator"}}
    no_cdi.create(DEPLOYMENT, elsewhere, namespace, dry_run=False)
    wire.requests.clear()
    assert f"runs in namespace {namespace}" in _refusal(module("cdi", **NEW))
    assert wire.writes() == []
    no_cdi.delete(DEPLOYMENT, "cdi-operator", namespace, dry_run=False)


def test_an_unknown_priority_class_is_refused(wire, module, no_cdi: Connection) -> None:
    wire.requests.clear()
    assert "there is no such PriorityClass" in _refusal(module("cdi", **NEW, priority_class="cdi-test"))
    assert wire.writes() == []
    metadata = {"name": "cdi-test"}
    own = {"apiVersion": PRIORITY_CLASS.api_version, "kind": "PriorityClass", "metadata": metadata, "value": 1}
    no_cdi.create(PRIORITY_CLASS, own, dry_run=False)
    assert module("cdi", **NEW, priority_class="cdi-test").result["cdi"]["spec"]["priorityClass"] == "cdi-test"
    no_cdi.delete(PRIORITY_CLASS, "cdi-test", dry_run=False)


@pytest.mark.usefixtures("hyperconverged")
def test_hyperconverged_keeps_its_cdi(wire, module) -> None:
    message = _refusal(module("cdi", **NEW, uninstall_strategy="RemoveWorkloads", priority_class="high"))
    assert "belongs to HyperConverged default/the-owner" in message
    assert "spec.uninstallStrategy for uninstallStrategy" in message and "nodePlacement" not in message
    assert '"path": "/spec/priorityClass", "value": "high"' in message
    assert "belongs to HyperConverged" in _refusal(module("cdi", state="absent"))
    assert wire.writes() == []


def test_olm_keeps_its_operator(wire, module, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    labels = {"olm.owner": "cdi.v1", "olm.owner.namespace": "cdi", "olm.owner.kind": "ClusterServiceVersion"}
    no_cdi.merge(DEPLOYMENT, "cdi-operator", "cdi", {"metadata": {"labels": labels}}, dry_run=False)
    wire.requests.clear()
    assert "belongs to ClusterServiceVersion cdi/cdi.v1" in _refusal(module("cdi", **NEW))
    assert "belongs to ClusterServiceVersion cdi/cdi.v1" in _refusal(module("cdi", state="absent"))
    assert wire.writes() == []


@pytest.mark.parametrize(
    ("options", "named"),
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
def test_bad_input_ends_before_any_request(wire, module, options, named) -> None:
    assert named in _refusal(module("cdi", **options))
    assert wire.requests == []


@pytest.fixture
def volume(module, no_cdi: Connection, namespace: str) -> Iterator[str]:
    """A DataVolume, by its namespace and name."""
    module("data_volume", name="data", namespace=namespace, source={"blank": {}}, storage={"size": "1Mi"}, wait=False)
    yield f"{namespace}/data"
    no_cdi.delete(DATA_VOLUME, "data", namespace, dry_run=False)


def test_cdi_is_not_removed_with_data_unasked(wire, module, volume) -> None:
    module("cdi", **NEW)
    wire.requests.clear()
    message = _refusal(module("cdi", state="absent"))
    assert f"1 DataVolumes ({volume})" in message and "delete_data_volumes=true" in message
    assert wire.writes() == []


def test_a_claim_in_the_namespace_of_cdi_is_data_too(wire, module, no_cdi: Connection) -> None:
    module("cdi", **NEW)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "kept"}, "spec": spec}
    no_cdi.create(PERSISTENT_VOLUME_CLAIM, claim, "cdi", dry_run=False)
    wire.requests.clear()
    assert "1 PersistentVolumeClaims (cdi/kept)" in _refusal(module("cdi", state="absent"))
    assert wire.writes() == []
    no_cdi.merge(PERSISTENT_VOLUME_CLAIM, "kept", "cdi", {"metadata": {"finalizers": None}}, dry_run=False)
    no_cdi.delete(PERSISTENT_VOLUME_CLAIM, "kept", "cdi", dry_run=False)


def test_check_mode_predicts_a_removal_without_a_manifest(wire, module, volume) -> None:
    module("cdi", **NEW)
    wire.requests.clear()
    predicted = module("cdi", check=True, state="absent", delete_data_volumes=True).result
    assert predicted["changed"] and predicted["changed_objects"][:2] == [f"DataVolume {volume}", "CDI cdi"]
    assert len(predicted["changed_objects"]) == 10
    # Three of them look for who uses the data, and two ask whether what is not found is served at all.
    assert {request[0] for request in wire.requests} == {"GET"} and len(wire.requests) == 19


def test_every_field_of_cdi_but_the_configuration_has_an_option(no_cdi: Connection) -> None:
    """`config` and `cloneStrategyOverride` are module cdi_config's."""
    (version, *_others) = [
        version
        for version in no_cdi.get(CUSTOM_RESOURCE_DEFINITION, "cdis.cdi.kubevirt.io")["spec"]["versions"]
        if version["name"] == "v1beta1"
    ]
    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert {field_name(option) for option in CR_OPTIONS} == schema.keys() - {"config", "cloneStrategyOverride"}
    for option in ("infra", "workload", "cert_config", "customize_components"):
        below = {field_name(name) for name in CR_OPTIONS[option]["options"]}
        assert below == schema[field_name(option)]["properties"].keys(), option


def test_cdi_is_not_removed_under_a_pod(wire, module, no_cdi: Connection, volume) -> None:
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
        message = _refusal(module("cdi", check=check, state="absent", delete_data_volumes=True))
        assert message == (
            f"CDI was not removed, because data that would be deleted are in use: DataVolume {volume} by pod {namespace}/app; "
            f"delete pod {namespace}/app, or set when_in_use=delete to delete them anyway."
        )
    assert wire.writes() == []
    predicted = module("cdi", check=True, state="absent", delete_data_volumes=True, when_in_use="delete").result
    assert predicted["changed"] and not predicted.get("failed")
