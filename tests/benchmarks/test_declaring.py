# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cost of declaring DataVolumes and disks of machines, compared with loops of the modules of kubernetes.core and
kubevirt.core on the same API server."""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    NAMESPACE,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_INSTANCE,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rendering import render
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked

from tests.api.objects import custom_resource
from tests.api.virt_controller import Machines
from tests.benchmarks.measure import Cost, cost_of, play
from tests.benchmarks.peers import peer_collections
from tests.wire import Wire, counting_proxy

TOKEN = "test-admin-token"
FASTER_AT_LEAST = 20
PEAK_MIB_AT_1000 = 160
MANY = 100
MACHINES = 50
TASKS, ROUNDS = 20, 5
SLOWER_THAN_PING_AT_MOST = 1.6


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with counting_proxy(os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]) as record:
        yield record


@pytest.fixture
def namespace() -> Iterator[str]:
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    direct.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run=False)
    yield name
    # No controller of this cluster empties a namespace, and other tests count all volumes.
    for volume in direct.list(DATA_VOLUME, name)[0]:
        direct.delete(DATA_VOLUME, volume["metadata"]["name"], name, dry_run=False)
    direct.delete(NAMESPACE, name, dry_run=False)


@pytest.fixture
def kubevirt(namespace: str) -> Iterator[Machines]:
    """KubeVirt's kinds, without KubeVirt."""
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    with custom_resource(direct, VIRTUAL_MACHINE), custom_resource(direct, VIRTUAL_MACHINE_INSTANCE):
        yield Machines(direct, namespace)


def _volumes(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"disk-{number}", "source": {"blank": {}}, "storage": {"size": "1Gi"}, "labels": {"app": "benchmark"}}
        for number in range(count)
    ]


def _declare(wire: Wire, namespace: str, volumes: list[dict[str, Any]]) -> tuple[Cost, dict[str, Any]]:
    """The cost and the result of one process of the module."""
    wire.requests.clear()
    options = {"host": wire.url, "api_key": TOKEN, "namespace": namespace, "data_volumes": volumes, "wait": False}
    cost = cost_of(
        [sys.executable, "-m", "ansible_collections.kubevirt.cdi.plugins.modules.data_volume"],
        given=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
    )
    return cost, json.loads(cost.output)


def _requests(wire: Wire) -> str:
    methods = [method for method, _path in wire.requests]
    each = ", ".join(f"{methods.count(method)} {method}" for method in sorted(set(methods)))
    return f"{len(methods)} requests ({each}; {len(wire.discoveries())} for discovery)"


def test_unchanged_volume_costs_one_get(wire: Wire, namespace: str, figure: Callable[..., None]) -> None:
    _declare(wire, namespace, _volumes(1))
    cost, result = _declare(wire, namespace, _volumes(1))
    assert not result["changed"] and [method for method, _path in wire.requests] == ["GET"]
    figure("1 unchanged DataVolume", "kubevirt.cdi.data_volume", f"{cost.seconds:.2f} s", _requests(wire))


def test_twenty_unchanged_tasks_take_little_longer_than_twenty_pings(
    wire: Wire, namespace: str, figure: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both plays alternate, so that other load affects both. The best run of each counts.

    The tasks give all connection options, so that no kubeconfig is read.
    """
    monkeypatch.delenv("K8S_AUTH_KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBECONFIG")
    _declare(wire, namespace, _volumes(1))
    options = {"host": wire.url, "api_key": TOKEN, "namespace": namespace, "wait": False, **_volumes(1)[0]}
    tasks: dict[str, dict[str, Any]] = {
        "ping": {"ansible.builtin.ping": {}},
        "ours": {"kubevirt.cdi.data_volume": options},
    }
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _round in range(ROUNDS):
        for name, task in tasks.items():
            wire.requests.clear()
            cost = play(tmp_path, [task] * TASKS)
            seconds[name].append(cost.seconds)
            assert _changed(cost) == 0 and len(wire.requests) == (TASKS if name == "ours" else 0)
    ratio = min(seconds["ours"]) / min(seconds["ping"])
    figure(f"{TASKS} tasks, unchanged", "kubevirt.cdi.data_volume", f"{min(seconds['ours']):.1f} s", _requests(wire))
    figure("", "ansible.builtin.ping", f"{min(seconds['ping']):.1f} s", f"{ratio:.2f} times the time")
    assert ratio <= SLOWER_THAN_PING_AT_MOST


def test_hundred_unchanged_volumes_cost_three_requests_and_a_twentieth_of_a_loop(
    wire: Wire, namespace: str, figure: Callable[..., None], tmp_path: Path
) -> None:
    volumes = _volumes(MANY)
    _declare(wire, namespace, volumes)
    connection = {"host": wire.url, "api_key": TOKEN}
    ours_options = {**connection, "namespace": namespace, "data_volumes": "{{ volumes }}", "wait": False}
    wire.requests.clear()
    ours = play(tmp_path, [{"kubevirt.cdi.data_volume": ours_options}], volumes=volumes)
    assert _changed(ours) == 0 and len(wire.requests) <= 3 and not wire.discoveries()
    figure(f"{MANY} unchanged DataVolumes", "kubevirt.cdi.data_volume", f"{ours.seconds:.1f} s", _requests(wire))

    definition = {
        "apiVersion": "cdi.kubevirt.io/v1beta1",
        "kind": "DataVolume",
        "metadata": {"name": "{{ item.name }}", "namespace": namespace, "labels": "{{ item.labels }}"},
        "spec": {"source": "{{ item.source }}", "storage": {"resources": {"requests": {"storage": "1Gi"}}}},
    }
    theirs_options = {**connection, "state": "present", "definition": definition}
    task = {"kubernetes.core.k8s": theirs_options, "loop": "{{ volumes }}"}
    wire.requests.clear()
    theirs = play(tmp_path, [task], collections=peer_collections(), volumes=volumes)
    assert _changed(theirs) == 0 and len(wire.requests) >= MANY
    ratio = theirs.seconds / ours.seconds
    figure("", "loop of kubernetes.core.k8s", f"{theirs.seconds:.1f} s", _requests(wire))
    figure("", "", f"{ratio:.0f} times the time")
    assert ratio >= FASTER_AT_LEAST


def test_fifty_unchanged_machines_cost_three_requests_and_a_twentieth_of_a_loop(
    kubevirt: Machines, wire: Wire, namespace: str, figure: Callable[..., None], tmp_path: Path
) -> None:
    """Both declare the same disks of machines that exist."""
    machines = []
    for number in range(MACHINES):
        disks: list[dict[str, Any]] = [
            {"name": "root", "bus": "virtio", "boot_order": 1, "data_volume": {"name": f"root-{number}"}},
            {"name": "data", "bus": "virtio", "serial": "data", "persistent_volume_claim": {"claim_name": "data"}},
            {"name": "scratch", "bus": "scsi", "cache": "none", "empty_disk": {"capacity": "1Gi"}},
            {"name": "init", "type": "cdrom", "bus": "sata", "cloud_init_no_cloud": {"user_data": "#cloud-config"}},
        ]
        machines.append({"name": f"machine-{number}", "disks": disks})
    rendered = [render(checked(machine["disks"], {}))["template"]["spec"] for machine in machines]
    for machine, template in zip(machines, rendered, strict=True):
        pairs = zip(template["domain"]["devices"]["disks"], template["volumes"], strict=True)
        kubevirt.create(str(machine["name"]), *pairs, runStrategy="Always")
    connection = {"host": wire.url, "api_key": TOKEN}
    options = {**connection, "namespace": namespace, "machines": "{{ machines }}"}
    wire.requests.clear()
    ours = play(tmp_path, [{"kubevirt.cdi.vm_disks": options}], machines=machines)
    assert _changed(ours) == 0 and len(wire.requests) <= 3 and not wire.discoveries()
    title = f"{MACHINES} unchanged machines with 4 disks"
    figure(title, "kubevirt.cdi.vm_disks", f"{ours.seconds:.1f} s", _requests(wire))

    item = {"name": "{{ item.0.name }}", "namespace": namespace, "run_strategy": "Always", "spec": "{{ item.1 }}"}
    task = {"kubevirt.core.kubevirt_vm": {**connection, **item}, "loop": "{{ machines | zip(rendered) }}"}
    wire.requests.clear()
    theirs = play(tmp_path, [task], collections=peer_collections(), machines=machines, rendered=rendered)
    assert _changed(theirs) == 0 and len(wire.requests) >= MACHINES
    ratio = theirs.seconds / ours.seconds
    figure("", "loop of kubevirt.core.kubevirt_vm", f"{theirs.seconds:.1f} s", _requests(wire))
    figure("", "", f"{ratio:.0f} times the time")
    assert ratio >= FASTER_AT_LEAST


def test_thousand_volumes_cost_one_write_each_and_little_memory(
    wire: Wire, namespace: str, figure: Callable[..., None]
) -> None:
    volumes = _volumes(1000)
    made, result = _declare(wire, namespace, volumes)
    assert sum(item["changed"] for item in result["data_volumes"]) == 1000
    assert len(wire.writes()) == 1000 and not wire.discoveries()
    figure("1,000 new DataVolumes", "kubevirt.cdi.data_volume", *_shown(made, wire))
    again, result = _declare(wire, namespace, volumes)
    assert not result["changed"] and wire.writes() == []
    figure("1,000 unchanged DataVolumes", "kubevirt.cdi.data_volume", *_shown(again, wire))
    assert max(made.peak_mib, again.peak_mib) <= PEAK_MIB_AT_1000


def _shown(cost: Cost, wire: Wire) -> tuple[str, ...]:
    return f"{cost.seconds:.1f} s", _requests(wire), f"peak {cost.peak_mib:.0f} MiB"


def _changed(cost: Cost) -> int:
    """The number of tasks that changed something, from the recap."""
    (count,) = re.findall(r"changed=(\d+)", cost.output)
    return int(count)
