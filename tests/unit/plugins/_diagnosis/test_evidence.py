# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What events, pods, claims and snapshots around a DataVolume tell of it."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import diagnose as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence, warnings_about
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, WAITING

from tests.unit.plugins._diagnosis import objects as bed


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (
            bed.event(bed.PRIME, "ProvisioningFailed", 'storageclass.storage.k8s.io "no" not found'),
            "storage_class_missing",
        ),
        (
            bed.event(bed.PRIME, "ProvisioningFailed", "rpc error: code = InvalidArgument desc = no"),
            "provisioning_failed",
        ),
        (bed.event(bed.CLAIM, "ErrExceededQuota", "exceeded quota: q"), "quota_exceeded"),
        (bed.event(bed.CLAIM, "ErrCreatingPVCPrime", "forbidden: exceeded quota: q, requested"), "quota_exceeded"),
        (
            bed.event(bed.POD, "FailedMount", 'SetUp failed for volume "v" : configmap "ca" not found'),
            "config_map_missing",
        ),
        (bed.event(bed.POD, "Failed", 'Error: secret "s" not found', "Pod"), "secret_missing"),
    ],
)
def test_events_tell_what_the_volume_does_not(event: Any, cause: str) -> None:
    around = bed.around(event, pod={"conditions": []})
    assert bed.cause(bed.stored("ImportScheduled", Bound=bed.PENDING), around) == cause


@pytest.mark.parametrize(
    ("around", "cause"),
    [
        (
            bed.around(pod={"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}),
            "image_pull_failed",
        ),
        (bed.around(pod={"conditions": [{"type": "PodScheduled", "status": "True"}]}, prime="Bound"), None),
        (bed.owned(bed.CLAIM, annotations={"cdi.kubevirt.io/cloneError": "token missing"}), "clone_token_invalid"),
        (bed.owned(bed.PRIME, storageClassName=None), "storage_class_missing"),
        (bed.owned(bed.PRIME, storageClassName=""), "claim_pending"),
        (bed.owned(bed.PRIME, volumeName="pv"), None),
        # Of a class whose provisioner is no CSI driver CDI fills the claim itself, and not by way of another one.
        (Evidence(claims=[bed.item(bed.CLAIM, bed.VOLUME, "DataVolume")]), "claim_pending"),
        (
            Evidence(
                claims=[bed.item(bed.CLAIM, bed.VOLUME, "DataVolume", dataSourceRef={"kind": "VolumeImportSource"})]
            ),
            None,
        ),
        (bed.snapshot({"message": "no room"}), "snapshot_failed"),
        (bed.snapshot({}), None),
    ],
)
def test_pods_claims_and_snapshots_tell_what_the_volume_does_not(around: Any, cause: str | None) -> None:
    assert bed.cause(bed.stored("ImportScheduled", Bound=bed.PENDING), around) == cause


def test_without_a_claim_something_must_have_refused_it() -> None:
    stored = bed.stored("Pending", Bound={"reason": "NotFound"})
    assert bed.cause(stored, Evidence(controllers=[bed.controller(1)])) == "claim_missing"
    made = Evidence(
        (),
        (),
        [bed.item(bed.CLAIM, bed.VOLUME, "DataVolume", dataSourceRef={"kind": "VolumeImportSource"})],
        controllers=[bed.controller(1)],
    )
    assert bed.cause(stored, made) is None


def test_only_what_nothing_explains_is_asked_of_the_controller() -> None:
    untouched = {"metadata": {"name": "disk", "uid": bed.VOLUME}}
    assert rules.unexplained(untouched, Evidence())
    assert rules.unexplained(bed.stored("ImportScheduled"), Evidence())
    refused = bed.stored("Pending", Bound={"reason": "ErrClaimNotValid"})
    assert not rules.unexplained(refused, Evidence())


def test_events_of_others_do_not_count() -> None:
    around = bed.around(bed.event(bed.OTHER, "ErrExceededQuota", "exceeded quota: q"), prime="Bound")
    assert bed.cause(bed.stored("ImportScheduled", Bound=bed.PENDING), around) is None


def test_events_of_a_claim_that_is_bound_by_now_do_not_count() -> None:
    failed = bed.event(bed.PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = once")
    assert bed.cause(bed.stored("ImportScheduled", Bound=bed.PENDING), bed.around(failed, prime="Bound")) is None


def test_what_a_bound_claim_lacks_for_its_scratch_space_counts() -> None:
    refused = bed.event(
        bed.PRIME,
        "ErrExceededQuota",
        f'persistentvolumeclaims "prime-{bed.CLAIM}-scratch" is forbidden: exceeded quota',
    )
    assert (
        bed.cause(bed.stored("ImportScheduled", Bound=bed.PENDING), bed.around(refused, prime="Bound"))
        == "quota_exceeded"
    )


def test_a_helper_that_is_gone_is_known_by_its_name() -> None:
    failed = bed.event("", "SnapshotCreationFailed", "driver says no", "VolumeSnapshot")
    failed["involvedObject"]["name"] = f"tmp-snapshot-{bed.CLAIM}"
    assert bed.cause(bed.stored("Pending", Bound=bed.PENDING), bed.around(failed)) == "snapshot_failed"


@pytest.mark.parametrize("code", ["DeadlineExceeded", "Unavailable", "Aborted", "Canceled"])
def test_a_provisioner_that_may_be_at_work_has_not_failed(code: str) -> None:
    failed = bed.event(bed.PRIME, "ProvisioningFailed", f"rpc error: code = {code} desc = slow", last="00:10:00")
    stored = bed.stored("ImportScheduled", Bound=bed.PENDING)
    assert rules.judge(bed.volume(), stored, bed.around(failed)).state == WAITING
    assert bed.cause(stored, bed.around(failed)) == "provisioning_failed"


def test_what_an_event_has_said_for_long_needs_no_patience() -> None:
    once = bed.event(bed.PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = no")
    again = {**once, "lastTimestamp": "2026-01-01T00:00:20Z"}
    stored = bed.stored("ImportScheduled", Bound=bed.PENDING)
    assert rules.judge(bed.volume(), stored, bed.around(once)).grace > 0
    assert rules.judge(bed.volume(), stored, bed.around(again)).grace == 0
    condition = bed.stored(
        "ImportScheduled", Bound={**bed.PENDING, "message": "failed to provision volume: code = Internal"}
    )
    assert (
        rules.judge(bed.volume(), condition).grace > 0 == rules.judge(bed.volume(), condition, bed.around(again)).grace
    )


def test_a_storage_without_room_has_failed_unless_others_work_and_give_some_back() -> None:
    full = bed.event(
        bed.PRIME, "ProvisioningFailed", "rpc error: code = ResourceExhausted desc = the pool is full", last="00:00:10"
    )
    stored = bed.stored("ImportScheduled", Bound=bed.PENDING)
    assert rules.judge(bed.volume(), stored, bed.around(full)).state == FAILED
    assert "make room in the storage" in rules.explain(stored, bed.around(full))["remedy"]
    assert bed.cause(stored, bed.around(full)) == "storage_full"
    assert (
        rules.judge(bed.volume(), stored, bed.around(full, others=[bed.item(bed.SCRATCH, bed.OTHER)])).state == WAITING
    )


def test_a_quota_that_others_use_for_a_while_is_waited_for() -> None:
    stored = bed.stored("Pending", Bound={"reason": "ErrExceededQuota", "message": "exceeded quota: q"})
    assert rules.judge(bed.volume(), stored).state == WAITING
    assert rules.judge(bed.volume(), stored, bed.around()).state == FAILED
    assert rules.judge(bed.volume(), stored, bed.around(others=[bed.item(bed.SCRATCH, bed.OTHER)])).state == WAITING


@pytest.mark.parametrize(
    ("message", "state"),
    [
        ("0/1 nodes are available: 1 node(s) had volume node affinity conflict.", FAILED),
        ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", FAILED),
        ("0/1 nodes are available: 1 Insufficient cpu.", WAITING),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.", WAITING),
    ],
)
def test_a_pod_that_no_node_takes(message: str, state: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    stored = bed.stored("ImportScheduled", Bound=bed.PENDING, Running={"reason": "Unschedulable", "message": "cannot"})
    around = bed.around(pod={"conditions": [condition]})
    assert rules.judge(bed.volume(), stored, around).state == state
    assert bed.cause(stored, around) == "worker_unschedulable"


def test_a_pod_that_no_node_takes_says_since_when_and_what_it_requests() -> None:
    since = datetime.now(timezone.utc) - timedelta(seconds=40)
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }
    around = bed.around(pod={"conditions": [{**condition, "lastTransitionTime": f"{since:%Y-%m-%dT%H:%M:%SZ}"}]})
    ((_kind, pod),) = around.owned[bed.PRIME]
    pod["spec"] = {
        "containers": [
            {"resources": {"requests": {"cpu": "100m", "memory": "60M"}}},
            {"resources": {"requests": {"cpu": "0.1"}}},
            {},
        ]
    }
    stored = bed.stored("ImportScheduled", Bound=bed.PENDING)
    explained = rules.explain(stored, around)
    assert (
        explained["message"]
        == "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu (the pod requests 200m CPU, 60M memory)"
    )
    assert explained["since"] == f"{since:%Y-%m-%dT%H:%M:%SZ}" and 39 < rules.seconds_since(explained) < 60
    told = rules.judge(bed.volume(), stored, around).reason
    assert re.match(
        r"phase ImportScheduled, Unschedulable since 4\d s: 0/1 nodes .*; make room on a node for CDI's pods$", told
    ), told


def test_a_controller_that_is_down_says_nothing_so_we_do() -> None:
    untouched = {"metadata": {"name": "disk", "uid": bed.VOLUME}}
    down = Evidence(controllers=[bed.controller(0)])
    assert "Deployment cdi/cdi-deployment" in rules.explain(untouched, down)["message"]
    assert rules.judge(bed.volume(), untouched, down).state == FAILED
    assert bed.cause(untouched, Evidence(controllers=[])) == "controller_down"
    assert bed.cause(untouched, Evidence(controllers=[bed.controller(1)])) is None
    # Without the right to see it there is a suspicion.
    assert rules.judge(bed.volume(), untouched, Evidence()).state == WAITING
    assert bed.cause(untouched, Evidence()) == "controller_down"


def test_a_claim_that_nobody_provisions_is_suspicious() -> None:
    assert "of storage class thin is not bound" in rules.explain(bed.stored("ImportScheduled"), bed.around())["message"]
    assert rules.judge(bed.volume(), bed.stored("ImportScheduled"), bed.around()).state == WAITING


def test_warnings_say_what_the_diagnosis_does_not() -> None:
    around = bed.around(
        bed.event(bed.CLAIM, "R", "third", last="00:00:03"),
        bed.event(bed.CLAIM, "R", "[prime-x] : second", last="00:00:02"),
        bed.event(bed.PRIME, "R", "second", last="00:00:02"),
        bed.event(bed.CLAIM, "R", "told", last="00:00:04"),
        bed.event(bed.CLAIM, "R", "zeroth"),
        bed.event(bed.CLAIM, "R", "first", last="00:00:01"),
        bed.event(bed.OTHER, "R", "other"),
        bed.event(
            bed.PRIME,
            "FailedScheduling",
            'error getting PVC: could not find v1.PersistentVolumeClaim "demo/disk-scratch"',
        ),
    )
    told = warnings_about(bed.stored("Pending"), around, {"message": "R: told"})
    assert told == ["R: first", "R: second", "R: third"]


@pytest.mark.parametrize(("phase", "told"), [("Pending", ["FailedMount: no secret"]), ("Running", [])])
def test_what_kept_a_pod_from_starting_is_no_warning_once_it_runs(phase: str, told: list[str]) -> None:
    around = bed.around(bed.event(bed.POD, "FailedMount", "no secret", kind="Pod"), pod={"phase": phase})
    assert warnings_about(bed.stored("UploadReady"), around, {"message": ""}) == told


def test_an_event_without_times_needs_all_the_patience() -> None:
    """The new events API has only eventTime."""
    failed = bed.event(bed.PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = no")
    failed.update(firstTimestamp=None, lastTimestamp=None, eventTime="2026-01-01T00:00:00.000000Z")
    assert rules.judge(bed.volume(), bed.stored("ImportScheduled", Bound=bed.PENDING), bed.around(failed)).grace > 0


@pytest.mark.parametrize("said", ["no", "code = ResourceExhausted desc = no space left"])
def test_a_thousand_volumes_are_diagnosed_in_no_time(said: str) -> None:
    uids = [f"{number:08x}-0000-4000-8000-00000000000{{}}" for number in range(1000)]
    claims = [bed.item(uid.format(1), uid.format(0), "DataVolume") for uid in uids]
    claims += [bed.item(uid.format(2), uid.format(1)) for uid in uids]
    events = [bed.event(uid.format(2), "ProvisioningFailed", said) for uid in uids]
    started = time.process_time()
    around = Evidence(events, (), claims)
    for uid in uids:
        assert bed.cause({"metadata": {"uid": uid.format(0)}, "status": {"phase": "Pending"}}, around)
    assert time.process_time() - started < 2
