# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that the rules of a disk as a device refuse."""

from __future__ import annotations

from tests.vm_disks.spec import ALL_GATES, CDROM, CLAIM, IMAGE, LUN, Spec, disk

DEVICES: list[Spec] = [
    Spec("name-upper-case", [disk(name="Data")], "name_is_a_label", "not a DNS label"),
    Spec("name-with-a-dot", [disk(name="a.b")], "name_is_a_label", "not a DNS label"),
    Spec("name-ends-with-a-hyphen", [disk(name="a-")], "name_is_a_label", "not a DNS label"),
    Spec("name-of-64-characters", [disk(name="n" * 64)], "name_is_a_label", "a name of 64 characters; use at most 63"),
    Spec("name-empty", [disk(name="")], "name_is_a_label", "an empty name"),
    Spec("tray-of-a-disk", [disk(tray="open")], "target_has_the_option", "tray='open' and type='disk'"),
    Spec("reservation-of-a-disk", [disk(reservation=True)], "target_has_the_option", "set type=lun"),
    Spec(
        "pci-address-of-a-cdrom",
        [{**CDROM, **CLAIM, "pci_address": "0000:81:01.0"}],
        "target_has_the_option",
        "type=disk",
    ),
    Spec("boot-order-0", [disk(boot_order=0)], "boot_order_is_positive", "boot_order=0"),
    Spec("serial-with-a-space", [disk(serial="A B")], "serial_has_allowed_characters", "serial='A B'"),
    Spec(
        "serial-of-257-characters",
        [disk(serial="A" * 257)],
        "serial_has_allowed_characters",
        "257 characters; use at most 256",
    ),
    Spec("serial-of-a-cdrom", [{**CDROM, **CLAIM, "serial": "A"}], "serial_has_an_effect", "only to type=disk"),
    Spec("serial-of-a-lun", [disk(**LUN, serial="A")], "serial_has_an_effect", "only to type=disk"),
    Spec("cdrom-on-virtio", [{**CDROM, **CLAIM, "bus": "virtio"}], "cdrom_is_not_virtio", "set bus=sata"),
    Spec(
        "read-only-on-sata",
        [disk(bus="sata", read_only=True)],
        "sata_disk_is_writable",
        "set bus=virtio or type=cdrom",
    ),
    Spec(
        "dedicated-thread-on-sata",
        [disk(bus="sata", dedicated_io_thread=True)],
        "dedicated_thread_needs_virtio",
        "bus='sata'",
    ),
    Spec(
        "dedicated-thread-on-scsi",
        [disk(bus="scsi", dedicated_io_thread=True)],
        "dedicated_thread_needs_virtio",
        "bus='scsi'",
    ),
    Spec(
        "dedicated-thread-of-a-cdrom",
        [{**CDROM, **CLAIM, "bus": "sata", "dedicated_io_thread": True}],
        "dedicated_thread_needs_virtio",
        "",
    ),
    Spec(
        "pci-address-on-scsi",
        [disk(bus="scsi", pci_address="0000:81:01.0")],
        "pci_address_needs_virtio",
        "set bus=virtio",
    ),
    Spec(
        "pci-address-without-a-bus",
        [{"name": "d", **CLAIM, "pci_address": "0000:81:01.0"}],
        "pci_address_needs_virtio",
        "no bus",
    ),
    Spec(
        "pci-address-malformed", [disk(pci_address="81:01.0")], "pci_address_needs_virtio", "for example 0000:81:01.0"
    ),
    Spec("pci-address-of-function-8", [disk(pci_address="0000:81:01.8")], "pci_address_needs_virtio", "0000:81:01.8"),
    Spec(
        "block-size-no-power-of-2",
        [disk(block_size={"custom": {"logical": 513, "physical": 4096}})],
        "block_size_is_supported",
        "logical=513",
    ),
    Spec(
        "block-size-256",
        [disk(block_size={"custom": {"logical": 256, "physical": 512}})],
        "block_size_is_supported",
        "from 512 to 2097152",
    ),
    Spec(
        "block-size-4-mebibytes",
        [disk(block_size={"custom": {"logical": 512, "physical": 4 << 20}})],
        "block_size_is_supported",
        "physical=4194304",
    ),
    Spec(
        "block-size-logical-larger",
        [disk(block_size={"custom": {"logical": 4096, "physical": 512}})],
        "block_size_is_supported",
        "larger than physical=512",
    ),
    Spec(
        "block-size-4096-on-sata",
        [disk(bus="sata", block_size={"custom": {"logical": 4096, "physical": 4096}})],
        "block_size_is_supported",
        "set logical=512",
    ),
    Spec(
        "block-size-granularity",
        [disk(block_size={"custom": {"logical": 512, "physical": 512, "discard_granularity": 700}})],
        "block_size_is_supported",
        "a multiple of logical=512",
    ),
    Spec(
        "block-size-twice",
        [disk(block_size={"custom": {"logical": 512, "physical": 512}, "match_volume": {}})],
        "block_size_is_supported",
        "give one of them",
    ),
    Spec(
        "dedicated-thread-without-a-bus",
        [{"name": "d", **CLAIM, "dedicated_io_thread": True}],
        "default_bus_suits",
        "amd64 uses sata",
    ),
    Spec(
        "read-only-without-a-bus", [{"name": "d", **CLAIM, "read_only": True}], "default_bus_suits", "amd64 uses sata"
    ),
    Spec(
        "block-size-without-a-bus",
        [{"name": "d", **CLAIM, "block_size": {"custom": {"logical": 4096, "physical": 4096}}}],
        "default_bus_suits",
        "logical=4096",
    ),
    Spec(
        "metrics-without-a-bus",
        [{"name": "d", "downward_metrics": {}}],
        "default_bus_suits",
        "set bus=virtio",
        ALL_GATES,
    ),
    Spec(
        "cdrom-without-a-bus-on-arm64",
        [{**CDROM, **CLAIM}],
        "default_bus_suits",
        "set bus=scsi",
        {"architecture": "arm64"},
    ),
    Spec(
        "sata-on-arm64",
        [disk(bus="sata")],
        "bus_exists_on_arm64",
        "set bus=virtio or bus=scsi",
        {"architecture": "arm64"},
    ),
    Spec("lun-on-virtio", [disk(type="lun")], "lun_needs_scsi", "set bus=scsi"),
    Spec("lun-without-a-bus", [{"name": "d", "type": "lun", **CLAIM}], "lun_needs_scsi", "no bus"),
    Spec(
        "native-io-with-a-cache",
        [disk(io="native", cache="writeback")],
        "native_io_needs_direct_io",
        "cache='writeback'",
    ),
    Spec(
        "shareable-with-a-cache",
        [disk(shareable=True, cache="writethrough")],
        "shared_disk_needs_direct_io",
        "set cache=none",
    ),
    Spec("shareable-container-disk", [disk(shareable=True, **IMAGE)], "shared_disk_needs_raw_data", "its own copy"),
    Spec("shareable-lun", [disk(**LUN, shareable=True)], "shareable_has_an_effect", "only type=disk"),
    Spec("cdrom-to-write", [{**CDROM, **CLAIM, "read_only": False}], "cdrom_is_read_only", "always read-only"),
    Spec(
        "block-size-of-no-volume",
        [{**CDROM, "block_size": {"match_volume": {}}}],
        "block_size_needs_a_medium",
        "no volume to match",
        ALL_GATES,
    ),
    Spec(
        "hotpluggable-container-disk",
        [disk(hotpluggable=True, **IMAGE)],
        "hotpluggable_volume_is_persistent",
        "leave hotpluggable out",
    ),
    Spec(
        "hotpluggable-on-sata",
        [disk(hotpluggable=True, bus="sata")],
        "hotplug_needs_a_bus",
        "set bus=virtio or bus=scsi",
    ),
    Spec(
        "memory-dump-with-a-bus", [disk(memory_dump={"claim_name": "d"})], "memory_dump_has_no_device", "leave bus out"
    ),
]
