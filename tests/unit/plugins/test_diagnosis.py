# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a DataVolume has got to, and what is said of one that gets no further."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils import _diagnosis as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume_options import VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis_objects import Evidence, warnings_about
from ansible_collections.kubevirt.cdi.plugins.module_utils._verdict import FAILED, REACHED, WAITING

UIDS = [f"{number}0000000-0000-4000-8000-000000000000" for number in range(6)]
VOLUME, CLAIM, PRIME, POD, OTHER, SCRATCH = UIDS
PENDING = {"reason": "Pending", "message": "PVC disk Pending"}


def _volume(**options: Any) -> dict[str, Any]:
    defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
    return {**defaults, "name": "disk", "namespace": "demo", "source": {"blank": {}}, "storage": {"size": "1Gi"}, **options}


def _stored(phase: str, restarts: int = 0, **conditions: dict[str, str]) -> dict[str, Any]:
    listed = [{"type": kind, "status": "False", **condition} for kind, condition in conditions.items()]
    status = {"phase": phase, "restartCount": restarts, "conditions": listed}
    return {"metadata": {"name": "disk", "uid": VOLUME}, "status": status}


@pytest.mark.parametrize(
    ("phase", "noted", "told"),
    [
        ("UploadReady", {"kubevirt.cdi/upload-sha256": "a" * 64, "kubevirt.cdi/upload-begun": "2026-01-02T03:04:05Z"}, " since 2026-01-02T03:04:05Z "),
        ("UploadReady", {"kubevirt.cdi/upload-sha256": "a" * 64}, "not finished (file with SHA-256 aaaaaaaaaaaa...)"),
        ("UploadReady", {}, None),
        ("UploadScheduled", {"kubevirt.cdi/upload-sha256": "a" * 64}, None),
        ("Succeeded", {"kubevirt.cdi/upload-sha256": "a" * 64}, None),
    ],
)
def test_an_upload_that_was_begun_and_not_finished_is_a_problem(phase: str, noted: dict[str, str], told: str | None) -> None:
    owner = [{"kind": "DataVolume", "uid": VOLUME}]
    claim = {"metadata": {"name": "disk", "uid": CLAIM, "annotations": noted, "ownerReferences": owner}, "spec": {}}
    explained = rules.explain(_stored(phase, Running={"status": "True"}), Evidence(claims=[claim]))
    assert (explained is None) == (told is None)
    if explained:
        assert explained["cause"] == "upload_unfinished" and told in explained["message"]
        assert "run the upload again or delete the volume" in explained["remedy"]


EXTERNAL = {"storage": {"dataSourceRef": {"kind": "VolumeSnapshot", "name": "golden"}}}


@pytest.mark.parametrize(
    ("options", "stored", "state"),
    [
        ({}, _stored("Succeeded"), REACHED),
        ({}, _stored("ImportInProgress"), WAITING),
        ({}, _stored(""), WAITING),
        ({}, None, FAILED),
        ({}, _stored("Failed"), FAILED),
        ({}, _stored("PendingPopulation"), REACHED),
        ({}, _stored("WaitForFirstConsumer"), REACHED),
        ({"binding": "immediate"}, _stored("PendingPopulation"), WAITING),
        ({"source": {"upload": {}}}, _stored("UploadReady"), REACHED),
        ({"source": {"upload": {}}, "wait_for": "succeeded"}, _stored("UploadReady"), WAITING),
        ({"wait_for": "bound"}, _stored("ImportInProgress", Bound={"status": "True"}), REACHED),
        ({"wait_for": "bound"}, _stored("Succeeded"), REACHED),
        ({"wait_for": "bound"}, {**_stored("Succeeded"), "spec": EXTERNAL}, WAITING),
        ({"wait_for": "bound"}, {**_stored("Succeeded", Bound={"status": "True"}), "spec": EXTERNAL}, REACHED),
        ({}, {**_stored("Succeeded"), "spec": EXTERNAL}, REACHED),
        ({}, _stored("Pending", Bound={"reason": "ErrClaimNotValid"}), FAILED),
        ({}, _stored("ImportScheduled", Running={"reason": "ContainerCreating"}), WAITING),
        ({}, _stored("ImportScheduled", Running={"reason": "Scratch space required"}), WAITING),
    ],
)
def test_where_a_volume_has_got_to(options: dict[str, Any], stored: Any, state: str) -> None:
    assert rules.judge(_volume(**options), stored).state == state


def test_what_cannot_heal_fails_at_once_with_its_remedy() -> None:
    message = "Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"
    stored = _stored("ImportInProgress", Running={"reason": "Error", "message": message})
    verdict = rules.judge(_volume(), stored)
    assert (verdict.state, verdict.grace) == (FAILED, 0)
    told = {"phase": "ImportInProgress", "cause": "source_not_found", "message": f"Error: {message}", "remedy": "correct the URL", "since": None}
    assert rules.explain(stored) == told
    assert rules.sentence(rules.explain(stored)) == f"phase ImportInProgress, Error: {message}; correct the URL."


def _object(uid: str, owner: str, kind: str = "PersistentVolumeClaim", phase: str = "Pending", **spec: Any) -> Any:
    return {
        "metadata": {"name": f"prime-{owner}", "uid": uid, "ownerReferences": [{"uid": owner, "kind": kind}]},
        "spec": {"storageClassName": "thin", **spec},
        "status": {"phase": phase},
    }


def _event(about: str, reason: str, message: str, kind: str = "PersistentVolumeClaim", last: str = "00:00:00") -> Any:
    return {
        "metadata": {"uid": f"{about}{reason}{message}"},
        "involvedObject": {"uid": about, "kind": kind, "name": ""},
        "reason": reason,
        "message": message,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": f"2026-01-01T{last}Z",
    }


def _around(*events: Any, pod: Any = None, prime: str = "Pending", others: Any = ()) -> Any:
    claims = [_object(CLAIM, VOLUME, "DataVolume"), _object(PRIME, CLAIM, phase=prime), *others]
    pods = [{**_object(POD, PRIME), "status": {"phase": "Pending", **pod}}] if pod else []
    return Evidence(events, pods, claims)


def _cause(stored: dict[str, Any], around: Any = None) -> str | None:
    found = rules.diagnose(stored, around)
    return found.cause if found else None


def _owned(uid: str, annotations: dict[str, str] | None = None, **spec: Any) -> Any:
    """A claim of the volume like this, and no other helper."""
    claim = _object(uid, VOLUME, **spec)
    claim["metadata"]["annotations"] = annotations
    return Evidence((), (), [claim])


def _snapshot(error: dict[str, str]) -> Any:
    return Evidence(snapshots=[{**_object(SCRATCH, VOLUME), "status": {"error": error}}])


# What a real CDI v1.65.0 said of volumes that were made to fail.
@pytest.mark.parametrize(
    ("reason", "message", "cause"),
    [
        ("Error", "Unable to connect to http data source: got 401. Status: 401 Unauthorized", "source_unauthorized"),
        ("ImagePullFailed", "pull image: reading manifest 1 in x/y: manifest unknown", "source_not_found"),
        ("ImagePullFailed", "http: server gave HTTP response to HTTPS client", "certificate_untrusted"),
        ("Error", "tls: failed to verify certificate: x509: certificate signed by unknown", "certificate_untrusted"),
        ("Error", "x509: certificate is valid for a, not b", "certificate_untrusted"),
        ("ImagePullFailed", "failed to pull image: writeMatch: distance out of range", "image_unreadable"),
        ("ChecksumError", "checksum mismatch: expected sha256:0, calculated sha256:1", "checksum_mismatch"),
        ("Error", "could not process image header: unexpected EOF", "image_invalid"),
        ("Error", "DataVolume too small to contain image", "image_too_large"),
    ],
)
def test_what_trying_again_cannot_mend_is_a_failure_at_once(reason: str, message: str, cause: str) -> None:
    stored = _stored("ImportInProgress", Running={"reason": reason, "message": message})
    assert _cause(stored) == cause
    assert rules.judge(_volume(), stored)[::2] == (FAILED, 0)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", ""),
        ("Pending", "Clone Pending"),
        ("ContainerCreating", ""),
        ("PodInitializing", ""),
        ("Completed", ""),
        ("Scratch space required", "scratch space required and none found"),
        # Said of every volume whose scratch claim is not there yet.
        ("Unschedulable", "Importer pod cannot be scheduled"),
        ("Error", "expected status code 200, got 503. Status: 503 Service Unavailable"),
        ("ImagePullFailed", "Unable to transfer source data: failed to pull image: unexpected EOF"),
    ],
)
def test_what_is_said_of_healthy_volumes_is_no_failure(reason: str, message: str) -> None:
    stored = _stored("ImportScheduled", Bound=PENDING, Running={"reason": reason, "message": message})
    noise = [
        _event(POD, "FailedScheduling", "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
        _event(POD, "FailedScheduling", '0/1 nodes: persistentvolumeclaim "prime-x-scratch" not found.'),
        _event(POD, "FailedMount", "error processing PVC a/b: PVC is not bound"),
        _event(CLAIM, "ErrCreatingPVCPrime", 'persistentvolumeclaims "prime-x" already exists'),
        _event(CLAIM, "ProvisioningFailed", "Error saving claim: the object has been modified; please try again"),
    ]
    assert rules.judge(_volume(), stored).state == WAITING
    assert rules.judge(_volume(), stored, _around(*noise, pod={"conditions": []})).state == WAITING


def test_a_server_that_is_not_reached_has_a_second_chance() -> None:
    running = {"reason": "Error", "message": "dial tcp: lookup nowhere on 10.0.0.1:53: no such host"}
    assert rules.judge(_volume(), _stored("ImportInProgress", 0, Running=running)).state == WAITING
    verdict = rules.judge(_volume(), _stored("ImportInProgress", 1, Running=running))
    assert verdict.state == FAILED and verdict.grace > 0


def test_a_worker_that_fails_may_be_started_three_times() -> None:
    running = {"reason": "Error", "message": "expected status code 200, got 503"}
    assert rules.judge(_volume(), _stored("ImportInProgress", 2, Running=running)).state == WAITING
    stored = _stored("ImportInProgress", 3, Running=running)
    assert rules.judge(_volume(), stored)[::2] == (FAILED, 0)
    assert _cause(stored) == "worker_restarts" and "after 3 restarts" in rules.explain(stored)["message"]


def test_a_worker_that_runs_has_overcome_what_was_said_before() -> None:
    stale = {"message": "target PVC disk Pending and [prime-x] : got 404. Status: 404 Not Found"}
    stored = _stored("ImportInProgress", 3, Bound=stale, Running={"status": "True", "reason": "Pod is running"})
    assert rules.judge(_volume(), stored, _around(_event(PRIME, "ProvisioningFailed", "no"))).state == WAITING


def test_a_clone_without_a_worker_is_looked_at_although_it_runs() -> None:
    stored = _stored("CSICloneInProgress", Running={"status": "True", "reason": "Populator is running"})
    in_use = _event(CLAIM, "CloneSourceInUse", "pod a/b using PersistentVolumeClaim c")
    assert _cause(stored, _around(in_use)) == "clone_source_in_use"


def test_a_failed_volume_without_a_condition_says_so() -> None:
    assert rules.explain(_stored("Failed"))["message"] == "no reason: no message"


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (_event(PRIME, "ProvisioningFailed", 'storageclass.storage.k8s.io "no" not found'), "storage_class_missing"),
        (_event(PRIME, "ProvisioningFailed", "rpc error: code = InvalidArgument desc = no"), "provisioning_failed"),
        (_event(CLAIM, "ErrExceededQuota", "exceeded quota: q"), "quota_exceeded"),
        (_event(CLAIM, "ErrCreatingPVCPrime", "forbidden: exceeded quota: q, requested"), "quota_exceeded"),
        (_event(POD, "FailedMount", 'SetUp failed for volume "v" : configmap "ca" not found'), "config_map_missing"),
        (_event(POD, "Failed", 'Error: secret "s" not found', "Pod"), "secret_missing"),
    ],
)
def test_events_tell_what_the_volume_does_not(event: Any, cause: str) -> None:
    around = _around(event, pod={"conditions": []})
    assert _cause(_stored("ImportScheduled", Bound=PENDING), around) == cause


@pytest.mark.parametrize(
    ("around", "cause"),
    [
        (_around(pod={"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]}), "image_pull_failed"),
        (_around(pod={"conditions": [{"type": "PodScheduled", "status": "True"}]}, prime="Bound"), None),
        (_owned(CLAIM, annotations={"cdi.kubevirt.io/cloneError": "token missing"}), "clone_token_invalid"),
        (_owned(PRIME, storageClassName=None), "storage_class_missing"),
        (_owned(PRIME, storageClassName=""), "claim_pending"),
        (_owned(PRIME, volumeName="pv"), None),
        (_snapshot({"message": "no room"}), "snapshot_failed"),
        (_snapshot({}), None),
    ],
)
def test_pods_claims_and_snapshots_tell_what_the_volume_does_not(around: Any, cause: str | None) -> None:
    assert _cause(_stored("ImportScheduled", Bound=PENDING), around) == cause


def test_without_a_claim_something_must_have_refused_it() -> None:
    stored = _stored("Pending", Bound={"reason": "NotFound"})
    assert _cause(stored, Evidence(controllers=[_controller(1)])) == "claim_missing"
    made = Evidence((), (), [_object(CLAIM, VOLUME, "DataVolume")], controllers=[_controller(1)])
    assert _cause(stored, made) is None


def test_only_what_nothing_explains_is_asked_of_the_controller() -> None:
    untouched = {"metadata": {"name": "disk", "uid": VOLUME}}
    assert rules.unexplained(untouched, Evidence())
    assert rules.unexplained(_stored("ImportScheduled"), Evidence())
    refused = _stored("Pending", Bound={"reason": "ErrClaimNotValid"})
    assert not rules.unexplained(refused, Evidence())


def test_events_of_others_do_not_count() -> None:
    around = _around(_event(OTHER, "ErrExceededQuota", "exceeded quota: q"), prime="Bound")
    assert _cause(_stored("ImportScheduled", Bound=PENDING), around) is None


def test_events_of_a_claim_that_is_bound_by_now_do_not_count() -> None:
    failed = _event(PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = once")
    assert _cause(_stored("ImportScheduled", Bound=PENDING), _around(failed, prime="Bound")) is None


def test_what_a_bound_claim_lacks_for_its_scratch_space_counts() -> None:
    refused = _event(PRIME, "ErrExceededQuota", f'persistentvolumeclaims "prime-{CLAIM}-scratch" is forbidden: exceeded quota')
    assert _cause(_stored("ImportScheduled", Bound=PENDING), _around(refused, prime="Bound")) == "quota_exceeded"


def test_a_helper_that_is_gone_is_known_by_its_name() -> None:
    failed = _event("", "SnapshotCreationFailed", "driver says no", "VolumeSnapshot")
    failed["involvedObject"]["name"] = f"tmp-snapshot-{CLAIM}"
    assert _cause(_stored("Pending", Bound=PENDING), _around(failed)) == "snapshot_failed"


@pytest.mark.parametrize("code", ["DeadlineExceeded", "Unavailable", "Aborted", "Canceled"])
def test_a_provisioner_that_may_be_at_work_has_not_failed(code: str) -> None:
    failed = _event(PRIME, "ProvisioningFailed", f"rpc error: code = {code} desc = slow", last="00:10:00")
    stored = _stored("ImportScheduled", Bound=PENDING)
    assert rules.judge(_volume(), stored, _around(failed)).state == WAITING
    assert _cause(stored, _around(failed)) == "provisioning_failed"


def test_what_an_event_has_said_for_long_needs_no_patience() -> None:
    once = _event(PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = no")
    again = {**once, "lastTimestamp": "2026-01-01T00:00:20Z"}
    stored = _stored("ImportScheduled", Bound=PENDING)
    assert rules.judge(_volume(), stored, _around(once)).grace > 0
    assert rules.judge(_volume(), stored, _around(again)).grace == 0
    condition = _stored("ImportScheduled", Bound={**PENDING, "message": "failed to provision volume: code = Internal"})
    assert rules.judge(_volume(), condition).grace > 0 == rules.judge(_volume(), condition, _around(again)).grace


def test_a_storage_without_room_has_failed_unless_others_work_and_give_some_back() -> None:
    full = _event(PRIME, "ProvisioningFailed", "rpc error: code = ResourceExhausted desc = the pool is full", last="00:00:10")
    stored = _stored("ImportScheduled", Bound=PENDING)
    assert rules.judge(_volume(), stored, _around(full)).state == FAILED
    assert "make room in the storage" in rules.explain(stored, _around(full))["remedy"]
    assert _cause(stored, _around(full)) == "storage_full"
    assert rules.judge(_volume(), stored, _around(full, others=[_object(SCRATCH, OTHER)])).state == WAITING


def test_a_quota_that_others_use_for_a_while_is_waited_for() -> None:
    stored = _stored("Pending", Bound={"reason": "ErrExceededQuota", "message": "exceeded quota: q"})
    assert rules.judge(_volume(), stored).state == WAITING
    assert rules.judge(_volume(), stored, _around()).state == FAILED
    assert rules.judge(_volume(), stored, _around(others=[_object(SCRATCH, OTHER)])).state == WAITING


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
    stored = _stored("ImportScheduled", Bound=PENDING, Running={"reason": "Unschedulable", "message": "cannot"})
    around = _around(pod={"conditions": [condition]})
    assert rules.judge(_volume(), stored, around).state == state
    assert _cause(stored, around) == "worker_unschedulable"


def test_a_pod_that_no_node_takes_says_since_when_and_what_it_requests() -> None:
    since = datetime.now(timezone.utc) - timedelta(seconds=40)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    around = _around(pod={"conditions": [{**condition, "lastTransitionTime": f"{since:%Y-%m-%dT%H:%M:%SZ}"}]})
    ((_kind, pod),) = around.owned[PRIME]
    pod["spec"] = {"containers": [{"resources": {"requests": {"cpu": "100m", "memory": "60M"}}}, {"resources": {"requests": {"cpu": "0.1"}}}, {}]}
    stored = _stored("ImportScheduled", Bound=PENDING)
    explained = rules.explain(stored, around)
    assert explained["message"] == "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu (the pod requests 200m CPU, 60M memory)"
    assert explained["since"] == f"{since:%Y-%m-%dT%H:%M:%SZ}" and 39 < rules.seconds_since(explained) < 60
    told = rules.judge(_volume(), stored, around).reason
    assert re.match(r"phase ImportScheduled, Unschedulable since 4\d s: 0/1 nodes .*; make room on a node for CDI's pods$", told), told


def _controller(available: int) -> dict[str, Any]:
    metadata = {"name": "cdi-deployment", "namespace": "cdi", "generation": 1}
    return {"metadata": metadata, "spec": {"replicas": 1}, "status": {"availableReplicas": available, "observedGeneration": 1}}


def test_a_controller_that_is_down_says_nothing_so_we_do() -> None:
    untouched = {"metadata": {"name": "disk", "uid": VOLUME}}
    down = Evidence(controllers=[_controller(0)])
    assert "Deployment cdi/cdi-deployment" in rules.explain(untouched, down)["message"]
    assert rules.judge(_volume(), untouched, down).state == FAILED
    assert _cause(untouched, Evidence(controllers=[])) == "controller_down"
    assert _cause(untouched, Evidence(controllers=[_controller(1)])) is None
    # Without the right to see it there is a suspicion.
    assert rules.judge(_volume(), untouched, Evidence()).state == WAITING
    assert _cause(untouched, Evidence()) == "controller_down"


def test_a_time_out_always_has_something_to_say() -> None:
    found = rules.explain(_stored("ImportInProgress"), late=True)
    assert found["cause"] == "unfinished" and "wait_timeout" in found["remedy"]
    assert rules.explain(_stored("ImportInProgress")) is None
    assert rules.explain(None)["cause"] == "deleted"
    assert rules.explain(_stored("PendingPopulation"))["cause"] == "waiting_for_consumer"


def test_a_claim_that_nobody_provisions_is_suspicious() -> None:
    assert "of storage class thin is not bound" in rules.explain(_stored("ImportScheduled"), _around())["message"]
    assert rules.judge(_volume(), _stored("ImportScheduled"), _around()).state == WAITING


def test_warnings_say_what_the_diagnosis_does_not() -> None:
    around = _around(
        _event(CLAIM, "R", "third", last="00:00:03"),
        _event(CLAIM, "R", "[prime-x] : second", last="00:00:02"),
        _event(PRIME, "R", "second", last="00:00:02"),
        _event(CLAIM, "R", "told", last="00:00:04"),
        _event(CLAIM, "R", "zeroth"),
        _event(CLAIM, "R", "first", last="00:00:01"),
        _event(OTHER, "R", "other"),
        _event(PRIME, "FailedScheduling", 'error getting PVC: could not find v1.PersistentVolumeClaim "demo/disk-scratch"'),
    )
    told = warnings_about(_stored("Pending"), around, {"message": "R: told"})
    assert told == ["R: first", "R: second", "R: third"]


@pytest.mark.parametrize(("phase", "told"), [("Pending", ["FailedMount: no secret"]), ("Running", [])])
def test_what_kept_a_pod_from_starting_is_no_warning_once_it_runs(phase: str, told: list[str]) -> None:
    around = _around(_event(POD, "FailedMount", "no secret", kind="Pod"), pod={"phase": phase})
    assert warnings_about(_stored("UploadReady"), around, {"message": ""}) == told


def test_a_worker_without_memory_tells_that_and_not_its_log() -> None:
    running = {"reason": "OOMKilled", "message": "I1121 importer.go:1] x509: nothing of the kind"}
    found = rules.explain(_stored("ImportInProgress", Running=running))
    assert (found["cause"], found["message"]) == ("worker_out_of_memory", "OOMKilled: the pod needs more memory than its limit")


def test_an_event_without_times_needs_all_the_patience() -> None:
    """The new events API has only eventTime."""
    failed = _event(PRIME, "ProvisioningFailed", "rpc error: code = Internal desc = no")
    failed.update(firstTimestamp=None, lastTimestamp=None, eventTime="2026-01-01T00:00:00.000000Z")
    assert rules.judge(_volume(), _stored("ImportScheduled", Bound=PENDING), _around(failed)).grace > 0


def test_a_volume_moves_when_its_phase_or_its_progress_does() -> None:
    begun, further = _stored("ImportInProgress"), _stored("ImportInProgress")
    further["status"]["progress"] = "3.00%"
    states = [rules.moved(stored) for stored in (None, _stored("Pending"), begun, further)]
    assert len(set(states)) == 4 and rules.moved(_stored("Pending", 1, Running={"reason": "x"})) == states[1]


def test_what_is_told_is_short_on_one_line_and_without_secrets() -> None:
    message = f"Get\n https://me:p@ss@host/x?token=secret&a=b :  failed {'x' * 1000}"
    told = rules.explain(_stored("ImportInProgress", 3, Running={"reason": "Error", "message": message}))["message"]
    assert told.startswith("Error: Get https://***@host/x?*** : failed x") and len(told) < 600


def test_a_thousand_volumes_are_diagnosed_in_no_time() -> None:
    uids = [f"{number:08x}-0000-4000-8000-00000000000{{}}" for number in range(1000)]
    claims = [_object(uid.format(1), uid.format(0), "DataVolume") for uid in uids]
    claims += [_object(uid.format(2), uid.format(1)) for uid in uids]
    events = [_event(uid.format(2), "ProvisioningFailed", "no") for uid in uids]
    started = time.monotonic()
    around = Evidence(events, (), claims)
    for uid in uids:
        assert _cause({"metadata": {"uid": uid.format(0)}, "status": {"phase": "Pending"}}, around)
    assert time.monotonic() - started < 2
