# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task does to DataVolumes that are there already, and that check mode predicts exactly that."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, DATA_VOLUME, STORAGE_CLASS
from kubernetes import client

from tests.api.conftest import ADMIN, SetStatus, fetch
from tests.benchmarks.measure import cost_of
from tests.modules import RunModule, official_client, run_module
from tests.wire import Wire

HTTP = {"http": {"url": "http://images.example.com/disk.raw"}}

# What is stored before the task: options that it was made with (None: nothing), and what CDI or others did to it since.
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
# What the task asks for.
INPUTS: dict[str, dict[str, Any]] = {
    "same": {},
    "spelt": {"storage": {"size": "1048576Ki"}},
    "labels": {"labels": {"tier": "gold"}},
    "texts": {"annotations": {"a": True, "b": 1}},
    "immediate": {"binding": "immediate"},
    "smaller": {"storage": {"size": "512Mi"}},
    "larger": {"storage": {"size": "2Gi"}},
    "larger-anew": {"storage": {"size": "2Gi"}, "on_drift": "recreate"},
    "anew": {"storage": {"size": "512Mi"}, "on_drift": "recreate"},
    "http": {"source": HTTP},
    "preallocated": {"preallocation": True},
    "by-pvc-anew": {
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
def claims(connection: Connection) -> client.CoreV1Api:
    return client.CoreV1Api(official_client())


@pytest.fixture
def growing_class(connection: Connection, namespace: str) -> Iterator[str]:
    """A class of the test's own whose volumes may grow."""
    fields = {"provisioner": "none.example.com", "allowVolumeExpansion": True}
    body = {"apiVersion": STORAGE_CLASS.api_version, "kind": "StorageClass", "metadata": {"name": namespace}, **fields}
    connection.create(STORAGE_CLASS, body, dry_run=False)
    yield namespace
    connection.delete(STORAGE_CLASS, namespace, dry_run=False)


def _fill(connection: Connection, namespace: str, name: str, storage_class: str | None) -> None:
    """Give a volume the claim and the phase that CDI gives it: bound, 1Gi, Succeeded."""
    core = client.CoreV1Api(official_client())
    storage = {"storage": "1Gi"}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": storage}, "storageClassName": storage_class}
    core.create_namespaced_persistent_volume_claim(
        namespace, {"metadata": {"name": name}, "spec": {**spec, "volumeName": f"pv-{namespace}-{name}"}}
    )
    core.patch_namespaced_persistent_volume_claim_status(
        name, namespace, {"status": {"phase": "Bound", "capacity": storage}}
    )
    client.CustomObjectsApi(official_client()).patch_namespaced_custom_object_status(
        DATA_VOLUME.group, DATA_VOLUME.version, namespace, DATA_VOLUME.plural, name, {"status": {"phase": "Succeeded"}}
    )


def _resize(claims: client.CoreV1Api, namespace: str, name: str) -> None:
    """What the resizer does."""
    claim = claims.read_namespaced_persistent_volume_claim(name, namespace)
    storage = claim.spec.resources.requests
    claims.patch_namespaced_persistent_volume_claim_status(name, namespace, {"status": {"capacity": storage}})


def test_check_mode_predicts_changed_and_diff_and_writes_nothing(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, growing_class: str, set_status: SetStatus
) -> None:
    assert len(PAIRS) >= 100
    names = {pair: "-".join(pair) for pair in PAIRS}
    before = [
        _volume(name, STATES[state][0] or {}) for (state, _asked), name in names.items() if STATES[state][0] is not None
    ]
    assert module("data_volume", namespace=namespace, data_volumes=before, wait=False).result["changed"]
    for (state, asked), name in names.items():
        if STATES[state][1]:
            connection.merge(DATA_VOLUME, name, namespace, STATES[state][1], dry_run=False)
        # Nothing here deletes the claim of a volume that is made anew.
        if state == "filled" and asked not in ("anew", "by-pvc-anew"):
            _fill(connection, namespace, name, growing_class)
        elif state not in ("missing", "unfilled"):
            set_status(namespace, name)
    volumes = [_volume(name, INPUTS[option]) for (_state, option), name in names.items()]
    asked = {"namespace": namespace, "data_volumes": volumes, "wait": False, "wait_timeout": 20}
    stored = {
        item["metadata"]["name"]: item["metadata"]["resourceVersion"]
        for item in connection.list(DATA_VOLUME, namespace)[0]
    }
    wire.requests.clear()
    predicted = module("data_volume", check=True, **asked).result
    assert wire.writes() == []
    unchanged = {
        item["metadata"]["name"]: item["metadata"]["resourceVersion"]
        for item in connection.list(DATA_VOLUME, namespace)[0]
    }
    assert unchanged == stored

    real = module("data_volume", **asked).result
    for one, other in zip(predicted["data_volumes"], real["data_volumes"], strict=True):
        facts = ("name", "changed", "drift", "reason", "error")
        assert [one.get(fact) for fact in facts] == [other.get(fact) for fact in facts]
    assert predicted["diff"] == real["diff"] and predicted["msg"] == real["msg"]
    drifts = {item["drift"] for item in real["data_volumes"]}
    assert drifts >= {"none", "missing", "metadata", "growable", "recreate", "unfilled"}

    again = module("data_volume", **asked).result
    assert [item["name"] for item in again["data_volumes"] if item["changed"]] == []


def test_a_volume_grows_by_its_claim_and_costs_one_more_request(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, growing_class: str, claims: client.CoreV1Api
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
    _resize(claims, namespace, "disk")
    wire.requests.clear()
    assert not module("data_volume", namespace=namespace, **{**large, "wait": True}).result["changed"]
    assert [path.rpartition("/")[0].rpartition("/")[2] for _method, path in wire.requests] == [
        "datavolumes",
        "persistentvolumeclaims",
    ]
    wire.requests.clear()
    labelled = module("data_volume", namespace=namespace, labels={"a": "b"}, **large).result
    assert labelled["drift"] == "metadata" and len(wire.writes()) == 1


def test_any_number_of_grown_volumes_cost_two_lists(
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


def test_a_volume_whose_class_cannot_grow_is_told_and_may_be_made_anew(
    connection: Connection, module: RunModule, namespace: str
) -> None:
    module("data_volume", namespace=namespace, **_volume("disk", {"wait": False}))
    _fill(connection, namespace, "disk", "no-such-class")
    larger = _volume("disk", {"storage": {"size": "2Gi"}, "wait": False})
    told = module("data_volume", namespace=namespace, **larger).result
    assert told["failed"] and "its storage class 'no-such-class' does not allow it" in told["msg"]
    anew = module("data_volume", check=True, namespace=namespace, on_drift="recreate", **larger).result
    assert anew["drift"] == "recreate"


def test_a_growth_that_does_not_end_is_told_with_its_cause(
    connection: Connection, module: RunModule, namespace: str, growing_class: str, claims: client.CoreV1Api
) -> None:
    module("data_volume", namespace=namespace, **_volume("disk", {"wait": False}))
    _fill(connection, namespace, "disk", growing_class)
    condition = {"type": "ControllerResizeError", "status": "True", "message": "the pool is full"}
    claims.patch_namespaced_persistent_volume_claim_status("disk", namespace, {"status": {"conditions": [condition]}})
    larger = _volume("disk", {"storage": {"size": "2Gi"}, "wait_timeout": 1})
    # Not through the counting proxy, which would hold a watch's answer back.
    direct = {"kubeconfig": os.environ["KUBECONFIG"], "namespace": namespace}
    told = run_module("data_volume", {**direct, **larger}).result
    assert told["failed"] and told["changed"]
    assert told["msg"] == (
        f"Growth of DataVolume {namespace}/disk to 2Gi has not ended after 1 s: "
        "its claim has 1Gi and requests 2Gi, with the overhead of the file system, ControllerResizeError: the pool is full."
    )


def test_a_claim_that_is_there_is_refused_before_anything_is_written(
    wire: Wire, connection: Connection, module: RunModule, namespace: str
) -> None:
    module("data_volume", namespace=namespace, **_volume("other", {"wait": False}))
    claim = {
        "metadata": {"name": "disk"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    client.CoreV1Api(official_client()).create_namespaced_persistent_volume_claim(namespace, claim)
    wire.requests.clear()
    for check in (True, False):
        told = module("data_volume", check=check, namespace=namespace, **_volume("disk", {"wait": False})).result
        assert told["failed"] and "set adopt_claim=true to take it with its data" in told["msg"]
    assert wire.writes() == []
    taken = module("data_volume", namespace=namespace, adopt_claim=True, **_volume("disk", {"wait": False})).result
    assert taken["drift"] == "adoptable"
    assert taken["data_volume"]["metadata"]["annotations"] == {"cdi.kubevirt.io/allowClaimAdoption": "true"}


def test_a_volume_is_not_made_anew_to_write_down_what_cdi_has_chosen(
    wire: Wire, connection: Connection, module: RunModule, namespace: str, growing_class: str
) -> None:
    made = module("data_volume", namespace=namespace, **_volume("disk", {"wait": False})).result["data_volume"]
    _fill(connection, namespace, "disk", growing_class)
    wire.requests.clear()
    chosen = {"size": "1Gi", "storage_class_name": growing_class, "volume_mode": "Filesystem"}
    written = _volume("disk", {"storage": chosen, "on_drift": "recreate"})
    told = module("data_volume", namespace=namespace, **written).result
    assert (told.get("failed"), told["changed"], told["drift"]) == (None, False, "none")
    assert wire.writes() == [] and len(wire.requests) == 2
    labelled = module("data_volume", namespace=namespace, labels={"a": "b"}, **written).result
    assert (labelled["changed"], labelled["drift"]) == (True, "metadata"), labelled["msg"]
    assert labelled["data_volume"]["metadata"]["uid"] == made["metadata"]["uid"]


def test_what_cdi_spells_anew_is_no_conflict(connection: Connection, module: RunModule, namespace: str) -> None:
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


def test_a_label_that_reads_like_a_number_is_a_text(module: RunModule, namespace: str) -> None:
    module("data_volume", namespace=namespace, labels={"version": "1.10"}, **_volume("disk", {"wait": False}))
    other = module("data_volume", namespace=namespace, labels={"version": "1.1"}, **_volume("disk", {"wait": False}))
    assert other.result["changed"]


def _served_by(version: str) -> dict[str, bytes]:
    served = {"metadata": {"name": "cdi"}, "status": {"observedVersion": version}}
    listed = {"apiVersion": CDI.api_version, "kind": "CDIList", "metadata": {"resourceVersion": "1"}, "items": [served]}
    return {CDI.path(): json.dumps(listed).encode()}


def test_an_option_that_cdi_does_not_know_is_refused_by_one_question(
    wire: Wire, module: RunModule, namespace: str
) -> None:
    checked = {"source": {"http": {**HTTP["http"], "checksum": f"sha256:{'0' * 64}"}}, "wait": False}
    wire.answers = _served_by("v1.64.0")
    told = module("data_volume", namespace=namespace, **_volume("disk", checked)).result
    assert told["failed"] and wire.writes() == []
    assert "source.http.checksum is known to CDI since 1.65.0, and CDI v1.64.0 is installed" in told["msg"]
    wire.answers = _served_by("v1.65.0")
    assert module("data_volume", namespace=namespace, **_volume("disk", checked)).result["changed"]
    wire.requests.clear()
    assert not module("data_volume", namespace=namespace, **_volume("disk", checked)).result["changed"]
    assert [path.rpartition("/")[2] for _method, path in wire.requests] == ["disk"]
    module("data_volume", namespace=namespace, **_volume("other", checked))
    assert len([path for _method, path in wire.requests if path.startswith(CDI.path())]) == 1


def test_many_failures_are_told_in_a_few_sentences(module: RunModule, namespace: str, set_status: SetStatus) -> None:
    volumes = [_volume(f"disk-{number}", {}) for number in range(20)]
    module("data_volume", namespace=namespace, data_volumes=volumes, wait=False)
    for volume in volumes:
        set_status(namespace, volume["name"])
    smaller = [_volume(volume["name"], {"storage": {"size": "512Mi"}}) for volume in volumes]
    told = module("data_volume", namespace=namespace, data_volumes=smaller, wait=False).result
    assert told["msg"].startswith("20 of 20 DataVolumes failed: DataVolume ")
    assert told["msg"].endswith(" The error of each is in data_volumes.") and len(told["msg"]) < 1200
    assert all("'512Mi' requested" in item["error"] for item in told["data_volumes"])


def test_a_thousand_volumes_are_written_once_each_in_bounded_memory(
    wire: Wire, module: RunModule, namespace: str
) -> None:
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
