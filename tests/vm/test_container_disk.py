# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that boot from what the module container_disk pushed, directly and from a volume with its import."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.modules import run_module, run_on_cluster
from tests.vm.guest import BOOT, BOOT_DISK, Guest

REGISTRY = os.environ["KUBEVIRT_CDI_TEST_REGISTRY"]


def test_machine_boots_from_a_pushed_disk_and_from_its_import(start: Callable[..., Guest], namespace: str) -> None:
    options = {"path": os.environ["KUBEVIRT_CDI_TEST_GUEST"], "image": f"{REGISTRY}/{namespace}/guest:1"}
    pushed = run_module("container_disk", {**options, "plain_http": True}).result
    assert pushed.get("changed"), pushed
    source = {"registry": {"url": f"docker://{pushed['reference']}", "pull_method": "node"}}
    imported = run_on_cluster(
        "data_volume", name="guest", namespace=namespace, source=source, storage={"size": "64Mi"}, wait_timeout=900
    ).result
    assert not imported.get("failed"), imported["msg"]
    volumes = {"image": {"container_disk": {"image": pushed["reference"]}}, "claim": {"data_volume": {"name": "guest"}}}
    device = {key: value for key, value in BOOT_DISK.items() if key != "container_disk"}
    guests = [start(name, [{**device, **volume}], boots=False) for name, volume in volumes.items()]
    assert [set(guest.report().disks) for guest in guests] == [{BOOT}, {BOOT}]
