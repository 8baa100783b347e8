# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The narrowest patch of a machine that replaces the volumes of its disks. Pure rules.

`volumes` and `dataVolumeTemplates` are atomic lists in KubeVirt's API. The patch tests the elements that it replaces,
so that a change of these by another client makes it fail.
"""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object, Objects
from .._virtual_machine.elements import template_spec

STRATEGY = "updateVolumesStrategy"
MIGRATION = "Migration"
_CLAIM = {"dataVolume": "name", "persistentVolumeClaim": "claimName"}


class Switch(t.NamedTuple):
    """The new volume of a disk: a claim, and whether a DataVolume of its name exists."""

    claim: str
    has_volume: bool = True


def switch(machine: Object, switches: t.Mapping[str, Switch], *, live: bool) -> Objects:
    """The operations that give disks, by their names, other claims. None when they have them.

    With `live`, KubeVirt copies the data of a running machine. Templates of DataVolumes that no disk uses any more are
    removed: KubeVirt refuses such templates, and would create the volumes again when they are deleted.
    """
    tests: Objects = []
    changes: Objects = []
    gone = set()
    for index, volume in enumerate(template_spec(machine).get("volumes") or []):
        wanted = switches.get(volume["name"])
        if wanted is None:
            continue
        field = next(name for name in _CLAIM if name in volume)
        before = volume[field][_CLAIM[field]]
        if before == wanted.claim:
            continue
        path = f"/spec/template/spec/volumes/{index}"
        tests.append({"op": "test", "path": path, "value": volume})
        changes.append({"op": "replace", "path": path, "value": _volume(volume, field, wanted)})
        gone.add(before)
    if not changes:
        return []
    removed: Objects = []
    for index, template in enumerate((machine.get("spec") or {}).get("dataVolumeTemplates") or []):
        if (template.get("metadata") or {}).get("name") in gone:
            path = f"/spec/dataVolumeTemplates/{index}"
            tests.append({"op": "test", "path": path, "value": template})
            removed.append({"op": "remove", "path": path})
    if live and (machine.get("spec") or {}).get(STRATEGY) != MIGRATION:
        changes.insert(0, {"op": "add", "path": f"/spec/{STRATEGY}", "value": MIGRATION})
    return [*tests, *changes, *reversed(removed)]


def _volume(volume: Object, field: str, wanted: Switch) -> Object:
    """The element with another claim. What it has beside the name of its claim stays."""
    new = "dataVolume" if wanted.has_volume else "persistentVolumeClaim"
    kept = {key: value for key, value in volume[field].items() if key not in _CLAIM.values()}
    if new != "persistentVolumeClaim":
        kept.pop("readOnly", None)  # A dataVolume has no such field.
    others = {key: value for key, value in volume.items() if key != field}
    return {**others, new: {_CLAIM[new]: wanted.claim, **kept}}
