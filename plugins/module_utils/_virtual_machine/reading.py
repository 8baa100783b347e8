# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads plain data as the disks of a machine: names, types and values of options. Pure rules.

No sentence shows a text of cloud-init, which can contain passwords and keys.
"""

from __future__ import annotations

import copy
import typing as t

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

from .._ansible.module import give_empty_options
from .._ansible.spelling import unknown_options
from .._ansible.types import wrong_types
from .._ansible.values import tidy
from .._kubernetes.errors import CdiError
from .._kubernetes.public import redact_urls
from .machine import Disk, Machine, Options
from .options import DISK_OPTIONS, KINDS, MACHINE_OPTIONS, SOURCES

_FLOPPY = (
    "has type='floppy'; KubeVirt rejects floppy disks since 0.16 and later removed them from its API: "
    "use type=cdrom or type=disk."
)
_EXPECTED = "give a list of dictionaries, each with the name of a disk and its volume"


class Reading(t.NamedTuple):
    """The entries that could be read, and the problems of the others. `machine` is complete without problems."""

    machine: Machine
    problems: tuple[str, ...]


def read(disks: t.Any, options: Options) -> Reading:
    """Plain data (of JSON's types) as a machine. Raises CdiError if `disks` is not a list of dictionaries.

    Each problem is a sentence that names the option, the value and the remedy.
    """
    if not isinstance(disks, list):
        raise CdiError(f"disks is not a list; {_EXPECTED}.")
    wrong = next((number for number, disk in enumerate(disks) if not isinstance(disk, dict)), None)
    if wrong is not None:
        raise CdiError(f"disks[{wrong}] is not a dictionary; {_EXPECTED}.")
    values, problems = _checked(options, MACHINE_OPTIONS, "")
    read_disks = []
    for number, entry in enumerate(disks):
        disk, wrongs = _disk(entry, number)
        problems += wrongs
        if disk:
            read_disks.append(disk)
    return Reading(Machine(tuple(read_disks), values), tuple(problems))


def _disk(entry: dict[str, t.Any], number: int) -> tuple[Disk | None, list[str]]:
    name = entry.get("name")
    title = f"Disk {name!r}" if isinstance(name, str) and name.strip() else f"disks[{number}]"
    if entry.get("type") == "floppy" or "floppy" in entry:
        return None, [f"{title} {_FLOPPY}"]
    entry = copy.deepcopy(entry)
    _give_empty_sources(entry)
    values, problems = _checked(entry, DISK_OPTIONS, title)
    return (None, problems) if problems else (Disk(values), [])


def _give_empty_sources(entry: dict[str, t.Any]) -> None:
    """Reads `downward_metrics:`, which is null in YAML, as an empty dictionary if no other source is given."""
    if "downward_metrics" in entry and all(entry.get(source) is None for source in SOURCES):
        entry["downward_metrics"] = {}
    template = entry.get("data_volume_template")
    if isinstance(template, dict):
        give_empty_options(template, SOURCES["data_volume_template"]["options"])


def _without_nulls(values: Options, options: Options) -> Options:
    """The values without options that are null, which are not set. Ansible would refuse null where it has choices."""
    kept = {}
    for option, value in values.items():
        below = (options.get(option) or {}).get("options") or {}
        if below and isinstance(value, dict):
            value = _without_nulls(value, below)
        elif below and isinstance(value, list):
            value = [_without_nulls(item, below) if isinstance(item, dict) else item for item in value]
        if value is not None:
            kept[option] = value
    return kept


def _checked(values: Options, options: Options, title: str) -> tuple[Options, list[str]]:
    """The values with defaults and without surrounding white space, and a sentence for each problem."""
    start = f"{title}: " if title else ""
    values = _without_nulls(values, options)
    wrong = wrong_types(options, values, strict=True)
    found = [f"{title or 'The machine'} has {where}, which is {problem}." for where, problem in wrong]
    if found:
        return _defaults(options), found
    found = [
        sentence if sentence.endswith((".", "?")) else f"{sentence}."
        for sentence in unknown_options(values, options, title or "options")
    ]
    checked = ArgumentSpecValidator(dict(options)).validate(values)
    for error in checked.errors:
        if not isinstance(error, UnsupportedError):  # Unknown options are in the list already, with suggestions.
            found.append(f"{start}{' '.join(redact_urls(str(error)).split())}.")
    if found:
        return _defaults(options), found
    tidied: dict[str, t.Any] = dict(checked.validated_parameters)
    for option, spec in options.items():
        try:
            # The name of a disk has its own rule.
            if option != "name":
                tidied |= tidy({option: spec}, {option: tidied[option]}, KINDS)[0]
        except CdiError as exc:
            found.append(f"{start}{exc}")
    return tidied, found


def _defaults(options: Options) -> Options:
    return {option: spec.get("default") for option, spec in options.items()}
