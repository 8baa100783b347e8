# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of one instance that is posted while its volume is imported, in the guest and in the domain of libvirt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CONFIG_MAP,
    DATA_VOLUME,
    SECRET,
)

from tests.cluster.runtime.fixtures_registry import CONTAINER_DISK
from tests.modules import run_on_cluster
from tests.real.objects import create, existing, new_namespace
from tests.vm.guest import Guest, Report, beginning
from tests.vm_disks.spec import Entry

HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
IMAGES = Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"])
IMAGE = f"{os.environ['KUBEVIRT_CDI_TEST_REGISTRY']}/{':'.join(CONTAINER_DISK)}"
USER_DATA = "#cloud-config\nhostname: drive\n"
NETWORK_DATA = "version: 2\n"
STORAGE: Entry = {"size": "64Mi"}
CPUS = 2


def disk(name: str, serial: str, **volume: Any) -> Entry:
    return {"name": name, "bus": "virtio", "serial": serial, **volume}


DISKS: list[Entry] = [
    disk("late", "SUM1", data_volume={"name": "late"}, cache="none"),
    disk("image", "SUM2", container_disk={"image": IMAGE}, cache="writethrough"),
    disk("registry", "SUM3", persistent_volume_claim={"claim_name": "registry"}, cache="writeback"),
    disk("thin", "THIN", data_volume={"name": "thin"}),
    disk("thick", "THICK", data_volume={"name": "thick"}),
    disk(
        "drive",
        "DRIVE",
        cloud_init_config_drive={"secret_ref": {"name": "init"}, "network_data_secret_ref": {"name": "init"}},
    ),
    disk("settings", "SETTINGS", config_map={"name": "settings"}),
    disk("keys", "KEYS", secret={"secret_name": "keys"}),
    disk("account", "ACCOUNT", service_account={"service_account_name": "default"}),
    disk(
        "host",
        "HOST",
        host_disk={"path": "/var/lib/kubevirt-cdi-test/host.img", "type": "DiskOrCreate", "capacity": "16Mi"},
    ),
    {"name": "metrics", "bus": "virtio", "downward_metrics": {}},
]
OPTIONS: Entry = {"block_multi_queue": True, "cpus": CPUS}


class Seen(NamedTuple):
    """`early` has the phases of the instance while its volume was not filled, and `left` that volume afterwards."""

    early: set[str]
    report: Report
    sums: dict[str, str]
    domain: ElementTree.Element
    left: str


@pytest.fixture(scope="module")
def seen(connection: Connection) -> Iterator[Seen]:
    """The instance is posted while its volume is imported, runs, and is deleted."""
    with new_namespace(connection) as namespace:
        create(connection, SECRET, "init", namespace, stringData={"userdata": USER_DATA, "networkdata": NETWORK_DATA})
        create(connection, SECRET, "keys", namespace, stringData={"key": "value of the secret"})
        create(connection, CONFIG_MAP, "settings", namespace, data={"setting": "value of the map"})
        volumes: list[Entry] = [
            {"name": "registry", "source": {"registry": {"url": f"docker://{IMAGE}", "pull_method": "node"}}},
            {"name": "thin", "source": {"blank": {}}, "preallocation": False},
            {"name": "thick", "source": {"blank": {}}, "preallocation": True},
        ]
        _declare(namespace, volumes, wait_timeout=900)
        _declare(namespace, [{"name": "late", "source": {"http": {"url": f"{HTTP}/slow/disk.qcow2"}}}], wait=False)
        guest = Guest(connection, namespace, "instance")
        guest.create_instance(DISKS, OPTIONS, cpu={"cores": CPUS})
        early = _phases_before_import(guest)
        report = guest.report("SUM1", "SUM2", "SUM3", "DRIVE", "SETTINGS", "KEYS", "ACCOUNT", "HOST")
        sums, domain = guest.sums(), guest.domain()
        guest.delete()
        left = existing(connection, DATA_VOLUME, "late", namespace)["status"]["phase"]
        yield Seen(early, report, sums, domain, left)


def _declare(namespace: str, volumes: list[Entry], **options: Any) -> None:
    declared = [{"storage": STORAGE, **volume} for volume in volumes]
    result = run_on_cluster("data_volume", namespace=namespace, data_volumes=declared, **options).result
    assert not result.get("failed"), result["msg"]


def _phases_before_import(guest: Guest) -> set[str]:
    phases = set()

    def filled() -> bool:
        phase = guest.phase()
        # Read after the instance: what is not filled now was not filled then.
        volume = existing(guest.connection, DATA_VOLUME, "late", guest.namespace)
        if volume.get("status", {}).get("phase") == "Succeeded":
            return True
        phases.add(phase)
        return False

    guest.until(filled, "waits for its volume, which is not filled")
    return phases


def driver(seen: Seen, name: str) -> dict[str, str]:
    """The attributes of the driver of a disk in the domain."""
    (found,) = [
        disk.findall("driver")[0].attrib
        for disk in seen.domain.findall("devices/disk")
        if disk.findall("alias")[0].attrib["name"] == f"ua-{name}"
    ]
    return dict(found)


def test_d10_guest_reads_the_config_drive_of_a_secret(seen: Seen) -> None:
    found = seen.report.files["DRIVE"]
    assert found["openstack/latest/user_data"].decode() == USER_DATA
    assert found["openstack/latest/network_data.json"].decode() == NETWORK_DATA


def test_d22_volume_stays_when_its_instance_is_deleted(seen: Seen) -> None:
    assert seen.left == "Succeeded"


def test_d23_instance_that_is_posted_during_the_import_starts_after_it(seen: Seen) -> None:
    assert seen.early and seen.early <= {"", "Pending", "Scheduling"}, seen.early
    assert seen.sums["SUM1"] == beginning(IMAGES / "disk.raw")


def test_d28_container_disk_and_its_registry_import_have_the_same_data(seen: Seen) -> None:
    assert seen.sums["SUM2"] == seen.sums["SUM3"] == beginning(IMAGES / "disk.raw")


def test_d33_guest_sees_the_disk_of_its_node(seen: Seen) -> None:
    assert seen.report.disks["HOST"]["bytes"] == 16 << 20


def test_d34_guest_reads_a_config_map_by_its_serial(seen: Seen) -> None:
    assert seen.report.files["SETTINGS"] == {"setting": b"value of the map"}


def test_d35_guest_reads_a_secret_by_its_serial(seen: Seen) -> None:
    assert seen.report.files["KEYS"] == {"key": b"value of the secret"}


def test_d36_guest_reads_its_service_account(seen: Seen) -> None:
    found = seen.report.files["ACCOUNT"]
    assert {"namespace", "token", "ca.crt"} <= {*found}
    assert found["ca.crt"].startswith(b"-----BEGIN CERTIFICATE-----")


def test_d37_guest_has_a_disk_with_metrics(seen: Seen) -> None:
    (found,) = [disk for disk in seen.report.disks.values() if not disk["serial"] and disk["name"].startswith("vd")]
    assert found["bytes"] == 256 << 10


def test_d43_each_virtio_disk_has_a_queue_for_each_cpu(seen: Seen) -> None:
    names = [disk["name"] for disk in DISKS if disk["name"] != "metrics"]
    assert {name: driver(seen, name)["queues"] for name in names} == dict.fromkeys(names, str(CPUS))


def test_d44_cache_of_the_domain_is_as_declared(seen: Seen) -> None:
    found = {name: driver(seen, name)["cache"] for name in ("late", "image", "registry", "thin")}
    assert found == {"late": "none", "image": "writethrough", "registry": "writeback", "thin": "none"}
    assert seen.report.disks["SUM2"]["cache"] == "write through"


def test_p17_disk_of_a_preallocated_volume_keeps_its_blocks(seen: Seen) -> None:
    assert driver(seen, "thin").get("discard") == "unmap"
    assert "discard" not in driver(seen, "thick")
