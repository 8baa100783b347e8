# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch space: how many requests its facts take, and warnings before a worker waits for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI_CONFIG, STORAGE_PROFILE

from tests.api.objects import body, patch_status
from tests.modules import RunModule
from tests.wire import Wire

HTTP = {"http": {"url": "http://images.example.com/disk.qcow2"}}


@pytest.fixture
def configured(wire: Wire, connection: Connection) -> Iterator[None]:
    """A CDIConfig with a misspelt class, and a class with block volumes only."""
    spec, status = {"scratchSpaceStorageClass": "typo"}, {"filesystemOverhead": {"global": "0.06"}}
    sets = [{"volumeMode": "Block", "accessModes": ["ReadWriteOnce"]}]
    connection.create(CDI_CONFIG, body(CDI_CONFIG, "config", spec=spec, status=status), dry_run=False)
    connection.create(STORAGE_PROFILE, body(STORAGE_PROFILE, "block-only", spec={}), dry_run=False)
    patch_status(connection, STORAGE_PROFILE, "block-only", None, {"claimPropertySets": sets})
    wire.requests.clear()
    yield
    connection.delete(CDI_CONFIG, "config", dry_run=False)
    connection.delete(STORAGE_PROFILE, "block-only", dry_run=False)


def _volumes(count: int) -> list[dict[str, Any]]:
    return [
        {"name": f"disk-{number}", "source": HTTP, "storage": {"size": "1Gi", "storage_class_name": "block-only"}}
        for number in range(count)
    ]


def _read(wire: Wire) -> list[str]:
    return [path.partition("?")[0].rpartition("/")[2] for method, path in wire.requests if method == "GET"]


def test_unavailable_scratch_space_gives_one_warning(
    wire: Wire, module: RunModule, namespace: str, configured: None
) -> None:
    ran = module("data_volume", namespace=namespace, data_volumes=_volumes(5), wait=False)
    warnings = [text for text in ran.warnings if "scratch" in text]
    assert len(warnings) == 2 and all(f"DataVolume {namespace}/disk-0 needs scratch space" in text for text in warnings)
    assert "scratchSpaceStorageClass typo" in warnings[0] and "uses block-only" in warnings[0]
    assert "StorageClass block-only does not support" in warnings[1]
    assert sorted(_read(wire)) == [
        "cdis",
        "config",
        "datavolumes",
        "persistentvolumeclaims",
        "storageclasses",
        "storageprofiles",
    ]
    again = module("data_volume", namespace=namespace, data_volumes=_volumes(5), wait=False)
    assert not again.result["changed"] and again.warnings == []


def test_check_mode_predicts_the_scratch_claim(wire: Wire, module: RunModule, namespace: str, configured: None) -> None:
    result = module("data_volume", check=True, namespace=namespace, data_volumes=_volumes(1)).result
    scratch = result["data_volumes"][0]["scratch"]
    assert (scratch["needed"], scratch["storage_class_name"], scratch["size"]) == (True, "block-only", "1086Mi")
    assert len(scratch["problems"]) == 2 and wire.writes() == []


# Read for the diagnosis of volumes that have not succeeded.
_DIAGNOSIS = ["events", "pods", "deployments"]


def test_info_takes_nine_requests_for_any_number_of_volumes(
    wire: Wire, module: RunModule, namespace: str, configured: None
) -> None:
    module("data_volume", namespace=namespace, data_volumes=_volumes(5), wait=False)
    wire.requests.clear()
    found = module("data_volume_info", namespace=namespace).result["data_volumes"]
    read = ["datavolumes", "persistentvolumeclaims", "events", "config", "cdis", "storageprofiles"]
    assert _read(wire) == [*read, *_DIAGNOSIS]
    assert {item["scratch"]["storage_class_name"] for item in found} == {"block-only"}
    assert [item["scratch"]["observed"] for item in found] == [None] * 5


def test_rule_is_reported_without_the_configuration_of_cdi(wire: Wire, module: RunModule, namespace: str) -> None:
    module("data_volume", namespace=namespace, data_volumes=_volumes(1), wait=False)
    wire.requests.clear()
    (found,) = module("data_volume_info", namespace=namespace).result["data_volumes"]
    assert found["scratch"]["needed"] is True and found["scratch"]["storage_class_name"] is None
    assert _read(wire) == ["datavolumes", "persistentvolumeclaims", "events", "config", *_DIAGNOSIS]
