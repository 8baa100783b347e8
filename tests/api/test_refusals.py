# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors when the API server refuses a request or cannot be reached: one sentence, and never a secret."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError, NotServed
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, DATA_VOLUME, Resource

from tests.api.objects import kubeconfig
from tests.modules import RunModule
from tests.wire import Wire

VOLUME_ITEM = {"name": "disk", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
VOLUME: dict[str, Any] = {**VOLUME_ITEM, "wait": False}
CLUSTER = {
    "server": os.environ["KUBEVIRT_CDI_TEST_SERVER"],
    "certificate-authority": os.environ["KUBEVIRT_CDI_TEST_CA"],
}
NO_GROUPS = json.dumps({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}).encode()


def test_wrong_token_is_reported_but_never_printed(module: RunModule, namespace: str) -> None:
    ran = module("data_volume", token="a-wrong-token", namespace=namespace, **VOLUME)
    assert "HTTP 401" in ran.refusal and "api_key" in ran.result["msg"]
    assert "a-wrong-token" not in ran.output


def test_missing_right_is_named(module: RunModule, namespace: str) -> None:
    message = module("data_volume", token="test-limited-token", namespace=namespace, **VOLUME).refusal
    assert 'grant the verb "get" on datavolumes.cdi.kubevirt.io' in message


def test_conflict_names_manager_and_field(module: RunModule, connection: Connection, namespace: str) -> None:
    module("data_volume", namespace=namespace, labels={"tier": "gold"}, **VOLUME)
    other = {"metadata": {"labels": {"tier": "silver"}}}
    path = f"{DATA_VOLUME.path(namespace, 'disk')}?fieldManager=argocd-controller"
    connection.transport.request(
        "PATCH", path, {"Content-Type": "application/merge-patch+json"}, body=json.dumps(other)
    )
    message = module("data_volume", namespace=namespace, labels={"tier": "gold"}, **VOLUME).refusal
    assert "argocd-controller" in message and "metadata.labels.tier" in message and "force_conflicts=true" in message
    assert module("data_volume", namespace=namespace, labels={"tier": "gold"}, force_conflicts=True, **VOLUME).result[
        "changed"
    ]


def test_missing_namespace_is_reported(module: RunModule) -> None:
    message = module("data_volume", namespace="nowhere", **VOLUME).refusal
    assert message.endswith(
        "namespace 'nowhere' does not exist; create it first, correct its name, or set create_namespace=true."
    )


def test_unserved_kind_says_what_to_install(connection: Connection) -> None:
    unknown = Resource("forklift.cdi.kubevirt.io", "v9", "nothings", "Nothing", False)
    with pytest.raises(NotServed, match="install CDI first"):
        connection.get(unknown, "x")


def test_missing_cdi_is_reported(module: RunModule) -> None:
    assert "There is no CDI cdi; install CDI first" in module("cdi_config", preallocation=True).refusal


@pytest.mark.parametrize("status", [429, 500, 503])
def test_request_to_a_busy_server_is_retried(wire: Wire, module: RunModule, namespace: str, status: int) -> None:
    wire.faults.append((status, {"Retry-After": "0"}, b"{}"))
    assert module("data_volume", namespace=namespace, **VOLUME).result["changed"]


def test_cut_connection_is_retried(wire: Wire, module: RunModule, namespace: str) -> None:
    wire.faults.append((0, {}, b""))
    assert module("data_volume", namespace=namespace, **VOLUME).result["changed"]


def test_server_that_keeps_failing_is_one_sentence(wire: Wire, connection: Connection) -> None:
    status = {"kind": "Status", "reason": "InternalError", "message": "etcd is away"}
    wire.faults += [(500, {"Retry-After": "0"}, json.dumps(status).encode())] * 5
    with pytest.raises(ApiError, match=r"^Cannot get CDI cdi: etcd is away \(HTTP 500\)\.$"):
        connection.get(CDI, "cdi")
    assert len(wire.requests) == 5


def test_failed_webhook_is_reported_without_a_retry(wire: Wire, connection: Connection) -> None:
    status = {"kind": "Status", "reason": "InternalError", "message": 'failed calling webhook "x"'}
    wire.faults.append((500, {}, json.dumps(status).encode()))
    with pytest.raises(ApiError, match="check that CDI's API server runs"):
        connection.get(CDI, "cdi")
    assert len(wire.requests) == 1


def _status(code: int, reason: str, message: str) -> tuple[int, dict[str, str], bytes]:
    body = {"kind": "Status", "reason": reason, "message": message, "details": {"name": "any"}}
    return code, {"Retry-After": "0"}, json.dumps(body).encode()


FORBIDDEN = 'datavolumes is forbidden: User "u" cannot get resource "datavolumes"'
REFUSALS = {
    "401": (
        _status(401, "Unauthorized", "Unauthorized"),
        "Unauthorized (HTTP 401); the API server rejected the credentials, which may have expired: set a valid api_key",
    ),
    "403": (_status(403, "Forbidden", FORBIDDEN), 'grant the verb "'),
    "404": ((404, {}, b"404 page not found"), "the cluster does not serve"),
    "409": (_status(409, "Conflict", "the object has been modified"), "(HTTP 409); run the task again"),
    "429": (_status(429, "TooManyRequests", "too many requests"), "(HTTP 429); the API server is overloaded"),
    "503": ((503, {"Retry-After": "0"}, b"upstream connect error"), "upstream connect error (HTTP 503)."),
}
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "volumes": ("data_volume", {"data_volumes": [VOLUME_ITEM, {**VOLUME_ITEM, "name": "other"}], "wait": False}),
    "info": ("data_volume_info", {}),
    "profile": ("storage_profile", {"name": "thin", "clone_strategy": "copy"}),
}


@pytest.mark.parametrize(
    ("task", "refusal"),
    [
        *(("volume", refusal) for refusal in REFUSALS),
        *((task, refusal) for task in TASKS for refusal in ("403", "404")),
    ],
)
def test_each_refusal_is_one_sentence(wire: Wire, module: RunModule, namespace: str, task: str, refusal: str) -> None:
    name, options = TASKS.get(task, ("data_volume", VOLUME))
    fault, expected = REFUSALS[refusal]
    wire.faults += [fault] * (1 if refusal == "404" else 5)
    # Only the discovery of an API server shows that it does not serve a kind, not a 404.
    wire.answers = {"/apis": NO_GROUPS} if refusal == "404" else {}
    where: dict[str, Any] = {} if name == "storage_profile" else {"namespace": namespace}
    ran = module(name, **where, **options)
    if (name, refusal) == ("data_volume_info", "404"):
        assert ran.result["data_volumes"] == []
        return
    message = ran.refusal
    assert expected in message and message.startswith("Cannot ") and message.count(". ") == 0, message


def test_connection_that_is_always_cut_names_the_address(wire: Wire, module: RunModule, namespace: str) -> None:
    wire.faults += [(0, {}, b"")] * 5
    message = module("data_volume", namespace=namespace, **VOLUME).refusal
    assert f"no answer from the Kubernetes API at {wire.url}" in message and message.startswith("Cannot get DataVolume")


def test_forbidden_namespace_does_not_stop_the_others(wire: Wire, module: RunModule, namespace: str) -> None:
    # Namespaces are read in order of their names.
    wire.faults.append(_status(403, "Forbidden", FORBIDDEN))
    volumes = [{**VOLUME_ITEM, "namespace": "a"}, {**VOLUME_ITEM, "namespace": namespace}]
    result = module("data_volume", data_volumes=volumes, wait=False).result
    assert result["failed"] and [item["changed"] for item in result["data_volumes"]] == [False, True]
    assert "cannot get resource" in result["data_volumes"][0]["error"]


def test_unreachable_server_is_named(module: RunModule) -> None:
    ran = module("cdi_info", host="http://127.0.0.1:9")
    assert "no answer from the Kubernetes API at http://127.0.0.1:9" in ran.refusal


def test_missing_kubeconfig_is_named(module: RunModule) -> None:
    ran = module("cdi_info", host=None, kubeconfig="/nonexistent/config", token="")
    assert "/nonexistent/config" in ran.refusal


def test_secret_in_a_kubeconfig_is_never_printed(module: RunModule) -> None:
    config = kubeconfig(CLUSTER, {"token": "very-secret-token"})
    ran = module("cdi_info", host=None, token="", kubeconfig=config)
    assert "HTTP 401" in ran.refusal
    assert "very-secret-token" not in ran.output
