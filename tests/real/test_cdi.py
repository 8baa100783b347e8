# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes, settings and refusals of an installed CDI. A Molecule scenario tests its removal."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CUSTOM_RESOURCE_DEFINITION,
    DEPLOYMENT,
    INGRESS,
    PRIORITY_CLASS,
)

from tests.real.objects import Module, Ok, create, existing

MANIFESTS = os.environ["KUBEVIRT_CDI_TEST_MANIFESTS"]
NEW, OLD = ({"manifest": f"{MANIFESTS}/{release}/cdi-operator.yaml"} for release in ("v1.65.0", "v1.61.1"))


@pytest.fixture
def configuration(connection: Connection) -> Iterator[None]:
    """Restores the configuration of CDI after the test."""
    before = existing(connection, CDI, "cdi")["spec"]["config"]
    yield
    after = existing(connection, CDI, "cdi")["spec"]["config"]
    patch = {**dict.fromkeys(after), **before}
    connection.merge(CDI, "cdi", None, {"spec": {"config": patch}}, dry_run=False)


def _refusal(ran: Any) -> str:
    assert ran.result.get("failed"), ran.result
    assert "Traceback" not in ran.output and "\n" not in ran.result["msg"]
    return str(ran.result["msg"])


def test_second_run_changes_nothing_although_the_operator_changes_its_crd(ok: Ok, connection: Connection) -> None:
    definition = existing(connection, CUSTOM_RESOURCE_DEFINITION, "cdis.cdi.kubevirt.io")
    assert [version["name"] for version in definition["spec"]["versions"]] == ["v1beta1"]
    again = ok("cdi", **NEW)
    assert not again["changed"] and again["changed_objects"] == []
    assert again["version"] == {"from": "v1.65.0", "to": "v1.65.0"}


@pytest.fixture
def reader(connection: Connection) -> Iterator[str]:
    """A user with the right to read everything and create nothing."""
    name = f"reader-{uuid.uuid4().hex[:6]}"
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    reference = {"apiGroup": CLUSTER_ROLE.group, "kind": "ClusterRole", "name": name}
    subject = {"apiGroup": CLUSTER_ROLE.group, "kind": "User", "name": name}
    create(connection, CLUSTER_ROLE, name, rules=everything)
    create(connection, CLUSTER_ROLE_BINDING, name, roleRef=reference, subjects=[subject])
    yield name
    connection.delete(CLUSTER_ROLE_BINDING, name, dry_run=False)
    connection.delete(CLUSTER_ROLE, name, dry_run=False)


def test_missing_right_to_create_volumes_is_reported_immediately(module: Module, reader: str) -> None:
    started = time.monotonic()
    ran = module("cdi", **NEW, impersonate_user=reader, wait_timeout=300)
    message = _refusal(ran)
    assert time.monotonic() - started < 150, "the module waits for a right that nobody grants"
    assert (
        'grant the verb "create" on datavolumes.cdi.kubevirt.io' in message
        and f'User "{reader}" cannot create' in message
    )
    assert not ran.result["changed"] and ran.result["version"] == {"from": "v1.65.0", "to": "v1.65.0"}
    assert not module("cdi", **NEW, impersonate_user=reader, wait=False).result["changed"]


def test_downgrade_is_refused_before_a_write(module: Module, connection: Connection) -> None:
    before = existing(connection, DEPLOYMENT, "cdi-operator", "cdi")["metadata"]["generation"]
    assert "CDI cannot be downgraded" in _refusal(module("cdi", **OLD))
    assert existing(connection, DEPLOYMENT, "cdi-operator", "cdi")["metadata"]["generation"] == before


@pytest.fixture
def priority_class(connection: Connection) -> Iterator[str]:
    name = f"cdi-test-{uuid.uuid4().hex[:6]}"
    create(connection, PRIORITY_CLASS, name, value=1)
    yield name
    connection.delete(PRIORITY_CLASS, name, dry_run=False)


@pytest.mark.alone("changes the CDI object")
def test_task_waits_for_placement_priority_and_replicas(ok: Ok, connection: Connection, priority_class: str) -> None:
    toleration = {"key": "infra", "operator": "Exists"}
    options = {
        "priority_class": priority_class,
        "infra": {"api_server_replicas": 2, "tolerations": [toleration]},
        "cert_config": {"server": {"duration": "36h", "renew_before": "90m"}},
    }
    try:
        assert ok("cdi", **NEW, **options)["changed_objects"] == ["CDI cdi"]
        stored = existing(connection, DEPLOYMENT, "cdi-apiserver", "cdi")
        pod = stored["spec"]["template"]["spec"]
        assert stored["status"]["availableReplicas"] == 2 and pod["priorityClassName"] == priority_class
        assert toleration in pod["tolerations"]
        assert not ok("cdi", **NEW, **options)["changed"]
    finally:
        assert ok("cdi", **NEW)["changed_objects"] == ["CDI cdi"]
    assert existing(connection, DEPLOYMENT, "cdi-apiserver", "cdi")["spec"]["replicas"] == 1


@pytest.mark.alone("changes the CDI object")
@pytest.mark.usefixtures("configuration")
def test_settings_are_in_effect_when_the_task_ends(ok: Ok) -> None:
    options = {
        "filesystem_overhead": {"global": "0.1", "storage_class": {"plain": "0.2"}},
        "import_proxy": {"http_proxy": "http://user:very-secret@proxy.example.com", "no_proxy": ".svc"},
        "insecure_registries": ["registry.example.com:5000"],
        "pod_resource_requirements": {"limits": {"memory": "1Gi"}, "requests": {"memory": "128Mi"}},
        "preallocation": True,
        "scratch_space_storage_class": "plain",
        "tls_security_profile": {"type": "Modern"},
        "upload_proxy_url_override": "https://upload.example.com",
    }
    effective = ok("cdi_config", **options)["effective"]
    assert (
        effective["filesystem_overhead"]["storageClass"] | {"plain": "0.2", "thin": "0.1"}
        == (effective["filesystem_overhead"]["storageClass"])
    )
    assert effective["default_pod_resource_requirements"] == {
        "limits": {"cpu": "750m", "memory": "1Gi"},
        "requests": {"cpu": "100m", "memory": "128Mi"},
    }
    assert effective["preallocation"] is True and effective["scratch_space_storage_class"] == "plain"
    assert effective["upload_proxy_url"] == "https://upload.example.com"
    assert effective["tls_security_profile"] == {"type": "Modern"}
    assert not ok("cdi_config", **options)["changed"]
    info = ok("cdi_info")
    assert info["ready"] and info["not_in_effect"] == [] and info["managed_by"] is None and info["namespace"] == "cdi"
    assert "very-secret" not in str(info) and "@proxy.example.com" in str(info["asked"])
    profiles = {profile["name"]: profile for profile in info["storage_profiles"]}
    assert profiles["thin"]["complete"] and profiles["thin"]["recognized"] is False
    removal = {option: type(value)() for option, value in options.items() if option != "preallocation"}
    effective = ok("cdi_config", **removal)["effective"]
    assert effective["scratch_space_storage_class"] is None and effective["upload_proxy_url"] is None
    assert effective["filesystem_overhead"]["global"] == "0.06"


@pytest.mark.alone("changes the CDI object")
@pytest.mark.usefixtures("configuration")
def test_cause_of_ineffective_settings_is_reported(module: Module, ok: Ok, connection: Connection) -> None:
    backend = {"service": {"name": "cdi-uploadproxy", "port": {"number": 443}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec = {
        "rules": [{"host": "upload.example.com", "http": {"paths": paths}}],
        "tls": [{"hosts": ["upload.example.com"], "secretName": "not-there"}],
    }
    ok("cdi_config", preallocation=False)  # A value restored by an earlier test may not be in effect yet.
    create(connection, INGRESS, "upload", "cdi", spec=spec)
    try:
        time.sleep(1)  # CDI must see the Ingress first: it would apply an earlier setting.
        message = _refusal(module("cdi_config", preallocation=True, wait_timeout=5))
        assert "after 5 s this is not in effect: preallocation" in message
        assert "the Secret cdi/not-there of Ingress upload does not exist" in message
        without_tls = {"spec": {"tls": None}}
        connection.merge(INGRESS, "upload", "cdi", without_tls, dry_run=False)
        effective = ok("cdi_config", preallocation=True)["effective"]
        assert effective["preallocation"] and effective["upload_proxy_url"] == "upload.example.com"
    finally:
        connection.delete(INGRESS, "upload", "cdi", dry_run=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scratch_space_storage_class": "nothing"}, "storage class 'nothing' does not exist; available: block-only"),
        ({"filesystem_overhead": {"storage_class": {"nothing": "0.1"}}}, "storage class 'nothing' does not exist"),
        ({"import_proxy": {"trusted_ca_proxy": "nothing"}}, "ConfigMap 'cdi/nothing' does not exist"),
        ({"webhook_pvc_rendering": "Enabled"}, "CDI v1.65.0 does not have webhookPvcRendering"),
        ({"pod_resource_requirements": {"requests": {"memory": "1Gi"}}}, "no worker pod could be created"),
    ],
)
def test_setting_that_cdi_ignores_or_fails_on_is_refused(
    module: Module, connection: Connection, options: dict[str, Any], message: str
) -> None:
    before = existing(connection, CDI, "cdi")["metadata"]["generation"]
    assert message in _refusal(module("cdi_config", **options))
    assert existing(connection, CDI, "cdi")["metadata"]["generation"] == before


@pytest.mark.alone("changes the CDI object")
@pytest.mark.usefixtures("configuration")
def test_option_without_effect_warns(module: Module) -> None:
    ran = module("cdi_config", data_volume_ttl_seconds=60)
    assert ran.result["changed"] and "no effect since CDI 1.62" in ran.output
