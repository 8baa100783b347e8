# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculator assigns the disks of a machine to the I/O threads that they have in the domain that libvirt runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.io_threads import Cpus, assign
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked

from tests.vm.guest import Guest
from tests.vm_disks.spec import Entry

SHARED: Entry = {"io_threads_policy": "shared"}
AUTO: Entry = {"io_threads_policy": "auto"}
# A disk for each letter: d with a dedicated thread, the others without.
KINDS: dict[str, Entry] = {
    "v": {"bus": "virtio"},
    "d": {"bus": "virtio", "dedicated_io_thread": True},
    "s": {"bus": "scsi"},
    "a": {"bus": "sata"},
    "c": {"bus": "sata", "type": "cdrom"},
}
_AT_ONCE = 4


class Row(NamedTuple):
    """The name of a machine, its disks, the policy, and its CPUs. A node of the tests has two of them."""

    name: str
    letters: str
    options: Entry
    cpus: Cpus = Cpus()


def pool(size: int) -> Entry:
    return {"io_threads_policy": "supplementalPool", "io_threads": {"supplemental_pool_thread_count": size}}


# Four run at once, of which at most two request more than a CPU: one for each node, with what else runs on it. KubeVirt
# requests a tenth of a CPU for each thread of a pool.
ROWS = [
    Row("no-policy", "vvs", {}),
    Row("dedicated-alone", "d", {}),
    Row("shared-with-cpus", "vvvd", SHARED, Cpus(request="1001m")),
    Row("auto-with-one-cpu", "vvvvv", AUTO, Cpus(request="1")),
    Row("dedicated-imply-shared", "vdvd", {}),
    Row("dedicated-only", "ddd", {}),
    Row("auto-with-two-cpus", "vvvvvvv", AUTO, Cpus(request="1001m")),
    Row("auto-with-a-limit", "vvvvv", AUTO, Cpus(limit="1001m")),
    Row("shared", "vvvvvv", SHARED),
    Row("shared-and-dedicated", "vddvvvv", SHARED),
    Row("shared-and-other-buses", "savdc", SHARED),
    Row("auto-with-a-request-of-zero", "vvvvv", AUTO, Cpus(request="0", limit="1001m")),
    Row("auto-without-cpus", "vvvvv", AUTO),
    Row("auto-with-a-part-of-a-cpu", "vvvvv", AUTO, Cpus(request="10m")),
    Row("auto-with-more-limit-than-request", "vvvvv", AUTO, Cpus(request="10m", limit="8")),
    Row("auto-with-fewer-disks-than-threads", "vvd", AUTO, Cpus(request="1001m")),
    Row("auto-with-more-dedicated-than-threads", "ddvdddv", AUTO, Cpus(request="10m")),
    Row("auto-and-other-buses", "svacvd", AUTO, Cpus(request="10m")),
    Row("auto-with-twenty-disks", "vvdvvvvsvvdvvvvvavvv", AUTO, Cpus(request="10m")),
    Row("auto-and-dedicated", "vddvvvv", AUTO, Cpus(request="1001m")),
    Row("pool", "vsvv", pool(3)),
    Row("pool-of-one", "vv", pool(1), Cpus(request="10m")),
    Row("pool-of-many", "vcv", pool(6)),
    Row("auto-with-idle-threads", "sssv", AUTO, Cpus(request="1001m")),
]


@pytest.mark.parametrize(
    "rows", [ROWS[first : first + _AT_ONCE] for first in range(0, len(ROWS), _AT_ONCE)], ids=lambda rows: rows[0].name
)
def test_threads_are_those_of_the_domain(start: Callable[..., Guest], rows: list[Row]) -> None:
    expected, guests = {}, []
    for row in rows:
        disks = [
            {"name": f"{letter}{number}", "empty_disk": {"capacity": "1Mi"}, **KINDS[letter]}
            for number, letter in enumerate(row.letters)
        ]
        machine = checked(disks, row.options)
        found = assign(machine, row.cpus)
        expected[row.name] = found.count, {each.disk: each.threads for each in found.disks}
        # Without a system: its disk would be one more, and only the domain is compared.
        guests.append(start(row.name, disks, row.options, boots=False, **domain_of(row.cpus)))
    assigned = {}
    for guest in guests:
        guest.until(partial(running, guest), "does not run")
        assigned[guest.name] = threads(guest)
    assert assigned == expected


def domain_of(cpus: Cpus) -> dict[str, Any]:
    """Fields of a domain with these CPUs, and as much memory as the firmware needs."""
    given = {"requests": cpus.request, "limits": cpus.limit}
    resources = {field: {"cpu": quantity} for field, quantity in given.items() if quantity is not None}
    return {"memory": {"guest": "64Mi"}, "resources": resources}


def running(guest: Guest) -> bool:
    return guest.phase() == "Running"


def threads(guest: Guest) -> tuple[int, dict[str, tuple[int, ...]]]:
    """The number of threads of the domain, and those of each disk."""
    domain = guest.domain()
    disks = {}
    for disk in domain.findall("devices/disk"):
        alias, driver = disk.findall("alias")[0], disk.findall("driver")[0]
        given = [each.attrib["id"] for each in driver.findall("iothreads/iothread")] or [
            driver.attrib.get("iothread", "")
        ]
        disks[alias.attrib["name"].removeprefix("ua-")] = tuple(int(number) for number in given if number)
    return int(domain.findtext("iothreads", "0")), disks
