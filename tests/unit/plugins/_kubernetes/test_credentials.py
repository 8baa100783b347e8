# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where credentials come from, which of them win, and that no way of giving them wrong shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.access import Access, Plugin
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.credentials import settle, source_of
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.plugin_source import PluginSource
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import known_secrets

SERVER = "https://cluster.test:6443"
SECRET = "a-very-secret-token"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


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


def _sent(connection: Any) -> str | None:
    """The Authorization header of the next request."""
    authorization: str | None = connection.transport._source.current().authorization
    return authorization


def _authorization(**params: Any) -> str | None:
    return _sent(connect(params))


def test_host_and_token_need_no_kubeconfig() -> None:
    connection = connect({"host": SERVER, "api_key": f"{SECRET}\n"})
    assert (connection.host, _sent(connection)) == (SERVER, f"Bearer {SECRET}")


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


def test_a_pods_service_account_is_the_last_way_and_its_token_is_read_again(monkeypatch, tmp_path) -> None:
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
    assert access({}).namespace == "team-b" and access({"kubeconfig": _kubeconfig()}).namespace == ""
    (tmp_path / "token").write_text("second\n")
    assert source.current().authorization == "Bearer first"
    seconds.append(61)
    assert source.current().authorization == "Bearer second"
    (tmp_path / "token").write_text("")
    seconds.append(200)
    assert source.current().authorization == "Bearer second"
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    (tmp_path / "home" / ".kube" / "config").write_text(json.dumps(_kubeconfig()))
    assert access({}).host == SERVER
    assert _sent(connect({"host": "https://other.test", "kubeconfig": _kubeconfig()})) == f"Bearer {SECRET}"


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """A user whose credential plugin runs this Python code."""

    def make(code: str) -> dict[str, Any]:
        script = tmp_path / "plugin.py"
        script.write_text(code)
        version = "client.authentication.k8s.io/v1"
        return {
            "exec": {
                "apiVersion": version,
                "command": sys.executable,
                "args": [str(script)],
                "interactiveMode": "Never",
            }
        }

    return make


def _credential(**status: Any) -> str:
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    return f"print({json.dumps(json.dumps(credential))})"


@pytest.fixture
def counting(plugin: Callable[[str], dict[str, Any]], tmp_path: Path) -> Callable[[str], Any]:
    """A connection whose plugin numbers its tokens, which expire at this moment."""

    def make(expires: str) -> Any:
        code = f"""
import json, pathlib
file = pathlib.Path({str(tmp_path / "count")!r})
count = int(file.read_text()) + 1 if file.exists() else 1
file.write_text(str(count))
status = dict(token=f"number-{{count}}", expirationTimestamp="{expires}")
print(json.dumps(dict(apiVersion="client.authentication.k8s.io/v1", kind="ExecCredential", status=status)))
"""
        return connect({"kubeconfig": _kubeconfig(plugin(code))})

    return make


def test_a_credential_plugin_runs_again_when_its_token_has_expired_and_not_before(counting) -> None:
    connection = counting("2020-01-01T00:00:00Z")
    assert [_sent(connection) for _time in range(2)] == ["Bearer number-2", "Bearer number-3"]
    soon = datetime.now(timezone.utc) + timedelta(minutes=2)
    connection = counting(soon.strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert [_sent(connection) for _time in range(2)] == ["Bearer number-4", "Bearer number-4"]


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_token_that_expires_at_no_time_is_kept(counting, never) -> None:
    """Go writes the first of them for a time that is not set."""
    connection = counting(never)
    assert [_sent(connection) for _time in range(2)] == ["Bearer number-1"] * 2


def test_credentials_that_were_rejected_are_renewed_once_for_all_threads(counting) -> None:
    source = counting("2099-01-01T00:00:00Z").transport._source
    rejected = source.current()
    with ThreadPoolExecutor(8) as threads:
        renewed = set(threads.map(lambda _number: source.renewed(rejected), range(16)))
    assert [each.authorization for each in renewed] == ["Bearer number-2"]
    assert "number-2" in known_secrets()


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import sys; sys.exit('log in\\nfirst')", "ended with code 1 (log in first); run it by hand to see why."),
        (f"print('{SECRET}')", "did not print JSON; run"),
        ("print('[]')", "did not print an ExecCredential; run"),
        ("print('{}')", "printed another kind than ExecCredential; run"),
        (_credential(), "printed no status.token; run"),
        (_credential().replace("{}", "null"), "printed no status; run"),
        (_credential(token=17), "printed a status.token that is not a string; run"),
        (
            _credential(token="a\nb"),
            "printed a status.token with a line end or another character that no token has; run",
        ),
        ("print('[' * 100000)", "did not print JSON; run"),
        (_credential(clientKeyData="x"), "printed no status.clientCertificateData; run"),
        (
            _credential(token="t", expirationTimestamp="tomorrow"),
            "printed a status.expirationTimestamp that is no time; run",
        ),
        (
            _credential(clientKeyData="x", clientCertificateData="y"),
            "clientCertificateData contains no certificate; give it in PEM format.",
        ),
    ],
)
def test_a_credential_plugin_that_fails_is_named_with_its_reason(plugin, code, named) -> None:
    with pytest.raises(CdiError) as told:
        connect({"kubeconfig": _kubeconfig(plugin(code))})
    said = str(told.value)
    assert said.startswith("the dictionary in kubeconfig, users['one'].exec: the ") and named in said
    assert SECRET not in said and "\n" not in said


@pytest.mark.parametrize(
    ("name", "told"),
    [("", "is a directory; correct its path."), ("plugin", "is not executable; allow it with chmod +x.")],
)
def test_a_credential_plugin_that_cannot_be_run_is_told(tmp_path, name, told) -> None:
    (tmp_path / "plugin").write_text("#!/bin/sh\n")
    command = str(tmp_path / name) if name else str(tmp_path)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never"}}
    with pytest.raises(CdiError) as refused:
        connect({"kubeconfig": _kubeconfig(user)})
    assert (
        str(refused.value)
        == f"the dictionary in kubeconfig, users['one'].exec: the credential plugin {command!r} {told}"
    )


@pytest.mark.parametrize("padding", range(270, 300, 5))
def test_no_part_of_a_secret_is_left_of_what_a_credential_plugin_says_at_length(plugin, padding) -> None:
    user = plugin(f"import sys; sys.exit(sys.argv[1] + {padding} * '.')")
    user["exec"]["args"].append(f"--password={SECRET}")
    with pytest.raises(CdiError) as told:
        connect({"kubeconfig": _kubeconfig(user)})
    assert not [SECRET[-size:] for size in range(4, 20) if SECRET[-size:] in str(told.value)]


def test_a_credential_plugin_that_never_ends_is_given_up(plugin) -> None:
    access = settle({"kubeconfig": _kubeconfig(plugin("import time; time.sleep(60)"))})
    assert isinstance(access.identity, Plugin)
    with pytest.raises(CdiError, match=r"did not end within 0\.2 s"):
        PluginSource(access.identity, access, seconds=0.2).current()


@pytest.mark.parametrize(
    ("hint", "told"),
    [(None, "install it on the host that runs the task"), ("get it at\n  x.test.", "get it at x.test.")],
)
def test_a_credential_plugin_that_is_not_installed_is_told_with_its_hint(hint, told) -> None:
    user = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "no-such-plugin", "installHint": hint}
    }
    with pytest.raises(CdiError) as refused:
        connect({"kubeconfig": _kubeconfig(user)})
    assert f"the credential plugin 'no-such-plugin' is not installed; {told}" in str(refused.value)


def test_options_win_over_the_kubeconfig_at_every_request() -> None:
    other = "https://other.test:6443"
    connection = connect({"kubeconfig": _kubeconfig(), "host": other, "validate_certs": False})
    assert connection.host == other and not connection.verifies_certificates
    assert _authorization(kubeconfig=_kubeconfig(), api_key="mine") == "Bearer mine"
    basic = _authorization(kubeconfig=_kubeconfig(), username="ann", password="pw")
    assert basic == "Basic YW5uOnB3"


def test_a_user_name_in_the_kubeconfig_is_basic_authentication() -> None:
    assert _authorization(kubeconfig=_kubeconfig({"username": "ann", "password": "pw"})) == "Basic YW5uOnB3"


def test_nobody_is_anonymous_but_where_everybody_can_listen() -> None:
    assert _authorization(kubeconfig=_kubeconfig({"as": "bob"}, server="http://127.0.0.1:8001")) is None
    assert _authorization(kubeconfig=_kubeconfig(server="http://127.0.0.1:8001")) is None
    assert _authorization(kubeconfig=_kubeconfig(server="http://127.0.0.1:8001"), api_key="mine") == "Bearer mine"


def _pool(**params: Any) -> Any:
    transport = connect(params).transport
    return transport._pool(transport._source.current())


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
    assert _pool(kubeconfig=config).proxy.host == "config.test"
    assert _pool(kubeconfig=config, proxy="http://option.test:3").proxy.host == "option.test"


def test_credentials_in_the_proxys_url_are_sent_to_the_proxy_and_kept_out_of_its_address() -> None:
    pool = _pool(host=SERVER, api_key="x", proxy="http://ann:p%40w@proxy.test:3128")
    assert pool.proxy_headers == {"proxy-authorization": "Basic YW5uOnBAdw=="} and "p@w" in known_secrets()
    assert "ann" not in pool.proxy.url
    given = _pool(host=SERVER, api_key="x", proxy="http://a:b@p.test:1", proxy_headers={"proxy_basic_auth": "ann:p@w"})
    assert given.proxy_headers == {"proxy-authorization": "Basic YW5uOnBAdw=="}


def test_a_proxy_that_cannot_be_used_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    with pytest.raises(
        CdiError,
        match="proxy is socks5h://proxy.test:1080, and the Python package PySocks, .* with: pip install PySocks",
    ):
        connect({"host": SERVER, "api_key": "x", "proxy": "socks5://proxy.test:1080"})


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"api_key": f"{SECRET} and more"}, "api_key holds white space"),
        ({"api_key": f"{SECRET}\nX-Header: 1"}, "api_key holds white space"),
        ({"host": f"https://ann:{SECRET}@cluster.test"}, "give them as username and password"),
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
        ({"impersonate_user": "ann\r\nX-Header: 1"}, "characters that no name has"),
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
def test_options_that_lead_nowhere_are_refused_without_secrets(params, named) -> None:
    with pytest.raises(CdiError) as told:
        connect({"host": SERVER, "api_key": "x", **params})
    assert named in str(told.value) and SECRET not in str(told.value) and "\n" not in str(told.value)


def test_nothing_given_and_nothing_there_says_what_to_give() -> None:
    with pytest.raises(CdiError) as told:
        connect({})
    assert str(told.value) == (
        "Cannot load the cluster's credentials: there is no kubeconfig '~/.kube/config'; "
        "give kubeconfig, or host and api_key (or the variables K8S_AUTH_*)."
    )


def test_a_variable_whose_files_are_all_missing_is_named_with_them(monkeypatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nope/a:/nope/b")
    with pytest.raises(
        CdiError, match=r"none of the files of the variable KUBECONFIG exists \('/nope/a', '/nope/b'\); give"
    ):
        connect({})


def test_of_a_kubeconfig_with_many_users_the_one_that_is_used_is_looked_for(write) -> None:
    """All before it is known which, as errors may name them. In all that is shown, hundreds would be looked for for minutes."""
    config = _kubeconfig(
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
def test_the_secret_of_a_proxy_in_the_environment_is_known(monkeypatch, login, known) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{login}@proxy.test:3128")
    connect({"host": SERVER, "api_key": "x"})
    assert known_secrets() - {"x"} == known


def test_what_surveys_leave_empty_is_not_given(monkeypatch, tmp_path) -> None:
    empty = dict.fromkeys(
        ("host", "context", "username", "password", "client_cert", "proxy", "no_proxy", "impersonate_user"), ""
    )
    params = {**empty, "kubeconfig": _kubeconfig(), "impersonate_groups": [""], "proxy_headers": {"basic_auth": ""}}
    connection = connect(params)
    assert (connection.host, _sent(connection)) == (SERVER, f"Bearer {SECRET}")
    assert connect({"host": SERVER, "api_key": "x", "kubeconfig": " \n", "proxy": "\t"}).host == SERVER
    assert connect({"host": f" {SERVER}\n", "api_key": "x"}).host == SERVER


def test_without_the_client_the_package_to_install_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "urllib3", None)
    with pytest.raises(CdiError, match="pip install 'kubernetes>=29'"):
        connect({"host": SERVER, "api_key": "x"})
