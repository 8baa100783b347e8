# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of one disk as a device: its type, bus, boot order, block size and so on. Pure rules."""

from __future__ import annotations

import re
import typing as t

from .._data_volume.spec import value_text
from .machine import LONGEST_NAME, MEMORY_DUMP, OVERLAYS, PERSISTENT, SATA, SCSI, USB, VIRTIO, Disk, Machine
from .options import DEVICE_OPTIONS, TARGET_OPTIONS
from .rule import API, CLIENT, IGNORED, INSTANCE, START, Rule, Sentences, listed

_LONGEST_SERIAL = 256
_SMALLEST_BLOCK, _LARGEST_BLOCK = 512, 2 << 20
_PCI_ADDRESS = re.compile(r"[\da-fA-F]{4}:[\da-fA-F]{2}:[\da-fA-F]{2}\.[0-7]")
_DIRECT_IO = "none"


def name_is_a_label(disk: Disk, _machine: Machine) -> Sentences:
    """Also the name of a container or of a volume of the pod, as which Kubernetes requires a DNS label."""
    name = disk.name
    if not name:
        yield "has an empty name; give one, for example root"
    elif len(name) > LONGEST_NAME:
        yield f"has a name of {len(name)} characters; use at most {LONGEST_NAME}"
    elif not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        yield (
            "has a name that is not a DNS label; use lower case letters, digits and '-', "
            "and start and end with a letter or a digit"
        )


def target_has_the_option(disk: Disk, _machine: Machine) -> Sentences:
    for option, types in TARGET_OPTIONS.items():
        value = disk.options[option]
        if value is not None and disk.type not in types:
            yield (
                f"has {option}={value_text(value)} and type={disk.type!r}, but only type={types[0]} has this option; "
                f"leave {option} out, or set type={types[0]}"
            )


def boot_order_is_positive(disk: Disk, _machine: Machine) -> Sentences:
    order = disk.options["boot_order"]
    if order is not None and order < 1:
        yield f"has boot_order={order}; give 1 for the first device to boot from, 2 for the second, and so on"


def serial_has_allowed_characters(disk: Disk, _machine: Machine) -> Sentences:
    serial = disk.options["serial"]
    if serial and not re.fullmatch(r"[A-Za-z0-9_.+-]+", serial):
        yield f"has serial={serial!r}; use only letters, digits, '_', '.', '+' and '-'"
    if serial and len(serial) > _LONGEST_SERIAL:
        yield f"has a serial of {len(serial)} characters; use at most {_LONGEST_SERIAL}"


def serial_has_an_effect(disk: Disk, _machine: Machine) -> Sentences:
    if disk.options["serial"] and disk.type != "disk":
        yield (
            f"has serial={disk.options['serial']!r} and type={disk.type!r}, but KubeVirt passes a serial only to "
            "type=disk; leave serial out, or set type=disk"
        )


def cdrom_is_not_virtio(disk: Disk, machine: Machine) -> Sentences:
    if disk.type == "cdrom" and disk.bus == VIRTIO:
        instead = SCSI if machine.architecture == "arm64" else SATA
        yield f"has type='cdrom' and bus='virtio', which has no CD-ROM drives; set bus={instead}"


def sata_disk_is_writable(disk: Disk, _machine: Machine) -> Sentences:
    if disk.type == "disk" and disk.bus == SATA and disk.options["read_only"]:
        yield "has read_only=true and bus='sata', whose hard disks are always writable; set bus=virtio or type=cdrom"


def dedicated_thread_needs_virtio(disk: Disk, _machine: Machine) -> Sentences:
    if disk.has_dedicated_thread and disk.bus not in (None, VIRTIO):
        yield (
            f"has dedicated_io_thread=true and bus={disk.bus!r}, but only virtio disks have I/O threads; "
            "set bus=virtio, or leave dedicated_io_thread out"
        )


def pci_address_needs_virtio(disk: Disk, _machine: Machine) -> Sentences:
    address = disk.options["pci_address"]
    if not address or disk.type != "disk":
        return
    if disk.bus != VIRTIO:
        bus = f"bus={disk.bus!r}" if disk.bus else "no bus"
        yield f"has pci_address={address!r} and {bus}, but only virtio disks have a PCI address; set bus=virtio"
    if not _PCI_ADDRESS.fullmatch(address):
        yield f"has pci_address={address!r}; write it as DOMAIN:BUS:SLOT.FUNCTION, for example 0000:81:01.0"


def block_size_is_supported(disk: Disk, _machine: Machine) -> Sentences:
    size = disk.options["block_size"] or {}
    custom, match = size.get("custom"), size.get("match_volume")
    if not custom:
        return
    if match and match["enabled"] is not False:
        yield "has block_size.custom and block_size.match_volume; give one of them"
        return
    for field in ("logical", "physical"):
        number = custom[field]
        if not _SMALLEST_BLOCK <= number <= _LARGEST_BLOCK or number & (number - 1):
            yield (
                f"has block_size.custom.{field}={number}; give a power of 2 from {_SMALLEST_BLOCK} to {_LARGEST_BLOCK}"
            )
    if custom["logical"] > custom["physical"]:
        yield (
            f"has block_size.custom.logical={custom['logical']}, which is larger than physical={custom['physical']}; "
            "set logical to physical or less"
        )
    if disk.bus == SATA and custom["logical"] != _SMALLEST_BLOCK:
        yield _sata_block(custom["logical"], "bus='sata'")
    granularity = custom["discard_granularity"]
    if granularity is not None and (granularity < 0 or (custom["logical"] > 0 and granularity % custom["logical"])):
        yield (
            f"has block_size.custom.discard_granularity={granularity}; "
            f"give a multiple of logical={custom['logical']}, or 0"
        )


def _sata_block(logical: int, bus: str) -> str:
    return (
        f"has block_size.custom.logical={logical} and {bus}, whose drives have blocks of {_SMALLEST_BLOCK} bytes; "
        f"set logical={_SMALLEST_BLOCK}, or bus=virtio"
    )


def default_bus_suits(disk: Disk, machine: Machine) -> Sentences:
    """KubeVirt sets the bus of a disk without one when it makes the instance, after it has accepted the machine."""
    if disk.bus or not disk.has_device:
        return
    bus = machine.bus_of(disk)
    default = f"no bus, so that {machine.architecture} uses {bus}"
    custom = (disk.options["block_size"] or {}).get("custom") or {}
    if disk.type == "cdrom" and bus == VIRTIO:
        yield f"has type='cdrom' and {default}, which has no CD-ROM drives; set bus=scsi"
    if bus != SATA:
        return
    if disk.has_dedicated_thread:
        yield f"has dedicated_io_thread=true and {default}, but only virtio disks have I/O threads; set bus=virtio"
    if disk.type == "disk" and disk.options["read_only"]:
        yield f"has read_only=true and {default}, whose hard disks are always writable; set bus=virtio or type=cdrom"
    if custom and custom["logical"] != _SMALLEST_BLOCK:
        yield _sata_block(custom["logical"], default)
    if disk.type == "disk" and disk.source == "downward_metrics":
        yield f"has downward_metrics and {default}, but the metrics need a virtio disk; set bus=virtio"


def bus_exists_on_arm64(disk: Disk, machine: Machine) -> Sentences:
    if machine.architecture == "arm64" and disk.bus in (SATA, USB):
        yield f"has bus={disk.bus!r}, which arm64 does not support; set bus=virtio or bus=scsi"


def lun_needs_scsi(disk: Disk, _machine: Machine) -> Sentences:
    if disk.type == "lun" and disk.bus != SCSI:
        bus = f"bus={disk.bus!r}" if disk.bus else "no bus"
        yield f"has type='lun' and {bus}, but SCSI commands need a SCSI controller; set bus=scsi"


def native_io_needs_direct_io(disk: Disk, _machine: Machine) -> Sentences:
    cache = disk.options["cache"]
    if disk.options["io"] == "native" and cache not in (None, _DIRECT_IO):
        yield f"has io='native' and cache={cache!r}, but native I/O bypasses the cache; set cache=none or io=threads"


def shared_disk_needs_direct_io(disk: Disk, _machine: Machine) -> Sentences:
    cache = disk.options["cache"]
    if disk.options["shareable"] and disk.type == "disk" and cache not in (None, _DIRECT_IO):
        yield (
            f"has shareable=true and cache={cache!r}, but machines that share a disk would read stale data from the "
            "cache; set cache=none"
        )


def shared_disk_needs_raw_data(disk: Disk, _machine: Machine) -> Sentences:
    """KubeVirt makes these volumes as qcow2 overlays, one for each instance."""
    if disk.options["shareable"] and disk.type == "disk" and disk.source in OVERLAYS:
        yield (
            f"has shareable=true and {disk.source}, of which each machine has its own copy; "
            "leave shareable out, or use persistent_volume_claim"
        )


def shareable_has_an_effect(disk: Disk, _machine: Machine) -> Sentences:
    if disk.options["shareable"] and disk.type != "disk":
        yield (
            f"has shareable=true and type={disk.type!r}, but KubeVirt shares only type=disk; "
            "leave shareable out, or set type=disk"
        )


def cdrom_is_read_only(disk: Disk, _machine: Machine) -> Sentences:
    if disk.type == "cdrom" and disk.options["read_only"] is False:
        yield "has type='cdrom' and read_only=false, but a CD-ROM is always read-only; use type=disk to write"


def block_size_needs_a_medium(disk: Disk, _machine: Machine) -> Sentences:
    match = (disk.options["block_size"] or {}).get("match_volume")
    if match and match["enabled"] is not False and not disk.sources:
        yield "has block_size.match_volume and no volume to match; leave block_size out, or give a volume"


def hotpluggable_volume_is_persistent(disk: Disk, _machine: Machine) -> Sentences:
    if disk.options["hotpluggable"] and disk.source not in (*PERSISTENT, MEMORY_DUMP):
        has = disk.source or "no volume"
        yield (
            f"has hotpluggable=true and {has}, but KubeVirt plugs only {listed(PERSISTENT, 'and')}; "
            "leave hotpluggable out"
        )


def hotplug_needs_a_bus(disk: Disk, machine: Machine) -> Sentences:
    """A machine starts with such a disk, but cannot detach it. A drive of a CD-ROM stays, its medium is plugged."""
    bus = machine.bus_of(disk)
    if disk.options["hotpluggable"] and disk.has_device and disk.type == "disk" and bus not in (VIRTIO, SCSI):
        what = f"bus={bus!r}" if disk.bus else f"no bus, so that {machine.architecture} uses {bus}"
        yield f"has hotpluggable=true and {what}, which cannot be plugged; set bus=virtio or bus=scsi"


def memory_dump_has_no_device(disk: Disk, _machine: Machine) -> Sentences:
    if disk.has_device:
        return
    given = [option for option in (*DEVICE_OPTIONS, *TARGET_OPTIONS) if disk.options[option] is not None]
    given += ["type"] if disk.type != "disk" else []
    if given:
        yield f"has memory_dump and {' and '.join(given)}, but a memory dump is not a device; leave {given[0]} out"


_DISKS = "pkg/storage/admitters/disks.go"
_CONVERTER = "pkg/virt-launcher/virtwrap/converter/converter.go"
_QEMU_VALIDATE = "libvirt src/qemu/qemu_validate.c"
_HOTPLUG = "pkg/storage/admitters/storagehotplug.go ValidateHotplugDiskConfiguration"
DEVICE_RULES: t.Final = (
    Rule(name_is_a_label, API, f"{_DISKS} validateDiskNameAsContainerName"),
    Rule(target_has_the_option, CLIENT, "api/core/v1/schema.go DiskTarget, LunTarget, CDRomTarget"),
    Rule(boot_order_is_positive, API, f"{_DISKS} validateBootOrderValue"),
    Rule(serial_has_allowed_characters, API, f"{_DISKS} validateSerialNumValue, validateSerialNumLength"),
    Rule(serial_has_an_effect, IGNORED, f"{_CONVERTER} Convert_v1_Disk_To_api_Disk"),
    Rule(cdrom_is_not_virtio, API, f"{_DISKS} validateBusSupport"),
    Rule(sata_disk_is_writable, API, f"{_DISKS} validateBusSupport"),
    Rule(dedicated_thread_needs_virtio, API, f"{_DISKS} validateBusSupport"),
    Rule(pci_address_needs_virtio, API, f"{_DISKS} validatePciAddress"),
    Rule(block_size_is_supported, API, f"{_DISKS} validateBlockSize"),
    Rule(default_bus_suits, INSTANCE, "pkg/defaults/{amd64,arm64,s390x}.go; " + f"{_DISKS} validateBusSupport"),
    Rule(bus_exists_on_arm64, INSTANCE, "pkg/virt-api/webhooks/arm64.go validateDiskBus"),
    Rule(lun_needs_scsi, START, f"{_QEMU_VALIDATE} qemuValidateDomainDeviceDefDiskFrontend"),
    Rule(native_io_needs_direct_io, START, f"{_QEMU_VALIDATE} qemuValidateDomainDeviceDefDiskFrontend"),
    Rule(shared_disk_needs_direct_io, START, f"{_CONVERTER} Convert_v1_Disk_To_api_Disk"),
    Rule(shared_disk_needs_raw_data, START, f"{_QEMU_VALIDATE} qemuValidateDomainDeviceDefDisk"),
    Rule(shareable_has_an_effect, IGNORED, f"{_CONVERTER} Convert_v1_Disk_To_api_Disk"),
    Rule(cdrom_is_read_only, IGNORED, "libvirt src/conf/domain_postparse.c virDomainDiskDefPostParse"),
    Rule(block_size_needs_a_medium, START, f"{_CONVERTER} Convert_v1_BlockSize_To_api_BlockIO"),
    Rule(hotpluggable_volume_is_persistent, CLIENT, "api/core/v1/schema.go VolumeSource"),
    Rule(hotplug_needs_a_bus, IGNORED, _HOTPLUG),
    Rule(memory_dump_has_no_device, CLIENT, "pkg/storage/memorydump/memorydump.go"),
)
