# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scratch facts cost on the wire, and what is warned of before a worker waits for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI_CONFIG, STORAGE_PROFILE
from kubernetes import client

from tests.modules import RunModule, official_client
from tests.wire import Wire

HTTP = {"http": {"url": "http://images.example.com/disk.qcow2"}}


@pytest.fixture
def configured(wire: Wire, connection: Connection) -> Iterator[None]:
    """A CDIConfig as CDI leaves it after a misspelt class, and a class that can only do Block."""
    config = {
        "apiVersion": CDI_CONFIG.api_version,
        "kind": CDI_CONFIG.kind,
        "metadata": {"name": "config"},
        "spec": {"scratchSpaceStorageClass": "typo"},
        "status": {"filesystemOverhead": {"global": "0.06"}},
    }
    profile = {
        "apiVersion": STORAGE_PROFILE.api_version,
        "kind": STORAGE_PROFILE.kind,
        "metadata": {"name": "block-only"},
        "spec": {},
    }
    sets = [{"volumeMode": "Block", "accessModes": ["ReadWriteOnce"]}]
    connection.create(CDI_CONFIG, config, dry_run=False)
    connection.create(STORAGE_PROFILE, profile, dry_run=False)
    objects = client.CustomObjectsApi(official_client())
    kind = (STORAGE_PROFILE.group, STORAGE_PROFILE.version, STORAGE_PROFILE.plural, "block-only")
    objects.patch_cluster_custom_object_status(*kind, {"status": {"claimPropertySets": sets}})
    wire.requests.clear()
    yield
    connection.delete(CDI_CONFIG, "config", dry_run=False)
    connection.delete(STORAGE_PROFILE, "block-only", dry_run=False)


def _volumes(count: int) -> list[dict]:
    return [
        {"name": f"disk-{number}", "source": HTTP, "storage": {"size": "1Gi", "storage_class_name": "block-only"}}
        for number in range(count)
    ]


def _asked(wire: Wire) -> list[str]:
    return [path.partition("?")[0].rpartition("/")[2] for method, path in wire.requests if method == "GET"]


def test_what_will_keep_a_volume_from_its_scratch_space_is_warned_of_once(
    wire: Wire, module: RunModule, namespace: str, configured: None
) -> None:
    ran = module("data_volume", namespace=namespace, data_volumes=_volumes(5), wait=False)
    warnings = [text for text in ran.warnings if "scratch" in text]
    assert len(warnings) == 2 and all(f"DataVolume {namespace}/disk-0 needs scratch space" in text for text in warnings)
    assert "scratchSpaceStorageClass typo" in warnings[0] and "uses block-only" in warnings[0]
    assert "StorageClass block-only cannot do" in warnings[1]
    assert sorted(_asked(wire)) == [
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


# What info reads to say what is wrong with volumes that have not succeeded.
_WRONG = ["events", "pods", "deployments"]


def test_info_predicts_for_any_number_of_volumes_by_nine_requests(
    wire: Wire, module: RunModule, namespace: str, configured: None
) -> None:
    module("data_volume", namespace=namespace, data_volumes=_volumes(5), wait=False)
    wire.requests.clear()
    told = module("data_volume_info", namespace=namespace).result["data_volumes"]
    asked = ["datavolumes", "persistentvolumeclaims", "events", "config", "cdis", "storageprofiles"]
    assert _asked(wire) == [*asked, *_WRONG]
    assert {item["scratch"]["storage_class_name"] for item in told} == {"block-only"}
    assert [item["scratch"]["observed"] for item in told] == [None] * 5


def test_without_cdis_configuration_the_rule_is_told(wire: Wire, module: RunModule, namespace: str) -> None:
    module("data_volume", namespace=namespace, data_volumes=_volumes(1), wait=False)
    wire.requests.clear()
    (told,) = module("data_volume_info", namespace=namespace).result["data_volumes"]
    assert told["scratch"]["needed"] is True and told["scratch"]["storage_class_name"] is None
    assert _asked(wire) == ["datavolumes", "persistentvolumeclaims", "events", "config", *_WRONG]
