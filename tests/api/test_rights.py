# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifests of docs/rbac on a real API server: each account has just what its manifest gives, and that is enough."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, NAMESPACE, Resource

from tests.api.conftest import ADMIN
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
VOLUME = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}


def manifest(name: str) -> list[dict[str, Any]]:
    return yaml.safe_load((ROOT / "docs" / "rbac" / f"{name}.yml").read_text())["items"]


def acting_as(wire: Wire, namespace: str, account: str) -> dict[str, str]:
    """The environment of a service account: by impersonation, with the groups that its token would give."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    return {
        "K8S_AUTH_HOST": wire.url,
        "K8S_AUTH_API_KEY": ADMIN,
        "K8S_AUTH_IMPERSONATE_USER": f"system:serviceaccount:{namespace}:{account}",
        "K8S_AUTH_IMPERSONATE_GROUPS": ",".join(groups),
    }


@pytest.fixture
def applied() -> Iterator[Any]:
    """Applies manifests by their names, in a namespace of the test's own; all of it goes away after the test.

    What is in CDI's namespace is left out: nobody here would empty that again.
    """
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    team = f"team-{uuid.uuid4().hex[:6]}"
    made: list[tuple[Resource, str, str | None]] = []

    def apply(*names: str, only: tuple[str, ...] = ()) -> str:
        direct.apply(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}}, dry_run=False)
        for name in names:
            for body in yaml.safe_load(
                yaml.safe_dump(manifest(name)).replace("team-a", team).replace("automation", team)
            ):
                if (only and body["kind"] not in only) or body["metadata"].get("namespace") == "cdi":
                    continue
                resource, metadata = KINDS[body["kind"]], body["metadata"]
                direct.apply(resource, body, dry_run=False)
                if team not in (metadata["name"], metadata.get("namespace")):
                    made.append((resource, metadata["name"], metadata.get("namespace")))
        return team

    yield apply
    for resource, name, namespace in reversed(made):
        direct.delete(resource, name, namespace, dry_run=False)
    direct.delete(NAMESPACE, team, dry_run=False)


def run(wire: Wire, book: str, environment: dict[str, str], **variables: Any) -> str:
    played = play(book, variables={"cdi_volumes_wait": False, **variables}, environment=environment)
    assert played.code == 0, played.output
    return played.output


@pytest.mark.parametrize("whole", [True, False], ids=["with the optional part", "with a Role alone"])
def test_a_tenant_declares_clones_grows_and_deletes_volumes_and_reports(
    wire: Wire, applied: Any, no_cdi: Connection, whole: bool
) -> None:
    team = applied("tenant", only=() if whole else ("ServiceAccount", "Role", "RoleBinding"))
    me = acting_as(wire, team, "cdi-tenant")
    volumes = [
        {"name": "golden", **VOLUME},
        {"name": "vm", "source": {"pvc": {"name": "golden"}}, "storage": {"size": "1Gi"}},
    ]
    output = run(wire, "kubevirt.cdi.volumes", me, cdi_namespace=team, cdi_data_volumes=volumes)
    assert "changed=1 " in output and f"{team}/vm" in output
    missing = 'CDI objects cannot be read: grant the verb "list" on cdis.cdi.kubevirt.io.'
    assert (f"NOT READABLE: {missing}" in output) is not whole
    absent = [{"name": volume["name"], "state": "absent"} for volume in volumes]
    assert "changed=1 " in run(wire, "kubevirt.cdi.volumes", me, cdi_namespace=team, cdi_data_volumes=absent)
    assert "changed=0 " in run(wire, "kubevirt.cdi.report", me, cdi_report_namespaces=[team])


def test_a_tenant_is_told_what_lacks_for_all_namespaces(wire: Wire, applied: Any) -> None:
    team = applied("tenant", only=("ServiceAccount", "Role", "RoleBinding"))
    played = play("kubevirt.cdi.report", environment=acting_as(wire, team, "cdi-tenant"))
    assert played.code == 2 and 'grant the verb "list" on datavolumes.cdi.kubevirt.io' in played.output.replace(
        '\\"', '"'
    ), played.output


def test_cdi_info_names_what_a_user_may_not_read(
    wire: Wire, module: RunModule, no_cdi: Connection, applied: Any
) -> None:
    team = applied("tenant", only=("ServiceAccount", "Role", "RoleBinding"))
    me = acting_as(wire, team, "cdi-tenant")
    told = module(
        "cdi_info", impersonate_user=me["K8S_AUTH_IMPERSONATE_USER"], impersonate_groups=["system:authenticated"]
    ).result
    assert not told.get("failed") and (told["ready"], told["version"], told["cdi"]) == (None, None, {})
    assert told["not_readable"][0] == 'CDI objects cannot be read: grant the verb "list" on cdis.cdi.kubevirt.io.'
    assert told["host"] == wire.url


def test_an_administrator_installs_configures_and_removes_cdi(
    wire: Wire, module: RunModule, applied: Any, no_cdi: Connection, tmp_path: Path
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
    told = succeeds("cdi_info")
    assert told["installed"] and told["not_readable"] == []
    assert succeeds("data_volume_info")["data_volumes"] == []
    # Only predicted: nobody works here who would empty CDI's namespace.
    removed = module("cdi", check=True, state="absent", **options).result
    assert removed["changed"] and "Namespace cdi" in removed["changed_objects"], removed


def test_an_uploader_may_look_make_and_ask_for_a_token(wire: Wire, connection: Connection, applied: Any) -> None:
    """There is no upload API here; how far an upload gets without one is told by what it is refused."""
    team = applied("uploader", only=("ServiceAccount", "Role", "RoleBinding"))
    me = acting_as(wire, team, "cdi-uploader")
    params = {"host": wire.url, "api_key": ADMIN, "impersonate_user": me["K8S_AUTH_IMPERSONATE_USER"]}
    uploader = connect({**params, "impersonate_groups": me["K8S_AUTH_IMPERSONATE_GROUPS"].split(",")})
    spec = {"source": {"upload": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
    metadata = {"name": "disk", "namespace": team}
    uploader.apply(
        DATA_VOLUME,
        {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", "metadata": metadata, "spec": spec},
        dry_run=False,
    )
    assert [volume["metadata"]["name"] for volume in uploader.list(DATA_VOLUME, team)[0]] == ["disk"]


def test_the_manifests_grant_nothing_in_the_clusters_name_that_the_guide_does_not_say() -> None:
    """Cluster-wide rights are the administrator's, and the tenant's optional reading."""
    wide = {
        (name, body["metadata"]["name"])
        for name in ("administrator", "tenant", "uploader")
        for body in manifest(name)
        if body["kind"] == "ClusterRole"
    }
    assert wide == {("administrator", "kubevirt-cdi-administrator"), ("tenant", "kubevirt-cdi-reader")}
    reader = next(body for body in manifest("tenant") if body["kind"] == "ClusterRole")
    assert {verb for rule in reader["rules"] for verb in rule["verbs"]} == {"get", "list"}
    assert not any(
        {"secrets", "*"} & set(rule["resources"])
        for name in ("tenant", "uploader")
        for body in manifest(name)
        for rule in body.get("rules", [])
    )
