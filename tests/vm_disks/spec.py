# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One spec of disks with its verdict, and the builders of its entries."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine import rule, rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.options import SOURCES
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.reading import read
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rendering import render

Entry = dict[str, Any]

# Feature gates that specs need. A spec that depends on a gate names the enabled ones in its options.
GATES = ["DeclarativeHotplugVolumes", "DownwardMetrics", "HostDisk", "IncrementalBackup", "PersistentReservation"]

NO_OPTIONS: Entry = {}


class Spec(NamedTuple):
    """Disks and options of filter vm_disks. `rule` is the rule that refuses them, `` if they are accepted.

    `reported` is a part of its sentence.
    """

    label: str
    disks: list[Entry]
    rule: str = ""
    reported: str = ""
    options: Entry = NO_OPTIONS

    def __str__(self) -> str:
        return self.label

    @property
    def fragment(self) -> Entry:
        """The part of a VirtualMachine's spec, also of a refused spec. The filter renders one source of a disk only."""
        whole = render(read(self.disks, self.options).machine)
        for each in self.disks:
            for source in [source for source in SOURCES if source in each][1:]:
                alone = {key: value for key, value in each.items() if key not in SOURCES or key == source}
                (volume,) = render(read([alone], self.options).machine)["template"]["spec"]["volumes"]
                next(v for v in whole["template"]["spec"]["volumes"] if v["name"] == volume["name"]).update(volume)
        return whole

    @property
    def stage(self) -> str:
        """Where KubeVirt reports the problem, `` if there is none (_virtual_machine/rule.py)."""
        return next((each.stage for each in rules.RULES if each.name == self.rule), "")

    @property
    def has_api_form(self) -> bool:
        """Whether the spec can be sent to KubeVirt as it is meant."""
        return self.stage != rule.CLIENT

    @property
    def accepted_by_api(self) -> bool:
        """Whether a dry run of the VirtualMachine succeeds."""
        return self.stage != rule.API

    @property
    def accepted_as_instance(self) -> bool:
        """Whether a dry run of the VirtualMachineInstance succeeds."""
        return self.stage not in (rule.API, rule.INSTANCE)


CLAIM: Entry = {"persistent_volume_claim": {"claim_name": "data"}}
IMAGE: Entry = {"container_disk": {"image": "quay.io/containerdisks/debian:12"}}
EMPTY: Entry = {"empty_disk": {"capacity": "1Gi"}}
USER_DATA: Entry = {"cloud_init_no_cloud": {"user_data": "#cloud-config\n{}\n"}}
CDROM: Entry = {"name": "d", "type": "cdrom"}
FIELD: Entry = {"path": "labels", "field_ref": {"field_path": "metadata.labels"}}
LUN: Entry = {"type": "lun", "bus": "scsi"}
ALL_GATES: Entry = {"feature_gates": GATES}
BLANK: Entry = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}


def disk(**options: Any) -> Entry:
    """A virtio disk with a claim of its own, unless the options name another volume."""
    name = options.get("name", "d")
    volume = (
        {} if set(options) & set(SOURCES) else {"persistent_volume_claim": {"claim_name": f"claim-{name.lower()}-0"}}
    )
    return {"name": "d", "bus": "virtio", **volume, **options}


def template(**options: Any) -> Entry:
    return disk(data_volume_template={"name": "t", **options})


def cloud_init(**texts: Any) -> Entry:
    return disk(cloud_init_no_cloud=texts)


def encoded(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()
