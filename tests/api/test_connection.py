# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to a real API server: TLS, proxies, credentials of each kind, and the server's warnings."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import exchange
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CDI, DATA_VOLUME, NAMESPACE, POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.websockets import open_websocket
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.tunnel import SUBPROTOCOLS

from tests.api.objects import ADMIN, HttpProxy, body, kubeconfig
from tests.modules import RunModule, run_module
from tests.wire import Wire

SERVER = os.environ["KUBEVIRT_CDI_TEST_SERVER"]
CA = os.environ["KUBEVIRT_CDI_TEST_CA"]


def _kubeconfig(user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    return kubeconfig({"server": SERVER, "certificate-authority": CA, **cluster}, user)


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
def test_server_accepts_credentials(params: dict[str, Any]) -> None:
    connection = connect(params)
    for _request in range(2):
        assert connection.get(NAMESPACE, "default")


def test_server_accepts_the_token_of_a_credential_plugin(tmp_path: Path) -> None:
    version = "client.authentication.k8s.io/v1"
    credential = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": ADMIN}}
    script = tmp_path / "plugin.py"
    script.write_text(f"print({json.dumps(json.dumps(credential))})")
    user = {
        "exec": {"apiVersion": version, "command": sys.executable, "args": [str(script)], "interactiveMode": "Never"}
    }
    assert connect({"kubeconfig": _kubeconfig(user)}).get(NAMESPACE, "default")


def test_impersonation_has_the_rights_of_the_other_user(connection: Connection) -> None:
    params = {"host": SERVER, "api_key": ADMIN, "ca_cert": CA, "impersonate_user": "ann"}
    with pytest.raises(ApiError, match='User "ann" cannot get'):
        connect(params).get(CDI, "cdi")
    assert connect({**params, "impersonate_groups": ["dev", "system:masters"]}).get(NAMESPACE, "default")


def test_certificate_of_another_ca_is_refused_without_a_retry() -> None:
    pauses: list[float] = []
    with pytest.raises(ApiError, match=rf"the certificate of {SERVER} is not valid \(.*\); set its CA as ca_cert\.$"):
        connect({"host": SERVER, "api_key": ADMIN}, sleep=pauses.append).get(CDI, "cdi")
    assert pauses == []


def test_tls_server_name_may_differ_from_the_address() -> None:
    good = _kubeconfig({"token": ADMIN}, **{"tls-server-name": "kubernetes.default.svc"})
    assert connect({"kubeconfig": good}).get(NAMESPACE, "default")
    bad = _kubeconfig({"token": ADMIN}, **{"tls-server-name": "another.test"})
    with pytest.raises(ApiError, match=r"certificate .* is not valid .*another\.test"):
        connect({"kubeconfig": bad}).get(NAMESPACE, "default")


@pytest.mark.parametrize("given", ["option", "kubeconfig", "environment"])
def test_request_goes_through_a_proxy_with_a_password(
    proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
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


def test_proxy_that_refuses_is_named_without_its_password(proxy: HttpProxy) -> None:
    pauses: list[float] = []
    params = {"kubeconfig": _kubeconfig({"token": ADMIN}), "proxy": f"http://ann:a-wrong-password@{proxy.address}"}
    with pytest.raises(ApiError) as raised:
        connect(params, sleep=pauses.append).get(NAMESPACE, "default")
    message = str(raised.value)
    assert f"through the proxy http://{proxy.address} (" in message and "407" in message
    assert "a-wrong-password" not in message


def test_login_page_is_reported(wire: Wire, connection: Connection) -> None:
    wire.faults.append((200, {"Content-Type": "text/html"}, b"<html>Please log in</html>"))
    with pytest.raises(ApiError, match=r"did not answer as a Kubernetes API but with an HTML page"):
        connection.get(CDI, "cdi")


def test_long_retry_after_is_shortened(wire: Wire) -> None:
    pauses: list[float] = []
    connection = connect({"host": wire.url, "api_key": ADMIN}, sleep=pauses.append)
    wire.faults.append((503, {"Retry-After": "86400"}, b"{}"))
    assert connection.get(NAMESPACE, "default")
    assert pauses == [exchange.RETRY_AFTER_MAX_SECONDS]


@pytest.mark.parametrize("expired", [1, 2], ids=["once", "twice"])
def test_list_that_expires_between_two_pages_starts_again(
    wire: Wire, connection: Connection, namespace: str, expired: int
) -> None:
    wire.page_size = 2
    spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}}
    for number in range(3):
        connection.create(DATA_VOLUME, body(DATA_VOLUME, f"disk-{number}", spec=spec), namespace, dry_run=False)
    wire.fault = (410, {}, json.dumps({"kind": "Status", "code": 410, "reason": "Expired"}).encode())
    wire.trouble = lambda _method, path: (
        "fault" if "continue=" in path and wire.count("GET", "continue=") <= expired else ""
    )
    items, _version = connection.list(DATA_VOLUME, namespace)
    assert wire.count("GET", "continue=") == expired + 1
    assert [item["metadata"]["name"] for item in items] == ["disk-0", "disk-1", "disk-2"]


def test_warning_of_the_server_is_shown_once(wire: Wire, namespace: str) -> None:
    warnings: list[str] = []
    connection = connect({"host": wire.url, "api_key": ADMIN}, warnings.append)
    spec = {"source": {"blank": {}}, "storage": {"resources": {"requests": {"storage": "1Gi"}}}, "nonsense": True}
    for name in ("one", "two"):
        connection.create(DATA_VOLUME, body(DATA_VOLUME, name, spec=spec), namespace, dry_run=True)
    assert warnings == ['The API server warns: unknown field "spec.nonsense"']


def test_modules_show_warnings_of_the_server(wire: Wire, module: RunModule, namespace: str) -> None:
    warning = {"Warning": '299 - "v1beta1 is \\"old\\""', "Content-Type": "application/json"}
    wire.faults.append(
        (404, warning, json.dumps({"kind": "Status", "reason": "NotFound", "details": {"name": "disk"}}).encode())
    )
    volume: dict[str, Any] = {"name": "disk", "source": {"blank": {}}, "storage": {"size": "1Gi"}, "wait": False}
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
def test_secret_in_a_connection_option_is_never_shown(module: RunModule, options: dict[str, Any]) -> None:
    assert "a-secret-word" not in module("cdi_info", **options).output


def test_failed_task_without_diff_mode_shows_no_diff(wire: Wire) -> None:

    volume = {"name": "disk", "namespace": "nowhere", "source": {"blank": {}}, "storage": {"size": "1Gi"}}
    arguments = {"host": wire.url, "api_key": ADMIN, "data_volumes": [volume], "wait": False}
    assert "diff" in run_module("data_volume", arguments).result
    assert "diff" not in run_module("data_volume", arguments, diff=False).result


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxy"])
def test_websocket_uses_the_proxy_and_credentials_of_requests(proxy: HttpProxy, namespace: str, proxied: bool) -> None:
    """The pod does not exist: the API server answers so after it has accepted handshake and credentials."""
    address, heads = proxy
    wrong = _kubeconfig({"token": ADMIN}, server="https://127.0.0.1:9")
    params = {"kubeconfig": wrong, "host": SERVER, "ca_cert": CA}
    connection = connect({**params, "proxy": f"http://ann:pw@{address}"} if proxied else params)
    connection.get(NAMESPACE, "default")
    with pytest.raises(ApiError, match='pods "nothing" not found'):
        open_websocket(connection.transport, POD, namespace, "nothing", "portforward", "ports=8443", SUBPROTOCOLS)
    assert len(heads) == (2 if proxied else 0)
