# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that the rules of all disks of a machine, and of feature gates, refuse."""

from __future__ import annotations

from tests.vm_disks.spec import ALL_GATES, BLANK, CDROM, CLAIM, LUN, USER_DATA, Spec, disk, template

MACHINES: list[Spec] = [
    Spec("names-equal", [disk(), disk(data_volume={"name": "other"})], "names_are_unique", "Disk 'd' is listed twice"),
    Spec(
        "boot-orders-equal",
        [disk(boot_order=1), disk(name="e", boot_order=1)],
        "boot_orders_are_unique",
        "Disks 'd' and 'e' have boot_order=1",
    ),
    Spec(
        "serials-equal-in-20-characters",
        [disk(serial="A" * 20 + "B"), disk(name="e", serial="A" * 20 + "C")],
        "serials_are_unique",
        f"serial='{'A' * 20}' in the guest",
    ),
    Spec(
        "serials-equal",
        [disk(serial="A"), disk(name="e", serial="A")],
        "serials_are_unique",
        "Disks 'd' and 'e' have serial='A'",
    ),
    Spec("257-disks", [disk(name=f"d{number}") for number in range(257)], "disks_are_not_too_many", "at most 256"),
    Spec(
        "two-service-accounts",
        [disk(name=name, service_account={"service_account_name": "a"}) for name in "de"],
        "single_volumes_are_single",
        "at most once",
    ),
    Spec(
        "two-memory-dumps",
        [{"name": name, "memory_dump": {"claim_name": name}} for name in "de"],
        "single_volumes_are_single",
        "at most once",
    ),
    Spec(
        "two-metrics",
        [disk(name=name, downward_metrics={}) for name in "de"],
        "single_volumes_are_single",
        "at most once",
        ALL_GATES,
    ),
    Spec(
        "two-cloud-inits",
        [disk(**USER_DATA), disk(name="e", cloud_init_config_drive={"user_data": "a"})],
        "cloud_init_is_single",
        "uses only the first",
    ),
    Spec(
        "claim-twice",
        [disk(**CLAIM), disk(name="e", data_volume={"name": "data"})],
        "claims_are_used_once",
        "the claim 'data'",
    ),
    Spec(
        "claim-and-ephemeral",
        [disk(**CLAIM), disk(name="e", ephemeral=CLAIM)],
        "claims_are_used_once",
        "the claim 'data'",
    ),
    Spec(
        "ephemeral-twice-over-a-claim",
        [disk(ephemeral=CLAIM), disk(name="e", ephemeral=CLAIM)],
        "claims_are_used_once",
        "only one disk of a machine can use",
    ),
    Spec(
        "claim-shared-by-two-disks",
        [disk(name=name, shareable=True, cache="none", **CLAIM) for name in "de"],
        "claims_are_used_once",
        "only one disk of a machine can use",
    ),
    Spec(
        "templates-equal",
        [template(**BLANK), {**template(**BLANK), "name": "e"}],
        "templates_are_unique",
        "The DataVolume 't' is in two templates",
    ),
    Spec(
        "threads-without-virtio",
        [disk(bus="sata")],
        "threads_need_virtio",
        "no disk has bus=virtio",
        {"io_threads_policy": "auto"},
    ),
    Spec(
        "queues-without-virtio",
        [{"name": "d", **CLAIM}],
        "threads_need_virtio",
        "block_multi_queue=true",
        {"block_multi_queue": True, "cpus": 2},
    ),
    Spec(
        "pool-without-a-number",
        [disk()],
        "pool_has_threads",
        "needs the number of threads",
        {"io_threads_policy": "supplementalPool"},
    ),
    Spec(
        "pool-of-0",
        [disk()],
        "pool_has_threads",
        "is 0",
        {"io_threads_policy": "supplementalPool", "io_threads": {"supplemental_pool_thread_count": 0}},
    ),
    Spec(
        "pool-without-the-policy",
        [disk()],
        "pool_size_has_an_effect",
        "set io_threads_policy=supplementalPool",
        {"io_threads_policy": "auto", "io_threads": {"supplemental_pool_thread_count": 2}},
    ),
    Spec(
        "pool-and-a-dedicated-thread",
        [disk(dedicated_io_thread=True)],
        "dedicated_thread_has_an_effect",
        "of 'd' has no effect",
        {"io_threads_policy": "supplementalPool", "io_threads": {"supplemental_pool_thread_count": 2}},
    ),
    Spec("queues-without-cpus", [disk()], "queues_need_cpus", "pass the number as cpus", {"block_multi_queue": True}),
    Spec("cpus-negative", [disk()], "cpus_is_positive", "cpus='-1'", {"cpus": -1}),
    Spec("cpus-no-number", [disk()], "cpus_is_positive", "cpus='two'", {"cpus": "two"}),
    Spec(
        "empty-cdrom-without-its-gate",
        [CDROM],
        "empty_cdrom_needs_its_gate",
        "DeclarativeHotplugVolumes",
        {"feature_gates": []},
    ),
    Spec(
        "host-disk-without-its-gate",
        [disk(host_disk={"path": "/d.img", "type": "Disk"})],
        "host_disk_needs_its_gate",
        "HostDisk",
        {"feature_gates": []},
    ),
    Spec(
        "metrics-without-their-gate",
        [disk(downward_metrics={})],
        "metrics_need_their_gate",
        "DownwardMetrics",
        {"feature_gates": []},
    ),
    Spec(
        "reservation-without-its-gate",
        [disk(**LUN, reservation=True)],
        "reservation_needs_its_gate",
        "PersistentReservation",
        {"feature_gates": []},
    ),
    Spec(
        "hotpluggable-without-a-gate",
        [disk(hotpluggable=True)],
        "hotplug_needs_a_gate",
        "DeclarativeHotplugVolumes",
        {"feature_gates": []},
    ),
    Spec(
        "changed-blocks-without-their-gate",
        [disk(changed_block_tracking=True)],
        "changed_blocks_need_their_gate",
        "IncrementalBackup",
        {"feature_gates": []},
    ),
]
