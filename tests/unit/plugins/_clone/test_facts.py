# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a cluster, a DataVolume and its source that the planner uses."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.names import METHOD
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.facts import (
    Cluster,
    claim_source,
    cluster,
    owner_name,
    snapshot_source,
    target,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.model import StorageClass
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone.source import source_reference

SOURCE_REF = {"sourceRef": {"kind": "DataSource", "name": "fedora", "namespace": "images"}}
KNOWN = Cluster({}, None, None, None, (), (1, 65, 0), True)


def written_by(manager: str) -> list[dict[str, Any]]:
    return [{"manager": manager, "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{METHOD}": {}}}}}]


@pytest.mark.parametrize(
    ("managers", "forced"),
    [
        (None, "copy"),
        (written_by("kubevirt.cdi"), "copy"),
        (written_by("cdi-controller"), None),
    ],
)
def test_a_method_that_cdi_recorded_is_not_requested(managers: Any, forced: str | None) -> None:
    metadata = {"name": "vm-1", "namespace": "images", "annotations": {METHOD: "copy"}}
    if managers is not None:
        metadata["managedFields"] = managers
    volume = {"metadata": metadata, "spec": {"source": {"pvc": {"name": "golden"}}, "storage": {}}}
    assert target(volume, KNOWN).forced == forced


def test_the_settings_of_the_only_cdi_count_when_it_is_in_error() -> None:
    spec = {"cloneStrategyOverride": "copy"}
    broken = {"metadata": {"name": "cdi"}, "spec": spec, "status": {"phase": "Error", "observedVersion": "v1.65.0"}}
    known = cluster([broken], {}, [], [], [], [])
    assert (known.override, known.version[:3]) == ("copy", (1, 65, 0))


def _class(name: str, provisioner: str = "thin.csi", **more: Any) -> dict[str, Any]:
    annotations, created = more.pop("annotations", {}), more.pop("created", "2026-01-01T00:00:00Z")
    metadata = {"name": name, "creationTimestamp": created, "annotations": annotations}
    return {"metadata": metadata, "provisioner": provisioner, **more}


DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}
FOR_DISKS = {"storageclass.kubevirt.io/is-default-virt-class": "true"}


def test_a_storage_class_has_facts_of_profile_driver_and_overhead() -> None:
    stored = _class("thin", allowVolumeExpansion=True, volumeBindingMode="WaitForFirstConsumer")
    sets = [{"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"}, {"accessModes": ["ReadWriteMany"]}]
    profile = {
        "metadata": {"name": "thin", "annotations": {"cdi.kubevirt.io/minimumSupportedPvcSize": "1Gi"}},
        "spec": {"cloneStrategy": "copy"},
        "status": {"cloneStrategy": "copy", "snapshotClass": "thin-snapshots", "claimPropertySets": sets},
    }
    stored["metadata"]["annotations"].update(DEFAULT)
    config = {"status": {"filesystemOverhead": {"global": "0.06", "storageClass": {"thin": "0.1"}}}}
    drivers, snapshots = [{"metadata": {"name": "thin.csi"}}], [{"metadata": {"name": "s"}, "driver": "thin.csi"}]
    known = cluster([], config, [stored, _class("old", "nfs")], [profile], drivers, snapshots)
    assert known.classes["thin"] == StorageClass(
        *("thin", "thin.csi"),
        csi=True,
        expansion=True,
        waits_for_consumer=True,
        strategy="copy",
        strategy_set_by_user=True,
        snapshot_class="thin-snapshots",
        overhead=0.1,
        minimum=1 << 30,
        claim_property_sets=((("ReadWriteOnce",), "Block"), (("ReadWriteMany",), "Filesystem")),
    )
    # The class exists, but its overhead is not listed: CDI uses the global overhead, not that of the default class.
    assert known.classes["old"] == StorageClass("old", "nfs", csi=False, overhead=0.06)
    assert known.snapshot_classes == (("s", "thin.csi"),)


@pytest.mark.parametrize(
    ("classes", "default"),
    [
        ([_class("a")], None),
        ([_class("a"), _class("b", annotations=DEFAULT)], "b"),
        ([_class("a", annotations=DEFAULT), _class("b", annotations=DEFAULT, created="2026-01-02T00:00:00Z")], "b"),
        ([_class("b", annotations=DEFAULT), _class("a", annotations=DEFAULT)], "a"),
    ],
)
def test_the_newest_default_class_counts(classes: list[Any], default: str | None) -> None:
    found = cluster([], {}, classes, [], [], []).default_class
    assert (found.name if found else None) == default


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"storage": {}}, "disks"),
        ({"storage": {}, "contentType": "archive"}, "claims"),
        ({"pvc": {}}, "claims"),
        ({"storage": {"storageClassName": "other"}}, "other"),
        ({"storage": {"storageClassName": "gone"}}, None),
    ],
)
def test_a_disk_has_a_default_class_of_its_own(spec: dict[str, Any], name: str | None) -> None:
    classes = [_class("claims", annotations=DEFAULT), _class("disks", annotations=FOR_DISKS), _class("other")]
    asked = target({"metadata": {"name": "vm-1"}, "spec": spec}, cluster([], {}, classes, [], [], []))
    assert (asked.storage_class.name if asked.storage_class else None) == name


def test_an_invalid_size_is_left_to_the_api_server() -> None:
    spec = {"storage": {"resources": {"requests": {"storage": "much"}}}}
    assert target({"metadata": {"name": "vm-1"}, "spec": spec}, KNOWN).size is None


def _claim(phase: str = "Bound", annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "golden", "namespace": "images", "annotations": annotations or {}},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}, **spec},
        "status": {"phase": phase, "capacity": {"storage": "2Gi"}},
    }


def test_a_bound_claim_without_an_owner_is_not_waited_for() -> None:
    source = claim_source(_claim(volumeMode="Block"), None, None, [], KNOWN)
    assert (source.title, source.volume_mode, source.request, source.capacity) == (
        "images/golden",
        "Block",
        1 << 30,
        2 << 30,
    )
    assert (source.waits, source.users, source.content_type) == ((), (), "kubevirt")


@pytest.mark.parametrize(
    ("claim", "owner", "waits"),
    [
        (_claim("Pending"), None, ("PersistentVolumeClaim images/golden to be bound (it is Pending)",)),
        (_claim(), {}, ("DataVolume images/golden to be filled (it is Pending)",)),
        (_claim(), {"status": {"phase": "Paused"}}, ("DataVolume images/golden to be filled (it is Paused)",)),
        (_claim(), {"status": {"phase": "Succeeded"}}, ()),
    ],
)
def test_a_source_that_is_not_ready_is_waited_for(claim: Any, owner: Any, waits: tuple[str, ...]) -> None:
    assert claim_source(claim, None, owner, [], KNOWN).waits == waits


@pytest.mark.parametrize(
    ("claim", "volume", "driver"),
    [
        (_claim(storageClassName="thin"), {"spec": {"csi": {"driver": "was.csi"}}}, "was.csi"),
        (_claim(storageClassName="thin"), {"spec": {"hostPath": {}}}, "thin.csi"),
        (_claim(), None, "default.csi"),
        (_claim(storageClassName=""), None, ""),
        (_claim(storageClassName="gone"), None, ""),
    ],
)
def test_the_driver_of_a_claim_is_that_of_its_volume_or_class(claim: Any, volume: Any, driver: str) -> None:
    known = cluster([], {}, [_class("thin"), _class("standard", "default.csi", annotations=DEFAULT)], [], [], [])
    assert claim_source(claim, volume, None, [], known).driver == driver


@pytest.mark.parametrize(
    ("capacity_then", "size", "known_size"),
    [("2Gi", "1000", 1000), ("1Gi", "1000", None), ("2Gi", "unknown", None), ("?", "1000", None)],
)
def test_the_image_size_is_known_while_the_capacity_is_unchanged(
    capacity_then: str, size: str, known_size: int | None
) -> None:
    noted = {"cdi.Kubervirt.io/virtualSize": size, "cdi.Kubervirt.io/sourceCapacity": capacity_then}
    assert claim_source(_claim(annotations=noted), None, None, [], KNOWN).image_size == known_size


@pytest.mark.parametrize(
    ("owners", "name"),
    [
        ([], None),
        ([{"kind": "DataVolume", "name": "golden", "controller": True}], "golden"),
        ([{"kind": "DataVolume", "name": "golden"}], None),
        ([{"kind": "VirtualMachine", "name": "vm", "controller": True}], None),
    ],
)
def test_only_the_controlling_data_volume_must_succeed(owners: list[Any], name: str | None) -> None:
    assert owner_name({"metadata": {"ownerReferences": owners}}) == name


def _pod(phase: str = "Running", **more: Any) -> dict[str, Any]:
    claim = {"claimName": more.get("claim", "golden"), "readOnly": more.get("read_only", False)}
    used = {"name": "disk", "persistentVolumeClaim": claim}
    container = more.get("container", {"volumeMounts": [{"name": "disk"}]})
    metadata = {
        "name": more.get("name", "vm"),
        "namespace": more.get("namespace", "images"),
        "labels": more.get("labels", {}),
    }
    return {
        "metadata": metadata,
        "spec": {"volumes": [{"name": "other", "emptyDir": {}}, used], "containers": [container]},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("pod", "counts"),
    [
        (_pod(), True),
        (_pod("Pending"), True),
        (_pod(container={"volumeDevices": [{"name": "disk"}]}), True),
        (_pod("Succeeded"), False),
        (_pod("Failed"), False),
        (_pod(read_only=True), False),
        (_pod(container={"volumeMounts": [{"name": "disk", "readOnly": True}]}), False),
        (_pod(container={"volumeMounts": [{"name": "other"}]}), False),
        (_pod(container={}), False),
        (_pod(claim="else"), False),
        (_pod(namespace="else"), False),
        # CDI's own pod that copies from the claim, and a pod that only has such a name.
        (_pod(name="x-source-pod", labels={"cdi.kubevirt.io": "cdi-clone-source"}), False),
        (_pod(name="x-source-pod"), True),
    ],
)
def test_a_clone_waits_only_for_pods_that_may_write(pod: Any, counts: bool) -> None:
    name = pod["metadata"]["name"]
    using = (f"pod images/{name} using PersistentVolumeClaim golden",) if counts else ()
    assert claim_source(_claim(), None, None, [pod], KNOWN).users == using


def _snapshot(status: dict[str, Any] | None, class_name: str | None = "s") -> dict[str, Any]:
    spec = {"volumeSnapshotClassName": class_name} if class_name else {}
    return {"metadata": {"name": "golden", "namespace": "images"}, "spec": spec, "status": status}


def _going(stored: dict[str, Any]) -> dict[str, Any]:
    return {**stored, "metadata": {**stored["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def test_a_claim_that_is_being_deleted_is_not_a_source() -> None:
    assert claim_source(_claim(), None, None, [], KNOWN).problem is None
    assert (
        claim_source(_going(_claim()), None, None, [], KNOWN).problem
        == "it is being deleted since 2026-01-01T00:00:00Z"
    )


READY = {"readyToUse": True, "restoreSize": "1Gi"}
WAITS = ("VolumeSnapshot images/golden to be ready",)


@pytest.mark.parametrize(
    ("snapshot", "waits", "problem"),
    [
        (_snapshot(READY), (), None),
        (_snapshot(None), WAITS, None),
        (_snapshot({"readyToUse": False, "error": {"message": "no"}}), WAITS, "snapshot in error state with msg: no"),
        (
            _snapshot({"readyToUse": False, "error": {"time": "now"}}),
            WAITS,
            "snapshot in error state with msg: no details",
        ),
        (_snapshot(READY, None), (), "snapshot golden/images does not have volume snap class populated, can't clone"),
        (_snapshot({"readyToUse": True}), (), "snapshot has no restore size"),
        (_going(_snapshot(READY)), (), "it is being deleted since 2026-01-01T00:00:00Z"),
    ],
)
def test_the_problem_of_a_snapshot_has_the_words_of_cdi(snapshot: Any, waits: Any, problem: str | None) -> None:
    source = snapshot_source(snapshot, None, KNOWN)
    assert (source.waits, source.problem, source.driver, source.volume_mode) == (waits, problem, None, "Filesystem")


def test_a_snapshot_is_restored_to_the_first_class_of_its_driver() -> None:
    known = cluster([], {}, [_class("b"), _class("a"), _class("0", "else")], [], [], [])
    source = snapshot_source(_snapshot(READY), {"spec": {"driver": "thin.csi", "sourceVolumeMode": "Block"}}, known)
    assert source.storage_class is not None and source.storage_class.name == "a"
    assert (source.driver, source.volume_mode, source.capacity) == ("thin.csi", "Block", 1 << 30)


def _data_source(source: dict[str, Any], shown: dict[str, Any] | None = None) -> dict[tuple[str, str], Any]:
    return {("images", "fedora"): {"spec": {"source": source}, "status": {"source": shown}}}


@pytest.mark.parametrize(
    ("spec", "data_sources", "reference"),
    [
        ({"source": {"pvc": {"name": "a"}}}, {}, ("pvc", "vms", "a")),
        ({"source": {"snapshot": {"name": "a", "namespace": "images"}}}, {}, ("snapshot", "images", "a")),
        ({"source": {"http": {"url": "https://x"}}}, {}, None),
        (SOURCE_REF, _data_source({"pvc": {"name": "a", "namespace": "golden"}}), ("pvc", "golden", "a")),
        (SOURCE_REF, _data_source({}), None),
        (SOURCE_REF, {}, None),
        # A DataSource that refers to another DataSource has the source of that in its status.
        (
            SOURCE_REF,
            _data_source({"dataSource": {"name": "b"}}, {"snapshot": {"name": "a", "namespace": "c"}}),
            ("snapshot", "c", "a"),
        ),
    ],
)
def test_a_data_source_may_name_the_source_of_a_clone(spec: Any, data_sources: Any, reference: Any) -> None:
    assert source_reference(spec, "vms", data_sources) == reference
