# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.users import (
    Consumers,
    Machine,
    PodUser,
    Users,
    user_facts,
    users_of,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    POD,
    VIRTUAL_MACHINE,
    VOLUME_CLONE_SOURCE,
)

KEY = ("demo", "disk")
UNUSED = Users()


def claim(name: str = "disk") -> dict[str, Any]:
    return {"name": "data", "persistentVolumeClaim": {"claimName": name}}


def pod(
    name: str = "app",
    *volumes: dict[str, Any],
    phase: str = "Running",
    namespace: str = "demo",
    owner: Any = None,
    cdi: str = "",
    **more: Any,
) -> Any:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, **more}
    if owner:
        metadata["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    if cdi:
        metadata["labels"] = {"app": "containerized-data-importer", "cdi.kubevirt.io": cdi}
    return {"metadata": metadata, "spec": {"volumes": list(volumes or [claim()])}, "status": {"phase": phase}}


def machine(
    name: str, *volumes: dict[str, Any], templates: tuple[str, ...] = (), status: Any = None, **metadata: Any
) -> Any:
    spec = {
        "template": {"spec": {"volumes": list(volumes)}},
        "dataVolumeTemplates": [{"metadata": {"name": each}} for each in templates],
    }
    return {"metadata": {"name": name, "namespace": "demo", **metadata}, "spec": spec, "status": status or {}}


def clone_source(
    name: str = "disk", kind: str = "PersistentVolumeClaim", owner: str = "copy", owned_by: str = "", **metadata: Any
) -> Any:
    metadata = {"name": "volume-clone-source-1", "namespace": "demo", **metadata}
    if owner:
        metadata["ownerReferences"] = [{"kind": "DataVolume", "name": owner, "controller": True}]
    if owned_by:
        metadata["annotations"] = {"cdi.kubevirt.io/ownedByDataVolume": owned_by}
    return {"metadata": metadata, "spec": {"source": {"kind": kind, "name": name}}}


LAUNCHER = pod("virt-launcher-vm-x", owner=("VirtualMachineInstance", "vm"))
OTHER_LAUNCHER = pod("virt-launcher-vm-x", claim("root"), owner=("VirtualMachineInstance", "vm"))
HOTPLUG = pod("hp-volume-abc", owner=("Pod", "virt-launcher-vm-x"))


@pytest.mark.parametrize(
    ("seen", "users"),
    [
        pytest.param(Consumers([pod()]), Users((PodUser("demo", "app"),)), id="pod"),
        pytest.param(
            Consumers([pod(phase="Pending")]), Users((PodUser("demo", "app"),)), id="pod that is not scheduled yet"
        ),
        pytest.param(
            Consumers([pod(deletionTimestamp="2026-01-01T00:00:00Z")]),
            Users((PodUser("demo", "app"),)),
            id="pod that ends",
        ),
        pytest.param(Consumers([pod(phase="Succeeded"), pod(phase="Failed")]), UNUSED, id="pods that have ended"),
        pytest.param(Consumers([pod(namespace="other")]), UNUSED, id="pod of another namespace"),
        pytest.param(
            Consumers([pod("app", claim("other"), {"name": "tmp", "emptyDir": {}})]),
            UNUSED,
            id="pod with another claim",
        ),
        pytest.param(
            Consumers([pod("di", {"name": "sk", "ephemeral": {"volumeClaimTemplate": {}}})]),
            UNUSED,
            id="ephemeral claim of another name",
        ),
        *(
            pytest.param(Consumers([pod("x", cdi=part)]), UNUSED, id=f"CDI's own {part}")
            for part in ("importer", "cdi-upload-server", "cdi-populator-prep")
        ),
        pytest.param(
            Consumers([pod("importer-x", labels={"cdi.kubevirt.io": "importer"})]),
            Users((PodUser("demo", "importer-x"),)),
            id="only called like CDI's",
        ),
        pytest.param(
            Consumers([pod("size-detection-1", cdi="importer")]),
            Users((PodUser("demo", "size-detection-1"),)),
            id="CDI measures a clone's source",
        ),
        pytest.param(
            Consumers([pod("1-source-pod", cdi="cdi-clone-source")]),
            Users((PodUser("demo", "1-source-pod"),)),
            id="copied without a populator",
        ),
        pytest.param(
            Consumers([pod("1-source-pod", cdi="cdi-clone-source")], [], [clone_source()]),
            Users(clones=("demo/copy",)),
            id="copied by a populator",
        ),
        pytest.param(
            Consumers([], [], [clone_source(owner="", owned_by="far/copy")]),
            Users(clones=("far/copy",)),
            id="cloned into another namespace",
        ),
        pytest.param(Consumers([], [], [clone_source(owner="")]), UNUSED, id="a clone source that a user made"),
        pytest.param(
            Consumers([], [], [clone_source(kind="VolumeSnapshot")]), UNUSED, id="a snapshot of the same name is cloned"
        ),
        pytest.param(
            Consumers([], [], [clone_source(namespace="other")]), UNUSED, id="a claim of another namespace is cloned"
        ),
        pytest.param(Consumers([], [], [clone_source(owner="leaves")]), UNUSED, id="the clone is also removed"),
        pytest.param(
            Consumers([LAUNCHER], [machine("vm", {"name": "d", "dataVolume": {"name": "disk"}})]),
            Users((PodUser("demo", "virt-launcher-vm-x", Machine("VirtualMachine", "demo", "vm")),)),
            id="running machine",
        ),
        pytest.param(
            Consumers([LAUNCHER]),
            Users((PodUser("demo", "virt-launcher-vm-x", Machine("VirtualMachineInstance", "demo", "vm")),)),
            id="instance without a machine",
        ),
        pytest.param(
            Consumers([HOTPLUG, OTHER_LAUNCHER], [machine("vm")]),
            Users((PodUser("demo", "hp-volume-abc", Machine("VirtualMachine", "demo", "vm")),)),
            id="hotplugged into a running machine",
        ),
        pytest.param(
            Consumers([HOTPLUG]), Users((PodUser("demo", "hp-volume-abc"),)), id="attachment whose launcher has gone"
        ),
        *(
            pytest.param(Consumers([], [named]), Users(machines=(Machine("VirtualMachine", "demo", "off"),)), id=what)
            for what, named in {
                "stopped machine with the DataVolume": machine("off", {"name": "d", "dataVolume": {"name": "disk"}}),
                "stopped machine with the claim": machine("off", claim()),
                "stopped machine over the claim": machine(
                    "off", {"name": "d", "ephemeral": {"persistentVolumeClaim": {"claimName": "disk"}}}
                ),
                "stopped machine that made it": machine("off", templates=("disk",)),
                "machine to which it will be attached": machine(
                    "off",
                    status={
                        "volumeRequests": [{"addVolumeOptions": {"volumeSource": {"dataVolume": {"name": "disk"}}}}]
                    },
                ),
            }.items()
        ),
        pytest.param(
            Consumers([], [machine("off", claim("other"), templates=("else",))]),
            UNUSED,
            id="machine with another claim",
        ),
        pytest.param(
            Consumers([], [machine("off", claim(), deletionTimestamp="2026-01-01T00:00:00Z")]),
            UNUSED,
            id="machine that goes",
        ),
    ],
)
def test_users_are_pods_machines_and_clones_without_what_fills_the_claim(seen: Consumers, users: Users) -> None:
    assert users_of(KEY, seen, {("demo", "leaves")}) == users


APP = {"name": "app", "machine": None}
ROOT = {"name": "d", "dataVolume": {"name": "disk"}}


def facts_of(in_use: bool | None = True, **more: Any) -> dict[str, Any]:
    return {"in_use": in_use, "pods": [], "virtual_machines": [], "clones": [], **more}


@pytest.mark.parametrize(
    ("seen", "facts"),
    [
        pytest.param(Consumers(), facts_of(False), id="unused"),
        pytest.param(Consumers([pod("b"), pod()]), facts_of(pods=[APP, {**APP, "name": "b"}]), id="pods by name"),
        pytest.param(
            Consumers([pod("x", cdi="importer")], [machine("vm", claim("other"))]), facts_of(False), id="only a filler"
        ),
        pytest.param(
            Consumers([LAUNCHER], [machine("vm", ROOT), machine("off", claim())]),
            facts_of(
                pods=[{"name": "virt-launcher-vm-x", "machine": "VirtualMachine/vm"}],
                virtual_machines=[{"name": "off", "running": False}, {"name": "vm", "running": True}],
            ),
            id="one volume by the names of its DataVolume and its claim",
        ),
        pytest.param(
            Consumers([LAUNCHER], [machine("vm", templates=("disk",))]),
            facts_of(
                pods=[{"name": "virt-launcher-vm-x", "machine": "VirtualMachine/vm"}],
                virtual_machines=[{"name": "vm", "running": True}],
            ),
            id="of dataVolumeTemplates, running",
        ),
        pytest.param(
            Consumers([], [machine("vm", templates=("disk",))]),
            facts_of(virtual_machines=[{"name": "vm", "running": False}]),
            id="of dataVolumeTemplates, stopped",
        ),
        pytest.param(
            Consumers([HOTPLUG, OTHER_LAUNCHER], [machine("vm")]),
            facts_of(
                pods=[{"name": "hp-volume-abc", "machine": "VirtualMachine/vm"}],
                virtual_machines=[{"name": "vm", "running": True}],
            ),
            id="hotplugged",
        ),
        pytest.param(
            Consumers([OTHER_LAUNCHER], [machine("vm", ROOT)]),
            facts_of(virtual_machines=[{"name": "vm", "running": True}]),
            id="running, and attached at its next start",
        ),
        pytest.param(
            Consumers(
                [
                    pod("virt-launcher-vm-x", claim("root"), phase="Succeeded", owner=("VirtualMachineInstance", "vm")),
                    pod("virt-launcher-vm-y", namespace="other", owner=("VirtualMachineInstance", "vm")),
                ],
                [machine("vm", ROOT)],
            ),
            facts_of(virtual_machines=[{"name": "vm", "running": False}]),
            id="stopped, with its last pod and a namesake that runs",
        ),
        pytest.param(
            Consumers([LAUNCHER]),
            facts_of(pods=[{"name": "virt-launcher-vm-x", "machine": "VirtualMachineInstance/vm"}]),
            id="instance without a machine",
        ),
        pytest.param(
            Consumers([], [], [clone_source(), clone_source(owner="", owned_by="far/copy")]),
            facts_of(clones=["demo/copy", "far/copy"]),
            id="clones",
        ),
        pytest.param(
            Consumers([pod("1-source-pod", cdi="cdi-clone-source")], [], [clone_source()]),
            facts_of(clones=["demo/copy"]),
            id="clone by a pod",
        ),
        pytest.param(
            Consumers(unseen={VIRTUAL_MACHINE}),
            facts_of(None, virtual_machines=None),
            id="unknown machines",
        ),
        pytest.param(Consumers(unseen={VOLUME_CLONE_SOURCE}), facts_of(None, clones=None), id="unknown clones"),
        pytest.param(
            Consumers([pod()], unseen={VIRTUAL_MACHINE, VOLUME_CLONE_SOURCE}),
            facts_of(pods=[APP], virtual_machines=None, clones=None),
            id="a pod, and unknown others",
        ),
        pytest.param(
            Consumers([], [machine("vm", ROOT)], unseen={POD}),
            facts_of(pods=None, virtual_machines=[{"name": "vm", "running": None}]),
            id="a machine, and unknown pods",
        ),
        pytest.param(
            Consumers(unseen={POD, VIRTUAL_MACHINE, VOLUME_CLONE_SOURCE}),
            {"in_use": None, "pods": None, "virtual_machines": None, "clones": None},
            id="nothing is known",
        ),
    ],
)
def test_facts_have_all_users_and_are_null_where_these_are_unknown(seen: Consumers, facts: Any) -> None:
    assert user_facts(KEY, seen) == facts


def test_an_ephemeral_claim_is_used_by_its_pod() -> None:
    made_for = pod("app", {"name": "cache", "ephemeral": {"volumeClaimTemplate": {}}})
    assert users_of(("demo", "app-cache"), Consumers([made_for])).pods == (PodUser("demo", "app"),)


@pytest.mark.parametrize(
    ("users", "sentence", "remedy"),
    [
        (Users((PodUser("demo", "app"),)), "pod demo/app", "delete pod demo/app"),
        (
            Users((PodUser("demo", "app"), PodUser("demo", "launcher", Machine("VirtualMachine", "demo", "vm")))),
            "pod demo/app, VirtualMachine demo/vm (pod demo/launcher)",
            "delete pod demo/app and stop VirtualMachine demo/vm",
        ),
        (
            Users(machines=(Machine("VirtualMachine", "demo", "off"),)),
            "VirtualMachine demo/off (in its template)",
            "remove the volume from VirtualMachine demo/off",
        ),
        (Users(clones=("far/copy",)), "the clone to DataVolume far/copy", "wait for DataVolume far/copy"),
        (
            Users(tuple(PodUser("demo", name) for name in "abcde")),
            "pod demo/a, pod demo/b, pod demo/c, 2 more",
            "delete pod demo/a and delete pod demo/b and delete pod demo/c and 2 more",
        ),
    ],
)
def test_users_have_a_sentence_and_a_remedy(users: Users, sentence: str, remedy: str) -> None:
    assert (users.sentence, users.remedy) == (sentence, remedy)
