# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that CDI before 1.62 deletes after they have succeeded, on the wire. On a real CDI: tests/real/test_release_1_61.py."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
)

from tests.modules import run_in_process, run_module

BLANK: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}
NAMES = ["one", "three", "two"]


@pytest.fixture
def direct() -> Connection:
    return connect({"kubeconfig": os.environ["KUBECONFIG"]})


@pytest.fixture
def leave(direct: Connection, namespace: str) -> Callable[..., None]:
    """Makes the claim that CDI leaves."""

    def make(name: str, filled_by: str = "", **metadata: Any) -> None:
        spec: dict[str, Any] = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1088Mi"}},
            "storageClassName": "thin",
        }
        if filled_by:
            spec["dataSourceRef"] = {"apiGroup": "cdi.kubevirt.io", "kind": filled_by, "name": "source"}
        marked = {"name": name, "annotations": {"cdi.kubevirt.io/garbageCollected": "true"}, **metadata}
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": marked, "spec": spec}
        direct.create(PERSISTENT_VOLUME_CLAIM, body, namespace, dry_run=False)
        # There is no controller that would take this from a claim which is deleted.
        direct.merge(PERSISTENT_VOLUME_CLAIM, name, namespace, {"metadata": {"finalizers": None}}, dry_run=False)

    return make


def test_one_is_unchanged_by_two_requests_and_a_list_by_two(wire, module, namespace, leave) -> None:
    for name in NAMES:
        leave(name)
    wire.requests.clear()
    told = module("data_volume", name="one", namespace=namespace, **BLANK).result
    assert (told["changed"], told["drift"], told["phase"], told["collected"]) == (False, "none", "Succeeded", True)
    assert len(wire.requests) == 2
    wire.requests.clear()
    told = module("data_volume", namespace=namespace, data_volumes=[{"name": name, **BLANK} for name in NAMES]).result
    assert not told["changed"] and all(item["collected"] for item in told["data_volumes"])
    assert len(wire.requests) == 2
    wire.requests.clear()
    found = module("data_volume_info", namespace=namespace).result["data_volumes"]
    assert [item["name"] for item in found] == NAMES and len(wire.requests) == 2


def test_check_mode_predicts_what_happens_to_it(wire, module, namespace, leave) -> None:
    leave("one")
    for options in (
        {"storage": {"size": "1Gi", "storage_class_name": "plain"}, "on_drift": "recreate"},
        {"state": "absent"},
    ):
        predicted = module("data_volume", check=True, name="one", namespace=namespace, **{**BLANK, **options}).result
        assert predicted["changed"] and not predicted.get("failed"), (options, predicted)
    assert wire.writes() == []


@pytest.mark.parametrize("overwrite", ["different", "always"])
def test_another_file_is_tried_as_a_data_volume_before_the_claim_goes(
    wire, direct, module, namespace, leave, tmp_path, overwrite
) -> None:
    """What is there is a claim, and what comes in its place is a DataVolume."""
    leave("one", "VolumeUploadSource")
    (tmp_path / "disk.raw").write_bytes(os.urandom(1 << 20))
    options = {"name": "one", "namespace": namespace, "path": str(tmp_path / "disk.raw"), "overwrite": overwrite}
    predicted = module("volume_upload", check=True, **options).result
    assert not predicted.get("failed"), predicted["msg"]
    assert predicted["changed"] and predicted["action"] == "replaced"
    assert any("/datavolumes/one-" in path for method, path in wire.requests if method == "PATCH")
    assert wire.writes() == [] and direct.get(PERSISTENT_VOLUME_CLAIM, "one", namespace)


def test_it_is_deleted_by_its_uid_and_made_anew(direct, wire, module, namespace, leave) -> None:
    leave("one")
    other = {"storage": {"size": "1Gi", "storage_class_name": "plain"}}
    refused = module("data_volume", name="one", namespace=namespace, **{**BLANK, **other}).result
    assert (
        refused["failed"]
        and not refused["changed"]
        and "storage.storage_class_name is thin and not plain" in refused["msg"]
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
def test_one_that_is_collected_before_it_is_deleted_is_what_its_claim_is(
    direct, namespace, leave, reach, monkeypatch, change, expected, kept
) -> None:
    """Nothing is left behind, and nothing is deleted of which the claim shows that it is as asked for."""
    will_be = {"cdi.kubevirt.io/storage.deleteAfterCompletion": "true"}
    options = {
        "kubeconfig": os.environ["KUBECONFIG"],
        "name": "one",
        "namespace": namespace,
        **BLANK,
        "annotations": will_be,
        "wait": False,
    }
    assert run_in_process("data_volume", options).result["changed"]
    reach(namespace, "one")
    delete, seen = Connection.delete, []

    def collected_first(own: Connection, *arguments: Any, **more: Any) -> None:
        if not seen:
            seen.append(arguments[0])
            leave("one")
            delete(direct, DATA_VOLUME, "one", namespace, dry_run=False)
        delete(own, *arguments, **more)

    monkeypatch.setattr(Connection, "delete", collected_first)
    result = run_in_process("data_volume", {**options, **change}).result
    assert seen == [DATA_VOLUME] and not result.get("failed"), result
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
def test_what_could_not_be_made_in_its_place_is_refused_before_it_is_deleted(
    wire, direct, module, namespace, leave, change, refusal, check
) -> None:
    leave("one")
    asked = {**BLANK, "storage": {"size": "1Gi", "storage_class_name": "plain"}, **change}
    result = module("data_volume", check=check, name="one", namespace=namespace, **asked, on_drift="recreate").result
    # In check mode an earlier task may be about to make the Secret.
    warned = check and "http" in asked["source"]
    assert result.get("failed", False) is not warned, result
    assert warned or (refusal.format(namespace=namespace) in result["msg"] and not result["changed"]), result["msg"]
    assert direct.get(PERSISTENT_VOLUME_CLAIM, "one", namespace) and wire.writes() == []


def test_a_claim_that_belongs_to_something_else_is_not_deleted(direct, wire, module, namespace, leave) -> None:
    """CDI hands the claim on to who owned the DataVolume."""
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "vm", "uid": "1", "controller": True}
    leave("one", ownerReferences=[owner])
    wire.requests.clear()
    refused = module("data_volume", name="one", namespace=namespace, state="absent").result
    assert refused["failed"] and not refused["changed"] and "belongs to VirtualMachine vm" in refused["msg"]
    assert wire.writes() == [] and direct.get(PERSISTENT_VOLUME_CLAIM, "one", namespace)


def test_one_that_is_collected_while_it_is_waited_for_has_succeeded(direct, namespace, leave) -> None:
    def collect() -> None:
        while direct.get(DATA_VOLUME, "one", namespace) is None:
            time.sleep(0.1)
        time.sleep(1)
        leave("one")
        direct.delete(DATA_VOLUME, "one", namespace, dry_run=False)

    collector = threading.Thread(target=collect, daemon=True)
    collector.start()
    # Not through the counting proxy, which would hold a watch's answer back.
    options = {"kubeconfig": os.environ["KUBECONFIG"], "namespace": namespace, "wait_timeout": 20}
    told = run_module("data_volume", {**options, "name": "one", **BLANK}).result
    collector.join()
    assert not told.get("failed"), told
    assert (told["changed"], told["drift"], told["phase"], told["collected"]) == (True, "missing", "Succeeded", True)


def test_one_that_somebody_deletes_while_it_is_waited_for_has_not(direct, namespace) -> None:
    def delete() -> None:
        while direct.get(DATA_VOLUME, "one", namespace) is None:
            time.sleep(0.1)
        direct.delete(DATA_VOLUME, "one", namespace, dry_run=False)

    remover = threading.Thread(target=delete, daemon=True)
    remover.start()
    options = {"kubeconfig": os.environ["KUBECONFIG"], "namespace": namespace, "wait_timeout": 20}
    told = run_module("data_volume", {**options, "name": "one", **BLANK}).result
    remover.join()
    assert told["failed"] and told["diagnosis"]["cause"] == "deleted", told
