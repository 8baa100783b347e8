# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a DataVolume has got to, and what is said of one that gets no further."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import wait as _data_volume_wait
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import diagnose as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import refusals as _diagnosis_room
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.rules import CLAIM_RULES, WORKER_RULES
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.modules import data_volume_info

from tests.unit.plugins._diagnosis import objects as bed

EXTERNAL = {"storage": {"dataSourceRef": {"kind": "VolumeSnapshot", "name": "golden"}}}


@pytest.mark.parametrize(
    ("phase", "noted", "told"),
    [
        (
            "UploadReady",
            {"kubevirt.cdi/upload-sha256": "a" * 64, "kubevirt.cdi/upload-begun": "2026-01-02T03:04:05Z"},
            " since 2026-01-02T03:04:05Z ",
        ),
        ("UploadReady", {"kubevirt.cdi/upload-sha256": "a" * 64}, "not finished (file with SHA-256 aaaaaaaaaaaa...)"),
        ("UploadReady", {}, None),
        ("UploadScheduled", {"kubevirt.cdi/upload-sha256": "a" * 64}, None),
        ("Succeeded", {"kubevirt.cdi/upload-sha256": "a" * 64}, None),
    ],
)
def test_an_upload_that_was_begun_and_not_finished_is_a_problem(
    phase: str, noted: dict[str, str], told: str | None
) -> None:
    owner = [{"kind": "DataVolume", "uid": bed.VOLUME}]
    claim = {"metadata": {"name": "disk", "uid": bed.CLAIM, "annotations": noted, "ownerReferences": owner}, "spec": {}}
    explained = rules.explain(bed.stored(phase, Running={"status": "True"}), Evidence(claims=[claim]))
    assert (explained is None) == (told is None)
    if explained:
        assert explained["cause"] == "upload_unfinished" and told in explained["message"]
        assert "run the upload again or delete the volume" in explained["remedy"]


@pytest.mark.parametrize(
    ("options", "stored", "state"),
    [
        ({}, bed.stored("Succeeded"), REACHED),
        ({}, bed.stored("ImportInProgress"), WAITING),
        ({}, bed.stored(""), WAITING),
        ({}, None, FAILED),
        ({}, bed.stored("Failed"), FAILED),
        ({}, bed.stored("PendingPopulation"), REACHED),
        ({}, bed.stored("WaitForFirstConsumer"), REACHED),
        ({"binding": "immediate"}, bed.stored("PendingPopulation"), WAITING),
        ({"source": {"upload": {}}}, bed.stored("UploadReady"), REACHED),
        ({"source": {"upload": {}}, "wait_for": "succeeded"}, bed.stored("UploadReady"), WAITING),
        ({"wait_for": "bound"}, bed.stored("ImportInProgress", Bound={"status": "True"}), REACHED),
        ({"wait_for": "bound"}, bed.stored("Succeeded"), REACHED),
        ({"wait_for": "bound"}, {**bed.stored("Succeeded"), "spec": EXTERNAL}, WAITING),
        ({"wait_for": "bound"}, {**bed.stored("Succeeded", Bound={"status": "True"}), "spec": EXTERNAL}, REACHED),
        ({}, {**bed.stored("Succeeded"), "spec": EXTERNAL}, REACHED),
        ({}, bed.stored("Pending", Bound={"reason": "ErrClaimNotValid"}), FAILED),
        ({}, bed.stored("ImportScheduled", Running={"reason": "ContainerCreating"}), WAITING),
        ({}, bed.stored("ImportScheduled", Running={"reason": "Scratch space required"}), WAITING),
    ],
)
def test_where_a_volume_has_got_to(options: dict[str, Any], stored: Any, state: str) -> None:
    assert rules.judge(bed.volume(**options), stored).state == state


def test_what_cannot_heal_fails_at_once_with_its_remedy() -> None:
    message = "Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"
    stored = bed.stored("ImportInProgress", Running={"reason": "Error", "message": message})
    verdict = rules.judge(bed.volume(), stored)
    assert (verdict.state, verdict.grace) == (FAILED, 0)
    told = {
        "phase": "ImportInProgress",
        "cause": "source_not_found",
        "message": f"Error: {message}",
        "remedy": "correct the URL",
        "since": None,
    }
    assert rules.explain(stored) == told
    assert rules.sentence(rules.explain(stored)) == f"phase ImportInProgress, Error: {message}; correct the URL."


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
def test_what_trying_again_cannot_repair_is_a_failure_at_once(reason: str, message: str, cause: str) -> None:
    stored = bed.stored("ImportInProgress", Running={"reason": reason, "message": message})
    assert bed.cause(stored) == cause
    assert rules.judge(bed.volume(), stored)[::2] == (FAILED, 0)


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
    stored = bed.stored("ImportScheduled", Bound=bed.PENDING, Running={"reason": reason, "message": message})
    noise = [
        bed.event(
            bed.POD, "FailedScheduling", "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
        ),
        bed.event(bed.POD, "FailedScheduling", '0/1 nodes: persistentvolumeclaim "prime-x-scratch" not found.'),
        bed.event(bed.POD, "FailedMount", "error processing PVC a/b: PVC is not bound"),
        bed.event(bed.CLAIM, "ErrCreatingPVCPrime", 'persistentvolumeclaims "prime-x" already exists'),
        bed.event(
            bed.CLAIM, "ProvisioningFailed", "Error saving claim: the object has been modified; please try again"
        ),
    ]
    assert rules.judge(bed.volume(), stored).state == WAITING
    assert rules.judge(bed.volume(), stored, bed.around(*noise, pod={"conditions": []})).state == WAITING


def test_a_server_that_is_not_reached_has_a_second_chance() -> None:
    running = {"reason": "Error", "message": "dial tcp: lookup nowhere on 10.0.0.1:53: no such host"}
    assert rules.judge(bed.volume(), bed.stored("ImportInProgress", 0, Running=running)).state == WAITING
    verdict = rules.judge(bed.volume(), bed.stored("ImportInProgress", 1, Running=running))
    assert verdict.state == FAILED and verdict.grace > 0


def test_a_worker_that_fails_may_be_started_three_times() -> None:
    running = {"reason": "Error", "message": "exit status 1"}
    assert rules.judge(bed.volume(), bed.stored("ImportInProgress", 2, Running=running)).state == WAITING
    stored = bed.stored("ImportInProgress", 3, Running=running)
    assert rules.judge(bed.volume(), stored)[::2] == (FAILED, 0)
    assert bed.cause(stored) == "worker_restarts" and "after 3 restarts" in rules.explain(stored)["message"]


def test_a_worker_that_runs_has_overcome_what_was_said_before() -> None:
    stale = {"message": "target PVC disk Pending and [prime-x] : got 404. Status: 404 Not Found"}
    stored = bed.stored("ImportInProgress", 3, Bound=stale, Running={"status": "True", "reason": "Pod is running"})
    assert (
        rules.judge(bed.volume(), stored, bed.around(bed.event(bed.PRIME, "ProvisioningFailed", "no"))).state == WAITING
    )


def test_a_clone_without_a_worker_is_looked_at_although_it_runs() -> None:
    stored = bed.stored("CSICloneInProgress", Running={"status": "True", "reason": "Populator is running"})
    in_use = bed.event(bed.CLAIM, "CloneSourceInUse", "pod a/b using PersistentVolumeClaim c")
    assert bed.cause(stored, bed.around(in_use)) == "clone_source_in_use"


def test_a_failed_volume_without_a_condition_says_so() -> None:
    assert rules.explain(bed.stored("Failed"))["message"] == "no reason: no message"


def test_a_time_out_always_has_something_to_say() -> None:
    found = rules.explain(bed.stored("ImportInProgress"), late=True)
    assert found["cause"] == "unfinished" and "wait_timeout" in found["remedy"]
    assert rules.explain(bed.stored("ImportInProgress")) is None
    assert rules.explain(None)["cause"] == "deleted"
    assert rules.explain(bed.stored("PendingPopulation"))["cause"] == "waiting_for_consumer"


def test_a_worker_without_memory_tells_that_and_not_its_log() -> None:
    running = {"reason": "OOMKilled", "message": "I1121 importer.go:1] x509: nothing of the kind"}
    found = rules.explain(bed.stored("ImportInProgress", Running=running))
    assert (found["cause"], found["message"]) == (
        "worker_out_of_memory",
        "OOMKilled: the pod needs more memory than its limit",
    )


def test_a_volume_moves_when_its_phase_or_its_progress_does() -> None:
    begun, further = bed.stored("ImportInProgress"), bed.stored("ImportInProgress")
    further["status"]["progress"] = "3.00%"
    states = [rules.moved(stored) for stored in (None, bed.stored("Pending"), begun, further)]
    assert len(set(states)) == 4 and rules.moved(bed.stored("Pending", 1, Running={"reason": "x"})) == states[1]


def test_what_is_told_is_short_on_one_line_and_without_secrets() -> None:
    message = f"Get\n https://me:p@ss@host/x?token=secret&a=b :  failed {'x' * 1000}"
    told = rules.explain(bed.stored("ImportInProgress", 3, Running={"reason": "Error", "message": message}))["message"]
    assert told.startswith("Error: Get https://***@host/x?*** : failed x") and len(told) < 600


def test_each_cause_is_documented() -> None:
    """Plays compare them."""
    documented = set(re.findall(r"V\((\w+)\)", data_volume_info.DOCUMENTATION + data_volume_info.RETURN))
    named = {rule.cause for rule in (*WORKER_RULES, *CLAIM_RULES)}
    for module in (rules, _diagnosis_room, _data_volume_wait):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        named |= set(re.findall(r'(?:Diagnosis|Refusal)\(\s*"(\w+)"', source)) | set(
            re.findall(r'"?cause"?[=:] ?"(\w+)"', source)
        )
    assert not named - documented
