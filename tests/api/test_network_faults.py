# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of proxies and load balancers between modules and a real API server.

Time and requests are bounded, nothing is written twice, and `changed` is true exactly if something was written.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CONFIG_MAP,
    DATA_VOLUME,
    SELF_SUBJECT_ACCESS_REVIEW,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.verdict import REACHED, WAITING, Verdict
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.wait import poll_until, wait_for
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import cdi_info, data_volume, data_volume_info

from tests.api.objects import ADMIN, SetStatus, body
from tests.hostile import hostile_server, http
from tests.modules import RunModule, run_module, run_task
from tests.wire import Wire

SERVER, CA = os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]
VOLUME: dict[str, Any] = {"name": "disk", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
# A busy machine takes some seconds longer; what is not bounded lasts for a minute or longer.
_LATE = 20
PLURAL = f"/{DATA_VOLUME.plural}"


def _first(method: str, trouble: str, times: int = 1000, part: str = PLURAL) -> Callable[[str, str], str]:
    """This trouble for the first requests of a method."""
    left = [times]

    def choose(requested: str, path: str) -> str:
        if requested != method or part not in path or left[0] <= 0:
            return ""
        left[0] -= 1
        return trouble

    return choose


@pytest.mark.parametrize(("trouble", "times"), [("lost", 1), ("lost", 1000), ("unsent", 2), ("slow", 1), ("silent", 1)])
def test_apply_whose_answer_is_lost_is_verified_by_a_get(
    wire: Wire, module: RunModule, direct: Connection, namespace: str, trouble: str, times: int
) -> None:
    """`unsent` requests never reach the server; the others reach it, but their answers are lost or late."""
    wire.trouble = _first("PATCH", trouble, times)
    started = time.monotonic()
    ran = module("data_volume", namespace=namespace, **VOLUME, wait=False, wait_timeout=15)
    assert not ran.result.get("failed"), ran.result["msg"]
    assert ran.result["changed"] is True and direct.get(DATA_VOLUME, "disk", namespace)
    assert wire.count("PATCH") <= 5 and time.monotonic() - started < 60
    again = module("data_volume", namespace=namespace, **VOLUME, wait=False)
    assert again.result["changed"] is False


def test_apply_that_never_arrives_changes_nothing(
    wire: Wire, module: RunModule, direct: Connection, namespace: str
) -> None:
    wire.trouble = _first("PATCH", "unsent")
    result = module("data_volume", namespace=namespace, **VOLUME, wait=False).result
    assert result["failed"] and result["changed"] is False and direct.get(DATA_VOLUME, "disk", namespace) is None
    assert wire.count("PATCH") == 5


def test_write_that_cannot_be_verified_counts_as_a_change(
    wire: Wire, module: RunModule, direct: Connection, namespace: str
) -> None:
    def all_after_the_write(method: str, _path: str) -> str:
        return "lost" if method == "PATCH" else "unsent" if wire.count("PATCH") else ""

    wire.trouble = all_after_the_write
    result = module("data_volume", namespace=namespace, **VOLUME, wait=False).result
    assert (
        result["failed"]
        and result["changed"] is True
        and "it may have been written, but reading it also failed" in result["msg"]
    )
    assert direct.get(DATA_VOLUME, "disk", namespace)


@pytest.mark.parametrize(("trouble", "times", "posts"), [("lost", 1, 1), ("lost", 1000, 1), ("unsent", 1, 2)])
def test_create_is_retried_only_if_it_did_not_arrive(
    wire: Wire, connection: Connection, namespace: str, trouble: str, times: int, posts: int
) -> None:
    wire.trouble = _first("POST", trouble, times, "/configmaps")
    config_map = body(CONFIG_MAP, "made", metadata={"namespace": namespace}, data={"a": "b"})
    made = connection.create(CONFIG_MAP, config_map, namespace, dry_run=False)
    assert made["metadata"]["name"] == "made" and wire.count("POST") == posts


def test_create_without_a_name_is_not_retried(
    wire: Wire, connection: Connection, direct: Connection, namespace: str
) -> None:
    wire.trouble = _first("POST", "lost", 1, "/configmaps")
    unnamed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-", "namespace": namespace}}
    with pytest.raises(ApiError, match="it may have been written, but it has no name yet") as raised:
        connection.create(CONFIG_MAP, unnamed, namespace, dry_run=False)
    assert raised.value.result == {"changed": True} and wire.count("POST") == 1
    names = [item["metadata"]["name"] for item in direct.list(CONFIG_MAP, namespace)[0]]
    assert len([name for name in names if name.startswith("made-")]) == 1


def test_object_of_another_client_is_not_taken_for_the_created_one(
    wire: Wire, connection: Connection, direct: Connection, namespace: str
) -> None:
    config_map = body(CONFIG_MAP, "made", metadata={"namespace": namespace})
    direct.apply(CONFIG_MAP, config_map, dry_run=False, manager="another-client")
    wire.trouble = _first("POST", "lost", 1, "/configmaps")
    with pytest.raises(ApiError):
        connection.create(CONFIG_MAP, config_map, namespace, dry_run=False)
    assert wire.count("POST") == 1


def test_access_review_is_retried(wire: Wire, connection: Connection) -> None:
    wire.trouble = _first("POST", "lost", 2, "selfsubjectaccessreviews")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}},
    }
    assert connection.create(SELF_SUBJECT_ACCESS_REVIEW, review, dry_run=False)["status"]["allowed"]
    assert wire.count("POST") == 3


@pytest.mark.parametrize(("trouble", "times"), [("lost", 1), ("lost", 1000), ("unsent", 1)])
def test_deletion_whose_answer_is_lost_is_verified_by_a_get(
    wire: Wire, module: RunModule, direct: Connection, namespace: str, trouble: str, times: int
) -> None:
    module("data_volume", namespace=namespace, **VOLUME, wait=False)
    wire.trouble = _first("DELETE", trouble, times)
    ran = module("data_volume", namespace=namespace, name="disk", state="absent", wait=False)
    assert not ran.result.get("failed") and ran.result["changed"] is True
    assert direct.get(DATA_VOLUME, "disk", namespace) is None and wire.count("DELETE") <= 5


def _judge(_name: str, stored: dict[str, Any] | None) -> Verdict:
    phase = ((stored or {}).get("status") or {}).get("phase", "")
    return Verdict(REACHED) if phase == "Succeeded" else Verdict(WAITING, phase or "nothing")


@pytest.fixture
def succeed_later(direct: Connection, namespace: str, set_status: SetStatus) -> Iterator[Callable[[float], None]]:
    """Creates the volume, which succeed_later after some seconds."""
    timers: list[threading.Timer] = []
    spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}

    def later(seconds: float) -> None:
        direct.create(DATA_VOLUME, body(DATA_VOLUME, "disk", spec=spec), namespace, dry_run=False)
        timers.append(threading.Timer(seconds, set_status, (namespace, "disk")))
        timers[-1].start()

    yield later
    for timer in timers:
        timer.cancel()
        timer.join()


def _waited(connection: Connection, namespace: str, seconds: float) -> tuple[str, float]:
    started = time.monotonic()
    outcome = wait_for(connection, DATA_VOLUME, namespace, ["disk"], _judge, started + seconds)["disk"]
    return outcome.verdict.state, time.monotonic() - started


@pytest.mark.parametrize(
    ("trouble", "most_requests"),
    [("held", 6), ("over", 14), ("lost", 14), ("unsent", 14)],
)
def test_wait_polls_when_watches_fail(
    wire: Wire,
    connection: Connection,
    namespace: str,
    succeed_later: Callable[[float], None],
    trouble: str,
    most_requests: int,
) -> None:
    wire.trouble = _first("GET", trouble, part="watch=true")
    succeed_later(3)
    state, seconds = _waited(connection, namespace, 90)
    assert state == REACHED and 3 <= seconds < 3 + 2 * _LATE and len(wire.requests) <= most_requests


@pytest.mark.parametrize("trouble", ["held", "over"])
def test_wait_reads_the_state_before_it_times_out(
    wire: Wire, connection: Connection, namespace: str, succeed_later: Callable[[float], None], trouble: str
) -> None:
    wire.trouble = _first("GET", trouble, part="watch=true")
    succeed_later(5)
    state, seconds = _waited(connection, namespace, 10)
    assert state == REACHED and seconds < 10 + _LATE


def test_watch_that_ends_at_once_is_reopened_with_growing_pauses(
    wire: Wire, connection: Connection, namespace: str, succeed_later: Callable[[float], None]
) -> None:
    wire.trouble = _first("GET", "over", part="watch=true")
    succeed_later(60)
    state, seconds = _waited(connection, namespace, 25)
    assert state == WAITING and 24.5 <= seconds < 25 + _LATE and wire.count("GET") <= 14


def test_timeout_of_a_wait_bounds_a_slow_list(wire: Wire, connection: Connection, namespace: str) -> None:
    wire.trouble = _first("GET", "slow")
    started = time.monotonic()
    with pytest.raises(ApiError, match="no whole answer from the Kubernetes API"):
        _waited(connection, namespace, 4)
    assert 3 <= time.monotonic() - started < 4 + _LATE


def test_poll_ends_at_its_deadline(wire: Wire, connection: Connection, namespace: str) -> None:
    wire.trouble = _first("GET", "silent")

    def check(bounded: Connection) -> Verdict:
        return Verdict(REACHED if bounded.get(DATA_VOLUME, "disk", namespace) else WAITING)

    started = time.monotonic()
    with pytest.raises(ApiError, match="no answer from the Kubernetes API"):
        poll_until(connection, check, started + 3)
    assert time.monotonic() - started < 3 + _LATE


def _run_with_short_bounds(module: ModuleType, options: dict[str, Any], **params: Any) -> dict[str, Any]:
    """The result of a module's function on a connection that waits for 4 s instead of 60 s for an answer."""
    return run_task(module, options, Connection(connect(params).transport, answer_seconds=4.0))


@pytest.mark.parametrize(
    ("module", "options", "trouble"),
    [
        (data_volume_info, {}, "silent"),
        (data_volume_info, {}, "slow"),
        (data_volume_info, {}, "endless"),
        (data_volume_info, {}, "held"),
        (cdi_info, {}, "silent"),
        (data_volume, {**VOLUME, "state": "absent"}, "slow"),
    ],
)
def test_task_ends_when_the_server_does_not_answer(
    wire: Wire, module: ModuleType, options: dict[str, Any], trouble: str
) -> None:
    wire.trouble = lambda _method, _path: trouble
    started = time.monotonic()
    result = _run_with_short_bounds(module, options, host=wire.url, api_key=ADMIN)
    seconds = time.monotonic() - started
    assert result["failed"] and result["msg"].endswith(".") and not result.get("changed")
    assert seconds < 8 + _LATE and len(wire.requests) <= 3, result["msg"]


def test_task_ends_when_a_proxy_accepts_and_stays_silent() -> None:
    with hostile_server() as proxy:
        proxy.answer = lambda _number, _head: [60.0]
        started = time.monotonic()
        url = proxy.url.replace("http://", "http://ann:p-word@")
        result = _run_with_short_bounds(data_volume_info, {}, host=SERVER, ca_cert=CA, api_key=ADMIN, proxy=url)
        assert result["failed"] and f"through the proxy {proxy.url} " in result["msg"]
        assert "p-word" not in json.dumps(result)
        assert time.monotonic() - started < 8 + _LATE and len(proxy.heads) <= 2


def test_https_to_an_http_port_is_reported() -> None:
    with hostile_server() as server:
        server.answer = lambda _number, _head: [http(400, b"Bad Request")]
        # Some HTTP servers answer a TLS handshake, others wait for the end of a line.
        started = time.monotonic()
        url = server.url.replace("http:", "https:")
        with pytest.raises(ApiError, match=r"does not speak TLS|no answer"):
            connect({"host": url, "api_key": ADMIN, "validate_certs": False}).list(DATA_VOLUME)
        assert time.monotonic() - started < 25


def test_http_to_an_https_port_is_reported() -> None:
    started = time.monotonic()
    with pytest.raises(ApiError, match=r"an HTTP request to an HTTPS server|speaks TLS"):
        connect({"host": SERVER.replace("https:", "http:"), "api_key": ADMIN}).list(DATA_VOLUME)
    assert time.monotonic() - started < _LATE


def test_info_module_ends_after_a_minute_without_an_answer() -> None:
    with hostile_server() as server:
        server.answer = lambda _number, _head: [100.0]
        started = time.monotonic()
        result = run_module("data_volume_info", {"host": server.url, "api_key": ADMIN}).result
        assert "no answer from the Kubernetes API" in result["msg"]
        assert time.monotonic() - started < 60 + _LATE and len(server.heads) == 1
