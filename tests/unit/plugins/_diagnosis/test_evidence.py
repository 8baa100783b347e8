# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What events, pods, claims and snapshots add to the diagnosis of a DataVolume."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import diagnose as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence, warnings_about
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, WAITING

from tests.unit.plugins._diagnosis import objects


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (
            objects.event(objects.PRIME, "ProvisioningFailed", 'storageclass.storage.k8s.io "no" not found'),
            "storage_class_missing",
        ),
        (
            objects.event(objects.PRIME, "ProvisioningFailed", "rpc error: code = InvalidArgument desc = no"),
            "provisioning_failed",
        ),
        (objects.event(objects.CLAIM, "ErrExceededQuota", "exceeded quota: q"), "quota_exceeded"),
        (
            objects.event(objects.CLAIM, "ErrCreatingPVCPrime", "forbidden: exceeded quota: q, requested"),
            "quota_exceeded",
        ),
        (
            objects.event(objects.POD, "FailedMount", 'SetUp failed for volume "v" : configmap "ca" not found'),
            "config_map_missing",
        ),
        (objects.event(objects.POD, "Failed", 'Error: secret "s" not found', "Pod"), "secret_missing"),
    ],
)
def test_events_explain_what_the_volume_does_not(event: Any, cause: str) -> None:
    around = objects.around(event, pod={"conditions": []})
    assert objects.cause(objects.stored("ImportScheduled", Bound=objects.PENDING), around) == cause


@pytest.mark.parametrize(
    ("around", "cause"),
    [
        (
            objects.around(pod={"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}),
            "image_pull_failed",
        ),
        (objects.around(pod={"conditions": [{"type": "PodScheduled", "status": "True"}]}, prime="Bound"), None),
        (
            objects.owned(objects.CLAIM, annotations={"cdi.kubevirt.io/cloneError": "token missing"}),
            "clone_token_invalid",
        ),
        (objects.owned(objects.PRIME, storageClassName=None), "storage_class_missing"),
        (objects.owned(objects.PRIME, storageClassName=""), "claim_pending"),
        (objects.owned(objects.PRIME, volumeName="pv"), None),
        # Without a CSI driver, CDI fills the claim directly, without a prime claim.
        (Evidence(claims=[objects.item(objects.CLAIM, objects.VOLUME, "DataVolume")]), "claim_pending"),
        (
            Evidence(
                claims=[
                    objects.item(
                        objects.CLAIM, objects.VOLUME, "DataVolume", dataSourceRef={"kind": "VolumeImportSource"}
                    )
                ]
            ),
            None,
        ),
        (objects.snapshot({"message": "no room"}), "snapshot_failed"),
        (objects.snapshot({}), None),
    ],
)
def test_related_objects_explain_what_the_volume_does_not(around: Any, cause: str | None) -> None:
    assert objects.cause(objects.stored("ImportScheduled", Bound=objects.PENDING), around) == cause


def test_a_missing_claim_is_a_problem() -> None:
    stored = objects.stored("Pending", Bound={"reason": "NotFound"})
    assert objects.cause(stored, Evidence(controllers=[objects.controller(1)])) == "claim_missing"
    made = Evidence(
        (),
        (),
        [objects.item(objects.CLAIM, objects.VOLUME, "DataVolume", dataSourceRef={"kind": "VolumeImportSource"})],
        controllers=[objects.controller(1)],
    )
    assert objects.cause(stored, made) is None


def test_only_unexplained_volumes_require_the_controller() -> None:
    untouched = {"metadata": {"name": "disk", "uid": objects.VOLUME}}
    assert rules.unexplained(untouched, Evidence())
    assert rules.unexplained(objects.stored("ImportScheduled"), Evidence())
    refused = objects.stored("Pending", Bound={"reason": "ErrClaimNotValid"})
    assert not rules.unexplained(refused, Evidence())


def test_events_of_other_volumes_do_not_count() -> None:
    around = objects.around(objects.event(objects.OTHER, "ErrExceededQuota", "exceeded quota: q"), prime="Bound")
    assert objects.cause(objects.stored("ImportScheduled", Bound=objects.PENDING), around) is None


def test_events_of_a_bound_claim_do_not_count() -> None:
    failed = objects.event(objects.PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = once")
    assert (
        objects.cause(objects.stored("ImportScheduled", Bound=objects.PENDING), objects.around(failed, prime="Bound"))
        is None
    )


def test_a_rejected_scratch_claim_of_a_bound_claim_counts() -> None:
    refused = objects.event(
        objects.PRIME,
        "ErrExceededQuota",
        f'persistentvolumeclaims "prime-{objects.CLAIM}-scratch" is forbidden: exceeded quota',
    )
    assert (
        objects.cause(objects.stored("ImportScheduled", Bound=objects.PENDING), objects.around(refused, prime="Bound"))
        == "quota_exceeded"
    )


def test_a_deleted_helper_is_known_by_its_name() -> None:
    failed = objects.event("", "SnapshotCreationFailed", "driver says no", "VolumeSnapshot")
    failed["involvedObject"]["name"] = f"tmp-snapshot-{objects.CLAIM}"
    assert objects.cause(objects.stored("Pending", Bound=objects.PENDING), objects.around(failed)) == "snapshot_failed"


@pytest.mark.parametrize("code", ["DeadlineExceeded", "Unavailable", "Aborted", "Canceled"])
def test_a_provisioner_that_continues_has_not_failed(code: str) -> None:
    failed = objects.event(
        objects.PRIME, "ProvisioningFailed", f"rpc error: code = {code} desc = slow", last="00:10:00"
    )
    stored = objects.stored("ImportScheduled", Bound=objects.PENDING)
    assert rules.judge(objects.volume(), stored, objects.around(failed)).state == WAITING
    assert objects.cause(stored, objects.around(failed)) == "provisioning_failed"


def test_the_duration_of_an_event_shortens_the_grace() -> None:
    once = objects.event(objects.PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = no")
    again = {**once, "lastTimestamp": "2026-01-01T00:00:20Z"}
    stored = objects.stored("ImportScheduled", Bound=objects.PENDING)
    assert rules.judge(objects.volume(), stored, objects.around(once)).grace > 0
    assert rules.judge(objects.volume(), stored, objects.around(again)).grace == 0
    condition = objects.stored(
        "ImportScheduled", Bound={**objects.PENDING, "message": "failed to provision volume: code = Internal"}
    )
    assert (
        rules.judge(objects.volume(), condition).grace
        > 0
        == rules.judge(objects.volume(), condition, objects.around(again)).grace
    )


def test_full_storage_fails_unless_other_helpers_will_release_some() -> None:
    full = objects.event(
        objects.PRIME,
        "ProvisioningFailed",
        "rpc error: code = ResourceExhausted desc = the pool is full",
        last="00:00:10",
    )
    stored = objects.stored("ImportScheduled", Bound=objects.PENDING)
    assert rules.judge(objects.volume(), stored, objects.around(full)).state == FAILED
    assert "free space in the storage" in objects.explained(stored, objects.around(full))["remedy"]
    assert objects.cause(stored, objects.around(full)) == "storage_full"
    assert (
        rules.judge(
            objects.volume(), stored, objects.around(full, others=[objects.item(objects.SCRATCH, objects.OTHER)])
        ).state
        == WAITING
    )


def test_a_quota_that_other_helpers_will_release_is_waited_for() -> None:
    stored = objects.stored("Pending", Bound={"reason": "ErrExceededQuota", "message": "exceeded quota: q"})
    assert rules.judge(objects.volume(), stored).state == WAITING
    assert rules.judge(objects.volume(), stored, objects.around()).state == FAILED
    assert (
        rules.judge(
            objects.volume(), stored, objects.around(others=[objects.item(objects.SCRATCH, objects.OTHER)])
        ).state
        == WAITING
    )


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ("0/1 nodes are available: 1 node(s) had volume node affinity conflict.", FAILED),
        ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", FAILED),
        ("0/1 nodes are available: 1 Insufficient cpu.", WAITING),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.", WAITING),
    ],
)
def test_an_unschedulable_pod_has_cause_and_grace(message: str, state: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    stored = objects.stored(
        "ImportScheduled", Bound=objects.PENDING, Running={"reason": "Unschedulable", "message": "cannot"}
    )
    around = objects.around(pod={"conditions": [condition]})
    assert rules.judge(objects.volume(), stored, around).state == state
    assert objects.cause(stored, around) == "worker_unschedulable"


def test_an_unschedulable_pod_reports_its_duration_and_requests() -> None:
    since = datetime.now(timezone.utc) - timedelta(seconds=40)
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }
    around = objects.around(pod={"conditions": [{**condition, "lastTransitionTime": f"{since:%Y-%m-%dT%H:%M:%SZ}"}]})
    ((_kind, pod),) = around.owned[objects.PRIME]
    pod["spec"] = {
        "containers": [
            {"resources": {"requests": {"cpu": "100m", "memory": "60M"}}},
            {"resources": {"requests": {"cpu": "0.1"}}},
            {},
        ]
    }
    stored = objects.stored("ImportScheduled", Bound=objects.PENDING)
    explained = objects.explained(stored, around)
    assert (
        explained["message"]
        == "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu (the pod requests 200m CPU, 60M memory)"
    )
    assert explained["since"] == f"{since:%Y-%m-%dT%H:%M:%SZ}" and 39 < rules.seconds_since(explained) < 60
    expected = rules.judge(objects.volume(), stored, around).reason
    assert re.match(
        r"phase ImportScheduled, Unschedulable for 4\d s: 0/1 nodes .*; free resources on a node for CDI's pods$",
        expected,
    ), expected


def test_a_controller_that_is_down_is_reported() -> None:
    untouched = {"metadata": {"name": "disk", "uid": objects.VOLUME}}
    down = Evidence(controllers=[objects.controller(0)])
    assert "Deployment cdi/cdi-deployment" in objects.explained(untouched, down)["message"]
    assert rules.judge(objects.volume(), untouched, down).state == FAILED
    assert objects.cause(untouched, Evidence(controllers=[])) == "controller_down"
    assert objects.cause(untouched, Evidence(controllers=[objects.controller(1)])) is None
    # Without the right to list Deployments, it is only possible.
    assert rules.judge(objects.volume(), untouched, Evidence()).state == WAITING
    assert objects.cause(untouched, Evidence()) == "controller_down"


def test_a_claim_without_a_provisioner_is_pending() -> None:
    assert (
        "of storage class thin is not bound"
        in objects.explained(objects.stored("ImportScheduled"), objects.around())["message"]
    )
    assert rules.judge(objects.volume(), objects.stored("ImportScheduled"), objects.around()).state == WAITING


def test_warnings_add_to_the_diagnosis() -> None:
    around = objects.around(
        objects.event(objects.CLAIM, "R", "third", last="00:00:03"),
        objects.event(objects.CLAIM, "R", "[prime-x] : second", last="00:00:02"),
        objects.event(objects.PRIME, "R", "second", last="00:00:02"),
        objects.event(objects.CLAIM, "R", "expected", last="00:00:04"),
        objects.event(objects.CLAIM, "R", "zeroth"),
        objects.event(objects.CLAIM, "R", "first", last="00:00:01"),
        objects.event(objects.OTHER, "R", "other"),
        objects.event(
            objects.PRIME,
            "FailedScheduling",
            'error getting PVC: could not find v1.PersistentVolumeClaim "demo/disk-scratch"',
        ),
    )
    expected = warnings_about(objects.stored("Pending"), around, {"message": "R: expected"})
    assert expected == ["R: first", "R: second", "R: third"]


@pytest.mark.parametrize(("phase", "expected"), [("Pending", ["FailedMount: no secret"]), ("Running", [])])
def test_events_before_the_start_are_not_warnings_of_a_running_pod(phase: str, expected: list[str]) -> None:
    around = objects.around(objects.event(objects.POD, "FailedMount", "no secret", kind="Pod"), pod={"phase": phase})
    assert warnings_about(objects.stored("UploadReady"), around, {"message": ""}) == expected


def test_an_event_without_times_has_the_full_grace() -> None:
    """The newer events API only has eventTime."""
    failed = objects.event(objects.PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = no")
    failed.update(firstTimestamp=None, lastTimestamp=None, eventTime="2026-01-01T00:00:00.000000Z")
    assert (
        rules.judge(
            objects.volume(), objects.stored("ImportScheduled", Bound=objects.PENDING), objects.around(failed)
        ).grace
        > 0
    )


@pytest.mark.parametrize("said", ["no", "code = ResourceExhausted desc = no space left"])
def test_a_thousand_volumes_are_diagnosed_within_two_seconds(said: str) -> None:
    uids = [f"{number:08x}-0000-4000-8000-00000000000{{}}" for number in range(1000)]
    claims = [objects.item(uid.format(1), uid.format(0), "DataVolume") for uid in uids]
    claims += [objects.item(uid.format(2), uid.format(1)) for uid in uids]
    events = [objects.event(uid.format(2), "ProvisioningFailed", said) for uid in uids]
    started = time.process_time()
    around = Evidence(events, (), claims)
    for uid in uids:
        assert objects.cause({"metadata": {"uid": uid.format(0)}, "status": {"phase": "Pending"}}, around)
    assert time.process_time() - started < 2


_PULLING = 'ErrImagePull: failed to pull and unpack image "registry:5000/a:1": failed to resolve reference: '


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        (
            'Head "https://registry:5000/v2/a/manifests/1": x509: certificate signed by unknown authority',
            "runtime of the nodes to trust the registry's CA, or set pull_method=pod and cert_config_map",
        ),
        (
            "failed to do request: http: server gave HTTP response to HTTPS client",
            "runtime of the nodes for a registry without TLS, or set pull_method=pod and add",
        ),
        (
            "unexpected status from HEAD request: 401 Unauthorized",
            "image_pull_secrets (module kubevirt.cdi.cdi_config)",
        ),
        ("pull access denied, repository does not exist or may require authorization", "image_pull_secrets"),
        ("dial tcp: lookup registry on 10.0.0.10:53: no such host", "the DNS that the nodes use"),
        ("dial tcp 10.0.0.1:5000: connect: connection refused", "that the nodes can reach it"),
        ("registry:5000/a:1: not found", "correct the name of the image"),
    ],
)
def test_image_that_a_node_does_not_pull_is_explained_by_the_kubelet(reason: str, remedy: str) -> None:
    """CDI names only the image. What makes CDI's own pods trust a registry does nothing for a node."""
    running = {"reason": "ImagePullFailed", "message": "failed to pull image: registry:5000/a:1"}
    for waiting in (
        {"reason": "ErrImagePull", "message": _PULLING.partition(": ")[2] + reason},
        {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "registry:5000/a:1": {_PULLING}{reason}'},
    ):
        around = objects.around(pod={"containerStatuses": [{"state": {"waiting": waiting}}]})
        for by_cdi in (running, {}):
            found = objects.explained(objects.stored("ImportScheduled", Bound=objects.PENDING, Running=by_cdi), around)
            assert found["cause"] == "image_pull_failed"
            assert reason[-20:] in found["message"]
            assert remedy in found["remedy"]
            assert "set cert_config_map" not in found["remedy"]
