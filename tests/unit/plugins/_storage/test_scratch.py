# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch space by the rules in CDI's source: whether it is required, its class, its size and its problems."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage import scratch
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.scratch_need import need
from hypothesis import given
from hypothesis import strategies as st

MEBIBYTE = 1 << 20


def _settings(
    version: tuple[int, ...] = (1, 65, 0), asked: str = "", status: str = "", **profiles: list[Any]
) -> scratch.Settings:
    overheads = {"global": "0.06", "storageClass": {"thin": "0.06", "lean": "0"}}
    config = {
        "spec": {"scratchSpaceStorageClass": asked} if asked else {},
        "status": {"filesystemOverhead": overheads, "scratchSpaceStorageClass": status},
    }
    return scratch.Settings(
        config, version, {name: {"status": {"claimPropertySets": sets}} for name, sets in profiles.items()}, None
    )


@pytest.mark.parametrize(
    ("source", "more", "needed"),
    [
        ({"http": {"url": "https://x/disk.raw"}}, {}, True),
        ({"http": {"url": "https://x/disk.qcow2"}}, {}, True),
        ({"http": {"url": "https://x/files.tar"}}, {"contentType": "archive"}, True),
        ({"registry": {"url": "docker://x/disk"}}, {}, True),
        ({"registry": {"url": "docker://x/disk", "pullMethod": "pod"}}, {}, True),
        ({"registry": {"url": "docker://x/disk", "pullMethod": "node"}}, {}, False),
        ({"registry": {"imageStream": "disk", "pullMethod": "node"}}, {}, False),
        ({"upload": {}}, {}, True),
        ({"upload": {}}, {"contentType": "archive"}, True),
        ({"s3": {"url": "https://s3/bucket/disk.raw"}}, {}, False),
        ({"s3": {"url": "https://s3/bucket/disk.raw.gz?version=1"}}, {}, False),
        ({"s3": {"url": "https://s3/bucket/disk.QCOW2.xz"}}, {}, True),
        ({"s3": {"url": "https://s3/bucket/disk.img"}}, {}, None),
        ({"gcs": {"url": "gs://bucket/disk.vmdk"}}, {}, True),
        ({"gcs": {"url": "gs://bucket/disk.iso"}}, {}, False),
        ({"gcs": {"url": "gs://bucket/files.tar"}}, {"contentType": "archive"}, True),
        ({"imageio": {"url": "https://x", "diskId": "1"}}, {}, False),
        ({"imageio": {"url": "https://x", "diskId": "1"}}, {"checkpoints": [{"previous": "", "current": "a"}]}, True),
        ({"vddk": {"url": "https://x"}}, {}, False),
        ({"blank": {}}, {}, False),
        ({"pvc": {"name": "a", "namespace": "b"}}, {}, False),
        ({"snapshot": {"name": "a", "namespace": "b"}}, {}, False),
        (None, {"sourceRef": {"kind": "DataSource", "name": "debian"}}, False),
        (None, {}, False),
    ],
)
def test_need_of_each_source_has_its_rule(
    source: dict[str, Any] | None, more: dict[str, Any], needed: bool | None
) -> None:
    expected = need({**({"source": source} if source else {}), **more})
    assert expected.needed is needed
    assert expected.rule.endswith(".") and expected.rule.count(". ") == 0


@pytest.mark.parametrize(
    ("settings", "target", "chosen", "rule"),
    [
        (_settings(asked="lean", status="lean"), "thin", "lean", "configured"),
        (_settings(asked="typo"), "thin", "thin", "since 1.65"),
        (_settings(), "thin", "thin", "since 1.65"),
        (_settings(()), "thin", "thin", "since 1.65"),
        (_settings((1, 61, 1), asked="typo", status="default"), "thin", "default", "before 1.65"),
        (_settings((1, 61, 1)), "thin", "thin", "no default class"),
        (_settings(), None, None, "No class"),
    ],
)
def test_storage_class_follows_the_rule_of_the_release(
    settings: scratch.Settings, target: str | None, chosen: str | None, rule: str
) -> None:
    assert scratch.storage_class(settings, target)[0] == chosen
    assert rule in scratch.storage_class(settings, target)[1]


def test_problems_name_a_misspelled_class() -> None:
    (expected,) = scratch.problems(_settings(asked="typo"), "thin")
    assert "scratchSpaceStorageClass typo" in expected and "uses thin" in expected
    assert scratch.problems(_settings(asked="lean", status="lean"), "lean") == []


def test_a_misspelled_class_means_the_default_class_before_1_65() -> None:
    old = _settings((1, 61, 1), asked="typo", status="default")
    assert "uses default" in scratch.problems(old, "default")[0]


def test_problems_name_a_class_without_filesystem() -> None:
    block = _settings(thin=[{"volumeMode": "Block", "accessModes": ["ReadWriteOnce", "ReadWriteMany"]}])
    assert "does not support" in scratch.problems(block, "thin")[0]
    shared = _settings(thin=[{"volumeMode": "Filesystem", "accessModes": ["ReadWriteMany"]}])
    assert "does not support" in scratch.problems(shared, "thin")[0]
    both = [{"volumeMode": mode, "accessModes": ["ReadWriteOnce"]} for mode in ("Block", "Filesystem")]
    assert scratch.problems(_settings(thin=both), "thin") == []
    assert scratch.problems(_settings(), "unknown") == []


def test_problems_report_a_missing_class() -> None:
    assert "wait for a PersistentVolume" in scratch.problems(_settings(), None)[0]


# Requests that CDI made on the test cluster, and requests calculated from createScratchPersistentVolumeClaim.
@pytest.mark.parametrize(
    ("version", "request_bytes", "block", "scratch_class", "mebibytes"),
    [
        ((1, 65, 0), 71135396, False, "thin", 68),  # A claim for 64Mi: 64 MiB * 1.06 = 67.84 MiB.
        ((1, 65, 0), 64 * MEBIBYTE, True, "thin", 68),
        ((1, 65, 0), 64 * MEBIBYTE, True, "lean", 64),
        ((1, 65, 0), 64 * MEBIBYTE, False, "thin", 64),  # 60.4 MiB are usable, so 60 MiB * 1.06 = 63.6 MiB.
        ((1, 61, 1), 64 * MEBIBYTE, True, "thin", 69),  # 64 MiB / 0.94 = 68.1 MiB.
    ],
)
def test_claim_bytes_follow_the_rule_of_the_release(
    version: tuple[int, ...], request_bytes: int, block: bool, scratch_class: str, mebibytes: int
) -> None:
    size = scratch.claim_bytes(_settings(version), request_bytes, "thin", block, scratch_class)
    assert size == mebibytes * MEBIBYTE


@pytest.mark.parametrize(
    ("class_name", "default", "overhead"),
    [
        ("thin", "lean", 0.06),
        ("gone", "lean", 0.0),
        ("gone", "new", 0.1),
        ("gone", None, 0.1),
        (None, "thin", 0.06),
        ("", "thin", 0.0),
    ],
)
def test_overhead_of_a_class_is_that_of_cdi(class_name: str | None, default: str | None, overhead: float) -> None:
    """Class `gone` does not exist, `new` is not listed yet (GetFilesystemOverheadForStorageClass)."""
    settings = replace(_settings(), default_class=default)
    settings.config["status"]["filesystemOverhead"]["global"] = "0.1"
    assert scratch.overhead_of(settings, class_name) == overhead


@given(st.integers(1, 1 << 50), st.booleans(), st.sampled_from([(1, 61, 1), (1, 63, 0), (1, 65, 0), ()]))
def test_the_scratch_claim_is_large_enough_for_the_disk(size: int, block: bool, version: tuple[int, ...]) -> None:
    settings = _settings(version)
    spec = {"storage": {"resources": {"requests": {"storage": str(size)}}}}
    target = scratch.target_bytes(settings, spec, "thin", block)
    assert target is not None and target >= size
    assert scratch.claim_bytes(settings, target, "thin", block, "thin") >= size // MEBIBYTE * MEBIBYTE


def test_volume_mode_is_the_first_that_fits_the_profile() -> None:
    sets = [
        {"volumeMode": "Block", "accessModes": ["ReadWriteMany"]},
        {"volumeMode": "Filesystem", "accessModes": ["ReadWriteOnce"]},
    ]
    settings = _settings(thin=sets)
    assert settings.volume_mode({"storage": {}}, "thin") == "Block"
    assert settings.volume_mode({"storage": {"accessModes": ["ReadWriteOnce"]}}, "thin") == "Filesystem"
    assert settings.volume_mode({"pvc": {}}, "thin") == "Filesystem"
    assert settings.volume_mode({"pvc": {"volumeMode": "Block"}}, "thin") == "Block"


def test_class_of_a_spec_is_the_default_for_its_kind() -> None:
    settings = scratch.Settings(default_class="default", virtualization_class="virtual")
    assert settings.class_of({"storage": {}}) == "virtual"
    assert settings.class_of({"storage": {}, "contentType": "archive"}) == "default"
    assert settings.class_of({"pvc": {}}) == "default"
    assert settings.class_of({"pvc": {"storageClassName": "thin"}}) == "thin"


def _volume(name: str = "disk", populator: str | None = None, phase: str = "Succeeded", ended: str = "") -> Any:
    marks = {"cdi.kubevirt.io/storage.usePopulator": populator} if populator else {}
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ended}] if ended else []
    return {
        "metadata": {"name": name, "namespace": "demo", "annotations": marks},
        "status": {"phase": phase, "conditions": conditions},
    }


def test_claim_name_is_that_of_cdi() -> None:
    claim = {"metadata": {"uid": "u-1"}}
    assert scratch.claim_name(_volume(populator="true"), claim) == "prime-u-1-scratch"
    assert scratch.claim_name(_volume(populator="true"), None) is None
    assert scratch.claim_name(_volume(populator="false"), claim) == "disk-scratch"
    # GetResourceName of CDI 1.65.0 for 250 letters a.
    assert scratch.claim_name(_volume("a" * 250), claim) == f"{'a' * 236}-15da3d4f-scratch"


NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=timezone.utc)


def test_a_scratch_claim_is_left_over_after_a_minute() -> None:
    there = {"metadata": {"name": "prime-u-1-scratch", "namespace": "demo"}}
    assert scratch.left_over(_volume(ended="2026-01-01T11:58:00Z"), there, NOW)
    assert not scratch.left_over(_volume(ended="2026-01-01T11:59:30Z"), there, NOW)
    assert not scratch.left_over(_volume(phase="ImportInProgress", ended="2026-01-01T11:00:00Z"), there, NOW)
    assert not scratch.left_over(_volume(ended="2026-01-01T11:58:00Z"), None, NOW)


def _claim(name: str, uid: str, app: str = "containerized-data-importer", created: str = "2026-01-01T11:00:00Z") -> Any:
    metadata = {"name": name, "uid": uid, "namespace": "demo", "labels": {"app": app}, "creationTimestamp": created}
    return {"metadata": metadata}


def test_orphaned_scratch_is_a_claim_without_a_volume() -> None:
    claims = [
        _claim("disk", "u-1"),
        _claim("prime-u-1-scratch", "s-1"),
        _claim("prime-u-2-scratch", "s-2"),
        _claim("old-scratch", "s-3"),
        _claim("my-scratch", "s-4", app="mine"),
        _claim("prime-u-5-scratch", "s-5", created="2026-01-01T11:59:59Z"),
    ]
    assert scratch.orphaned_scratch(claims, NOW) == [("demo", "prime-u-2-scratch"), ("demo", "old-scratch")]
