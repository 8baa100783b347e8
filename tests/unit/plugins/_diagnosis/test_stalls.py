# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What blocks a volume: the image server, a user of the source, or other volumes that are also blocked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import diagnose as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.refine import may_be_silent
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, WAITING

from tests.unit.plugins._diagnosis import objects

HTTP = "Unable to connect to http data source: expected status code 200, got {0}. Status: {0} Something"
REGISTRY = (
    "Unable to process data: Failed to read registry image: pinging container registry: "
    "received unexpected HTTP status: {0} Something"
)
ASKED = (
    "I1129 07:52:46.378431       1 importer.go:108] Starting importer\n"
    "I1129 07:52:46.378533       1 importer.go:183] begin import process\n"
)
CUT = "Unable to process data: Unable to transfer source data to scratch space: failed to pull image: unexpected EOF"


def ago(seconds: float) -> str:
    return f"{datetime.now(timezone.utc) - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("text", [HTTP, REGISTRY, "googleapi: got HTTP response code {0} with body"])
@pytest.mark.parametrize(
    ("status", "cause", "restarts"),
    [
        (400, "source_refused", 0),
        (405, "source_refused", 0),
        (410, "source_refused", 0),
        (418, "source_refused", 0),
        (408, "source_server_failed", 1),
        (429, "source_server_failed", 1),
        (500, "source_server_failed", 1),
        (502, "source_server_failed", 1),
        (503, "source_server_failed", 1),
        (504, "source_server_failed", 1),
    ],
)
def test_an_http_status_is_a_problem_of_the_image_server(text: str, status: int, cause: str, restarts: int) -> None:
    """For a server that may recover, the second attempt counts, which CDI starts at once."""
    running = {"reason": "Error", "message": text.format(status)}
    if restarts:
        assert rules.judge(objects.volume(), objects.stored("ImportInProgress", 0, Running=running)).state == WAITING
    stored = objects.stored("ImportInProgress", restarts, Running=running)
    found = objects.explained(stored)
    assert found["cause"] == cause and str(status) in found["message"] and "the image server" in found["remedy"]
    assert rules.judge(objects.volume(), stored)[::2] == (FAILED, 0)


@pytest.mark.parametrize(
    "said", [CUT, "read tcp 10.0.0.1:1->10.0.0.2:80: read: connection reset by peer", "http2: server sent GOAWAY"]
)
def test_a_response_that_ends_early_twice_is_no_progress(said: str) -> None:
    running = {"reason": "ImagePullFailed", "message": said}
    assert rules.judge(objects.volume(), objects.stored("ImportInProgress", 0, Running=running)).state == WAITING
    stored = objects.stored("ImportInProgress", 1, Running=running)
    found = objects.explained(stored, still=12.3)
    assert found["cause"] == "transfer_broken"
    assert found["message"] == f"no progress for 12 s and 1 restart, last error: ImagePullFailed: {said}"
    assert "wait_timeout" not in found["remedy"]
    assert rules.judge(objects.volume(), stored)[::2] == (FAILED, 0)
    assert (
        objects.explained(objects.stored("ImportInProgress", 4, Running=running), still=60)["message"].count("restart")
        == 1
    )


def importing(**running: str) -> dict[str, Any]:
    stored = objects.stored(
        "ImportInProgress", Bound=objects.PENDING, Running={"status": "True", "reason": "Pod is running", **running}
    )
    return {**stored, "spec": {"source": {"http": {"url": "http://server/disk"}}}}


def worker(seconds: float, log: str = ASKED, **last: Any) -> Evidence:
    """A pod whose container has run for so many seconds."""
    state = {"state": {"running": {"startedAt": ago(seconds)}}, **last}
    return replace(objects.around(pod={"phase": "Running", "containerStatuses": [state]}), logs={objects.POD: log})


@pytest.mark.parametrize(
    ("seconds", "log", "progress", "silent"),
    [
        (20, ASKED, "N/A", True),
        (5, ASKED, "N/A", False),
        (20, ASKED, "3.00%", False),
        (
            20,
            f"{ASKED}I1129 07:53:06.013511       1 data-processor.go:260] New phase: ValidatePreScratch\n",
            "N/A",
            False,
        ),
        (20, "", "N/A", False),
    ],
)
def test_an_importer_without_a_response_is_silent(seconds: float, log: str, progress: str, silent: bool) -> None:
    stored, around = importing(), worker(seconds, log)
    stored["status"]["progress"] = progress
    assert objects.cause(stored, around) == ("source_silent" if silent else None)
    assert rules.judge(objects.volume(), stored, around).state == (FAILED if silent else WAITING)
    if silent:
        found = objects.explained(stored, around, still=21)
        assert (
            found["message"].startswith("no progress for 2")
            and "curl --location" in found["remedy"]
            and "wait_timeout" not in found["remedy"]
        )


def test_only_the_log_of_a_silent_worker_is_read() -> None:
    assert len(may_be_silent(importing(), worker(20))) == 1
    assert not may_be_silent(importing(), worker(5))
    blank = {**importing(), "spec": {"source": {"blank": {}}}}
    assert not may_be_silent(blank, worker(20))
    moving = importing()
    moving["status"]["progress"] = "3.00%"
    assert not may_be_silent(moving, worker(20))


@pytest.mark.parametrize(("seconds", "cause"), [(26, "source_silent"), (1, "worker_out_of_memory")])
def test_a_redirect_loop_ends_when_the_memory_is_full(seconds: float, cause: str) -> None:
    """CDI's importer follows redirects without a limit, and keeps them in memory."""
    stored = importing(status="False", reason="OOMKilled", message=ASKED)
    ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": ago(seconds + 2), "finishedAt": ago(2)}
    around = objects.around(pod={"phase": "Running", "containerStatuses": [{"state": {"terminated": ended}}]})
    assert objects.cause(stored, around) == cause


def test_no_progress_is_not_remedied_by_a_longer_wait() -> None:
    stored = objects.stored("ImportInProgress", 2, Running={"status": "True", "reason": "Pod is running"})
    around = worker(3, "", lastState={"terminated": {"exitCode": 1, "reason": "Error", "message": "exit status 1"}})
    found = objects.explained(stored, around, late=True, still=31)
    assert found["cause"] == "no_progress" and "wait_timeout" in found["remedy"] and "does not help" in found["remedy"]
    assert found["message"] == "no progress for 31 s and 2 restarts, progress N/A, last error: Error: exit status 1"
    stored["status"]["progress"] = "41.2%"
    found = objects.explained(stored, around, late=True, still=2)
    assert (found["cause"], found["message"]) == ("unfinished", "CDI is still working, progress 41.2%")
    assert objects.explained(objects.stored("UploadReady"), late=True, still=31)["cause"] == "waiting_for_upload"


IN_USE = "pod demo/user using PersistentVolumeClaim golden"


def user(phase: str = "Running", machine: str = "", *, name: str = "user", reads: bool = False) -> dict[str, Any]:
    mount = {"name": "disk", "mountPath": "/disk", **({"readOnly": True} if reads else {})}
    owners = [{"kind": "VirtualMachineInstance", "name": machine, "controller": True}] if machine else []
    return {
        "metadata": {"name": name, "namespace": "demo", "ownerReferences": owners},
        "spec": {
            "containers": [{"volumeMounts": [mount]}],
            "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": "golden"}}],
        },
        "status": {"phase": phase},
    }


def detection() -> dict[str, Any]:
    """CDI's pod that measures the disk of a source (makeSizeDetectionPodSpec, pvc-clone-controller.go, v1.65.0)."""
    pod = user(name="size-detection-golden")
    pod["metadata"]["labels"] = {"app": "containerized-data-importer", "cdi.kubevirt.io": "importer"}
    return pod


@pytest.mark.parametrize(
    "running",
    [
        {"status": "True", "reason": "Pod is running"},
        {"status": "True", "reason": "Populator is running"},
        {"status": "False"},
    ],
)
@pytest.mark.parametrize(
    ("users", "expected"),
    [
        ({}, IN_USE),
        (
            {"demo": [user()]},
            "CDI waits, because the source claim 'demo/golden' is in use by pod demo/user",
        ),
        ({"demo": [user(machine="vm")]}, "is in use by VirtualMachineInstance demo/vm (pod demo/user)"),
        (
            {"demo": [user(name="reader", reads=True), user()]},
            "the source claim 'demo/golden' is in use by pod demo/user; delete pod demo/user,",
        ),
        ({"demo": [user(name="reader", reads=True)]}, None),
        ({"demo": [detection()]}, None),
        ({"demo": [detection(), user()]}, "is in use by pod demo/user; delete pod demo/user"),
        ({"demo": [user("Succeeded")]}, None),
        ({"demo": []}, None),
    ],
)
def test_a_clone_waits_for_the_pods_that_use_its_source(
    running: dict[str, str], users: dict[str, Any], expected: str | None
) -> None:
    """A copy already has a running pod: the upload server of its target."""
    stored = objects.stored("CloneInProgress", Bound=objects.PENDING, Running=running)
    around = replace(objects.around(objects.event(objects.CLAIM, "CloneSourceInUse", IN_USE)), users=users)
    verdict = rules.judge(objects.volume(), stored, around)
    assert objects.cause(stored, around) == (
        "clone_source_in_use" if expected else objects.cause(stored, objects.around())
    )
    if expected:
        assert verdict.state == FAILED and expected in verdict.reason and "snapshot" in verdict.reason
    else:
        assert "in use" not in verdict.reason


def test_a_copy_that_has_started_has_no_user_problem() -> None:
    stored = objects.stored("CloneInProgress", Running={"status": "True", "reason": "Pod is running"})
    stored["status"]["progress"] = "12.0%"
    assert objects.cause(stored, objects.around(objects.event(objects.CLAIM, "CloneSourceInUse", IN_USE))) is None


def pod_of_others(
    phase: str, labels: dict[str, str] | None = None, seconds: float = 20, scheduled: bool = True, **container: Any
) -> dict[str, Any]:
    pod: dict[str, Any] = objects.item(objects.SCRATCH, objects.OTHER)
    pod["metadata"]["labels"] = labels or {}
    conditions = [{"type": "PodScheduled", "status": str(scheduled)}]
    pod["status"] = {
        "phase": phase,
        "startTime": ago(seconds),
        "conditions": conditions,
        "containerStatuses": [container] if container else [],
    }
    return pod


def claim_of_others(seconds: float, **noted: str) -> dict[str, Any]:
    claim: dict[str, Any] = objects.item(objects.OTHER, "x")
    claim["metadata"].update(creationTimestamp=ago(seconds), annotations=noted)
    return claim


RUNNING: dict[str, Any] = {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "restartCount": 0}
UPLOAD_SERVER = {"cdi.kubevirt.io": "cdi-upload-server"}
REFUSED = {"cdi.kubevirt.io/storage.condition.running.reason": "ErrExceededQuota"}
SENT = {"kubevirt.cdi/upload-sha256": "a"}


@pytest.mark.parametrize(
    ("others", "works"),
    [
        (lambda: ([], []), False),
        (lambda: ([pod_of_others("Running", **RUNNING)], []), True),
        (lambda: ([pod_of_others("Succeeded")], []), True),
        (lambda: ([pod_of_others("Failed")], []), False),
        (
            lambda: ([pod_of_others("Running", state={"waiting": {"reason": "CrashLoopBackOff"}}, restartCount=2)], []),
            False,
        ),
        (lambda: ([pod_of_others("Running", state={"terminated": {"exitCode": 1}}, restartCount=0)], []), False),
        (lambda: ([pod_of_others("Running", state={"terminated": {"exitCode": 0}}, restartCount=0)], []), True),
        (lambda: ([pod_of_others("Running", state={"running": {"startedAt": ago(1)}}, restartCount=2)], []), False),
        (lambda: ([pod_of_others("Running", state={"running": {"startedAt": ago(30)}}, restartCount=1)], []), True),
        (lambda: ([pod_of_others("Running", UPLOAD_SERVER, **RUNNING)], [claim_of_others(60)]), False),
        (lambda: ([pod_of_others("Running", UPLOAD_SERVER, **RUNNING)], [claim_of_others(60, **SENT)]), True),
        (
            lambda: (
                [pod_of_others("Running", UPLOAD_SERVER, **RUNNING)],
                [claim_of_others(60, **{"cdi.kubevirt.io/cloneType": "copy"})],
            ),
            True,
        ),
        (lambda: ([pod_of_others("Pending", seconds=3, state={"waiting": {"reason": "ContainerCreating"}})], []), True),
        (
            lambda: ([pod_of_others("Pending", seconds=60, state={"waiting": {"reason": "ContainerCreating"}})], []),
            False,
        ),
        (lambda: ([pod_of_others("Pending", seconds=3, state={"waiting": {"reason": "ImagePullBackOff"}})], []), False),
        (lambda: ([pod_of_others("Pending", seconds=3, scheduled=False)], []), False),
        (lambda: ([], [claim_of_others(2)]), True),
        (lambda: ([], [claim_of_others(30)]), False),
        (lambda: ([], [claim_of_others(2, **REFUSED)]), False),
    ],
)
@pytest.mark.parametrize(
    ("reason", "said", "cause"),
    [
        (
            "ErrCreatingPVCPrime",
            "forbidden: exceeded quota: q, requested: requests.storage=1Gi, used: requests.storage=9Gi, limited: "
            "requests.storage=9Gi",
            "quota_exceeded",
        ),
        ("ProvisioningFailed", "rpc error: code = ResourceExhausted desc = no space left in the pool", "storage_full"),
    ],
)
def test_a_problem_fails_unless_other_helpers_make_progress(
    others: Any, works: bool, reason: str, said: str, cause: str
) -> None:
    stored = objects.stored("Pending", Bound=objects.PENDING)
    pods, claims = others()  # Now, as their age counts.
    own = [objects.item(objects.CLAIM, objects.VOLUME, "DataVolume"), objects.item(objects.PRIME, objects.CLAIM)]
    around = Evidence([objects.event(objects.CLAIM, reason, said)], pods, [*own, *claims])
    assert objects.cause(stored, around) == cause
    assert rules.judge(objects.volume(), stored, around).state == (WAITING if works else FAILED)


def test_helpers_with_warnings_make_no_progress() -> None:
    stored = objects.stored("Pending", Bound=objects.PENDING)
    full = "rpc error: code = ResourceExhausted desc = no space left in the pool"
    young = claim_of_others(1)
    said = [
        objects.event(objects.PRIME, "ProvisioningFailed", full),
        objects.event(objects.OTHER, "ProvisioningFailed", full),
    ]
    assert rules.judge(objects.volume(), stored, objects.around(*said, others=[young])).state == FAILED
    # This is reported for every claim.
    noise = objects.event(
        objects.OTHER, "ProvisioningFailed", "Error saving claim: the object has been modified; please try again"
    )
    assert rules.judge(objects.volume(), stored, objects.around(said[0], noise, others=[young])).state == WAITING


def test_a_copy_that_waits_for_its_source_makes_no_progress() -> None:
    stored = objects.stored("Pending", Bound=objects.PENDING)
    full = objects.event(
        objects.PRIME, "ProvisioningFailed", "rpc error: code = ResourceExhausted desc = no space left in the pool"
    )
    server, target = (
        pod_of_others("Running", UPLOAD_SERVER, **RUNNING),
        claim_of_others(60, **{"cdi.kubevirt.io/cloneType": "copy"}),
    )
    own = [objects.item(objects.CLAIM, objects.VOLUME, "DataVolume"), objects.item(objects.PRIME, objects.CLAIM)]
    assert rules.judge(objects.volume(), stored, Evidence([full], [server], [*own, target])).state == WAITING
    in_use = objects.event(objects.OTHER, "CloneSourceInUse", IN_USE)
    assert rules.judge(objects.volume(), stored, Evidence([full, in_use], [server], [*own, target])).state == FAILED


@pytest.mark.parametrize(("size", "state"), [("100Ti", FAILED), ("2Gi", WAITING)])
def test_a_much_larger_claim_does_not_wait_for_other_helpers(size: str, state: str) -> None:
    stored = objects.stored("Pending", Bound=objects.PENDING)
    full = objects.event(
        objects.PRIME, "ProvisioningFailed", "rpc error: code = ResourceExhausted desc = no space left in the pool"
    )
    own = [
        objects.item(objects.CLAIM, objects.VOLUME, "DataVolume"),
        objects.item(objects.PRIME, objects.CLAIM, resources={"requests": {"storage": size}}),
    ]
    target = claim_of_others(60)
    target["spec"]["resources"] = {"requests": {"storage": "1Gi"}}
    around = Evidence([full], [pod_of_others("Running", **RUNNING)], [*own, target])
    assert rules.judge(objects.volume(), stored, around).state == state


def test_a_claim_above_the_quota_does_not_wait_for_other_helpers() -> None:
    stored = objects.stored("Pending", Bound=objects.PENDING)
    never = (
        "forbidden: exceeded quota: q, requested: requests.storage=9Gi, "
        "used: requests.storage=0, limited: requests.storage=1Gi"
    )
    around = objects.around(objects.event(objects.CLAIM, "ErrCreatingPVCPrime", never))
    around = replace(around, pods=[pod_of_others("Running", **RUNNING)])
    assert rules.judge(objects.volume(), stored, around)[::2] == (FAILED, 0)


@pytest.mark.parametrize(
    ("drivers", "provisioner", "cause"),
    [
        ({"other"}, "gone.csi", "provisioner_missing"),
        ({"gone.csi"}, "gone.csi", "claim_pending"),
        (None, "gone.csi", "claim_pending"),
        (set(), "kubernetes.io/no-provisioner", "claim_pending"),
    ],
)
def test_a_class_without_its_driver_is_reported(drivers: set[str] | None, provisioner: str, cause: str) -> None:
    stored, around = (
        objects.stored("ImportScheduled", Bound=objects.PENDING),
        replace(
            objects.around(), classes=[{"metadata": {"name": "thin"}, "provisioner": provisioner}], drivers=drivers
        ),
    )
    found = objects.explained(stored, around)
    assert found["cause"] == cause
    assert rules.judge(objects.volume(), stored, around).state == (
        FAILED if cause == "provisioner_missing" else WAITING
    )
    assert ("has no storage driver 'gone.csi'" in found["message"]) == (cause == "provisioner_missing")
