# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to change so that a machine has the declared disks, in its template and in its running instance. Pure rules.

KubeVirt makes the next instance from the template, so that the template always has the declared disks. Whether the
running instance gets a change before that depends on the feature gates, on the disk, and on how the instance has it
(pkg/storage/hotplug/hotplug.go and pkg/storage/admitters/storagehotplug.go, v1.8.2).
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .._kubernetes.objects import Object
from .elements import (
    NOTHING,
    PLUGGABLE,
    SOURCE_FIELDS,
    Element,
    device_runs,
    elements_of,
    requested,
    requested_template,
    same,
    settled,
    template_spec,
    templates_of,
    volume_runs,
)
from .gates import DECLARATIVE, DECLARATIVE_GATE, HOTPLUG_GATE, IMPERATIVE, OFF, UNKNOWN
from .machine import SCSI, VIRTIO, Disk

# What a change is, for the result.
ATTACHED, DETACHED, CHANGED, INSERTED, EJECTED = "attached", "detached", "changed", "inserted", "ejected"
GROWN: t.Final = "grown"
_CDROM = "cdrom"
_MIGRATION = "Migration"
_ENDED = ("Succeeded", "Failed")
_GATES_OFF = f"the feature gates {DECLARATIVE_GATE} and {HOTPLUG_GATE} of KubeVirt are off"

_GATES_UNKNOWN = (
    'whether KubeVirt can change it is not known: grant the verb "list" on kubevirts.kubevirt.io, or "update" on '
    "virtualmachineinstances/removevolume.subresources.kubevirt.io"
)


class Entry(t.NamedTuple):
    """A declared disk, or one that shall not be there."""

    disk: Disk

    @property
    def name(self) -> str:
        return self.disk.name

    @property
    def present(self) -> bool:
        return bool(self.disk.options["state"] == "present")

    @property
    def deletes_volume(self) -> bool:
        return bool(self.disk.options["delete_volume"])

    @property
    def size(self) -> str | None:
        """The size of the disk, which its claim grows to."""
        template = self.disk.options["data_volume_template"] or {}
        target = template.get("storage") or template.get("pvc") or {}
        return self.disk.options["size"] or target.get("size")


class Declared(t.NamedTuple):
    """The declared disks of one machine. With `purge`, all others are removed."""

    entries: tuple[Entry, ...]
    purge: bool = False


@dataclass(frozen=True)
class Change:
    """One disk: what the template and the instance have, and what the template shall have.

    `running` is None without an instance. `hot`: KubeVirt changes the instance while it runs. `restart`: why the
    instance has the disk as declared only after a restart.
    """

    name: str
    stored: Element
    wanted: Element
    running: Element | None = None
    hot: bool = False
    restart: str = ""
    added_template: Object | None = None
    removed_template: str | None = None

    @property
    def writes(self) -> bool:
        """Whether the template changes."""
        return self.stored != self.wanted or self.added_template is not None or self.removed_template is not None

    @property
    def replaces(self) -> bool:
        """Whether the instance loses a volume before it gets the other one of the same name."""
        return self.hot and self.plugs and self.unplugs

    @property
    def plugs(self) -> bool:
        return self.hot and self.wanted.volume is not None

    @property
    def unplugs(self) -> bool:
        return self.hot and self.running is not None and self.running.volume is not None

    @property
    def action(self) -> str | None:
        """What happens to the disk; None if nothing does."""
        before = self.stored if self.writes else self.running if self.hot and self.running is not None else None
        if before is None:
            return None
        if self.wanted == NOTHING:
            return DETACHED
        if before == NOTHING:
            return ATTACHED
        if self.wanted.target == before.target == _CDROM and not same(self.wanted.volume, before.volume):
            return EJECTED if self.wanted.volume is None else INSERTED if before.volume is None else CHANGED
        return CHANGED


Plan = tuple[Change, ...]


def runs(instance: Object | None) -> bool:
    """Whether an instance has a guest, or will have it soon."""
    if instance is None or instance["metadata"].get("deletionTimestamp"):
        return False
    return (instance.get("status") or {}).get("phase") not in _ENDED


def plan(declared: Declared, machine: Object, instance: Object | None, way: str) -> Plan:
    """The changes of all disks that are declared or removed, also those without anything to do.

    `way` is how KubeVirt plugs (see `gates`); it only matters if `instance` runs.
    """
    stored, templates = elements_of(template_spec(machine)), templates_of(machine)
    running = elements_of(instance.get("spec")) if instance is not None and runs(instance) else None
    if (machine.get("spec") or {}).get("updateVolumesStrategy") == _MIGRATION and way == DECLARATIVE:
        # pkg/storage/hotplug/hotplug.go HandleDeclarativeVolumes, v1.8.2.
        why_off = "updateVolumesStrategy of the machine is Migration, with which KubeVirt plugs nothing"
    else:
        why_off = {OFF: _GATES_OFF, UNKNOWN: _GATES_UNKNOWN}.get(way, "")
    changes = [
        _declared(entry, stored.get(entry.name, NOTHING), templates, _running(running, entry.name), way, why_off)
        for entry in declared.entries
        if entry.present
    ]
    changes += [
        _removed(name, stored.get(name, NOTHING), _running(running, name), why_off)
        for name in _removed_names(declared, stored, running or {})
    ]
    return _with_removed_templates(changes, stored, templates)


def _running(running: t.Mapping[str, Element] | None, name: str) -> Element | None:
    return None if running is None else running.get(name, NOTHING)


def _removed_names(declared: Declared, stored: t.Mapping[str, Element], running: t.Mapping[str, Element]) -> list[str]:
    """Only an entry removes a volume without a device: KubeVirt adds memory dumps, and file systems have volumes.

    The instance has more disks than the template when they were attached to it alone (virtctl addvolume without
    --persist), or removed from the template since it started.
    """
    names = [entry.name for entry in declared.entries if not entry.present]
    listed = {entry.name for entry in declared.entries}
    if declared.purge:
        disks = {name: disk for side in (running, stored) for name, disk in side.items() if disk.device is not None}
        names += [name for name in disks if name not in listed]
    return names


def _declared(
    entry: Entry,
    stored: Element,
    templates: t.Mapping[str, Object],
    running: Element | None,
    way: str,
    why_off: str,
) -> Change:
    wanted = settled(requested(entry.disk), stored)
    template = requested_template(entry.disk)
    if template is not None and template["metadata"]["name"] in templates:
        template = None  # KubeVirt creates the volume once, and ignores later changes of its template.
    if running is None:
        return Change(entry.name, stored, wanted, added_template=template)
    same_device, same_volume = device_runs(wanted, running), volume_runs(wanted, running)
    if same_device and same_volume:
        return Change(entry.name, stored, wanted, running, added_template=template)
    if running == NOTHING:
        why = _not_attachable(wanted, entry.disk) or why_off
    elif same_device and wanted.target == _CDROM:
        why = _fixed_medium(wanted, running, entry.disk, way) or why_off
    elif not same_volume and running.is_hotpluggable and running.target != _CDROM:
        why = _not_attachable(wanted, entry.disk) or why_off
    elif not same_volume:
        why = "its volume was attached when the machine started, and not as hotpluggable"
    else:
        why = "KubeVirt does not change the device of an attached disk"
    if not why and wanted.volume is not None:
        plugged = wanted.hotpluggable()
        wanted = wanted if same(plugged.volume, wanted.volume) else plugged
    return Change(entry.name, stored, wanted, running, hot=not why, restart=why, added_template=template)


def _not_attachable(wanted: Element, disk: Disk) -> str:
    """Why the disk cannot be attached while the machine runs (storagehotplug.go ValidateHotplugDiskConfiguration)."""
    if wanted.target == _CDROM:
        return "a CD-ROM drive cannot be attached while the machine runs"
    if wanted.source not in PLUGGABLE:
        source = SOURCE_FIELDS.get(wanted.source or "", wanted.source)
        return f"{source} cannot be attached while the machine runs, only a claim or a DataVolume can"
    buses = (SCSI,) if wanted.target == "lun" else (VIRTIO, SCSI)
    if wanted.bus not in buses:
        bus = f"bus={wanted.bus}" if wanted.bus else "no bus"
        ways = " and ".join(f"bus={each}" for each in buses)
        return f"it has {bus}, and only disks with {ways} can be attached while the machine runs"
    return _marked_as_fixed(disk)


def _fixed_medium(wanted: Element, running: Element, disk: Disk, way: str) -> str:
    """Why the medium of a CD-ROM drive stays until a restart."""
    if running.volume is not None and not running.is_hotpluggable:
        return "its medium was inserted when the machine started, and not as hotpluggable"
    if wanted.volume is not None and wanted.source not in PLUGGABLE:
        return f"{SOURCE_FIELDS.get(wanted.source or '', wanted.source)} cannot be inserted while the machine runs"
    if way == IMPERATIVE:
        return (
            f"the feature gate {HOTPLUG_GATE} is on, with which KubeVirt changes no media; "
            f"enable {DECLARATIVE_GATE} instead"
        )
    return _marked_as_fixed(disk) if wanted.volume is not None else ""


def _marked_as_fixed(disk: Disk) -> str:
    return "it has hotpluggable=false" if disk.options["hotpluggable"] is False else ""


def _removed(name: str, stored: Element, running: Element | None, why_off: str) -> Change:
    if running is None or running == NOTHING:
        return Change(name, stored, NOTHING, running)
    if running.target == _CDROM:
        # pkg/virt-controller/watch/vm/vm.go validLiveUpdateDisks, v1.8.2.
        why = "a CD-ROM drive cannot be removed while the machine runs"
    elif not running.is_hotpluggable:
        why = "it was attached when the machine started, and not as hotpluggable"
    else:
        why = why_off
    return Change(name, stored, NOTHING, running, hot=not why, restart=why)


def _with_removed_templates(
    changes: list[Change], stored: t.Mapping[str, Element], templates: t.Mapping[str, Object]
) -> Plan:
    """Templates that no volume refers to any more: the webhook refuses them, and nothing is deleted with them.

    pkg/storage/admitters/data-volume-template.go ValidateDataVolumeTemplate, v1.8.2.
    """
    after = {**stored, **{change.name: change.wanted for change in changes}}
    referred = {_data_volume(element) for element in after.values()}
    result, removed = [], set[str]()
    for change in changes:
        name = _data_volume(change.stored)
        if name in templates and name not in referred and name not in removed:
            removed.add(t.cast(str, name))
            change = _replace(change, removed_template=name)
        result.append(change)
    return tuple(result)


def _replace(change: Change, *, removed_template: str | None) -> Change:
    return Change(**{**vars(change), "removed_template": removed_template})


def _data_volume(element: Element) -> str | None:
    return element.source_value.get("name") if element.source == "dataVolume" else None


def starts_migration(machine: Object, change: Change) -> bool:
    """Whether KubeVirt would copy the data of one volume to the other (vm.go handleVolumeUpdateRequest, v1.8.2)."""
    if (machine.get("spec") or {}).get("updateVolumesStrategy") != _MIGRATION or change.running is None:
        return False
    both = change.stored.source in PLUGGABLE and change.wanted.source in PLUGGABLE
    return both and change.stored.claim != change.wanted.claim
