# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that the modules filled, as disks of one machine, which boots, reboots and starts again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
)

from tests.modules import run_on_cluster
from tests.real.objects import create, new_namespace
from tests.vm.claims import digest, files
from tests.vm.guest import Guest, Report, beginning
from tests.vm_disks.spec import Entry

GUEST_ISO = Path(os.environ["KUBEVIRT_CDI_TEST_GUEST"])
HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
IMAGES = Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"])
USER_DATA = "#cloud-config\nhostname: from-secret\n"
EMPTY_BYTES = 48 << 20
STORAGE: Entry = {"size": "64Mi"}
# The serial of the disk in memory lets the guest reboot once after each start.
MEMORY = "DATAREBOOT"
DISKS: list[Entry] = [
    {
        "name": "root",
        "bus": "virtio",
        "serial": "ROOT",
        "boot_order": 1,
        "persistent_volume_claim": {"claim_name": "root"},
    },
    {"name": "installer", "type": "cdrom", "bus": "sata", "persistent_volume_claim": {"claim_name": "installer"}},
    {"name": "init", "bus": "virtio", "serial": "INIT", "cloud_init_no_cloud": {"secret_ref": {"name": "init"}}},
    {"name": "kept", "bus": "virtio", "serial": "DATAKEPT", "data_volume": {"name": "kept"}},
    {"name": "new", "bus": "virtio", "serial": "DATANEW", "persistent_volume_claim": {"claim_name": "new"}},
    {
        "name": "copy",
        "bus": "virtio",
        "serial": "DATACOPY",
        "ephemeral": {"persistent_volume_claim": {"claim_name": "base"}},
    },
    {"name": "memory", "bus": "virtio", "serial": MEMORY, "empty_disk": {"capacity": "16Mi"}},
    {
        "name": "imported",
        "bus": "virtio",
        "serial": "SUM1",
        "data_volume_template": {
            "name": "imported",
            "source": {"http": {"url": f"{HTTP}/slow/disk.qcow2"}},
            "storage": STORAGE,
        },
    },
]


class Seen(NamedTuple):
    """What was seen of the machine. Two numbers are those of the first and of the second start.

    `early` has the phases of the instance while the volume of its template was not filled, `base` the digest of the
    claim under the ephemeral disk before and after the first start, `filled_files` what is on a claim that CDI filled,
    `new_files` what is on one that KubeVirt did, and `left` the DataVolumes after the deletion.
    """

    early: set[str]
    report: Report
    sums: dict[str, str]
    boots: tuple[dict[str, list[int]], dict[str, list[int]]]
    base: tuple[str, str]
    filled_files: list[str]
    new_files: list[str]
    left: set[str]


@pytest.fixture(scope="module")
def seen(connection: Connection) -> Iterator[Seen]:
    """The life of the machine: start, reboot, stop, start, reboot and deletion."""
    with new_namespace(connection) as namespace:
        guest = Guest(connection, namespace, "machine")
        _make_volumes(connection, namespace)
        before, filled_files = digest(connection, namespace, "base"), files(connection, namespace, "installer")
        guest.create(DISKS, boots=False)
        early = _phases_before_import(guest)
        report = guest.report("ROOT", "INIT", "DATAKEPT", "DATANEW", "DATACOPY", MEMORY, "SUM1", "sr0")
        first = _boots(guest)
        sums = guest.sums()
        guest.stop()
        after, new_files = digest(connection, namespace, "base"), files(connection, namespace, "new")
        guest.set_running(running=True)
        second = _boots(guest)
        guest.delete()
        guest.until(lambda: _volumes(guest) == {"installer", "root", "kept", "base"}, "has not deleted its volume")
        yield Seen(early, report, sums, (first, second), (before, after), filled_files, new_files, _volumes(guest))


def _make_volumes(connection: Connection, namespace: str) -> None:
    upload = {"name": "installer", "path": str(GUEST_ISO), "storage": STORAGE}
    _run("volume_upload", namespace=namespace, uploads=[upload])
    root = {"name": "root", "source": {"pvc": {"name": "installer"}}, "storage": STORAGE}
    empty: list[Entry] = [{"name": name, "source": {"blank": {}}, "storage": STORAGE} for name in ("kept", "base")]
    _run("data_volume", namespace=namespace, data_volumes=[root, *empty])
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": str(EMPTY_BYTES)}}}
    create(connection, PERSISTENT_VOLUME_CLAIM, "new", namespace, spec=claim)
    create(connection, SECRET, "init", namespace, stringData={"userdata": USER_DATA})


def _run(module_name: str, /, **options: Any) -> None:
    result = run_on_cluster(module_name, wait_timeout=900, **options).result
    assert not result.get("failed"), result["msg"]


def _phases_before_import(guest: Guest) -> set[str]:
    phases = set()

    def filled() -> bool:
        phase = guest.phase()
        # Read after the instance: what is not filled now was not filled then.
        volume = guest.connection.get(DATA_VOLUME, "imported", guest.namespace) or {}
        if (volume.get("status") or {}).get("phase") == "Succeeded":
            return True
        phases.add(phase)
        return False

    guest.until(filled, "has not imported its volume")
    return phases


def _boots(guest: Guest) -> dict[str, list[int]]:
    """The boots that each disk counts, after the guest rebooted."""
    serials = ("DATAKEPT", "DATANEW", "DATACOPY", MEMORY)
    guest.until(lambda: all(len(guest.boots(serial)) == 2 for serial in serials), "has not rebooted")
    return {serial: guest.boots(serial) for serial in serials}


def _volumes(guest: Guest) -> set[str]:
    found, _version = guest.connection.list(DATA_VOLUME, guest.namespace)
    return {each["metadata"]["name"] for each in found}


def test_d6_machine_boots_from_a_claim_that_the_modules_filled(seen: Seen) -> None:
    assert "isolinux.cfg" in seen.report.files["ROOT"]


def test_d8_guest_reads_an_uploaded_iso_as_cdrom_and_cannot_write_it(seen: Seen) -> None:
    assert seen.report.disks["sr0"]["read_only"] == 1
    assert seen.report.disks["ROOT"]["read_only"] == 0
    assert seen.report.files["sr0"] == seen.report.files["ROOT"]


def test_d9_guest_reads_no_cloud_data_of_a_secret(seen: Seen) -> None:
    assert seen.report.files["INIT"]["user-data"].decode() == USER_DATA


def test_d11_data_of_a_claim_survive_a_restart(seen: Seen) -> None:
    assert [boots["DATAKEPT"] for boots in seen.boots] == [[1, 2], [3, 4]]


def test_d12_d14_volume_that_cdi_filled_has_one_image_of_user_107(seen: Seen) -> None:
    (line,) = [line for line in seen.filled_files if "lost+found" not in line]
    name, _size, user, group = line.split()
    assert (name, user, group) == ("/volume/disk.img", "107", "107")


def test_d15_image_is_created_on_an_empty_claim(seen: Seen) -> None:
    (line,) = [line for line in seen.new_files if "lost+found" not in line]
    name, size, user, _group = line.split()
    assert (name, user) == ("/volume/disk.img", "107")
    assert 0.9 * EMPTY_BYTES <= int(size) <= EMPTY_BYTES
    assert seen.report.disks["DATANEW"]["bytes"] == int(size)
    assert [boots["DATANEW"] for boots in seen.boots] == [[1, 2], [3, 4]]


def test_d20_s2_machine_starts_after_the_import_into_its_template(seen: Seen) -> None:
    assert seen.early <= {"", "Pending"}, seen.early
    assert seen.sums["SUM1"] == beginning(IMAGES / "disk.raw")


def test_d21_only_the_volume_of_the_template_is_deleted_with_the_machine(seen: Seen) -> None:
    assert seen.left == {"installer", "root", "kept", "base"}


def test_d26_ephemeral_disk_never_changes_its_claim(seen: Seen) -> None:
    before, after = seen.base
    assert before == after


def test_d27_ephemeral_disk_is_empty_after_a_restart(seen: Seen) -> None:
    assert [boots["DATACOPY"] for boots in seen.boots] == [[1, 2], [1, 2]]


def test_d32_empty_disk_survives_a_reboot_and_no_restart(seen: Seen) -> None:
    assert [boots[MEMORY] for boots in seen.boots] == [[1, 2], [1, 2]]
    assert seen.report.disks[MEMORY]["bytes"] == 16 << 20
