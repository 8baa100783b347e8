# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which LimitRange, quota, class, account or policy keeps CDI's pods and claims out of a namespace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis import diagnose as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence, RelatedObjects
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.refusals import (
    Room,
    Worker,
    refused_because,
    trial_pod,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, WAITING

from tests.unit.plugins._diagnosis import objects

# What CDI v1.65.0 reports of every pod that the API server rejects, and its default resources.
NAME = f"importer-prime-{objects.CLAIM}"
SAID = f"Error starting pod '{NAME}': For more information, request access to cdi-deploy logs from your sysadmin"
RESOURCES = {"limits": {"cpu": "750m", "memory": "600M"}, "requests": {"cpu": "100m", "memory": "60M"}}


def refused(reason: str = "ErrStartingPod", said: str = SAID, **spec: Any) -> dict[str, Any]:
    volume = objects.stored("ImportScheduled", Bound=objects.PENDING, Running={"reason": reason, "message": said})
    volume["metadata"]["namespace"] = "demo"
    return {**volume, "spec": spec}


def limited(kind: str, **limits: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "small", "namespace": "demo"}, "spec": {"limits": [{"type": kind, **limits}]}}


def quota(used: dict[str, str], hard: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "q", "namespace": "demo"},
        "spec": {"hard": hard, **spec},
        "status": {"hard": hard, "used": used},
    }


def within(volume: dict[str, Any], room: Room, *others: Any) -> Evidence:
    around = objects.around(prime="Bound", others=others)
    worker = RelatedObjects(volume, around).refused(volume)
    assert worker
    return replace(around, rooms={worker: room._replace(resources=room.resources or RESOURCES)})


@pytest.mark.parametrize(
    ("limit_range", "expected"),
    [
        (
            limited("Container", max={"cpu": "500m"}),
            "allows at most 500m of cpu in a container, and CDI's has a limit of 750m",
        ),
        (
            limited("Pod", max={"memory": "512M"}),
            "allows at most 512M of memory in a pod, and CDI's has a limit of 600M",
        ),
        (
            limited("Container", min={"cpu": "200m"}),
            "requires at least 200m of cpu in a container, and CDI's has a request of 100m",
        ),
        (
            limited("Pod", min={"memory": "64Mi"}),
            "requires at least 64Mi of memory in a pod, and CDI's has a request of 60M",
        ),
        (
            limited("Container", maxLimitRequestRatio={"cpu": "2"}),
            "allows a limit of at most 2 times the request of cpu in a container, and CDI's has a limit of 750m, "
            "7.5 times its request of 100m",
        ),
    ],
)
def test_a_limit_range_is_named_with_its_value(limit_range: dict[str, Any], expected: str) -> None:
    volume = refused()
    around = within(
        volume,
        Room(
            limit_ranges=[
                limited("PersistentVolumeClaim", max={"storage": "1"}),
                limited("Container", max={"cpu": "1"}),
                limit_range,
            ]
        ),
    )
    found = objects.explained(volume, around)
    assert found["cause"] == "limit_range"
    assert found["message"] == f"CDI's pod is rejected: LimitRange 'demo/small' {expected}"
    assert "have the LimitRange changed, or set pod_resource_requirements" in found["remedy"]
    assert rules.judge(objects.volume(), volume, around)[::2] == (FAILED, 0)


@pytest.mark.parametrize(
    ("room", "spec", "cause", "expected"),
    [
        (
            Room(missing_class=True),
            {"priorityClassName": "high"},
            "priority_class_missing",
            "PriorityClass 'high' (priority_class_name) does not exist",
        ),
        (
            Room(missing_account=True),
            {"serviceAccountName": "robot"},
            "service_account_missing",
            "ServiceAccount 'demo/robot' (service_account_name) does not exist",
        ),
        (
            Room(trial="no PriorityClass with name high was found"),
            {},
            "priority_class_missing",
            "no PriorityClass with name high was found",
        ),
        (
            Room(trial='error looking up service account demo/robot: serviceaccount "robot" not found'),
            {},
            "service_account_missing",
            'serviceaccount "robot" not found',
        ),
        (
            Room(trial='violates PodSecurity "restricted:latest": seLinuxOptions'),
            {},
            "pod_security",
            'violates PodSecurity "restricted:latest"',
        ),
        (
            Room(trial="maximum cpu usage per Container is 500m, but limit is 750m"),
            {},
            "limit_range",
            "500m, but limit is 750m",
        ),
        (
            Room(trial="failed quota: q: must specify limits.cpu for: importer"),
            {},
            "quota_exceeded",
            "must specify limits.cpu",
        ),
        (Room(trial='admission webhook "no.pods" denied the request: not today'), {}, "worker_refused", "not today"),
    ],
)
def test_other_reasons_of_a_rejected_pod_are_named(room: Room, spec: dict[str, str], cause: str, expected: str) -> None:
    volume = refused(**spec)
    around = within(volume, room)
    found = objects.explained(volume, around)
    assert (
        found["cause"] == cause
        and found["message"].startswith("CDI's pod is rejected: ")
        and expected in found["message"]
        and found["remedy"]
    )
    assert rules.judge(objects.volume(), volume, around)[::2] == (FAILED, 0)


@pytest.mark.parametrize(
    ("used", "hard", "expected"),
    [
        ({"limits.cpu": "0"}, {"limits.cpu": "1m"}, "limits.cpu (hard 1m, used 0, requested 750m)"),
        ({"cpu": "950m"}, {"cpu": "1"}, "cpu (hard 1, used 950m, requested 100m)"),
        (
            {"requests.memory": "200Mi"},
            {"requests.memory": "256Mi"},
            "requests.memory (hard 256Mi, used 200Mi, requested 60M)",
        ),
        ({"pods": "3"}, {"pods": "3"}, "pods (hard 3, used 3, requested 1)"),
        ({"count/pods": "0"}, {"count/pods": "0"}, "count/pods (hard 0, used 0, requested 1)"),
        (
            {"pods": "3", "limits.memory": "134217728"},
            {"pods": "3", "limits.memory": "268435456"},
            "pods (hard 3, used 3, requested 1), limits.memory (hard 256Mi, used 128Mi, requested 600M)",
        ),
    ],
)
def test_a_quota_is_named_with_hard_used_and_requested(
    used: dict[str, str], hard: dict[str, str], expected: str
) -> None:
    volume = refused("ErrExceededQuota")
    around = within(volume, Room(quotas=[quota({"pods": "9"}, {"pods": "99"}), quota(used, hard)]))
    found = objects.explained(volume, around)
    assert (found["cause"], found["message"]) == (
        "quota_exceeded",
        f"exceeded quota: ResourceQuota 'demo/q' has no room for CDI's pod: {expected}",
    )
    assert "raise the namespace's quota" in found["remedy"]
    assert rules.judge(objects.volume(), volume, around).state == FAILED


@pytest.mark.parametrize(
    ("scope", "spec", "counts"),
    [
        ({"scopes": ["NotBestEffort"]}, {}, True),
        ({"scopes": ["BestEffort"]}, {}, False),
        ({"scopes": ["Terminating"]}, {}, False),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            {},
            False,
        ),
        (
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            {"priorityClassName": "high"},
            True,
        ),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}, {}, False),
        (
            {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}},
            {},
            True,
        ),
    ],
)
def test_a_quota_of_other_pods_is_not_the_cause(scope: dict[str, Any], spec: dict[str, str], counts: bool) -> None:
    volume = refused("ErrExceededQuota", **spec)
    around = within(volume, Room(quotas=[quota({"pods": "1"}, {"pods": "1"}, **scope)]))
    assert ("ResourceQuota" in objects.explained(volume, around)["message"]) == counts


CLAIM_TEXT = (
    'persistentvolumeclaims "prime-x" is forbidden: exceeded quota: q, requested: {0}requests.storage=142270792, '
    "used: {0}requests.storage=284541584, limited: {0}requests.storage=300Mi"
)


@pytest.mark.parametrize("prefix", ["", "thin.storageclass.storage.k8s.io/"])
def test_a_quota_of_claims_has_readable_sizes(prefix: str) -> None:
    volume = refused("", "")
    around = objects.around(objects.event(objects.CLAIM, "ErrCreatingPVCPrime", CLAIM_TEXT.format(prefix)))
    found = objects.explained(volume, around)
    expected = (
        "ResourceQuota 'demo/q' has no room for the claim: "
        f"{prefix}requests.storage (hard 300Mi, used 271.4Mi, requested 135.7Mi)"
    )
    assert (found["cause"], found["message"]) == ("quota_exceeded", f"exceeded quota: {expected}")
    assert "room for two or three claims" in found["remedy"]
    # Other claims have been deleted since, but CDI has not tried again yet.
    now = quota({f"{prefix}requests.storage": "142270792"}, {f"{prefix}requests.storage": "300Mi"})
    around = replace(around, quotas={"demo": [now]})
    assert "has room now" in objects.explained(volume, around)["message"]
    assert rules.judge(objects.volume(), volume, around).state == WAITING


def test_a_pod_that_would_be_accepted_now_is_waited_for() -> None:
    volume = refused("ErrExceededQuota")
    around = within(volume, Room(quotas=[quota({"pods": "0"}, {"pods": "1"})], trial=""))
    assert rules.judge(objects.volume(), volume, around).state == WAITING
    assert "would be accepted now" in objects.explained(volume, around)["message"]


def test_a_pod_is_waited_for_until_the_use_of_its_namespace_is_counted() -> None:
    volume = refused("ErrExceededQuota")
    around = within(volume, Room(trial="status unknown for quota: q, resources: pods"))
    assert rules.judge(objects.volume(), volume, around).state == WAITING
    found = objects.explained(volume, around)
    assert found["cause"] == "quota_exceeded" and "wait until the quota controller" in found["remedy"]


def test_the_possible_causes_are_listed_when_nothing_can_be_read() -> None:
    volume = refused()
    around = within(volume, Room())
    found = objects.explained(volume, around)
    assert (
        found["cause"] == "worker_refused"
        and "Error starting pod" in found["message"]
        and "limits and pod security" in found["remedy"]
    )
    assert rules.judge(objects.volume(), volume, around).state == FAILED
    # Nothing is final without evidence, or with evidence that was read before the pod was rejected.
    assert rules.judge(objects.volume(), volume).state == WAITING
    assert rules.judge(objects.volume(), volume, objects.around(prime="Bound")).state == WAITING


def test_a_rejected_pod_is_found_by_the_annotations_of_its_claim() -> None:
    """A claim without a DataVolume has annotations instead of conditions."""
    claim = objects.item(objects.CLAIM, "", accessModes=["ReadWriteOnce"])
    claim["metadata"].update(namespace="demo", ownerReferences=[])
    prime = objects.item(objects.PRIME, objects.CLAIM, phase="Bound")
    prefix = "cdi.kubevirt.io/storage."
    noted = {
        f"{prefix}condition.running": "false",
        f"{prefix}condition.running.reason": "ErrStartingPod",
        f"{prefix}condition.running.message": SAID,
    }
    prime["metadata"]["annotations"] = {
        **noted,
        f"{prefix}pod.priorityclassname": "high",
        f"{prefix}pod.serviceAccountName": "robot",
    }
    around = Evidence(claims=[prime])
    assert RelatedObjects(claim, around).refused(claim) == Worker("demo", NAME, "high", "robot")
    assert objects.cause(claim, around) == "worker_refused"


def test_a_pod_that_reads_a_source_is_rejected_in_its_namespace() -> None:
    said = SAID.replace(NAME, f"{objects.CLAIM}-source-pod")
    volume = refused(said=said, source={"pvc": {"name": "golden", "namespace": "images"}})
    worker = RelatedObjects(volume, objects.around()).refused(volume)
    assert worker and worker.namespace == "images"


@pytest.mark.parametrize("of_claim", [False, True])
def test_a_pod_that_exists_was_not_refused(of_claim: bool) -> None:
    """CDI reports any error of a creation in these words, also that the pod exists: its cache can be behind."""
    unschedulable = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "Insufficient cpu",
    }
    noted = {
        "cdi.kubevirt.io/storage.condition.running": "false",
        "cdi.kubevirt.io/storage.condition.running.reason": "ErrStartingPod",
        "cdi.kubevirt.io/storage.condition.running.message": SAID,
    }
    for pod, expected in (({"conditions": [unschedulable]}, "worker_unschedulable"), ({"phase": "Running"}, None)):
        evidence = objects.around(pod=pod, prime="Bound")
        evidence.pods[0]["metadata"]["name"] = NAME
        volume = refused()
        if of_claim:
            volume["status"]["conditions"][-1].update(reason="Pod is not running", message="")
            evidence.claims[0]["metadata"]["annotations"] = noted
        assert RelatedObjects(volume, evidence).refused(volume) is None
        assert objects.cause(volume, evidence) == expected
        evidence.pods[0]["metadata"]["name"] = "another"
        assert objects.cause(volume, evidence) == "worker_refused"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            f'Cannot create pod demo/{NAME}: pods "{NAME}" is forbidden: '
            "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1 (HTTP 403).",
            "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
        ),
        (
            'Cannot create pod a: admission webhook "no.pods" denied the request: no (HTTP 400).',
            'admission webhook "no.pods" denied the request: no',
        ),
        (
            'Cannot create pod a: pods is forbidden: User "tenant" cannot create resource "pods" '
            'in API group "" (HTTP 403).',
            None,
        ),
        (f'Cannot create pod a: pods "{NAME}" already exists (HTTP 409).', ""),
        (
            f'Cannot create pod a: pods "{NAME}" is forbidden: '
            "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no pods here (HTTP 422).",
            "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no pods here",
        ),
        ("Cannot create pod a: no answer from the server.", None),
    ],
)
def test_refused_because_returns_only_the_reason_of_the_pod(answer: str, reason: str | None) -> None:
    assert refused_because(answer) == reason


def test_the_trial_pod_requires_what_pods_of_cdi_require() -> None:
    pod = trial_pod(Worker("demo", NAME, "high", "robot"), RESOURCES)
    assert pod["spec"]["priorityClassName"] == "high" and pod["spec"]["serviceAccountName"] == "robot"
    assert pod["spec"]["containers"][0]["resources"] == RESOURCES
