# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON patch of a plan, conflicts with other clients, and the diff."""

from __future__ import annotations

from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.elements import Element
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.gates import OFF
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.patch import (
    conflict,
    difference,
    json_patch,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.plan import Declared, plan

from tests.unit.plugins._virtual_machine.disks import Object, claim, disk, entry, machine, named, patched, volume

COLD = Element(disk(), volume())
ABSENT = entry(state="absent")


def test_patch_touches_only_its_own_elements() -> None:
    disks = [named(name, Element(disk(), volume(name))) for name in "abcde"]
    stored = machine(*disks)
    declared = Declared((entry("b", state="absent"), entry("d", state="absent"), entry("c", bus="scsi", **claim("c"))))
    operations = json_patch(stored, plan(declared, stored, None, OFF))
    volumes, devices = "/spec/template/spec/volumes/", "/spec/template/spec/domain/devices/disks/"
    assert [(each["op"], each["path"]) for each in operations] == [
        ("test", f"{volumes}1"),
        ("test", f"{volumes}3"),
        ("remove", f"{volumes}3"),
        ("remove", f"{volumes}1"),
        ("test", f"{devices}1"),
        ("test", f"{devices}2"),
        ("test", f"{devices}3"),
        ("replace", f"{devices}2"),
        ("remove", f"{devices}3"),
        ("remove", f"{devices}1"),
    ]
    after = patched(stored, operations)["spec"]["template"]["spec"]
    assert [each["name"] for each in after["volumes"]] == ["a", "c", "e"]
    assert after["domain"]["devices"]["disks"][1]["disk"] == {"bus": "scsi"}


def test_conflict_names_the_disk_and_the_manager() -> None:
    before, theirs = machine(COLD), machine(Element(disk(cache="none"), volume()))
    fields: Object = {"f:spec": {"f:template": {"f:spec": {"f:domain": {"f:devices": {"f:disks": {}}}}}}}
    theirs["metadata"]["managedFields"] = [{"manager": "argocd", "operation": "Update", "fieldsV1": fields}]
    changes = plan(Declared((ABSENT,)), before, None, OFF)
    assert conflict(changes, before, theirs) == "disk 'data' was changed by argocd while the task ran"
    assert conflict(changes, before, machine()) == "", "they have removed it as well"
    assert conflict(changes, before, machine(COLD, named("other", COLD))) == ""


def test_diff_hides_texts_of_cloud_init() -> None:
    texts = {"user_data": "password: geheim", "secret_ref": None, "network_data_secret_ref": None}
    texts |= dict.fromkeys(("user_data_base64", "network_data", "network_data_base64"))
    changes = plan(Declared((entry(bus="virtio", cloud_init_no_cloud=texts),)), machine(), None, OFF)
    assert "geheim" not in str(difference(changes))
