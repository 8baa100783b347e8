# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module storage_profile on the wire."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import STORAGE_CLASS, STORAGE_PROFILE
from tests.modules import official_client, run_module

SETS = [{"access_modes": ["ReadWriteOnce"], "volume_mode": "Filesystem"}]
STATUS = {"claimPropertySets": [{"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}]}


@pytest.fixture
def profile(wire, connection, namespace) -> Iterator[str]:
    """A class of the test's own with its empty profile, as CDI makes it."""
    made = {
        STORAGE_CLASS: {"provisioner": "none.example.com"},
        STORAGE_PROFILE: {"spec": {}},
    }
    for resource, fields in made.items():
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": namespace}, **fields}
        connection.create(resource, body, dry_run=False)
    wire.requests.clear()
    yield namespace
    for resource in made:
        connection.delete(resource, namespace, dry_run=False)


def _in_effect(connection, name: str, status: dict[str, Any]) -> None:
    """What CDI does."""
    kind = (STORAGE_PROFILE.group, STORAGE_PROFILE.version, STORAGE_PROFILE.plural, name)
    client.CustomObjectsApi(official_client()).patch_cluster_custom_object_status(*kind, {"status": status})


def test_a_profile_that_is_in_effect_costs_one_get(wire, connection, module, profile) -> None:
    asked = {"name": profile, "claim_property_sets": SETS}
    predicted = module("storage_profile", check=True, **asked).result
    assert wire.writes() == []
    _in_effect(connection, profile, STATUS)
    real = module("storage_profile", **asked).result
    assert real["changed"] and (predicted["changed"], predicted["diff"]) == (real["changed"], real["diff"])
    wire.requests.clear()
    assert not module("storage_profile", **asked).result["changed"]
    assert [method for method, _path in wire.requests] == ["GET"]


def test_what_is_no_longer_asked_for_goes(connection, module, profile) -> None:
    module("storage_profile", name=profile, claim_property_sets=SETS, clone_strategy="copy", wait=False)
    module("storage_profile", name=profile, claim_property_sets=SETS, wait=False)
    assert connection.get(STORAGE_PROFILE, profile)["spec"] == STATUS


def test_what_does_not_take_effect_is_told(profile) -> None:
    # Not through the counting proxy, which would hold a watch's answer back.
    direct = {"kubeconfig": os.environ["KUBECONFIG"]}
    told = run_module("storage_profile", {**direct, "name": profile, "clone_strategy": "copy", "wait_timeout": 1}).result
    assert told["failed"] and "did not take effect within 1 s: cloneStrategy not in effect" in told["msg"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"claim_property_sets": SETS * 9}, "claim_property_sets has 9 sets; give at most 8."),
        ({"claim_property_sets": [{"access_modes": [], "volume_mode": "Block"}]}, "a set without access_modes"),
    ],
)
def test_bad_input_ends_before_any_request(wire, module, options, named) -> None:
    told = module("storage_profile", name="any", **options).result
    assert told["failed"] and named in told["msg"] and wire.requests == []


def test_classes_that_do_not_exist_are_refused_before_anything_is_written(wire, module, profile) -> None:
    told = module("storage_profile", name="no-such-class", clone_strategy="copy").result
    assert told["failed"] and "There is no StorageClass no-such-class" in told["msg"]
    told = module("storage_profile", name=profile, snapshot_class="no-such-class").result
    assert told["failed"] and "snapshot_class is no-such-class, and there is no VolumeSnapshotClass" in told["msg"]
    assert wire.writes() == []
