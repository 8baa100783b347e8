# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module volume_migration: requests, checks, interruptions, aborts and refusals, with simulated controllers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.api.moving_volumes import Controllers, acting, create_source, nodes
from tests.api.objects import SetStatus, body, fetch, start_pod
from tests.api.virt_controller import Machines, device, volume
from tests.modules import RunModule
from tests.wire import Wire

__all__ = ["nodes"]  # A fixture that each test uses.
DATA = (device("data"), volume("data", "source"))
THICK = {"cdi.kubevirt.io/storage.thick-provisioned": "true"}
BLOCK = {"volume_mode": "Block"}
LISTED = ["virtualmachines", "virtualmachineinstances", "persistentvolumeclaims", "datavolumes"]


@pytest.fixture
def controllers(machines: Machines, direct: Connection, namespace: str, set_status: SetStatus) -> Iterator[Controllers]:
    """A filled volume `source`, and controllers that act until the test ends."""
    create_source(direct, namespace, set_status, "source")
    found = Controllers(machines)
    with acting(found):
        yield found


def run(module: RunModule, namespace: str, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The result of the module for machine web, which must succeed."""
    given = {"namespace": namespace, "machines": ["web"], "wait_timeout": 60, **options}
    result = module("volume_migration", check=check, **given).result
    assert not result.get("failed"), result["msg"]
    return result


def test_running_machine_is_moved_and_the_second_run_takes_four_lists(
    controllers: Controllers, machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    templates = [{"metadata": {"name": "source"}, "spec": {}}]
    machines.create("web", DATA, running=True, dataVolumeTemplates=templates)
    predicted = run(module, namespace, check=True, to=BLOCK)
    assert wire.writes() == []
    moved = run(module, namespace, to=BLOCK)
    (expected,), (found,) = predicted["volumes"], moved["volumes"]
    assert [(each["action"], each["method"], each["target"]) for each in (expected, found)] == [
        ("moved", "live", found["target"])
    ] * 2
    assert (found["state"], found["disk"], found["migration"]["target_node"]) == ("finished", "data", "two")
    assert found["differs"] == ["volume_mode: Filesystem, Block requested"]
    assert moved["diff"][0]["after"] == predicted["diff"][0]["after"] == {"volumes": {"source": found["target"]}}
    spec = machines.get("web")["spec"]
    assert spec["template"]["spec"]["volumes"] == [{"name": "data", "dataVolume": {"name": found["target"]}}]
    assert (spec["updateVolumesStrategy"], spec["dataVolumeTemplates"]) == ("Migration", [])
    target = fetch(direct, resources.DATA_VOLUME, found["target"], namespace)["spec"]
    assert (target["source"], target["storage"]["volumeMode"]) == ({"blank": {}}, "Block")
    assert target["storage"]["resources"]["requests"]["storage"] == "1Gi"

    wire.requests.clear()
    again = run(module, namespace, to=BLOCK)
    assert (again["changed"], again["volumes"][0]["state"]) == (False, "finished")
    assert [path.partition("?")[0].rpartition("/")[2] for _method, path in wire.requests] == LISTED

    gone = run(module, namespace, to=BLOCK, when_done="delete_source")
    assert gone["volumes"][0]["action"] == "source_deleted"
    assert direct.get(resources.DATA_VOLUME, "source", namespace) is None


def test_move_goes_on_in_the_next_run(
    controllers: Controllers, machines: Machines, module: RunModule, namespace: str
) -> None:
    machines.create("web", DATA, running=True)
    controllers.moves = False
    begun = run(module, namespace, to=BLOCK, state="present")
    assert (begun["changed"], begun["volumes"][0]["state"]) == (True, "started")
    late = module("volume_migration", namespace=namespace, machines=["web"], to=BLOCK, wait_timeout=6)
    assert "are not moved after 6 s: KubeVirt schedules the migration; the move goes on" in late.refusal
    assert late.result["volumes"][0]["state"] == "started"
    controllers.moves = True
    ended = run(module, namespace, to=BLOCK)
    assert (ended["changed"], ended["volumes"][0]["state"]) == (False, "finished")


def test_aborted_move_leaves_the_machine_as_it_was(
    controllers: Controllers, machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    machines.create("web", DATA, running=True)
    before = machines.template("web")
    controllers.moves = False
    (begun,) = run(module, namespace, to=BLOCK, state="present")["volumes"]
    wire.requests.clear()
    (predicted,) = run(module, namespace, check=True, state="aborted")["volumes"]
    assert (predicted["action"], wire.writes()) == ("aborted", [])
    (aborted,) = run(module, namespace, state="aborted")["volumes"]
    assert (aborted["action"], aborted["state"], aborted["target"]) == ("aborted", "aborted", "source")
    assert machines.template("web") == before == machines.instance("web")["spec"]
    assert direct.get(resources.DATA_VOLUME, begun["target"], namespace) is None
    assert not run(module, namespace, state="aborted")["changed"]


def test_machine_that_ended_in_the_middle_goes_back_to_its_source(
    controllers: Controllers, machines: Machines, module: RunModule, direct: Connection, namespace: str
) -> None:
    machines.create("web", DATA, running=True)
    controllers.moves = False
    (begun,) = run(module, namespace, to=BLOCK, state="present")["volumes"]
    machines.stop("web")
    condition = {"type": "ManualRecoveryRequired", "status": "True"}
    machines.change("web", status={"conditions": [condition]})
    refused = module("volume_migration", namespace=namespace, machines=["web"], to=BLOCK)
    assert f"ended while disk 'data' was moved, and its template names '{begun['target']}'" in refused.refusal
    assert refused.result["volumes"][0]["state"] == "interrupted"
    run(module, namespace, state="aborted")
    machines.change("web", status={"conditions": []})
    assert machines.volumes("web") == [DATA[1]]
    assert direct.get(resources.DATA_VOLUME, begun["target"], namespace) is None


def test_change_that_kubevirt_refuses_is_taken_back(
    controllers: Controllers, machines: Machines, module: RunModule, namespace: str
) -> None:
    machines.create("web", DATA, running=True)
    controllers.refuses = True
    refused = module("volume_migration", namespace=namespace, machines=["web"], to=BLOCK, wait_timeout=60)
    assert "cannot be moved: KubeVirt refuses the change: invalid volumes. Its template names" in refused.refusal
    assert machines.volumes("web") == [DATA[1]]


def test_move_into_full_storage_names_the_remedy_and_goes_on_when_there_is_room(
    controllers: Controllers, machines: Machines, module: RunModule, namespace: str
) -> None:
    machines.create("web", DATA, running=True)
    controllers.fails = "migration of disk vda failed: No space left on device"
    full = module("volume_migration", namespace=namespace, machines=["web"], to=BLOCK, wait_timeout=60)
    (volume,) = full.result["volumes"]
    assert f"the storage of volume '{volume['target']}' has no space left ({controllers.fails})" in full.refusal
    assert "make room, and run the task again, or run it with state=aborted" in full.refusal
    assert volume["state"] == "started"
    controllers.fails = ""
    assert run(module, namespace, to=BLOCK)["volumes"][0]["state"] == "finished"


def test_trap_of_preallocation_is_seen_before_a_write(
    controllers: Controllers, machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    machines.create("web", DATA, running=True)
    to = {"preallocation": True}
    refused = module("volume_migration", namespace=namespace, machines=["web"], to=to)
    assert "lacked the annotation" in refused.refusal and wire.writes() == []
    machines.stop("web")
    annotations = {"metadata": {"annotations": THICK}}
    direct.merge(resources.PERSISTENT_VOLUME_CLAIM, "source", namespace, annotations, dry_run=False)
    machines.start("web")
    machines.change(
        "web",
        resources.VIRTUAL_MACHINE_INSTANCE,
        status={
            "phaseTransitionTimestamps": [{"phase": "Scheduled", "phaseTransitionTimestamp": "2099-01-01T00:00:00Z"}]
        },
    )
    (found,) = run(module, namespace, to=to)["volumes"]
    assert (found["state"], found["allocation"]["allocated_bytes"]) == ("finished", None)
    assert fetch(direct, resources.DATA_VOLUME, found["target"], namespace)["spec"]["preallocation"] is True


def test_stopped_machine_gets_a_copy(
    controllers: Controllers, machines: Machines, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    machines.create("web", DATA)
    to = {"preallocation": True}
    (found,) = run(module, namespace, to=to, when_done="delete_source")["volumes"]
    assert (found["method"], found["action"], found["reason"]) == (
        "offline",
        "source_deleted",
        "the machine is off, so CDI copies it",
    )
    target = fetch(direct, resources.DATA_VOLUME, found["target"], namespace)
    assert target["spec"]["source"] == {"pvc": {"name": "source", "namespace": namespace}}
    assert target["metadata"]["annotations"]["cdi.kubevirt.io/cloneType"] == "copy"
    spec = machines.get("web")["spec"]
    assert spec["template"]["spec"]["volumes"] == [{"name": "data", "dataVolume": {"name": found["target"]}}]
    assert "updateVolumesStrategy" not in spec
    assert not run(module, namespace, to=to, when_done="delete_source")["changed"]


def test_copy_of_an_earlier_run_is_made_again(
    controllers: Controllers, machines: Machines, module: RunModule, direct: Connection, namespace: str
) -> None:
    """The machine may have written since."""
    machines.create("web", DATA)
    (name,) = [each["target"] for each in run(module, namespace, check=True, to=BLOCK)["volumes"]]
    source = {"pvc": {"name": "source", "namespace": namespace}}
    metadata = {"annotations": {"kubevirt.cdi/moved-from": "source"}}
    spec = {"source": source, "storage": {"volumeMode": "Block", "storageClassName": "thin"}}
    old = body(resources.DATA_VOLUME, name, metadata=metadata, spec=spec)
    uid = direct.create(resources.DATA_VOLUME, old, namespace, dry_run=False)["metadata"]["uid"]
    assert run(module, namespace, to=BLOCK)["volumes"][0]["target"] == name
    assert fetch(direct, resources.DATA_VOLUME, name, namespace)["metadata"]["uid"] != uid


def test_volume_without_a_machine_is_copied(
    controllers: Controllers, module: RunModule, direct: Connection, namespace: str
) -> None:
    options: dict[str, Any] = {"machines": None, "names": ["source"], "to": BLOCK}
    (found,) = run(module, namespace, **options)["volumes"]
    assert (found["machine"], found["method"], found["state"]) == (None, "offline", "finished")
    assert fetch(direct, resources.PERSISTENT_VOLUME_CLAIM, "source", namespace)
    assert not run(module, namespace, **options)["changed"]


def test_volume_in_use_by_a_pod_is_refused_before_a_write(
    controllers: Controllers, module: RunModule, wire: Wire, direct: Connection, namespace: str
) -> None:
    start_pod(direct, namespace, claim="source")
    refused = module("volume_migration", namespace=namespace, names=["source"], to=BLOCK)
    assert f"is also in use by pod {namespace}/app; end that use" in refused.refusal
    assert wire.writes() == []


def test_machines_are_moved_side_by_side_and_report_each(
    controllers: Controllers,
    machines: Machines,
    module: RunModule,
    direct: Connection,
    namespace: str,
    set_status: SetStatus,
) -> None:
    """Ten machines with two disks each, of which one cannot be moved."""
    for number in range(10):
        disks = []
        for disk in ("root", "data"):
            create_source(direct, namespace, set_status, f"{disk}-{number}")
            more = {"shareable": True} if number == 7 else {}
            disks.append((device(disk, **more), volume(disk, f"{disk}-{number}")))
        machines.create(f"web-{number}", *disks, metadata={"labels": {"tier": "web"}}, running=True)
    ran = module(
        "volume_migration", namespace=namespace, label_selectors=["tier=web"], to=BLOCK, parallel=2, wait_timeout=300
    )
    assert "Disk 'root' is shareable" in ran.refusal
    found = ran.result["volumes"]
    assert [each["state"] for each in found] == ["finished"] * 14 + ["needed"] * 2 + ["finished"] * 4
    assert len({each["target"] for each in found}) == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"machines": ["none"], "to": BLOCK}, "VirtualMachine {}/none does not exist; correct its name."),
        ({"names": ["source"], "to": {}}, "to is empty, so that nothing would change"),
        ({"names": ["source"]}, "state is finished but all of the following are missing: to"),
        ({"names": ["source"], "to": BLOCK, "parallel": 0}, "parallel is 0; set it to 1 or more."),
        ({"names": ["source"], "to": {"storage_class_name": "none"}}, "storage class 'none'"),
        ({"to": BLOCK}, "one of the following is required: names, machines, label_selectors"),
    ],
)
def test_mistake_is_refused(
    controllers: Controllers, module: RunModule, wire: Wire, namespace: str, options: dict[str, Any], message: str
) -> None:
    assert message.format(namespace) in module("volume_migration", namespace=namespace, **options).refusal
    assert wire.writes() == []
