# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module storage_profile: what it writes, what it refuses, and how many requests it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import STORAGE_CLASS, STORAGE_PROFILE
from kubernetes import client

from tests.api.objects import body, fetch, patch_status
from tests.modules import RunModule
from tests.wire import Wire

SETS = [{"access_modes": ["ReadWriteOnce"], "volume_mode": "Filesystem"}]
STATUS = {"claimPropertySets": [{"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}]}


@pytest.fixture
def profile(wire: Wire, connection: Connection, namespace: str) -> Iterator[str]:
    """A storage class of the test's own, with an empty profile as CDI creates it."""
    _create(connection, namespace)
    wire.requests.clear()
    yield namespace
    for resource in (STORAGE_CLASS, STORAGE_PROFILE):
        connection.delete(resource, namespace, dry_run=False)


def _create(connection: Connection, name: str) -> None:
    for resource, fields in ((STORAGE_CLASS, {"provisioner": "none.example.com"}), (STORAGE_PROFILE, {"spec": {}})):
        connection.create(resource, body(resource, name, **fields), dry_run=False)


def _take_effect(connection: Connection, name: str, status: dict[str, Any]) -> None:
    """Write the status, as CDI does."""
    patch_status(connection, STORAGE_PROFILE, name, None, status)


def test_profile_in_effect_takes_one_get(wire: Wire, connection: Connection, module: RunModule, profile: str) -> None:
    requested: dict[str, Any] = {"name": profile, "claim_property_sets": SETS}
    predicted = module("storage_profile", check=True, **requested).result
    assert wire.writes() == []
    _take_effect(connection, profile, STATUS)
    real = module("storage_profile", **requested).result
    assert real["changed"] and (predicted["changed"], predicted["diff"]) == (real["changed"], real["diff"])
    wire.requests.clear()
    assert not module("storage_profile", **requested).result["changed"]
    assert [method for method, _path in wire.requests] == ["GET"]


def test_field_that_is_no_longer_requested_is_removed(connection: Connection, module: RunModule, profile: str) -> None:
    module("storage_profile", name=profile, claim_property_sets=SETS, clone_strategy="copy", wait=False)
    module("storage_profile", name=profile, claim_property_sets=SETS, wait=False)
    assert fetch(connection, STORAGE_PROFILE, profile)["spec"] == STATUS


def test_profile_that_does_not_take_effect_is_reported(module: RunModule, profile: str) -> None:
    result = module("storage_profile", name=profile, clone_strategy="copy", wait_timeout=6).result
    assert result["failed"] and "did not take effect within 6 s: cloneStrategy not in effect" in result["msg"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"claim_property_sets": SETS * 9}, "claim_property_sets has 9 sets; give at most 8."),
        ({"claim_property_sets": [{"access_modes": [], "volume_mode": "Block"}]}, "a set without access_modes"),
    ],
)
def test_invalid_option_is_refused_before_a_request(
    wire: Wire, module: RunModule, options: dict[str, Any], expected: str
) -> None:
    result = module("storage_profile", name="any", **options).result
    assert result["failed"] and expected in result["msg"] and wire.requests == []


def test_missing_class_is_refused_before_a_write(wire: Wire, module: RunModule, profile: str) -> None:
    result = module("storage_profile", name="no-such-class", clone_strategy="copy").result
    assert result["failed"] and "There is no StorageClass no-such-class" in result["msg"]
    assert re.search(f"use one of: .*{profile}", result["msg"])
    result = module("storage_profile", name=profile, snapshot_class="no-such-class").result
    assert result["failed"] and "snapshot_class is no-such-class, and there is no VolumeSnapshotClass" in result["msg"]
    assert wire.writes() == []


@pytest.fixture
def profiles(wire: Wire, connection: Connection, namespace: str) -> Iterator[list[str]]:
    """Three storage classes with empty profiles."""
    names = [f"{namespace}-{number}" for number in range(3)]
    for name in names:
        _create(connection, name)
    wire.requests.clear()
    yield names
    for name in names:
        for resource in (STORAGE_CLASS, STORAGE_PROFILE):
            connection.delete(resource, name, dry_run=False)


def test_list_of_profiles_in_effect_takes_one_list(
    wire: Wire, connection: Connection, module: RunModule, profiles: list[str]
) -> None:
    requested: dict[str, Any] = {"storage_profiles": [{"name": name, "claim_property_sets": SETS} for name in profiles]}
    predicted = module("storage_profile", check=True, **requested).result
    assert wire.writes() == [] and predicted["changed"]
    for name in profiles:
        _take_effect(connection, name, STATUS)
    wire.requests.clear()
    real = module("storage_profile", **requested).result
    assert [method for method, _path in wire.requests] == ["GET", *["PATCH"] * 3]
    assert [item["name"] for item in real["storage_profiles"]] == profiles
    assert all(item["changed"] and item["storage_profile"]["spec"] == STATUS for item in real["storage_profiles"])
    assert predicted["diff"] == real["diff"] and len(real["diff"]) == 3
    wire.requests.clear()
    again = module("storage_profile", **requested).result
    assert not again["changed"] and again["diff"] == [] and len(wire.requests) == 1
    assert not any(item["changed"] for item in again["storage_profiles"])


def test_error_of_one_profile_does_not_stop_the_others(
    connection: Connection, module: RunModule, profiles: list[str]
) -> None:
    items = [{"name": name, "clone_strategy": "copy"} for name in [profiles[0], "no-such-class", profiles[1]]]
    items.append({"name": profiles[2], "snapshot_class": "no-such-class"})
    result = module("storage_profile", storage_profiles=items, wait=False).result
    assert result["failed"] and result["changed"]
    assert (
        "There is no StorageClass no-such-class" in result["msg"] and "snapshot_class is no-such-class" in result["msg"]
    )
    assert [item["changed"] for item in result["storage_profiles"]] == [True, False, True, False]
    assert ["error" in item for item in result["storage_profiles"]] == [False, True, False, True]
    assert fetch(connection, STORAGE_PROFILE, profiles[1])["spec"] == {"cloneStrategy": "copy"}


def test_profiles_that_do_not_take_effect_share_one_wait(module: RunModule, profiles: list[str]) -> None:
    items = [{"name": name, "clone_strategy": "copy"} for name in profiles]
    result = module("storage_profile", storage_profiles=items, wait_timeout=6).result
    assert result["failed"] and result["changed"] and result["msg"].count("did not take effect within 6 s") == 3


WHOLE = {"claim_property_sets": SETS, "clone_strategy": "copy", "data_import_cron_source_format": "pvc"}
EMPTY = {"claim_property_sets": [], "clone_strategy": "", "data_import_cron_source_format": "", "snapshot_class": ""}


@pytest.mark.parametrize("as_list", [False, True])
def test_empty_value_removes_a_field(
    wire: Wire, connection: Connection, module: RunModule, profile: str, as_list: bool
) -> None:
    def run(options: dict[str, Any], **more: Any) -> dict[str, Any]:
        requested = {"name": profile, **options}
        return module("storage_profile", **({"storage_profiles": [requested]} if as_list else requested), **more).result

    run(WHOLE, wait=False)
    predicted = run(EMPTY, check=True)
    real = run(EMPTY)
    assert real["changed"] and predicted["changed"] and predicted["diff"] == real["diff"]
    assert fetch(connection, STORAGE_PROFILE, profile)["spec"] == {}
    wire.requests.clear()
    again = run(EMPTY)
    assert not again["changed"] and len(wire.requests) == 1


def test_field_of_another_manager_is_removed_only_with_force_conflicts(
    wire: Wire, connection: Connection, module: RunModule, profile: str, api_client: client.ApiClient
) -> None:
    kind = (STORAGE_PROFILE.group, STORAGE_PROFILE.version, STORAGE_PROFILE.plural, profile)
    spec = {"spec": {"cloneStrategy": "csi-clone"}}
    client.CustomObjectsApi(api_client).patch_cluster_custom_object(*kind, spec, field_manager="kubectl-edit")
    wire.requests.clear()
    result = module("storage_profile", name=profile, claim_property_sets=SETS, clone_strategy="").result
    assert (
        result["failed"]
        and "clone_strategy from kubectl-edit" in result["msg"]
        and "force_conflicts=true" in result["msg"]
    )
    assert wire.writes() == []
    forced: dict[str, Any] = {
        "name": profile,
        "claim_property_sets": SETS,
        "clone_strategy": "",
        "force_conflicts": True,
        "wait": False,
    }
    predicted = module("storage_profile", check=True, **forced).result
    real = module("storage_profile", **forced).result
    assert predicted["changed"] and real["changed"] and predicted["diff"] == real["diff"]
    assert fetch(connection, STORAGE_PROFILE, profile)["spec"] == STATUS
    assert not module("storage_profile", **forced).result["changed"]


def test_invalid_value_of_an_item_is_refused_with_its_choices(wire: Wire, module: RunModule) -> None:
    result = module("storage_profile", storage_profiles=[{"name": "any", "clone_strategy": "fast"}]).result
    assert result["failed"] and "copy, snapshot, csi-clone" in result["msg"] and wire.requests == []
