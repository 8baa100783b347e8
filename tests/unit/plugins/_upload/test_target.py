# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims and volumes as targets of uploads."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._diagnosis.evidence import Evidence
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.quantity import MIB
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.target import (
    UPLOAD_TARGET,
    claim_size,
    is_archive_claim,
    judge_claim_ready,
    recreated_claim,
    refuse_owned,
)

from tests import upload_samples as samples


def test_claim_owned_by_a_controller_is_not_deleted() -> None:
    claim = samples.claim(pod_phase="Succeeded", UPLOAD_TARGET="")
    claim["spec"]["volumeName"] = "pv-1"
    claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes"
    again = recreated_claim(claim)
    assert again["metadata"]["annotations"] == {UPLOAD_TARGET: ""} and "volumeName" not in again["spec"]
    claim["metadata"]["ownerReferences"] = [{"kind": "VirtualMachine", "name": "vm", "controller": True}]
    with pytest.raises(CdiError, match="belongs to VirtualMachine vm"):
        refuse_owned("PersistentVolumeClaim", claim)


def test_claim_is_not_ready_because_of_its_events() -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "thin"}
    claim = {"metadata": {"name": "disk", "uid": "u"}, "spec": spec, "status": {"phase": "Pending"}}
    about = {"uid": "u", "kind": "PersistentVolumeClaim", "name": "disk"}
    said = {
        "metadata": {"uid": "e"},
        "involvedObject": about,
        "reason": "ErrExceededQuota",
        "message": "exceeded quota",
    }
    verdict = judge_claim_ready(claim, Evidence([said]))
    assert verdict.state == FAILED and "raise the namespace's quota" in verdict.reason
    assert "claim disk of storage class thin is not bound" in judge_claim_ready(claim, Evidence()).reason
    bound = {**claim, "status": {"phase": "Bound"}}
    assert "its upload server is not ready" in judge_claim_ready(bound, Evidence()).reason


def test_claim_size_is_the_device_or_the_request_of_a_file_system() -> None:
    claim = samples.claim()
    assert claim_size(claim) == 128 * MIB
    claim["status"] = {"capacity": {"storage": "1Gi"}}
    assert claim_size(claim) == 128 * MIB
    claim["spec"]["volumeMode"] = "Block"
    assert claim_size(claim) == 1024 * MIB


def test_archive_claim_is_recognized_by_its_annotation() -> None:
    assert is_archive_claim(samples.claim(contentType="archive"))
    assert not is_archive_claim(samples.claim(contentType="kubevirt"))


def test_claim_is_ready_when_its_upload_server_is() -> None:
    assert judge_claim_ready(samples.claim(pod_ready="true")).state == REACHED
    assert judge_claim_ready(samples.claim()).state == WAITING
    assert judge_claim_ready(None).state == FAILED
