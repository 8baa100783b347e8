# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of existing DataVolumes, and their prediction in check mode."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS,
)
from kubernetes import client

from tests.api.objects import ADMIN, SetStatus, body, fetch, patch_status
from tests.benchmarks.measure import cost_of
from tests.modules import RunModule, official_client
from tests.wire import Wire

HTTP = {"http": {"url": "http://images.example.com/disk.raw"}}

# Before the task: options of the volume (None: it does not exist), and changes by CDI or other clients since.
STATES: dict[str, tuple[dict[str, Any] | None, dict[str, Any]]] = {
    "missing": (None, {}),
    "plain": ({}, {}),
    "unfilled": ({"labels": {"filled": "no"}}, {}),
    "labelled": ({"labels": {"tier": "gold", "old": "1"}, "annotations": {"a": "b"}}, {}),
    "touched": (
        {"storage": {"size": "1024Mi"}},
        {
            "metadata": {
                "annotations": {
                    "cdi.kubevirt.io/storage.usePopulator": "true",
                    "cdi.kubevirt.io/storage.clone.token": "x",
                },
                "labels": {"instancetype.kubevirt.io/default-instancetype": "u1"},
            },
            "spec": {"storage": {"resources": {"requests": {"storage": "1Gi"}}}},
        },
    ),
    "preallocated": ({"preallocation": True, "content_type": "kubevirt"}, {}),
    "imported": ({"source": HTTP, "priority_class_name": "system-cluster-critical"}, {}),
    "by-pvc": ({"storage": None, "pvc": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]}}, {}),
    "taken-over": ({"labels": {"tier": "gold"}}, {"metadata": {"labels": {"tier": "silver"}}}),
    "filled": ({"labels": {"filled": "yes"}}, {}),
}
# Options of the task.
INPUTS: dict[str, dict[str, Any]] = {
    "same": {},
    "spelt": {"storage": {"size": "1048576Ki"}},
    "labels": {"labels": {"tier": "gold"}},
    "texts": {"annotations": {"a": True, "b": 1}},
    "immediate": {"binding": "immediate"},
    "smaller": {"storage": {"size": "512Mi"}},
    "larger": {"storage": {"size": "2Gi"}},
    "larger-recreated": {"storage": {"size": "2Gi"}, "on_drift": "recreate"},
    "recreated": {"storage": {"size": "512Mi"}, "on_drift": "recreate"},
    "http": {"source": HTTP},
    "preallocated": {"preallocation": True},
    "by-pvc-recreated": {
        "storage": None,
        "pvc": {"size": "1Gi", "access_modes": ["ReadWriteOnce"]},
        "on_drift": "recreate",
    },
    "adopting": {"adopt_claim": True},
    "absent": {"state": "absent"},
    "absent-kept": {"state": "absent", "keep_claim": True},
}
PAIRS = list(itertools.product(STATES, INPUTS))


def _volume(name: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "source": {"blank": {}}, "storage": {"size": "1Gi"}, **options}


@pytest.fixture
def growing_class(connection: Connection, namespace: str) -> Iterator[str]:
    """A storage class of the test's own that allows expansion."""
    fields = {"provisioner": "none.example.com", "allowVolumeExpansion": True}
    connection.create(STORAGE_CLASS, body(STORAGE_CLASS, namespace, **fields), dry_run=False)
    yield namespace
    connection.delete(STORAGE_CLASS, namespace, dry_run=False)


def _fill(connection: Connection, namespace: str, name: str, storage_class: str) -> None:
    """Give a volume the claim and the phase that CDI gives it: bound, 1Gi, Succeeded."""
    kind, storage = PERSISTENT_VOLUME_CLAIM, {"storage": "1Gi"}
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": storage},
        "storageClassName": storage_class,
        "volumeName": f"pv-{namespace}-{name}",
    }
    connection.create(kind, body(kind, name, spec=spec), namespace, dry_run=False)
    patch_status(connection, kind, name, namespace, {"phase": "Bound", "capacity": storage})
    patch_status(connection, DATA_VOLUME, name, namespace, {"phase": "Succeeded"})


def _resize(connection: Connection, namespace: str, name: str) -> None:
    """Set the capacity to the requested size, as the resizer does."""
    claim = fetch(connection, PERSISTENT_VOLUME_CLAIM, name, namespace)
    capacity = claim["spec"]["resources"]["requests"]
    patch_status(connection, PERSISTENT_VOLUME_CLAIM, name, namespace, {"capacity": capacity})


def test_check_mode_predicts_changed_and_diff_without_writing(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, growing_class: str, set_status: SetStatus
) -> None:
    assert len(PAIRS) >= 100
    names = {pair: "-".join(pair) for pair in PAIRS}
    before = [
        _volume(name, STATES[state][0] or {})
        for (state, _change), name in names.items()
        if STATES[state][0] is not None
    ]
    assert module("data_volume", namespace=namespace, data_volumes=before, wait=False).result["changed"]
    for (state, change), name in names.items():
        if STATES[state][1]:
            connection.merge(DATA_VOLUME, name, namespace, STATES[state][1], dry_run=False)
        # No controller deletes the claim of a recreated volume here.
        if state == "filled" and change not in ("recreated", "by-pvc-recreated"):
            _fill(connection, namespace, name, growing_class)
        elif state not in ("missing", "unfilled"):
            set_status(namespace, name)
    volumes = [_volume(name, INPUTS[option]) for (_state, option), name in names.items()]
    options: dict[str, Any] = {"namespace": namespace, "data_volumes": volumes, "wait": False, "wait_timeout": 20}
    stored = {
        item["metadata"]["name"]: item["metadata"]["resourceVersion"]
        for item in connection.list(DATA_VOLUME, namespace)[0]
    }
    wire.requests.clear()
    predicted = module("data_volume", check=True, **options).result
    assert wire.writes() == []
    unchanged = {
        item["metadata"]["name"]: item["metadata"]["resourceVersion"]
        for item in connection.list(DATA_VOLUME, namespace)[0]
    }
    assert unchanged == stored

    real = module("data_volume", **options).result
    for one, other in zip(predicted["data_volumes"], real["data_volumes"], strict=True):
        facts = ("name", "changed", "drift", "reason", "error")
        assert [one.get(fact) for fact in facts] == [other.get(fact) for fact in facts]
    assert predicted["diff"] == real["diff"] and predicted["msg"] == real["msg"]
    drifts = {item["drift"] for item in real["data_volumes"]}
    assert drifts >= {"none", "missing", "metadata", "growable", "recreate", "unfilled"}

    again = module("data_volume", **options).result
    assert [item["name"] for item in again["data_volumes"] if item["changed"]] == []


def test_growth_changes_the_claim_and_takes_one_more_request(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, growing_class: str
) -> None:
    small, large = _volume("disk", {"wait": False}), _volume("disk", {"storage": {"size": "2Gi"}, "wait": False})
    module("data_volume", namespace=namespace, **small)
    _fill(connection, namespace, "disk", growing_class)
    wire.answers = _served_by("v1.65.0")
    wire.requests.clear()
    grown = module("data_volume", namespace=namespace, **large).result
    assert grown["drift"] == "growable" and grown["diff"]["after"]["claim"]["spec"] == {
        "resources": {"requests": {"storage": "2Gi"}}
    }
    assert [path.partition("?")[0].rpartition("/")[0].rpartition("/")[2] for _method, path in wire.writes()] == [
        "persistentvolumeclaims"
    ]
    assert (
        fetch(connection, DATA_VOLUME, "disk", namespace)["spec"]["storage"]["resources"]["requests"]["storage"]
        == "1Gi"
    )
    _resize(connection, namespace, "disk")
    wire.requests.clear()
    assert not module("data_volume", namespace=namespace, **{**large, "wait": True}).result["changed"]
    assert [path.rpartition("/")[0].rpartition("/")[2] for _method, path in wire.requests] == [
        "datavolumes",
        "persistentvolumeclaims",
    ]
    wire.requests.clear()
    labelled = module("data_volume", namespace=namespace, labels={"a": "b"}, **large).result
    assert labelled["drift"] == "metadata" and len(wire.writes()) == 1


def test_grown_volumes_take_two_lists(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, growing_class: str
) -> None:
    volumes = [_volume(f"disk-{number}", {}) for number in range(3)]
    module("data_volume", namespace=namespace, data_volumes=volumes, wait=False)
    for volume in volumes:
        _fill(connection, namespace, volume["name"], growing_class)
    larger = [_volume(volume["name"], {"storage": {"size": "2Gi"}}) for volume in volumes]
    assert module("data_volume", namespace=namespace, data_volumes=larger, wait=False).result["changed"]
    wire.requests.clear()
    assert not module("data_volume", namespace=namespace, data_volumes=larger, wait=False).result["changed"]
    assert len(wire.requests) == 2


def test_class_without_expansion_is_reported_and_allows_recreation(
    connection: Connection, module: RunModule, namespace: str
) -> None:
    module("data_volume", namespace=namespace, **_volume("disk", {"wait": False}))
    _fill(connection, namespace, "disk", "no-such-class")
    larger = _volume("disk", {"storage": {"size": "2Gi"}, "wait": False})
    result = module("data_volume", namespace=namespace, **larger).result
    assert result["failed"] and "its storage class 'no-such-class' does not allow it" in result["msg"]
    recreated = module("data_volume", check=True, namespace=namespace, on_drift="recreate", **larger).result
    assert recreated["drift"] == "recreate"


def test_growth_that_does_not_end_is_reported_with_its_cause(
    connection: Connection, module: RunModule, namespace: str, growing_class: str
) -> None:
    module("data_volume", namespace=namespace, **_volume("disk", {"wait": False}))
    _fill(connection, namespace, "disk", growing_class)
    condition = {"type": "ControllerResizeError", "status": "True", "message": "the pool is full"}
    patch_status(connection, PERSISTENT_VOLUME_CLAIM, "disk", namespace, {"conditions": [condition]})
    larger = _volume("disk", {"storage": {"size": "2Gi"}, "wait_timeout": 6})
    result = module("data_volume", namespace=namespace, **larger).result
    assert result["failed"] and result["changed"]
    assert result["msg"] == (
        f"Growth of DataVolume {namespace}/disk to 2Gi has not ended after 6 s: "
        "its claim has 1Gi and requests 2Gi, with the overhead of the file system, "
        "ControllerResizeError: the pool is full."
    )


def test_existing_claim_is_refused_before_a_write(
    wire: Wire, connection: Connection, module: RunModule, namespace: str
) -> None:
    module("data_volume", namespace=namespace, **_volume("other", {"wait": False}))
    claim = {
        "metadata": {"name": "disk"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    connection.create(PERSISTENT_VOLUME_CLAIM, claim, namespace, dry_run=False)
    wire.requests.clear()
    for check in (True, False):
        result = module("data_volume", check=check, namespace=namespace, **_volume("disk", {"wait": False})).result
        assert result["failed"] and "set adopt_claim=true to adopt it with its data" in result["msg"]
    assert wire.writes() == []
    taken = module("data_volume", namespace=namespace, adopt_claim=True, **_volume("disk", {"wait": False})).result
    assert taken["drift"] == "adoptable"
    assert taken["data_volume"]["metadata"]["annotations"] == {"cdi.kubevirt.io/allowClaimAdoption": "true"}


def test_values_that_cdi_has_chosen_are_no_drift(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, growing_class: str
) -> None:
    made = module("data_volume", namespace=namespace, **_volume("disk", {"wait": False})).result["data_volume"]
    _fill(connection, namespace, "disk", growing_class)
    wire.requests.clear()
    chosen = {"size": "1Gi", "storage_class_name": growing_class, "volume_mode": "Filesystem"}
    written = _volume("disk", {"storage": chosen, "on_drift": "recreate"})
    result = module("data_volume", namespace=namespace, **written).result
    assert (result.get("failed"), result["changed"], result["drift"]) == (None, False, "none")
    assert wire.writes() == [] and len(wire.requests) == 2
    labelled = module("data_volume", namespace=namespace, labels={"a": "b"}, **written).result
    assert (labelled["changed"], labelled["drift"]) == (True, "metadata"), labelled["msg"]
    assert labelled["data_volume"]["metadata"]["uid"] == made["metadata"]["uid"]


def test_field_that_cdi_rewrites_is_no_conflict(connection: Connection, module: RunModule, namespace: str) -> None:
    volume = _volume("disk", {"storage": {"size": "1024Mi"}, "wait": False})
    module("data_volume", namespace=namespace, **volume)
    other = client.CustomObjectsApi(official_client())
    other.patch_namespaced_custom_object(
        *(DATA_VOLUME.group, DATA_VOLUME.version, namespace, DATA_VOLUME.plural, "disk"),
        {"spec": {"storage": {"resources": {"requests": {"storage": "1Gi"}}}}},
        field_manager="cdi-controller",
    )
    labelled = module("data_volume", namespace=namespace, labels={"a": "b"}, **volume).result
    assert labelled["changed"] and not labelled.get("failed"), labelled["msg"]


def test_label_that_looks_like_a_number_is_a_string(module: RunModule, namespace: str) -> None:
    module("data_volume", namespace=namespace, labels={"version": "1.10"}, **_volume("disk", {"wait": False}))
    other = module("data_volume", namespace=namespace, labels={"version": "1.1"}, **_volume("disk", {"wait": False}))
    assert other.result["changed"]


def _served_by(version: str) -> dict[str, bytes]:
    served = {"metadata": {"name": "cdi"}, "status": {"observedVersion": version}}
    listed = {"apiVersion": CDI.api_version, "kind": "CDIList", "metadata": {"resourceVersion": "1"}, "items": [served]}
    return {CDI.path(): json.dumps(listed).encode()}


def test_option_of_a_newer_release_is_refused_with_one_request(wire: Wire, module: RunModule, namespace: str) -> None:
    checked = {"source": {"http": {**HTTP["http"], "checksum": f"sha256:{'0' * 64}"}}, "wait": False}
    wire.answers = _served_by("v1.64.0")
    result = module("data_volume", namespace=namespace, **_volume("disk", checked)).result
    assert result["failed"] and wire.writes() == []
    assert "source.http.checksum requires CDI 1.65.0, and CDI v1.64.0 is installed" in result["msg"]
    wire.answers = _served_by("v1.65.0")
    assert module("data_volume", namespace=namespace, **_volume("disk", checked)).result["changed"]
    wire.requests.clear()
    assert not module("data_volume", namespace=namespace, **_volume("disk", checked)).result["changed"]
    assert [path.rpartition("/")[2] for _method, path in wire.requests] == ["disk"]
    module("data_volume", namespace=namespace, **_volume("other", checked))
    assert len([path for _method, path in wire.requests if path.startswith(CDI.path())]) == 1


def test_error_of_many_failures_is_short(module: RunModule, namespace: str, set_status: SetStatus) -> None:
    volumes = [_volume(f"disk-{number}", {}) for number in range(20)]
    module("data_volume", namespace=namespace, data_volumes=volumes, wait=False)
    for volume in volumes:
        set_status(namespace, volume["name"])
    smaller = [_volume(volume["name"], {"storage": {"size": "512Mi"}}) for volume in volumes]
    result = module("data_volume", namespace=namespace, data_volumes=smaller, wait=False).result
    assert result["msg"].startswith("20 of 20 DataVolumes failed: DataVolume ")
    assert result["msg"].endswith(" The error of each is in data_volumes.") and len(result["msg"]) < 1200
    assert all("'512Mi' requested" in item["error"] for item in result["data_volumes"])


def test_thousand_volumes_are_written_once_in_bounded_memory(wire: Wire, module: RunModule, namespace: str) -> None:
    volumes = [_volume(f"disk-{number:04}", {}) for number in range(1000)]
    options = {"host": wire.url, "api_key": ADMIN, "namespace": namespace, "data_volumes": volumes, "wait": False}
    cost = cost_of(
        [sys.executable, "-m", "ansible_collections.kubevirt.cdi.plugins.modules.data_volume"],
        given=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
    )
    assert len([item for item in json.loads(cost.output)["data_volumes"] if item["changed"]]) == 1000
    assert len(wire.writes()) == 1000
    wire.requests.clear()
    assert not module("data_volume", namespace=namespace, data_volumes=volumes, wait=False).result["changed"]
    assert len(wire.requests) <= 3
    # A task of one volume takes some 50 MiB.
    assert cost.peak_mib < 200
