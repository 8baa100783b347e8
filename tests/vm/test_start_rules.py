# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of stage START refuse: KubeVirt accepts the machine, which then does not start."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    EVENT,
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine import rule, rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.reading import read
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import problems

from tests.cluster.runtime.fixtures_registry import CONTAINER_DISK
from tests.cluster.runtime.profile import PROFILES
from tests.real.objects import create, new_namespace
from tests.vm.guest import Guest, machine
from tests.vm.kubevirt_setup import FEATURE_GATES
from tests.vm.state import INSTANCE
from tests.vm_disks.spec import BLANK, CDROM, Entry, Spec, cloud_init, disk, template

IMAGE: Entry = {"container_disk": {"image": f"{os.environ['KUBEVIRT_CDI_TEST_REGISTRY']}/{':'.join(CONTAINER_DISK)}"}}
UNMOUNTED = r"unmounted volumes=\[[de]\]"
KUBELETS = sorted((PROFILES["full"].state / "logs").glob("kubelet*.log"))
_AT_ONCE = 6


class Row(NamedTuple):
    """A rule, disks that only this rule refuses, and what KubeVirt reports then (a regular expression)."""

    rule: str
    disks: list[Entry]
    reported: str


def claim(name: str) -> Entry:
    return {"persistent_volume_claim": {"claim_name": name}}


def pair(**volume: Entry) -> list[Entry]:
    return [disk(name="d", **volume), disk(name="e", **volume)]


ROWS = [
    # The kubelet waits for one of the two volumes for ever, and says so in its log after two minutes only.
    Row("claims_are_used_once", pair(**claim("twice")), UNMOUNTED),
    Row("templates_are_unique", pair(data_volume_template={"name": "t", **BLANK}), UNMOUNTED),
    Row("lun_needs_scsi", [disk(type="lun", **claim("block"))], "This QEMU doesn't support SCSI emulation"),
    Row(
        "native_io_needs_direct_io",
        [disk(io="native", cache="writeback", empty_disk={"capacity": "1Mi"})],
        "io='native' needs either no disk cache",
    ),
    Row(
        "shared_disk_needs_direct_io",
        [disk(shareable=True, cache="writethrough", **claim("shared"))],
        "a sharable disk requires cache = none got: writethrough",
    ),
    Row("shared_disk_needs_raw_data", [disk(shareable=True, **IMAGE)], "requires use of supported storage format"),
    Row(
        "cloud_init_is_single",
        [cloud_init(user_data="a"), disk(name="e", cloud_init_config_drive={"user_data": "a"})],
        r"Cannot access storage file .*configdrive\.iso",
    ),
    Row("image_has_a_name", [disk(container_disk={"image": "docker://a/b:1"})], "invalid reference format"),
    Row(
        "host_disk_path_is_absolute",
        [disk(host_disk={"path": "../d.img", "type": "DiskOrCreate", "capacity": "1Mi"})],
        r"hostPath\.path: Invalid value",
    ),
    Row("created_disk_has_a_capacity", [disk(empty_disk={"capacity": "1023Ki"})], "the size for volume d is too low"),
    Row(
        "sysprep_has_one_reference",
        [{**CDROM, "bus": "sata", "sysprep": {}}],
        "Sysprep must have Secret or ConfigMap reference set",
    ),
    Row(
        "downward_api_fields_have_one_reference",
        [disk(downward_api={"fields": [{"path": "p"}]})],
        "one of fieldRef and resourceFieldRef is required",
    ),
    Row(
        "read_only_claim_has_a_read_only_disk",
        [disk(persistent_volume_claim={"claim_name": "locked", "read_only": True})],
        "read-only file system",
    ),
    Row(
        "memory_dump_has_the_name_of_its_claim",
        [{"name": "d", "memory_dump": {"claim_name": "dump"}}],
        "hotplug disk d references an unsupported source",
    ),
    Row("names_in_pod_fit", [disk(name="n" * 58, **IMAGE)], "must be no more than 63 characters"),
    Row(
        "template_is_a_valid_volume",
        [template(source={"http": {"url": "ftp://a/b"}}, storage={"size": "1Gi"})],
        "Invalid source URL scheme: ftp://a/b",
    ),
]


@pytest.fixture(scope="module")
def complaints(connection: Connection) -> Iterator[dict[str, str]]:
    """What KubeVirt reports about the machine of each row, once it has reported what is expected."""
    with new_namespace(connection) as namespace:
        for name in ("twice", "locked"):
            create(connection, DATA_VOLUME, name, namespace, spec={"source": {"blank": {}}, "storage": _claim_spec()})
        for name, mode in (("block", "Block"), ("shared", "Filesystem"), ("dump", "Filesystem")):
            spec = {**_claim_spec(), "accessModes": ["ReadWriteOnce"], "volumeMode": mode}
            create(connection, PERSISTENT_VOLUME_CLAIM, name, namespace, spec=spec)
        found = {}
        for first in range(0, len(ROWS), _AT_ONCE):
            guests = [
                (row, Guest(connection, namespace, row.rule.replace("_", "-"))) for row in ROWS[first:][:_AT_ONCE]
            ]
            for row, guest in guests:
                spec = machine(Spec(row.rule, row.disks).fragment, memory={"guest": "64Mi"})
                guest.post(VIRTUAL_MACHINE, spec)
            for row, guest in guests:
                found[row.rule] = guest.until(partial(_reported, guest, row.reported), "does not fail as expected")
                guest.begin_to_delete()
            for _row, guest in guests:
                guest.delete()
        yield found


def _claim_spec() -> dict[str, object]:
    return {"resources": {"requests": {"storage": "16Mi"}}}


def _reported(guest: Guest, expected: str) -> str:
    """The message of a condition, an event or a kubelet about a machine that is the expected one, empty without one."""
    assert guest.phase() != "Running", f"{guest.name} runs"
    lines = []
    for resource in (VIRTUAL_MACHINE, INSTANCE):
        stored = guest.connection.get(resource, guest.name, guest.namespace) or {}
        conditions = (stored.get("status") or {}).get("conditions", [])
        lines += [f"{each.get('reason')}: {each.get('message')}" for each in conditions]
    events, _version = guest.connection.list(EVENT, guest.namespace)
    lines += [
        f"{event['reason']}: {event['message']}"
        for event in events
        if guest.name in event["involvedObject"]["name"] and event["type"] == "Warning"
    ]
    for log in KUBELETS if expected == UNMOUNTED else ():
        pod = f'pod="{guest.namespace}/virt-launcher-{guest.name}-'
        lines += [line for line in log.read_text(errors="replace").splitlines() if pod in line]
    return next((line for line in lines if re.search(expected, line)), "")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.rule)
def test_machine_that_a_rule_refuses_does_not_start(complaints: dict[str, str], row: Row) -> None:
    machine = read(row.disks, {"feature_gates": FEATURE_GATES}).machine
    assert {problem.rule.name for problem in problems(machine)} == {row.rule}
    assert complaints[row.rule]


def test_each_rule_of_the_start_has_a_row() -> None:
    # An empty drive is refused earlier without the feature gate DeclarativeHotplugVolumes.
    expected = {each.name for each in rules.RULES if each.stage == rule.START} - {"block_size_needs_a_medium"}
    assert {row.rule for row in ROWS} == expected
