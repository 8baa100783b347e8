# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of stage START refuse: KubeVirt accepts the machine, and then it does not start."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    EVENT,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    VIRTUAL_MACHINE,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine import rule, rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.reading import read
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import problems

from tests.cluster.runtime.fixtures_registry import CONTAINER_DISK
from tests.real.objects import create
from tests.vm.guest import Guest, machine
from tests.vm.state import INSTANCE
from tests.vm_disks.spec import BLANK, CDROM, LUN, NO_OPTIONS, Entry, Spec, cloud_init, disk, template

IMAGE: Entry = {
    "container_disk": {"image": f"{os.environ['KUBEVIRT_CDI_TEST_REGISTRY']}/{':'.join(CONTAINER_DISK)}"}
}
BLOCK: Entry = {"persistent_volume_claim": {"claim_name": "block"}}


class Row(NamedTuple):
    """A rule, the disks that only it refuses, and what KubeVirt reports about them (a regular expression)."""

    rule: str
    disks: list[Entry]
    reported: str


def claim(name: str) -> Entry:
    return {"persistent_volume_claim": {"claim_name": name}}


ROWS = [
    Row("lun_needs_scsi", [disk(type="lun", **BLOCK)], r"x"),
    Row("native_io_needs_direct_io", [disk(io="native", cache="writeback", empty_disk={"capacity": "1Mi"})], r"x"),
    Row("shared_disk_needs_direct_io", [disk(shareable=True, cache="writethrough", **claim("shared"))], r"x"),
    Row("shared_disk_needs_raw_data", [disk(shareable=True, **IMAGE)], r"x"),
    Row("hotplug_needs_a_bus", [disk(bus="sata", hotpluggable=True, **claim("plugged"))], r"x"),
    Row("cloud_init_is_single", [cloud_init(user_data="a"), disk(name="e", cloud_init_config_drive={"user_data": "a"})], r"x"),
    Row("claims_are_used_once", [disk(**claim("twice")), disk(name="e", **claim("twice"))], r"x"),
    Row("templates_are_unique", [template(**BLANK), {**template(**BLANK), "name": "e"}], r"x"),
    Row("image_has_a_name", [disk(container_disk={"image": "docker://a/b:1"})], r"x"),
    Row("host_disk_path_is_absolute", [disk(host_disk={"path": "../d.img", "type": "DiskOrCreate", "capacity": "1Mi"})], r"x"),
    Row("created_disk_has_a_capacity", [disk(empty_disk={"capacity": "1023Ki"})], r"x"),
    Row("sysprep_has_one_reference", [{**CDROM, "bus": "sata", "sysprep": {}}], r"x"),
    Row("downward_api_fields_have_one_reference", [disk(downward_api={"fields": [{"path": "p"}]})], r"x"),
    Row("read_only_claim_has_a_read_only_disk", [disk(persistent_volume_claim={"claim_name": "locked", "read_only": True})], r"x"),
    Row("memory_dump_has_the_name_of_its_claim", [{"name": "d", "memory_dump": {"claim_name": "dump"}}], r"x"),
    Row("names_in_pod_fit", [disk(name="n" * 58, **IMAGE)], r"x"),
    Row("template_is_a_valid_volume", [template(source={"http": {"url": "ftp://a/b"}}, storage={"size": "1Gi"})], r"x"),
]
