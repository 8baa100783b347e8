# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagnosis of DataVolumes, and the verdicts on them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume import wait
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import diagnose as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import refusals
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.rules import CLAIM_RULES, WORKER_RULES
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.modules import data_volume_info

from tests.unit.plugins._diagnosis import objects

EXTERNAL = {"storage": {"dataSourceRef": {"kind": "VolumeSnapshot", "name": "golden"}}}


@pytest.mark.parametrize(
    ("phase", "noted", "expected"),
    [
        (
            "UploadReady",
            {"kubevirt.cdi/upload-sha256": "a" * 64, "kubevirt.cdi/upload-begun": "2026-01-02T03:04:05Z"},
            " at 2026-01-02T03:04:05Z ",
        ),
        ("UploadReady", {"kubevirt.cdi/upload-sha256": "a" * 64}, "not finished (file with digest aaaaaaaaaaaa...)"),
        ("UploadReady", {}, None),
        ("UploadScheduled", {"kubevirt.cdi/upload-sha256": "a" * 64}, None),
        ("Succeeded", {"kubevirt.cdi/upload-sha256": "a" * 64}, None),
    ],
)
def test_an_unfinished_upload_is_a_problem(phase: str, noted: dict[str, str], expected: str | None) -> None:
    owner = [{"kind": "DataVolume", "uid": objects.VOLUME}]
    claim = {
        "metadata": {"name": "disk", "uid": objects.CLAIM, "annotations": noted, "ownerReferences": owner},
        "spec": {},
    }
    explained = rules.explain(objects.stored(phase, Running={"status": "True"}), Evidence(claims=[claim]))
    assert (explained is None) == (expected is None)
    if explained:
        assert explained["cause"] == "upload_unfinished" and expected in explained["message"]
        assert "run the upload again or delete the volume" in explained["remedy"]


@pytest.mark.parametrize(
    ("options", "stored", "state"),
    [
        ({}, objects.stored("Succeeded"), REACHED),
        ({}, objects.stored("ImportInProgress"), WAITING),
        ({}, objects.stored(""), WAITING),
        ({}, None, FAILED),
        ({}, objects.stored("Failed"), FAILED),
        ({}, objects.stored("PendingPopulation"), REACHED),
        ({}, objects.stored("WaitForFirstConsumer"), REACHED),
        ({"binding": "immediate"}, objects.stored("PendingPopulation"), WAITING),
        ({"source": {"upload": {}}}, objects.stored("UploadReady"), REACHED),
        ({"source": {"upload": {}}, "wait_for": "succeeded"}, objects.stored("UploadReady"), WAITING),
        ({"wait_for": "bound"}, objects.stored("ImportInProgress", Bound={"status": "True"}), REACHED),
        ({"wait_for": "bound"}, objects.stored("Succeeded"), REACHED),
        ({"wait_for": "bound"}, {**objects.stored("Succeeded"), "spec": EXTERNAL}, WAITING),
        ({"wait_for": "bound"}, {**objects.stored("Succeeded", Bound={"status": "True"}), "spec": EXTERNAL}, REACHED),
        ({}, {**objects.stored("Succeeded"), "spec": EXTERNAL}, REACHED),
        ({}, objects.stored("Pending", Bound={"reason": "ErrClaimNotValid"}), FAILED),
        ({}, objects.stored("ImportScheduled", Running={"reason": "ContainerCreating"}), WAITING),
        ({}, objects.stored("ImportScheduled", Running={"reason": "Scratch space required"}), WAITING),
    ],
)
def test_judge_follows_phase_and_options(options: dict[str, Any], stored: Any, state: str) -> None:
    assert rules.judge(objects.volume(**options), stored).state == state


def test_a_problem_that_cannot_heal_fails_at_once() -> None:
    message = "Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"
    stored = objects.stored("ImportInProgress", Running={"reason": "Error", "message": message})
    verdict = rules.judge(objects.volume(), stored)
    assert (verdict.state, verdict.grace) == (FAILED, 0)
    expected = {
        "phase": "ImportInProgress",
        "cause": "source_not_found",
        "message": f"Error: {message}",
        "remedy": "correct the URL",
        "since": None,
    }
    assert rules.explain(stored) == expected
    assert rules.sentence(rules.explain(stored)) == f"phase ImportInProgress, Error: {message}; correct the URL."


# Messages of CDI v1.65.0 about volumes with induced faults.
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
def test_a_problem_that_a_retry_cannot_fix_fails_at_once(reason: str, message: str, cause: str) -> None:
    stored = objects.stored("ImportInProgress", Running={"reason": reason, "message": message})
    assert objects.cause(stored) == cause
    assert rules.judge(objects.volume(), stored)[::2] == (FAILED, 0)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("", ""),
        ("Pending", "Clone Pending"),
        ("ContainerCreating", ""),
        ("PodInitializing", ""),
        ("Completed", ""),
        ("Scratch space required", "scratch space required and none found"),
        # Reported for every volume whose scratch claim does not exist yet.
        ("Unschedulable", "Importer pod cannot be scheduled"),
        ("Error", "expected status code 200, got 503. Status: 503 Service Unavailable"),
        ("ImagePullFailed", "Unable to transfer source data: failed to pull image: unexpected EOF"),
    ],
)
def test_messages_about_healthy_volumes_are_not_failures(reason: str, message: str) -> None:
    stored = objects.stored("ImportScheduled", Bound=objects.PENDING, Running={"reason": reason, "message": message})
    noise = [
        objects.event(
            objects.POD,
            "FailedScheduling",
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
        ),
        objects.event(objects.POD, "FailedScheduling", '0/1 nodes: persistentvolumeclaim "prime-x-scratch" not found.'),
        objects.event(objects.POD, "FailedMount", "error processing PVC a/b: PVC is not bound"),
        objects.event(objects.CLAIM, "ErrCreatingPVCPrime", 'persistentvolumeclaims "prime-x" already exists'),
        objects.event(
            objects.CLAIM, "ProvisioningFailed", "Error saving claim: the object has been modified; please try again"
        ),
    ]
    assert rules.judge(objects.volume(), stored).state == WAITING
    assert rules.judge(objects.volume(), stored, objects.around(*noise, pod={"conditions": []})).state == WAITING


def test_an_unreachable_server_fails_at_the_second_attempt() -> None:
    running = {"reason": "Error", "message": "dial tcp: lookup nowhere on 10.0.0.1:53: no such host"}
    assert rules.judge(objects.volume(), objects.stored("ImportInProgress", 0, Running=running)).state == WAITING
    verdict = rules.judge(objects.volume(), objects.stored("ImportInProgress", 1, Running=running))
    assert verdict.state == FAILED and verdict.grace > 0


def test_a_worker_fails_after_three_restarts() -> None:
    running = {"reason": "Error", "message": "exit status 1"}
    assert rules.judge(objects.volume(), objects.stored("ImportInProgress", 2, Running=running)).state == WAITING
    stored = objects.stored("ImportInProgress", 3, Running=running)
    assert rules.judge(objects.volume(), stored)[::2] == (FAILED, 0)
    assert objects.cause(stored) == "worker_restarts" and "after 3 restarts" in objects.explained(stored)["message"]


def test_a_running_worker_has_no_earlier_problem() -> None:
    stale = {"message": "target PVC disk Pending and [prime-x] : got 404. Status: 404 Not Found"}
    stored = objects.stored("ImportInProgress", 3, Bound=stale, Running={"status": "True", "reason": "Pod is running"})
    assert (
        rules.judge(
            objects.volume(), stored, objects.around(objects.event(objects.PRIME, "ProvisioningFailed", "no"))
        ).state
        == WAITING
    )


def test_a_running_clone_without_a_worker_is_diagnosed() -> None:
    stored = objects.stored("CSICloneInProgress", Running={"status": "True", "reason": "Populator is running"})
    in_use = objects.event(objects.CLAIM, "CloneSourceInUse", "pod a/b using PersistentVolumeClaim c")
    assert objects.cause(stored, objects.around(in_use)) == "clone_source_in_use"


def test_a_failed_volume_without_conditions_has_a_diagnosis() -> None:
    assert objects.explained(objects.stored("Failed"))["message"] == "no reason: no message"


def test_a_timeout_always_has_a_reason() -> None:
    found = objects.explained(objects.stored("ImportInProgress"), late=True)
    assert found["cause"] == "unfinished" and "wait_timeout" in found["remedy"]
    assert rules.explain(objects.stored("ImportInProgress")) is None
    assert objects.explained(None)["cause"] == "deleted"
    assert objects.explained(objects.stored("PendingPopulation"))["cause"] == "waiting_for_consumer"


def test_a_worker_without_memory_reports_that_instead_of_its_log() -> None:
    running = {"reason": "OOMKilled", "message": "I1121 importer.go:1] x509: nothing of the kind"}
    found = objects.explained(objects.stored("ImportInProgress", Running=running))
    assert (found["cause"], found["message"]) == (
        "worker_out_of_memory",
        "OOMKilled: the pod needs more memory than its limit",
    )


def test_a_volume_moves_when_its_phase_or_its_progress_does() -> None:
    begun, further = objects.stored("ImportInProgress"), objects.stored("ImportInProgress")
    further["status"]["progress"] = "3.00%"
    states = [rules.moved(stored) for stored in (None, objects.stored("Pending"), begun, further)]
    assert len(set(states)) == 4 and rules.moved(objects.stored("Pending", 1, Running={"reason": "x"})) == states[1]


def test_a_message_is_short_on_one_line_and_without_secrets() -> None:
    message = f"Get\n https://me:p@ss@host/x?token=secret&a=b :  failed {'x' * 1000}"
    expected = objects.explained(
        objects.stored("ImportInProgress", 3, Running={"reason": "Error", "message": message})
    )["message"]
    assert expected.startswith("Error: Get https://***@host/x?*** : failed x") and len(expected) < 600


def test_each_cause_is_documented() -> None:
    """Playbooks compare them."""
    documented = set(re.findall(r"V\((\w+)\)", data_volume_info.DOCUMENTATION + data_volume_info.RETURN))
    named = {rule.cause for rule in (*WORKER_RULES, *CLAIM_RULES)}
    for module in (rules, refusals, wait):
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        named |= set(re.findall(r'(?:Diagnosis|Refusal)\(\s*"(\w+)"', source)) | set(
            re.findall(r'"?cause"?[=:] ?"(\w+)"', source)
        )
    assert not named - documented
