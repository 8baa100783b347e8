# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifests of docs/rbac: the rights of each account are sufficient, and not more than documented."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    NAMESPACE,
    POD,
    VIRTUAL_MACHINE,
    VOLUME_CLONE_SOURCE,
    Resource,
)

from tests.api.objects import ADMIN, body
from tests.modules import RunModule
from tests.playing import play
from tests.runner.tree import ROOT
from tests.wire import Wire

MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"
RBAC = "rbac.authorization.k8s.io"
KINDS = {
    "Namespace": NAMESPACE,
    "ServiceAccount": Resource("", "v1", "serviceaccounts", "ServiceAccount", True),
    "Role": Resource(RBAC, "v1", "roles", "Role", True),
    "RoleBinding": Resource(RBAC, "v1", "rolebindings", "RoleBinding", True),
    "ClusterRole": Resource(RBAC, "v1", "clusterroles", "ClusterRole", False),
    "ClusterRoleBinding": Resource(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", False),
}
OPTIONAL = {"kubevirt-cdi-reader", "kubevirt-cdi-tenant-pods"}
VOLUME = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}


def manifest(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load((ROOT / "docs" / "rbac" / f"{name}.yml").read_text())["items"])


def acting_as(wire: Wire, namespace: str, account: str) -> dict[str, str]:
    """The environment of a service account, by impersonation with the groups of its token."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return {
        "K8S_AUTH_HOST": wire.url,
        "K8S_AUTH_API_KEY": ADMIN,
        "K8S_AUTH_IMPERSONATE_USER": f"system:serviceaccount:{namespace}:{account}",
        "K8S_AUTH_IMPERSONATE_GROUPS": ",".join(groups),
    }


class Apply(Protocol):
    """Applies manifests, with or without their optional objects, in the namespace of the test, and returns its name."""

    def __call__(self, *names: str, whole: bool = True) -> str: ...


@pytest.fixture
def applied(direct: Connection, namespace: str) -> Iterator[Apply]:
    """Skips objects in CDI's namespace, which no controller empties here, and deletes the others after the test."""
    created: list[tuple[Resource, str, str | None]] = []

    def apply(*names: str, whole: bool = True) -> str:
        for name in names:
            for content in yaml.safe_load(
                yaml.safe_dump(manifest(name)).replace("team-a", namespace).replace("automation", namespace)
            ):
                resource, metadata = KINDS[content["kind"]], content["metadata"]
                if (metadata["name"] in OPTIONAL and not whole) or metadata.get("namespace") == "cdi":
                    continue
                direct.apply(resource, content, dry_run=False)
                if namespace not in (metadata["name"], metadata.get("namespace")):
                    created.append((resource, metadata["name"], metadata.get("namespace")))
        return namespace

    yield apply
    for resource, name, inside in reversed(created):
        direct.delete(resource, name, inside, dry_run=False)


def declare(team: str, environment: dict[str, str], volumes: list[dict[str, Any]], **variables: Any) -> str:
    """The output of a run that declares volumes and reports all volumes of the namespace."""
    named = {"cdi_namespace": team, "cdi_report_namespaces": [team], "cdi_data_volumes": volumes}
    played = play(
        "kubevirt.cdi.volumes", variables={"cdi_volumes_wait": False, **named, **variables}, environment=environment
    )
    assert played.code == 0, played.output
    return played.output


@pytest.mark.parametrize("whole", [True, False], ids=["with the optional parts", "without them"])
def test_tenant_declares_clones_and_deletes_volumes_and_reports(
    wire: Wire, applied: Apply, no_cdi: Connection, whole: bool
) -> None:
    team = applied("tenant", whole=whole)
    me = acting_as(wire, team, "cdi-tenant")
    volumes: list[dict[str, Any]] = [
        {"name": "golden", **VOLUME},
        {"name": "vm", "source": {"pvc": {"name": "golden"}}, "storage": {"size": "1Gi"}},
    ]
    output = declare(team, me, volumes, cdi_report_find_users=True)
    assert "changed=1 " in output and f"{team}/vm" in output
    missing = 'CDI objects cannot be read: grant the verb "list" on cdis.cdi.kubevirt.io.'
    assert (f"NOT READABLE: {missing}" in output) is not whole
    assert output.count("used by: nobody") == 2 and "not looked for" not in output, output
    output = declare(team, me, [{"name": volume["name"], "state": "absent"} for volume in volumes])
    assert "changed=1 " in output and "not looked for" not in output, output
    assert "There are no volumes." in output, output


def test_tenant_reads_which_right_a_report_of_all_namespaces_needs(wire: Wire, applied: Apply) -> None:
    team = applied("tenant", whole=False)
    played = play("kubevirt.cdi.report", environment=acting_as(wire, team, "cdi-tenant"))
    assert played.code == 2 and 'grant the verb "list" on datavolumes.cdi.kubevirt.io' in played.output.replace(
        '\\"', '"'
    ), played.output


def test_cdi_info_names_forbidden_objects(wire: Wire, module: RunModule, no_cdi: Connection, applied: Apply) -> None:
    team = applied("tenant", whole=False)
    me = acting_as(wire, team, "cdi-tenant")
    info = module(
        "cdi_info", impersonate_user=me["K8S_AUTH_IMPERSONATE_USER"], impersonate_groups=["system:authenticated"]
    ).result
    assert not info.get("failed") and (info["ready"], info["version"], info["cdi"]) == (None, None, {})
    assert info["not_readable"][0] == 'CDI objects cannot be read: grant the verb "list" on cdis.cdi.kubevirt.io.'
    assert info["host"] == wire.url


def test_administrator_installs_configures_and_removes_cdi(
    wire: Wire, module: RunModule, applied: Apply, no_cdi: Connection, tmp_path: Path
) -> None:
    team = applied("administrator")
    me = acting_as(wire, team, "cdi-administrator")
    options: dict[str, Any] = {
        "impersonate_user": me["K8S_AUTH_IMPERSONATE_USER"],
        "impersonate_groups": me["K8S_AUTH_IMPERSONATE_GROUPS"].split(","),
    }

    def succeeds(name: str, **more: Any) -> dict[str, Any]:
        result: dict[str, Any] = module(name, **options, **more).result
        assert not result.get("failed"), result["msg"]
        return result

    assert succeeds("cdi", manifest=MANIFEST, wait=False)["changed"]
    assert succeeds("cdi_config", preallocation=True, wait=False)["changed"]
    info = succeeds("cdi_info")
    assert info["installed"] and info["not_readable"] == []
    assert succeeds("data_volume_info")["data_volumes"] == []
    # Only predicted, because no controller empties CDI's namespace here.
    removed = module("cdi", check=True, state="absent", **options).result
    assert removed["changed"] and "Namespace cdi" in removed["changed_objects"], removed


def test_uploader_creates_and_lists_volumes(wire: Wire, connection: Connection, applied: Apply) -> None:
    """The upload API is not served here, so that no token can be requested."""
    team = applied("uploader")
    me = acting_as(wire, team, "cdi-uploader")
    params = {"host": wire.url, "api_key": ADMIN, "impersonate_user": me["K8S_AUTH_IMPERSONATE_USER"]}
    uploader = connect({**params, "impersonate_groups": me["K8S_AUTH_IMPERSONATE_GROUPS"].split(",")})
    spec = {"source": {"upload": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
    uploader.apply(DATA_VOLUME, body(DATA_VOLUME, "disk", metadata={"namespace": team}, spec=spec), dry_run=False)
    assert [volume["metadata"]["name"] for volume in uploader.list(DATA_VOLUME, team)[0]] == ["disk"]


@pytest.mark.parametrize("name", ["administrator", "tenant", "uploader"])
def test_accounts_that_delete_data_may_list_its_users(name: str) -> None:
    own = [content for content in manifest(name) if content["metadata"].get("namespace") != "cdi"]
    rules = [rule for content in own for rule in content.get("rules", [])]
    for kind in (POD, VIRTUAL_MACHINE, VOLUME_CLONE_SOURCE):
        assert any(
            kind.group in rule["apiGroups"]
            and {kind.plural, "*"} & set(rule["resources"])
            and {"list", "*"} & set(rule["verbs"])
            for rule in rules
        ), kind.plural


def test_cluster_wide_rights_are_those_of_the_guide() -> None:
    """Only the administrator has cluster-wide rights, and the tenant may have those to read."""
    wide = {
        (name, content["metadata"]["name"])
        for name in ("administrator", "tenant", "uploader")
        for content in manifest(name)
        if content["kind"] == "ClusterRole"
    }
    assert wide == {("administrator", "kubevirt-cdi-administrator"), ("tenant", "kubevirt-cdi-reader")}
    reader = next(content for content in manifest("tenant") if content["kind"] == "ClusterRole")
    assert {verb for rule in reader["rules"] for verb in rule["verbs"]} == {"get", "list"}
    assert not any(
        {"secrets", "*"} & set(rule["resources"])
        for name in ("tenant", "uploader")
        for content in manifest(name)
        for rule in content.get("rules", [])
    )
