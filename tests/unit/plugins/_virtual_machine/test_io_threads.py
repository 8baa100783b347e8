# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calculator of I/O threads assigns them as KubeVirt's converter does."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.io_threads import Assignment, Cpus, assign
from ansible_collections.kubevirt.cdi.plugins.module_utils._virtual_machine.rules import checked
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.vm_disks.spec import CDROM, CLAIM, Entry, disk


def disks(letters: str) -> list[Entry]:
    """A disk for each letter: v on virtio, d with a dedicated thread, s on SCSI, c a CD-ROM."""
    kinds: dict[str, Entry] = {"v": {}, "d": {"dedicated_io_thread": True}, "s": {"bus": "scsi"}, "c": {}}
    return [
        {**CDROM, **CLAIM, "name": f"c{number}", "bus": "sata", "persistent_volume_claim": {"claim_name": f"c{number}"}}
        if letter == "c"
        else disk(name=f"{letter}{number}", **kinds[letter])
        for number, letter in enumerate(letters)
    ]


def assigned(letters: str, cpus: Cpus | None = None, **options: Any) -> Assignment:
    return assign(checked(disks(letters), options), cpus or Cpus())


def ids(assignment: Assignment) -> list[int]:
    """The thread of each disk, 0 if it has none."""
    return [each.threads[0] if each.threads else 0 for each in assignment.disks]


# pkg/virt-launcher/virtwrap/converter/converter_test.go, "Should use correct IOThreads policies", v1.8.2.
KUBEVIRT = [
    ("shared", "1", 2, [2, 1, 1, 1, 1, 1, 1]),
    ("shared", "2", 2, [2, 1, 1, 1, 1, 1, 1]),
    ("auto", "1", 2, [2, 1, 1, 1, 1, 1, 1]),
    ("auto", "2", 4, [4, 1, 2, 3, 1, 2, 3]),
    ("auto", "3", 6, [6, 1, 2, 3, 4, 5, 1]),
    ("auto", "4", 7, [7, 1, 2, 3, 4, 5, 6]),
    ("auto", "5", 7, [7, 1, 2, 3, 4, 5, 6]),
]


@pytest.mark.parametrize(("policy", "cpus", "count", "threads"), KUBEVIRT)
def test_threads_are_those_of_kubevirts_own_table(policy: str, cpus: str, count: int, threads: list[int]) -> None:
    found = assigned("dvvvvvv", Cpus(request=cpus), io_threads_policy=policy)
    assert (found.policy, found.count, ids(found)) == (policy, count, threads)


# The examples of the guide "Disks and Volumes": seven disks, of which two have a dedicated thread.
@pytest.mark.parametrize(
    ("letters", "options", "cpus", "count", "threads"),
    [
        ("vddvvvv", {"io_threads_policy": "shared"}, Cpus(), 3, [1, 2, 3, 1, 1, 1, 1]),
        ("vddvvvv", {"io_threads_policy": "auto"}, Cpus(request="2"), 4, [1, 3, 4, 2, 1, 2, 1]),
        ("vvvvvvv", {"io_threads_policy": "auto"}, Cpus(request="2"), 4, [1, 2, 3, 4, 1, 2, 3]),
        ("dddddddddd" + "v", {"io_threads_policy": "auto"}, Cpus(request="2"), 11, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]),
        # A dedicated thread turns on the policy shared.
        ("vdv", {}, Cpus(request="4"), 2, [1, 2, 1]),
        ("d", {}, Cpus(), 1, [1]),
        # More dedicated threads than the limit: one shared thread is made all the same.
        ("dd", {}, Cpus(), 3, [2, 3]),
        # Other buses are counted, and have no thread.
        ("vsc", {"io_threads_policy": "auto"}, Cpus(request="4"), 3, [1, 0, 0]),
        ("vsd", {"io_threads_policy": "auto"}, Cpus(request="1"), 2, [1, 0, 2]),
        # The request counts, else the limit; parts of a CPU are rounded up; without both there is one CPU.
        ("vvvvv", {"io_threads_policy": "auto"}, Cpus(request="1", limit="2"), 2, [1, 2, 1, 2, 1]),
        ("vvvvv", {"io_threads_policy": "auto"}, Cpus(limit="2"), 4, [1, 2, 3, 4, 1]),
        ("vvvvv", {"io_threads_policy": "auto"}, Cpus(request="1500m"), 4, [1, 2, 3, 4, 1]),
        ("vvvvv", {"io_threads_policy": "auto"}, Cpus(), 2, [1, 2, 1, 2, 1]),
        ("vvvvv", {"io_threads_policy": "auto"}, Cpus(request="0"), 1, [1, 1, 1, 1, 1]),
        # KubeVirt replaces a request of 0 by the limit.
        ("vvvvv", {"io_threads_policy": "auto"}, Cpus(request="0", limit="2"), 4, [1, 2, 3, 4, 1]),
        # The isolated CPU of the emulator has room for one thread.
        (
            "vvv",
            {"io_threads_policy": "auto"},
            Cpus(request="4", dedicated=True, isolates_emulator=True),
            1,
            [1, 1, 1],
        ),
        ("vvv", {"io_threads_policy": "auto"}, Cpus(request="4", isolates_emulator=True), 3, [1, 2, 3]),
        ("vvv", {}, Cpus(request="4"), 0, [0, 0, 0]),
    ],
)
def test_threads_follow_policy_and_cpus(
    letters: str, options: dict[str, Any], cpus: Cpus, count: int, threads: list[int]
) -> None:
    found = assigned(letters, cpus, **options)
    assert (found.count, ids(found)) == (count, threads)


def test_pool_spreads_each_virtio_disk_over_all_threads() -> None:
    pool: dict[str, Any] = {
        "io_threads_policy": "supplementalPool",
        "io_threads": {"supplemental_pool_thread_count": 3},
    }
    found = assigned("vsv", **pool)
    assert [each.threads for each in found.disks] == [(1, 2, 3), (), (1, 2, 3)]
    assert found.count == 3 and "not pinned" in found.explanation
    assert "requests 3 more CPUs" in assigned("v", Cpus(dedicated=True), **pool).explanation


@pytest.mark.parametrize(
    ("letters", "policy", "cpus", "explanation"),
    [
        ("vv", None, Cpus(), "No io_threads_policy is set: QEMU's main thread serves all disks."),
        ("vv", "shared", Cpus(), "Policy shared: one thread for all disks; this gives 1 shared thread."),
        (
            "dv",
            None,
            Cpus(),
            "Policy shared (in effect because a disk has dedicated_io_thread): one thread for all disks; "
            "this gives 1 shared thread and 1 dedicated thread.",
        ),
        (
            "vvv",
            "auto",
            Cpus(),
            "Policy auto: at most 2 threads, 2 for each CPU (1 CPU because the machine has no CPU request or limit); "
            "this gives 2 shared threads.",
        ),
        (
            "vsss",
            "auto",
            Cpus(request="4"),
            "Policy auto: at most 8 threads, 2 for each CPU (4 CPUs of the request or limit); "
            "this gives 4 shared threads. 3 threads serve no disk.",
        ),
        (
            "v",
            "auto",
            Cpus(request="4", dedicated=True, isolates_emulator=True),
            "Policy auto: one thread, which shares the isolated CPU of the emulator; this gives 1 shared thread.",
        ),
    ],
)
def test_explanation_says_why_there_are_so_many_threads(
    letters: str, policy: str | None, cpus: Cpus, explanation: str
) -> None:
    assert assigned(letters, cpus, io_threads_policy=policy).explanation == explanation


def test_a_volume_without_a_device_has_no_thread() -> None:
    dump = {"name": "dump", "memory_dump": {"claim_name": "dump"}}
    found = assign(checked([disk(), dump], {"io_threads_policy": "shared"}), Cpus())
    assert [each.disk for each in found.disks] == ["d"] and found.of("d") == (1,)


@given(
    letters=st.text("vdsc", min_size=1, max_size=20).filter(lambda text: set(text) & {"v", "d"}),
    policy=st.sampled_from([None, "shared", "auto"]),
    cpus=st.integers(1, 12),
)
@examples(150)
def test_threads_are_numbered_without_a_gap_and_dedicated_ones_are_not_shared(
    letters: str, policy: str | None, cpus: int
) -> None:
    found = assigned(letters, Cpus(request=str(cpus)), io_threads_policy=policy)
    by_kind = {kind: [n for letter, n in zip(letters, ids(found), strict=True) if letter == kind] for kind in "vdsc"}
    assert not any(by_kind["s"] + by_kind["c"])
    if policy is None and "d" not in letters:
        assert found.count == 0 and not any(ids(found))
        return
    common = found.count - len(by_kind["d"])
    # In the order of the disks: shared threads in turn from 1, dedicated ones after the last shared one.
    assert by_kind["v"] == [number % max(common, 1) + 1 for number in range(len(by_kind["v"]))]
    assert by_kind["d"] == list(range(common + 1, found.count + 1))
    # The limit holds, unless dedicated threads alone exceed it.
    limit = 2 * cpus if policy == "auto" else 1
    assert found.count <= max(limit, len(by_kind["d"]) + 1)
