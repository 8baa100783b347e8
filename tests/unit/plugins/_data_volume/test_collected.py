# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims that the garbage collection of CDI left."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import collected as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.facts import volume_facts
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.options import VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.diagnose import judge
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.target import is_populated

TARGET: dict[str, Any] = {**dict.fromkeys(VOLUME_OPTIONS["storage"]["options"]), "size": "1Gi"}
MARKED = {"cdi.kubevirt.io/garbageCollected": "true", "cdi.kubevirt.io/storage.preallocation.requested": "false"}


def _claim(
    kind: str | None = "VolumeImportSource", annotations: dict[str, str] | None = None, **metadata: Any
) -> dict[str, Any]:
    source = {"dataSourceRef": {"apiGroup": "cdi.kubevirt.io", "kind": kind, "name": "source"}} if kind else {}
    return {
        "metadata": {
            "name": "disk",
            "namespace": "demo",
            "uid": "1",
            "annotations": {**MARKED, **(annotations or {})},
            **metadata,
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1140850688"}},
            "storageClassName": "thin",
            "volumeMode": "Filesystem",
            **source,
        },
        "status": {"phase": "Bound", "capacity": {"storage": "1088Mi"}},
    }


def _volume(**options: Any) -> dict[str, Any]:
    defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
    return {
        **defaults,
        "name": "disk",
        "namespace": "demo",
        "source": {"http": {"url": "http://x"}},
        "storage": TARGET,
        **options,
    }


@pytest.mark.parametrize(
    ("claim", "collected"),
    [
        (None, False),
        (_claim(), True),
        (_claim(ownerReferences=[{"kind": "VirtualMachine", "controller": True}]), True),
        (_claim(ownerReferences=[{"kind": "DataVolume", "controller": True}]), False),
        (_claim(deletionTimestamp="2026-01-01T00:00:00Z"), False),
        (_claim(annotations={"cdi.kubevirt.io/garbageCollected": "false"}), False),
        ({"metadata": {"name": "disk"}}, False),
    ],
)
def test_claim_is_collected_only_with_the_mark_and_without_owner(claim: Any, collected: bool) -> None:
    assert rules.is_collected(claim) is collected


@pytest.mark.parametrize(
    ("options", "kind", "lines"),
    [
        ({}, "VolumeImportSource", []),
        ({"source": {"blank": {}}}, "VolumeImportSource", []),
        ({"source": {"upload": {}}}, "VolumeUploadSource", []),
        ({"source": {"snapshot": {"name": "x"}}}, "VolumeCloneSource", []),
        ({"source": None, "source_ref": {"name": "x"}}, "VolumeCloneSource", []),
        # A class without a CSI driver has no populators: its claims do not show the source.
        ({"source": {"upload": {}}}, None, []),
        (
            {"source": {"upload": {}}},
            "VolumeImportSource",
            ["source: 'VolumeImportSource' on the claim, 'VolumeUploadSource' requested"],
        ),
        (
            {"source": {"pvc": {"name": "x"}}},
            "VolumeImportSource",
            ["source: 'VolumeImportSource' on the claim, 'VolumeCloneSource' requested"],
        ),
        (
            {
                "storage": {
                    **TARGET,
                    "storage_class_name": "thin",
                    "volume_mode": "Filesystem",
                    "access_modes": ["ReadWriteOnce"],
                }
            },
            None,
            [],
        ),
        (
            {"storage": {**TARGET, "storage_class_name": "plain"}},
            None,
            ["storage.storage_class_name: 'thin' on the claim, 'plain' requested"],
        ),
        (
            {"storage": {**TARGET, "volume_mode": "Block"}},
            None,
            ["storage.volume_mode: 'Filesystem' on the claim, 'Block' requested"],
        ),
        (
            {"storage": None, "pvc": {**TARGET, "access_modes": ["ReadWriteMany"]}},
            None,
            ["pvc.access_modes: ['ReadWriteOnce'] on the claim, ['ReadWriteMany'] requested"],
        ),
        ({"content_type": "archive"}, None, ["content_type: 'kubevirt' on the claim, 'archive' requested"]),
        ({"content_type": "kubevirt", "preallocation": False}, None, []),
        ({"preallocation": True}, None, ["preallocation: false on the claim, true requested"]),
        ({"storage": {**TARGET, "size": "512Mi"}}, None, []),
        ({"storage": {**TARGET, "size": None}}, None, []),
    ],
)
def test_drift_of_a_collected_volume_names_option_and_both_values(
    options: dict[str, Any], kind: str | None, lines: list[str]
) -> None:
    drift = rules.collected_drift(_volume(**options), _claim(kind))
    assert drift.lines == lines and drift.grows_to is None


def test_collected_volume_grows_when_only_the_size_differs() -> None:
    larger = _volume(storage={**TARGET, "size": "2Gi"})
    drift = rules.collected_drift(larger, _claim())
    assert drift.lines == ["storage.size: at most '1088Mi' on the claim, '2Gi' requested"] and drift.grows_to == 2 << 30
    assert rules.collected_drift(larger, _claim(annotations={"kubevirt.cdi/grown-to": "2Gi"})).lines == []
    both = rules.collected_drift({**larger, "preallocation": True}, _claim())
    assert len(both.lines) == 2 and both.grows_to is None


def test_collected_volume_has_succeeded() -> None:
    facts = volume_facts(None, _claim())
    assert (facts["phase"], facts["progress"], facts["collected"], facts["data_volume"]) == (
        "Succeeded",
        "100.0%",
        True,
        {},
    )
    assert (facts["storage_class_name"], facts["capacity"], facts["scratch"]) == ("thin", "1088Mi", None)
    assert volume_facts(None, None)["collected"] is False and volume_facts(None, None)["phase"] is None
    assert is_populated(None, _claim("VolumeUploadSource"))
    assert rules.as_volume(_claim("VolumeUploadSource"))["spec"]["source"] == {"upload": {}}


@pytest.mark.parametrize("wait_for", [None, "succeeded", "bound"])
def test_volume_collected_during_a_wait_is_reached(wait_for: str | None) -> None:
    """Success of a volume that CDI did not fill does not prove that its claim is bound."""
    assert judge(_volume(wait_for=wait_for), rules.as_volume(_claim())).state == REACHED


def test_collected_volume_is_not_bound_when_its_claim_is_not() -> None:
    claim = {**_claim(None), "status": {"phase": "Pending"}}
    assert judge(_volume(wait_for="bound"), rules.as_volume(claim)).state == WAITING
