# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of lookup clone_method: the requests they take, how long they are cached, and what a missing right does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible.plugins.loader import lookup_loader
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CSI_DRIVER,
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS,
    STORAGE_PROFILE,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import clone_method
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_method import SECONDS_KEPT, Memory

from tests.api.objects import ADMIN, LIMITED, body, patch_status
from tests.wire import Wire

# DataVolume and claim; the override and the profile, which give the reason.
_FINISHED_CLONE_REQUESTS = 4
# Six for all plans; the claim of the source, its volume, its owner and its pods.
_PLAN_REQUESTS = 6 + 4
# However many secrets are known; some 50 µs for an answer, and 2 ms for a template that loads the plugin again.
_CALLS_OF_A_CACHED_ANSWER = 250
_CALLS_OF_THE_PLUGIN = 9000
LookUp = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def storage(connection: Connection, namespace: str) -> Iterator[str]:
    """A storage class of the test's own, with a driver and a profile."""
    sets = [{"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}]
    provisioner = f"{namespace}.example.com"
    objects = (
        (STORAGE_CLASS, body(STORAGE_CLASS, namespace, provisioner=provisioner)),
        (CSI_DRIVER, body(CSI_DRIVER, provisioner, spec={})),
        (STORAGE_PROFILE, body(STORAGE_PROFILE, namespace, spec={})),
    )
    for resource, content in objects:
        connection.create(resource, content, dry_run=False)
    status = {"cloneStrategy": "csi-clone", "claimPropertySets": sets}
    patch_status(connection, STORAGE_PROFILE, namespace, None, status)
    yield namespace
    for resource, content in objects:
        connection.delete(resource, content["metadata"]["name"], dry_run=False)


@pytest.fixture
def source(connection: Connection, namespace: str, storage: str) -> str:
    """A bound claim of 1Gi."""
    _claim(connection, namespace, "golden", storage, {})
    bound = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    patch_status(connection, PERSISTENT_VOLUME_CLAIM, "golden", namespace, bound)
    return "golden"


def _claim(connection: Connection, namespace: str, name: str, storage: str, annotations: dict[str, str]) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": storage,
    }
    claim = body(PERSISTENT_VOLUME_CLAIM, name, metadata={"annotations": annotations}, spec=spec)
    connection.create(PERSISTENT_VOLUME_CLAIM, claim, namespace, dry_run=False)


def _clone(connection: Connection, namespace: str, name: str, storage: str, **annotations: str) -> None:
    recorded = {f"cdi.kubevirt.io/{key}": value for key, value in annotations.items()}
    _claim(connection, namespace, name, storage, recorded)
    spec = {"source": {"pvc": {"name": "golden", "namespace": namespace}}, "storage": {"storageClassName": storage}}
    connection.create(DATA_VOLUME, body(DATA_VOLUME, name, spec=spec), namespace, dry_run=False)


@pytest.fixture
def seconds() -> list[float]:
    """The clock of `look_up` shows the last of them."""
    return [0.0]


@pytest.fixture
def look_up(wire: Wire, seconds: list[float]) -> LookUp:
    memory = Memory(clock=lambda: seconds[-1])

    def ask(*terms: Any, token: str = ADMIN) -> list[dict[str, Any]]:
        return clone_method.look_up({"host": wire.url, "api_key": token}, list(terms), memory=memory)

    return ask


@pytest.fixture
def plugin() -> LookUp:
    """The lookup as a template calls it."""

    def run(*terms: Any, **options: Any) -> list[dict[str, Any]]:
        lookup = lookup_loader.get("kubevirt.cdi.clone_method")
        return list(lookup.run(list(terms), variables={}, **options))

    return run


def _planned(namespace: str, storage: str, name: str = "planned", **options: Any) -> dict[str, Any]:
    target = {"size": "1Gi", "storage_class_name": storage, **options}
    return {"name": name, "namespace": namespace, "source": {"pvc": {"name": "golden"}}, "storage": target}


def test_finished_clone_takes_four_requests(
    wire: Wire, connection: Connection, look_up: LookUp, namespace: str, storage: str
) -> None:
    _clone(connection, namespace, "disk", storage, cloneType="csi-clone", clonePhase="Succeeded")
    wire.requests.clear()
    (answer,) = look_up(f"{namespace}/disk")
    assert (answer["method"], answer["observed"], answer["fallback"]) == ("csi-clone", True, False)
    assert answer["reason"] == f"The storage profile of {storage} has the strategy csi-clone."
    assert len(wire.requests) == _FINISHED_CLONE_REQUESTS


def test_fifty_clones_take_as_many_requests_as_one(
    wire: Wire, connection: Connection, look_up: LookUp, namespace: str, storage: str
) -> None:
    for number in range(50):
        _clone(connection, namespace, f"disk-{number}", storage, cloneType="csi-clone", clonePhase="Succeeded")
    wire.requests.clear()
    answers = look_up(*[f"{namespace}/disk-{number}" for number in range(50)])
    assert [answer["method"] for answer in answers] == ["csi-clone"] * 50
    assert len(wire.requests) == _FINISHED_CLONE_REQUESTS


def test_fifty_plans_take_as_many_requests_as_one(
    wire: Wire, look_up: LookUp, namespace: str, storage: str, source: str
) -> None:
    wire.requests.clear()
    (answer,) = look_up(_planned(namespace, storage))
    assert (answer["method"], answer["observed"], answer["exists"]) == ("csi-clone", False, False)
    assert answer["reason"] == f"The storage profile of {storage} has the strategy csi-clone."
    of_one = len(wire.requests)
    assert of_one <= 2 + _PLAN_REQUESTS
    wire.requests.clear()
    answers = look_up(*[_planned(namespace, storage, f"planned-{number}") for number in range(50)])
    assert {answer["method"] for answer in answers} == {"csi-clone"}
    assert len(wire.requests) == of_one


def test_answer_is_cached(wire: Wire, connection: Connection, look_up: LookUp, namespace: str, storage: str) -> None:
    _clone(connection, namespace, "disk", storage, cloneType="csi-clone", clonePhase="Succeeded")
    look_up(f"{namespace}/disk")
    wire.requests.clear()
    (answer,) = look_up(f"{namespace}/disk")
    assert wire.requests == []
    answer["method"] = "changed by the caller"
    assert look_up(f"{namespace}/disk")[0]["method"] == "csi-clone"


def _calls(ask: Callable[[], Any]) -> int:
    """How many functions are called in Python: unlike seconds, the same on a busy machine."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        ask()
    finally:
        sys.setprofile(None)
    return calls


def test_cached_answers_of_fifty_plans_are_cheap(
    wire: Wire, look_up: LookUp, namespace: str, storage: str, source: str
) -> None:
    terms = [_planned(namespace, storage, f"planned-{number}") for number in range(50)]
    first = look_up(*terms)
    wire.requests.clear()
    assert _calls(lambda: look_up(*terms)) < 50 * _CALLS_OF_A_CACHED_ANSWER
    assert (look_up(*terms), wire.requests) == (first, [])


def test_cached_answer_of_the_plugin_is_cheap(
    wire: Wire, connection: Connection, plugin: LookUp, namespace: str, storage: str
) -> None:
    """As for a template: Ansible loads the plugin again, which reads its options."""
    _clone(connection, namespace, "disk", storage, cloneType="csi-clone", clonePhase="Succeeded")
    (first,) = plugin(f"{namespace}/disk", host=wire.url, api_key=ADMIN)
    assert first["method"] == "csi-clone"
    wire.requests.clear()
    assert _calls(lambda: plugin(f"{namespace}/disk", host=wire.url, api_key=ADMIN)) < _CALLS_OF_THE_PLUGIN
    assert (plugin(f"{namespace}/disk", host=wire.url, api_key=ADMIN), wire.requests) == ([first], [])


def test_planned_clone_reports_that_preallocation_is_ignored(
    look_up: LookUp, namespace: str, storage: str, source: str
) -> None:
    (answer,) = look_up({**_planned(namespace, storage), "preallocation": True})
    preallocation = answer["preallocation"]
    assert (preallocation["requested"], preallocation["applied"], preallocation["supported"]) == (True, None, False)
    assert preallocation["ignored"].startswith("A csi-clone clone shares blocks with its source")


def test_progress_of_a_clone_is_seen_in_the_same_process(
    connection: Connection, look_up: LookUp, seconds: list[float], namespace: str, storage: str, source: str
) -> None:
    """A task that waits in a loop runs the lookup in one process, and must not get a cached answer for ever."""
    _clone(connection, namespace, "disk", storage, cloneType="csi-clone", clonePhase="Pending")
    (first,) = look_up(f"{namespace}/disk")
    assert (first["observed"], first["phase"]) == (True, "Pending")
    done = {"metadata": {"annotations": {"cdi.kubevirt.io/clonePhase": "Succeeded"}}}
    connection.merge(PERSISTENT_VOLUME_CLAIM, "disk", namespace, done, dry_run=False)
    assert look_up(f"{namespace}/disk")[0]["phase"] == "Pending"
    seconds.append(SECONDS_KEPT + 0.1)
    assert look_up(f"{namespace}/disk")[0]["phase"] == "Succeeded"


def test_finished_clone_waits_for_nothing(
    connection: Connection, look_up: LookUp, namespace: str, storage: str
) -> None:
    """CDI records no phase on a claim that was cloned without a populator; and the source may be deleted."""
    _clone(connection, namespace, "done", storage, cloneType="copy")
    patch_status(connection, DATA_VOLUME, "done", namespace, {"phase": "Succeeded"})
    (answer,) = look_up(f"{namespace}/done")
    assert (answer["method"], answer["waits_for"]) == ("copy", [])


def test_method_of_a_clone_that_has_not_begun_is_predicted(
    connection: Connection, look_up: LookUp, namespace: str, storage: str, source: str
) -> None:
    _clone(connection, namespace, "disk", storage)
    (answer,) = look_up(f"{namespace}/disk")
    assert (answer["exists"], answer["observed"], answer["method"]) == (True, False, "csi-clone")


def test_answers_have_the_same_keys_and_types(
    connection: Connection, look_up: LookUp, namespace: str, storage: str, source: str
) -> None:
    reason = "No volume expansion is possible"
    _clone(connection, namespace, "disk", storage, cloneType="copy", cloneFallbackReason=reason)
    answers = look_up(f"{namespace}/disk", f"{namespace}/none", f"{namespace}/golden", _planned(namespace, storage))
    assert len({frozenset(answer) for answer in answers}) == 1
    for answer in answers:
        assert {type(answer[key]) for key in ("exists", "observed", "forced", "fallback")} == {bool}
    assert [answer["exists"] for answer in answers] == [True, False, True, False]
    assert answers[1]["reason"] == "There is no such volume."
    assert answers[2]["reason"] == "The volume is not a clone."


def test_requested_method_is_reported_as_forced(
    connection: Connection, look_up: LookUp, namespace: str, storage: str, source: str
) -> None:
    spec = {"source": {"pvc": {"name": "golden", "namespace": namespace}}, "storage": {"storageClassName": storage}}
    metadata = {"annotations": {"cdi.kubevirt.io/cloneType": "copy"}}
    connection.create(DATA_VOLUME, body(DATA_VOLUME, "disk", metadata=metadata, spec=spec), namespace, dry_run=False)
    (answer,) = look_up(f"{namespace}/disk")
    # The clone has not begun: the annotation is only a request.
    assert (answer["observed"], answer["forced"], answer["method"]) == (False, True, "copy")


def test_missing_right_is_named_without_a_guess(look_up: LookUp, namespace: str, storage: str, source: str) -> None:
    (answer,) = look_up(_planned(namespace, storage), token=LIMITED)
    assert (answer["method"], answer["observed"]) == (None, False)
    assert "It cannot be predicted: Cannot" in answer["reason"]
    assert "grant the verb" in answer["reason"]


def test_forbidden_volume_is_not_reported_as_missing(look_up: LookUp, namespace: str) -> None:
    (answer,) = look_up(f"{namespace}/disk", token=LIMITED)
    assert not answer["exists"] and "grant the verb" in answer["reason"]


def test_planned_volume_is_not_missing(wire: Wire, namespace: str, storage: str, source: str) -> None:
    (answer,) = clone_method.look_up({"host": wire.url, "api_key": ADMIN}, [_planned(namespace, storage)], "error")
    assert not answer["exists"]
