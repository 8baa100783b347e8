# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of a stored machine: the device and the volume of one name, what they mean, and which options they have.

Pure rules. KubeVirt writes the machine from typed structures: a false boolean or an empty text that was sent is gone
afterwards, and a quantity has another spelling. Both spellings mean the same.
"""

from __future__ import annotations

import typing as t

from .._ansible.fields import field_name
from .._kubernetes.objects import Object
from .._kubernetes.quantity import parse
from .machine import MEMORY_DUMP, PERSISTENT, Disk
from .options import DEVICE_OPTIONS, ENTRY_OPTIONS, SOURCES, TARGET_OPTIONS
from .rendering import TARGET_FIELDS, TEMPLATE, disk_element, template_element, volume_element

TARGETS = ("disk", "lun", "cdrom")
# Fields of volumes by their options. A template is a dataVolume in `volumes`.
SOURCE_FIELDS = {field_name(option): option for option in SOURCES if option != TEMPLATE}
# Volumes that KubeVirt can plug (pkg/storage/types/volume.go IsDeclarativeHotplugVolume, v1.8.2).
PLUGGABLE = tuple(field_name(option) for option in PERSISTENT if option != TEMPLATE)
_KNOWN_DEVICE = {field_name(option) for option in DEVICE_OPTIONS} | {*TARGETS, "name"}
_KNOWN_TARGET = {TARGET_FIELDS.get(option, field_name(option)) for option in TARGET_OPTIONS}
_HOTPLUGGABLE = "hotpluggable"
# Empty dictionaries that mean something, and booleans whose false is not the default.
_MEANINGFUL_WHEN_EMPTY = (*TARGETS, *SOURCE_FIELDS, "matchVolume")
_MEANINGFUL_WHEN_FALSE = ("enabled",)
_QUANTITIES = ("capacity", "divisor")
# What the instance has beside the template: defaults, and what a preference sets (pkg/defaults, pkg/instancetype/
# preference/apply/disk.go, v1.8.2).
_SET_ON_DEVICE = ("cache", "io", "dedicatedIOThread", "blockSize")
_SET_ON_TARGET = ("bus", "readonly", "tray")
_SET_ON_VOLUME = (_HOTPLUGGABLE, "imagePullPolicy")


class Element(t.NamedTuple):
    """A disk of a machine. One of the two is None for an empty drive, or for a volume without a device."""

    device: Object | None = None
    volume: Object | None = None

    @property
    def target(self) -> str | None:
        """`disk`, `lun` or `cdrom`; None without a device. A device that names none is a disk."""
        if self.device is None:
            return None
        return next((name for name in TARGETS if self.device.get(name) is not None), "disk")

    @property
    def bus(self) -> str | None:
        return ((self.device or {}).get(self.target or "") or {}).get("bus") or None

    @property
    def source(self) -> str | None:
        """The field of the volume: `dataVolume`, `containerDisk`."""
        return next((field for field in self.volume or {} if field != "name"), None)

    @property
    def source_value(self) -> Object:
        return (self.volume or {}).get(self.source or "") or {}

    @property
    def claim(self) -> str | None:
        """The name of the claim, which is that of its DataVolume."""
        value = self.source_value
        if self.source == "dataVolume":
            return value.get("name")
        return (value.get("persistentVolumeClaim") or {}).get("claimName") or value.get("claimName")

    @property
    def is_hotpluggable(self) -> bool:
        return self.source in PLUGGABLE and bool(self.source_value.get(_HOTPLUGGABLE))

    def hotpluggable(self) -> Element:
        """The same with a volume that KubeVirt may plug."""
        value = {**self.source_value, _HOTPLUGGABLE: True}
        return self._replace(volume={**(self.volume or {}), self.source or "": value})


NOTHING: t.Final = Element()


def elements_of(spec: Object | None) -> dict[str, Element]:
    """The disks of the `spec` of an instance, or of a machine's template, by their names in the order of devices."""
    spec = spec or {}
    devices = {each["name"]: each for each in devices_of(spec)}
    volumes = {each["name"]: each for each in spec.get("volumes") or []}
    return {name: Element(devices.get(name), volumes.get(name)) for name in {**devices, **volumes}}


def devices_of(spec: Object) -> list[Object]:
    return ((spec.get("domain") or {}).get("devices") or {}).get("disks") or []


def template_spec(machine: Object) -> Object:
    return (((machine.get("spec") or {}).get("template") or {}).get("spec")) or {}


def templates_of(machine: Object) -> dict[str, Object]:
    """The elements of `dataVolumeTemplates` by the names of their DataVolumes."""
    found = (machine.get("spec") or {}).get("dataVolumeTemplates") or []
    return {str((each.get("metadata") or {}).get("name")): each for each in found}


def requested(disk: Disk) -> Element:
    """What a declared disk is in the machine."""
    return Element(
        disk_element(disk) if disk.has_device else None, volume_element(disk, disk.source) if disk.source else None
    )


def requested_template(disk: Disk) -> Object | None:
    return template_element(disk) if disk.source == TEMPLATE else None


def settled(wanted: Element, stored: Element) -> Element:
    """The element to write: the stored one where it means the same.

    An option that is left out resets its field, but the bus and `hotpluggable` keep what is stored. Fields that no
    option has are kept.
    """
    device, volume = wanted.device, wanted.volume
    if device is not None and stored.device is not None:
        device = {**{key: value for key, value in stored.device.items() if key not in _KNOWN_DEVICE}, **device}
        target = wanted.target or ""
        if stored.target == target:
            before = stored.device.get(target) or {}
            kept = {key: value for key, value in before.items() if key not in _KNOWN_TARGET}
            kept |= {"bus": before["bus"]} if before.get("bus") else {}
            device[target] = {**kept, **device[target]}
    if volume is not None and wanted.source and wanted.source == stored.source:
        known = {field_name(option) for option in SOURCES[SOURCE_FIELDS[wanted.source]]["options"]}
        before = stored.source_value
        kept = {key: value for key, value in before.items() if key not in known}
        volume = {"name": volume["name"], wanted.source: {**kept, **wanted.source_value}}
    return Element(
        stored.device if same(device, stored.device) else device,
        stored.volume if same(volume, stored.volume) else volume,
    )


def means(value: t.Any) -> t.Any:
    """A value without fields that are not set, for comparison."""
    if isinstance(value, list):
        return [means(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        item = means(item)
        if item in (None, "", [], {}) and not (item == {} and key in _MEANINGFUL_WHEN_EMPTY):
            continue
        if item is False and key not in _MEANINGFUL_WHEN_FALSE:
            continue
        kept[key] = _one_spelling(item) if key in _QUANTITIES else item
    return kept


def _one_spelling(quantity: t.Any) -> t.Any:
    try:
        return str(parse(quantity).normalize())
    except ValueError:
        return quantity


def same(one: Object | None, other: Object | None) -> bool:
    """Whether two devices, or two volumes, mean the same."""
    return bool(means(_with_target(one)) == means(_with_target(other)))


def _with_target(device: Object | None) -> Object | None:
    """A device that names no target is a disk (api/core/v1/defaults.go SetDefaults_DiskDevice, v1.8.2)."""
    if device is None or set(device).intersection((*TARGETS, *SOURCE_FIELDS)):
        return device
    return {**device, "disk": {}}


def device_runs(wanted: Element, running: Element) -> bool:
    """Whether the instance has the device as the template has it, with what KubeVirt and preferences add."""
    requested = means(_with_target(wanted.device))
    return bool(_without(requested, means(_with_target(running.device))) == requested)


def _without(wanted: t.Any, running: t.Any) -> t.Any:
    """The device of the instance, without fields that were added to those of the template."""
    if not isinstance(wanted, dict) or not isinstance(running, dict):
        return running
    found = {key: value for key, value in running.items() if key in wanted or key not in _SET_ON_DEVICE}
    for target in TARGETS:
        below = found.get(target)
        if isinstance(below, dict) and isinstance(wanted.get(target), dict):
            given = wanted[target]
            found[target] = {key: value for key, value in below.items() if key in given or key not in _SET_ON_TARGET}
    return found


def volume_runs(wanted: Element, running: Element) -> bool:
    """Whether the instance has the volume of the template, attached at its start or later."""
    if wanted.source != running.source:
        return False

    def compared(element: Element) -> Object:
        return {key: value for key, value in element.source_value.items() if key not in _SET_ON_VOLUME}

    return bool(means(compared(wanted)) == means(compared(running)))


def options_of(name: str, element: Element) -> Disk:
    """A stored disk as an entry, for the rules of all disks. Parts of the API that no option has are left out."""
    options: dict[str, t.Any] = {option: spec.get("default") for option, spec in ENTRY_OPTIONS.items()}
    options |= {"name": name, **_read(element.device or {}, DEVICE_OPTIONS)}
    if element.device is not None:
        options["type"], target = element.target, element.device.get(element.target or "") or {}
        fields = {option: TARGET_FIELDS.get(option, field_name(option)) for option in TARGET_OPTIONS}
        options |= {option: target.get(field) for option, field in fields.items()}
    source = SOURCE_FIELDS.get(element.source or "")
    if source:
        options[source] = _read(element.source_value, SOURCES[source]["options"])
        if source in (*PERSISTENT, MEMORY_DUMP):
            options["hotpluggable"] = element.source_value.get(_HOTPLUGGABLE)
    return Disk(options)


def _read(value: Object, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options for the fields of an object: the reverse of `to_fields`."""
    found: dict[str, t.Any] = {}
    for option, spec in options.items():
        item, below = value.get(field_name(option)), spec.get("options")
        if below and item is None and spec.get("required"):
            item = [] if spec["type"] == "list" else {}
        if below and isinstance(item, list):
            item = [_read(each, below) for each in item]
        elif below and isinstance(item, dict):
            item = _read(item, below)
        found[option] = item
    return found
