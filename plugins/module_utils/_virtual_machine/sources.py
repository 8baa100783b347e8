# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the claims of disks can be used: what the webhook accepts, and with which the machine does not start.

Pure rules: what was read goes in, sentences come out.
"""

from __future__ import annotations

import re
import typing as t

from .._kubernetes.objects import Key, Object, conditions
from .._storage.scratch_need import asked_size
from .elements import SOURCE_FIELDS, Element, same
from .plan import Change
from .rule import listed

_SHARED_MODES = ("ReadWriteMany", "ReadOnlyMany")
_ONE_POD = "ReadWriteOncePod"
# Of CDI's importer and upload server (pkg/image/validate.go, pkg/importer/data-processor.go, v1.65.0).
_TOO_SMALL = "too small to contain image|larger than the reported available"
_CREATE = "create it with module kubevirt.cdi.data_volume"


class Source(t.NamedTuple):
    """The claim of a disk and its DataVolume, None if there is none, and its users as `user_facts` returns them."""

    claim: Object | None
    data_volume: Object | None
    users: t.Mapping[str, t.Any]


def needs_source(change: Change) -> bool:
    """Whether the change makes the machine use a claim that it did not use before."""
    if change.wanted.claim is None or change.added_template is not None:
        return False
    is_new = not same(change.wanted.volume, change.stored.volume) or change.stored.target != change.wanted.target
    return (change.writes and is_new) or change.plugs


def is_missing(change: Change, source: Source) -> str:
    """A sentence if neither the claim nor its DataVolume exists. An earlier task of a check may create it."""
    if source.claim is not None or source.data_volume is not None:
        return ""
    return f"Disk {change.name!r} uses {_title(change.wanted)}, which does not exist; {_CREATE}, or correct the name."


def problems_of_source(change: Change, source: Source, machine: Key) -> t.Iterator[str]:
    """Sentences about a source that exists. `machine` is the machine of the disk."""
    disk, title = f"Disk {change.name!r}", _title(change.wanted)
    stored = [each for each in (source.data_volume, source.claim) if each is not None]
    if any(each["metadata"].get("deletionTimestamp") for each in stored):
        yield f"{disk} uses {title}, which is being deleted; wait until it is gone, and {_CREATE}."
    yield from _too_small(disk, title, source)
    if phase_of(source) == "Failed":
        yield f"{disk} uses {title}, which CDI could not fill (phase Failed); correct its source, or create it again."
    spec = (source.claim or {}).get("spec") or {}
    if change.wanted.target == "lun" and source.claim is not None and spec.get("volumeMode") != "Block":
        # The instance stays Scheduled: disk device='lun' is only valid for block type disk source.
        yield (
            f"{disk} has type='lun' and uses {title} with volumeMode=Filesystem, but a LUN is a block device; use a "
            "volume with volume_mode=Block, or set type=disk."
        )
    others = [
        each for each in source.users.get("virtual_machines") or [] if each["running"] and (each["name"] != machine[1])
    ]
    pods = [each for each in source.users.get("pods") or [] if each["machine"] is None]
    if (others or pods) and not _is_shared(change, spec):
        users = [f"VirtualMachine {machine[0]}/{each['name']}" for each in others]
        users += [f"pod {machine[0]}/{each['name']}" for each in pods]
        modes = spec.get("accessModes") or ["unknown access modes"]
        shared = "" if not set(modes).intersection(_SHARED_MODES) else ", or set shareable=true on all of its disks"
        yield (
            f"{disk} uses {title} ({', '.join(modes)}), which is in use by {listed(users, 'and')}; "
            f"stop that first{shared}, or use another volume."
        )


def _too_small(disk: str, title: str, source: Source) -> t.Iterator[str]:
    """CDI tries again for ever. Condition Running has the error of its pod, also the quota that the size exceeds."""
    reported = conditions(source.data_volume).get("Running") or {}
    if phase_of(source) == "Succeeded" or not re.search(_TOO_SMALL, str(reported.get("message"))):
        return
    size = asked_size((source.data_volume or {}).get("spec") or {})
    yield (
        f"{disk} uses {title}{f' of {size}' if size else ''}, which is smaller than its image: "
        f"{' '.join(str(reported['message']).split()).rstrip('.')}; create it again with a larger size."
    )


def _is_shared(change: Change, spec: Object) -> bool:
    """QEMU locks the image of a disk unless all of its users share it or only read it.

    Pods on one node can share a claim of mode ReadWriteOnce, which the machine waits for.
    """
    modes = set(spec.get("accessModes") or [])
    device = change.wanted.device or {}
    target = device.get(change.wanted.target or "") or {}
    only_reads = target.get("readonly") or change.wanted.target == "cdrom" or change.wanted.source == "ephemeral"
    if only_reads:
        return modes != {_ONE_POD}
    return bool(device.get("shareable") and modes.intersection(_SHARED_MODES))


def phase_of(source: Source) -> str | None:
    """The phase of the DataVolume, None without one."""
    if source.data_volume is None:
        return None
    return str((source.data_volume.get("status") or {}).get("phase") or "Pending")


def filling(change: Change, source: Source) -> str:
    """A clause about a volume that is not filled yet: KubeVirt waits for it. `` if it is."""
    phase = phase_of(source)
    if phase in (None, "Succeeded", "Failed"):
        return ""
    return f"{_title(change.wanted)} is in phase {phase}"


def _title(element: Element) -> str:
    kind = "DataVolume" if element.source == "dataVolume" else "claim"
    return f"{kind} {element.claim!r}"


def volume_title(element: Element) -> dict[str, t.Any] | None:
    """The volume of a disk for the result: its kind as an option, and its name."""
    if element.volume is None or element.source is None:
        return None
    value = element.source_value
    name = element.claim or value.get("name") or value.get("secretName") or value.get("image")
    return {"type": SOURCE_FIELDS.get(element.source, element.source), "name": name}
