# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checklist C5 to C19: what keeps a clone from being made is refused before it is posted, or named while it waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
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

from tests.cluster.versions import HELPER_IMAGE
from tests.modules import run_on_cluster
from tests.real.clone_setup import (
    THIN,
    CloneSetup,
    StorageClasses,
    make_snapshot_class,
    run,
    sources_to_clone,
    until,
    warnings_about,
)


@pytest.fixture(scope="module")
def setup(connection: Connection) -> Iterator[CloneSetup]:
    with sources_to_clone(connection) as made:
        yield made


def test_c05_without_the_right_nothing_is_posted_and_with_it_the_clone_is_made(
    connection: Connection, setup: CloneSetup
) -> None:
    """CDI refuses such a clone, and does not fall back."""
    account = {"name": "default", "namespace": setup.other}
    who = {"impersonate_user": f"system:serviceaccount:{setup.other}:default"}
    rights = "kubevirt-cdi-clone-source"
    metadata = {"name": "edit", "namespace": setup.other}
    body = {"apiVersion": ROLE_BINDING.api_version, "kind": "RoleBinding", "metadata": metadata}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    subjects = [{"kind": "ServiceAccount", **account}]
    connection.create(ROLE_BINDING, {**body, "roleRef": role, "subjects": subjects}, setup.other, dry_run=False)
    clone = setup.clone("with-a-right", "snapshot", namespace=setup.other)
    refused = run("data_volume", **clone, **who)
    assert refused["failed"]
    assert 'the right to "create" datavolumes/source of cdi.kubevirt.io in namespace' in refused["msg"]
    assert f"in namespace {setup.namespace} is missing" in refused["msg"]
    assert "module kubevirt.cdi.clone_permission" in refused["msg"]
    # Nor does CDI take it from who posts it all the same.
    with pytest.raises(ApiError, match="insufficient permissions in clone source namespace"):
        _post(connect({"kubeconfig": os.environ["KUBECONFIG"], **who}), clone)
    assert connection.get(DATA_VOLUME, "with-a-right", setup.other) is None
    assert run("clone_permission", namespace=setup.namespace, service_accounts=[account])["changed"]
    made = run("data_volume", **clone, **who)
    assert not made.get("failed"), made["msg"]
    assert made["phase"] == "Succeeded"
    # What this user may not read is not guessed.
    assert made["clone"]["predicted"]["method"] is None
    assert "It cannot be predicted: Cannot" in made["clone"]["predicted"]["reason"]
    assert run("clone_permission", namespace=setup.namespace, state="absent")["changed"]
    assert connection.get(ROLE_BINDING, rights, setup.namespace) is None


# CDI's own words.
TOO_SMALL = "target resources requests storage size is smaller than the source"


def _pod(connection: Connection, namespace: str, name: str, claim: str, **use: Any) -> None:
    container = {"name": "sleeps", "image": HELPER_IMAGE, "command": ["sleep", "600"], **use}
    spec = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": claim}}],
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    connection.create(POD, body, namespace, dry_run=False)


def test_c06_a_source_in_use_is_waited_for_and_the_pod_is_named_at_once(
    connection: Connection, setup: CloneSetup, lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    asked = {"size": "64Mi", "storage_class_name": setup.classes["snapshot"]}
    busy = [
        {"name": "busy", "source": {"blank": {}}, "storage": asked},
        {"name": "busy-device", "source": {"blank": {}}, "storage": {**asked, "volume_mode": "Block"}},
    ]
    sources = run("data_volume", namespace=setup.namespace, data_volumes=busy)["data_volumes"]
    assert [source["phase"] for source in sources] == ["Succeeded"] * 2
    mount = {"name": "disk", "mountPath": "/disk"}
    _pod(connection, setup.namespace, "reader", "busy", volumeMounts=[{**mount, "readOnly": True}])
    _pod(connection, setup.namespace, "writer", "busy", volumeMounts=[mount])
    # Nothing can be said of a device but that it is used.
    _pod(
        connection, setup.namespace, "user", "busy-device", volumeDevices=[{"name": "disk", "devicePath": "/dev/disk"}]
    )
    of_busy = {"asked": {"size": "64Mi"}, "source": "busy"}
    volumes = [
        setup.clone(f"of-busy-{number}", name, **of_busy) for number, name in enumerate(("snapshot", "csi", "copy"))
    ]
    of_device = {"asked": {"size": "64Mi", "volume_mode": "Block"}, "source": "busy-device"}
    volumes.append(setup.clone("of-busy-device", "snapshot", **of_device))
    using = [f"pod {setup.namespace}/writer using PersistentVolumeClaim busy"] * 3
    using.append(f"pod {setup.namespace}/user using PersistentVolumeClaim busy-device")
    ran = run_on_cluster("data_volume", data_volumes=volumes, wait_timeout=15)
    late = ran.result
    assert late["failed"]
    assert [len([warning for warning in ran.warnings if pod in warning]) for pod in using] == [3, 3, 3, 1]
    for item, pod in zip(late["data_volumes"], using, strict=True):
        # The pod that only reads counts for nothing.
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


def test_c07_a_snapshot_class_that_is_gone_leaves_an_error_and_no_copy(
    connection: Connection, setup: CloneSetup, lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    """The profile goes on naming it, and CDI fails to find it instead of falling back."""
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
        clone = setup.clone("of-gone", "gone", source="gone", asked={"size": "64Mi"})
        refused = run("data_volume", **clone)
        error = f'VolumeSnapshotClass.snapshot.storage.k8s.io "{gone}" not found'
        assert error in refused["msg"], refused
        _post(connection, clone)
        answer = until(lambda: _with_error(lookup(f"{setup.namespace}/of-gone")), 30, "no error")
        assert error in answer["error"]
    finally:
        connection.delete(DATA_VOLUME, "of-gone", setup.namespace, dry_run=False)
        made.remove()


def _profile(connection: Connection, name: str) -> dict[str, Any]:
    return (connection.get(STORAGE_PROFILE, name) or {}).get("status") or {}


def _with_error(answers: list[dict[str, Any]]) -> dict[str, Any] | None:
    return answers[0] if answers[0]["phase"] == "Error" else None


def _post(connection: Connection, clone: dict[str, Any]) -> None:
    """A clone that the module refuses, made past it."""
    (kind,) = clone["source"]
    asked = {"storageClassName": clone["storage"]["storage_class_name"]}
    if clone["storage"].get("size"):
        asked["resources"] = {"requests": {"storage": clone["storage"]["size"]}}
    if "pvc" in clone:
        asked |= {"accessModes": ["ReadWriteOnce"]}
    spec = {"source": {kind: clone["source"][kind]}, "pvc" if "pvc" in clone else "storage": asked}
    metadata = {"name": clone["name"], "namespace": clone["namespace"]}
    body = {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", "metadata": metadata, "spec": spec}
    connection.create(DATA_VOLUME, body, clone["namespace"], dry_run=False)


def test_c18_the_size_that_the_source_was_given_is_too_small_for_its_snapshot(setup: CloneSetup) -> None:
    """CDI compares the size without the file system's overhead with a snapshot that has it."""
    refused = run("data_volume", **setup.clone("same-size", "snapshot", kind="snapshot"))
    assert (
        "cannot be cloned from snapshot" in refused["msg"] and "128Mi is smaller than the source's 13" in refused["msg"]
    ), refused["msg"]
    assert refused["msg"].endswith("Mi or omit the size."), refused["msg"]


def test_c19_a_smaller_target_is_refused_before_it_is_posted(
    connection: Connection, setup: CloneSetup, lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    clone = setup.clone("smaller", "snapshot", asked={"size": "64Mi"})
    refused = run("data_volume", **clone)
    assert refused["failed"]
    assert refused["msg"].endswith(
        f"cannot be cloned from pvc {setup.namespace}/golden: 64Mi is smaller than the source's 128Mi; request at least 128Mi or omit the size."
    ), refused["msg"]
    assert connection.get(DATA_VOLUME, "smaller", setup.namespace) is None
    # CDI itself takes it, and says in an event what is wrong.
    _post(connection, clone)
    until(lambda: "CloneValidationFailed" in warnings_about(connection, setup.namespace, "smaller"), 30, "no event")
    assert TOO_SMALL in str(warnings_about(connection, setup.namespace, "smaller"))
    connection.delete(DATA_VOLUME, "smaller", setup.namespace, dry_run=False)


def test_c19_another_content_type_is_refused_before_it_is_posted(connection: Connection, setup: CloneSetup) -> None:
    refused = run("data_volume", **setup.clone("archive", "snapshot", content_type="archive"))
    said = "Source contentType (kubevirt) and target contentType (archive) do not match; say content_type=kubevirt."
    assert said in refused["msg"]
    assert connection.get(DATA_VOLUME, "archive", setup.namespace) is None


def test_c19_a_copy_without_room_hangs_in_cdi_and_is_refused_here(connection: Connection, setup: CloneSetup) -> None:
    """A device to a file system of the same size: CDI begins, finds no room, and tries again for ever."""
    clone = setup.clone("no-room", "snapshot", source="device")
    clone["pvc"] = {**clone.pop("storage"), "access_modes": ["ReadWriteOnce"]}
    refused = run("data_volume", **clone)
    assert (
        f"cannot be cloned from pvc {setup.namespace}/device: " in refused["msg"]
        and "beside its file system, is smaller than the source's" in refused["msg"]
    )
    assert refused["msg"].endswith("; ask for volume_mode=Block.")
    _post(connection, {**clone, "storage": clone["pvc"]})
    until(lambda: _phase(connection, setup, "no-room") == "CloneInProgress", 30, "it does not begin")
    time.sleep(10)
    assert _phase(connection, setup, "no-room") == "CloneInProgress"
    assert TOO_SMALL in str(warnings_about(connection, setup.namespace, "no-room"))
    connection.delete(DATA_VOLUME, "no-room", setup.namespace, dry_run=False)


def test_c19_a_permissive_clone_may_be_smaller(setup: CloneSetup) -> None:
    """Whoever says so by an annotation takes it upon himself that the data fit."""
    permissive = {"annotations": {"cdi.kubevirt.io/permissiveClone": "true"}, "asked": {"size": "96Mi"}}
    volumes = [setup.clone(f"permissive-{name}", name, **permissive) for name in ("snapshot", "csi", "copy")]
    result = run("data_volume", data_volumes=volumes, wait_timeout=120)
    assert not result.get("failed"), result["msg"]
    assert [item["clone"]["method"] for item in result["data_volumes"]] == ["snapshot", "csi-clone", "copy"]
    predicted = [item["clone"]["predicted"]["method"] for item in result["data_volumes"]]
    assert predicted == ["snapshot", "csi-clone", "copy"]


def _phase(connection: Connection, setup: CloneSetup, name: str) -> str | None:
    stored = connection.get(DATA_VOLUME, name, setup.namespace) or {}
    return (stored.get("status") or {}).get("phase")


def test_a_clone_that_waits_for_its_consumer_is_predicted(
    setup: CloneSetup, lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    result = run("data_volume", **setup.clone("consumer", "wffc"))
    assert result["phase"] == "PendingPopulation"
    assert result["clone"]["method"] is None
    assert result["clone"]["predicted"]["method"] == "snapshot"
    (answer,) = lookup(f"{setup.namespace}/consumer")
    assert (answer["observed"], answer["method"]) == (False, "snapshot")
    assert "binds for the first consumer" in answer["waits_for"][0]


def test_a_remedy_that_is_carried_out_makes_the_next_clone_fast(
    connection: Connection, setup: CloneSetup, lookup: Callable[..., list[dict[str, Any]]]
) -> None:
    made = StorageClasses(connection, f"{setup.namespace}-remedy")
    try:
        slow = setup.classes["slow"] = made.make("slow", strategy="copy")
        rigid = setup.classes["rigid"] = made.make("rigid", strategy="csi-clone", expansion=False)
        made.wait()
        larger = {"asked": {"size": "160Mi"}}
        before = [
            setup.clone("mode-before", "csi", asked={"volume_mode": "Block"}),
            setup.clone("driver-before", "plain-csi"),
            setup.clone("profile-before", "slow"),
            setup.clone("size-before", "rigid", **larger),
        ]
        made_before = run("data_volume", data_volumes=before)
        assert not made_before.get("failed"), made_before["msg"]
        answers = lookup(*[f"{setup.namespace}/{clone['name']}" for clone in before])
        assert {answer["method"] for answer in answers} == {"copy"}
        assert [answer["remedy"] for answer in answers] == [
            "ask for volume_mode=Filesystem",
            f"clone to class {setup.classes['snapshot']}",
            f"set clone_strategy of the storage profile {slow} to snapshot",
            f"set allowVolumeExpansion on class {rigid}",
        ]
        changed = run("storage_profile", name=slow, clone_strategy="snapshot", force_conflicts=True)
        assert not changed.get("failed"), changed["msg"]
        connection.merge(STORAGE_CLASS, rigid, None, {"allowVolumeExpansion": True}, dry_run=False)
        after = [
            setup.clone("mode-after", "csi", asked={"volume_mode": "Filesystem"}),
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


def test_the_method_is_looked_at_when_the_same_task_has_made_the_source(
    connection: Connection, setup: CloneSetup
) -> None:
    required = {"source": "fresh", "asked": {"size": "64Mi"}, "require_clone_method": ["snapshot"]}
    asked = {"size": "64Mi", "storage_class_name": setup.classes["snapshot"]}
    volumes = [
        setup.clone("of-fresh", "snapshot", **required),
        setup.clone("copy-of-fresh", "copy", **required),
        {"name": "fresh", "namespace": setup.namespace, "source": {"blank": {}}, "storage": asked},
    ]
    checked = run_on_cluster("data_volume", check=True, data_volumes=volumes).result
    assert not checked.get("failed"), checked["msg"]
    result = run("data_volume", data_volumes=volumes)
    fast, slow, fresh = result["data_volumes"]
    assert (fresh["phase"], fast["phase"]) == ("Succeeded", "Succeeded")
    assert (fast["clone"]["predicted"]["method"], fast["clone"]["method"]) == ("snapshot", "snapshot")
    assert "copy-of-fresh would be cloned by copy, and require_clone_method is snapshot" in slow["error"]
    assert connection.get(DATA_VOLUME, "copy-of-fresh", setup.namespace) is None
