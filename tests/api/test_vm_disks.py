# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module vm_disks on stopped machines: requests, JSON patches, conflicts, checks, growth and deletion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError

from tests.api.objects import SetStatus, body, fetch, start_pod
from tests.api.virt_controller import Machines, create_claim, create_volume, device, volume
from tests.modules import RunModule
from tests.wire import Wire

ROOT = {"name": "root", "data_volume": {"name": "root"}, "bus": "virtio"}
DATA = {"name": "data", "data_volume": {"name": "data"}, "bus": "virtio", "serial": "DATA"}
ROOT_DISK = (device("root"), volume("root"))
DATA_DISK = (device("data", serial="DATA"), volume("data"))


@pytest.fixture
def data(direct: Connection, namespace: str, set_status: SetStatus) -> None:
    create_volume(direct, namespace, set_status, "data")


def test_unchanged_machines_of_a_namespace_take_two_lists(
    machines: Machines, module: RunModule, wire: Wire, namespace: str
) -> None:
    names = [f"web-{number}" for number in range(12)]
    for name in names:
        machines.create(name, ROOT_DISK, DATA_DISK, running=name.endswith("1"))
    declared = [{"name": name, "disks": [ROOT, DATA], "purge": True} for name in names]
    result = module("vm_disks", namespace=namespace, machines=declared).result
    assert (result["changed"], [each["name"] for each in result["machines"]]) == (False, names)
    assert [path.partition("?")[0].rpartition("/")[2] for _method, path in wire.requests] == [
        "virtualmachines",
        "virtualmachineinstances",
    ]


@pytest.mark.parametrize("grown", [False, True], ids=["as created", "grown"])
def test_unchanged_machines_with_sizes_take_few_lists(
    machines: Machines,
    module: RunModule,
    wire: Wire,
    direct: Connection,
    namespace: str,
    set_status: SetStatus,
    grown: bool,
) -> None:
    for name in ("root", "data"):
        create_volume(direct, namespace, set_status, name)
    size = "1Gi"
    if grown:
        size = "2Gi"
        annotations = {"metadata": {"annotations": {"kubevirt.cdi/grown-to": "2Gi"}}}
        for name in ("root", "data"):
            direct.merge(resources.PERSISTENT_VOLUME_CLAIM, name, namespace, annotations, dry_run=False)
    for name in ("a", "b"):
        machines.create(name, ROOT_DISK, DATA_DISK)
    disks = [{**ROOT, "size": size}, {**DATA, "size": size}]
    result = module("vm_disks", namespace=namespace, machines=[{"name": each, "disks": disks} for each in "ab"]).result
    assert (result["changed"], len(wire.requests)) == (False, 4 if grown else 3)


def test_disk_is_attached_changed_and_detached_by_one_patch_each(
    machines: Machines, module: RunModule, wire: Wire, namespace: str, data: None, direct: Connection
) -> None:
    machines.create("web", ROOT_DISK)

    def run(*disks: dict[str, Any], check: bool = False) -> dict[str, Any]:
        wire.requests.clear()
        return module("vm_disks", check=check, name="web", namespace=namespace, disks=list(disks)).result

    predicted = run(DATA, check=True)
    assert (predicted["changed"], wire.writes(), wire.count("PATCH")) == (True, [], 1)
    assert machines.volumes("web") == [volume("root")]
    added = run(DATA)
    assert (added["changed"], wire.count("PATCH")) == (True, 1)
    assert (
        added["diff"]
        == predicted["diff"]
        == {
            "before": {"disks": {}},
            "after": {"disks": {"data": {"disk": DATA_DISK[0], "volume": DATA_DISK[1]}}},
        }
    )
    assert [(each["name"], each["action"]) for each in added["disks"]] == [("root", None), ("data", "attached")]
    assert machines.devices("web") == [ROOT_DISK[0], DATA_DISK[0]]
    assert run(DATA)["changed"] is False
    changed = run({**DATA, "cache": "none", "boot_order": 2})
    assert changed["disks"][1]["action"] == "changed"
    assert machines.devices("web")[1] == {**DATA_DISK[0], "cache": "none", "bootOrder": 2}
    assert run(DATA)["changed"] is True, "an option that is left out resets its field"
    assert machines.devices("web")[1] == DATA_DISK[0]
    removed = run({"name": "data", "state": "absent"})
    assert removed["disks"][1] | {"name": "data", "action": "detached", "volume": None} == removed["disks"][1]
    assert (machines.devices("web"), machines.volumes("web")) == ([ROOT_DISK[0]], [ROOT_DISK[1]])
    assert run({"name": "data", "state": "absent"})["changed"] is False
    assert direct.get(resources.DATA_VOLUME, "data", namespace), "the volume is kept"


def test_lists_that_are_missing_are_created(
    machines: Machines, module: RunModule, direct: Connection, namespace: str
) -> None:
    spec: dict[str, Any] = {"template": {"spec": {"domain": {"devices": {}}}}}
    direct.create(
        resources.VIRTUAL_MACHINE, body(resources.VIRTUAL_MACHINE, "web", spec=spec), namespace, dry_run=False
    )
    disk = {"name": "scratch", "empty_disk": {"capacity": "1024Mi"}, "bus": "virtio"}
    assert module("vm_disks", name="web", namespace=namespace, disks=[disk]).result["changed"]
    assert machines.volumes("web") == [{"name": "scratch", "emptyDisk": {"capacity": "1024Mi"}}]
    again = {**disk, "empty_disk": {"capacity": "1Gi"}}
    assert not module("vm_disks", name="web", namespace=namespace, disks=[again]).result["changed"]


def test_purge_detaches_what_is_not_declared_and_keeps_volumes_without_a_device(
    machines: Machines, module: RunModule, namespace: str
) -> None:
    dump = (None, {"name": "dump", "memoryDump": {"claimName": "dump"}})
    machines.create("web", DATA_DISK, ROOT_DISK, dump)
    result = module("vm_disks", name="web", namespace=namespace, disks=[ROOT], purge=True).result
    assert [(each["name"], each["action"]) for each in result["disks"]] == [
        ("root", None),
        ("dump", None),
        ("data", "detached"),
    ]
    assert machines.volumes("web") == [ROOT_DISK[1], dump[1]]


def test_template_of_a_volume_comes_and_goes_with_its_disk(
    machines: Machines, module: RunModule, namespace: str
) -> None:
    machines.create("web", ROOT_DISK)
    made = {"name": "made", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
    disk = {"name": "data", "data_volume_template": made, "bus": "virtio"}
    assert module("vm_disks", name="web", namespace=namespace, disks=[disk]).result["changed"]
    assert [each["metadata"]["name"] for each in machines.get("web")["spec"]["dataVolumeTemplates"]] == ["made"]
    assert not module("vm_disks", name="web", namespace=namespace, disks=[disk]).result["changed"]
    assert module("vm_disks", name="web", namespace=namespace, disks=[{"name": "data", "state": "absent"}]).result
    assert machines.get("web")["spec"]["dataVolumeTemplates"] == []


def other_client(direct: Connection, namespace: str, spec: dict[str, Any]) -> None:
    """Change the machine as another field manager."""
    path = f"{resources.VIRTUAL_MACHINE.path(namespace, 'web')}?fieldManager=argocd-controller"
    headers = {"Content-Type": "application/merge-patch+json"}
    change = json.dumps({"spec": {"template": {"spec": spec}}})
    assert direct.transport.request("PATCH", path, headers, body=change).status == 200


@pytest.mark.parametrize("same_disk", [False, True], ids=["another disk", "the same disk"])
def test_change_by_another_client_before_the_patch(
    machines: Machines,
    module: RunModule,
    wire: Wire,
    namespace: str,
    data: None,
    direct: Connection,
    same_disk: bool,
) -> None:
    machines.create("web", ROOT_DISK, DATA_DISK)
    theirs = {"name": "theirs", "emptyDisk": {"capacity": "1Gi"}}
    changed = {**DATA_DISK[0], "cache": "writeback"} if same_disk else DATA_DISK[0]
    spec = {
        "domain": {"devices": {"disks": [device("theirs"), ROOT_DISK[0], changed]}},
        "volumes": [theirs, ROOT_DISK[1], DATA_DISK[1]],
    }

    def trouble(method: str, _path: str) -> str:
        if method == "PATCH" and wire.count("PATCH") == 1:
            other_client(direct, namespace, spec)
        return ""

    wire.trouble = trouble
    ran = module("vm_disks", name="web", namespace=namespace, disks=[{**DATA, "cache": "none"}])
    if same_disk:
        assert ran.refusal == (
            f"VirtualMachine {namespace}/web: disk 'data' was changed by argocd-controller while the task ran; run the "
            "task again, or leave the disk to its other manager."
        )
        assert (ran.result["changed"], ran.result["error"]) == (False, ran.refusal)
        return
    assert (ran.result["changed"], wire.count("PATCH")) == (True, 2)
    assert machines.devices("web") == [device("theirs"), ROOT_DISK[0], {**DATA_DISK[0], "cache": "none"}]


def test_lost_answer_of_a_patch_counts_as_changed(
    machines: Machines, module: RunModule, wire: Wire, namespace: str, data: None
) -> None:
    machines.create("web", ROOT_DISK)
    wire.trouble = lambda method, _path: "lost" if method == "PATCH" else ""
    result = module("vm_disks", name="web", namespace=namespace, disks=[DATA]).result
    assert (result.get("msg"), result["changed"], wire.count("PATCH")) == (None, True, 1)
    assert machines.volumes("web") == [ROOT_DISK[1], DATA_DISK[1]]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "missing volume": (
        {"name": "x", "data_volume": {"name": "none"}, "bus": "virtio"},
        "Disk 'x' uses DataVolume 'none', which does not exist; create it with module kubevirt.cdi.data_volume, or "
        "correct the name.",
    ),
    "missing claim": (
        {"name": "x", "persistent_volume_claim": {"claim_name": "none"}, "bus": "virtio"},
        "Disk 'x' uses claim 'none', which does not exist; create it with module kubevirt.cdi.data_volume, or correct "
        "the name.",
    ),
    "file system for a lun": (
        {"name": "x", "type": "lun", "data_volume": {"name": "data"}, "bus": "scsi"},
        "Disk 'x' has type='lun' and uses DataVolume 'data' with volumeMode=Filesystem, but a LUN is a block device; "
        "use a volume with volume_mode=Block, or set type=disk.",
    ),
    "boot order of another disk": (
        {**DATA, "boot_order": 1},
        "Disks 'root' and 'data' have boot_order=1; give each device a different number.",
    ),
    "gate": (
        {"name": "x", "host_disk": {"path": "/data/x.img", "type": "Disk"}, "bus": "virtio"},
        "Disk 'x' has host_disk, for which the feature gate HostDisk is off; enable it in "
        "spec.configuration.developerConfiguration.featureGates of the KubeVirt object, or use "
        "persistent_volume_claim.",
    ),
    "claim of another disk": (
        {"name": "x", "persistent_volume_claim": {"claim_name": "root"}, "bus": "virtio"},
        "Disks 'root' and 'x' use the claim 'root', which only one disk of a machine can use; give each disk a claim "
        "of its own.",
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=list(REFUSED))
def test_disk_that_cannot_work_is_refused_before_any_write(
    machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str, data: None, case: str
) -> None:
    create_claim(direct, namespace, "root")
    machines.create("web", (device("root", bootOrder=1), volume("root")))
    machines.create("other", ROOT_DISK)
    disk, sentence = REFUSED[case]
    ran = module(
        "vm_disks",
        namespace=namespace,
        machines=[{"name": "web", "disks": [disk]}, {"name": "other", "disks": [DATA]}],
    )
    assert sentence in ran.refusal
    web, other = ran.result["machines"]
    assert (web["changed"], other["changed"], "error" in other) == (False, True, False)
    assert [path for _method, path in wire.writes() if "/web" in path] == []


def test_claim_that_a_pod_uses_is_refused(
    machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str, data: None
) -> None:
    machines.create("web", ROOT_DISK)
    start_pod(direct, namespace, claim="data")
    ran = module("vm_disks", name="web", namespace=namespace, disks=[DATA])
    assert ran.refusal == (
        f"VirtualMachine {namespace}/web: Disk 'data' uses DataVolume 'data' (ReadWriteOnce), which is in use by pod "
        f"{namespace}/app; stop that first, or use another volume."
    )
    assert wire.writes() == []


def test_missing_machine_is_refused_and_only_announced_by_a_check(
    machines: Machines, module: RunModule, namespace: str
) -> None:
    ran = module("vm_disks", name="web", namespace=namespace, disks=[ROOT])
    assert ran.refusal == (
        f"VirtualMachine {namespace}/web does not exist; create it with kubevirt.core.kubevirt_vm, or correct its name."
    )
    checked = module("vm_disks", check=True, name="web", namespace=namespace, disks=[ROOT])
    assert checked.result["changed"] and "does not exist" in checked.warnings[0]
    absent = [{"name": "root", "state": "absent"}]
    assert not module("vm_disks", name="web", namespace=namespace, disks=absent).result["changed"]


def test_claim_grows_with_the_overhead_of_its_volume(
    machines: Machines, module: RunModule, direct: Connection, namespace: str, set_status: SetStatus
) -> None:
    create_volume(direct, namespace, set_status, "data", volumeMode="Block")
    create_claim(direct, namespace, "plain")
    machines.create("web", DATA_DISK)
    plain = {"name": "plain", "persistent_volume_claim": {"claim_name": "plain"}, "bus": "virtio", "size": "3Gi"}
    options: dict[str, Any] = {
        "name": "web",
        "namespace": namespace,
        "disks": [{**DATA, "size": "2Gi"}, plain],
        "wait": False,
    }
    result = module("vm_disks", **options).result
    assert [each["action"] for each in result["disks"]] == ["grown", "attached"]
    claims = {name: fetch(direct, resources.PERSISTENT_VOLUME_CLAIM, name, namespace) for name in ("data", "plain")}
    sizes = {name: claim["spec"]["resources"]["requests"]["storage"] for name, claim in claims.items()}
    assert sizes == {"data": str(2 << 30), "plain": "3Gi"}
    assert result["diff"]["after"]["sizes"] == {"data": "2Gi", "plain": "3Gi"}
    assert not module("vm_disks", **options).result["changed"]
    smaller = module("vm_disks", **{**options, "disks": [{**DATA, "size": "512Mi"}]})
    assert smaller.refusal == (
        f"VirtualMachine {namespace}/web: Disk 'data': DataVolume 'data' has 2048Mi and cannot shrink to 512Mi; set "
        "size to 2048Mi or more."
    )


def test_detached_volume_is_deleted_if_nothing_uses_it(
    machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str, data: None
) -> None:
    machines.create("web", ROOT_DISK, DATA_DISK)
    machines.create("other", DATA_DISK)
    options: dict[str, Any] = {
        "name": "web",
        "namespace": namespace,
        "disks": [{"name": "data", "state": "absent", "delete_volume": True}],
        "wait": False,
    }
    refused = module("vm_disks", **options)
    assert refused.refusal == (
        f"VirtualMachine {namespace}/web: DataVolume {namespace}/data is in use by VirtualMachine {namespace}/other "
        f"(in its template), so it was not deleted; remove the volume from VirtualMachine {namespace}/other, or leave "
        "delete_volume of disk 'data' out."
    )
    assert wire.writes() == []
    direct.delete(resources.VIRTUAL_MACHINE, "other", namespace, dry_run=False)
    assert module("vm_disks", check=True, **options).result["changed"]
    assert direct.get(resources.DATA_VOLUME, "data", namespace)
    result = module("vm_disks", **options).result
    assert (result["changed"], result["message"]) == (True, f"DataVolume {namespace}/data was deleted.")
    assert direct.get(resources.DATA_VOLUME, "data", namespace) is None
    assert not module("vm_disks", **options).result["changed"]


def test_two_managers_share_a_machine(
    machines: Machines, module: RunModule, direct: Connection, namespace: str, data: None
) -> None:
    """Server-side apply gives the whole lists to one manager: the other one declares the same disks."""

    def apply(*disks: tuple[dict[str, Any], dict[str, Any]]) -> None:
        devices, volumes = [each for each, _volume in disks], [each for _device, each in disks]
        spec = {"domain": {"cpu": {"cores": 2}, "devices": {"disks": devices}}, "volumes": volumes}
        whole = body(resources.VIRTUAL_MACHINE, "web", spec={"template": {"spec": spec}})
        whole["metadata"]["namespace"] = namespace
        direct.apply(resources.VIRTUAL_MACHINE, whole, dry_run=False, manager="argocd-controller")

    apply(ROOT_DISK)
    options: dict[str, Any] = {"name": "web", "namespace": namespace, "disks": [DATA]}
    assert module("vm_disks", **options).result["changed"]
    with pytest.raises(ApiError, match=r"kubevirt\.cdi using .* already manages .*volumes"):
        apply(ROOT_DISK)
    apply(ROOT_DISK, DATA_DISK)
    assert not module("vm_disks", **options).result["changed"]
    apply(ROOT_DISK, DATA_DISK)
    assert machines.template("web")["domain"]["cpu"] == {"cores": 2}
    assert machines.volumes("web") == [ROOT_DISK[1], DATA_DISK[1]]
