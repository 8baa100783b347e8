# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any options, variables and kubeconfigs lead to a result or one sentence, without a traceback or a secret.

Most servers in these tests answer with a text that quotes the secrets, as proxies and login pages do.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import forget
from ansible_collections.kubevirt.cdi.plugins.module_utils._module.clone_method import Memory
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.hostile import hostile_server, http
from tests.modules import no_sleep, run_in_process
from tests.spellings import shown_in, spellings

TOKEN, PASSWORD, KEY, ARGUMENT = "planted-T0ken/+x==", "S3c/ret?P@w-rd", "planted-k3y\"'\\&%", "planted-Argum3nt-ü"
SECRETS = (TOKEN, PASSWORD, KEY, ARGUMENT)
PLAIN = (
    "KUBECONFIG",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "NO_PROXY",
    "KUBERNETES_SERVICE_HOST",
    "K8S_AUTH_KUBECONFIG",
)


@pytest.fixture(autouse=True, scope="module")
def _no_kubeconfig_and_no_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in PLAIN:
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.chdir(tmp_path_factory.mktemp("here"))
        Path("config.d").mkdir()
        yield


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Answers that quote all secrets in all spellings: of an API, of a web page, and of neither."""
    quoted = " ".join(spelling for secret in SECRETS for spelling in spellings(secret).values())
    status = json.dumps(
        {"kind": "Status", "code": 403, "reason": "Forbidden", "message": f"User {quoted} cannot list"}
    ).encode()
    answers = [
        http(403, status),
        http(502, f"<html><title>{quoted}</title></html>".encode()),
        http(200, quoted.encode()),
        http(401, quoted.encode()),
    ]
    with hostile_server() as server:
        server.answer = lambda number, _head: [answers[number % len(answers)]]
        yield server.url


def _secret_urls(scheme: str, place: str) -> list[str]:
    passwords = (PASSWORD, quote(PASSWORD, safe=""))
    return [*(f"{scheme}://ann:{password}@{place}" for password in passwords), f"ann:{PASSWORD}@{place}"]


HOSTS = st.sampled_from(
    [
        *("@url@", "@url@", "@url@/prefix", " @url@\n", "@url@/?token=" + quote(TOKEN)),
        *("https://127.0.0.1:1", "https://[", "127.0.0.1:1", "", "ftp://h", "https://h:x"),
        *_secret_urls("https", "127.0.0.1:1"),
        *_secret_urls("http", "127.0.0.1:x"),
    ]
)
PROXIES = st.sampled_from(
    [
        "@url@",
        "",
        "127.0.0.1:1",
        "socks5://127.0.0.1:1",
        "ftp://p",
        "http://127.0.0.1:1/a b",
        *_secret_urls("http", "127.0.0.1:1"),
    ]
)
NAMES = st.sampled_from(["", "ann", "x", "gone", "a\nb", "ü", "a" * 300])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)


def _anything(scalars: st.SearchStrategy[Any], *keys: str) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(keys), inner, max_size=2),
        max_leaves=5,
    )


ANY = _anything(SCALARS, "name", "token", "user", "a")
# Below a user all is secret that does not identify.
ANY_USER = _anything(
    SCALARS | st.sampled_from(SECRETS), "token", "a", "client-key-data", "exec", "auth-provider", "config", "password"
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "host": HOSTS,
        "api_key": st.sampled_from([TOKEN, f"{TOKEN}\n", f"{TOKEN} {TOKEN}", "", f"Bearer {TOKEN}", f"{TOKEN}ü"]),
        "username": NAMES,
        "password": st.sampled_from([PASSWORD, KEY, "", "€"]),
        "context": NAMES,
        "proxy": PROXIES,
        "no_proxy": st.sampled_from(["", "*", "127.0.0.1", "garbage/99", ",", "[::"]),
        "proxy_headers": st.fixed_dictionaries(
            {},
            optional={
                "basic_auth": st.just(f"ann:{PASSWORD}"),
                "proxy_basic_auth": st.just(PASSWORD),
                "user_agent": NAMES,
            },
        ),
        "ca_cert": st.sampled_from(["gone.crt", "config.d", "text", "/nul\0", ""]),
        "client_cert": st.sampled_from(["text", "gone", ""]),
        "client_key": st.sampled_from(["text", "gone", ""]),
        "validate_certs": st.booleans(),
        "impersonate_user": NAMES,
        "impersonate_groups": st.lists(NAMES, max_size=2),
    },
)
PLUGIN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "./gone.sh",
    "interactiveMode": "Never",
    "installHint": "install it",
}
PRINTS = {"command": "/bin/sh", "args": ["-c", f'echo "password {ARGUMENT}" >&2; exit 1', f"--password={ARGUMENT}"]}
USERS = st.sampled_from(
    [
        {"token": TOKEN},
        {"token": f"{TOKEN}\n"},
        {"tokne": TOKEN},
        TOKEN,
        {"username": "ann", "password": PASSWORD},
        {"token": TOKEN, "username": "ann", "password": PASSWORD},
        {
            "client-key-data": base64.b64encode(KEY.encode()).decode(),
            "client-certificate-data": base64.b64encode(KEY.encode()).decode(),
        },
        {"client-key-data": KEY},
        {"exec": {**PLUGIN, "args": ["get-token", "--client-secret", ARGUMENT]}},
        {"exec": {**PLUGIN, **PRINTS, "env": [{"name": "SECRET", "value": ARGUMENT}]}},
        {"exec": {**PLUGIN, "command": "/bin/echo", "args": [TOKEN]}},
        {
            "auth-provider": {
                "name": "oidc",
                "config": {"idp-issuer-url": "@url@", "client-id": "me", "id-token": TOKEN, "client-secret": ARGUMENT},
            }
        },
        {
            "auth-provider": {
                "name": "oidc",
                "config": {
                    "idp-issuer-url": "@url@",
                    "client-id": "me",
                    "refresh-token": TOKEN,
                    "client-secret": ARGUMENT,
                },
            }
        },
        {"auth-provider": {"name": "gcp", "config": {"access-token": TOKEN}}},
        {"token": TOKEN, "as": "bob\n", "as-user-extra": {"a": ["b"]}},
    ]
)


@st.composite
def _kubeconfigs(draw: st.DrawFn) -> Any:
    """A kubeconfig with one value replaced by any other."""
    cluster = {"server": draw(HOSTS), "proxy-url": draw(st.none() | PROXIES)}
    content: dict[str, Any] = {
        "clusters": [{"name": "c", "cluster": {key: value for key, value in cluster.items() if value is not None}}],
        "users": [{"name": "u", "user": draw(USERS)}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": draw(NAMES)}}],
        "current-context": "x",
    }
    place = draw(
        st.sampled_from(
            ["", "", "", "clusters", "users", "contexts", "users.user", "clusters.cluster", "contexts.context"]
        )
    )
    kind, _point, field = place.partition(".")
    if field:
        content[kind][0][field] = draw(ANY_USER if field == "user" else ANY)
    elif kind:
        content[kind] = draw(ANY)
    return content


FORMS = st.sampled_from(
    [
        "data",
        "file",
        "two files",
        "text",
        "base64",
        "cut base64",
        "JSON",
        "two documents",
        "list",
        "directory",
        "broken file",
        "none",
    ]
)


UNREAD = ("none", "directory")


def _given(kubeconfig: Any, form: str, url: str) -> Any:
    """The value of the option, after its files are written."""
    data = json.loads(json.dumps(kubeconfig).replace("@url@", url))
    text = yaml.safe_dump(data)
    encoded = base64.b64encode(text.encode()).decode()
    files = {
        "file": text,
        "two files": text,
        "two documents": f"{text}---\nusers: [{TOKEN}]\n",
        "broken file": f"{text}\n\t{TOKEN}: [\n",
    }
    Path("config").write_text(files.get(form, ""))
    Path("text").write_text(KEY)
    return {
        "data": data,
        "text": text,
        "base64": encoded,
        "cut base64": encoded[: len(encoded) * 2 // 3],
        "JSON": json.dumps(data),
        "list": [data],
        "none": None,
        "directory": "config.d",
        "two files": "gone:config",
    }.get(form, "config")


def _judge(written: Any, message: str, options: Any, kubeconfig: Any) -> None:
    """The secrets of this task. The server also quotes others."""
    assert "Traceback" not in str(written) and "Unexpected " not in message, message
    assert "\n" not in message and len(message) < 2500
    known = [secret for secret in SECRETS if shown_in([options, kubeconfig], [secret])]
    assert shown_in(written, known) == []


@given(st.sampled_from(["data_volume_info", "data_volume", "cdi_info"]), OPTIONS, _kubeconfigs(), FORMS, st.booleans())
@examples(700)
def test_options_never_cause_a_traceback_or_show_a_secret_in_a_module(
    url: str, name: str, options: Any, kubeconfig: Any, form: str, by_variables: bool
) -> None:
    options = {**json.loads(json.dumps(options).replace("@url@", url)), "kubeconfig": _given(kubeconfig, form, url)}
    given, variables = options, {}
    if by_variables:
        texts = {key: value for key, value in options.items() if isinstance(value, str) and "\0" not in value}
        variables = {f"K8S_AUTH_{key.upper()}": value for key, value in texts.items()}
        options = {key: value for key, value in options.items() if key not in texts}
    more = (
        {"name": "disk", "namespace": "demo", "source": {"blank": {}}, "storage": {"size": "1Gi"}, "wait": False}
        if name == "data_volume"
        else {}
    )
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in variables.items():
            patch.setenv(variable, value)
        ran = run_in_process(name, {**options, **more})
    assert "Unsupported parameters" not in ran.result.get("msg", "")
    _judge([ran.result, ran.output], ran.result.get("msg", ""), given, kubeconfig if form not in UNREAD else None)


@given(OPTIONS, _kubeconfigs(), FORMS)
@examples(200)
def test_options_never_cause_a_traceback_or_show_a_secret_in_the_lookup(
    url: str, options: Any, kubeconfig: Any, form: str
) -> None:
    forget()
    options = {**json.loads(json.dumps(options).replace("@url@", url)), "kubeconfig": _given(kubeconfig, form, url)}
    lookup = lookup_loader.get("kubevirt.cdi.clone_method")
    # Another process would have none: the files of this one change.
    lookup.memory = Memory(partial(connect, sleep=no_sleep))
    try:
        expected = lookup.run(["demo/disk"], {}, **{key: value for key, value in options.items() if value is not None})
    except AnsibleLookupError as exc:
        assert exc.__cause__ is None and exc.__context__ is None
        _judge(str(exc), str(exc), options, kubeconfig if form not in UNREAD else None)
    else:
        _judge(expected, "", options, kubeconfig)
