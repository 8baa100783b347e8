# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port-forward that the API server refuses, that is no WebSocket, or that a proxy cannot carry."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import websocket
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError, CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.websockets import open_websocket

from tests.hostile import Hostile, hostile_server, http

pytestmark = pytest.mark.usefixtures("plain_environment")
# Release 1.2 of the package, which Debian 12 and Enterprise Linux 9 have, drops the body of an answer.
DROPS_BODIES = not hasattr(websocket.WebSocketBadStatusException("%s %s", 403), "resp_body")


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile_server() as running:
        yield running


def _open(**params: Any) -> Any:
    return open_websocket(
        connect({"api_key": "x", **params}).transport, POD, "cdi", "proxy-1", "portforward", "ports=1", ["a"]
    )


def _refusal(status: int, message: str, reason: str) -> bytes:
    body = {"kind": "Status", "message": message, "reason": reason}
    return http(status, json.dumps(body).encode() if message else b"").replace(b" Status\r", f" {reason}\r".encode())


GRANT = '; grant "get" and "create" on pods/portforward.'
FORBIDDEN = 'pods "proxy-1" is forbidden: User "ann" cannot create resource "pods/portforward"'


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (_refusal(403, FORBIDDEN, "Forbidden"), 403, f"{FORBIDDEN} (HTTP 403){GRANT}"),
        (_refusal(403, "", "Forbidden"), 403, f"Forbidden (HTTP 403){GRANT}"),
        (_refusal(403, "denied by a policy", "Forbidden"), 403, "denied by a policy (HTTP 403)."),
        (_refusal(401, "Unauthorized", "Unauthorized"), 401, "Unauthorized (HTTP 401); the API server rejected "),
    ],
)
def test_refused_port_forward_names_the_verbs_to_grant(server: Hostile, answer: bytes, code: int, said: str) -> None:
    server.answer = lambda _number, _head: [answer]
    with pytest.raises(ApiError) as raised:
        _open(host=server.url)
    if DROPS_BODIES and code == 403:
        said = f"Forbidden (HTTP 403){GRANT}"
    assert str(raised.value).startswith(f"Cannot portforward to Pod cdi/proxy-1: {said}")
    assert raised.value.code == code
    (head,) = server.heads
    assert head.startswith(b"GET /api/v1/namespaces/cdi/pods/proxy-1/portforward?ports=1 ")
    assert b"Authorization: Bearer x" in head


def test_port_forward_through_an_https_proxy_is_refused_with_a_remedy() -> None:
    with pytest.raises(CdiError) as refused:
        _open(host="https://cluster.test:6443", proxy="https://ann:secret@proxy.test:3128")
    assert str(refused.value) == (
        "proxy is https://proxy.test:3128, but port-forwards support only http and socks proxies; "
        "publish the upload proxy and set its URL as upload_proxy_url."
    )


def test_missing_package_of_a_socks_proxy_is_named_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    with pytest.raises(CdiError, match="the Python package PySocks, which SOCKS proxies require, is missing"):
        _open(host="https://cluster.test:6443", proxy="socks5h://proxy.test")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_of_a_port_forward_is_an_error(server: Hostile, status: int) -> None:
    """Releases of the package differ: for some, a redirect that they do not follow is a connection."""
    with hostile_server() as other:
        server.answer = lambda _number, _head: [http(status, b"", ("Location", f"{other.url}/login"))]
        with pytest.raises(ApiError, match=rf"\(the answer is HTTP {status} and not a WebSocket\)"):
            _open(host=server.url)
        assert other.heads == []


@pytest.mark.parametrize("status", [100, 200, 204, 300, 304])
def test_answer_without_a_websocket_is_an_error(server: Hostile, status: int) -> None:
    server.answer = lambda _number, _head: [http(status, b"<html>Please log in</html>")]
    with pytest.raises(ApiError) as raised:
        _open(host=server.url)
    assert str(raised.value) == (
        f"Cannot portforward to Pod cdi/proxy-1: no WebSocket to {server.url} "
        f"(the answer is HTTP {status} and not a WebSocket)."
    )


UPGRADE = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
BROKEN = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no number": b"HTTP/1.1 abc\r\n\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "no text": b"\xff\xfe\x00\r\n\r\n",
    "no header": b"HTTP/1.1 101 Switching\r\nUpgrade\r\n\r\n",
    "no key": UPGRADE + b"\r\n",
    "other key": UPGRADE + b"Sec-WebSocket-Accept: x\r\n\r\n",
    "no length": b"HTTP/1.1 403 Forbidden\r\nContent-Length: x\r\n\r\n",
    "cut": b"HTTP/1.1 101 Swi",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_broken_answer_to_a_port_forward_is_an_error(server: Hostile, answer: bytes) -> None:
    server.answer = lambda _number, _head: [answer]
    with pytest.raises(ApiError, match=r"^Cannot portforward to Pod cdi/proxy-1: .+\.$"):
        _open(host=server.url)
