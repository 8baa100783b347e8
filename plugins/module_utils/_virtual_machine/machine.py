# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of a virtual machine as frozen values, and what follows from them alone. Pure rules."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .options import SOURCES

Options = t.Mapping[str, t.Any]

VIRTIO, SCSI, SATA, USB = "virtio", "scsi", "sata", "usb"
# The bus of disks without one (pkg/defaults/{amd64,arm64,s390x}.go, v1.8.2).
DEFAULT_BUS = {"amd64": SATA, "arm64": VIRTIO, "s390x": VIRTIO}
# Volumes that stay when the machine is deleted, and that KubeVirt can plug and unplug.
PERSISTENT = ("persistent_volume_claim", "data_volume", "data_volume_template")
# Volumes that KubeVirt makes for each instance as qcow2 (pkg/virt-launcher/virtwrap/converter/converter.go, v1.8.2).
OVERLAYS = ("container_disk", "ephemeral", "empty_disk")
CLOUD_INIT = ("cloud_init_no_cloud", "cloud_init_config_drive")
MEMORY_DUMP = "memory_dump"
# Of a DNS label, which the name of a disk is.
LONGEST_NAME = 63


@dataclass(frozen=True)
class Disk:
    """One entry: the disk and its volume. `options` has each option of DISK_OPTIONS, None if it is not set."""

    options: Options

    @property
    def name(self) -> str:
        return t.cast(str, self.options["name"])

    @property
    def title(self) -> str:
        """The beginning of a sentence."""
        return f"Disk {self.name!r}"

    @property
    def type(self) -> str:
        return t.cast(str, self.options["type"])

    @property
    def bus(self) -> str | None:
        return t.cast("str | None", self.options["bus"])

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that are given. A valid entry has one, and a cdrom without a medium has none."""
        return tuple(source for source in SOURCES if self.options[source] is not None)

    @property
    def source(self) -> str | None:
        return next(iter(self.sources), None)

    @property
    def volume(self) -> Options:
        """The options of the source, empty without one."""
        return t.cast(Options, self.options[self.source]) if self.source else {}

    @property
    def has_device(self) -> bool:
        """Whether the machine has a device for it. KubeVirt writes memory dumps to a volume without a disk."""
        return self.source != MEMORY_DUMP

    @property
    def claim(self) -> str | None:
        """The PersistentVolumeClaim of the volume, which has the name of its DataVolume."""
        if self.source in ("data_volume", "data_volume_template"):
            return t.cast(str, self.volume["name"])
        if self.source == "ephemeral":
            return t.cast(str, self.volume["persistent_volume_claim"]["claim_name"])
        return t.cast("str | None", self.volume.get("claim_name"))

    @property
    def has_dedicated_thread(self) -> bool:
        return bool(self.options["dedicated_io_thread"])


@dataclass(frozen=True)
class Machine:
    """The disks of a virtual machine in their order, and `options` with each option of MACHINE_OPTIONS."""

    disks: tuple[Disk, ...]
    options: Options

    @property
    def architecture(self) -> str:
        return t.cast(str, self.options["architecture"])

    @property
    def feature_gates(self) -> frozenset[str] | None:
        """The enabled feature gates of KubeVirt, None if they are not known."""
        gates = self.options["feature_gates"]
        return None if gates is None else frozenset(gates)

    @property
    def devices(self) -> tuple[Disk, ...]:
        return tuple(disk for disk in self.disks if disk.has_device)

    def bus_of(self, disk: Disk) -> str:
        """The bus that KubeVirt uses. A preference can set another default, which is not known here."""
        return disk.bus or DEFAULT_BUS[self.architecture]
