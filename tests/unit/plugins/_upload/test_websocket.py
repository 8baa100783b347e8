# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the package websocket-client for a port-forward, and the errors of a refused one."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any, ClassVar

import pytest
import websocket
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError, CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.transport import Transport


class _Client:
    """Stands in for `websocket.WebSocket`; `faults` has what all raise."""

    faults: ClassVar[list[Exception]] = []
    status = 101

    def __init__(self, **_options: Any) -> None:
        self.options: dict[str, Any] = {}

    def settimeout(self, _seconds: float) -> None:
        pass

    def getstatus(self) -> int:
        return self.status

    def connect(self, _url: str, **options: Any) -> None:
        self.options = options
        for fault in self.faults:
            raise fault


@pytest.fixture(autouse=True)
def _client(monkeypatch: pytest.MonkeyPatch, plain_environment: None) -> None:
    monkeypatch.setattr(websocket, "WebSocket", _Client)
    carrier = Transport._carrier

    def carrier_of(transport: Transport, credentials: Any) -> Any:
        """What the real one refuses is refused; nothing is opened."""
        return carrier(transport, credentials) if transport._access.proxy else socket.socket()

    monkeypatch.setattr(Transport, "_carrier", carrier_of)


def _open(**params: Any) -> dict[str, Any]:
    connection = connect({"host": "https://cluster.test:6443", "api_key": "x", **params})
    opened: dict[str, Any] = connection.websocket(POD, "cdi", "proxy-1", "portforward", "ports=1", ["a"]).options
    return opened


def _refusal(status: int, message: str, reason: str) -> websocket.WebSocketBadStatusException:
    refused = websocket.WebSocketBadStatusException("Handshake status %s %s", status, reason)
    body = {"kind": "Status", "message": message, "reason": reason}
    refused.resp_body = json.dumps(body).encode() if message else None
    return refused


def _refusal_of_1_2() -> websocket.WebSocketBadStatusException:
    """Without the answer's body, and even the attribute for it."""
    refused = _refusal(403, "", "Forbidden")
    del refused.resp_body
    return refused


GRANT = '; grant "get" and "create" on pods/portforward.'
FORBIDDEN = 'pods "proxy-1" is forbidden: User "ann" cannot create resource "pods/portforward"'


@pytest.mark.parametrize(
    ("refused", "code", "said"),
    [
        (_refusal(403, FORBIDDEN, "Forbidden"), 403, f"{FORBIDDEN} (HTTP 403){GRANT}"),
        (_refusal(403, "", "Forbidden"), 403, f"Forbidden (HTTP 403){GRANT}"),
        (_refusal_of_1_2(), 403, f"Forbidden (HTTP 403){GRANT}"),
        (_refusal(403, "denied by a policy", "Forbidden"), 403, "denied by a policy (HTTP 403)."),
        (_refusal(401, "Unauthorized", "Unauthorized"), 401, "Unauthorized (HTTP 401); the API server rejected "),
        (websocket.WebSocketException("broken"), 0, "no WebSocket to https://cluster.test:6443 (broken)."),
    ],
)
def test_refused_port_forward_names_the_verbs_to_grant(
    monkeypatch: pytest.MonkeyPatch, refused: Exception, code: int, said: str
) -> None:
    monkeypatch.setattr(_Client, "faults", [refused])
    with pytest.raises(ApiError) as raised:
        _open()
    assert str(raised.value).startswith(f"Cannot portforward to Pod cdi/proxy-1: {said}")
    assert raised.value.code == code


def test_port_forward_through_an_https_proxy_is_refused_with_a_remedy() -> None:
    with pytest.raises(CdiError) as refused:
        _open(proxy="https://ann:secret@proxy.test:3128")
    assert str(refused.value) == (
        "proxy is https://proxy.test:3128, but port-forwards support only http and socks proxies; "
        "publish the upload proxy and set its URL as upload_proxy_url."
    )


def test_missing_package_of_a_socks_proxy_is_named_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    with pytest.raises(CdiError, match="the Python package PySocks, which SOCKS proxies require, is missing"):
        _open(proxy="socks5h://proxy.test")


@pytest.mark.parametrize("status", [200, 302])
def test_answer_that_is_not_a_websocket_is_an_error(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """Old releases of the package accept a redirect."""
    monkeypatch.setattr(_Client, "status", status)
    with pytest.raises(ApiError, match=rf"\(the answer is HTTP {status} and not a WebSocket\)"):
        _open()
