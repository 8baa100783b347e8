# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pod that measures a volume: its security, its node, and its result."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import FAILED, REACHED, WAITING
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage import allocation

ENVIRONMENT = allocation.Environment(
    "registry/cdi-cloner:1", "Never", [{"name": "pull"}], {"nodeSelector": {"disk": "fast"}, "affinity": {}}
)
FILLED = {"status": {"phase": "Succeeded"}}


def _claim(*modes: str, phase: str = "Bound", **spec: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "disk", "namespace": "demo", "uid": "u-1"},
        "spec": {"accessModes": list(modes) or ["ReadWriteOnce"], **spec},
        "status": {"phase": phase},
    }


def _user(name: str = "vm", claim: str = "disk", phase: str = "Running") -> dict[str, Any]:
    volumes = [{"name": "config", "configMap": {}}, {"name": "disk", "persistentVolumeClaim": {"claimName": claim}}]
    return {
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"nodeName": "node-2", "volumes": volumes},
        "status": {"phase": phase},
    }


def test_the_measuring_pod_is_restricted_and_read_only() -> None:
    pod = allocation.measuring_pod(_claim(), [], ENVIRONMENT)
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] and pod["spec"]["securityContext"]["runAsUser"] == 107
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["volumeMounts"][0]["readOnly"] and not pod["spec"]["automountServiceAccountToken"]


def test_the_measuring_pod_runs_like_a_worker_and_is_owned_by_the_claim() -> None:
    pod = allocation.measuring_pod(_claim(), [], ENVIRONMENT)
    assert pod["spec"]["containers"][0]["image"] == "registry/cdi-cloner:1"
    assert pod["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["spec"]["nodeSelector"] == {"disk": "fast"} and "affinity" not in pod["spec"]
    assert pod["metadata"]["ownerReferences"][0]["uid"] == "u-1"


def test_the_measuring_pod_runs_on_the_node_of_a_claim_in_use() -> None:
    users = [_user("other", "other"), _user("ended", phase="Succeeded"), _user()]
    assert allocation.measuring_pod(_claim(), users, ENVIRONMENT)["spec"]["nodeName"] == "node-2"
    assert "nodeName" not in allocation.measuring_pod(_claim(), users[:2], ENVIRONMENT)["spec"]
    assert "nodeName" not in allocation.measuring_pod(_claim("ReadWriteMany"), users, ENVIRONMENT)["spec"]
    assert allocation.occupant(_claim(), users) is None


def test_occupant_names_the_pod_with_exclusive_use() -> None:
    assert "Pod demo/vm" in (allocation.occupant(_claim("ReadWriteOncePod"), [_user()]) or "")
    assert allocation.occupant(_claim("ReadWriteOncePod"), []) is None


@pytest.mark.parametrize(
    ("volume", "claim", "named"),
    [
        (FILLED, None, "not bound"),
        (FILLED, _claim(phase="Pending"), "not bound"),
        ({"status": {"phase": "ImportInProgress"}}, _claim(), "not filled"),
        ({}, None, "not filled"),
        (FILLED, _claim(volumeMode="Block"), "block device"),
    ],
)
def test_obstacle_names_why_a_volume_cannot_be_measured(
    volume: dict[str, Any], claim: dict[str, Any] | None, named: str
) -> None:
    assert named in (allocation.obstacle(volume, claim) or "")


def test_a_filled_filesystem_volume_has_no_obstacle() -> None:
    assert allocation.obstacle(FILLED, _claim(volumeMode="Filesystem")) is None


def _pod(phase: str, **state: Any) -> dict[str, Any]:
    return {"status": {"phase": phase, "containerStatuses": [{"state": state}]}}


def test_a_measuring_pod_fails_when_its_image_cannot_be_pulled() -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    assert allocation.judge_pod(_pod("Pending", waiting=waiting)) == (FAILED, "Back-off pulling image", 0)
    assert allocation.judge_pod(_pod("Pending", waiting={"reason": "ContainerCreating"})).state == WAITING
    unschedulable = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}
    verdict = allocation.judge_pod({"status": {"phase": "Pending", "conditions": [unschedulable]}})
    assert (verdict.state, verdict.reason) == (WAITING, "0/3 nodes are available")
    assert allocation.judge_pod(None).state == FAILED


def test_measured_requires_two_numbers() -> None:
    ended = _pod("Succeeded", terminated={"message": "4096 67108864\n"})
    assert allocation.judge_pod(ended).state == REACHED
    assert allocation.measured(ended) == {"allocated_bytes": 4096, "size_bytes": 67108864, "not_measured": None}
    denied = allocation.measured(_pod("Succeeded", terminated={"message": "stat: Permission denied"}))
    assert denied["allocated_bytes"] is None and "Permission denied" in denied["not_measured"]


def _run(directory: Path) -> str:
    command = allocation.SCRIPT.replace("/dev/termination-log", str(directory.parent / "said"))
    subprocess.run(["bash", "-c", command], cwd=directory, check=True)
    return (directory.parent / "said").read_text()


def test_the_command_counts_the_blocks_of_an_image(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    image = volume / "disk.img"
    image.touch()
    os.truncate(image, 1 << 24)
    assert _run(volume) == "0 16777216\n"
    image.write_bytes(b"x" * (1 << 20))
    os.truncate(image, 1 << 24)
    assert _run(volume) == f"{image.stat().st_blocks * 512} 16777216\n"


def test_the_command_counts_all_files_of_an_archive(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    (volume / "below").mkdir(parents=True)
    (volume / "below" / "file").write_bytes(b"x" * 10_000)
    allocated, size = map(int, _run(volume).split())
    assert allocated >= 10_000 and size >= 10_000
