# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All rules of the disks of a machine, and what they say about one. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.errors import CdiError
from .device_rules import DEVICE_RULES
from .machine import Machine, Options
from .machine_rules import GATE_RULES, MACHINE_RULES
from .reading import read
from .rule import Problem, Rule
from .volume_rules import VOLUME_RULES

DISK_RULES: t.Final[tuple[Rule, ...]] = (*DEVICE_RULES, *VOLUME_RULES)
RULES: t.Final[tuple[Rule, ...]] = (*DISK_RULES, *MACHINE_RULES, *GATE_RULES)


def problems(machine: Machine, *, of_disks_only: bool = False) -> list[Problem]:
    """All problems, in the order of the disks and then of the rules. Each is a sentence without its period.

    `of_disks_only` leaves out the rules of all disks together, which are wrong while some are missing.
    """
    found = [
        Problem(rule, f"{disk.title} {sentence}")
        for disk in machine.disks
        for rule in DISK_RULES
        for sentence in rule.check(disk, machine)
    ]
    if of_disks_only or any(len(disk.sources) > 1 for disk in machine.disks):
        return found
    return found + [
        Problem(rule, sentence) for rule in (*MACHINE_RULES, *GATE_RULES) for sentence in rule.check(machine)
    ]


def checked(disks: t.Any, options: Options) -> Machine:
    """Plain data as a machine that KubeVirt accepts. Raises CdiError with a sentence for each problem."""
    reading = read(disks, options)
    found = problems(reading.machine, of_disks_only=bool(reading.problems))
    sentences = [*reading.problems, *(f"{problem.sentence}." for problem in found)]
    if sentences:
        raise CdiError(" ".join(sentences))
    return reading.machine
