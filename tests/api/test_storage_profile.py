# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module storage_profile on the wire."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import client as _connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import STORAGE_CLASS, STORAGE_PROFILE
from kubernetes import client

from tests.api.conftest import fetch
from tests.modules import RunModule, official_client, run_module
from tests.wire import Wire

SETS = [{"access_modes": ["ReadWriteOnce"], "volume_mode": "Filesystem"}]
STATUS = {"claimPropertySets": [{"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}]}


@pytest.fixture
def profile(wire: Wire, connection: Connection, namespace: str) -> Iterator[str]:
    """A class of the test's own with its empty profile, as CDI makes it."""
    _make(connection, namespace)
    wire.requests.clear()
    yield namespace
    for resource in (STORAGE_CLASS, STORAGE_PROFILE):
        connection.delete(resource, namespace, dry_run=False)


def _make(connection: Connection, name: str) -> None:
    for resource, fields in ((STORAGE_CLASS, {"provisioner": "none.example.com"}), (STORAGE_PROFILE, {"spec": {}})):
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **fields}
        connection.create(resource, body, dry_run=False)


def _in_effect(connection: Connection, name: str, status: dict[str, Any]) -> None:
    """What CDI does."""
    kind = (STORAGE_PROFILE.group, STORAGE_PROFILE.version, STORAGE_PROFILE.plural, name)
    client.CustomObjectsApi(official_client()).patch_cluster_custom_object_status(*kind, {"status": status})


def test_a_profile_that_is_in_effect_costs_one_get(
    wire: Wire, connection: Connection, module: RunModule, profile: str
) -> None:
    asked: dict[str, Any] = {"name": profile, "claim_property_sets": SETS}
    predicted = module("storage_profile", check=True, **asked).result
    assert wire.writes() == []
    _in_effect(connection, profile, STATUS)
    real = module("storage_profile", **asked).result
    assert real["changed"] and (predicted["changed"], predicted["diff"]) == (real["changed"], real["diff"])
    wire.requests.clear()
    assert not module("storage_profile", **asked).result["changed"]
    assert [method for method, _path in wire.requests] == ["GET"]


def test_what_is_no_longer_asked_for_goes(connection: Connection, module: RunModule, profile: str) -> None:
    module("storage_profile", name=profile, claim_property_sets=SETS, clone_strategy="copy", wait=False)
    module("storage_profile", name=profile, claim_property_sets=SETS, wait=False)
    assert fetch(connection, STORAGE_PROFILE, profile)["spec"] == STATUS


def test_what_does_not_take_effect_is_told(profile: str) -> None:
    # Not through the counting proxy, which would hold a watch's answer back.
    direct = {"kubeconfig": os.environ["KUBECONFIG"]}
    told = run_module(
        "storage_profile", {**direct, "name": profile, "clone_strategy": "copy", "wait_timeout": 1}
    ).result
    assert told["failed"] and "did not take effect within 1 s: cloneStrategy not in effect" in told["msg"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"claim_property_sets": SETS * 9}, "claim_property_sets has 9 sets; give at most 8."),
        ({"claim_property_sets": [{"access_modes": [], "volume_mode": "Block"}]}, "a set without access_modes"),
    ],
)
def test_bad_input_ends_before_any_request(wire: Wire, module: RunModule, options: dict[str, Any], named: str) -> None:
    told = module("storage_profile", name="any", **options).result
    assert told["failed"] and named in told["msg"] and wire.requests == []


def test_classes_that_do_not_exist_are_refused_before_anything_is_written(
    wire: Wire, module: RunModule, profile: str
) -> None:
    told = module("storage_profile", name="no-such-class", clone_strategy="copy").result
    assert told["failed"] and "There is no StorageClass no-such-class" in told["msg"]
    assert re.search(f"use one of: .*{profile}", told["msg"])
    told = module("storage_profile", name=profile, snapshot_class="no-such-class").result
    assert told["failed"] and "snapshot_class is no-such-class, and there is no VolumeSnapshotClass" in told["msg"]
    assert wire.writes() == []


@pytest.fixture
def profiles(wire: Wire, connection: Connection, namespace: str) -> Iterator[list[str]]:
    """Three classes with their empty profiles."""
    names = [f"{namespace}-{number}" for number in range(3)]
    for name in names:
        _make(connection, name)
    wire.requests.clear()
    yield names
    for name in names:
        for resource in (STORAGE_CLASS, STORAGE_PROFILE):
            connection.delete(resource, name, dry_run=False)


def test_a_list_that_is_in_effect_costs_one_list(
    wire: Wire, connection: Connection, module: RunModule, profiles: list[str]
) -> None:
    asked: dict[str, Any] = {"storage_profiles": [{"name": name, "claim_property_sets": SETS} for name in profiles]}
    predicted = module("storage_profile", check=True, **asked).result
    assert wire.writes() == [] and predicted["changed"]
    for name in profiles:
        _in_effect(connection, name, STATUS)
    wire.requests.clear()
    real = module("storage_profile", **asked).result
    assert [method for method, _path in wire.requests] == ["GET", *["PATCH"] * 3]
    assert [item["name"] for item in real["storage_profiles"]] == profiles
    assert all(item["changed"] and item["storage_profile"]["spec"] == STATUS for item in real["storage_profiles"])
    assert predicted["diff"] == real["diff"] and len(real["diff"]) == 3
    wire.requests.clear()
    again = module("storage_profile", **asked).result
    assert not again["changed"] and again["diff"] == [] and len(wire.requests) == 1
    assert not any(item["changed"] for item in again["storage_profiles"])


def test_an_error_of_one_profile_hides_no_other(connection: Connection, module: RunModule, profiles: list[str]) -> None:
    items = [{"name": name, "clone_strategy": "copy"} for name in [profiles[0], "no-such-class", profiles[1]]]
    items.append({"name": profiles[2], "snapshot_class": "no-such-class"})
    told = module("storage_profile", storage_profiles=items, wait=False).result
    assert told["failed"] and told["changed"]
    assert "There is no StorageClass no-such-class" in told["msg"] and "snapshot_class is no-such-class" in told["msg"]
    assert [item["changed"] for item in told["storage_profiles"]] == [True, False, True, False]
    assert ["error" in item for item in told["storage_profiles"]] == [False, True, False, True]
    assert fetch(connection, STORAGE_PROFILE, profiles[1])["spec"] == {"cloneStrategy": "copy"}


def test_several_profiles_that_do_not_take_effect_are_waited_for_together(profiles: list[str]) -> None:
    direct = {"kubeconfig": os.environ["KUBECONFIG"]}
    items = [{"name": name, "clone_strategy": "copy"} for name in profiles]
    told = run_module("storage_profile", {**direct, "storage_profiles": items, "wait_timeout": 1}).result
    assert told["failed"] and told["changed"] and told["msg"].count("did not take effect within 1 s") == 3


WHOLE = {"claim_property_sets": SETS, "clone_strategy": "copy", "data_import_cron_source_format": "pvc"}
EMPTY = {"claim_property_sets": [], "clone_strategy": "", "data_import_cron_source_format": "", "snapshot_class": ""}


@pytest.mark.parametrize("as_list", [False, True])
def test_a_field_is_emptied_by_an_empty_value(
    wire: Wire, connection: Connection, module: RunModule, profile: str, as_list: bool
) -> None:
    def run(options: dict[str, Any], **more: Any) -> dict[str, Any]:
        asked = {"name": profile, **options}
        return module("storage_profile", **({"storage_profiles": [asked]} if as_list else asked), **more).result

    run(WHOLE, wait=False)
    predicted = run(EMPTY, check=True)
    real = run(EMPTY)
    assert real["changed"] and predicted["changed"] and predicted["diff"] == real["diff"]
    assert fetch(connection, STORAGE_PROFILE, profile)["spec"] == {}
    wire.requests.clear()
    again = run(EMPTY)
    assert not again["changed"] and len(wire.requests) == 1


def test_what_another_manager_has_set_is_emptied_only_when_that_is_said(
    wire: Wire, connection: Connection, module: RunModule, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(_connection, "FIELD_MANAGER", "kubectl-edit")
        connection.merge(STORAGE_PROFILE, profile, None, {"spec": {"cloneStrategy": "csi-clone"}}, dry_run=False)
    wire.requests.clear()
    told = module("storage_profile", name=profile, claim_property_sets=SETS, clone_strategy="").result
    assert (
        told["failed"] and "clone_strategy from kubectl-edit" in told["msg"] and "force_conflicts=true" in told["msg"]
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


def test_bad_values_of_an_item_are_refused_with_their_choices(wire: Wire, module: RunModule) -> None:
    told = module("storage_profile", storage_profiles=[{"name": "any", "clone_strategy": "fast"}]).result
    assert told["failed"] and "copy, snapshot, csi-clone" in told["msg"] and wire.requests == []
