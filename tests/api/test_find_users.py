# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module data_volume_info finds the pods, virtual machines and clones that use volumes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.modules import data_volume_info

from tests.api.objects import (
    ADMIN,
    LIMITED,
    SetStatus,
    allow,
    body,
    fetch,
    owner_reference,
    patch_status,
    start_pod,
    stop_pod,
)
from tests.modules import Ran, RunModule
from tests.playing import play, write_play
from tests.wire import Wire

NAMES = ["copy", "disk", "hot", "spare"]
KINDS = ["pods", "virtualmachines", "volumeclonesources"]
FORBIDDEN = [
    'Pods that use the data were not looked for: Cannot list Pod objects in namespace {}: pods is forbidden: {} "pods"'
    ' in API group "" in the namespace "{}" (HTTP 403); grant the verb "list" on pods.',
    "Stopped virtual machines that use the data were not looked for: Cannot list VirtualMachine objects in namespace "
    '{}: virtualmachines.kubevirt.io is forbidden: {} "virtualmachines" in API group "kubevirt.io" in the namespace '
    '"{}" (HTTP 403); grant the verb "list" on virtualmachines.kubevirt.io.',
    "Clones that read the data were not looked for: Cannot list VolumeCloneSource objects in namespace {}: "
    'volumeclonesources.cdi.kubevirt.io is forbidden: {} "volumeclonesources" in API group "cdi.kubevirt.io" in the '
    'namespace "{}" (HTTP 403); grant the verb "list" on volumeclonesources.cdi.kubevirt.io.',
]
LIMITED_USER = 'User "token-limited" cannot list resource'
FIND = "Find the users of the volumes of a namespace"
UNUSED = {"in_use": False, "pods": [], "virtual_machines": [], "clones": []}
MACHINE_OFF = {"in_use": True, "pods": [], "virtual_machines": [{"name": "off", "running": False}], "clones": []}


class Find(Protocol):
    """Runs data_volume_info with find_users in the namespace, which later options may replace."""

    def __call__(self, **options: Any) -> Ran: ...


@pytest.fixture
def find(wire: Wire, module: RunModule, namespace: str) -> Find:
    def run(**options: Any) -> Ran:
        wire.requests.clear()
        return module("data_volume_info", **{"namespace": namespace, "find_users": True, **options})

    return run


@pytest.fixture
def volumes(direct: Connection, namespace: str, set_status: SetStatus) -> None:
    """Four filled volumes."""
    spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
    for name in NAMES:
        direct.create(resources.DATA_VOLUME, body(resources.DATA_VOLUME, name, spec=spec), namespace, dry_run=False)
        set_status(namespace, name)


def create_machine(direct: Connection, namespace: str, name: str, *volumes: dict[str, Any], **spec: Any) -> None:
    template = {"spec": {"volumes": [{"name": f"d{number}", **each} for number, each in enumerate(volumes)]}}
    machine = body(resources.VIRTUAL_MACHINE, name, spec={"template": template, **spec})
    direct.create(resources.VIRTUAL_MACHINE, machine, namespace, dry_run=False)


def owned_by(kind: str, name: str, uid: str = "5f0a8d1c") -> dict[str, Any]:
    reference = {"apiVersion": "kubevirt.io/v1", "kind": kind, "name": name, "uid": uid, "controller": True}
    return {"ownerReferences": [reference]}


def users(ran: Ran) -> dict[str, Any]:
    assert not ran.result.get("failed"), ran.result["msg"]
    return {volume["name"]: volume["users"] for volume in ran.result["data_volumes"]}


def kinds_read(wire: Wire) -> list[str]:
    return [path.partition("?")[0].rpartition("/")[2] for _method, path in wire.requests]


def test_pods_machines_and_clones_of_each_volume_are_found(
    direct: Connection, namespace: str, volumes: None, kubevirt: None, find: Find
) -> None:
    create_machine(direct, namespace, "vm", {"persistentVolumeClaim": {"claimName": "disk"}})
    create_machine(direct, namespace, "off", dataVolumeTemplates=[{"metadata": {"name": "copy"}}])
    start_pod(direct, namespace, "virt-launcher-vm-x", **owned_by("VirtualMachineInstance", "vm"))
    launcher = fetch(direct, resources.POD, "virt-launcher-vm-x", namespace)
    start_pod(direct, namespace, "hp-volume-y", "hot", **owned_by("Pod", launcher["metadata"]["name"]))
    start_pod(direct, namespace)
    owner = owner_reference(fetch(direct, resources.DATA_VOLUME, "copy", namespace))
    source = body(
        resources.VOLUME_CLONE_SOURCE,
        "source",
        metadata={"ownerReferences": [owner]},
        spec={"source": {"kind": "PersistentVolumeClaim", "name": "disk"}},
    )
    direct.create(resources.VOLUME_CLONE_SOURCE, source, namespace, dry_run=False)
    running = [{"name": "vm", "running": True}]
    found = find()
    assert users(found) == {
        "copy": MACHINE_OFF,
        "disk": {
            "in_use": True,
            "pods": [
                {"name": "app", "machine": None},
                {"name": "virt-launcher-vm-x", "machine": "VirtualMachine/vm"},
            ],
            "virtual_machines": running,
            "clones": [f"{namespace}/copy"],
        },
        "hot": {
            "in_use": True,
            "pods": [{"name": "hp-volume-y", "machine": "VirtualMachine/vm"}],
            "virtual_machines": running,
            "clones": [],
        },
        "spare": UNUSED,
    }
    assert found.warnings == found.result["not_readable"] == []
    assert users(find(namespace=None))["spare"] == UNUSED
    assert users(find(name="copy")) == {"copy": MACHINE_OFF}
    for name in ("app", "hp-volume-y", "virt-launcher-vm-x"):
        stop_pod(direct, namespace, name)


def test_users_of_any_number_of_volumes_take_three_more_requests(
    wire: Wire, direct: Connection, namespace: str, volumes: None, kubevirt: None, find: Find
) -> None:
    for place, prefix in ((namespace, f"/namespaces/{namespace}"), (None, "")):
        ran = find(namespace=place, find_users=False)
        assert set(map(str, users(ran).values())) == {"None"} and ran.result["not_readable"] == []
        without = list(wire.requests)
        ran = find(namespace=place)
        # Other tests have volumes in other namespaces of the cluster.
        assert set(users(ran)) >= set(NAMES) and len(wire.requests) == len(without) + 3
        more = [path.partition("?")[0] for method, path in wire.requests if (method, path) not in without]
        expected = [
            f"/api/v1{prefix}/pods",
            f"/apis/kubevirt.io/v1{prefix}/virtualmachines",
            f"/apis/cdi.kubevirt.io/v1beta1{prefix}/volumeclonesources",
        ]
        assert more == expected
    find(name="disk", find_users=False)
    one = len(wire.requests)
    find(name="disk")
    assert len(wire.requests) == one + 3


def test_no_users_are_looked_for_without_volumes(wire: Wire, namespace: str, find: Find) -> None:
    assert find().result["data_volumes"] == [] and not set(KINDS) & set(kinds_read(wire))


@pytest.mark.usefixtures("volumes")
def test_volumes_of_a_cluster_without_kubevirt_have_no_machines(wire: Wire, find: Find) -> None:
    found = find()
    assert users(found) == dict.fromkeys(NAMES, UNUSED) and found.warnings == []
    # The discovery confirms that VirtualMachine is not served.
    assert sorted(kinds_read(wire)) == sorted(["datavolumes", "persistentvolumeclaims", *KINDS, "apis"])


def test_users_are_read_before_a_pod_measures_the_volume(
    wire: Wire, direct: Connection, namespace: str, volumes: None, find: Find
) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = resources.PERSISTENT_VOLUME_CLAIM
    direct.create(claim, body(claim, "disk", spec=spec), namespace, dry_run=False)
    patch_status(direct, claim, "disk", namespace, {"phase": "Bound"})
    (disk,) = find(name="disk", verify_allocation=True).result["data_volumes"]
    assert disk["users"] == UNUSED and disk["allocation"]["not_measured"]
    read = kinds_read(wire)
    assert read.index("volumeclonesources") < read.index("deployments")


def as_limited(direct: Connection, namespace: str, *rules: tuple[str, str]) -> None:
    allow(direct, namespace, ("cdi.kubevirt.io", "datavolumes"), ("", "persistentvolumeclaims"), *rules)


def test_each_missing_right_is_reported_once(
    direct: Connection, namespace: str, volumes: None, kubevirt: None, find: Find
) -> None:
    as_limited(direct, namespace)
    found = find(token=LIMITED)
    assert users(found) == dict.fromkeys(NAMES, dict.fromkeys(UNUSED))
    expected = [text.format(namespace, LIMITED_USER, namespace) for text in FORBIDDEN]
    assert found.result["not_readable"] == expected
    assert [warning for warning in found.warnings if "not looked for" in warning] == expected


def test_forbidden_machines_and_clones_are_null_and_make_no_volume_unused(
    direct: Connection, namespace: str, volumes: None, kubevirt: None, find: Find
) -> None:
    as_limited(direct, namespace, ("", "pods"))
    start_pod(direct, namespace)
    create_machine(direct, namespace, "off", {"dataVolume": {"name": "spare"}})
    found = find(token=LIMITED)
    unknown: dict[str, Any] = {"in_use": None, "pods": [], "virtual_machines": None, "clones": None}
    used = {**unknown, "in_use": True, "pods": [{"name": "app", "machine": None}]}
    assert users(found) == {**dict.fromkeys(NAMES, unknown), "disk": used}
    assert found.result["not_readable"] == [text.format(namespace, LIMITED_USER, namespace) for text in FORBIDDEN[1:]]
    stop_pod(direct, namespace)


def test_forbidden_kind_that_is_not_served_has_no_objects(
    direct: Connection, namespace: str, volumes: None, find: Find
) -> None:
    as_limited(direct, namespace, ("", "pods"), ("cdi.kubevirt.io", "volumeclonesources"))
    found = find(token=LIMITED)
    assert users(found) == dict.fromkeys(NAMES, UNUSED) and found.result["not_readable"] == []


def test_machines_are_unknown_if_the_discovery_is_also_forbidden(
    wire: Wire, direct: Connection, namespace: str, volumes: None, find: Find
) -> None:
    as_limited(direct, namespace, ("", "pods"), ("cdi.kubevirt.io", "volumeclonesources"))
    wire.fault = (403, {"Content-Type": "application/json"}, b'{"kind": "Status", "reason": "Forbidden", "code": 403}')
    wire.trouble = lambda _method, path: "fault" if path == "/apis" else ""
    found = find(token=LIMITED)
    assert users(found)["spare"] == {"in_use": None, "pods": [], "virtual_machines": None, "clones": []}
    assert found.result["not_readable"] == [FORBIDDEN[1].format(namespace, LIMITED_USER, namespace)]


def environment(wire: Wire, token: str) -> dict[str, str]:
    return {"K8S_AUTH_HOST": wire.url, "K8S_AUTH_API_KEY": token}


def report(wire: Wire, folder: Path, namespace: str, token: str, **variables: Any) -> tuple[str, dict[str, Any]]:
    """The output of role report, and its JSON file."""
    path = folder / "report.json"
    played = play(
        "kubevirt.cdi.report",
        variables={"cdi_report_namespaces": [namespace], "cdi_report_json": str(path), **variables},
        environment=environment(wire, token),
    )
    assert played.code == 0, played.output
    return played.output, json.loads(path.read_text())


def test_report_shows_users_on_request(
    wire: Wire, direct: Connection, namespace: str, volumes: None, kubevirt: None, tmp_path: Path
) -> None:
    create_machine(direct, namespace, "off", {"dataVolume": {"name": "copy"}})
    output, found = report(wire, tmp_path, namespace, ADMIN, cdi_report_find_users=True)
    assert output.count("    used by: nobody") == 3
    assert output.count("    used by: VirtualMachine off (not running)") == 1
    assert {volume["name"]: volume["users"] for volume in found["volumes"]} == {
        **dict.fromkeys(NAMES, UNUSED),
        "copy": MACHINE_OFF,
    }
    output, found = report(wire, tmp_path, namespace, ADMIN)
    assert "used by" not in output and [volume["users"] for volume in found["volumes"]] == [None] * 4


def test_report_lists_the_rights_that_users_require(
    wire: Wire, direct: Connection, namespace: str, volumes: None, kubevirt: None, tmp_path: Path
) -> None:
    as_limited(direct, namespace, ("", "pods"))
    output, found = report(wire, tmp_path, namespace, LIMITED, cdi_report_find_users=True)
    expected = [text.format(namespace, LIMITED_USER, namespace) for text in FORBIDDEN[1:]]
    assert [text for text in found["not_readable"] if "looked for" in text] == expected
    assert output.count("    used by: unknown") == 4 and "nobody" not in output


def test_examples_find_unused_volumes(
    wire: Wire, direct: Connection, namespace: str, volumes: None, kubevirt: None, tmp_path: Path
) -> None:
    """Also where users are unknown."""
    examples = yaml.safe_load(data_volume_info.EXAMPLES.replace("namespace: images", f"namespace: {namespace}"))
    find, show, check = examples[(first := [task["name"] for task in examples].index(FIND)) : first + 3]
    start_pod(direct, namespace)
    create_machine(direct, namespace, "off", {"dataVolume": {"name": "copy"}})
    played = play(write_play(tmp_path, [find, show]), environment=environment(wire, ADMIN))
    assert played.code == 0 and re.search(r'"msg": \[\s+"hot",\s+"spare"\s+\]', played.output), played.output
    as_limited(direct, namespace)
    played = play(write_play(tmp_path, [find, show, check]), environment=environment(wire, LIMITED))
    assert played.code == 2 and '"msg": []' in played.output and "Assertion failed" in played.output, played.output
    stop_pod(direct, namespace)
