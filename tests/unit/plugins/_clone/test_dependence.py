# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a volume still depends on, by its source, its phase and the clone method that CDI recorded."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.dependence import depends_on

PVC = {"source": {"pvc": {"name": "golden", "namespace": "images"}}}
NEAR = {"source": {"pvc": {"name": "golden"}}}
SNAPSHOT = {"source": {"snapshot": {"name": "golden", "namespace": "images"}}}
REFERENCE = {"sourceRef": {"kind": "DataSource", "name": "fedora", "namespace": "images"}}
HTTP = {"source": {"http": {"url": "http://images/disk.qcow2"}}}
GOLDEN, GOLDEN_SNAPSHOT = ("PersistentVolumeClaim", "images", "golden"), ("VolumeSnapshot", "images", "golden")
FEDORA = ("DataSource", "images", "fedora")
UNFILLED, SHARES, UNKNOWN = "is not filled yet", "until the storage driver separates them", "has not recorded how"


def volume(spec: dict[str, Any], phase: str | None = "Succeeded") -> dict[str, Any]:
    return {"metadata": {"name": "vm-1", "namespace": "demo"}, "spec": spec, "status": {"phase": phase}}


def claim(method: str | None = None, **spec: Any) -> dict[str, Any]:
    annotations = {"cdi.kubevirt.io/cloneType": method} if method else {}
    return {"metadata": {"name": "vm-1", "namespace": "demo", "annotations": annotations}, "spec": spec}


def referred(kind: str, **more: Any) -> dict[str, Any]:
    return {"storage": {"dataSourceRef": {"kind": kind, "name": "golden", **more}}}


@pytest.mark.parametrize(
    ("spec", "phase", "method", "source", "reason"),
    [
        (PVC, "Succeeded", "snapshot", GOLDEN, SHARES),
        (PVC, "Succeeded", "csi-clone", GOLDEN, SHARES),
        (NEAR, "Succeeded", "snapshot", ("PersistentVolumeClaim", "demo", "golden"), SHARES),
        (SNAPSHOT, "Succeeded", "snapshot", GOLDEN_SNAPSHOT, SHARES),
        (REFERENCE, "Succeeded", "csi-clone", FEDORA, SHARES),
        (PVC, "Succeeded", None, GOLDEN, UNKNOWN),
        (PVC, "Succeeded", "newer", GOLDEN, UNKNOWN),
        (PVC, "CloneInProgress", "copy", GOLDEN, UNFILLED),
        (PVC, "CloneInProgress", "snapshot", GOLDEN, UNFILLED),
        (SNAPSHOT, "WaitForFirstConsumer", None, GOLDEN_SNAPSHOT, UNFILLED),
        (REFERENCE, None, None, FEDORA, UNFILLED),
        (referred("VolumeSnapshot"), "Succeeded", None, ("VolumeSnapshot", "demo", "golden"), "restores or clones"),
        (
            referred("PersistentVolumeClaim", namespace="images"),
            "Succeeded",
            None,
            GOLDEN,
            "restores or clones",
        ),
        (referred("Hello"), "Pending", None, ("Hello", "demo", "golden"), UNFILLED),
    ],
)
def test_volume_depends_on_what_it_may_share(
    spec: dict[str, Any], phase: str | None, method: str | None, source: tuple[str, str, str], reason: str
) -> None:
    (found,) = depends_on(volume(spec, phase), claim(method))
    assert (found["kind"], found["namespace"], found["name"]) == source
    assert reason in str(found["reason"])


@pytest.mark.parametrize("spec", [PVC, SNAPSHOT, REFERENCE])
def test_copy_is_independent_of_its_source(spec: dict[str, Any]) -> None:
    assert depends_on(volume(spec), claim("copy")) == []


@pytest.mark.parametrize(
    ("spec", "phase"),
    [
        (HTTP, "Succeeded"),
        (HTTP, "ImportInProgress"),
        ({"source": {"blank": {}}}, "Succeeded"),
        ({"source": {"upload": {}}}, "UploadReady"),
        ({"source": {"blank": {}}, "storage": {}}, None),
        ({"storage": {}}, "Succeeded"),
        (referred("Hello"), "Succeeded"),
    ],
)
def test_volume_that_is_no_clone_depends_on_nothing_in_the_cluster(spec: dict[str, Any], phase: str | None) -> None:
    assert depends_on(volume(spec, phase), claim()) == []


def test_method_of_a_volume_without_a_claim_is_taken_from_the_volume() -> None:
    cloned = volume(PVC)
    cloned["metadata"]["annotations"] = {"cdi.kubevirt.io/cloneType": "copy"}
    assert depends_on(cloned, None) == []


def test_collected_volume_depends_on_the_data_source_of_its_claim() -> None:
    reference = {"apiGroup": "cdi.kubevirt.io", "kind": "VolumeCloneSource", "name": "source-1"}
    (found,) = depends_on(None, claim("csi-clone", dataSourceRef=reference))
    assert (found["kind"], found["namespace"], found["name"]) == ("VolumeCloneSource", "demo", "source-1")
    assert depends_on(None, claim("copy", dataSourceRef=reference)) == []
    assert depends_on(None, claim(dataSourceRef={"kind": "VolumeImportSource", "name": "import-1"})) == []
    legacy = claim()
    legacy["metadata"]["annotations"]["k8s.io/CloneRequest"] = "images/golden"
    assert depends_on(None, legacy) == []
    assert depends_on(None, None) == []
