# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of one disk of a virtual machine with the volume inside, and of the machine's disks as a whole.

Options are the fields of KubeVirt's API in snake_case (kubevirt.io/api/core/v1/schema.go, v1.8.2).
"""

from __future__ import annotations

import typing as t

from .._ansible.values import NAME, PLAIN, SIZE
from .._data_volume.options import SPEC_OPTIONS, VOLUME_OPTIONS

Options = dict[str, t.Any]


def _text(*names: str) -> Options:
    return {name: {"type": "str", "no_log": False} for name in names}


def _required(*names: str) -> Options:
    return {name: {"type": "str", "no_log": False, "required": True} for name in names}


def _flags(*names: str) -> Options:
    return {name: {"type": "bool"} for name in names}


def _choice(*choices: str) -> Options:
    return {"type": "str", "choices": list(choices)}


def _dict(options: Options, *, required: bool = False) -> Options:
    """References to Secrets are no secrets themselves."""
    return {"type": "dict", "options": options, "no_log": False, **({"required": True} if required else {})}


_CLAIM: Options = {**_required("claim_name"), **_flags("read_only")}
_OBJECT: Options = _dict(_required("name"))
# Texts of cloud-init, which can contain passwords and keys: no message shows them.
CLOUD_INIT_TEXTS = ("user_data", "user_data_base64", "network_data", "network_data_base64")
_CLOUD_INIT: Options = _dict(
    {
        "secret_ref": _OBJECT,
        "network_data_secret_ref": _OBJECT,
        **{name: {"type": "str", "no_log": True} for name in CLOUD_INIT_TEXTS},
    }
)
_DOWNWARD_API_FIELD: Options = {
    **_required("path"),
    "field_ref": _dict({**_required("field_path"), **_text("api_version")}),
    "resource_field_ref": _dict({**_required("resource"), **_text("container_name", "divisor")}),
    "mode": {"type": "int"},
}
# A DataVolume that KubeVirt creates with the machine: what module data_volume applies, but no option of the module.
TEMPLATE_OPTIONS: Options = {
    **_required("name"),
    **{option: VOLUME_OPTIONS[option] for option in ("labels", "annotations", "binding", "adopt_claim")},
    **SPEC_OPTIONS,
}
# A volume has exactly one of these. containerPath is not among them: it needs a file system and cannot be a disk.
SOURCES: Options = {
    "persistent_volume_claim": _dict(_CLAIM),
    "data_volume": _dict(_required("name")),
    "data_volume_template": _dict(TEMPLATE_OPTIONS),
    "container_disk": _dict(
        {
            **_required("image"),
            **_text("path", "image_pull_secret"),
            "image_pull_policy": _choice("Always", "IfNotPresent", "Never"),
        }
    ),
    "ephemeral": _dict({"persistent_volume_claim": _dict(_CLAIM, required=True)}),
    "empty_disk": _dict(_required("capacity")),
    "host_disk": _dict(
        {
            **_required("path"),
            "type": {**_choice("Disk", "DiskOrCreate"), "required": True},
            **_text("capacity"),
            **_flags("shared"),
        }
    ),
    "cloud_init_no_cloud": _CLOUD_INIT,
    "cloud_init_config_drive": _CLOUD_INIT,
    "config_map": _dict({**_required("name"), **_flags("optional"), **_text("volume_label")}),
    "secret": _dict({**_required("secret_name"), **_flags("optional"), **_text("volume_label")}),
    "service_account": _dict(_required("service_account_name")),
    "downward_metrics": _dict({}),
    "downward_api": _dict(
        {
            "fields": {"type": "list", "elements": "dict", "options": _DOWNWARD_API_FIELD, "required": True},
            **_text("volume_label"),
        }
    ),
    "sysprep": _dict({"secret": _OBJECT, "config_map": _OBJECT}),
    "memory_dump": _dict(_required("claim_name")),
}
# Fields of the disk, beside those of its target (`disk`, `lun` or `cdrom`).
DEVICE_OPTIONS: Options = {
    "boot_order": {"type": "int"},
    **_text("serial", "tag"),
    "cache": _choice("none", "writethrough", "writeback"),
    "io": _choice("native", "threads"),
    "error_policy": _choice("stop", "ignore", "report", "enospace"),
    "block_size": _dict(
        {
            "custom": _dict(
                {
                    "logical": {"type": "int", "required": True},
                    "physical": {"type": "int", "required": True},
                    "discard_granularity": {"type": "int"},
                }
            ),
            "match_volume": _dict(_flags("enabled")),
        }
    ),
    **_flags("dedicated_io_thread", "shareable", "changed_block_tracking"),
}
# Fields of the target, by the types of disks that have them.
TARGET_OPTIONS: dict[str, tuple[str, ...]] = {
    "bus": ("disk", "lun", "cdrom"),
    "read_only": ("disk", "lun", "cdrom"),
    "pci_address": ("disk",),
    "reservation": ("lun",),
    "tray": ("cdrom",),
}
_DISK: Options = {
    "name": {"type": "str", "required": True},
    "type": {**_choice("disk", "lun", "cdrom"), "default": "disk"},
    "bus": _choice("virtio", "scsi", "sata", "usb"),
    "tray": _choice("open", "closed"),
    **_flags("read_only", "reservation", "hotpluggable"),
    **_text("pci_address"),
}
DISK_OPTIONS: Options = {**_DISK, **DEVICE_OPTIONS, **SOURCES}
# An entry of module vm_disks, for a machine that exists.
ENTRY_OPTIONS: Options = {
    **DISK_OPTIONS,
    "state": {**_choice("present", "absent"), "default": "present"},
    **_text("size"),
    "delete_volume": {"type": "bool", "default": False},
}
MACHINE_OPTIONS: Options = {
    "io_threads_policy": _choice("shared", "auto", "supplementalPool"),
    "io_threads": _dict({"supplemental_pool_thread_count": {"type": "int"}}),
    "block_multi_queue": {"type": "bool"},
    # These are not rendered: they belong to the rest of the machine, and the rules need them.
    **_text("cpus"),
    "architecture": {**_choice("amd64", "arm64", "s390x"), "default": "amd64"},
    "feature_gates": {"type": "list", "elements": "str"},
}
KINDS = {
    **dict.fromkeys(("claim_name", "secret_name", "image_pull_secret"), NAME),
    **dict.fromkeys(
        ("image", "volume_label", "serial", "tag", "pci_address", "host_disk.path", "container_disk.path"),
        PLAIN,
    ),
    "capacity": SIZE,
}
