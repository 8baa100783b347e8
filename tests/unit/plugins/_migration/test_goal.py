# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a volume is moved to: what differs, the size that the source requires, the name and the options of a target."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import MIB
from ansible_collections.kubevirt.cdi.plugins.module_utils._migration.goal import (
    LIVE,
    OFFLINE,
    Goal,
    disk_bytes,
    goal_of,
    lacks,
    target_name,
    target_options,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.scratch import Settings

from tests.unit.plugins._migration.moves import claim

PREALLOCATED = {"cdi.kubevirt.io/storage.preallocation": "true"}
CDI = {"cdi.kubevirt.io/storage.usePopulator": "true"}
SETTINGS = Settings({"status": {"filesystemOverhead": {"global": "0.06"}}}, (1, 65, 0))


@pytest.mark.parametrize(
    ("to", "spec", "expected"),
    [
        ({"storage_class_name": "thin"}, {}, []),
        ({"storage_class_name": "fast"}, {}, ["storage_class_name: thin, fast requested"]),
        ({"volume_mode": "Block"}, {}, ["volume_mode: Filesystem, Block requested"]),
        ({"volume_mode": "Filesystem"}, {"volumeMode": None}, []),
        ({"access_modes": ["ReadWriteMany", "ReadWriteOnce"]}, {"accessModes": ["ReadWriteOnce", "ReadWriteMany"]}, []),
        ({"access_modes": ["ReadWriteMany"]}, {}, ["access_modes: [ReadWriteOnce], [ReadWriteMany] requested"]),
        ({"preallocation": True}, {}, ["preallocation: false, true requested"]),
        ({"preallocation": True}, {"annotations": PREALLOCATED}, []),
        ({"preallocation": False}, {"annotations": PREALLOCATED}, ["preallocation: true, false requested"]),
        ({"size": "2Gi"}, {}, ["size: 1Gi, 2Gi requested"]),
        ({"size": "512Mi"}, {}, []),
    ],
)
def test_claim_lacks_only_what_is_requested(to: dict[str, Any], spec: dict[str, Any], expected: list[str]) -> None:
    assert lacks(goal_of(to), claim(**spec), None) == expected


@pytest.mark.parametrize(
    ("spec", "mebibytes"),
    [
        ({"volumeMode": "Block", "request": "1000Mi", "capacity": "1Gi"}, 1024),
        ({"volumeMode": "Block", "capacity": "1048577"}, 2),
        ({"annotations": CDI, "request": "1060Mi", "capacity": "1060Mi"}, 1000),
        ({"annotations": CDI, "request": "1060Mi", "capacity": "2Gi"}, 1000),
        ({"request": "1000Mi", "capacity": "1Gi"}, 1000),
        ({"request": "1Gi", "capacity": "1000Mi"}, 1000),
    ],
)
def test_disk_is_as_large_as_the_claim_lets_it_be(spec: dict[str, Any], mebibytes: int) -> None:
    assert disk_bytes(claim(**spec), SETTINGS) == mebibytes * MIB


def test_name_of_a_target_depends_on_source_and_goal() -> None:
    goal = Goal(preallocation=True)
    name = target_name(goal, claim())
    assert name.startswith("source-") and name == target_name(goal, claim())
    moved = claim(name, annotations={"kubevirt.cdi/moved-from-first": "source"})
    others = [target_name(Goal(volume_mode="Block"), claim()), target_name(goal, moved)]
    assert len({name, *others}) == 3 and all(len(each) == len(name) for each in others)
    assert len(target_name(goal, claim("x" * 253))) == 63


def test_target_keeps_what_is_not_requested() -> None:
    volume = {"metadata": {"labels": {"app": "web", "kubevirt.io/created-by": "1"}}, "spec": {}}
    wanted = target_options(Goal(preallocation=True), claim(annotations=CDI), volume, LIVE, SETTINGS)
    assert wanted["storage"] == {
        "volume_mode": "Filesystem",
        "storage_class_name": "thin",
        "access_modes": ["ReadWriteOnce"],
        "size": "966Mi",
    }
    assert (wanted["source"], wanted["preallocation"], wanted["labels"]) == ({"blank": {}}, True, {"app": "web"})
    assert wanted["annotations"] == {
        "kubevirt.cdi/moved-from": "source",
        "kubevirt.cdi/moved-from-first": "source",
    }
    other_class = target_options(Goal(storage_class_name="fast"), claim(annotations=PREALLOCATED), None, LIVE, SETTINGS)
    assert "access_modes" not in other_class["storage"] and other_class["preallocation"]


@pytest.mark.parametrize(("preallocation", "method"), [(True, "copy"), (False, None)])
def test_preallocated_copy_does_not_share_blocks(preallocation: bool, method: str | None) -> None:
    wanted = target_options(Goal(preallocation=preallocation), claim(), None, OFFLINE, SETTINGS)
    assert wanted["source"] == {"pvc": {"name": "source", "namespace": "demo"}}
    assert (wanted["annotations"].get("cdi.kubevirt.io/cloneType"), wanted["binding"]) == (method, "immediate")
    assert "size" not in wanted["storage"]
