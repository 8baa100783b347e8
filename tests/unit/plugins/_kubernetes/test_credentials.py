# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where credentials come from, which ones win, and that wrong ones are reported without secrets."""

from __future__ import annotations

import json
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.access import Access
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.credentials import settle, source_of
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError, CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import known_secrets

from tests.cluster.runtime.certificates import Authority
from tests.hostile import hostile_server, http
from tests.unit.plugins._kubernetes.objects import SECRET, SERVER, kubeconfig_of, sent_by

pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a kubeconfig, or any text, and answers with its path."""

    def to(content: Any, name: str = "config") -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return str(path)

    return to


def _authorization(**params: Any) -> str | None:
    return sent_by(connect(params))


def test_host_and_token_need_no_kubeconfig() -> None:
    connection = connect({"host": SERVER, "api_key": f"{SECRET}\n"})
    assert (connection.host, sent_by(connection)) == (SERVER, f"Bearer {SECRET}")


def test_kubeconfig_is_a_path_or_a_dictionary(write: Callable[..., str]) -> None:
    assert _authorization(kubeconfig=kubeconfig_of()) == f"Bearer {SECRET}"
    assert _authorization(kubeconfig=write(kubeconfig_of())) == f"Bearer {SECRET}"


def test_path_of_a_kubeconfig_expands_home(
    write: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(kubeconfig_of())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _authorization(kubeconfig="~/config") == f"Bearer {SECRET}"


def test_several_kubeconfigs_are_merged(write: Callable[..., str], tmp_path: Path) -> None:
    first = write(kubeconfig_of(name="one"), "first")
    second = write({**kubeconfig_of(name="two"), "current-context": ""}, "second")
    paths = f"{first}:{tmp_path / 'missing'}:{second}"
    assert _authorization(kubeconfig=paths, context="two") == f"Bearer {SECRET}"


def test_service_account_of_a_pod_is_the_last_resort_and_its_token_is_read_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("first\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    def access(params: dict[str, Any]) -> Access:
        return settle(params, service_account=str(tmp_path))

    seconds = [0.0]
    source = source_of(access({}), persist=False, clock=lambda: seconds[-1])
    assert access({}).host == "https://[fd00::1]:443" and access({}).namespace == ""
    assert source.current().authorization == "Bearer first"
    (tmp_path / "namespace").write_text("team-a\n")
    assert access({}).namespace == "team-a"
    monkeypatch.setenv("POD_NAMESPACE", "team-b")
    assert access({}).namespace == "team-b" and access({"kubeconfig": kubeconfig_of()}).namespace == ""
    (tmp_path / "token").write_text("second\n")
    assert source.current().authorization == "Bearer first"
    seconds.append(61)
    assert source.current().authorization == "Bearer second"
    (tmp_path / "token").write_text("")
    seconds.append(200)
    assert source.current().authorization == "Bearer second"
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    (tmp_path / "home" / ".kube" / "config").write_text(json.dumps(kubeconfig_of()))
    assert access({}).host == SERVER
    assert sent_by(connect({"host": "https://other.test", "kubeconfig": kubeconfig_of()})) == f"Bearer {SECRET}"


def test_options_override_the_kubeconfig() -> None:
    other = "https://other.test:6443"
    connection = connect({"kubeconfig": kubeconfig_of(), "host": other, "validate_certs": False})
    assert connection.host == other and not connection.verifies_certificates
    assert _authorization(kubeconfig=kubeconfig_of(), api_key="mine") == "Bearer mine"
    basic = _authorization(kubeconfig=kubeconfig_of(), username="ann", password="pw")
    assert basic == "Basic YW5uOnB3"


def test_user_name_in_the_kubeconfig_is_basic_authentication() -> None:
    assert _authorization(kubeconfig=kubeconfig_of({"username": "ann", "password": "pw"})) == "Basic YW5uOnB3"


def test_credentials_of_a_kubeconfig_are_not_sent_without_tls() -> None:
    assert _authorization(kubeconfig=kubeconfig_of({"as": "bob"}, server="http://127.0.0.1:8001")) is None
    assert _authorization(kubeconfig=kubeconfig_of(server="http://127.0.0.1:8001")) is None
    assert _authorization(kubeconfig=kubeconfig_of(server="http://127.0.0.1:8001"), api_key="mine") == "Bearer mine"


def test_tls_server_name_of_the_kubeconfig_is_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server", "server", addresses=["kubernetes"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    pod = {"kind": "Pod", "metadata": {"name": "one", "uid": "1"}}
    with hostile_server(context=context) as server:
        server.answer = lambda _number, _head: [http(200, json.dumps(pod).encode())]
        cluster = {"server": server.url, "certificate-authority": str(tmp_path / "ca.crt")}
        named = kubeconfig_of(None, **cluster, **{"tls-server-name": "kubernetes"})
        assert connect({"kubeconfig": named}).get(POD, "one", "demo") == pod
        with pytest.raises(ApiError, match="is for other names"):
            connect({"kubeconfig": kubeconfig_of(None, **cluster)}).get(POD, "one", "demo")


def _place(**params: Any) -> str:
    return connect(params).transport.access.place


def test_proxy_comes_from_option_then_kubeconfig_then_environment(
    monkeypatch: pytest.MonkeyPatch, write: Callable[..., str]
) -> None:
    config = kubeconfig_of(None, **{"proxy-url": "http://config.test:1"})
    monkeypatch.setenv("HTTPS_PROXY", "http://environment.test:2")
    monkeypatch.setenv("HTTP_PROXY", "http://not-for-https.test:3")
    through = f"{SERVER} through the proxy http://"
    assert _place(kubeconfig=config, proxy="http://option.test:3") == f"{through}option.test:3"
    assert _place(kubeconfig=write(config)) == f"{through}config.test:1"
    assert _place(kubeconfig=kubeconfig_of()) == f"{through}environment.test:2"
    assert _place(kubeconfig=config, no_proxy="other.test,cluster.test") == SERVER
    monkeypatch.setenv("NO_PROXY", "cluster.test")
    assert _place(kubeconfig=kubeconfig_of()) == SERVER
    assert _place(kubeconfig=config) == f"{through}config.test:1"
    assert _place(kubeconfig=config, proxy="http://option.test:3") == f"{through}option.test:3"


@pytest.mark.parametrize(
    ("login", "options"), [("ann:p%40w", {}), ("a:b", {"proxy_headers": {"proxy_basic_auth": "ann:p@w"}})]
)
@pytest.mark.parametrize("host", [SERVER, "http://cluster.test"])
def test_credentials_of_a_proxy_are_sent_as_a_header(host: str, login: str, options: dict[str, Any]) -> None:
    with hostile_server() as proxy:
        proxy.answer = lambda _number, _head: [http(407, b"")]
        url = proxy.url.replace("://", f"://{login}@")
        connection = connect({"host": host, "api_key": "x", "proxy": url, **options})
        with pytest.raises(ApiError, match="407"):
            connection.get(POD, "one", "demo")
    (head,) = proxy.heads
    assert b"proxy-authorization: basic yw5uonbadw==" in head.lower().split(b"\r\n") and b"ann" not in head
    assert connection.transport.access.place == f"{host} through the proxy {proxy.url}" and "p@w" in known_secrets()


def test_socks_proxy_without_its_package_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    with pytest.raises(
        CdiError,
        match=r"proxy is socks5h://proxy.test:1080, and the Python package PySocks, .* with: pip install PySocks",
    ):
        connect({"host": SERVER, "api_key": "x", "proxy": "socks5://proxy.test:1080"})


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"api_key": f"{SECRET} and more"}, "api_key contains white space"),
        ({"api_key": f"{SECRET}\nX-Header: 1"}, "api_key contains white space"),
        ({"host": f"https://ann:{SECRET}@cluster.test"}, "set username and password instead"),
        (
            {"host": "cluster.test:6443"},
            "host 'cluster.test:6443' is not a valid API server URL; write it as https://NAME:6443.",
        ),
        ({"host": f"ann:{SECRET}@cluster.test:6443"}, "host '***@cluster.test:6443' is not a valid API server URL"),
        ({"host": "https://cluster.test:port"}, "write it as https://NAME:6443"),
        ({"host": "https://[cluster"}, "write it as https://NAME:6443"),
        ({"host": "https://cluster.test\r\nX: 1"}, "write it as https://NAME:6443"),
        (
            {"proxy": f"ftp://ann:{SECRET}@proxy.test"},
            "proxy is not a valid proxy URL; write it as http://NAME:3128; percent-encode",
        ),
        ({"proxy": f"http://ann:{SECRET}@proxy.test:x"}, "proxy is not a valid proxy URL"),
        ({"proxy": f"http://ann:p@ss/{SECRET}?@proxy.test:3128"}, "proxy is not a valid proxy URL"),
        ({"impersonate_groups": ["ops"]}, "without impersonate_user"),
        ({"impersonate_user": "ann\r\nX-Header: 1"}, "contains non-printable characters"),
        ({"ca_cert": "/nonexistent/ca"}, "ca_cert '/nonexistent/ca' does not exist; give the path of a PEM file."),
        ({"ca_cert": "/"}, "ca_cert '/' is a directory; give the path of a PEM file."),
        ({"ca_cert": "/nul\0"}, "ca_cert is not a path; give the path of a PEM file."),
        (
            {"client_cert": "/nonexistent/crt", "client_key": "/nonexistent/key"},
            "client_cert '/nonexistent/crt' does not exist",
        ),
        ({"client_cert": "/dev/null"}, "client_cert is set without client_key; set both"),
        ({"client_key": "/dev/null"}, "client_key is set without client_cert; set both"),
        ({"password": SECRET}, "password is set without username; set both."),
        (
            {"api_key": None},
            "host is set, but neither api_key nor a client certificate is; set api_key, or client_cert and client_key.",
        ),
    ],
)
def test_bad_options_are_rejected_without_secrets(params: dict[str, Any], named: str) -> None:
    with pytest.raises(CdiError) as refused:
        connect({"host": SERVER, "api_key": "x", **params})
    assert named in str(refused.value) and SECRET not in str(refused.value) and "\n" not in str(refused.value)


def test_missing_credentials_are_reported_with_a_remedy() -> None:
    with pytest.raises(CdiError) as refused:
        connect({})
    assert str(refused.value) == (
        "Cannot load the cluster's credentials: there is no kubeconfig '~/.kube/config'; "
        "give kubeconfig, or host and api_key (or the variables K8S_AUTH_*)."
    )


def test_kubeconfig_variable_without_existing_files_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nope/a:/nope/b")
    with pytest.raises(
        CdiError, match=r"none of the files of the variable KUBECONFIG exists \('/nope/a', '/nope/b'\); give"
    ):
        connect({})


def test_large_kubeconfig_adds_only_the_secrets_of_the_chosen_user(write: Callable[..., str]) -> None:
    """Until the user is chosen, errors may name all. Searching all output for hundreds would take minutes."""
    config = kubeconfig_of(
        {"token": SECRET, "misspelt": "secret-too"}, **{"proxy-url": "http://ann:proxy-secret@proxy.test"}
    )
    config["users"] += [{"name": str(number), "user": {"token": f"secret-of-{number}"}} for number in range(300)]
    for kubeconfig in (config, write(config)):
        connect({"kubeconfig": kubeconfig, "password": "pass-word", "username": "ann"})
        assert known_secrets() == {SECRET, "secret-too", "proxy-secret", "pass-word"}
    with pytest.raises(CdiError):
        connect({"kubeconfig": config, "context": "gone"})
    assert "secret-of-299" in known_secrets()


@pytest.mark.parametrize(
    ("login", "known"),
    [("a-token-that-is-long", {"a-token-that-is-long"}), ("ann", set()), ("ann:p%40w-secret", {"p@w-secret"})],
)
def test_secret_of_a_proxy_in_the_environment_is_known(
    monkeypatch: pytest.MonkeyPatch, login: str, known: set[str]
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{login}@proxy.test:3128")
    connect({"host": SERVER, "api_key": "x"})
    assert known_secrets() - {"x"} == known


def test_empty_options_count_as_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = dict.fromkeys(
        ("host", "context", "username", "password", "client_cert", "proxy", "no_proxy", "impersonate_user"), ""
    )
    params = {**empty, "kubeconfig": kubeconfig_of(), "impersonate_groups": [""], "proxy_headers": {"basic_auth": ""}}
    connection = connect(params)
    assert (connection.host, sent_by(connection)) == (SERVER, f"Bearer {SECRET}")
    assert connect({"host": SERVER, "api_key": "x", "kubeconfig": " \n", "proxy": "\t"}).host == SERVER
    assert connect({"host": f" {SERVER}\n", "api_key": "x"}).host == SERVER


def test_missing_package_is_reported_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3", None)
    with pytest.raises(CdiError, match="pip install 'kubernetes>=29'"):
        connect({"host": SERVER, "api_key": "x"})
