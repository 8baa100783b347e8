# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that CDI before 1.62 deletes after success. For a real CDI see tests/real/test_release_1_61_collected.py."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
)

from tests.api.objects import SetStatus, body
from tests.modules import RunModule
from tests.wire import Wire

BLANK: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
NAMES = ["one", "three", "two"]


@pytest.fixture
def leave_claim(direct: Connection, namespace: str) -> Callable[..., None]:
    """Creates the claim that remains of a collected volume."""

    def make(name: str, filled_by: str = "", **metadata: Any) -> None:
        spec: dict[str, Any] = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1088Mi"}},
            "storageClassName": "thin",
        }
        if filled_by:
            spec["dataSourceRef"] = {"apiGroup": "cdi.kubevirt.io", "kind": filled_by, "name": "source"}
        marked = {"annotations": {"cdi.kubevirt.io/garbageCollected": "true"}, **metadata}
        claim = body(PERSISTENT_VOLUME_CLAIM, name, metadata=marked, spec=spec)
        direct.create(PERSISTENT_VOLUME_CLAIM, claim, namespace, dry_run=False)
        # No controller removes the finalizer of a deleted claim here.
        direct.merge(PERSISTENT_VOLUME_CLAIM, name, namespace, {"metadata": {"finalizers": None}}, dry_run=False)

    return make


def test_unchanged_volume_or_list_takes_two_requests(
    wire: Wire, module: RunModule, namespace: str, leave_claim: Callable[..., None]
) -> None:
    for name in NAMES:
        leave_claim(name)
    wire.requests.clear()
    result = module("data_volume", name="one", namespace=namespace, **BLANK).result
    assert (result["changed"], result["drift"], result["phase"], result["collected"]) == (
        False,
        "none",
        "Succeeded",
        True,
    )
    assert len(wire.requests) == 2
    wire.requests.clear()
    result = module("data_volume", namespace=namespace, data_volumes=[{"name": name, **BLANK} for name in NAMES]).result
    assert not result["changed"] and all(item["collected"] for item in result["data_volumes"])
    assert len(wire.requests) == 2
    wire.requests.clear()
    found = module("data_volume_info", namespace=namespace).result["data_volumes"]
    assert [item["name"] for item in found] == NAMES and len(wire.requests) == 2


def test_check_mode_predicts_recreation_and_deletion(
    wire: Wire, module: RunModule, namespace: str, leave_claim: Callable[..., None]
) -> None:
    leave_claim("one")
    for options in (
        {"storage": {"size": "1Gi", "storage_class_name": "plain"}, "on_drift": "recreate"},
        {"state": "absent"},
    ):
        predicted = module("data_volume", check=True, name="one", namespace=namespace, **{**BLANK, **options}).result
        assert predicted["changed"] and not predicted.get("failed"), (options, predicted)
    assert wire.writes() == []


@pytest.mark.parametrize("overwrite", ["different", "always"])
def test_replacement_upload_is_tried_as_a_data_volume(
    wire: Wire,
    direct: Connection,
    module: RunModule,
    namespace: str,
    leave_claim: Callable[..., None],
    tmp_path: Path,
    overwrite: str,
) -> None:
    """A DataVolume replaces the claim."""
    leave_claim("one", "VolumeUploadSource")
    (tmp_path / "disk.raw").write_bytes(os.urandom(1 << 20))
    options = {"name": "one", "namespace": namespace, "path": str(tmp_path / "disk.raw"), "overwrite": overwrite}
    predicted = module("volume_upload", check=True, **options).result
    assert not predicted.get("failed"), predicted["msg"]
    assert predicted["changed"] and predicted["action"] == "replaced"
    assert any("/datavolumes/one-" in path for method, path in wire.requests if method == "PATCH")
    assert wire.writes() == [] and direct.get(PERSISTENT_VOLUME_CLAIM, "one", namespace)


def test_claim_is_deleted_by_its_uid_and_recreated(
    direct: Connection, wire: Wire, module: RunModule, namespace: str, leave_claim: Callable[..., None]
) -> None:
    leave_claim("one")
    other = {"storage": {"size": "1Gi", "storage_class_name": "plain"}}
    refused = module("data_volume", name="one", namespace=namespace, **{**BLANK, **other}).result
    assert (
        refused["failed"]
        and not refused["changed"]
        and "storage.storage_class_name: 'thin' on the claim, 'plain' requested" in refused["msg"]
    )
    assert wire.writes() == []
    made = module(
        "data_volume", name="one", namespace=namespace, **{**BLANK, **other}, on_drift="recreate", wait=False
    ).result
    assert (
        made["changed"]
        and made["drift"] == "recreate"
        and made["data_volume"]["spec"]["storage"]["storageClassName"] == "plain"
    )
    assert direct.get(PERSISTENT_VOLUME_CLAIM, "one", namespace) is None
    assert [method for method, _path in wire.writes()] == ["DELETE", "PATCH"]


@pytest.mark.parametrize(
    ("change", "expected", "kept"),
    [
        ({"state": "absent"}, {"changed": True, "drift": None}, False),
        ({"state": "absent", "wait": True}, {"changed": True, "drift": None}, False),
        ({"state": "absent", "keep_claim": True}, {"changed": False}, True),
        (
            {"storage": {"size": "1Gi", "storage_class_name": "plain"}, "on_drift": "recreate"},
            {"changed": True, "drift": "recreate"},
            False,
        ),
        (
            {"storage": {"size": "1Gi", "storage_class_name": "thin"}, "on_drift": "recreate"},
            {"changed": False, "drift": "none", "collected": True},
            True,
        ),
    ],
)
def test_volume_that_is_collected_before_its_deletion_is_treated_as_its_claim(
    wire: Wire,
    module: RunModule,
    direct: Connection,
    namespace: str,
    leave_claim: Callable[..., None],
    set_status: SetStatus,
    change: dict[str, Any],
    expected: dict[str, Any],
    kept: bool,
) -> None:
    """Nothing remains of a deleted volume, and a claim that matches the requested spec is not deleted."""
    expiring = {"cdi.kubevirt.io/storage.deleteAfterCompletion": "true"}
    options: dict[str, Any] = {"name": "one", "namespace": namespace, **BLANK, "annotations": expiring, "wait": False}
    assert module("data_volume", **options).result["changed"]
    set_status(namespace, "one")
    collected: list[str] = []

    def collect_first(method: str, path: str) -> str:
        if method == "DELETE" and not collected:
            collected.append(path)
            leave_claim("one")
            direct.delete(DATA_VOLUME, "one", namespace, dry_run=False)
        return ""

    wire.trouble = collect_first
    result = module("data_volume", **{**options, **change}).result
    assert "/datavolumes/" in collected[0] and not result.get("failed"), result
    assert {key: result[key] for key in expected} == expected
    claim = direct.get(PERSISTENT_VOLUME_CLAIM, "one", namespace)
    assert (claim is not None and not claim["metadata"].get("deletionTimestamp")) is kept


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (
            {"storage": {"size": "1Gi", "storage_class_name": "thinn"}},
            "storage class 'thinn' (storage.storage_class_name) does not exist",
        ),
        (
            {"source": {"pvc": {"name": "goldn"}}},
            "PersistentVolumeClaim '{namespace}/goldn' (source.pvc) does not exist",
        ),
        (
            {"source": {"http": {"url": "http://x/", "secret_ref": "none"}}, "check_source": "never"},
            "Secret '{namespace}/none'",
        ),
    ],
)
def test_invalid_replacement_is_refused_before_the_deletion(
    wire: Wire,
    direct: Connection,
    module: RunModule,
    namespace: str,
    leave_claim: Callable[..., None],
    change: dict[str, Any],
    refusal: str,
    check: bool,
) -> None:
    leave_claim("one")
    options = {**BLANK, "storage": {"size": "1Gi", "storage_class_name": "plain"}, **change}
    result = module("data_volume", check=check, name="one", namespace=namespace, **options, on_drift="recreate").result
    # In check mode, an earlier task may create the Secret.
    warned = check and "http" in options["source"]
    assert result.get("failed", False) is not warned, result
    assert warned or (refusal.format(namespace=namespace) in result["msg"] and not result["changed"]), result["msg"]
    assert direct.get(PERSISTENT_VOLUME_CLAIM, "one", namespace) and wire.writes() == []


def test_claim_of_another_owner_is_not_deleted(
    direct: Connection, wire: Wire, module: RunModule, namespace: str, leave_claim: Callable[..., None]
) -> None:
    """CDI makes the owner of the DataVolume the owner of the claim."""
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "vm", "uid": "1", "controller": True}
    leave_claim("one", ownerReferences=[owner])
    wire.requests.clear()
    refused = module("data_volume", name="one", namespace=namespace, state="absent").result
    assert refused["failed"] and not refused["changed"] and "belongs to VirtualMachine vm" in refused["msg"]
    assert wire.writes() == [] and direct.get(PERSISTENT_VOLUME_CLAIM, "one", namespace)


def _when_watched(wire: Wire, action: Callable[[], None]) -> threading.Thread:
    """Start a thread that acts as soon as the task watches its volume."""

    def wait_and_act() -> None:
        while not wire.count("GET", "watch=true"):
            time.sleep(0.05)
        action()

    thread = threading.Thread(target=wait_and_act, daemon=True)
    thread.start()
    return thread


def test_volume_that_is_collected_during_the_wait_succeeds(
    wire: Wire, direct: Connection, module: RunModule, namespace: str, leave_claim: Callable[..., None]
) -> None:
    def collect() -> None:
        leave_claim("one")
        direct.delete(DATA_VOLUME, "one", namespace, dry_run=False)

    collector = _when_watched(wire, collect)
    result = module("data_volume", namespace=namespace, wait_timeout=20, name="one", **BLANK).result
    collector.join()
    assert not result.get("failed"), result
    reached = (result["changed"], result["drift"], result["phase"], result["collected"])
    assert reached == (True, "missing", "Succeeded", True)


def test_volume_that_another_client_deletes_during_the_wait_fails(
    wire: Wire, direct: Connection, module: RunModule, namespace: str
) -> None:
    remover = _when_watched(wire, lambda: direct.delete(DATA_VOLUME, "one", namespace, dry_run=False))
    result = module("data_volume", namespace=namespace, wait_timeout=20, name="one", **BLANK).result
    remover.join()
    assert result["failed"] and result["diagnosis"]["cause"] == "deleted", result
