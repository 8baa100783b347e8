# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rejected credentials are renewed once and the request is repeated; an error of a connection is one sentence."""

from __future__ import annotations

import base64
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError, CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import NAMESPACE, POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import known_secrets
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.websockets import open_websocket

from tests.cluster.runtime.certificates import Authority
from tests.hostile import hostile_server
from tests.kubectl.cases import config
from tests.kubectl.servers import HERE, Servers
from tests.modules import no_sleep


@pytest.fixture(autouse=True)
def _plain(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    servers.seen.clear()
    servers.proxied.clear()
    servers.reject.clear()
    for name in ("KUBECONFIG", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def _connect(
    servers: Servers, user: Any, cluster: Any = None, clock: Callable[[], float] = time.monotonic, **params: Any
) -> Connection:
    kubeconfig = json.loads(servers.text(json.dumps(config(cluster, user))))
    return connect({"kubeconfig": kubeconfig, **params}, clock=clock, sleep=no_sleep)


def _sent(servers: Servers) -> list[str]:
    return [request["authorization"] for request in servers.seen]


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """A user whose plugin returns the tokens number-1, number-2, and so on."""

    def make(**more: str) -> dict[str, Any]:
        status = json.dumps({"token": "number-@", **more}).replace("@", "'$count'")
        credential = (
            f'{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {status}}}'
        )
        script = tmp_path / "plugin.sh"
        script.write_text(f"#!/bin/sh\ncd {tmp_path}\necho >>runs\ncount=$(wc -l <runs)\necho '{credential}'\n")
        script.chmod(0o755)
        return {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": str(script),
                "interactiveMode": "Never",
            }
        }

    return make


def test_rejected_token_of_a_plugin_is_renewed_once(servers: Servers, plugin: Any) -> None:
    connection = _connect(servers, plugin())
    connection.get(NAMESPACE, "default")
    servers.reject.append("Bearer number-1")
    for _time in range(3):
        assert connection.get(NAMESPACE, "default")
    assert _sent(servers) == ["Bearer number-1"] * 2 + ["Bearer number-2"] * 3
    assert "number-2" in known_secrets()


def test_server_that_rejects_every_token_gets_two_requests(servers: Servers, plugin: Any) -> None:
    servers.reject.extend(f"Bearer number-{number}" for number in range(9))
    connection = _connect(servers, plugin())
    with pytest.raises(ApiError) as raised:
        connection.get(NAMESPACE, "default")
    assert raised.value.code == 401 and len(servers.seen) == 2


def test_concurrent_requests_renew_a_token_once(servers: Servers, plugin: Any, tmp_path: Path) -> None:
    connection = _connect(servers, plugin())
    servers.reject.append("Bearer number-1")
    threads = [threading.Thread(target=connection.get, args=(NAMESPACE, "default")) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "runs").read_text() == "\n\n" and _sent(servers).count("Bearer number-2") == 8


def test_token_file_is_read_again_after_a_rejection(servers: Servers, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    connection = _connect(servers, {"tokenFile": str(file)})
    connection.get(NAMESPACE, "default")
    file.write_text("second\n")
    servers.reject.append("Bearer first")
    assert connection.get(NAMESPACE, "default")
    assert _sent(servers) == ["Bearer first", "Bearer first", "Bearer second"]


@pytest.fixture
def certificate(servers: Servers, tmp_path: Path) -> Callable[[str, str], dict[str, Any]]:
    """Writes certificate and key into two files, and returns a user of a kubeconfig with these files."""

    def write(certificate: str, key: str) -> dict[str, Any]:
        (tmp_path / "tls.crt").write_bytes(Path(servers.file(certificate)).read_bytes())
        (tmp_path / "tls.key").write_bytes(Path(servers.file(key)).read_bytes())
        return {"client-certificate": str(tmp_path / "tls.crt"), "client-key": str(tmp_path / "tls.key")}

    return write


def _shown(servers: Servers) -> list[str]:
    return [request["certificate"] for request in servers.seen]


def test_client_certificate_is_read_again_after_a_rejection(servers: Servers, certificate: Any) -> None:
    connection = _connect(servers, certificate("admin.crt", "admin.key"))
    connection.get(NAMESPACE, "default")
    certificate("other.crt", "other.key")
    assert connection.get(NAMESPACE, "default")
    servers.reject.append("admin")
    for _time in range(2):
        assert connection.get(NAMESPACE, "default")
    assert _shown(servers) == ["admin"] * 3 + ["other"] * 2


def test_client_certificate_is_read_again_after_a_minute_if_it_matches_its_key(
    servers: Servers, certificate: Any
) -> None:
    seconds = [0.0]
    connection = _connect(servers, certificate("admin.crt", "admin.key"), clock=lambda: seconds[-1])
    for pair in (("other.crt", "admin.key"), ("ca.key", "admin.key"), ("other.crt", "other.key")):
        certificate(*pair)
        seconds.append(seconds[-1] + 60)
        assert connection.get(NAMESPACE, "default")
    assert _shown(servers) == ["admin", "admin", "other"]


def test_fixed_token_is_sent_once(servers: Servers) -> None:
    servers.reject.append("Bearer fixed")
    with pytest.raises(ApiError, match="401"):
        _connect(servers, {"token": "fixed"}).get(NAMESPACE, "default")
    assert len(servers.seen) == 1


def test_plugin_that_fails_after_a_rejection_is_quoted(servers: Servers, plugin: Any, tmp_path: Path) -> None:
    connection = _connect(servers, plugin())
    (tmp_path / "plugin.sh").write_text("#!/bin/sh\necho your session has ended >&2\nexit 1\n")
    servers.reject.append("Bearer number-1")
    with pytest.raises(ApiError) as raised:
        connection.get(NAMESPACE, "default")
    assert raised.value.code == 401
    assert "rejected the credentials (HTTP 401), and they cannot be renewed: " in str(
        raised.value
    ) and "(your session has ended)" in str(raised.value)


def test_watch_and_port_forward_use_the_renewed_token(servers: Servers, plugin: Any) -> None:
    connection = _connect(servers, plugin())
    servers.reject.append("Bearer number-1")
    # This server supports neither watches nor WebSockets: it answers each accepted request with an object.
    with pytest.raises(ApiError):
        list(connection.watch(NAMESPACE, None, "1", timeout_seconds=1, quiet_seconds=1))
    servers.reject.append("Bearer number-2")
    with pytest.raises(ApiError):
        open_websocket(connection.transport, POD, "cdi", "one", "portforward", "ports=1", ["a"])
    assert _sent(servers) == [f"Bearer number-{number}" for number in (1, 2, 2, 3)]


def test_id_token_is_refreshed_and_kept_on_request(servers: Servers, tmp_path: Path) -> None:

    def token(seconds: int) -> str:
        payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + seconds}).encode()).decode().rstrip("=")
        return f"header.{payload}.signature"

    new, forms = token(600), []

    class Issuer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"token_endpoint": f"http://127.0.0.1:{server.server_port}/token"})

        def do_POST(self) -> None:
            forms.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._answer({"id_token": new, "refresh_token": "next-refresh-token"})

        def _answer(self, content: dict[str, str]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        provider = {
            "idp-issuer-url": f"http://127.0.0.1:{server.server_port}",
            "client-id": "me",
            "id-token": token(-60),
            "refresh-token": "a-refresh-token",
        }
        file = tmp_path / "config"
        file.write_text(servers.text(json.dumps(config(user={"auth-provider": {"name": "oidc", "config": provider}}))))
        connection = connect({"kubeconfig": str(file), "persist_config": True})
        assert connection.get(NAMESPACE, "default")
        server.shutdown()
    assert _sent(servers) == [f"Bearer {new}"] and forms == ["grant_type=refresh_token&refresh_token=a-refresh-token"]
    kept = yaml.safe_load(file.read_text())["users"][0]["user"]["auth-provider"]["config"]
    assert (kept["id-token"], kept["refresh-token"]) == (new, "next-refresh-token")
    assert {new, "next-refresh-token"} <= known_secrets()
    unreachable = r"the issuer 'http://127.0.0.1:\d+' cannot be reached \(NewConnectionError\)\.$"
    with pytest.raises(CdiError, match=rf"users\['u'\].auth-provider: {unreachable}"):
        connect({"kubeconfig": oidc_kubeconfig(servers, {**provider})})


def oidc_kubeconfig(servers: Servers, provider: dict[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(
        servers.text(json.dumps(config(user={"auth-provider": {"name": "oidc", "config": provider}})))
    )
    return content


# Reads a kubeconfig from its standard input, sends a request, and is killed.
_KILLED = """
import json, os, signal, sys
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import NAMESPACE

connect({"kubeconfig": json.load(sys.stdin)}).get(NAMESPACE, "default")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_key_remains_in_a_temporary_file(servers: Servers, tmp_path: Path) -> None:
    user = {"client-certificate-data": "@data:admin.crt@", "client-key-data": "@data:admin.key@"}
    kubeconfig = servers.text(json.dumps(config(None, user)))
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", _KILLED], input=kubeconfig, text=True, env=variables, check=False)
    assert ended.returncode == -signal.SIGKILL and servers.seen[0]["certificate"] == "admin"
    assert os.listdir(tmp_path) == []


def test_port_forward_uses_proxy_certificate_and_impersonation(servers: Servers) -> None:
    user = {
        "client-certificate-data": "@data:admin.crt@",
        "client-key-data": "@data:admin.key@",
        "as": "bob",
        "as-groups": ["dev", "ops"],
    }
    cluster = {
        "server": f"https://{HERE}:@https@",
        "certificate-authority-data": "@data:ca.crt@",
        "tls-server-name": "api.test",
    }
    connection = _connect(servers, user, {**cluster, "proxy-url": "http://ann:p%40w@127.0.0.1:@proxy@"})
    with pytest.raises(ApiError):
        open_websocket(connection.transport, POD, "cdi", "one", "portforward", "ports=1", ["a"])
    assert servers.seen[0]["certificate"] == "admin" and servers.proxied == [
        f"proxy {HERE}:{servers.https} basic yw5uonbadw=="
    ]
    assert servers.seen[0]["impersonation"] == [
        ("impersonate-group", "dev"),
        ("impersonate-group", "ops"),
        ("impersonate-user", "bob"),
    ]
    plain = _connect(servers, {}, {"server": f"http://{HERE}:@http@", "proxy-url": "http://127.0.0.1:@proxy@"})
    with pytest.raises(ApiError):
        open_websocket(plain.transport, POD, "cdi", "one", "portforward", "ports=1", ["a"])
    assert servers.proxied[1:] == [f"proxy {HERE}:{servers.http}"] and servers.seen[1]["server"] == "http"


def test_expired_server_certificate_is_reported(tmp_path: Path) -> None:
    authority = Authority(tmp_path, lifetime=timedelta(minutes=-1))
    authority.issue("server", "server", addresses=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with hostile_server(context=context) as server, pytest.raises(ApiError) as raised:
        connect({"host": server.url, "api_key": "a-secret", "ca_cert": str(tmp_path / "server.crt")}).get(
            NAMESPACE, "default"
        )
    assert str(raised.value).endswith(
        "(certificate has expired); renew it, or correct the clock of the host that runs the task."
    )


HOST = r"the certificate of https://127[.0]*\.1:\d+"
CONNECTION_ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown-ca": (
        {"server": "https://127.0.0.1:@https@", "certificate-authority": "@file:foreign.crt@"},
        rf"{HOST} is not valid \(.*\); set its CA as ca_cert\.$",
    ),
    "other-host": (
        {"server": "https://127.1:@https@", "certificate-authority": "@file:ca.crt@"},
        rf"{HOST} is for other names \(.*127\.1.*\); use a name of the certificate in host, "
        r"or set tls-server-name in the kubeconfig to one\.$",
    ),
    "other-name": (
        {
            "server": "https://127.0.0.1:@https@",
            "certificate-authority": "@file:ca.crt@",
            "tls-server-name": "nobody.test",
        },
        rf"{HOST}, requested as 'nobody\.test', is for other names \(.*\); use a name",
    ),
    "proxy-unknown-ca": (
        {
            "server": "https://127.0.0.1:@https@",
            "certificate-authority": "@file:foreign.crt@",
            "proxy-url": "https://127.0.0.1:@tls_proxy@",
        },
        r"the certificate of the proxy https://127\.0\.0\.1:\d+ is not valid \(.*\); "
        r"add its CA to the store of the system, or to ca_cert\.$",
    ),
    "no-tls": (
        {"server": "https://127.0.0.1:@http@", "certificate-authority": "@file:ca.crt@"},
        r"does not speak TLS \(.*\); check the port, or write host as http://\.$",
    ),
    "dead": (
        {"server": "https://127.0.0.1:1", "certificate-authority": "@file:ca.crt@"},
        r"no answer from the Kubernetes API at https://127\.0\.0\.1:1 \(.*refused.*\); check host, proxy",
    ),
    "dead-proxy": (
        {
            "server": "https://127.0.0.1:@https@",
            "certificate-authority": "@file:ca.crt@",
            "proxy-url": "http://ann:a-secret@127.0.0.1:1",
        },
        r"through the proxy http://127\.0\.0\.1:1 \(.*refused.*\); "
        r"check host, the dictionary in kubeconfig, clusters\['c'\]\.proxy-url and",
    ),
}


@pytest.mark.parametrize(("cluster", "message"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS)
def test_connection_error_names_the_cause(servers: Servers, cluster: dict[str, Any], message: str) -> None:
    connection = _connect(servers, {"token": "a-secret"}, cluster)
    for ask in (lambda: connection.get(NAMESPACE, "default"), lambda: connection.list(NAMESPACE)):
        with pytest.raises(ApiError, match=message) as raised:
            ask()
        assert raised.value.code == 0 and "a-secret" not in str(raised.value)
