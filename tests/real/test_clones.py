# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checklist C1 to C19: how CDI clones, each claim shown on the real cluster by the collection itself.

The clones of one table are made by one task and waited for together; each test looks at its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils import _clone_plan as planner
from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._quantity import parse
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import (
    DATA_VOLUME,
    EVENT,
    NAMESPACE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    ROLE_BINDING,
    STORAGE_PROFILE,
    VOLUME_SNAPSHOT_CLASS,
)
from tests.cluster.digests import digests
from tests.cluster.versions import HELPER_IMAGE
from tests.modules import run_on_cluster
from tests.real.clone_bed import PLAIN, THIN, StorageClasses, make_snapshot_class, override, snapshot, until

KUBECONFIG = os.environ["KUBECONFIG"]
SIZE = "128Mi"
_COMPARED_BYTES = 16 << 20


class Bed(NamedTuple):
    """Two namespaces, classes of the tests' own by a short name, and sources in the first namespace."""

    namespace: str
    other: str
    classes: dict[str, str]

    def clone(
        self, name: str, target_class: str, source: str = "golden", kind: str = "pvc", **options: Any
    ) -> dict[str, Any]:
        """An item of data_volumes."""
        asked = {"size": SIZE, "storage_class_name": self.classes[target_class], **options.pop("asked", {})}
        volume = {"name": name, "source": {kind: {"name": source, "namespace": self.namespace}}, "storage": asked}
        return {"namespace": self.namespace, **volume, **options}


def _run(module_name: str, /, **options: Any) -> dict[str, Any]:
    return run_on_cluster(module_name, **options).result


@pytest.fixture(scope="module")
def bed(connection: Connection) -> Iterator[Bed]:
    mark = f"clones{uuid.uuid4().hex[:5]}"
    names = [mark, f"{mark}-other"]
    for name in names:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        connection.create(NAMESPACE, body, dry_run=False)
    made = StorageClasses(connection, mark)
    try:
        classes = {
            "snapshot": made.make("snapshot"),
            "csi": made.make("csi", strategy="csi-clone"),
            "csi-too": made.make("csi-too", strategy="csi-clone"),
            "copy": made.make("copy", strategy="copy"),
            "fixed": made.make("fixed", strategy="csi-clone", expansion=False),
            "plain": made.make("plain", PLAIN, expansion=False),
            "plain-snapshot": made.make("plain-snapshot", PLAIN, strategy="snapshot", expansion=False),
            "plain-csi": made.make("plain-csi", PLAIN, strategy="csi-clone", expansion=False),
            "wffc": made.make("wffc", binding="WaitForFirstConsumer"),
        }
        made.wait()
        url = f"{os.environ['KUBEVIRT_CDI_TEST_HTTP']}/disk.qcow2"
        source = {"http": {"url": url}}
        asked = {"size": SIZE, "storage_class_name": classes["snapshot"]}
        sources = [
            {"name": "golden", "source": source, "storage": asked},
            {"name": "device", "source": source, "storage": {**asked, "volume_mode": "Block"}},
        ]
        result = _run("data_volume", namespace=mark, data_volumes=sources)
        assert not result.get("failed"), result["msg"]
        snapshot(connection, mark, "golden", "golden")
        snapshot(connection, mark, "device", "device")
        yield Bed(names[0], names[1], classes)
    finally:
        made.remove()
        for name in names:
            connection.delete(NAMESPACE, name, dry_run=False)


@pytest.fixture(scope="module")
def clones(bed: Bed) -> dict[str, dict[str, Any]]:
    """The clones that work, made by one task: what the task returned, by name."""
    larger = {"asked": {"size": "160Mi"}}
    volumes = [
        bed.clone("by-snapshot", "snapshot"),
        bed.clone("by-csi", "csi"),
        bed.clone("by-copy", "copy"),
        bed.clone("same-driver", "csi-too"),
        bed.clone("other-driver", "plain-csi"),
        bed.clone("other-mode", "csi", asked={"volume_mode": "Block"}),
        bed.clone("no-snapshot-class", "plain-snapshot"),
        bed.clone("other-namespace", "snapshot", namespace=bed.other),
        bed.clone("larger", "csi", **larger),
        bed.clone("larger-fixed", "fixed", **larger),
        bed.clone("no-populator", "csi", annotations={"cdi.kubevirt.io/storage.usePopulator": "false"}),
        bed.clone("forced", "snapshot", annotations={"cdi.kubevirt.io/cloneType": "csi-clone"}),
        bed.clone("no-size", "snapshot", asked={"size": None}),
        bed.clone("of-snapshot", "snapshot", kind="snapshot", asked={"size": None}),
        # Of a device: CDI restores a snapshot that it has to copy to the first class of its driver by name,
        # which on the test cluster is `block-only`.
        bed.clone(
            "of-snapshot-other-driver", "plain", "device", "snapshot", asked={"size": None, "volume_mode": "Block"}
        ),
    ]
    result = _run("data_volume", data_volumes=volumes, wait_timeout=240)
    assert not result.get("failed"), result["msg"]
    return {item["name"]: item for item in result["data_volumes"]}


def _warnings(connection: Connection, namespace: str, name: str) -> dict[str, str]:
    """Reason and message of the warnings about a volume and its claim."""
    events = connection.list(EVENT, namespace)[0]
    mine = [event for event in events if event["involvedObject"]["name"] == name and event["type"] == "Warning"]
    return {event["reason"]: event["message"] for event in mine}


def _fell_back(connection: Connection, bed: Bed, clone: dict[str, Any], event: str, message: str) -> None:
    assert (clone["clone"]["method"], clone["clone"]["fallback"]) == ("copy", True)
    assert clone["clone"]["fallback_reason"] == message
    assert clone["clone"]["foreseen"]["fallback_reason"] == message
    assert _warnings(connection, bed.namespace, clone["name"])[event] == message


def test_what_was_foreseen_is_what_happened(clones) -> None:
    foreseen = {name: item["clone"]["foreseen"]["method"] for name, item in clones.items()}
    assert foreseen == {name: item["clone"]["method"] for name, item in clones.items()}


def test_the_clones_hold_what_the_source_holds(bed, clones) -> None:
    names = ["golden", "by-snapshot", "by-csi", "by-copy", "other-mode", "larger", "of-snapshot-other-driver"]
    found = digests(KUBECONFIG, [f"{bed.namespace}/{name}" for name in names], _COMPARED_BYTES)
    assert len(set(found.values())) == 1, found


def test_c01_each_of_the_three_methods_is_obtained_and_reported(bed, clones, lookup) -> None:
    names = ["by-snapshot", "by-csi", "by-copy"]
    answers = lookup(*[f"{bed.namespace}/{name}" for name in names])
    assert [answer["method"] for answer in answers] == ["snapshot", "csi-clone", "copy"]
    assert all(answer["observed"] and answer["phase"] == "Succeeded" for answer in answers)


def test_c02_the_profile_asks_for_a_csi_clone(bed, clones, lookup) -> None:
    assert clones["by-csi"]["clone"]["method"] == "csi-clone"
    (answer,) = lookup(f"{bed.namespace}/by-csi")
    assert answer["reason"] == f"The storage profile of {bed.classes['csi']} says csi-clone."


def test_c02_the_override_asks_for_a_csi_clone(connection, bed) -> None:
    with override(connection, "csi-clone"):
        result = _run("data_volume", **bed.clone("overridden", "copy"))
    assert result["clone"]["method"] == "csi-clone", result
    assert result["clone"]["foreseen"]["reason"] == "The CDI object's cloneStrategyOverride asks for csi-clone."


def test_c03_another_class_of_the_same_driver_is_good_enough(clones) -> None:
    assert clones["same-driver"]["clone"]["method"] == "csi-clone"


def test_c03_another_driver_is_not(connection, bed, clones) -> None:
    _fell_back(connection, bed, clones["other-driver"], "IncompatibleProvisioners", planner.INCOMPATIBLE_PROVISIONERS)
    assert clones["other-driver"]["clone"]["foreseen"]["remedy"] == f"clone to class {bed.classes['snapshot']}"


def test_c04_another_volume_mode_is_copied(connection, bed, clones) -> None:
    _fell_back(connection, bed, clones["other-mode"], "IncompatibleVolumeModes", planner.INCOMPATIBLE_MODES)


def test_c05_without_the_right_nothing_is_posted_and_with_it_the_clone_is_made(connection, bed) -> None:
    """CDI refuses such a clone, and does not fall back."""
    account = {"name": "default", "namespace": bed.other}
    who = {"impersonate_user": f"system:serviceaccount:{bed.other}:default"}
    rights = "kubevirt-cdi-clone-source"
    metadata = {"name": "edit", "namespace": bed.other}
    body = {"apiVersion": ROLE_BINDING.api_version, "kind": "RoleBinding", "metadata": metadata}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
    subjects = [{"kind": "ServiceAccount", **account}]
    connection.create(ROLE_BINDING, {**body, "roleRef": role, "subjects": subjects}, bed.other, dry_run=False)
    clone = bed.clone("with-a-right", "snapshot", namespace=bed.other)
    refused = _run("data_volume", **clone, **who)
    assert refused["failed"]
    assert 'the right to "create" datavolumes/source of cdi.kubevirt.io in namespace' in refused["msg"]
    assert f"in namespace {bed.namespace} is missing" in refused["msg"]
    assert "module kubevirt.cdi.clone_permission" in refused["msg"]
    assert connection.get(DATA_VOLUME, "with-a-right", bed.other) is None
    assert _run("clone_permission", namespace=bed.namespace, service_accounts=[account])["changed"]
    made = _run("data_volume", **clone, **who)
    assert not made.get("failed"), made["msg"]
    assert made["phase"] == "Succeeded"
    # What this user may not read is not guessed.
    assert made["clone"]["foreseen"]["method"] is None
    assert "It cannot be foreseen: Cannot" in made["clone"]["foreseen"]["reason"]
    assert _run("clone_permission", namespace=bed.namespace, state="absent")["changed"]
    assert connection.get(ROLE_BINDING, rights, bed.namespace) is None


def _pod(connection: Connection, namespace: str, name: str, claim: str, *, read_only: bool) -> None:
    mount = {"name": "disk", "mountPath": "/disk", "readOnly": read_only}
    container = {"name": "sleeps", "image": HELPER_IMAGE, "command": ["sleep", "600"], "volumeMounts": [mount]}
    spec = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": claim}}],
    }
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    connection.create(POD, body, namespace, dry_run=False)


def test_c06_a_source_in_use_is_waited_for_and_the_pod_is_named_at_once(connection, bed, lookup) -> None:
    busy = {"source": {"blank": {}}, "storage": {"size": "64Mi", "storage_class_name": bed.classes["snapshot"]}}
    assert _run("data_volume", name="busy", namespace=bed.namespace, **busy)["phase"] == "Succeeded"
    _pod(connection, bed.namespace, "reader", "busy", read_only=True)
    _pod(connection, bed.namespace, "writer", "busy", read_only=False)
    using = f"pod {bed.namespace}/writer using PersistentVolumeClaim busy"
    asked = {"asked": {"size": "64Mi"}, "source": "busy"}
    volumes = [bed.clone(f"of-busy-{number}", name, **asked) for number, name in enumerate(("snapshot", "csi", "copy"))]
    ran = run_on_cluster("data_volume", data_volumes=volumes, wait_timeout=15)
    late = ran.result
    assert late["failed"]
    assert len([warning for warning in ran.warnings if using in warning]) == 3
    for item in late["data_volumes"]:
        # The pod that only reads counts for nothing.
        assert using in item["error"], item["error"]
        assert "reader" not in item["error"]
        (answer,) = lookup(f"{bed.namespace}/{item['name']}")
        assert using in answer["waits_for"]
    connection.delete(POD, "writer", bed.namespace, dry_run=False)
    done = _run("data_volume", data_volumes=volumes)
    assert not done.get("failed"), done["msg"]
    assert [item["phase"] for item in done["data_volumes"]] == ["Succeeded"] * 3
    assert [item["clone"]["method"] for item in done["data_volumes"]] == ["snapshot", "csi-clone", "copy"]


def test_c07_without_a_snapshot_class_it_is_copied(connection, bed, clones) -> None:
    _fell_back(connection, bed, clones["no-snapshot-class"], "NoVolumeSnapshotClass", planner.NO_SNAPSHOT_CLASS)


def test_c07_a_snapshot_class_that_is_gone_leaves_an_error_and_no_copy(connection, bed, lookup) -> None:
    """The profile goes on naming it, and CDI fails to find it instead of falling back."""
    gone = f"zz-{bed.namespace}"
    make_snapshot_class(connection, gone, THIN)
    made = StorageClasses(connection, f"{bed.namespace}-gone")
    try:
        bed.classes["gone"] = made.make("gone", strategy="snapshot", snapshot_class=gone)
        made.wait()
        until(lambda: _profile(connection, bed.classes["gone"]).get("snapshotClass") == gone, 30, "not in the profile")
        source = {"source": {"blank": {}}, "storage": {"size": "64Mi", "storage_class_name": bed.classes["gone"]}}
        made_source = _run("data_volume", name="gone", namespace=bed.namespace, **source)
        assert made_source["phase"] == "Succeeded", made_source["msg"]
        connection.delete(VOLUME_SNAPSHOT_CLASS, gone, dry_run=False)
        clone = bed.clone("of-gone", "gone", source="gone", asked={"size": "64Mi"})
        refused = _run("data_volume", **clone)
        error = f'VolumeSnapshotClass.snapshot.storage.k8s.io "{gone}" not found'
        assert error in refused["msg"], refused
        _post(connection, clone)
        answer = until(lambda: _with_error(lookup(f"{bed.namespace}/of-gone")), 30, "no error")
        assert error in answer["error"]
    finally:
        connection.delete(DATA_VOLUME, "of-gone", bed.namespace, dry_run=False)
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


def test_c08_a_snapshot_wants_what_a_csi_clone_wants(bed, lookup) -> None:
    """The same conditions by the profile's default strategy: seen in all combinations by test_clone_plan.py."""
    answers = lookup(
        bed.clone("planned-1", "snapshot"),
        bed.clone("planned-2", "plain"),
        bed.clone("planned-3", "snapshot", asked={"volume_mode": "Block"}),
    )
    assert [answer["method"] for answer in answers] == ["snapshot", "copy", "copy"]
    assert [answer["fallback_reason"] for answer in answers] == [None, None, planner.INCOMPATIBLE_MODES]


def test_c09_a_snapshot_clone_works_across_namespaces(bed, clones) -> None:
    clone = clones["other-namespace"]
    assert (clone["namespace"], clone["phase"], clone["clone"]["method"]) == (bed.other, "Succeeded", "snapshot")


def test_c10_a_clone_may_be_larger_when_the_class_can_expand(connection, bed, clones) -> None:
    assert clones["larger"]["clone"]["method"] == "csi-clone"
    # The claim itself says so only when a pod has mounted it: CDI gives it a volume that has grown already.
    assert _capacity(connection, bed, "larger") >= 160 << 20
    _fell_back(connection, bed, clones["larger-fixed"], "NoVolumeExpansion", planner.NO_EXPANSION)
    remedy = clones["larger-fixed"]["clone"]["foreseen"]["remedy"]
    assert remedy == f"set allowVolumeExpansion on class {bed.classes['fixed']}"


def _capacity(connection: Connection, bed: Bed, name: str) -> int:
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, bed.namespace) or {}
    volume = connection.get(PERSISTENT_VOLUME, claim["spec"]["volumeName"]) or {}
    return int(parse(volume["spec"]["capacity"]["storage"]))


def test_c11_a_copy_that_was_chosen_is_told_from_a_fallback(bed, clones, lookup) -> None:
    chosen, fallen_back = lookup(f"{bed.namespace}/by-copy", f"{bed.namespace}/other-mode")
    assert (chosen["method"], chosen["fallback"], chosen["fallback_reason"]) == ("copy", False, None)
    assert chosen["reason"] == f"The storage profile of {bed.classes['copy']} says copy."
    assert chosen["remedy"] == f"set clone_strategy of the storage profile {bed.classes['copy']} to snapshot"
    assert (fallen_back["method"], fallen_back["fallback"]) == ("copy", True)
    assert fallen_back["reason"] == f"CDI fell back to copy: {planner.INCOMPATIBLE_MODES}."


def test_c11_a_method_that_was_forced_is_told_from_one_that_was_chosen(bed, clones, lookup) -> None:
    forced, chosen = lookup(f"{bed.namespace}/forced", f"{bed.namespace}/by-csi")
    assert (forced["method"], forced["forced"]) == ("csi-clone", True)
    assert (chosen["method"], chosen["forced"]) == ("csi-clone", False)


def test_c11_no_populator_means_a_copy(connection, bed, clones) -> None:
    _fell_back(connection, bed, clones["no-populator"], "NoPopulator", planner.NO_POPULATOR)
    remedy = clones["no-populator"]["clone"]["foreseen"]["remedy"]
    assert remedy == "leave out the annotation cdi.kubevirt.io/storage.usePopulator"


def test_c12_and_c13_a_copy_takes_two_pods_and_is_the_slowest(connection, bed, capsys) -> None:
    """One source, the three methods one after the other; the times are printed, asserted is only who is last."""
    seen: set[str] = set()
    seconds: dict[str, list[float]] = {"snapshot": [], "csi": [], "copy": []}
    for attempt in range(2):
        for name in seconds:
            started = time.monotonic()
            clone = bed.clone(f"timed-{name}-{attempt}", name)
            made = _run("data_volume", **clone, wait=False)
            assert not made.get("failed"), made["msg"]

            def succeeded(clone: dict[str, Any] = clone) -> bool:
                pods = connection.list(POD, bed.namespace)[0]
                seen.update(pod["metadata"]["name"] for pod in pods)
                stored = connection.get(DATA_VOLUME, clone["name"], bed.namespace) or {}
                return (stored.get("status") or {}).get("phase") == "Succeeded"

            until(succeeded, 90, f"{clone['name']} is not there")
            seconds[name].append(time.monotonic() - started)
    with capsys.disabled():
        print(f"\n{'method':10} {'first':>8} {'second':>8}   seconds for {SIZE}")
        for name, (first, second) in seconds.items():
            print(f"{name:10} {first:8.1f} {second:8.1f}")
    assert [pod for pod in seen if pod.endswith("-source-pod")]
    assert [pod for pod in seen if pod.startswith("cdi-upload-")]
    assert min(seconds["copy"]) > max(min(seconds["snapshot"]), min(seconds["csi"]))


def test_c14_c15_c16_the_record_is_read_from_the_claim(connection, bed, clones) -> None:
    said = connection.get(PERSISTENT_VOLUME_CLAIM, "other-mode", bed.namespace)["metadata"]["annotations"]
    assert said["cdi.kubevirt.io/cloneFallbackReason"] == planner.INCOMPATIBLE_MODES
    assert said["cdi.kubevirt.io/clonePhase"] == "Succeeded"
    assert said["cdi.kubevirt.io/cloneType"] == "copy"
    volume = connection.get(DATA_VOLUME, "other-mode", bed.namespace)
    assert volume["metadata"]["annotations"]["cdi.kubevirt.io/cloneType"] == "copy"
    clone = clones["other-mode"]["clone"]
    assert (clone["phase"], clone["method"]) == ("Succeeded", "copy")
    assert clone["fallback_reason"] == planner.INCOMPATIBLE_MODES


def test_c17_an_event_on_the_claim_says_why(connection, bed, clones) -> None:
    events = connection.list(EVENT, bed.namespace, field_selector="involvedObject.name=other-mode")[0]
    mine = [event for event in events if event["reason"] == "IncompatibleVolumeModes"]
    about = [(event["type"], event["involvedObject"]["kind"]) for event in mine]
    assert about == [("Warning", "PersistentVolumeClaim")]


def test_c18_a_snapshot_source_has_rules_of_its_own(connection, bed, clones) -> None:
    assert clones["of-snapshot"]["clone"]["method"] == "snapshot"
    clone = clones["of-snapshot-other-driver"]
    _fell_back(connection, bed, clone, "NoProvisionerMatch", planner.NO_PROVISIONER_MATCH)


def test_c18_the_size_that_the_source_was_given_is_too_small_for_its_snapshot(bed) -> None:
    """CDI compares the size without the file system's overhead with a snapshot that has it."""
    refused = _run("data_volume", **bed.clone("same-size", "snapshot", kind="snapshot"))
    assert f"{planner.TOO_SMALL} {128 << 20} <" in refused["msg"]
    assert "leave out the size" in refused["msg"]


def test_c19_a_smaller_target_is_refused_before_it_is_posted(connection, bed, lookup) -> None:
    clone = bed.clone("smaller", "snapshot", asked={"size": "64Mi"})
    refused = _run("data_volume", **clone)
    assert refused["failed"]
    assert f"cannot be cloned from pvc {bed.namespace}/golden: {planner.TOO_SMALL}" in refused["msg"]
    assert refused["msg"].endswith("; leave out the size.")
    assert connection.get(DATA_VOLUME, "smaller", bed.namespace) is None
    # CDI itself takes it, and says in an event what is wrong.
    _post(connection, clone)
    until(lambda: "CloneValidationFailed" in _warnings(connection, bed.namespace, "smaller"), 30, "no event")
    assert planner.TOO_SMALL in str(_warnings(connection, bed.namespace, "smaller"))
    connection.delete(DATA_VOLUME, "smaller", bed.namespace, dry_run=False)


def test_c19_another_content_type_is_refused_before_it_is_posted(connection, bed) -> None:
    refused = _run("data_volume", **bed.clone("archive", "snapshot", content_type="archive"))
    said = "Source contentType (kubevirt) and target contentType (archive) do not match; say content_type=kubevirt."
    assert said in refused["msg"]
    assert connection.get(DATA_VOLUME, "archive", bed.namespace) is None


def test_c19_a_copy_without_room_hangs_in_cdi_and_is_refused_here(connection, bed) -> None:
    """A device to a file system of the same size: CDI begins, finds no room, and tries again for ever."""
    clone = bed.clone("no-room", "snapshot", source="device")
    clone["pvc"] = {**clone.pop("storage"), "access_modes": ["ReadWriteOnce"]}
    refused = _run("data_volume", **clone)
    said = f"cannot be cloned from pvc {bed.namespace}/device: {planner.TOO_SMALL}; ask for volume_mode=Block."
    assert said in refused["msg"]
    _post(connection, {**clone, "storage": clone["pvc"]})
    until(lambda: _phase(connection, bed, "no-room") == "CloneInProgress", 30, "it does not begin")
    time.sleep(10)
    assert _phase(connection, bed, "no-room") == "CloneInProgress"
    assert planner.TOO_SMALL in str(_warnings(connection, bed.namespace, "no-room"))
    connection.delete(DATA_VOLUME, "no-room", bed.namespace, dry_run=False)


def _phase(connection: Connection, bed: Bed, name: str) -> str | None:
    stored = connection.get(DATA_VOLUME, name, bed.namespace) or {}
    return (stored.get("status") or {}).get("phase")


def test_a_method_that_is_not_wanted_fails_before_anything_is_made(connection, bed) -> None:
    clone = bed.clone("no-copy", "plain-csi", require_clone_method=["snapshot", "csi-clone"])
    refused = _run("data_volume", **clone)
    said = "no-copy would be cloned by copy, and require_clone_method is snapshot, csi-clone"
    assert f"DataVolume {bed.namespace}/{said}" in refused["msg"]
    assert planner.INCOMPATIBLE_PROVISIONERS in refused["msg"]
    assert refused["msg"].endswith(f"; clone to class {bed.classes['snapshot']}.")
    assert connection.get(DATA_VOLUME, "no-copy", bed.namespace) is None
    again = bed.clone("by-copy", "copy", require_clone_method=["snapshot"])
    # A volume that is there is left as it is.
    assert _run("data_volume", **again)["changed"] is False


def test_one_clone_that_is_refused_does_not_hide_the_others(connection, bed) -> None:
    volumes = [
        bed.clone("refused", "copy", require_clone_method=["csi-clone"]),
        bed.clone("wanted", "csi", require_clone_method=["csi-clone"]),
    ]
    result = _run("data_volume", data_volumes=volumes)
    assert result["failed"]
    refused, wanted = result["data_volumes"]
    assert "would be cloned by copy" in refused["error"]
    assert (wanted["phase"], wanted["clone"]["method"]) == ("Succeeded", "csi-clone")
    assert connection.get(DATA_VOLUME, "refused", bed.namespace) is None


def test_a_clone_that_waits_for_its_consumer_is_foretold(bed, lookup) -> None:
    result = _run("data_volume", **bed.clone("consumer", "wffc"))
    assert result["phase"] == "PendingPopulation"
    assert result["clone"]["method"] is None
    assert result["clone"]["foreseen"]["method"] == "snapshot"
    (answer,) = lookup(f"{bed.namespace}/consumer")
    assert (answer["observed"], answer["method"]) == (False, "snapshot")
    assert "binds for the first consumer" in answer["waits_for"][0]


def test_the_lookup_answers_in_a_playbook(bed, clones, tmp_path) -> None:
    """Real booleans and real nulls, by name and by plan, with the options of modules."""
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"plan": bed.clone("planned", "plain-csi")},
            "tasks": [
                {
                    "ansible.builtin.assert": {
                        "that": [
                            f"query('kubevirt.cdi.clone_method', '{bed.namespace}/by-csi', plan) | length == 2",
                            f"lookup('kubevirt.cdi.clone_method', '{bed.namespace}/by-csi').fallback is false",
                            f"lookup('kubevirt.cdi.clone_method', '{bed.namespace}/by-csi').remedy is none",
                            "lookup('kubevirt.cdi.clone_method', plan).method == 'copy'",
                            "lookup('kubevirt.cdi.clone_method', plan).fallback is true",
                            "lookup('kubevirt.cdi.clone_method', plan).observed is false",
                        ]
                    }
                }
            ],
        }
    ]
    file = tmp_path / "play.yml"
    file.write_text(json.dumps(play))
    command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(file)]
    environment = {**os.environ, "K8S_AUTH_KUBECONFIG": KUBECONFIG}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_second_run_of_all_clones_changes_nothing(bed, clones, module: Callable[..., Any]) -> None:
    volumes = [bed.clone("by-snapshot", "snapshot"), bed.clone("by-csi", "csi"), bed.clone("by-copy", "copy")]
    again = module("data_volume", data_volumes=volumes).result
    assert again["changed"] is False
    assert {item["clone"]["foreseen"] for item in again["data_volumes"]} == {None}
