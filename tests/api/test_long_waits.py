# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy between modules and a real API server does all that proxies and load balancers do: time and requests are bounded, nothing is
written twice, and `changed` is true exactly if something was written."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils import _connection, _transport
from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import (
    CONFIG_MAP,
    DATA_VOLUME,
    SELF_SUBJECT_ACCESS_REVIEW,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._verdict import REACHED, WAITING, Verdict
from ansible_collections.kubevirt.cdi.plugins.module_utils._wait import poll_until, wait_for

from tests.api.conftest import ADMIN
from tests.hostile import hostile_server, http
from tests.modules import RunModule, run_in_process, run_module
from tests.wire import Wire

VOLUME: dict[str, Any] = {"name": "disk", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
PLURAL = f"/{DATA_VOLUME.plural}"


def _of(method: str, trouble: str, times: int = 1000, part: str = PLURAL) -> Callable[[str, str], str]:
    """The trouble for the first requests of a method."""
    left = [times]

    def choose(asked: str, path: str) -> str:
        if asked != method or part not in path or left[0] <= 0:
            return ""
        left[0] -= 1
        return trouble

    return choose


@pytest.mark.parametrize(("trouble", "times"), [("lost", 1), ("lost", 1000), ("unsent", 2), ("slow", 1), ("silent", 1)])
def test_an_apply_whose_answer_is_lost_is_read(
    wire: Wire, module: RunModule, direct: Connection, namespace: str, trouble: str, times: int
) -> None:
    """By the third kind the server never got the request twice, and by the last ones it got it once, and answered nobody."""
    wire.trouble = _of("PATCH", trouble, times)
    started = time.monotonic()
    ran = module("data_volume", namespace=namespace, **VOLUME, wait=False, wait_timeout=15)
    assert not ran.result.get("failed"), ran.result["msg"]
    assert ran.result["changed"] is True and direct.get(DATA_VOLUME, "disk", namespace)
    assert wire.count("PATCH") <= 5 and time.monotonic() - started < 60
    again = module("data_volume", namespace=namespace, **VOLUME, wait=False)
    assert again.result["changed"] is False


def test_an_apply_that_never_arrives_has_changed_nothing(
    wire: Wire, module: RunModule, direct: Connection, namespace: str
) -> None:
    wire.trouble = _of("PATCH", "unsent")
    result = module("data_volume", namespace=namespace, **VOLUME, wait=False).result
    assert result["failed"] and result["changed"] is False and direct.get(DATA_VOLUME, "disk", namespace) is None
    assert wire.count("PATCH") == 5


def test_what_cannot_be_read_may_have_been_written(
    wire: Wire, module: RunModule, direct: Connection, namespace: str
) -> None:
    def all_after_the_write(method: str, _path: str) -> str:
        return "lost" if method == "PATCH" else "unsent" if wire.count("PATCH") else ""

    wire.trouble = all_after_the_write
    result = module("data_volume", namespace=namespace, **VOLUME, wait=False).result
    assert (
        result["failed"]
        and result["changed"] is True
        and "it may have been written: reading it failed, too" in result["msg"]
    )
    assert direct.get(DATA_VOLUME, "disk", namespace)


@pytest.mark.parametrize(("trouble", "times", "posts"), [("lost", 1, 1), ("lost", 1000, 1), ("unsent", 1, 2)])
def test_a_create_is_sent_again_only_when_it_did_not_arrive(
    wire: Wire, connection: Connection, namespace: str, trouble: str, times: int, posts: int
) -> None:
    wire.trouble = _of("POST", trouble, times, "/configmaps")
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "made", "namespace": namespace},
        "data": {"a": "b"},
    }
    made = connection.create(CONFIG_MAP, body, namespace, dry_run=False)
    assert made["metadata"]["name"] == "made" and wire.count("POST") == posts


def test_a_create_without_a_name_is_never_sent_again(
    wire: Wire, connection: Connection, direct: Connection, namespace: str
) -> None:
    wire.trouble = _of("POST", "lost", 1, "/configmaps")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-", "namespace": namespace}}
    with pytest.raises(ApiError, match="it may have been written: it has no name yet") as told:
        connection.create(CONFIG_MAP, body, namespace, dry_run=False)
    assert told.value.result == {"changed": True} and wire.count("POST") == 1
    assert (
        len([item for item in direct.list(CONFIG_MAP, namespace)[0] if item["metadata"]["name"].startswith("made-")])
        == 1
    )


def test_somebody_elses_object_is_not_taken_for_ones_own(
    wire: Wire, connection: Connection, direct: Connection, namespace: str
) -> None:
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "made", "namespace": namespace},
    }
    direct.apply(CONFIG_MAP, body, dry_run=False, manager="somebody")
    wire.trouble = _of("POST", "lost", 1, "/configmaps")
    with pytest.raises(ApiError):
        connection.create(CONFIG_MAP, body, namespace, dry_run=False)
    assert wire.count("POST") == 1


def test_a_review_is_only_a_question_and_is_asked_again(wire: Wire, connection: Connection) -> None:
    wire.trouble = _of("POST", "lost", 2, "selfsubjectaccessreviews")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}},
    }
    assert connection.create(SELF_SUBJECT_ACCESS_REVIEW, review, dry_run=False)["status"]["allowed"]
    assert wire.count("POST") == 3


@pytest.mark.parametrize(("trouble", "times"), [("lost", 1), ("lost", 1000), ("unsent", 1)])
def test_a_deletion_whose_answer_is_lost_is_read(
    wire: Wire, module: RunModule, direct: Connection, namespace: str, trouble: str, times: int
) -> None:
    module("data_volume", namespace=namespace, **VOLUME, wait=False)
    wire.trouble = _of("DELETE", trouble, times)
    ran = module("data_volume", namespace=namespace, name="disk", state="absent", wait=False)
    assert not ran.result.get("failed") and ran.result["changed"] is True
    assert direct.get(DATA_VOLUME, "disk", namespace) is None and wire.count("DELETE") <= 5


def _judge(_name: str, stored: dict[str, Any] | None) -> Verdict:
    phase = ((stored or {}).get("status") or {}).get("phase", "")
    return Verdict(REACHED) if phase == "Succeeded" else Verdict(WAITING, phase or "nothing")


@pytest.fixture
def succeeds(direct: Connection, namespace: str) -> Iterator[Callable[[float], None]]:
    """Creates the volume, which succeeds some seconds later."""
    timers: list[threading.Timer] = []

    def patch() -> None:
        answer = direct.transport.request(
            "PATCH",
            f"{DATA_VOLUME.path(namespace, 'disk')}/status",
            {"Content-Type": "application/merge-patch+json"},
            body=json.dumps({"status": {"phase": "Succeeded"}}),
        )
        assert answer.status == 200, answer.data

    def later(seconds: float) -> None:
        body = {
            "metadata": {"name": "disk"},
            "spec": {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}},
        }
        direct.create(
            DATA_VOLUME,
            {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **body},
            namespace,
            dry_run=False,
        )
        timers.append(threading.Timer(seconds, patch))
        timers[-1].start()

    yield later
    for timer in timers:
        timer.join()


def _waited(connection: Connection, namespace: str, seconds: float) -> tuple[str, float]:
    started = time.monotonic()
    outcome = wait_for(connection, DATA_VOLUME, namespace, ["disk"], _judge, started + seconds)["disk"]
    return outcome.verdict.state, time.monotonic() - started


@pytest.mark.parametrize(
    ("trouble", "most_seconds", "most_requests"),
    [("held", 20, 6), ("over", 12, 14), ("lost", 12, 14), ("unsent", 12, 14)],
)
def test_a_state_that_no_watch_tells_of_is_read(
    wire: Wire,
    connection: Connection,
    namespace: str,
    succeeds: Callable[[float], None],
    trouble: str,
    most_seconds: int,
    most_requests: int,
) -> None:
    wire.trouble = _of("GET", trouble, part="watch=true")
    succeeds(3)
    state, seconds = _waited(connection, namespace, 90)
    assert state == REACHED and 3 <= seconds < most_seconds and len(wire.requests) <= most_requests


@pytest.mark.parametrize("trouble", ["held", "over"])
def test_nobody_gives_up_on_a_state_that_was_not_read_just_before(
    wire: Wire, connection: Connection, namespace: str, succeeds: Callable[[float], None], trouble: str
) -> None:
    wire.trouble = _of("GET", trouble, part="watch=true")
    succeeds(5)
    state, seconds = _waited(connection, namespace, 7)
    assert state == REACHED and seconds < 9.5


def test_a_watch_that_ends_at_once_is_opened_less_and_less_often(
    wire: Wire, connection: Connection, namespace: str, succeeds: Callable[[float], None]
) -> None:
    wire.trouble = _of("GET", "over", part="watch=true")
    succeeds(60)
    state, seconds = _waited(connection, namespace, 25)
    assert state == WAITING and 24.5 <= seconds < 28 and wire.count("GET") <= 14


def test_the_time_out_of_a_wait_holds_for_a_list_that_trickles(
    wire: Wire, connection: Connection, namespace: str
) -> None:
    wire.trouble = _of("GET", "slow")
    started = time.monotonic()
    with pytest.raises(ApiError, match="no whole answer from the Kubernetes API"):
        _waited(connection, namespace, 4)
    assert 3 <= time.monotonic() - started < 7


def test_polling_ends_at_its_deadline(wire: Wire, connection: Connection, namespace: str) -> None:
    wire.trouble = _of("GET", "silent")

    def check(bounded: Connection) -> Verdict:
        return Verdict(REACHED if bounded.get(DATA_VOLUME, "disk", namespace) else WAITING)

    started = time.monotonic()
    with pytest.raises(ApiError, match="no answer from the Kubernetes API"):
        poll_until(connection, check, started + 3)
    assert time.monotonic() - started < 7


@pytest.fixture
def short_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer seconds than users wait: 4 for an answer instead of 60, 2 for a connection instead of 10."""
    monkeypatch.setattr(_connection, "ANSWER_TIMEOUT_SECONDS", 4.0)
    for module in (_transport, __import__(_connection.__package__ + "._exchange", fromlist=["_"])):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_SECONDS", 2.0)


@pytest.mark.parametrize(
    ("name", "options", "trouble"),
    [
        ("data_volume_info", {}, "silent"),
        ("data_volume_info", {}, "slow"),
        ("data_volume_info", {}, "endless"),
        ("data_volume_info", {}, "held"),
        ("cdi_info", {}, "silent"),
        ("data_volume", {**VOLUME, "state": "absent"}, "slow"),
    ],
)
def test_a_task_ends_with_a_server_that_does_not(
    wire: Wire, short_bounds: None, name: str, options: dict[str, Any], trouble: str
) -> None:
    wire.trouble = lambda _method, _path: trouble
    started = time.monotonic()
    result = run_in_process(name, {"host": wire.url, "api_key": ADMIN, **options}).result
    seconds = time.monotonic() - started
    assert result["failed"] and result["msg"].endswith(".") and not result.get("changed")
    assert seconds < 10 and len(wire.requests) <= 3, result["msg"]


def test_a_proxy_that_accepts_and_is_silent_ends_a_task(short_bounds: None) -> None:
    with hostile_server() as proxy:
        proxy.answer = lambda _number, _head: [60.0]
        started = time.monotonic()
        options = {
            "host": os.environ["KUBEVIRT_CDI_TEST_SERVER"],
            "ca_cert": os.environ["KUBEVIRT_CDI_TEST_CA"],
            "api_key": ADMIN,
        }
        result = run_in_process(
            "data_volume_info", {**options, "proxy": proxy.url.replace("http://", "http://ann:p-word@")}
        ).result
        assert (
            result["failed"]
            and f"through the proxy {proxy.url} " in result["msg"]
            and "p-word" not in json.dumps(result)
        )
        assert time.monotonic() - started < 12 and len(proxy.heads) <= 2


def test_https_to_an_http_port_says_so_at_once() -> None:
    with hostile_server() as server:
        server.answer = lambda _number, _head: [http(400, b"Bad Request")]
        # A server of HTTP that waits for the end of a line that never comes, and one that answers what it does not understand.
        started = time.monotonic()
        with pytest.raises(ApiError, match="does not speak TLS|no answer"):
            connect({"host": server.url.replace("http:", "https:"), "api_key": ADMIN, "validate_certs": False}).list(
                DATA_VOLUME
            )
        assert time.monotonic() - started < 25


def test_http_to_an_https_port_says_so_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(ApiError, match="an HTTP request to an HTTPS server|speaks TLS"):
        connect({"host": os.environ["KUBEVIRT_CDI_TEST_SERVER"].replace("https:", "http:"), "api_key": ADMIN}).list(
            DATA_VOLUME
        )
    assert time.monotonic() - started < 5


def test_a_first_answer_that_never_comes_ends_an_info_module_in_a_minute() -> None:
    with hostile_server() as server:
        server.answer = lambda _number, _head: [100.0]
        started = time.monotonic()
        result = run_module("data_volume_info", {"host": server.url, "api_key": ADMIN}).result
        assert (
            "no answer from the Kubernetes API" in result["msg"]
            and time.monotonic() - started < 75
            and len(server.heads) == 1
        )
