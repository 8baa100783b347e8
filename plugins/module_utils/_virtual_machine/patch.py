# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of a machine as a JSON patch that touches only its own disks. Pure rules.

`disks`, `volumes` and `dataVolumeTemplates` are atomic lists in KubeVirt's CRD (validations_generated.go, v1.8.2):
server-side apply would own all elements of a list. The patch tests each element that it replaces or removes, so that a
change of these by another client makes it fail, and a change of others does not.
"""

from __future__ import annotations

import typing as t

from .._kubernetes.managed_fields import owners_of
from .._kubernetes.objects import Object, Objects
from .elements import NOTHING, Element, devices_of, elements_of, same, template_spec
from .plan import Plan

_SPEC = ("spec", "template", "spec")
DISKS, VOLUMES, TEMPLATES = (
    (*_SPEC, "domain", "devices", "disks"),
    (*_SPEC, "volumes"),
    ("spec", "dataVolumeTemplates"),
)
# Texts of cloud-init, which can contain passwords and keys.
_SECRET = ("userData", "userDataBase64", "networkData", "networkDataBase64")


def json_patch(machine: Object, plan: Plan) -> Objects:
    """The operations that make the template as planned; none if it is."""
    changes = [change for change in plan if change.writes]
    spec = template_spec(machine)
    devices = {change.name: change.wanted.device for change in changes}
    volumes = {change.name: change.wanted.volume for change in changes}
    templates: dict[str, Object | None] = {
        change.removed_template: None for change in changes if change.removed_template is not None
    }
    for change in changes:
        if change.added_template is not None:
            templates[change.added_template["metadata"]["name"]] = change.added_template
    return [
        *_list(TEMPLATES, (machine.get("spec") or {}).get("dataVolumeTemplates"), templates, _name_of_template),
        *_list(VOLUMES, spec.get("volumes"), volumes, _name),
        *_list(DISKS, devices_of(spec) or None, devices, _name),
    ]


def _name(element: Object) -> str:
    return str(element["name"])


def _name_of_template(element: Object) -> str:
    return str((element.get("metadata") or {}).get("name"))


def _list(
    path: tuple[str, ...],
    stored: Objects | None,
    wanted: t.Mapping[str, Object | None],
    name_of: t.Callable[[Object], str],
) -> Objects:
    """The operations for one list: tests of all that was read, then replacements, removals from the end, additions."""
    pointer = "/" + "/".join(path)
    tests: Objects = []
    replaced: Objects = []
    removed: Objects = []
    for index, element in enumerate(stored or []):
        name = name_of(element)
        if name not in wanted or wanted[name] == element:
            continue
        where = f"{pointer}/{index}"
        tests.append({"op": "test", "path": where, "value": element})
        value = wanted[name]
        if value is None:
            removed.append({"op": "remove", "path": where})
        else:
            replaced.append({"op": "replace", "path": where, "value": value})
    there = {name_of(element) for element in stored or []}
    added = [value for name, value in wanted.items() if value is not None and name not in there]
    if added and not stored:
        # An empty list can be missing. Without the test, the patch would replace what another client has added.
        tests.append({"op": "test", "path": pointer, "value": stored})
        return [*tests, {"op": "add", "path": pointer, "value": added}]
    additions = [{"op": "add", "path": f"{pointer}/-", "value": value} for value in added]
    return [*tests, *replaced, *reversed(removed), *additions]


def touched(machine: Object) -> tuple[t.Any, ...]:
    """What a patch can change: if it is the same after a refusal, the refusal was not a conflict."""
    return elements_of(template_spec(machine)), (machine.get("spec") or {}).get("dataVolumeTemplates")


def conflict(plan: Plan, before: Object, after: Object) -> str:
    """A clause about disks of the plan that another client has changed, but not to what is planned; `` without one."""
    old, new = elements_of(template_spec(before)), elements_of(template_spec(after))
    names = [
        change.name
        for change in plan
        if change.writes
        and not _same(old.get(change.name, NOTHING), new.get(change.name, NOTHING))
        and not _same(new.get(change.name, NOTHING), change.wanted)
    ]
    if not names:
        return ""
    owners = sorted({owner for path in (DISKS, VOLUMES) for owner in owners_of(after, *path)})
    who = f" by {' and '.join(owners)}" if owners else ""
    what = f"disk {names[0]!r} was" if len(names) == 1 else f"disks {' and '.join(map(repr, names))} were"
    return f"{what} changed{who} while the task ran"


def _same(one: Element, other: Element) -> bool:
    return same(one.device, other.device) and same(one.volume, other.volume)


def difference(plan: Plan) -> dict[str, t.Any]:
    """The diff of a machine: the disks that change, with their volumes. Texts of cloud-init are hidden."""
    sides: dict[str, dict[str, t.Any]] = {"before": {}, "after": {}}
    for change in plan:
        if not change.writes:
            continue
        for side, element in (("before", change.stored), ("after", change.wanted)):
            if element != NOTHING:
                sides[side][change.name] = _shown(element)
        if change.added_template is not None:
            sides["after"].setdefault(change.name, {})["data_volume_template"] = change.added_template
    return {side: {"disks": disks} for side, disks in sides.items()} if any(sides.values()) else {}


def _shown(element: Element) -> dict[str, t.Any]:
    parts = {"disk": element.device, "volume": element.volume}
    return {part: _hidden(value) for part, value in parts.items() if value is not None}


def _hidden(value: t.Any) -> t.Any:
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: "(hidden)" if key in _SECRET and item else _hidden(item) for key, item in value.items()}
