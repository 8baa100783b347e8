# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a DataVolume has got to, what has drifted, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils import _data_volume as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._clone import clone_facts, explain, preallocation_facts
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume_options import VOLUME_OPTIONS
from ansible_collections.kubevirt.cdi.plugins.module_utils._wait import FAILED, REACHED, WAITING


def _volume(**options: Any) -> dict[str, Any]:
    defaults = {option: spec.get("default") for option, spec in VOLUME_OPTIONS.items()}
    return {
        **defaults,
        "name": "disk",
        "namespace": "demo",
        "source": {"blank": {}},
        "storage": {"size": "1Gi"},
        **options,
    }


def _stored(phase: str, restarts: int = 0, **conditions: dict[str, str]) -> dict[str, Any]:
    listed = [{"type": kind, "status": "False", **condition} for kind, condition in conditions.items()]
    return {"metadata": {"name": "disk"}, "status": {"phase": phase, "restartCount": restarts, "conditions": listed}}


def test_options_become_the_fields_of_cdi() -> None:
    source = {"http": {"url": "https://x", "cert_config_map": "ca", "extra_headers": None}, "pvc": None}
    made = rules.desired(_volume(source=source, binding="immediate", preallocation=False, labels={"a": "b"}))
    assert made["spec"] == {
        "source": {"http": {"url": "https://x", "certConfigMap": "ca"}},
        "storage": {"resources": {"requests": {"storage": "1Gi"}}},
        "preallocation": False,
    }
    assert made["metadata"]["annotations"] == {"cdi.kubevirt.io/storage.bind.immediate.requested": "true"}


def test_a_source_without_a_namespace_is_in_the_volumes_own() -> None:
    made = rules.desired(
        _volume(
            source={"pvc": {"name": "golden", "namespace": None}}, storage={"size": None, "storage_class_name": "thin"}
        )
    )
    assert made["spec"]["source"] == {"pvc": {"name": "golden", "namespace": "demo"}}
    assert made["spec"]["storage"] == {"storageClassName": "thin", "resources": {}}


def test_what_cdi_writes_again_in_its_own_way_is_no_drift() -> None:
    wanted = rules.desired(_volume(storage={"size": "1024Mi"}))
    stored = {
        "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": []}}
    }
    assert rules.spec_drift(wanted, stored) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"preallocation": False}, "spec.preallocation is unset and not False"),
        ({"source": {"upload": {}}}, "spec.source.blank is {} and not unset"),
        (
            {"storage": {"size": "1Gi", "storage_class_name": "thin"}},
            "spec.storage.storageClassName is unset and not thin",
        ),
    ],
)
def test_drift_names_the_field_and_both_values(options: dict[str, Any], told: str) -> None:
    stored = rules.desired(_volume())
    assert told in rules.spec_drift(rules.desired(_volume(**options)), stored)


def test_a_field_that_is_no_longer_asked_for_is_drift() -> None:
    stored = rules.desired(_volume(preallocation=True))
    assert rules.spec_drift(rules.desired(_volume()), stored) == ["spec.preallocation is True and not unset"]


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
        ({}, _stored("Pending", Bound={"reason": "ErrClaimNotValid"}), FAILED),
        ({}, _stored("ImportScheduled", Running={"reason": "ContainerCreating"}), WAITING),
        ({}, _stored("ImportScheduled", Running={"reason": "Scratch space required"}), WAITING),
    ],
)
def test_where_a_volume_has_got_to(options: dict[str, Any], stored: Any, state: str) -> None:
    assert rules.judge(_volume(**options), stored).state == state


def test_what_cannot_heal_fails_at_once_with_its_remedy() -> None:
    message = "Unable to connect to http data source: expected status code 200, got 404. Status: 404 Not Found"
    verdict = rules.judge(_volume(), _stored("ImportInProgress", Running={"reason": "Error", "message": message}))
    assert (verdict.state, verdict.grace) == (FAILED, 0) and verdict.reason.endswith("; correct the URL")


def test_a_worker_that_fails_may_be_started_again() -> None:
    running = {"reason": "Error", "message": "expected status code 200, got 503"}
    assert rules.judge(_volume(), _stored("ImportInProgress", 2, Running=running)).state == WAITING
    verdict = rules.judge(_volume(), _stored("ImportInProgress", 3, Running=running))
    assert (verdict.state, verdict.grace) == (FAILED, 0) and "after 3 restarts" in verdict.reason


def test_a_failure_without_a_condition_says_so() -> None:
    assert rules.judge(_volume(), _stored("Failed")).reason == "phase Failed, no reason: no message"


def test_what_may_heal_has_to_last() -> None:
    pull = {"reason": "ImagePullBackOff", "message": "not found"}
    assert rules.judge(_volume(), _stored("ImportScheduled", Running=pull)).grace > 0
    quota = rules.judge(
        _volume(), _stored("Pending", Bound={"reason": "ErrExceededQuota", "message": "exceeded quota"})
    )
    assert quota.grace > 0 and "raise the namespace's quota" in quota.reason


def test_warnings_are_those_of_the_volume_and_its_helpers() -> None:
    def event(name: str, message: str, kind: str = "Warning", time: str = "1") -> dict[str, Any]:
        return {
            "type": kind,
            "reason": "R",
            "message": message,
            "involvedObject": {"name": name},
            "lastTimestamp": time,
        }

    events = [
        event("disk", "b", time="2"),
        event("disk", "a"),
        event("prime-uid", "c", time="3"),
        event("other", "d"),
        event("disk", "e", "Normal"),
    ]
    assert rules.warnings_about(events, "disk", "uid") == ["R: a", "R: b", "R: c"]
    assert rules.warnings_about([event("x", "y")], "disk", None) == []


CLONE = {"spec": {"source": {"pvc": {"name": "golden"}}}}


def _claim(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {f"cdi.kubevirt.io/{key}": value for key, value in annotations.items()}}}


def test_a_clones_method_is_on_its_claim() -> None:
    facts = clone_facts(
        CLONE,
        _claim(cloneType="copy", cloneFallbackReason="No compatible volumesnapshotclass found", clonePhase="Succeeded"),
    )
    assert (facts["method"], facts["fallback"], facts["phase"]) == ("copy", True, "Succeeded")
    assert explain(facts, None, "snapshot", "thin") == "CDI fell back to copy: No compatible volumesnapshotclass found."


def test_the_volume_knows_the_method_when_the_claim_was_not_read() -> None:
    assert clone_facts({**CLONE, **_claim(cloneType="snapshot")}, None)["method"] == "snapshot"


def test_a_volume_that_is_no_clone_has_no_method_whatever_its_annotations_say() -> None:
    assert clone_facts({"spec": {"source": {"blank": {}}}}, _claim(cloneType="copy"))["method"] is None
    assert clone_facts(None, None)["method"] is None


def test_a_copy_without_a_reason_is_explained_by_the_settings() -> None:
    facts = clone_facts(CLONE, _claim(cloneType="copy"))
    assert "cloneStrategyOverride asks for copy" in explain(facts, "copy", "snapshot", "thin")
    assert "storage profile of thin says copy" in explain(facts, None, "copy", "thin")
    assert "says snapshot now" in explain(facts, None, "snapshot", "thin")


def test_preallocation_is_applied_only_when_cdi_says_so() -> None:
    asked = {"metadata": {"annotations": {"cdi.kubevirt.io/storage.preallocation.requested": "true"}}}
    assert preallocation_facts(asked) == {"requested": True, "applied": False}
    assert preallocation_facts(None) == {"requested": None, "applied": False}
