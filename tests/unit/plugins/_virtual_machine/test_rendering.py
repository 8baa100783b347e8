# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks are rendered as fields of KubeVirt's API, with one name for a disk and its volume."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import SPEC_OPTIONS, VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.spec import desired
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.options import SOURCES, TEMPLATE_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rendering import render
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked

from tests.refused_volumes import volume
from tests.vm_disks.spec import ALL_GATES, CLAIM, FIELD, IMAGE, Entry, Spec, disk
from tests.vm_disks.valid import VALID


def rendered(disks: list[Entry], **options: Any) -> Entry:
    return render(checked(disks, options))


def spec_of(disks: list[Entry], **options: Any) -> Entry:
    """The spec of the machine's template."""
    spec: Entry = rendered(disks, **options)["template"]["spec"]
    return spec


SOURCE_FIELDS: list[tuple[Entry, Entry]] = [
    (CLAIM, {"persistentVolumeClaim": {"claimName": "data"}}),
    ({"data_volume": {"name": "root"}}, {"dataVolume": {"name": "root"}}),
    (
        {"container_disk": {"image": "a:1", "path": "/d.img", "image_pull_policy": "Never", "image_pull_secret": "s"}},
        {"containerDisk": {"image": "a:1", "path": "/d.img", "imagePullPolicy": "Never", "imagePullSecret": "s"}},
    ),
    ({"ephemeral": CLAIM}, {"ephemeral": {"persistentVolumeClaim": {"claimName": "data"}}}),
    ({"empty_disk": {"capacity": "2Gi"}}, {"emptyDisk": {"capacity": "2Gi"}}),
    (
        {"host_disk": {"path": "/d.img", "type": "DiskOrCreate", "capacity": "1Gi", "shared": True}},
        {"hostDisk": {"path": "/d.img", "type": "DiskOrCreate", "capacity": "1Gi", "shared": True}},
    ),
    (
        {"cloud_init_no_cloud": {"user_data": "#cloud-config\n", "network_data_base64": "YQ=="}},
        {"cloudInitNoCloud": {"userData": "#cloud-config\n", "networkDataBase64": "YQ=="}},
    ),
    (
        {"cloud_init_config_drive": {"secret_ref": {"name": "u"}, "network_data_secret_ref": {"name": "n"}}},
        {"cloudInitConfigDrive": {"secretRef": {"name": "u"}, "networkDataSecretRef": {"name": "n"}}},
    ),
    (
        {"config_map": {"name": "c", "optional": False, "volume_label": "OEMDRV"}},
        {"configMap": {"name": "c", "optional": False, "volumeLabel": "OEMDRV"}},
    ),
    ({"secret": {"secret_name": "s"}}, {"secret": {"secretName": "s"}}),
    (
        {"service_account": {"service_account_name": "default"}},
        {"serviceAccount": {"serviceAccountName": "default"}},
    ),
    ({"downward_metrics": {}}, {"downwardMetrics": {}}),
    ({"downward_metrics": None}, {"downwardMetrics": {}}),
    (
        {"downward_api": {"fields": [FIELD, {"path": "cpu", "resource_field_ref": {"resource": "limits.cpu"}}]}},
        {
            "downwardAPI": {
                "fields": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {"path": "cpu", "resourceFieldRef": {"resource": "limits.cpu"}},
                ]
            }
        },
    ),
    ({"sysprep": {"secret": {"name": "s"}}}, {"sysprep": {"secret": {"name": "s"}}}),
    ({"memory_dump": {"claim_name": "d"}}, {"memoryDump": {"claimName": "d"}}),
]


@pytest.mark.parametrize(("source", "fields"), SOURCE_FIELDS, ids=lambda value: next(iter(value)))
def test_each_source_has_the_fields_of_the_api(source: Entry, fields: Entry) -> None:
    bus = {} if "memory_dump" in source else {"bus": "virtio"}
    assert spec_of([{"name": "d", **bus, **source}], **ALL_GATES)["volumes"] == [{"name": "d", **fields}]


def test_each_source_is_tested() -> None:
    assert {next(iter(source)) for source, _fields in SOURCE_FIELDS} | {"data_volume_template"} == set(SOURCES)


@pytest.mark.parametrize(
    ("entry", "fields"),
    [
        ({}, {"disk": {}}),
        ({"bus": "virtio", "read_only": True}, {"disk": {"bus": "virtio", "readonly": True}}),
        (
            {"bus": "virtio", "pci_address": "0000:81:01.0"},
            {"disk": {"bus": "virtio", "pciAddress": "0000:81:01.0"}},
        ),
        ({"type": "lun", "bus": "scsi", "reservation": True}, {"lun": {"bus": "scsi", "reservation": True}}),
        (
            {"type": "cdrom", "bus": "sata", "tray": "open", "read_only": True},
            {"cdrom": {"bus": "sata", "tray": "open", "readonly": True}},
        ),
        (
            {"boot_order": 1, "serial": "A", "tag": "t", "cache": "none", "io": "native", "error_policy": "report"},
            {
                "disk": {},
                "bootOrder": 1,
                "serial": "A",
                "tag": "t",
                "cache": "none",
                "io": "native",
                "errorPolicy": "report",
            },
        ),
        (
            {"bus": "virtio", "dedicated_io_thread": True, "shareable": False, "changed_block_tracking": True},
            {
                "disk": {"bus": "virtio"},
                "dedicatedIOThread": True,
                "shareable": False,
                "changedBlockTracking": True,
            },
        ),
        (
            {"block_size": {"custom": {"logical": 512, "physical": 4096, "discard_granularity": 0}}},
            {"disk": {}, "blockSize": {"custom": {"logical": 512, "physical": 4096, "discardGranularity": 0}}},
        ),
        (
            {"block_size": {"match_volume": {"enabled": True}}},
            {"disk": {}, "blockSize": {"matchVolume": {"enabled": True}}},
        ),
    ],
)
def test_each_option_of_a_disk_has_its_field(entry: Entry, fields: Entry) -> None:
    assert spec_of([{"name": "d", **CLAIM, **entry}], **ALL_GATES)["domain"]["devices"]["disks"] == [
        {"name": "d", **fields}
    ]


def test_threads_and_queues_are_fields_of_the_domain() -> None:
    assert spec_of(
        [disk()],
        io_threads_policy="supplementalPool",
        io_threads={"supplemental_pool_thread_count": 4},
        block_multi_queue=True,
        cpus="4",
    )["domain"] == {
        "ioThreadsPolicy": "supplementalPool",
        "ioThreads": {"supplementalPoolThreadCount": 4},
        "devices": {"disks": [{"name": "d", "disk": {"bus": "virtio"}}], "blockMultiQueue": True},
    }


def test_what_only_the_rules_need_is_not_rendered() -> None:
    options = {"cpus": "2", "architecture": "s390x", "feature_gates": []}
    assert rendered([disk()], **options) == rendered([disk()])
    assert spec_of([disk()])["domain"] == {"devices": {"disks": [{"name": "d", "disk": {"bus": "virtio"}}]}}


def test_the_lists_are_there_if_they_are_empty() -> None:
    assert rendered([]) == {
        "dataVolumeTemplates": [],
        "template": {"spec": {"domain": {"devices": {"disks": []}}, "volumes": []}},
    }


def test_an_empty_drive_has_no_volume_and_a_memory_dump_no_disk() -> None:
    spec = spec_of(
        [{"name": "cd", "type": "cdrom"}, {"name": "dump", "memory_dump": {"claim_name": "dump"}, "hotpluggable": True}]
    )
    assert spec["domain"]["devices"]["disks"] == [{"name": "cd", "cdrom": {}}]
    assert spec["volumes"] == [{"name": "dump", "memoryDump": {"claimName": "dump", "hotpluggable": True}}]


@pytest.mark.parametrize("hotpluggable", [True, False])
def test_hotpluggable_is_a_field_of_the_volume(hotpluggable: bool) -> None:
    template = {"data_volume_template": {"name": "t", "source": {"blank": {}}, "storage": {"size": "1Gi"}}}
    for source, field in ((CLAIM, "persistentVolumeClaim"), (template, "dataVolume")):
        found = spec_of([{"name": "d", "bus": "virtio", "hotpluggable": hotpluggable, **source}])["volumes"][0]
        assert found[field]["hotpluggable"] is hotpluggable


def test_a_template_is_the_volume_that_module_data_volume_applies() -> None:
    options: Entry = {
        "labels": {"app": "web", "tier": 1},
        "annotations": {"note": True},
        "binding": "immediate",
        "adopt_claim": True,
        "source": {"pvc": {"name": "golden"}},
        "storage": {"size": "2Gi", "storage_class_name": "fast", "access_modes": ["ReadWriteMany"]},
        "preallocation": True,
        "priority_class_name": "high",
    }
    found = rendered([disk(data_volume_template={"name": "web", **options})])
    applied = desired(volume(name="web", namespace=None, **options))
    assert found["dataVolumeTemplates"] == [
        {
            "metadata": {key: applied["metadata"][key] for key in ("name", "labels", "annotations")},
            "spec": applied["spec"],
        }
    ]
    assert found["template"]["spec"]["volumes"] == [{"name": "d", "dataVolume": {"name": "web"}}]
    assert found["dataVolumeTemplates"][0]["spec"]["source"] == {"pvc": {"name": "golden"}}


def test_a_template_has_the_options_of_the_module_that_describe_the_volume() -> None:
    of_the_module = {
        "namespace",
        "state",
        "check_source",
        "on_drift",
        "when_in_use",
        "keep_claim",
        "require_clone_method",
        "wait_for",
    }
    assert set(TEMPLATE_OPTIONS) - {"name"} == set(VOLUME_OPTIONS) - of_the_module
    assert set(SPEC_OPTIONS) <= set(TEMPLATE_OPTIONS)


@pytest.mark.parametrize("spec", VALID, ids=str)
def test_rendering_changes_no_input_and_is_repeatable(spec: Spec) -> None:
    disks, options = copy.deepcopy(spec.disks), copy.deepcopy(spec.options)
    first = render(checked(spec.disks, spec.options))
    assert (spec.disks, spec.options) == (disks, options)
    assert render(checked(spec.disks, spec.options)) == first == spec.fragment


def test_disks_and_volumes_keep_their_order() -> None:
    """The order decides the device names, and the index of a container disk."""
    names = ["b", "a", "c"]
    spec = spec_of([disk(name="b", **IMAGE), disk(name="a"), disk(name="c", empty_disk={"capacity": "1Gi"})])
    assert [each["name"] for each in spec["domain"]["devices"]["disks"]] == names
    assert [each["name"] for each in spec["volumes"]] == names
