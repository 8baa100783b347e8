# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the package websocket-client is told for a port-forward, and what becomes of a refusal."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest
import websocket

from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._errors import ApiError, CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import POD


class _Client:
    """Stands in for `websocket.WebSocket`; `faults` has what all raise."""

    faults: list[Exception] = []

    def __init__(self, **_options: Any) -> None:
        self.told: dict[str, Any] = {}

    def settimeout(self, _seconds: float) -> None:
        pass

    def connect(self, _url: str, **options: Any) -> None:
        self.told = options
        for fault in self.faults:
            raise fault


@pytest.fixture(autouse=True)
def _client(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(websocket, "WebSocket", _Client)


def _open(**params: Any) -> dict[str, Any]:
    connection = connect({"host": "https://cluster.test:6443", "api_key": "x", **params})
    told: dict[str, Any] = connection.websocket(POD, "cdi", "proxy-1", "portforward", "ports=1", ["a"]).told
    return told


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
        (_refusal(401, "Unauthorized", "Unauthorized"), 401, "Unauthorized (HTTP 401); give a valid api_key, "),
        (websocket.WebSocketException("broken"), 0, "no WebSocket to https://cluster.test:6443 (broken)."),
    ],
)
def test_a_refused_port_forward_says_what_to_grant(
    monkeypatch: pytest.MonkeyPatch, refused: Exception, code: int, said: str
) -> None:
    monkeypatch.setattr(_Client, "faults", [refused])
    with pytest.raises(ApiError) as told:
        _open()
    assert str(told.value).startswith(f"Cannot portforward to Pod cdi/proxy-1: {said}")
    assert told.value.code == code


DIRECT = {"http_proxy_host": "none", "http_no_proxy": ["*"]}


def _http(**more: Any) -> dict[str, Any]:
    proxy = {"proxy_type": "http", "http_proxy_host": "proxy.test", "http_proxy_port": 3128}
    return {**proxy, "http_no_proxy": [""], **more}


@pytest.mark.parametrize(
    ("params", "environment", "told"),
    [
        ({}, {}, DIRECT),
        ({"proxy": "http://proxy.test:3128"}, {}, _http()),
        ({"proxy": "http://proxy.test"}, {}, _http(http_proxy_port=80)),
        ({"proxy": "http://ann:p%40w@proxy.test:3128"}, {}, _http(http_proxy_auth=("ann", "p@w"))),
        ({"proxy": "http://proxy.test:3128", "no_proxy": "other.test,cluster.test"}, {}, DIRECT),
        ({}, {"HTTPS_PROXY": "http://proxy.test:3128"}, _http()),
        ({"no_proxy": "cluster.test"}, {"HTTPS_PROXY": "http://proxy.test:3128"}, DIRECT),
    ],
)
def test_a_port_forward_goes_through_the_proxy_of_all_requests_or_through_none(
    monkeypatch: pytest.MonkeyPatch, params: dict[str, str], environment: dict[str, str], told: dict[str, Any]
) -> None:
    """Left to itself, websocket-client looks at the environment, and by other rules."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    opened = _open(**params)
    assert {name: value for name, value in opened.items() if "proxy" in name} == told


def test_a_port_forward_through_an_https_proxy_is_refused_with_another_way() -> None:
    with pytest.raises(CdiError) as told:
        _open(proxy="https://ann:secret@proxy.test:3128")
    assert str(told.value) == (
        "proxy is https://proxy.test:3128, and port-forwards go through http and socks proxies only; "
        "publish the upload proxy and give its URL as upload_proxy_url."
    )


@pytest.fixture
def _socks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes socks proxies, as the package kubernetes from 37 on does with PySocks."""

    class Pool:
        proxy = None
        proxy_url = "socks5h://proxy.test"

    def configured(api_client: Any, *_rest: Any) -> None:
        api_client.rest_client = types.SimpleNamespace(pool_manager=Pool())

    monkeypatch.setattr("kubernetes.client.ApiClient.__init__", configured)


@pytest.mark.usefixtures("_socks")
def test_a_port_forward_goes_through_a_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    package: Any = types.ModuleType("python_socks")
    package.ProxyError = type("ProxyError", (Exception,), {})
    monkeypatch.setitem(sys.modules, "python_socks", package)
    told = _open(proxy="socks5h://ann:pw@proxy.test")
    assert (told["proxy_type"], told["http_proxy_host"], told["http_proxy_port"]) == ("socks5h", "proxy.test", 1080)
    assert told["http_proxy_auth"] == ("ann", "pw")
    monkeypatch.setattr(_Client, "faults", [package.ProxyError("Connection refused by destination host")])
    with pytest.raises(ApiError, match=r"no WebSocket to https://cluster.test:6443 \(Connection refused by dest"):
        _open(proxy="socks5h://proxy.test")


@pytest.mark.usefixtures("_socks")
def test_what_a_port_forward_through_a_socks_proxy_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    with pytest.raises(CdiError) as told:
        _open(proxy="socks5h://proxy.test")
    assert str(told.value) == (
        "proxy is socks5h://proxy.test, and the Python package python-socks, which port-forwards through it need, "
        "is missing on the host that runs this task; install it there with: pip install python-socks."
    )
