# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of the data after the last byte."""

from __future__ import annotations

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.completion import Completion

from tests import upload_samples as samples
from tests.upload_samples import (
    data_volume,
)


def test_data_volume_is_judged_by_its_phase_and_restarts() -> None:
    completion = Completion.of(data_volume("UploadReady", restarts=1), is_claim=False)
    assert completion.judge(data_volume("UploadReady", restarts=1)).state == WAITING
    assert completion.judge(data_volume("Succeeded", restarts=1)).state == REACHED
    failed = completion.judge(data_volume("UploadReady", restarts=2, message="qemu-img failed"))
    assert failed.state == FAILED and "qemu-img failed" in failed.reason
    assert completion.judge(data_volume("Failed", restarts=1)).state == FAILED
    assert completion.judge(None).state == FAILED


def test_upload_fails_when_the_server_is_ready_again_after_it_was_away() -> None:
    before = Completion.of(data_volume("UploadReady", restarts=1), is_claim=False)
    away = data_volume("UploadScheduled", restarts=1)
    assert before.judge(away).state == WAITING and before.after(away).judge(away).state == WAITING
    ready = data_volume("UploadReady", restarts=1)
    assert "waits for the data again" in before.after(away).after(ready).judge(ready).reason
    assert before.after(ready).judge(ready).state == WAITING


def test_claim_is_judged_by_its_annotations() -> None:
    completion = Completion.of(samples.claim(pod_ready="true", pod_restarts="0"), is_claim=True)
    running = {"pod_phase": "Running", "pod_ready": "true"}
    assert completion.judge(samples.claim(**running, pod_restarts="0")).state == WAITING
    assert completion.judge(samples.claim(**running, pod_restarts="1")).state == FAILED
    assert completion.judge(samples.claim(pod_phase="Succeeded")).state == REACHED
