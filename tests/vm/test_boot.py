# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest boots on the real KubeVirt and reports the disks that the machine declares."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.cluster.build.disk_images import DISK_BYTES
from tests.cluster.runtime.fixtures_registry import CONTAINER_DISK
from tests.vm.guest import BOOT, Guest, blank

CONTAINER_DISK_IMAGE = f"{os.environ['KUBEVIRT_CDI_TEST_REGISTRY']}/{':'.join(CONTAINER_DISK)}"
USER_DATA = "#cloud-config\nhostname: guest\n"


def test_guest_sees_each_disk_of_the_machine(start: Callable[..., Guest]) -> None:
    guest = start(
        "machine",
        [
            {"name": "data", "serial": "DATA1", "bus": "virtio", **blank("data")},
            {"name": "system", "serial": "SYSTEM", "bus": "virtio", "container_disk": {"image": CONTAINER_DISK_IMAGE}},
            {"name": "init", "type": "cdrom", "bus": "sata", "cloud_init_no_cloud": {"user_data": USER_DATA}},
        ],
    )
    report = guest.report()
    assert set(report.disks) == {"DATA1", "SYSTEM", "sr0", BOOT}
    assert report.disks["DATA1"]["bytes"] == 64 << 20
    assert report.disks["SYSTEM"]["bytes"] == DISK_BYTES
    assert report.disks["sr0"]["read_only"] == 1
    assert report.files["sr0"]["user-data"].decode() == USER_DATA
