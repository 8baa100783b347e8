# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The patch of a machine touches the volumes that are moved, and nothing else."""

from __future__ import annotations

from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.patch import Switch, switch

from tests.unit.plugins._migration.moves import machine, volume

VOLUMES = "/spec/template/spec/volumes"
STRATEGY = {"op": "add", "path": "/spec/updateVolumesStrategy", "value": "Migration"}


def test_patch_tests_what_it_replaces() -> None:
    stored = machine(volume("root", "root"), volume("data", "source"), templates=("root", "source"))
    assert switch(stored, {"data": Switch("target")}, live=True) == [
        {"op": "test", "path": f"{VOLUMES}/1", "value": volume("data", "source")},
        {"op": "test", "path": "/spec/dataVolumeTemplates/1", "value": {"metadata": {"name": "source"}, "spec": {}}},
        STRATEGY,
        {"op": "replace", "path": f"{VOLUMES}/1", "value": volume("data", "target")},
        {"op": "remove", "path": "/spec/dataVolumeTemplates/1"},
    ]


def test_templates_are_removed_from_the_end() -> None:
    stored = machine(volume("root", "root"), volume("data", "source"), templates=("root", "source"))
    found = switch(stored, {"data": Switch("target"), "root": Switch("other")}, live=False)
    assert [each["path"] for each in found if each["op"] == "remove"] == [
        "/spec/dataVolumeTemplates/1",
        "/spec/dataVolumeTemplates/0",
    ]


def test_machine_as_requested_is_not_patched() -> None:
    stored = machine(volume("data", "target"))
    assert switch(stored, {"data": Switch("target")}, live=True) == []


def test_strategy_is_set_once_and_only_for_a_live_move() -> None:
    stored = machine(volume("data", "source"), spec={"updateVolumesStrategy": "Migration"})
    assert STRATEGY not in switch(stored, {"data": Switch("target")}, live=True)
    assert STRATEGY not in switch(machine(volume("data", "source")), {"data": Switch("target")}, live=False)


def test_claim_becomes_a_data_volume_and_comes_back() -> None:
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "source", "hotpluggable": True, "readOnly": True}}
    (*_tests, replaced) = switch(machine(claim), {"data": Switch("target")}, live=False)
    assert replaced["value"] == volume("data", "target", hotpluggable=True)
    (*_tests, back) = switch(machine(volume("data", "target")), {"data": Switch("source", False)}, live=False)
    assert back["value"] == {"name": "data", "persistentVolumeClaim": {"claimName": "source"}}
