# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the volume of one disk: its source, and how the source fits the disk. Pure rules."""

from __future__ import annotations

import base64
import binascii
import posixpath
import typing as t

from .._data_volume.validation import check as check_data_volume
from .._kubernetes.errors import CdiError
from .._kubernetes.public import public_url
from .._kubernetes.quantity import MIB, parse
from .machine import CLOUD_INIT, LONGEST_NAME, MEMORY_DUMP, PERSISTENT, VIRTIO, Disk, Machine
from .options import SOURCES, TEMPLATE_OPTIONS
from .rule import API, CLIENT, IGNORED, START, Rule, Sentences, listed

_LONGEST_CLOUD_INIT = 2048
# What KubeVirt adds to the name of a disk for a container or a volume of the pod, and which option leads to it.
_CONTAINER_PREFIX = "volume"
_SECRET_SUFFIXES = {"secret_ref": "-udata", "network_data_secret_ref": "-ndata"}
# Fields of DataVolumes that KubeVirt's CRD lacks: the API server drops them from a template, without a warning.
_DROPPED = ("service_account_name", "source.http.checksum")


def volume_has_one_source(disk: Disk, _machine: Machine) -> Sentences:
    given = disk.sources
    if len(given) > 1:
        yield f"has {' and '.join(given)}; a disk has one volume: give one of them"
    elif not given and disk.type != "cdrom":
        yield f"has no volume; give one of {', '.join(SOURCES)} (only a cdrom can be empty)"


def lun_needs_a_persistent_volume(disk: Disk, _machine: Machine) -> Sentences:
    if disk.type == "lun" and disk.source not in (None, *PERSISTENT):
        yield (
            f"has type='lun' and {disk.source}, but a LUN is a block device; use {listed(PERSISTENT, 'or')} "
            "with volume_mode=Block, or set type=disk"
        )


def metrics_need_a_virtio_disk(disk: Disk, _machine: Machine) -> Sentences:
    if disk.source != "downward_metrics":
        return
    if disk.type == "cdrom":
        yield f"has downward_metrics and type={disk.type!r}, but the metrics need a disk; set type=disk and bus=virtio"
    elif disk.type == "disk" and disk.bus not in (None, VIRTIO):
        yield f"has downward_metrics and bus={disk.bus!r}, but the metrics need a virtio disk; set bus=virtio"


def path_in_image_is_absolute(disk: Disk, _machine: Machine) -> Sentences:
    path = disk.volume.get("path") if disk.source == "container_disk" else None
    if not path:
        return
    if path == "/":
        yield "has container_disk.path='/'; give the path of a file, for example /disk/disk.qcow2"
    elif posixpath.normpath(posixpath.join("/", path)) != path.removesuffix("/") or path.startswith("//"):
        yield (
            f"has container_disk.path={path!r}; give an absolute path without '.', '..' and doubled '/', "
            "for example /disk/disk.qcow2"
        )


def image_has_a_name(disk: Disk, _machine: Machine) -> Sentences:
    if disk.source != "container_disk":
        return
    image = disk.volume["image"]
    if not image:
        yield "has an empty container_disk.image; give REGISTRY/NAME:TAG"
    elif "://" in image or any(character.isspace() for character in image):
        yield (
            f"has container_disk.image={public_url(image)!r}; give REGISTRY/NAME:TAG without a scheme or white space "
            "(docker:// is for source.registry of a DataVolume)"
        )


def host_disk_has_a_path(disk: Disk, _machine: Machine) -> Sentences:
    if disk.source == "host_disk" and not disk.volume["path"]:
        yield "has an empty host_disk.path; give the path of the image on the node, for example /data/disk.img"


def host_disk_path_is_absolute(disk: Disk, _machine: Machine) -> Sentences:
    path = disk.volume["path"] if disk.source == "host_disk" else None
    if path and (not path.startswith("/") or path.endswith("/") or ".." in path.split("/")):
        yield f"has host_disk.path={path!r}; give the absolute path of a file, for example /data/disk.img"


def existing_host_disk_has_no_capacity(disk: Disk, _machine: Machine) -> Sentences:
    if disk.source == "host_disk" and disk.volume["type"] == "Disk" and _size(disk.volume["capacity"]):
        yield (
            f"has host_disk.capacity={disk.volume['capacity']!r} and type='Disk', which must exist; "
            "leave capacity out, or set host_disk.type=DiskOrCreate"
        )


def created_disk_has_a_capacity(disk: Disk, _machine: Machine) -> Sentences:
    """A file of less than 1 MiB has no room for a disk: KubeVirt rounds down to MiB."""
    if disk.source == "empty_disk" or (disk.source == "host_disk" and disk.volume["type"] == "DiskOrCreate"):
        capacity = disk.volume["capacity"]
        if not capacity:
            yield f"has no {disk.source}.capacity; give the size of the disk to create, for example 1Gi"
        elif 0 <= _size(capacity) < MIB:
            yield f"has {disk.source}.capacity={capacity!r}; give at least 1Mi"


def capacity_is_a_quantity(disk: Disk, _machine: Machine) -> Sentences:
    capacity = disk.volume.get("capacity") if disk.source in ("empty_disk", "host_disk") else None
    if capacity and _size(capacity) < 0:
        yield f"has {disk.source}.capacity={capacity!r}; write for example 10Gi, 512Mi or 1000000000"


def _size(capacity: str | None) -> float:
    """A capacity in bytes, 0 without one, negative if it is not a positive quantity."""
    try:
        return float(parse(capacity)) if capacity else 0
    except ValueError:
        return -1


def cloud_init_has_data(disk: Disk, _machine: Machine) -> Sentences:
    if disk.source in CLOUD_INIT and not any(disk.volume.values()):
        yield f"has an empty {disk.source}; give user_data or secret_ref, or network_data or network_data_secret_ref"


def cloud_init_has_each_text_once(disk: Disk, _machine: Machine) -> Sentences:
    for kind, reference in (("user_data", "secret_ref"), ("network_data", "network_data_secret_ref")):
        options = (kind, f"{kind}_base64", reference)
        given = [option for option in options if disk.source in CLOUD_INIT and disk.volume[option]]
        if len(given) > 1:
            yield f"has {' and '.join(f'{disk.source}.{option}' for option in given)}; give one of them"


def cloud_init_text_fits(disk: Disk, _machine: Machine) -> Sentences:
    """Sentences have no value, because these texts are secret."""
    for kind, reference in (("user_data", "secret_ref"), ("network_data", "network_data_secret_ref")):
        text, encoded = (
            disk.volume.get(option) if disk.source in CLOUD_INIT else None for option in (kind, f"{kind}_base64")
        )
        data = (text or "").encode("utf-8", "surrogatepass")
        if encoded:
            try:
                # Go's decoder ignores line breaks and refuses everything else outside of the alphabet.
                data = base64.b64decode(encoded.replace("\n", "").replace("\r", ""), validate=True)
            except (binascii.Error, ValueError):
                yield f"has {disk.source}.{kind}_base64, which is not valid base64; encode it with filter b64encode"
                continue
        if len(data) > _LONGEST_CLOUD_INIT:
            option = f"{kind}_base64" if encoded else kind
            yield (
                f"has {disk.source}.{option} of {len(data)} bytes; KubeVirt accepts {_LONGEST_CLOUD_INIT}: "
                f"write it to a Secret, and give {reference}"
            )


def sysprep_has_one_reference(disk: Disk, _machine: Machine) -> Sentences:
    if disk.source == "sysprep" and not any(disk.volume.values()):
        yield "has an empty sysprep; give sysprep.secret or sysprep.config_map with an autounattend.xml"


def sysprep_reference_has_an_effect(disk: Disk, _machine: Machine) -> Sentences:
    if disk.source == "sysprep" and all(disk.volume.values()):
        yield "has sysprep.secret and sysprep.config_map, of which KubeVirt uses the Secret; give one of them"


def downward_api_fields_have_one_reference(disk: Disk, _machine: Machine) -> Sentences:
    for number, field in enumerate(disk.volume["fields"] if disk.source == "downward_api" else ()):
        if (field["field_ref"] is None) == (field["resource_field_ref"] is None):
            yield f"has downward_api.fields[{number}] that needs field_ref or resource_field_ref; give one of them"


def read_only_claim_has_a_read_only_disk(disk: Disk, _machine: Machine) -> Sentences:
    if (
        disk.source == "persistent_volume_claim"
        and disk.volume["read_only"]
        and disk.type != "cdrom"
        and not disk.options["read_only"]
    ):
        yield (
            "has persistent_volume_claim.read_only=true and a disk that can be written; "
            "set read_only=true on the disk as well, or use ephemeral to write to a copy"
        )


def memory_dump_has_the_name_of_its_claim(disk: Disk, _machine: Machine) -> Sentences:
    """KubeVirt finds the volume by that name, and removes it from the next instance, in which it would be a disk."""
    if disk.source == MEMORY_DUMP and disk.name != disk.volume["claim_name"]:
        claim = disk.volume["claim_name"]
        yield f"has memory_dump.claim_name={claim!r}, by which KubeVirt finds the volume; set its name to {claim!r}"


def names_in_pod_fit(disk: Disk, _machine: Machine) -> Sentences:
    added = {}
    if disk.source == "container_disk":
        added["container_disk"] = _CONTAINER_PREFIX
    if disk.source in CLOUD_INIT:
        added = {option: suffix for option, suffix in _SECRET_SUFFIXES.items() if disk.volume[option]}
    for option, text in added.items():
        if len(disk.name) <= LONGEST_NAME < len(disk.name) + len(text):
            yield (
                f"has {option} and a name of {len(disk.name)} characters, to which KubeVirt adds {text!r} in the pod; "
                f"use at most {LONGEST_NAME - len(text)}"
            )


def template_has_one_source_and_target(disk: Disk, _machine: Machine) -> Sentences:
    if disk.source == "data_volume_template" and not disk.volume["name"]:
        yield "has an empty data_volume_template.name; give the name of the DataVolume"
    elif _lacks_parts(disk):
        yield from _as_data_volume(disk)


def template_is_a_valid_volume(disk: Disk, _machine: Machine) -> Sentences:
    """CDI refuses such a DataVolume when KubeVirt creates it."""
    if disk.source == "data_volume_template" and disk.volume["name"] and not _lacks_parts(disk):
        yield from _as_data_volume(disk)


def _lacks_parts(disk: Disk) -> bool:
    if disk.source != "data_volume_template":
        return False
    targets = [disk.volume[option] for option in ("storage", "pvc") if disk.volume[option]]
    source = disk.volume["source"]
    sources = [value for value in (source or {}).values() if value is not None]
    if source is not None and not sources:
        return True
    sources += [disk.volume["source_ref"]] if disk.volume["source_ref"] else []
    sources += [target[option] for target in targets for option in ("data_source", "data_source_ref") if target[option]]
    return len(targets) != 1 or len(sources) != 1


def _as_data_volume(disk: Disk) -> Sentences:
    """The rules of module data_volume, as far as a template has the options."""
    try:
        # KubeVirt does not inspect the image: a template always needs a size.
        check_data_volume(template_volume(disk) | {"check_source": "never"})
    except CdiError as exc:
        yield f"has an invalid data_volume_template: {str(exc).rstrip('.')}"


def template_options_have_an_effect(disk: Disk, _machine: Machine) -> Sentences:
    for option in _DROPPED if disk.source == "data_volume_template" else ():
        value: t.Any = disk.volume
        for part in option.split("."):
            value = (value or {}).get(part)
        if value is not None:
            yield (
                f"has data_volume_template.{option}, which KubeVirt drops from a template without a warning; "
                "create the volume with module kubevirt.cdi.data_volume, and give data_volume"
            )


def template_volume(disk: Disk) -> dict[str, t.Any]:
    """The options of module data_volume for the template of a disk.

    KubeVirt puts the volume, and a source without a namespace, into that of the machine (pkg/storage/types/dv.go).
    """
    options = {option: disk.volume[option] for option in TEMPLATE_OPTIONS}
    return {
        **options,
        "namespace": None,
        "state": "present",
        "on_drift": "fail",
        "keep_claim": False,
        "check_source": "auto",
    }


_CREATE = "pkg/virt-api/webhooks/validating-webhook/admitters/vmi-create-admitter.go"
_TEMPLATE = "pkg/storage/admitters/data-volume-template.go ValidateDataVolumeTemplate"
_HOST_DISK = "pkg/host-disk/host-disk.go handleRequestedSizeAndCreateSparseRaw"
_RENDERER = "pkg/virt-controller/services/rendervolumes.go"
_CRD = "pkg/virt-operator/resource/generate/components/validations_generated.go"
VOLUME_RULES: t.Final = (
    Rule(volume_has_one_source, API, f"{_CREATE} validateVolumes, validateBootOrder"),
    Rule(lun_needs_a_persistent_volume, API, f"{_CREATE} validateBootOrder"),
    Rule(metrics_need_a_virtio_disk, API, f"{_CREATE} validateBootOrder"),
    Rule(path_in_image_is_absolute, API, "pkg/storage/admitters/disks.go ValidatePath"),
    Rule(image_has_a_name, START, "Kubernetes pkg/apis/core/validation/validation.go and the container runtime"),
    Rule(host_disk_has_a_path, API, f"{_CREATE} validateVolumes"),
    Rule(host_disk_path_is_absolute, START, f"{_RENDERER} handleHostDisk"),
    Rule(existing_host_disk_has_no_capacity, API, f"{_CREATE} validateVolumes"),
    Rule(created_disk_has_a_capacity, START, f"pkg/emptydisk/emptydisk.go CreateTemporaryDisks; {_HOST_DISK}"),
    Rule(capacity_is_a_quantity, API, _CRD),
    Rule(cloud_init_has_data, API, f"{_CREATE} validateVolumes"),
    Rule(cloud_init_has_each_text_once, API, f"{_CREATE} validateVolumes"),
    Rule(cloud_init_text_fits, API, f"{_CREATE} validateVolumes"),
    Rule(sysprep_has_one_reference, START, "pkg/virt-controller/services/template.go sysprepVolumeSource"),
    Rule(sysprep_reference_has_an_effect, IGNORED, "pkg/virt-controller/services/template.go sysprepVolumeSource"),
    Rule(downward_api_fields_have_one_reference, START, "Kubernetes pkg/apis/core/validation/validation.go"),
    Rule(read_only_claim_has_a_read_only_disk, START, f"{_RENDERER} handlePVCVolume"),
    Rule(memory_dump_has_the_name_of_its_claim, START, "pkg/storage/memorydump/memorydump.go"),
    Rule(names_in_pod_fit, START, f"pkg/container-disk/container-disk.go toContainerName; {_RENDERER}"),
    Rule(template_has_one_source_and_target, API, _TEMPLATE),
    Rule(template_is_a_valid_volume, START, "CDI pkg/apiserver/webhooks/datavolume-validate.go, v1.65.0"),
    Rule(template_options_have_an_effect, CLIENT, _CRD),
)
