# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module vm_disks on running machines: by each feature gate, by none, and while KubeVirt does not attach a disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.api.objects import ADMIN, LIMITED, SetStatus, allow
from tests.api.virt_controller import (
    DECLARATIVE,
    IMPERATIVE,
    Machines,
    controlling,
    create_volume,
    device,
    kubevirt,
    volume,
)
from tests.modules import RunModule
from tests.playing import play, write_play
from tests.wire import Wire

ROOT_DISK = (device("root"), volume("root"))
DATA = {"name": "data", "data_volume": {"name": "data"}, "bus": "virtio"}
ROOT = {"name": "root", "data_volume": {"name": "root"}, "bus": "virtio"}
HOT = (device("data"), volume("data", hotpluggable=True))
DRIVE = {"name": "drive", "type": "cdrom", "bus": "sata"}
DRIVE_DEVICE = device("drive", cdrom={"bus": "sata"})
OFF = "the feature gates DeclarativeHotplugVolumes and HotplugVolumes of KubeVirt are off"


@pytest.fixture(autouse=True)
def volumes(direct: Connection, namespace: str, set_status: SetStatus) -> None:
    for name in ("data", "iso", "other"):
        create_volume(direct, namespace, set_status, name)


def enable(direct: Connection, namespace: str, *gates: str) -> None:
    direct.merge(resources.KUBEVIRT, "kubevirt", namespace, kubevirt(*gates), dry_run=False)


def actions(result: dict[str, Any]) -> dict[str, str | None]:
    return {each["name"]: each["action"] for each in result["disks"] if each["action"]}


def test_disks_are_plugged_by_the_template(
    machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    enable(direct, namespace, DECLARATIVE)
    machines.create("web", ROOT_DISK, (DRIVE_DEVICE, None), running=True)
    inserted = {**DRIVE, "data_volume": {"name": "iso"}}
    with controlling(lambda: machines.plug("web")):

        def run(*disks: dict[str, Any], check: bool = False) -> dict[str, Any]:
            wire.requests.clear()
            return module("vm_disks", check=check, name="web", namespace=namespace, disks=list(disks)).result

        predicted = run(DATA, inserted, check=True)
        assert (actions(predicted), wire.writes()) == ({"data": "attached", "drive": "inserted"}, [])
        added = run(DATA, inserted)
        assert (actions(added), added["restart_required"]) == (actions(predicted), [])
        assert [each["phase"] for each in added["disks"]] == ["Ready"] * 3
        assert machines.instance("web")["spec"] == machines.template("web")
        assert machines.volumes("web")[1:] == [
            volume("data", hotpluggable=True),
            volume("drive", "iso", hotpluggable=True),
        ]
        assert not run(DATA, inserted)["changed"]
        swapped = run({**DATA, "data_volume": {"name": "other"}})
        assert (actions(swapped), swapped["restart_required"]) == ({"data": "changed"}, [])
        assert actions(run(DRIVE)) == {"drive": "ejected"}
        assert DRIVE_DEVICE in machines.instance("web")["spec"]["domain"]["devices"]["disks"]
        assert actions(run({"name": "data", "state": "absent"})) == {"data": "detached"}
        assert machines.instance("web")["spec"]["volumes"] == [ROOT_DISK[1]]


def test_disk_stays_after_a_restart_and_the_second_run_is_unchanged(
    machines: Machines, module: RunModule, direct: Connection, namespace: str
) -> None:
    enable(direct, namespace, DECLARATIVE)
    machines.create("web", ROOT_DISK, running=True)
    options: dict[str, Any] = {"name": "web", "namespace": namespace, "disks": [{**DATA, "serial": "Data"}]}
    with controlling(lambda: machines.plug("web")):
        attached = module("vm_disks", **options)
    assert attached.result["changed"] and attached.warnings == [
        f"Disk 'data' of VirtualMachine {namespace}/web has serial='Data', which is 'data' in the guest until the "
        "machine restarts, because it is attached while the machine runs; give it a serial in lower case."
    ]
    machines.stop("web")
    assert not module("vm_disks", **options).result["changed"]
    machines.start("web")
    again = module("vm_disks", **options).result
    assert (again["changed"], again["restart_required"]) == (False, [])


def test_disks_are_plugged_on_request(
    machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    enable(direct, namespace, DECLARATIVE, IMPERATIVE)
    machines.create("web", ROOT_DISK, running=True)
    path = f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/web/"
    wire.answers |= {f"{path}{each}": b"" for each in ("addvolume", "removevolume")}
    seen: list[str] = []

    def plug() -> None:
        requested = [path for method, path in wire.requests if method == "PUT"]
        if requested[len(seen) :]:
            seen.extend(requested[len(seen) :])
            machines.plug("web")

    with controlling(plug):
        added = module("vm_disks", name="web", namespace=namespace, disks=[DATA]).result
        assert (actions(added), added["restart_required"]) == ({"data": "attached"}, [])
        assert wire.count("PUT", "/addvolume") == 1
        assert machines.volumes("web")[1] == volume("data", hotpluggable=True)
        removed = module(
            "vm_disks", name="web", namespace=namespace, disks=[{"name": "data", "state": "absent"}]
        ).result
        assert (actions(removed), wire.count("PUT", "/removevolume")) == ({"data": "detached"}, 1)
    assert machines.instance("web")["spec"]["volumes"] == [ROOT_DISK[1]]


def test_purge_unplugs_what_only_the_instance_has(
    machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    enable(direct, namespace, IMPERATIVE)
    machines.create("web", ROOT_DISK, running=True)
    extra = {
        "volumes": [ROOT_DISK[1], volume("data", hotpluggable=True)],
        "domain": {"devices": {"disks": [ROOT_DISK[0], device("data")]}},
    }
    machines.change("web", resources.VIRTUAL_MACHINE_INSTANCE, spec=extra)
    path = f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/web/removevolume"
    wire.answers[path] = b""
    options: dict[str, Any] = {"name": "web", "namespace": namespace, "disks": [ROOT]}
    assert not module("vm_disks", **options).result["changed"]
    predicted = module("vm_disks", check=True, purge=True, **options).result
    # The dry run of the removal.
    assert (actions(predicted), wire.count("PUT", "/removevolume")) == ({"data": "detached"}, 1)
    wire.requests.clear()
    with controlling(lambda: machines.plug("web") if wire.count("PUT", "/removevolume") else None):
        purged = module("vm_disks", purge=True, **options).result
    assert (actions(purged), purged["restart_required"]) == ({"data": "detached"}, [])
    assert [method for method, _path in wire.writes()] == ["PUT"]
    assert machines.instance("web")["spec"]["volumes"] == [ROOT_DISK[1]]
    assert not module("vm_disks", purge=True, **options).result["changed"]


def test_template_changes_and_a_restart_is_required_without_a_gate(
    machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    machines.create("web", ROOT_DISK, running=True)
    condition = {"type": "RestartRequired", "status": "True", "message": "a non-live-updatable field was changed"}
    options: dict[str, Any] = {"name": "web", "namespace": namespace, "disks": [DATA]}

    def notice() -> None:
        generation = machines.get("web")["metadata"]["generation"]
        if len(machines.volumes("web")) > 1 and not machines.get("web").get("status"):
            status = {"desiredGeneration": generation + 1, "conditions": [condition]}
            machines.change("web", status=status)

    with controlling(notice):
        result = module("vm_disks", **options).result
    assert (actions(result), result["restart_required"]) == ({"data": "attached"}, ["data"])
    assert result["message"] == (
        f"Restart VirtualMachine {namespace}/web to change disk 'data' ({OFF}). KubeVirt's condition RestartRequired "
        "says: a non-live-updatable field was changed."
    )
    assert machines.volumes("web")[1] == volume("data")
    wire.requests.clear()
    again = module("vm_disks", **options).result
    assert (again["changed"], again["restart_required"], len(wire.requests)) == (False, ["data"], 3)
    machines.stop("web")
    machines.start("web")
    assert module("vm_disks", **options).result["restart_required"] == []


def test_reasons_for_a_restart(machines: Machines, module: RunModule, direct: Connection, namespace: str) -> None:
    enable(direct, namespace, DECLARATIVE)
    machines.create("web", ROOT_DISK, (device("fixed"), volume("fixed")), running=True)
    disks = [
        {"name": "root", "data_volume": {"name": "root"}, "bus": "virtio", "boot_order": 1},
        {"name": "fixed", "state": "absent"},
        {**DRIVE, "data_volume": {"name": "iso"}},
        {"name": "data", "data_volume": {"name": "data"}, "bus": "sata"},
        {"name": "scratch", "empty_disk": {"capacity": "1Gi"}, "bus": "virtio"},
    ]
    result = module("vm_disks", name="web", namespace=namespace, disks=disks, wait=False).result
    assert {each["name"]: each["restart_required"] for each in result["disks"]} == {
        "root": "KubeVirt does not change the device of an attached disk",
        "fixed": "it was attached when the machine started, and not as hotpluggable",
        "drive": "a CD-ROM drive cannot be attached while the machine runs",
        "data": "it has bus=sata, and only disks with bus=virtio and bus=scsi can be attached while the machine runs",
        "scratch": "empty_disk cannot be attached while the machine runs, only a claim or a DataVolume can",
    }


def test_wait_says_what_it_waits_for(
    machines: Machines, module: RunModule, direct: Connection, namespace: str, tmp_path: Path
) -> None:
    enable(direct, namespace, DECLARATIVE)
    machines.create("web", ROOT_DISK, running=True)
    pending = {"name": "data", "phase": "Pending", "message": "PVC is in phase ClaimPending", "hotplugVolume": {}}

    def stay() -> None:
        if len(machines.volumes("web")) > 1:
            status = {"volumeStatus": [pending]}
            machines.change("web", resources.VIRTUAL_MACHINE_INSTANCE, status=status)

    log = tmp_path / "progress"
    with controlling(stay):
        ran = module("vm_disks", name="web", namespace=namespace, disks=[DATA], wait_timeout=6, progress_file=str(log))
    reason = "disk 'data' is not attached (Pending: PVC is in phase ClaimPending)"
    assert ran.refusal == (
        f"The disks of running VirtualMachine {namespace}/web are not as declared after 6 s: {reason}."
    )
    assert (ran.result["changed"], actions(ran.result)) == (True, {"data": "attached"})
    assert reason in [json.loads(line).get("reason") for line in log.read_text().splitlines()]


def test_refusal_by_the_controller_ends_the_wait(
    machines: Machines, module: RunModule, direct: Connection, namespace: str
) -> None:
    enable(direct, namespace, DECLARATIVE)
    machines.create("web", ROOT_DISK, running=True)
    message = "Error encountered while handling declarative hotplug volumes: no room"
    status = {"conditions": [{"type": "Failure", "status": "True", "message": message}]}
    machines.change("web", status=status)
    ran = module("vm_disks", name="web", namespace=namespace, disks=[DATA], wait_timeout=120)
    assert ran.refusal == (
        f"The disks of running VirtualMachine {namespace}/web cannot become as declared: KubeVirt refuses it: "
        f"{message}."
    )


def test_volume_of_a_disk_that_cannot_be_detached_is_not_deleted(
    machines: Machines, module: RunModule, wire: Wire, namespace: str
) -> None:
    machines.create("web", (device("data"), volume("data")), running=True)
    disk = {"name": "data", "state": "absent", "delete_volume": True}
    ran = module("vm_disks", name="web", namespace=namespace, disks=[disk])
    assert ran.refusal == (
        f"VirtualMachine {namespace}/web: Disk 'data' cannot be detached while the machine runs (it was attached when "
        f"the machine started, and not as hotpluggable), so DataVolume {namespace}/data cannot be deleted; stop the "
        "machine, or leave delete_volume out."
    )
    assert wire.writes() == []


def test_volume_that_would_be_migrated_is_refused(
    machines: Machines, module: RunModule, wire: Wire, namespace: str
) -> None:
    machines.create("web", (device("data"), volume("data")), running=True, updateVolumesStrategy="Migration")
    disk = {**DATA, "data_volume": {"name": "other"}}
    ran = module("vm_disks", name="web", namespace=namespace, disks=[disk])
    assert "would get another volume, and updateVolumesStrategy of the machine is Migration" in ran.refusal
    assert wire.writes() == []


def test_tenant_who_cannot_read_the_feature_gates_plugs_by_the_answer_of_a_dry_run(
    machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    machines.create("web", ROOT_DISK, running=True)
    kubevirt_io = [("kubevirt.io", kind) for kind in ("virtualmachines", "virtualmachineinstances")]
    cdi = [("cdi.kubevirt.io", kind) for kind in ("datavolumes", "volumeclonesources")]
    allow(direct, namespace, ("", "pods"), ("", "persistentvolumeclaims"), *kubevirt_io, *cdi)
    answer = {"kind": "Status", "code": 400, "reason": "BadRequest", "message": f"VMI {namespace}/web is owned by a VM"}
    wire.fault = (400, {"Content-Type": "application/json"}, json.dumps(answer).encode())
    wire.trouble = lambda method, _path: "fault" if method == "PUT" else ""
    with controlling(lambda: machines.plug("web")):
        result = module("vm_disks", name="web", namespace=namespace, disks=[DATA], token=LIMITED).result
    assert (result.get("msg"), actions(result), result["restart_required"]) == (None, {"data": "attached"}, [])
    assert wire.count("PUT") == 1


def test_role_declares_disks_after_their_volumes(
    machines: Machines, wire: Wire, direct: Connection, namespace: str, tmp_path: Path
) -> None:
    machines.create("web", ROOT_DISK)
    variables = {
        "cdi_namespace": namespace,
        "cdi_host": wire.url,
        "cdi_api_key": ADMIN,
        "cdi_virtual_machine_disks": f"- name: web\n  disks: {json.dumps([DATA])}\n",
    }
    written = write_play(tmp_path, [{"ansible.builtin.import_role": {"name": "kubevirt.cdi.volumes"}}])
    first, second = (play(written, variables=variables) for _run in range(2))
    assert "changed=1" in first.output and "changed=0" in second.output, first.output
    assert first.artifacts["cdi_artifact_restart_required"] == {f"{namespace}/web": []}
    assert machines.volumes("web") == [ROOT_DISK[1], volume("data")]
