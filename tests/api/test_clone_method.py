# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup clone_method on the wire: how many requests, for how long an answer holds, and what a missing right does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import ansible.template
import pytest
from ansible.errors import AnsibleLookupError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.argspec import AUTH
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CSI_DRIVER,
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS,
    STORAGE_PROFILE,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import clone_method as _clone_task

from tests.api.conftest import ADMIN, LIMITED

# DataVolume and claim; then the override and the profile that say why.
_OF_ONE_FINISHED_CLONE = 4
# Six for what is the same for all; the source's claim, its volume, its owner, and the pods around it.
_OF_A_PLAN = 6 + 4


@pytest.fixture
def storage(connection: Connection, namespace: str) -> Iterator[str]:
    """A class with a driver and a profile, of the test's own."""
    sets = [{"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}]
    provisioner = f"{namespace}.example.com"
    objects = {
        STORAGE_CLASS: {"provisioner": provisioner},
        CSI_DRIVER: {"spec": {}},
        STORAGE_PROFILE: {"spec": {}},
    }
    names = {CSI_DRIVER: provisioner}
    for resource, body in objects.items():
        metadata = {"name": names.get(resource, namespace)}
        body |= {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        connection.create(resource, body, dry_run=False)
    _set_status(connection, STORAGE_PROFILE, namespace, None, {"cloneStrategy": "csi-clone", "claimPropertySets": sets})
    yield namespace
    for resource in objects:
        connection.delete(resource, names.get(resource, namespace), dry_run=False)


def _set_status(
    connection: Connection, resource: Any, name: str, namespace: str | None, status: dict[str, Any]
) -> None:
    connection.merge(_Subresource(*resource), f"{name}/status", namespace, {"status": status}, dry_run=False)


class _Subresource(type(DATA_VOLUME)):  # type: ignore[misc]
    """A resource whose name may have a slash, which ends at a subresource."""

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        return f"{super().path(namespace)}/{name}"


@pytest.fixture
def source(connection: Connection, namespace: str, storage: str) -> str:
    """A bound claim in a volume, filled by a DataVolume."""
    _claim(connection, namespace, "golden", storage, {})
    _set_status(
        connection, PERSISTENT_VOLUME_CLAIM, "golden", namespace, {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    )
    return "golden"


def _claim(connection: Connection, namespace: str, name: str, storage: str, annotations: dict[str, str]) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": storage,
        },
    }
    connection.create(PERSISTENT_VOLUME_CLAIM, body, namespace, dry_run=False)


def _clone(connection: Connection, namespace: str, name: str, storage: str, **annotations: str) -> None:
    recorded = {f"cdi.kubevirt.io/{key}": value for key, value in annotations.items()}
    _claim(connection, namespace, name, storage, recorded)
    spec = {"source": {"pvc": {"name": "golden", "namespace": namespace}}, "storage": {"storageClassName": storage}}
    metadata = {"name": name, "namespace": namespace}
    body = {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", "metadata": metadata, "spec": spec}
    connection.create(DATA_VOLUME, body, namespace, dry_run=False)


@pytest.fixture
def look_up(wire) -> Callable[..., list[dict[str, Any]]]:
    def ask(*terms: Any, token: str = ADMIN) -> list[dict[str, Any]]:
        return _clone_task.look_up({"host": wire.url, "api_key": token}, list(terms))

    return ask


@pytest.fixture
def plugin() -> Callable[..., list[dict[str, Any]]]:
    """The lookup as a template calls it."""

    def run(*terms: Any, **options: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = lookup_loader.get("kubevirt.cdi.clone_method").run(
            list(terms), variables={}, **options
        )
        return found

    return run


def _planned(namespace: str, storage: str, name: str = "planned", **options: Any) -> dict[str, Any]:
    asked = {"size": "1Gi", "storage_class_name": storage, **options}
    return {"name": name, "namespace": namespace, "source": {"pvc": {"name": "golden"}}, "storage": asked}


def test_a_finished_clone_costs_four_requests(wire, connection, look_up, namespace, storage) -> None:
    _clone(connection, namespace, "disk", storage, cloneType="csi-clone", clonePhase="Succeeded")
    wire.requests.clear()
    (answer,) = look_up(f"{namespace}/disk")
    assert (answer["method"], answer["observed"], answer["fallback"]) == ("csi-clone", True, False)
    assert answer["reason"] == f"The storage profile of {storage} says csi-clone."
    assert len(wire.requests) == _OF_ONE_FINISHED_CLONE


def test_fifty_clones_cost_as_many_requests_as_one(wire, connection, look_up, namespace, storage) -> None:
    for number in range(50):
        _clone(connection, namespace, f"disk-{number}", storage, cloneType="csi-clone", clonePhase="Succeeded")
    wire.requests.clear()
    answers = look_up(*[f"{namespace}/disk-{number}" for number in range(50)])
    assert [answer["method"] for answer in answers] == ["csi-clone"] * 50
    assert len(wire.requests) == _OF_ONE_FINISHED_CLONE


def test_fifty_plans_cost_as_many_requests_as_one(wire, look_up, namespace, storage, source) -> None:
    wire.requests.clear()
    (answer,) = look_up(_planned(namespace, storage))
    assert (answer["method"], answer["observed"], answer["exists"]) == ("csi-clone", False, False)
    assert answer["reason"] == f"The storage profile of {storage} says csi-clone."
    of_one = len(wire.requests)
    assert of_one <= 2 + _OF_A_PLAN
    wire.requests.clear()
    answers = look_up(*[_planned(namespace, storage, f"planned-{number}") for number in range(50)])
    assert {answer["method"] for answer in answers} == {"csi-clone"}
    assert len(wire.requests) == of_one


def test_an_answer_is_asked_for_once(wire, connection, look_up, namespace, storage) -> None:
    _clone(connection, namespace, "disk", storage, cloneType="csi-clone", clonePhase="Succeeded")
    look_up(f"{namespace}/disk")
    wire.requests.clear()
    started = time.perf_counter()
    (answer,) = look_up(f"{namespace}/disk")
    assert time.perf_counter() - started < 0.010
    assert wire.requests == []
    answer["method"] = "changed by who asked"
    assert look_up(f"{namespace}/disk")[0]["method"] == "csi-clone"


def _least_seconds(ask: Callable[[], Any]) -> float:
    """Of computing, by the fastest of five: the machine has other work, too."""
    seconds = []
    for _time in range(5):
        started = time.thread_time()
        ask()
        seconds.append(time.thread_time() - started)
    return min(seconds)


def test_fifty_plans_are_told_again_within_ten_milliseconds(wire, look_up, namespace, storage, source) -> None:
    terms = [_planned(namespace, storage, f"planned-{number}") for number in range(50)]
    first = look_up(*terms)
    wire.requests.clear()
    assert _least_seconds(lambda: look_up(*terms)) < 0.010
    assert (look_up(*terms), wire.requests) == (first, [])


def test_the_plugin_answers_again_within_ten_milliseconds(wire, connection, plugin, namespace, storage) -> None:
    """All that a template waits for: the plugin is found anew, reads its options, and asks."""
    _clone(connection, namespace, "disk", storage, cloneType="csi-clone", clonePhase="Succeeded")
    (first,) = plugin(f"{namespace}/disk", host=wire.url, api_key=ADMIN)
    assert first["method"] == "csi-clone"
    wire.requests.clear()
    assert _least_seconds(lambda: plugin(f"{namespace}/disk", host=wire.url, api_key=ADMIN)) < 0.010
    assert (plugin(f"{namespace}/disk", host=wire.url, api_key=ADMIN), wire.requests) == ([first], [])


@pytest.mark.parametrize("given", [None, {"user_agent": "me"}])
def test_the_variables_for_the_headers_of_a_proxy_are_heeded(plugin, monkeypatch, given) -> None:
    seen: dict[str, Any] = {}

    def connect(params: dict[str, Any], _warn: Any) -> None:
        seen.update(params)
        raise CdiError("Enough.")

    monkeypatch.setattr(_clone_task, "connect", connect)
    monkeypatch.setenv("K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH", "ann:secret")
    monkeypatch.setenv("K8S_AUTH_PROXY_HEADERS_USER_AGENT", "you")
    with pytest.raises(AnsibleLookupError, match="Enough"):
        plugin("images/disk", **({"proxy_headers": given} if given else {}))
    agent = given["user_agent"] if given else "you"
    assert seen["proxy_headers"] == {"proxy_basic_auth": "ann:secret", "basic_auth": None, "user_agent": agent}


def test_of_a_planned_clone_is_told_that_preallocation_will_be_ignored(look_up, namespace, storage, source) -> None:
    (answer,) = look_up({**_planned(namespace, storage), "preallocation": True})
    told = answer["preallocation"]
    assert (told["requested"], told["applied"], told["supported"]) == (True, None, False)
    assert told["ignored"].startswith("A csi-clone clone shares blocks with its source")


def test_a_clone_that_goes_on_is_seen_to(connection, look_up, namespace, storage, source) -> None:
    """A task that waits in a loop asks within one process, and must not get its first answer for ever."""
    _clone(connection, namespace, "disk", storage, cloneType="csi-clone", clonePhase="Pending")
    (first,) = look_up(f"{namespace}/disk")
    assert (first["observed"], first["phase"]) == (True, "Pending")
    done = {"metadata": {"annotations": {"cdi.kubevirt.io/clonePhase": "Succeeded"}}}
    connection.merge(PERSISTENT_VOLUME_CLAIM, "disk", namespace, done, dry_run=False)
    time.sleep(_clone_task._SECONDS_KEPT + 0.1)
    assert look_up(f"{namespace}/disk")[0]["phase"] == "Succeeded"


def test_a_finished_clone_waits_for_nothing(connection, look_up, namespace, storage) -> None:
    """Of one that no populator made CDI notes no phase at the claim; and its source may be gone."""
    _clone(connection, namespace, "done", storage, cloneType="copy")
    _set_status(connection, DATA_VOLUME, "done", namespace, {"phase": "Succeeded"})
    (answer,) = look_up(f"{namespace}/done")
    assert (answer["method"], answer["waits_for"]) == ("copy", [])


def test_a_clone_that_cdi_has_not_begun_is_predicted(connection, look_up, namespace, storage, source) -> None:
    _clone(connection, namespace, "disk", storage)
    (answer,) = look_up(f"{namespace}/disk")
    assert (answer["exists"], answer["observed"], answer["method"]) == (True, False, "csi-clone")


def test_every_key_is_there_and_booleans_are_booleans(connection, look_up, namespace, storage, source) -> None:
    reason = "No volume expansion is possible"
    _clone(connection, namespace, "disk", storage, cloneType="copy", cloneFallbackReason=reason)
    answers = look_up(f"{namespace}/disk", f"{namespace}/none", f"{namespace}/golden", _planned(namespace, storage))
    assert len({frozenset(answer) for answer in answers}) == 1
    for answer in answers:
        assert {type(answer[key]) for key in ("exists", "observed", "forced", "fallback")} == {bool}
    assert [answer["exists"] for answer in answers] == [True, False, True, False]
    assert answers[1]["reason"] == "There is no such volume."
    assert answers[2]["reason"] == "The volume is no clone."


def test_who_forces_a_method_is_told_from_cdi(connection, look_up, namespace, storage, source) -> None:
    spec = {"source": {"pvc": {"name": "golden", "namespace": namespace}}, "storage": {"storageClassName": storage}}
    annotations = {"cdi.kubevirt.io/cloneType": "copy"}
    metadata = {"name": "disk", "namespace": namespace, "annotations": annotations}
    body = {"apiVersion": DATA_VOLUME.api_version, "kind": "DataVolume", "metadata": metadata, "spec": spec}
    connection.create(DATA_VOLUME, body, namespace, dry_run=False)
    (answer,) = look_up(f"{namespace}/disk")
    # Nothing has happened yet: the annotation is a wish.
    assert (answer["observed"], answer["forced"], answer["method"]) == (False, True, "copy")


def test_a_right_that_is_missing_is_named_and_nothing_guessed(look_up, namespace, storage, source) -> None:
    (answer,) = look_up(_planned(namespace, storage), token=LIMITED)
    assert (answer["method"], answer["observed"]) == (None, False)
    assert "It cannot be predicted: Cannot" in answer["reason"]
    assert "grant the verb" in answer["reason"]


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("golden", "write namespace/name"),
        ("a/b/c", "write namespace/name"),
        (7, "write namespace/name"),
        ({"name": "x", "sorce": {}}, r"^Cannot look up volume 'x': unknown option 'sorce'; did you mean 'source'\?$"),
        (
            {"name": "x", "storage": {"sise": "1Gi"}},
            r"^Cannot look up volume 'x'.storage: unknown option 'sise'; did you mean 'size'\?$",
        ),
        (
            {"name": "x", "preallocation": "perhaps"},
            r"^Cannot look up volume 'x': .*preallocation.*; see the options of module kubevirt.cdi.data_volume\.$",
        ),
        ({"name": "x", "source": {"pvc": {"name": "golden"}}}, "neither storage nor pvc"),
    ],
)
def test_a_term_that_names_nothing_is_refused_before_anything_is_sent(wire, look_up, term, said) -> None:
    wire.requests.clear()
    with pytest.raises(CdiError, match=said):
        look_up(term)
    assert wire.requests == []


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """The options that the lookup connects with, in a play with these variables."""
    monkeypatch.delenv("K8S_AUTH_KUBECONFIG", raising=False)

    def run(**variables: Any) -> dict[str, Any]:
        templar = Templar(loader=DataLoader(), variables=variables)
        plugin = lookup_loader.get("kubevirt.cdi.clone_method", loader=None, templar=templar)
        seen: dict[str, Any] = {}

        def look_up(params: dict[str, Any], *_more: Any) -> list[dict[str, Any]]:
            seen.update(params)
            return []

        monkeypatch.setitem(type(plugin).run.__globals__, "look_up", look_up)
        plugin.run(["demo/disk"], variables)
        return seen

    return run


def test_the_connections_variables_may_be_templates(looked_up) -> None:
    # Before ansible-core 2.19, every text is a template.
    trusted = getattr(ansible.template, "trust_as_template", str)
    host, key = trusted("{{ scheme }}://a.test"), trusted("{{ key }}")
    options = looked_up(
        kubevirt_cdi_host=host,
        kubevirt_cdi_api_key=key,
        kubevirt_cdi_impersonate_groups=[key],
        scheme="https",
        key="a-key",
    )
    assert (options["host"], options["api_key"], options["impersonate_groups"]) == (
        "https://a.test",
        "a-key",
        ["a-key"],
    )


def test_an_empty_variable_of_the_environment_is_not_given_and_switches_nothing_off(looked_up, monkeypatch) -> None:
    for name in ("HOST", "VALIDATE_CERTS", "KUBECONFIG", "PERSIST_CONFIG"):
        monkeypatch.setenv(f"K8S_AUTH_{name}", "")
    options = looked_up()
    assert [options[name] for name in ("host", "validate_certs", "kubeconfig", "persist_config")] == [None] * 4
    checked = ArgumentSpecValidator(AUTH.options).validate({})
    assert not checked.error_messages and checked.validated_parameters["validate_certs"] is None
    monkeypatch.setenv("K8S_AUTH_VALIDATE_CERTS", "no")
    assert looked_up()["validate_certs"] is False


def test_what_may_not_be_read_is_not_taken_for_missing(look_up, namespace) -> None:
    (answer,) = look_up(f"{namespace}/disk", token=LIMITED)
    assert not answer["exists"] and "grant the verb" in answer["reason"]


@pytest.mark.parametrize(
    ("term", "said"),
    [
        (
            "{}/disk",
            "The volume '{}/disk' does not exist: there is neither a DataVolume nor a claim; correct its name, or create it.",
        ),
        ("no-such-namespace/disk", "Namespace 'no-such-namespace' does not exist; create it, or correct its name."),
    ],
)
def test_a_missing_volume_or_namespace_may_be_an_error_or_a_warning(wire, namespace, term, said) -> None:
    params, warnings = {"host": wire.url, "api_key": ADMIN}, []
    terms, said = [term.format(namespace)], said.format(namespace)
    with pytest.raises(CdiError) as raised:
        _clone_task.look_up(params, terms, "error", warnings.append)
    assert str(raised.value) == said and warnings == []
    (answer,) = _clone_task.look_up(params, terms, "warn", warnings.append)
    assert warnings == [said] and not answer["exists"]
    (answer,) = _clone_task.look_up(params, terms, "skip", warnings.append)
    assert warnings == [said] and not answer["exists"] and answer["host"] == wire.url


def test_a_planned_volume_is_not_missing(wire, namespace, storage, source) -> None:
    (answer,) = _clone_task.look_up({"host": wire.url, "api_key": ADMIN}, [_planned(namespace, storage)], "error")
    assert not answer["exists"]


def test_whether_a_volume_exists_that_may_not_be_read_is_unknown(wire, namespace) -> None:
    with pytest.raises(CdiError, match=f"Whether the volume '{namespace}/disk' exists is unknown: .*grant the verb"):
        _clone_task.look_up({"host": wire.url, "api_key": LIMITED}, [f"{namespace}/disk"], "error")


def test_the_plugin_raises_one_error_without_a_cause(plugin, wire, namespace) -> None:
    with pytest.raises(AnsibleLookupError, match="^clone_method: The volume ") as raised:
        plugin(f"{namespace}/disk", host=wire.url, api_key=ADMIN, on_missing="error")
    assert raised.value.__cause__ is None and raised.value.__context__ is None


def test_a_certificate_that_is_not_verified_is_warned_of() -> None:
    warnings: list[str] = []
    server = os.environ["KUBEVIRT_CDI_TEST_SERVER"]
    _clone_task.look_up(
        {"host": server, "api_key": ADMIN, "validate_certs": False}, ["default/none"], "skip", warnings.append
    )
    assert warnings == ["The API server's certificate is not verified: set validate_certs to true and give ca_cert."]
