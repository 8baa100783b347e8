# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a tenant in docs/rbac suffices for moves of volumes and for the role thicken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.api.moving_volumes import acting, create_source, nodes
from tests.api.objects import SetStatus, body, start_pod
from tests.api.test_growth_samples import Kubelet, operator
from tests.api.test_rights import Apply, acting_as, applied
from tests.api.test_thicken import DISK, THIN_VOLUMES, Cloning, start, storage
from tests.api.virt_controller import Machines
from tests.modules import RunModule
from tests.playing import play
from tests.wire import Wire

__all__ = ["applied", "nodes", "operator", "storage"]  # Fixtures that the tests use.
WHOLE = {"state": {"terminated": {"exitCode": 0, "message": "1073741824 1073741824\n"}}}
LIVE = {"to": {"storage_class_name": "plain", "access_modes": ["ReadWriteOnce"], "preallocation": True}}


class Node(Kubelet, Cloning):
    """Fills clones and targets, and measures that all bytes of them are allocated."""

    container = WHOLE


@pytest.fixture
def node(
    machines: Machines, direct: Connection, namespace: str, set_status: SetStatus, storage: str, operator: None
) -> Iterator[None]:
    """A filled volume `golden`, and controllers that act until the test ends."""
    create_source(direct, namespace, set_status, "golden", storage)
    with acting(Node(machines)):
        yield


@pytest.fixture
def config_reader(direct: Connection, namespace: str) -> Iterator[None]:
    """CDI lets everybody read its configuration (pkg/operator/resources/cluster/rbac.go, v1.65.0)."""
    kinds = ["cdiconfigs", "storageprofiles"]
    rules = [{"apiGroups": ["cdi.kubevirt.io"], "resources": kinds, "verbs": ["get", "list", "watch"]}]
    role = {"apiGroup": resources.CLUSTER_ROLE.group, "kind": "ClusterRole", "name": namespace}
    everybody = [{"apiGroup": role["apiGroup"], "kind": "Group", "name": "system:authenticated"}]
    direct.create(resources.CLUSTER_ROLE, body(resources.CLUSTER_ROLE, namespace, rules=rules), dry_run=False)
    binding = body(resources.CLUSTER_ROLE_BINDING, namespace, roleRef=role, subjects=everybody)
    direct.create(resources.CLUSTER_ROLE_BINDING, binding, dry_run=False)
    yield
    for kind in (resources.CLUSTER_ROLE_BINDING, resources.CLUSTER_ROLE):
        direct.delete(kind, namespace, dry_run=False)


def leave_pod(machines: Machines, direct: Connection, namespace: str, claim: str) -> None:
    """A pod of machine web that has ended and keeps its claim, as the one on the source of a live move."""
    instance = machines.instance("web")
    owner = {"apiVersion": instance["apiVersion"], "kind": instance["kind"], "name": "web"}
    reference = [{**owner, "uid": instance["metadata"]["uid"]}]
    start_pod(direct, namespace, "virt-launcher-web", claim, ownerReferences=reference)


def test_tenant_makes_volumes_thin_and_thick_and_deletes_the_thin_ones(
    node: None, config_reader: None, machines: Machines, applied: Apply, wire: Wire, direct: Connection, namespace: str
) -> None:
    me = acting_as(wire, applied("tenant"), "cdi-tenant")
    common: dict[str, Any] = {"cdi_namespace": namespace, "cdi_thin_volumes": THIN_VOLUMES.format(namespace)}
    thin = play("kubevirt.cdi.thicken", variables={**common, "cdi_thicken_state": "thin"}, environment=me)
    assert thin.code == 0 and "changed=1 " in thin.output, thin.output
    machines.create("web", DISK)
    start(machines, "web")
    leave_pod(machines, direct, namespace, "web-data")
    done = {"cdi_thicken_when_done": "delete_source", "cdi_thicken_sample_growth": True}
    thick = play("kubevirt.cdi.thicken", variables={**common, **done}, environment=me)
    assert thick.code == 0 and "changed=1 " in thick.output, thick.output
    proof = thick.artifacts["cdi_artifact_thick"][f"{namespace}/web-data"]
    assert proof["allocated_bytes"] == proof["size_bytes"] == 1 << 30
    assert direct.get(resources.DATA_VOLUME, "web-data", namespace) is None
    refused = {path.partition("?")[0] for _method, path, status, _token in wire.answered if status == 403}
    assert refused == {resources.HYPER_CONVERGED.path()}, "Only the report asks who owns CDI"


def test_tenant_without_the_optional_rights_moves_volumes_and_reads_what_is_missing(
    node: None,
    machines: Machines,
    module: RunModule,
    applied: Apply,
    wire: Wire,
    direct: Connection,
    namespace: str,
    set_status: SetStatus,
) -> None:
    me = acting_as(wire, applied("tenant", whole=False), "cdi-tenant")
    groups = me["K8S_AUTH_IMPERSONATE_GROUPS"].split(",")
    options: dict[str, Any] = {
        "impersonate_user": me["K8S_AUTH_IMPERSONATE_USER"],
        "impersonate_groups": groups,
        "namespace": namespace,
        "machines": ["web"],
        "wait_timeout": 60,
        **LIVE,
    }
    create_source(direct, namespace, set_status, "web-data", "thin")
    thick = {"cdi.kubevirt.io/storage.thick-provisioned": "true"}
    direct.merge(
        resources.PERSISTENT_VOLUME_CLAIM, "web-data", namespace, {"metadata": {"annotations": thick}}, dry_run=False
    )
    machines.create("web", DISK)
    start(machines, "web")
    leave_pod(machines, direct, namespace, "web-data")
    moved = module("volume_migration", **options).result
    assert not moved.get("failed"), moved["msg"]
    (volume,) = moved["volumes"]
    assert (volume["state"], volume["allocation"]["allocated_bytes"]) == ("finished", None)
    assert 'grant the verb "list" on deployments' in volume["allocation"]["not_measured"]
    refusal = module("volume_migration", **options, when_done="delete_source").refusal
    assert 'grant the verb "delete" on pods' in refusal
