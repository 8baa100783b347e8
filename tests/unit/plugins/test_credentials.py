# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where credentials come from, which of them win, and that no way of giving them wrong shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._errors import CdiError

SERVER = "https://cluster.test:6443"
SECRET = "a-very-secret-token"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "no-config"))


def _kubeconfig(user: dict[str, Any] | None = None, *, name: str = "one", **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": SERVER, **cluster}}],
        "users": [{"name": name, "user": {"token": SECRET} if user is None else user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a kubeconfig, or any text, and answers with its path."""

    def to(content: Any, name: str = "config") -> str:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return str(path)

    return to


def _authorization(**params: Any) -> str | None:
    return connect(params).transport._authorization()


def test_host_and_token_need_no_kubeconfig() -> None:
    connection = connect({"host": SERVER, "api_key": f"{SECRET}\n"})
    assert (connection.host, connection.transport._authorization()) == (SERVER, f"Bearer {SECRET}")


def test_a_kubeconfig_is_a_path_or_a_dictionary(write) -> None:
    assert _authorization(kubeconfig=_kubeconfig()) == f"Bearer {SECRET}"
    assert _authorization(kubeconfig=write(_kubeconfig())) == f"Bearer {SECRET}"


def test_a_path_may_start_at_home(write, monkeypatch, tmp_path) -> None:
    write(_kubeconfig())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _authorization(kubeconfig="~/config") == f"Bearer {SECRET}"


def test_several_kubeconfigs_are_merged(write, tmp_path) -> None:
    first = write(_kubeconfig(name="one"), "first")
    second = write({**_kubeconfig(name="two"), "current-context": ""}, "second")
    paths = f"{first}:{tmp_path / 'missing'}:{second}"
    assert _authorization(kubeconfig=paths, context="two") == f"Bearer {SECRET}"


def test_a_pods_service_account_is_used_and_its_token_read_again(monkeypatch, tmp_path) -> None:
    import datetime

    from kubernetes.config import incluster_config

    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_text("a certificate")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    connection = connect({})
    assert connection.host == "https://10.96.0.1:443"
    assert connection.transport._authorization() == "bearer first"
    (tmp_path / "token").write_text("second\n")
    now = datetime.datetime.now()

    class Later(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return now + datetime.timedelta(minutes=2)

    monkeypatch.setattr(incluster_config.datetime, "datetime", Later)
    assert connection.transport._authorization() == "bearer second"


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """A user whose credential plugin runs this Python code."""

    def make(code: str) -> dict[str, Any]:
        script = tmp_path / "plugin.py"
        script.write_text(code)
        version = "client.authentication.k8s.io/v1"
        return {"exec": {"apiVersion": version, "command": sys.executable, "args": [str(script)]}}

    return make


def _credential(**status: str) -> str:
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return f"print({json.dumps(json.dumps(credential))})"


def test_a_credential_plugin_gives_the_token_and_renews_it(plugin, tmp_path) -> None:
    status = 'dict(token=f"number-{count}", expirationTimestamp="2020-01-01T00:00:00Z")'
    counting = f"""
import json, pathlib
file = pathlib.Path({str(tmp_path / "count")!r})
count = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(count))
print(json.dumps(dict(apiVersion="client.authentication.k8s.io/v1", kind="ExecCredential", status={status})))
"""
    connection = connect({"kubeconfig": _kubeconfig(plugin(counting))})
    assert [connection.transport._authorization() for _time in range(2)] == ["Bearer number-2", "Bearer number-3"]


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import sys; sys.exit('log in first')", "process returned 1. log in first"),
        ("print('no json')", "failed to decode"),
        (_credential(), "missing token"),
    ],
)
def test_a_credential_plugin_that_fails_is_quoted(plugin, code, named) -> None:
    with pytest.raises(CdiError, match="credential plugin gives no credentials") as told:
        connect({"kubeconfig": _kubeconfig(plugin(code))})
    assert named in str(told.value) and "\n" not in str(told.value)


def test_a_credential_plugin_that_is_not_installed_is_told() -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}}
    with pytest.raises(CdiError, match="no-such-plugin"):
        connect({"kubeconfig": _kubeconfig(user)})


def test_options_win_over_the_kubeconfig_at_every_request() -> None:
    other = "https://other.test:6443"
    connection = connect({"kubeconfig": _kubeconfig(), "host": other, "validate_certs": False})
    connection.transport._authorization()  # runs the hook that sets the kubeconfig's values again
    assert connection.host == other and not connection.verifies_certificates
    assert (connection.transport._configuration.host, connection.transport._configuration.verify_ssl) == (other, False)
    assert _authorization(kubeconfig=_kubeconfig(), api_key="mine") == "Bearer mine"
    basic = _authorization(kubeconfig=_kubeconfig(), username="ann", password="pw")
    assert basic == "Basic YW5uOnB3"


def test_a_user_name_in_the_kubeconfig_is_basic_authentication() -> None:
    assert _authorization(kubeconfig=_kubeconfig({"username": "ann", "password": "pw"})) == "Basic YW5uOnB3"


def test_no_credentials_send_no_header() -> None:
    assert _authorization(kubeconfig=_kubeconfig({})) is None


def _pool(**params: Any) -> Any:
    return connect(params).transport.api_client.rest_client.pool_manager


def test_a_server_name_of_the_kubeconfig_is_asked_for() -> None:
    pool = _pool(kubeconfig=_kubeconfig(**{"tls-server-name": "kubernetes"}))
    assert pool.connection_pool_kw["server_hostname"] == "kubernetes"


def test_the_option_then_the_kubeconfig_then_the_environment_names_the_proxy(monkeypatch, write) -> None:
    config = _kubeconfig(**{"proxy-url": "http://config.test:1"})
    monkeypatch.setenv("HTTPS_PROXY", "http://environment.test:2")
    monkeypatch.setenv("HTTP_PROXY", "http://not-for-https.test:3")
    assert _pool(kubeconfig=config, proxy="http://option.test:3").proxy.host == "option.test"
    assert _pool(kubeconfig=write(config)).proxy.host == "config.test"
    assert _pool(kubeconfig=_kubeconfig()).proxy.host == "environment.test"
    assert _pool(kubeconfig=config, no_proxy="other.test,cluster.test").proxy is None
    monkeypatch.setenv("NO_PROXY", "cluster.test")
    assert _pool(kubeconfig=_kubeconfig()).proxy is None


def test_credentials_in_the_proxys_url_are_sent_to_the_proxy_and_kept_out_of_its_address() -> None:
    pool = _pool(host=SERVER, api_key="x", proxy="http://ann:p%40w@proxy.test:3128")
    assert pool.proxy_headers == {"proxy-authorization": "Basic YW5uOnBAdw=="}
    assert "ann" not in pool.proxy.url
    given = _pool(host=SERVER, api_key="x", proxy="http://a:b@p.test:1", proxy_headers={"proxy_basic_auth": "ann:p@w"})
    assert given.proxy_headers == {"proxy-authorization": "Basic YW5uOnBAdw=="}


def test_a_proxy_that_cannot_be_used_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    with pytest.raises(CdiError, match="proxy is socks5://proxy.test:1080, which"):
        connect({"host": SERVER, "api_key": "x", "proxy": "socks5://proxy.test:1080"})


def test_what_is_wrong_with_a_kubeconfig_is_one_sentence_without_its_secrets(write) -> None:
    broken = {
        "there is no such file": "/nonexistent/config",
        r"no valid YAML \(line 2\)": write(f"token: {SECRET}\n  other: [\n", "yaml"),
        "(No configuration found|is empty)": write("", "empty"),
        "malformed": write(f"- {SECRET}\n", "list"),
        "nowhere": {**_kubeconfig(), "current-context": "nowhere"},
        "is the text of a kubeconfig": yaml.safe_dump(_kubeconfig()),
        "is a list": [SECRET],
    }
    for named, kubeconfig in broken.items():
        with pytest.raises(CdiError, match=named) as told:
            connect({"kubeconfig": kubeconfig})
        assert SECRET not in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"api_key": f"{SECRET} and more"}, "api_key holds white space"),
        ({"api_key": f"{SECRET}\nX-Header: 1"}, "api_key holds white space"),
        ({"host": f"https://ann:{SECRET}@cluster.test"}, "give them as username and password"),
        ({"host": "cluster.test:6443"}, "write it as https://NAME:6443"),
        ({"host": f"ann:{SECRET}@cluster.test:6443"}, "host is ***@cluster.test:6443, which is not a valid API server URL"),
        ({"host": "https://cluster.test:port"}, "write it as https://NAME:6443"),
        ({"host": "https://[cluster"}, "write it as https://NAME:6443"),
        ({"proxy": f"ftp://ann:{SECRET}@proxy.test"}, "proxy is not a valid proxy URL"),
        ({"proxy": f"http://ann:{SECRET}@proxy.test:x"}, "proxy is not a valid proxy URL"),
        ({"impersonate_groups": ["ops"]}, "without impersonate_user"),
        ({"impersonate_user": "ann\r\nX-Header: 1"}, "characters that no name has"),
        ({"ca_cert": "/nonexistent/ca"}, "ca_cert is /nonexistent/ca, and there is no such file"),
        ({"client_cert": "/nonexistent/crt", "client_key": "/nonexistent/key"}, "client_cert is /nonexistent/crt"),
    ],
)
def test_options_that_lead_nowhere_are_refused_without_secrets(params, named) -> None:
    with pytest.raises(CdiError) as told:
        connect({"host": SERVER, "api_key": "x", **params})
    assert named in str(told.value) and SECRET not in str(told.value) and "\n" not in str(told.value)


def test_nothing_given_and_nothing_there_says_what_to_give() -> None:
    with pytest.raises(CdiError, match="give kubeconfig, or host and api_key"):
        connect({})


def test_without_the_client_the_package_to_install_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(CdiError, match="pip install 'kubernetes>=29'"):
        connect({"host": SERVER, "api_key": "x"})
