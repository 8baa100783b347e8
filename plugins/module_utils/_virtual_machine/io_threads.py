# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calculates which disk is on which I/O thread, as KubeVirt writes it into the domain. Pure rules.

pkg/virt-launcher/virtwrap/converter/iothreads/iothreads.go and assignDiskIOThread in converter.go, v1.8.2. A thread has
the ID that it has in the domain, from 1. Disks on SCSI cannot have a dedicated thread (the webhook refuses them), so
that the SCSI controller has no thread either.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass

from .._kubernetes.quantity import parse
from .machine import VIRTIO, Machine

SHARED, AUTO, POOL = "shared", "auto", "supplementalPool"
# Threads that `auto` makes at most, for each CPU of the request or limit.
_THREADS_PER_CPU = 2


@dataclass(frozen=True)
class Cpus:
    """The CPUs of a machine. `request` and `limit` are quantities of `domain.resources`, None if they are not set.

    A topology (`domain.cpu.cores`) or an instance type alone is no request: `auto` then counts one CPU.
    """

    request: str | None = None
    limit: str | None = None
    dedicated: bool = False
    isolates_emulator: bool = False

    @property
    def counted(self) -> int:
        """The number that `auto` doubles. Parts of a CPU are rounded up, and KubeVirt replaces a request of 0."""
        given = [parse(quantity) for quantity in (self.request, self.limit) if quantity is not None]
        return math.ceil(next(filter(None, given), 0)) if given else 1


@dataclass(frozen=True)
class DiskThreads:
    """`disk` is the name. `threads` is empty for a disk that QEMU's main thread serves."""

    disk: str
    threads: tuple[int, ...]


@dataclass(frozen=True)
class Assignment:
    """`policy` in effect (None: no I/O threads), the number of threads of the domain, and each disk in its order."""

    policy: str | None
    count: int
    disks: tuple[DiskThreads, ...]
    explanation: str

    def of(self, disk: str) -> tuple[int, ...]:
        return next(each.threads for each in self.disks if each.disk == disk)


def assign(machine: Machine, cpus: Cpus) -> Assignment:
    """The threads of the disks of a checked machine."""
    policy = machine.options["io_threads_policy"]
    dedicated = sum(disk.has_dedicated_thread for disk in machine.devices)
    if policy is None and not dedicated:
        return _assignment(
            machine, None, 0, lambda _dedicated: (), "No io_threads_policy is set: QEMU's main thread serves all disks."
        )
    if policy == POOL:
        size = int(machine.options["io_threads"]["supplemental_pool_thread_count"])
        pool = tuple(range(1, size + 1))
        return _assignment(machine, policy, size, lambda _dedicated: pool, _explain_pool(size, cpus))
    rest = len(machine.devices) - dedicated
    limit = _limit(policy, cpus)
    common = max(limit - dedicated, 1) if rest + dedicated > limit else rest
    given = {"common": 0, "dedicated": common}

    def next_thread(is_dedicated: bool) -> tuple[int, ...]:
        if is_dedicated:
            given["dedicated"] += 1
            return (given["dedicated"],)
        given["common"] = given["common"] % common + 1
        return (given["common"],)

    text = _explain(policy or SHARED, limit, common, dedicated, cpus, is_default=policy is None)
    return _assignment(machine, policy or SHARED, common + dedicated, next_thread, text)


def _limit(policy: str | None, cpus: Cpus) -> int:
    """How many threads there are without dedicated ones beyond it."""
    if policy != AUTO or (cpus.dedicated and cpus.isolates_emulator):
        return 1
    return cpus.counted * _THREADS_PER_CPU


def _assignment(
    machine: Machine,
    policy: str | None,
    count: int,
    next_thread: t.Callable[[bool], tuple[int, ...]],
    explanation: str,
) -> Assignment:
    """Only virtio disks are on threads. Others are counted all the same, so that threads may have no disk."""
    disks = tuple(
        DiskThreads(disk.name, next_thread(disk.has_dedicated_thread) if machine.bus_of(disk) == VIRTIO else ())
        for disk in machine.devices
    )
    idle = count - len({thread for disk in disks for thread in disk.threads})
    if idle and policy:
        explanation += f" {_number(idle, 'thread')} {'serves' if idle == 1 else 'serve'} no disk."
    return Assignment(policy, count, disks, explanation)


def _explain(policy: str, limit: int, common: int, dedicated: int, cpus: Cpus, *, is_default: bool) -> str:
    what = f"{policy} (in effect because a disk has dedicated_io_thread)" if is_default else policy
    if policy == AUTO and cpus.dedicated and cpus.isolates_emulator:
        why = "one thread, which shares the isolated CPU of the emulator"
    elif policy == AUTO:
        counted = _number(cpus.counted, "CPU")
        requested = cpus.request is not None or cpus.limit is not None
        source = "of the request or limit" if requested else "because the machine has no CPU request or limit"
        why = f"at most {_number(limit, 'thread')}, {_THREADS_PER_CPU} for each CPU ({counted} {source})"
    else:
        why = "one thread for all disks"
    result = [_number(common, "shared thread")] if common else []
    result += [_number(dedicated, "dedicated thread")] if dedicated else []
    return f"Policy {what}: {why}; this gives {' and '.join(result) or 'no thread'}."


def _explain_pool(size: int, cpus: Cpus) -> str:
    pinned = (
        f" KubeVirt requests {_number(size, 'more CPU')} and pins each thread to one."
        if cpus.dedicated
        else " The threads are not pinned, because the machine has no dedicated CPUs."
    )
    return (
        f"Policy {POOL}: each virtio disk spreads its queues over {_number(size, 'thread')}; a disk has one queue for "
        f"each vCPU, so that more threads than vCPUs are idle.{pinned}"
    )


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
