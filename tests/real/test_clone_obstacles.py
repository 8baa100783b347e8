# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checklist C5 to C19: obstacles to a clone are refused before the write, or reported while the clone waits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    POD,
    ROLE_BINDING,
    STORAGE_CLASS,
    STORAGE_PROFILE,
    VOLUME_SNAPSHOT_CLASS,
)

from tests.modules import run_on_cluster
from tests.real.clone_setup import (
    THIN,
    CloneSetup,
    StorageClasses,
    logged_warnings,
    make_snapshot_class,
    run,
    sources_to_clone,
    warnings_about,
)
from tests.real.objects import Lookup, create, create_pod, until


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[CloneSetup]:
    with sources_to_clone(connection) as made:
        yield made


def test_c05_clone_requires_the_right_to_its_source(connection: Connection, setup: CloneSetup) -> None:
    """Without it, CDI refuses the clone instead of falling back."""
    account = {"name": "default", "namespace": setup.other}
    who = {"impersonate_user": f"system:serviceaccount:{setup.other}:default"}
    rights = "kubevirt-cdi-clone-source"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    subjects = [{"kind": "ServiceAccount", **account}]
    create(connection, ROLE_BINDING, "edit", setup.other, roleRef=role, subjects=subjects)
    clone = setup.clone("with-a-right", "snapshot", namespace=setup.other)
    refused = run("data_volume", **clone, **who)
    assert refused["failed"]
    assert 'the right to "create" datavolumes/source of cdi.kubevirt.io in namespace' in refused["msg"]
    assert f"in namespace {setup.namespace} is missing" in refused["msg"]
    assert "module kubevirt.cdi.clone_permission" in refused["msg"]
    # CDI also refuses a clone that the user creates without the module.
    with pytest.raises(ApiError, match=r"insufficient permissions in clone source namespace"):
        _post(connect({"kubeconfig": os.environ["KUBECONFIG"], **who}), clone)
    assert connection.get(DATA_VOLUME, "with-a-right", setup.other) is None
    assert run("clone_permission", namespace=setup.namespace, service_accounts=[account])["changed"]
    made = run("data_volume", **clone, **who)
    assert not made.get("failed"), made["msg"]
    assert made["phase"] == "Succeeded"
    # The module does not guess what this user must not read.
    assert made["clone"]["predicted"]["method"] is None
    assert "It cannot be predicted: Cannot" in made["clone"]["predicted"]["reason"]
    assert run("clone_permission", namespace=setup.namespace, state="absent")["changed"]
    assert connection.get(ROLE_BINDING, rights, setup.namespace) is None


# The words of CDI.
TOO_SMALL = "target resources requests storage size is smaller than the source"


def test_c06_source_in_use_delays_the_clone_and_its_pod_is_reported(
    connection: Connection, setup: CloneSetup, lookup: Lookup
) -> None:
    storage = {"size": "64Mi", "storage_class_name": setup.classes["snapshot"]}
    busy = [
        {"name": "busy", "source": {"blank": {}}, "storage": storage},
        {"name": "busy-device", "source": {"blank": {}}, "storage": {**storage, "volume_mode": "Block"}},
    ]
    sources = run("data_volume", namespace=setup.namespace, data_volumes=busy)["data_volumes"]
    assert [source["phase"] for source in sources] == ["Succeeded"] * 2
    mount = {"name": "volume", "mountPath": "/volume"}
    create_pod(connection, "reader", setup.namespace, "busy", volumeMounts=[{**mount, "readOnly": True}])
    create_pod(connection, "writer", setup.namespace, "busy", volumeMounts=[mount])
    # A device does not say whether its pod writes.
    device = {"name": "volume", "devicePath": "/dev/volume"}
    create_pod(connection, "user", setup.namespace, "busy-device", volumeDevices=[device])
    of_busy: dict[str, Any] = {"requested": {"size": "64Mi"}, "source": "busy"}
    volumes = [
        setup.clone(f"of-busy-{number}", name, **of_busy) for number, name in enumerate(("snapshot", "csi", "copy"))
    ]
    of_device: dict[str, Any] = {"requested": {"size": "64Mi", "volume_mode": "Block"}, "source": "busy-device"}
    volumes.append(setup.clone("of-busy-device", "snapshot", **of_device))
    using = [f"pod {setup.namespace}/writer using PersistentVolumeClaim busy"] * 3
    using.append(f"pod {setup.namespace}/user using PersistentVolumeClaim busy-device")
    ran = run_on_cluster("data_volume", data_volumes=volumes, wait_timeout=60)
    late = ran.result
    assert late["failed"]
    assert [len([warning for warning in ran.warnings if pod in warning]) for pod in using] == [3, 3, 3, 1]
    for item, pod in zip(late["data_volumes"], using, strict=True):
        # A pod that only reads is no obstacle.
        assert pod.partition(" using ")[0] in item["error"], item["error"]
        assert "reader" not in item["error"]
        (answer,) = lookup(f"{setup.namespace}/{item['name']}")
        assert pod in answer["waits_for"]
    for pod in ("writer", "user"):
        connection.delete(POD, pod, setup.namespace, dry_run=False)
    done = run("data_volume", data_volumes=volumes)
    assert not done.get("failed"), done["msg"]
    assert [item["phase"] for item in done["data_volumes"]] == ["Succeeded"] * 4
    assert [item["clone"]["method"] for item in done["data_volumes"]] == ["snapshot", "csi-clone", "copy", "snapshot"]


def test_c07_deleted_snapshot_class_is_an_error_without_a_fallback(
    connection: Connection, setup: CloneSetup, lookup: Lookup
) -> None:
    """The profile still names the class, and CDI does not find it."""
    gone = f"zz-{setup.namespace}"
    make_snapshot_class(connection, gone, THIN)
    made = StorageClasses(connection, f"{setup.namespace}-gone")
    try:
        setup.classes["gone"] = made.make("gone", strategy="snapshot", snapshot_class=gone)
        made.wait()
        until(
            lambda: _profile(connection, setup.classes["gone"]).get("snapshotClass") == gone, 30, "not in the profile"
        )
        source = {"source": {"blank": {}}, "storage": {"size": "64Mi", "storage_class_name": setup.classes["gone"]}}
        made_source = run("data_volume", name="gone", namespace=setup.namespace, **source)
        assert made_source["phase"] == "Succeeded", made_source["msg"]
        connection.delete(VOLUME_SNAPSHOT_CLASS, gone, dry_run=False)
        clone = setup.clone("of-gone", "gone", source="gone", requested={"size": "64Mi"})
        refused = run("data_volume", **clone)
        error = f'VolumeSnapshotClass.snapshot.storage.k8s.io "{gone}" not found'
        assert error in refused["msg"], refused
        _post(connection, clone)
        answer = until(lambda: _with_error(lookup(f"{setup.namespace}/of-gone")), 300, "no error")
        assert error in answer["error"]
    finally:
        connection.delete(DATA_VOLUME, "of-gone", setup.namespace, dry_run=False)
        made.remove()


def _profile(connection: Connection, name: str) -> dict[str, Any]:
    return (connection.get(STORAGE_PROFILE, name) or {}).get("status") or {}


def _with_error(answers: list[dict[str, Any]]) -> dict[str, Any] | None:
    return answers[0] if answers[0]["phase"] == "Error" else None


def _post(connection: Connection, clone: dict[str, Any]) -> None:
    """Create a clone without the module, which would refuse it."""
    (kind,) = clone["source"]
    claim: dict[str, Any] = {"storageClassName": clone["storage"]["storage_class_name"]}
    if clone["storage"].get("size"):
        claim["resources"] = {"requests": {"storage": clone["storage"]["size"]}}
    if "pvc" in clone:
        claim["accessModes"] = ["ReadWriteOnce"]
    spec = {"source": {kind: clone["source"][kind]}, "pvc" if "pvc" in clone else "storage": claim}
    create(connection, DATA_VOLUME, clone["name"], clone["namespace"], spec=spec)


def test_c18_requested_size_of_the_source_is_too_small_for_its_snapshot(setup: CloneSetup) -> None:
    """CDI compares a size without the overhead of the file system to the size of the snapshot, which includes it."""
    refused = run("data_volume", **setup.clone("same-size", "snapshot", kind="snapshot"))
    assert (
        "cannot be cloned from snapshot" in refused["msg"] and "128Mi is smaller than the source's 13" in refused["msg"]
    ), refused["msg"]
    assert refused["msg"].endswith("Mi or omit the size."), refused["msg"]


def test_c19_smaller_target_is_refused_before_the_write(
    connection: Connection, setup: CloneSetup, lookup: Lookup
) -> None:
    clone = setup.clone("smaller", "snapshot", requested={"size": "64Mi"})
    refused = run("data_volume", **clone)
    assert refused["failed"]
    assert refused["msg"].endswith(
        f"cannot be cloned from pvc {setup.namespace}/golden: 64Mi is smaller than the source's 128Mi; "
        "request at least 128Mi or omit the size."
    ), refused["msg"]
    assert connection.get(DATA_VOLUME, "smaller", setup.namespace) is None
    # CDI accepts it, and reports the error in an event.
    _post(connection, clone)
    until(
        lambda: "CloneValidationFailed" in str(warnings_about(connection, setup.namespace, "smaller")), 300, "no event"
    )
    assert TOO_SMALL in str(warnings_about(connection, setup.namespace, "smaller"))
    connection.delete(DATA_VOLUME, "smaller", setup.namespace, dry_run=False)


def test_c19_other_content_type_is_refused_before_the_write(connection: Connection, setup: CloneSetup) -> None:
    refused = run("data_volume", **setup.clone("archive", "snapshot", content_type="archive"))
    said = "Source contentType (kubevirt) and target contentType (archive) do not match; set content_type=kubevirt."
    assert said in refused["msg"]
    assert connection.get(DATA_VOLUME, "archive", setup.namespace) is None


def test_c19_copy_without_space_is_refused_because_cdi_retries_for_ever(
    connection: Connection, setup: CloneSetup
) -> None:
    """A Block volume does not fit into a file system of the same size. CDI starts, and retries without an end."""
    clone = setup.clone("no-room", "snapshot", source="device")
    clone["pvc"] = {**clone.pop("storage"), "access_modes": ["ReadWriteOnce"]}
    refused = run("data_volume", **clone)
    assert (
        f"cannot be cloned from pvc {setup.namespace}/device: " in refused["msg"]
        and "without the overhead of its file system, is smaller than the source's" in refused["msg"]
    )
    assert refused["msg"].endswith("; set volume_mode=Block.")
    _post(connection, {**clone, "storage": clone["pvc"]})
    until(lambda: _phase(connection, setup, "no-room") == "CloneInProgress", 300, "the clone does not start")

    def reported() -> bool:
        claim = {"kind": "PersistentVolumeClaim", "namespace": setup.namespace, "name": "no-room"}
        return any(claim.items() <= each["object"].items() and TOO_SMALL in each["msg"] for each in logged_warnings(9))

    until(reported, 300, "CDI does not report that the claim is too small")
    assert _phase(connection, setup, "no-room") == "CloneInProgress"
    connection.delete(DATA_VOLUME, "no-room", setup.namespace, dry_run=False)


def test_c19_permissive_clone_can_be_smaller(setup: CloneSetup) -> None:
    """With the annotation, the user is responsible for the size of the data."""
    permissive: dict[str, Any] = {
        "annotations": {"cdi.kubevirt.io/permissiveClone": "true"},
        "requested": {"size": "96Mi"},
    }
    volumes = [setup.clone(f"permissive-{name}", name, **permissive) for name in ("snapshot", "csi", "copy")]
    result = run("data_volume", data_volumes=volumes, wait_timeout=300)
    assert not result.get("failed"), result["msg"]
    assert [item["clone"]["method"] for item in result["data_volumes"]] == ["snapshot", "csi-clone", "copy"]
    predicted = [item["clone"]["predicted"]["method"] for item in result["data_volumes"]]
    assert predicted == ["snapshot", "csi-clone", "copy"]


def _phase(connection: Connection, setup: CloneSetup, name: str) -> str | None:
    stored = connection.get(DATA_VOLUME, name, setup.namespace) or {}
    return (stored.get("status") or {}).get("phase")


def test_clone_that_waits_for_its_consumer_is_predicted(setup: CloneSetup, lookup: Lookup) -> None:
    result = run("data_volume", **setup.clone("consumer", "wffc"))
    assert result["phase"] == "PendingPopulation"
    assert result["clone"]["method"] is None
    assert result["clone"]["predicted"]["method"] == "snapshot"
    (answer,) = lookup(f"{setup.namespace}/consumer")
    assert (answer["observed"], answer["method"]) == (False, "snapshot")
    assert "uses WaitForFirstConsumer" in answer["waits_for"][0]


def test_applied_remedy_makes_the_next_clone_fast(connection: Connection, setup: CloneSetup, lookup: Lookup) -> None:
    made = StorageClasses(connection, f"{setup.namespace}-remedy")
    try:
        slow = setup.classes["slow"] = made.make("slow", strategy="copy")
        rigid = setup.classes["rigid"] = made.make("rigid", strategy="csi-clone", expansion=False)
        made.wait()
        larger: dict[str, Any] = {"requested": {"size": "160Mi"}}
        before = [
            setup.clone("mode-before", "csi", requested={"volume_mode": "Block"}),
            setup.clone("driver-before", "plain-csi"),
            setup.clone("profile-before", "slow"),
            setup.clone("size-before", "rigid", **larger),
        ]
        made_before = run("data_volume", data_volumes=before)
        assert not made_before.get("failed"), made_before["msg"]
        answers = lookup(*[f"{setup.namespace}/{clone['name']}" for clone in before])
        assert {answer["method"] for answer in answers} == {"copy"}
        assert [answer["remedy"] for answer in answers] == [
            "set volume_mode=Filesystem",
            f"clone to class {setup.classes['snapshot']}",
            f"set clone_strategy of the storage profile {slow} to snapshot",
            f"set allowVolumeExpansion on class {rigid}",
        ]
        changed = run("storage_profile", name=slow, clone_strategy="snapshot", force_conflicts=True)
        assert not changed.get("failed"), changed["msg"]
        connection.merge(STORAGE_CLASS, rigid, None, {"allowVolumeExpansion": True}, dry_run=False)
        after = [
            setup.clone("mode-after", "csi", requested={"volume_mode": "Filesystem"}),
            setup.clone("driver-after", "snapshot"),
            setup.clone("profile-after", "slow"),
            setup.clone("size-after", "rigid", **larger),
        ]
        result = run("data_volume", data_volumes=after)
        assert not result.get("failed"), result["msg"]
        methods = [item["clone"]["method"] for item in result["data_volumes"]]
        assert methods == ["csi-clone", "snapshot", "snapshot", "csi-clone"]
    finally:
        made.remove()


def test_required_method_is_checked_after_the_same_task_creates_the_source(
    connection: Connection, setup: CloneSetup
) -> None:
    required: dict[str, Any] = {"source": "fresh", "requested": {"size": "64Mi"}, "require_clone_method": ["snapshot"]}
    storage = {"size": "64Mi", "storage_class_name": setup.classes["snapshot"]}
    volumes = [
        setup.clone("of-fresh", "snapshot", **required),
        setup.clone("copy-of-fresh", "copy", **required),
        {"name": "fresh", "namespace": setup.namespace, "source": {"blank": {}}, "storage": storage},
    ]
    checked = run_on_cluster("data_volume", check=True, data_volumes=volumes).result
    assert not checked.get("failed"), checked["msg"]
    result = run("data_volume", data_volumes=volumes)
    fast, slow, fresh = result["data_volumes"]
    assert (fresh["phase"], fast["phase"]) == ("Succeeded", "Succeeded")
    assert (fast["clone"]["predicted"]["method"], fast["clone"]["method"]) == ("snapshot", "snapshot")
    assert "copy-of-fresh would be cloned by copy, and require_clone_method is snapshot" in slow["error"]
    assert connection.get(DATA_VOLUME, "copy-of-fresh", setup.namespace) is None
