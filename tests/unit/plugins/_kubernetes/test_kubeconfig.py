# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An error in a kubeconfig is one sentence with file, entry and field, but no value. See also tests/kubectl."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.credentials import public_params
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import secrets_of_options
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples

SECRET = "a-very-secret-token"
EXEC = {"apiVersion": "client.authentication.k8s.io/v1", "command": "plugin", "interactiveMode": "Never"}


def _config(user: Any = None, cluster: Any = None, context: Any = None, **top: Any) -> dict[str, Any]:
    return {
        "clusters": [{"name": "c", "cluster": {"server": "https://cluster.test", **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": SECRET} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"} if context is None else context}],
        "current-context": "x",
        **top,
    }


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch, plain_environment: None, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.d").mkdir()
    Path("broken.crt").write_text(f"-----BEGIN CERTIFICATE-----\n{SECRET}\n-----END CERTIFICATE-----\n")
    Path("text").write_text(SECRET)


AT = "kubeconfig 'config', "
USER = f"{AT}users['u']"
CLUSTER = f"{AT}clusters['c']"
TEXTS = {
    "yaml": (f"token: {SECRET}\n  other: [\n", "kubeconfig 'config' is not valid YAML (line 2); correct it."),
    "json-cut": (json.dumps(_config())[:-30], "kubeconfig 'config' is not valid YAML (line 1); correct it."),
    "not-text": ("\0\1", "kubeconfig 'config' is not valid YAML; correct it."),
    "list": (f"- {SECRET}\n", "kubeconfig 'config' is a list, not a mapping; correct it."),
    "scalar": (f"{SECRET}\n", "kubeconfig 'config' is a string, not a mapping; correct it."),
    "deep": ("[" * 100_000, "kubeconfig 'config' is not valid YAML (line 1); correct it."),
    "endless": (
        "users: &a [*a]\n",
        "kubeconfig 'config' has endless or too many YAML aliases; replace them with their values.",
    ),
    "many-aliases": (
        "a: &l0 [x]\n"
        + "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
        + "users: [{name: u, user: *l8}]\n",
        "kubeconfig 'config' has endless or too many YAML aliases; replace them with their values.",
    ),
    "empty": ("", "kubeconfig 'config' has no clusters; give a kubeconfig, or host and api_key."),
}
CONTENTS: dict[str, tuple[dict[str, Any], str]] = {
    "kind": (_config(kind="Secret"), f"{AT}field kind is not 'Config'; give a kubeconfig."),
    "version": (_config(apiVersion="v2"), f"{AT}field apiVersion is not 'v1'; give a kubeconfig."),
    "users-a-mapping": (
        _config(users={"u": {"token": SECRET}}),
        f"{AT}field users is a mapping, not a list; correct it.",
    ),
    "user-a-string": (_config(users=[SECRET]), f"{AT}users[0] is a string, not a mapping; correct it."),
    "name-a-number": (_config(users=[{"name": 17}]), f"{AT}users[0].name is a number, not a string; correct it."),
    "two-names": (
        _config(users=[{"name": "u"}] * 2),
        f"{AT}field users has two entries named 'u'; remove one of them.",
    ),
    "misspelt-user": (
        _config(users=[{"name": "u", "usr": {"token": SECRET}}]),
        f"{USER} has no credentials; "
        "add a token, a client certificate or a credential plugin below 'user', or give api_key.",
    ),
    "token-a-number": (_config({"token": 1234567890}), f"{USER}.token is a number, not a string; correct it."),
    "token-a-line": (
        _config({"token": f"{SECRET}\n"}),
        f"{USER}.token contains a line end or another character that no token has; correct it.",
    ),
    "key-no-base64": (
        _config({"client-key-data": f"{SECRET}!"}),
        f"{USER}.client-key-data is not valid base64; correct it.",
    ),
    "insecure-a-string": (
        _config(cluster={"insecure-skip-tls-verify": "yes"}),
        f"{CLUSTER}.insecure-skip-tls-verify is a string, not true or false; correct it.",
    ),
    "groups-a-string": (
        _config({"as": "a", "as-groups": SECRET}),
        f"{USER}.as-groups is a string, not a list; correct it.",
    ),
    "plugin-number": (
        _config({"exec": {**EXEC, "args": ["a", 5]}}),
        f"{USER}.exec.args[1] is a number, not a string; correct it.",
    ),
    "plugin-variable": (
        _config({"exec": {**EXEC, "env": [{"name": "A", "value": 1}]}}),
        f"{USER}.exec.env[0].value is a number, not a string; correct it.",
    ),
    "plugin-mode": (
        _config({"exec": {**EXEC, "interactiveMode": None}}),
        f"{USER}.exec.interactiveMode is missing; add it.",
    ),
    "plugin-version": (
        _config({"exec": {**EXEC, "apiVersion": "client.authentication.k8s.io/v1alpha1", "interactiveMode": "Never"}}),
        f"{USER}.exec.apiVersion is not one of client.authentication.k8s.io/v1beta1, "
        "client.authentication.k8s.io/v1; upgrade the plugin, then this field.",
    ),
    "plugin-terminal": (
        _config({"exec": {**EXEC, "interactiveMode": "Always"}}),
        f"{USER}.exec: the credential plugin requires a terminal (interactiveMode Always), "
        "which a task does not have; use a different plugin.",
    ),
    "provider": (
        _config({"auth-provider": {"name": "gcp"}}),
        f"{USER}.auth-provider.name is 'gcp', which is not supported; use its credential plugin (exec) instead.",
    ),
    "issuer": (
        _config({"auth-provider": {"name": "oidc", "config": {"id-token": SECRET}}}),
        f"{USER}.auth-provider.config.idp-issuer-url is missing; add it.",
    ),
    "no-context": (
        _config(**{"current-context": ""}),
        "kubeconfig 'config' has no current-context; set context, available: 'x'.",
    ),
    "context-gone": (
        _config(**{"current-context": "gone"}),
        "current-context 'gone' does not exist in kubeconfig 'config'; available: 'x'.",
    ),
    "cluster-gone": (
        _config(context={"cluster": "gone", "user": "u"}),
        f"{AT}contexts['x'].cluster names the cluster 'gone', which does not exist; correct it.",
    ),
    "user-gone": (
        _config(context={"cluster": "c", "user": "gone"}),
        f"{AT}contexts['x'].user names the user 'gone', who does not exist; correct it.",
    ),
    "no-user": (_config(context={"cluster": "c"}), f"{AT}contexts['x'].user is missing; name a user, or give api_key."),
    "no-server": (
        _config(cluster={"server": ""}) | {"clusters": [{"name": "c"}]},
        f"{CLUSTER}.server is missing; add the URL of the API server.",
    ),
    "bad-server": (
        _config(cluster={"server": "https://h:port"}),
        f"{CLUSTER}.server is not a valid API server URL; write it as https://NAME:6443.",
    ),
    "server-password": (
        _config(cluster={"server": f"https://a:{SECRET}@h"}),
        f"{CLUSTER}.server contains a user name or a password; set username and password instead.",
    ),
    "proxy": (
        _config(cluster={"proxy-url": f"http://u:p@ss/{SECRET}?@proxy:1"}),
        f"{CLUSTER}.proxy-url is not a valid proxy URL; "
        "write it as http://NAME:3128; percent-encode special characters of its password.",
    ),
    "proxy-scheme": (
        _config(cluster={"proxy-url": "proxy:3128"}),
        f"{CLUSTER}.proxy-url is not a proxy URL; write it as http://, https:// or socks5://NAME:PORT.",
    ),
    "ca-missing": (
        _config(cluster={"certificate-authority": "gone.crt"}),
        f"{CLUSTER}.certificate-authority '{{cwd}}/gone.crt' does not exist; give the path of a PEM file.",
    ),
    "ca-broken": (
        _config(cluster={"certificate-authority": "broken.crt"}),
        f"{CLUSTER}.certificate-authority ('{{cwd}}/broken.crt') "
        "contains no valid CA certificate; give it in PEM format.",
    ),
    "ca-data": (
        _config(cluster={"certificate-authority-data": "YWJj"}),
        f"{CLUSTER}.certificate-authority-data contains no valid CA certificate; give it in PEM format.",
    ),
    "certificate-alone": (
        _config({"client-certificate": "broken.crt"}),
        f"{USER} has a client certificate without its key; add client-key or client-key-data.",
    ),
    "swapped": (
        _config(
            {
                "client-certificate-data": base64.b64encode(b"-----BEGIN PRIVATE KEY-----").decode(),
                "client-key": "broken.crt",
            }
        ),
        f"{USER}.client-certificate-data contains no certificate; certificate and key seem to be swapped.",
    ),
    "key-a-text": (
        _config({"client-certificate": "broken.crt", "client-key": "text"}),
        f"{USER}.client-key ('{{cwd}}/text') contains no private key; give it in PEM format.",
    ),
    "token-file": (
        _config({"tokenFile": "gone"}),
        f"{USER}.tokenFile: the token file '{{cwd}}/gone' cannot be read (No such file or directory); "
        "correct its path or its content.",
    ),
    "as-groups": (
        _config({"token": SECRET, "as-groups": ["a"]}),
        f"{USER} has as-uid, as-groups or as-user-extra without as; add the user to impersonate as 'as'.",
    ),
    "token-and-password": (
        _config({"token": SECRET, "username": "a"}),
        f"{USER} has both a token and a user name with password; remove one of them.",
    ),
}


def _sentence(**params: Any) -> str:
    with pytest.raises(CdiError) as refused:
        connect(params)
    sentence = str(refused.value)
    assert SECRET not in sentence and "\n" not in sentence
    return sentence


@pytest.mark.parametrize(("text", "said"), TEXTS.values(), ids=TEXTS)
def test_text_that_is_not_a_kubeconfig_is_rejected(text: str, said: str) -> None:
    Path("config").write_text(text)
    assert _sentence(kubeconfig="config") == said


@pytest.mark.parametrize(("content", "said"), CONTENTS.values(), ids=CONTENTS)
def test_kubeconfig_that_kubectl_rejects_is_rejected_with_file_entry_and_field(
    content: dict[str, Any], said: str
) -> None:
    Path("config").write_text(yaml.safe_dump(content))
    assert _sentence(kubeconfig="config") == said.replace("{cwd}", os.getcwd())


def test_dictionary_is_named_in_its_error() -> None:
    assert (
        _sentence(kubeconfig=_config({"token": 5}))
        == "the dictionary in kubeconfig, users['u'].token is a number, not a string; correct it."
    )


ENCODED = base64.b64encode(yaml.safe_dump(_config()).encode()).decode()
PATHS: dict[str, tuple[Any, str]] = {
    "missing": ("/nope/config", "kubeconfig file '/nope/config' does not exist; give the path of a kubeconfig."),
    "all-missing": (
        "/nope/a:/nope/b",
        "none of the files of kubeconfig exists ('/nope/a', '/nope/b'); give the path of a kubeconfig.",
    ),
    "no-path": (":", "kubeconfig names no file; give the path of a kubeconfig."),
    "directory": ("config.d", "kubeconfig 'config.d' is a directory; give the path of a kubeconfig."),
    "text": (
        yaml.safe_dump(_config()),
        "kubeconfig is the text of a kubeconfig and not a path; "
        "set it to the path, or convert the text to a dictionary with the filter from_yaml.",
    ),
    "json": (
        json.dumps(_config()),
        "kubeconfig is the text of a kubeconfig and not a path; "
        "set it to the path, or convert the text to a dictionary with the filter from_yaml.",
    ),
    "base64": (
        ENCODED,
        "kubeconfig is the base64 text of a kubeconfig and not a path; "
        "set it to the path, or convert the text to a dictionary with the filters b64decode and from_yaml.",
    ),
    "list": (
        [SECRET],
        "kubeconfig is a list; set it to a path, to several paths separated by colons, or to a dictionary.",
    ),
}


@pytest.mark.parametrize(("kubeconfig", "said"), PATHS.values(), ids=PATHS)
def test_kubeconfig_option_that_is_not_a_path_is_rejected(kubeconfig: Any, said: str) -> None:
    assert _sentence(kubeconfig=kubeconfig) == said


@pytest.mark.parametrize(
    "kubeconfig",
    [
        ENCODED,
        ENCODED[:-7],
        "\n".join((ENCODED[:76], ENCODED[76:])),
        f"{SECRET}/" * 3 + "x" * 256,
        f"users: [{{name: u, user: {{token: {SECRET}}}}}]",
        f"apiVersion: v1 users: - name: u user: token: {SECRET}",
        f"- name: u\tuser: token: {SECRET}",
    ],
    ids=["base64", "cut", "lines", "long", "one-line", "folded", "part"],
)
def test_content_instead_of_a_path_is_never_shown(kubeconfig: str) -> None:
    assert kubeconfig not in _sentence(kubeconfig=kubeconfig)
    assert public_params({"kubeconfig": kubeconfig})["kubeconfig"] == "***" and kubeconfig in secrets_of_options(
        {"kubeconfig": kubeconfig}
    )


def test_missing_context_is_reported_with_existing_ones() -> None:
    Path("config").write_text(yaml.safe_dump(_config()))
    assert (
        _sentence(kubeconfig="config", context="staging")
        == "context 'staging' does not exist in kubeconfig 'config'; available: 'x'."
    )


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.just(SECRET)
    | st.binary(max_size=9)
)
_keys = st.sampled_from(
    [
        *(
            "clusters",
            "users",
            "contexts",
            "current-context",
            "name",
            "cluster",
            "user",
            "context",
            "server",
            "token",
            "exec",
            "command",
            "args",
            "env",
        ),
        *(
            "apiVersion",
            "kind",
            "tokenFile",
            "proxy-url",
            "certificate-authority",
            "certificate-authority-data",
            "client-key-data",
            "auth-provider",
            "as",
        ),
    ]
)
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=6), max_leaves=25
)


# Names, paths and commands are shown: without them nobody would know what is meant.
_SHOWN = ("name", "current-context", "cluster", "user", "context", "command", "tokenFile", "certificate-authority")


def _without_secret_names(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_secret_names(item) for item in value]
    if isinstance(value, dict):
        return {
            key: "n" if key in _SHOWN and item == SECRET else _without_secret_names(item) for key, item in value.items()
        }
    return value


@given(
    st.dictionaries(_keys, _values, max_size=6),
    st.sampled_from(["users", "clusters", "contexts", "user", "cluster", "context"]),
    _values,
)
@examples(300)
def test_any_dictionary_is_read_without_traceback_or_secret(content: dict[str, Any], kind: str, value: Any) -> None:
    """Whole dictionaries of any shape, and right ones with something wrong in one place."""
    replaced = _config(**{kind: value}) if kind.endswith("s") else _config()
    if not kind.endswith("s"):
        replaced[f"{kind}s"][0][kind] = value
    for kubeconfig in (content, replaced):
        try:
            connect({"kubeconfig": _without_secret_names(kubeconfig)})
        except CdiError as exc:
            assert SECRET not in str(exc) and "\n" not in str(exc)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")), st.integers(0, 400), st.integers(0, 40))
@examples(300)
def test_any_text_is_read_without_traceback_or_secret(inserted: str, place: int, cut: int) -> None:
    text = yaml.safe_dump(_config({"token": SECRET, "as": "bob", "exec": EXEC}))
    Path("config").write_bytes((text[:place] + inserted + text[place + cut :]).encode("utf-8", "replace"))
    try:
        connect({"kubeconfig": "config"})
    except CdiError as exc:
        assert SECRET not in str(exc) and "\n" not in str(exc)
