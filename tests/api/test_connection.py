# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a real API server: TLS, proxies, credentials of every kind, and what the server says beside its answer."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import client as _connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import exchange as _exchange
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, DATA_VOLUME, NAMESPACE, POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.tunnel import SUBPROTOCOLS

from tests.api.conftest import ADMIN

SERVER = os.environ["KUBEVIRT_CDI_TEST_SERVER"]
CA = os.environ["KUBEVIRT_CDI_TEST_CA"]


def _kubeconfig(user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": SERVER, "certificate-authority": CA, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


def _client_certificate() -> dict[str, str]:
    user: dict[str, str] = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())["users"][0]["user"]
    return user


@pytest.mark.parametrize(
    "params",
    [
        {"kubeconfig": _kubeconfig({"token": ADMIN})},
        {"kubeconfig": _kubeconfig(_client_certificate())},
        {"kubeconfig": _kubeconfig({"token": "wrong"}), "api_key": ADMIN},
        {"host": SERVER, "api_key": ADMIN, "ca_cert": CA},
        {"kubeconfig": _kubeconfig({"token": ADMIN}, server="https://127.0.0.1:9"), "host": SERVER},
    ],
    ids=["token", "client-certificate", "api_key", "host", "other-host"],
)
def test_credentials_reach_the_server_and_are_admins(params) -> None:
    connection = connect(params)
    for _request in range(2):
        assert connection.get(NAMESPACE, "default")


def test_a_credential_plugins_token_is_accepted(tmp_path) -> None:
    version = "client.authentication.k8s.io/v1"
    credential = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": ADMIN}}
    script = tmp_path / "plugin.py"
    script.write_text(f"print({json.dumps(json.dumps(credential))})")
    user = {
        "exec": {"apiVersion": version, "command": sys.executable, "args": [str(script)], "interactiveMode": "Never"}
    }
    assert connect({"kubeconfig": _kubeconfig(user)}).get(NAMESPACE, "default")


def test_impersonation_takes_the_rights_of_the_other(connection) -> None:
    params = {"host": SERVER, "api_key": ADMIN, "ca_cert": CA, "impersonate_user": "ann"}
    with pytest.raises(ApiError, match='User "ann" cannot get'):
        connect(params).get(CDI, "cdi")
    assert connect({**params, "impersonate_groups": ["dev", "system:masters"]}).get(NAMESPACE, "default")


def test_a_certificate_of_another_ca_is_refused_at_once(monkeypatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("a failed handshake was tried again"))
    with pytest.raises(ApiError, match=rf"the certificate of {SERVER} is not valid \(.*\); give its CA as ca_cert\.$"):
        connect({"host": SERVER, "api_key": ADMIN}).get(CDI, "cdi")


def test_the_servers_name_can_differ_from_its_address() -> None:
    good = _kubeconfig({"token": ADMIN}, **{"tls-server-name": "kubernetes.default.svc"})
    assert connect({"kubeconfig": good}).get(NAMESPACE, "default")
    bad = _kubeconfig({"token": ADMIN}, **{"tls-server-name": "another.test"})
    with pytest.raises(ApiError, match="certificate .* is not valid .*another.test"):
        connect({"kubeconfig": bad}).get(NAMESPACE, "default")


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[bytes]]]:
    """An HTTP proxy that demands ann's password: its address, and the head of each request that it got."""
    heads: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            heads.append(head)
            if b"proxy-authorization: basic yw5uonb3" not in head.lower():
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            host, port = head.split()[1].decode().split(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                ends = {client: server, server: client}
                while True:
                    for ready in select.select(list(ends), [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        ends[ready].sendall(data)

    def accept() -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}", heads
    listener.close()


@pytest.mark.parametrize("given", ["option", "kubeconfig", "environment"])
def test_a_proxy_with_a_password_is_gone_through(proxy, monkeypatch, given) -> None:
    address, heads = proxy
    url = f"http://ann:pw@{address}"
    params: dict[str, Any] = {"kubeconfig": _kubeconfig({"token": ADMIN})}
    if given == "option":
        params["proxy"] = url
    elif given == "kubeconfig":
        params["kubeconfig"] = _kubeconfig({"token": ADMIN}, **{"proxy-url": url})
    else:
        monkeypatch.setenv("HTTPS_PROXY", url)
    assert connect(params).get(NAMESPACE, "default")
    assert [head.split()[0] for head in heads] == [b"CONNECT"]
    assert connect({**params, "no_proxy": SERVER.split("/")[2].split(":")[0]}).get(NAMESPACE, "default")
    assert len(heads) == 1


def test_a_proxy_that_refuses_is_named_without_its_password(proxy, monkeypatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    params = {"kubeconfig": _kubeconfig({"token": ADMIN}), "proxy": f"http://ann:a-wrong-password@{proxy[0]}"}
    with pytest.raises(ApiError) as told:
        connect(params).get(NAMESPACE, "default")
    assert f"through the proxy http://{proxy[0]} (" in str(told.value) and "407" in str(told.value)
    assert "a-wrong-password" not in str(told.value)


def test_a_login_page_is_no_api(wire, connection) -> None:
    wire.faults.append((200, {"Content-Type": "text/html"}, b"<html>Please log in</html>"))
    with pytest.raises(ApiError, match=r"did not answer as a Kubernetes API but with an HTML page"):
        connection.get(CDI, "cdi")


def test_a_server_that_asks_for_a_long_pause_is_asked_earlier(wire, connection, monkeypatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    wire.faults.append((503, {"Retry-After": "86400"}, b"{}"))
    assert connection.get(NAMESPACE, "default")
    assert pauses == [_exchange.RETRY_AFTER_MAX_SECONDS]


@pytest.mark.parametrize("expired", [1, 2], ids=["once", "twice"])
def test_a_list_that_expires_between_two_pages_starts_again(wire, connection, namespace, monkeypatch, expired) -> None:
    monkeypatch.setattr(_connection, "PAGE_SIZE", 2)
    spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
    for number in range(3):
        body = {"metadata": {"name": f"disk-{number}"}, "spec": spec}
        kind = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind}
        connection.create(DATA_VOLUME, {**kind, **body}, namespace, dry_run=False)
    gone = (410, {}, json.dumps({"kind": "Status", "code": 410, "reason": "Expired"}).encode())
    real = connection._page

    def cut(resource: Any, namespace: Any, query: Any, *arguments: Any) -> Any:
        nonlocal expired
        if "continue" in query and expired:
            expired -= 1
            wire.faults.append(gone)
        return real(resource, namespace, query, *arguments)

    monkeypatch.setattr(connection, "_page", cut)
    items, _version = connection.list(DATA_VOLUME, namespace)
    assert [item["metadata"]["name"] for item in items] == ["disk-0", "disk-1", "disk-2"]


def test_a_warning_of_the_server_is_told_once(wire, namespace) -> None:
    told: list[str] = []
    connection = connect({"host": wire.url, "api_key": ADMIN}, told.append)
    spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}, "nonsense": True}
    for name in ("one", "two"):
        metadata = {"name": name, "namespace": namespace}
        body = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, "metadata": metadata, "spec": spec}
        connection.create(DATA_VOLUME, body, namespace, dry_run=True)
    assert told == ['The API server warns: unknown field "spec.nonsense"']


def test_modules_show_what_the_server_warns_of(wire, module, namespace) -> None:
    warning = {"Warning": '299 - "v1beta1 is \\"old\\""', "Content-Type": "application/json"}
    wire.faults.append(
        (404, warning, json.dumps({"kind": "Status", "reason": "NotFound", "details": {"name": "disk"}}).encode())
    )
    volume = {"name": "disk", "source": {"blank": {}}, "storage": {"size": "1Gi"}, "wait": False}
    (warning_shown,) = module("data_volume", namespace=namespace, **volume).result["warnings"]
    assert r"The API server warns: v1beta1 is \"old\"" in json.dumps(warning_shown)


@pytest.mark.parametrize(
    "options",
    [
        {"proxy": "http://ann:a-secret-word@127.0.0.1:9", "no_proxy": "127.0.0.1"},
        {"host": "http://ann:a-secret-word@127.0.0.1:9"},
        {"host": None, "token": None, "kubeconfig": yaml.safe_dump(_kubeconfig({"token": "a-secret-word"}))},
        {"token": "a-secret-word\nand more"},
    ],
    ids=["proxy", "host", "kubeconfig", "api_key"],
)
def test_secrets_in_options_of_other_kinds_never_show(module: Callable[..., Any], options) -> None:
    assert "a-secret-word" not in module("cdi_info", **options).output


def test_a_failed_task_without_diff_mode_shows_no_diff(wire) -> None:
    from tests.modules import run_module

    volume = {"name": "disk", "namespace": "nowhere", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
    arguments = {"host": wire.url, "api_key": ADMIN, "data_volumes": [volume], "wait": False}
    assert "diff" in run_module("data_volume", arguments).result
    assert "diff" not in run_module("data_volume", arguments, diff=False).result


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxy"])
def test_a_websocket_goes_the_way_of_all_requests(proxy, namespace, proxied) -> None:
    """To a pod that is not there: the API server itself answers, after the handshake and the credentials were good."""
    address, heads = proxy
    wrong = _kubeconfig({"token": ADMIN}, server="https://127.0.0.1:9")
    params = {"kubeconfig": wrong, "host": SERVER, "ca_cert": CA}
    connection = connect({**params, "proxy": f"http://ann:pw@{address}"} if proxied else params)
    connection.get(NAMESPACE, "default")
    with pytest.raises(ApiError, match='pods "nothing" not found'):
        connection.websocket(POD, namespace, "nothing", "portforward", "ports=8443", SUBPROTOCOLS)
    assert len(heads) == (2 if proxied else 0)
