# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of all disks of a machine: what they share, I/O threads, queues and feature gates. Pure rules."""

from __future__ import annotations

import collections
import typing as t

from .._kubernetes.quantity import parse
from .machine import CLOUD_INIT, MEMORY_DUMP, PERSISTENT, VIRTIO, Disk, Machine
from .rule import API, CLIENT, IGNORED, START, Rule, Sentences, listed

_MOST_DISKS = 256
# Characters of a serial that a virtio disk has room for (VIRTIO_BLK_ID_BYTES of the virtio specification).
_VIRTIO_SERIAL = 20
_POOL = "supplementalPool"
# The CRD has a signed 32-bit number.
_MOST_THREADS = 2**31 - 1


def names_are_unique(machine: Machine) -> Sentences:
    for name in _twice(disk.name for disk in machine.disks):
        yield f"Disk {name!r} is listed twice; give each disk a different name"


def boot_orders_are_unique(machine: Machine) -> Sentences:
    orders = [(disk.options["boot_order"], disk.name) for disk in machine.devices if disk.options["boot_order"]]
    for order in _twice(order for order, _name in orders):
        names = [name for each, name in orders if each == order]
        yield f"Disks {_listed(names)} have boot_order={order}; give each device a different number"


def serials_are_unique(machine: Machine) -> Sentences:
    """The guest finds a disk by its serial: a link in /dev/disk/by-id leads to one disk only."""
    serials = [(_serial_in_guest(disk, machine), disk.name) for disk in machine.devices if disk.options["serial"]]
    for serial in _twice(serial for serial, _name in serials):
        names = [name for each, name in serials if each == serial]
        yield f"Disks {_listed(names)} have serial={serial!r} in the guest; give each disk a different serial"


def _serial_in_guest(disk: Disk, machine: Machine) -> str:
    serial = str(disk.options["serial"])
    return serial[:_VIRTIO_SERIAL] if machine.bus_of(disk) == VIRTIO else serial


def disks_are_not_too_many(machine: Machine) -> Sentences:
    if len(machine.disks) > _MOST_DISKS:
        yield f"The machine has {len(machine.disks)} disks; KubeVirt accepts at most {_MOST_DISKS}"


def single_volumes_are_single(machine: Machine) -> Sentences:
    for source in ("service_account", "downward_metrics", MEMORY_DUMP):
        names = [disk.name for disk in machine.disks if disk.source == source]
        if len(names) > 1:
            yield f"Disks {_listed(names)} have {source}, which a machine has at most once; remove one of them"


def cloud_init_is_single(machine: Machine) -> Sentences:
    """KubeVirt makes one ISO image, of the first of these volumes (pkg/cloud-init/cloud-init.go, v1.8.2)."""
    names = [disk.name for disk in machine.disks if disk.source in CLOUD_INIT]
    if len(names) > 1:
        yield (
            f"Disks {_listed(names)} have cloud-init data, of which KubeVirt uses only the first; "
            f"put all data into disk {names[0]!r}"
        )


def claims_are_used_once(machine: Machine) -> Sentences:
    """The pod of a machine with a claim twice never starts, also if all of its disks only read it or share it: the
    kubelet mounts a claim as one volume of a pod, and waits for the other."""
    users = collections.defaultdict(list)
    for disk in machine.disks:
        if disk.claim:
            users[disk.claim].append(disk)
    for claim, disks in users.items():
        templates = [disk for disk in disks if disk.source == "data_volume_template"]
        if len(disks) > 1 and len(templates) < 2:
            yield (
                f"Disks {_listed([disk.name for disk in disks])} use the claim {claim!r}, "
                "which only one disk of a machine can use; give each disk a claim of its own"
            )


def templates_are_unique(machine: Machine) -> Sentences:
    templates = [disk for disk in machine.disks if disk.source == "data_volume_template"]
    for name in _twice(str(disk.volume["name"]) for disk in templates):
        yield (
            f"The DataVolume {name!r} is in two templates; give each data_volume_template a different name, "
            "or refer to it by data_volume"
        )


def threads_need_virtio(machine: Machine) -> Sentences:
    """Other buses have no I/O threads and no queues of their own."""
    if any(machine.bus_of(disk) == VIRTIO for disk in machine.devices):
        return
    for option in ("io_threads_policy", "block_multi_queue"):
        value = machine.options[option]
        if value:
            shown = str(value).lower() if isinstance(value, bool) else repr(value)
            yield (
                f"{option}={shown} has no effect, because no disk has bus=virtio; set bus=virtio, or leave {option} out"
            )


def pool_has_threads(machine: Machine) -> Sentences:
    if machine.options["io_threads_policy"] != _POOL:
        return
    number = _pool_size(machine)
    if number is None or not 1 <= number <= _MOST_THREADS:
        given = "" if number is None else f", and io_threads.supplemental_pool_thread_count is {number}"
        yield (
            f"io_threads_policy={_POOL!r} needs the number of threads{given}; "
            "give io_threads.supplemental_pool_thread_count with 1 or more"
        )


def pool_size_has_an_effect(machine: Machine) -> Sentences:
    policy, size = machine.options["io_threads_policy"], _pool_size(machine)
    if size is not None and policy != _POOL:
        yield (
            f"io_threads.supplemental_pool_thread_count={size} makes no threads with "
            f"{f'io_threads_policy={policy!r}' if policy else 'no io_threads_policy'}, although KubeVirt requests CPUs "
            f"for them; set io_threads_policy={_POOL}, or leave io_threads out"
        )


def dedicated_thread_has_an_effect(machine: Machine) -> Sentences:
    dedicated = [disk.name for disk in machine.devices if disk.has_dedicated_thread]
    if dedicated and machine.options["io_threads_policy"] == _POOL:
        yield (
            f"io_threads_policy={_POOL!r} spreads each disk over all threads, so that dedicated_io_thread of "
            f"{_listed(dedicated)} has no effect; leave it out, or set io_threads_policy=auto"
        )


def queues_need_cpus(machine: Machine) -> Sentences:
    """One queue for each vCPU: a machine without a number of CPUs has one."""
    if machine.options["block_multi_queue"] and machine.options["cpus"] is None:
        yield (
            "block_multi_queue=true needs the number of CPUs, because KubeVirt makes one queue for each; set "
            "resources.requests.cpu, resources.limits.cpu or cpu.cores of the machine, and pass the number as cpus"
        )


def cpus_is_positive(machine: Machine) -> Sentences:
    cpus = machine.options["cpus"]
    try:
        valid = cpus is None or parse(cpus) > 0
    except ValueError:
        valid = False
    if not valid:
        yield f"cpus={cpus!r} is not a number of CPUs; write for example 4 or 500m"


def empty_cdrom_needs_its_gate(machine: Machine) -> Sentences:
    names = [disk.name for disk in machine.disks if disk.type == "cdrom" and not disk.sources]
    yield from _gate(machine, names, "no volume", "DeclarativeHotplugVolumes", "give a volume")


def host_disk_needs_its_gate(machine: Machine) -> Sentences:
    yield from _gate(machine, _with(machine, "host_disk"), "host_disk", "HostDisk", "use persistent_volume_claim")


def metrics_need_their_gate(machine: Machine) -> Sentences:
    names = _with(machine, "downward_metrics")
    yield from _gate(machine, names, "downward_metrics", "DownwardMetrics", "remove the disk")


def reservation_needs_its_gate(machine: Machine) -> Sentences:
    names = [disk.name for disk in machine.disks if disk.type == "lun" and disk.options["reservation"]]
    yield from _gate(machine, names, "reservation=true", "PersistentReservation", "leave reservation out")


def hotplug_needs_a_gate(machine: Machine) -> Sentences:
    """The volume is attached when the machine starts. Without a gate nobody can attach or detach one later."""
    gates = machine.feature_gates
    if gates is None or {"HotplugVolumes", "DeclarativeHotplugVolumes"} & gates:
        return
    names = [disk.name for disk in machine.disks if disk.options["hotpluggable"] and disk.source in PERSISTENT]
    yield from _gate(machine, names, "hotpluggable=true", "DeclarativeHotplugVolumes", "leave hotpluggable out")


def changed_blocks_need_their_gate(machine: Machine) -> Sentences:
    names = [disk.name for disk in machine.disks if disk.options["changed_block_tracking"]]
    yield from _gate(
        machine, names, "changed_block_tracking=true", "IncrementalBackup", "leave changed_block_tracking out"
    )


def _gate(machine: Machine, names: list[str], what: str, gate: str, otherwise: str) -> Sentences:
    """Nothing if the enabled gates are not known."""
    if machine.feature_gates is not None and gate not in machine.feature_gates:
        for name in names:
            yield (
                f"Disk {name!r} has {what}, for which the feature gate {gate} is off; enable it in "
                f"spec.configuration.developerConfiguration.featureGates of the KubeVirt object, or {otherwise}"
            )


def _with(machine: Machine, source: str) -> list[str]:
    return [disk.name for disk in machine.disks if disk.source == source]


def _pool_size(machine: Machine) -> int | None:
    return t.cast("int | None", (machine.options["io_threads"] or {}).get("supplemental_pool_thread_count"))


def _twice(values: t.Iterable[t.Any]) -> list[t.Any]:
    return [value for value, times in collections.Counter(values).items() if times > 1]


def _listed(names: list[str]) -> str:
    return listed([repr(name) for name in names], "and")


_CREATE = "pkg/virt-api/webhooks/validating-webhook/admitters/vmi-create-admitter.go"
_IO_THREADS = "pkg/virt-launcher/virtwrap/converter/iothreads/iothreads.go"
_CONVERTER = "pkg/virt-launcher/virtwrap/converter/converter.go"
_CRD = "pkg/virt-operator/resource/generate/components/validations_generated.go"
MACHINE_RULES: t.Final = (
    Rule(names_are_unique, API, f"{_CREATE} validateVolumes; pkg/storage/admitters/disks.go validateDiskName"),
    Rule(boot_orders_are_unique, API, f"{_CREATE} validateBootOrder"),
    Rule(serials_are_unique, IGNORED, "systemd rules.d/60-persistent-storage.rules; virtio 1.2, 5.2.6"),
    Rule(disks_are_not_too_many, API, _CRD),
    Rule(single_volumes_are_single, API, f"{_CREATE} validateVolumes"),
    Rule(cloud_init_is_single, START, "pkg/cloud-init/cloud-init.go ReadCloudInitVolumeDataSource"),
    Rule(claims_are_used_once, START, "Kubernetes pkg/kubelet/volumemanager, v1.34"),
    Rule(templates_are_unique, START, "pkg/virt-controller/watch/vm/vm.go handleDataVolumes"),
    Rule(threads_need_virtio, IGNORED, f"{_CONVERTER} assignDiskIOThread, Convert_v1_Disk_To_api_Disk"),
    Rule(pool_has_threads, API, f"{_CREATE} validateIOThreadsPolicy"),
    Rule(pool_size_has_an_effect, IGNORED, f"{_IO_THREADS} SupplementalPoolThreadCount"),
    Rule(dedicated_thread_has_an_effect, IGNORED, f"{_CONVERTER} assignDiskIOThread"),
    Rule(queues_need_cpus, IGNORED, f"{_CONVERTER} Convert_v1_VirtualMachineInstance_To_api_Domain"),
    Rule(cpus_is_positive, CLIENT, f"{_CREATE} validateCPURequestNotNegative"),
)
# Rules that apply only if the enabled feature gates are known.
GATE_RULES: t.Final = (
    Rule(empty_cdrom_needs_its_gate, API, f"{_CREATE} validateBootOrder"),
    Rule(host_disk_needs_its_gate, API, f"{_CREATE} validateVolumes"),
    Rule(metrics_need_their_gate, API, f"{_CREATE} validateVolumes"),
    Rule(reservation_needs_its_gate, API, f"{_CREATE} validatePersistentReservation"),
    Rule(hotplug_needs_a_gate, IGNORED, "pkg/virt-api/rest/volumes.go; pkg/virt-controller/watch/vm/vm.go"),
    Rule(changed_blocks_need_their_gate, IGNORED, "pkg/storage/cbt/cbt.go"),
)
