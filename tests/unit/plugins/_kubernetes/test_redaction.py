# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which values of options and kubeconfigs are secret, and that no spelling of one leaves."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.kubeconfig_secrets import secrets_of
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.redaction import redact, redacted
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import (
    forget,
    remember,
    secrets_of_options,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.spellings import spellings


def _kubeconfig(user: Any, **cluster: Any) -> dict[str, Any]:
    return {
        "clusters": [{"name": "one", "cluster": {"server": "https://cluster.test:6443", **cluster}}],
        "users": [{"name": "one", "user": user}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "current-context": "one",
    }


@pytest.mark.parametrize(
    ("user", "known"),
    [
        ({"token": "t1", "password": 12345678, "client-key-data": "!t3", "username": "ann"}, {"t1", "12345678", "!t3"}),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": "t4", "client-id": "kube"}}}, {"t4"}),
        ({"tokne": "t7", "extra": {"deep": ["t8"]}}, {"t7", "t8"}),
        (
            {"client-certificate": "/a/cert.pem", "client-key": "/a/key.pem", "tokenFile": "/a/token", "as": "ann"},
            set(),
        ),
        ({"client-key-data": base64.b64encode(b"PEM").decode()}, {"UEVN", "PEM"}),
        ("a-token-where-a-user-belongs", {"a-token-where-a-user-belongs"}),
        (None, set()),
    ],
)
def test_every_scalar_of_a_user_that_does_not_identify_it_is_secret(user: Any, known: set[str]) -> None:
    assert secrets_of(_kubeconfig(user)) == known
    assert secrets_of_options({"kubeconfig": _kubeconfig(user)}) == known


@pytest.mark.parametrize("field", ["server", "proxy-url"])
def test_password_in_an_address_without_a_scheme_is_secret(field: str) -> None:
    assert secrets_of(_kubeconfig({}, **{field: "ann:S3c/ret?P@w-rd@127.0.0.1:1"})) >= {"S3c/ret?P@w-rd"}
    assert secrets_of(_kubeconfig({}, **{field: "cluster.test:6443/path@2"})) == set()


def test_user_below_a_misspelt_key_is_secret() -> None:
    assert secrets_of({"users": [{"name": "admin", "usr": {"token": "t1"}}]}) == {"t1"}
    assert secrets_of({"user": {"toke": "t1"}, "token": "t2"}) == {"t1", "t2"}


@pytest.mark.parametrize(
    ("args", "env", "known"),
    [
        (["get-token", "--login", "azurecli", "--server-id", "6dae42f8-4368-4678"], {}, set()),
        (["get-token", "--client-secret", "a-secret", "--more"], {}, {"a-secret"}),
        (["--oidc-client-secret=a-secret=", "--password=b-secret"], {}, {"a-secret=", "b-secret"}),
        (["-c", "--use-token", "--server-id", "TOKEN=a-secret"], {}, {"a-secret"}),
        (["--token", "a-secret==", "--token=b-secret", "a-cluster"], {}, {"a-secret==", "b-secret"}),
        (["--token", "none", "--token-ttl=1h", 5], {}, set()),
        (["token", "t0k/en+x==", "t0ken=", "a=b=c"], {}, {"t0k/en+x==", "t0ken="}),
        (["login", "s3cr3t-word", "-x", "y2k-word"], {}, {"s3cr3t-word", "y2k-word"}),
        (["eks", "get-token", "--region", "eu-central-1", "--cluster-name", "prod-1"], {}, set()),
        ([], {"AWS_PROFILE": "production", "AWS_REGION": "eu-central-1", "USE_KEYRING": "true"}, set()),
        ([], {"AWS_SECRET_ACCESS_KEY": "a-secret", "Vault_Token": "b-secret"}, {"a-secret", "b-secret"}),
        ([], {"PIN": "a-long-secret-word", "OTHER": "s3cr3t"}, {"a-long-secret-word", "s3cr3t"}),
        ([], {"PIN_OF_THE_PLUGIN": "long-variable-secret"}, {"long-variable-secret"}),
        ([], {"A": None}, set()),
    ],
)
def test_words_of_plugin_commands_are_not_secret(args: Any, env: Any, known: set[str]) -> None:
    """What is known is hidden wherever a result has it: a common word must not be among it."""
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "aws",
        "interactiveMode": "Never",
        "args": args,
        "env": [{"name": name, "value": value} for name, value in env.items()],
    }
    assert secrets_of(_kubeconfig({"exec": plugin})) == known


@pytest.mark.parametrize("plugin", [{"args": None, "env": None}, {"args": "--token", "env": ["TOKEN"]}, "plugin", None])
def test_malformed_plugin_is_read(plugin: Any) -> None:
    assert secrets_of(_kubeconfig({"exec": plugin})) <= {"plugin"}


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({"api_key": "t1", "username": "ann", "password": "t2"}, {"t1", "t2"}),
        ({"proxy": "http://ann:pw12@proxy.test"}, {"pw12"}),
        ({"proxy": "http://ann:p%40ss@proxy.test"}, {"p%40ss", "p@ss"}),
        ({"proxy": "http://ann:p@ss.x/wörd?@proxy.test:3128"}, {"p@ss.x/wörd?", "p", "ss.x", "wörd"}),
        ({"proxy": "ann:p@w@proxy.test:3128", "host": {"no": "text"}}, {"p@w"}),
        ({"source": {"http": {"url": "http://u:S3c/retPw@images/disk.raw"}}}, {"S3c/retPw", "retPw"}),
        (
            {"url": "https://s3/b?X-Amz-Signature=abcd1234&X-Amz-Date=20260101&k=0123456789abcdef"},
            {"abcd1234", "0123456789abcdef"},
        ),
        ({"extra_headers": ["Authorization: Bearer t0ken"]}, {"Authorization: Bearer t0ken", "Bearer t0ken", "t0ken"}),
        ({"proxy_headers": {"basic_auth": "ann:p1", "user_agent": "me"}}, {"ann:p1", "p1"}),
        ({"kubeconfig": "/home/ann/config:other", "host": "https://[broken", "proxy": None}, set()),
    ],
)
def test_secrets_in_options_are_known(options: dict[str, Any], known: set[str]) -> None:
    assert secrets_of_options(options) == known


def test_text_of_a_kubeconfig_is_secret_also_in_base64() -> None:
    text = yaml.safe_dump(_kubeconfig({"token": "a-secret-token"}))
    encoded = base64.encodebytes(text.encode()).decode()
    assert secrets_of_options({"kubeconfig": text}) == {text, "a-secret-token"}
    assert secrets_of_options({"kubeconfig": encoded}) == {encoded, text, "a-secret-token"}
    remember(secrets_of_options({"kubeconfig": "".join(encoded.split())}))
    assert (
        redact(f"kubeconfig is {''.join(encoded.split())}, and there is no such file")
        == "kubeconfig is ***, and there is no such file"
    )


# Not letters that a spelling leaves alone and that may be met in the text around.
SECRETS = st.text(
    st.characters(min_codepoint=33, exclude_categories=("Cs", "Cc", "Cf", "Z", "Cn", "Co")), min_size=12, max_size=40
)


@pytest.mark.parametrize(
    "secret",
    [
        "p@ss/wörd?+x",
        "S3c/retPw:1234",
        "a\"b\\c'd%e&f<g>",
        "日本語のパスワード",
        "tok.en-1234_56~x",
        "two words\tand a tab",
        "x" * 12,
    ],
)
def test_every_spelling_of_a_secret_is_redacted(secret: str) -> None:
    remember([secret])
    for name, spelling in spellings(secret).items():
        assert redact(f"before {spelling} after") in ("before *** after", "before *** ***"), name


@given(SECRETS, st.sampled_from(sorted(spellings("x"))))
@examples(200)
def test_every_spelling_of_any_secret_is_redacted(secret: str, name: str) -> None:
    forget()
    remember([secret])
    spelling = spellings(secret)[name]
    shown = redacted({"a": [f"before {spelling} after"], spelling: 1})
    assert spelling not in json.dumps(shown, ensure_ascii=False) and secret not in json.dumps(shown, ensure_ascii=False)


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("abc", "abc and abcd", "abc and abcd"),
        ("test", "test, testing and a-test", "***, testing and a-***"),
        ("hunter2", "hunter2 hunter22", "*** hunter22"),
        ("hunter22", "xhunter22x", "x***x"),
        ("", "nothing", "nothing"),
        ("   ", "a   b", "a   b"),
    ],
)
def test_short_secret_is_redacted_only_as_a_word(secret: str, text: str, shown: str) -> None:
    remember([secret])
    assert redact(text) == shown


def test_numbers_keys_and_lists_are_redacted() -> None:
    remember(["12345678", "a-secret-word"])
    data = {"a-secret-word": 1, "n": 12345678, "f": 1.5, "b": True, "l": ("x a-secret-word", None, b"a-secret-word")}
    assert redacted(data) == {"***": 1, "n": "***", "f": 1.5, "b": True, "l": ["x ***", None, "***"]}


def test_lines_of_a_key_are_secret_but_its_frame_is_not() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nAAAA\n-----END KEY-----\n"
    remember([key])
    assert redact("bad base64 in MIIEvQIBADANBgkqhkiG9w0") == "bad base64 in ***"
    assert redact("AAAA stays") == "AAAA stays"


def test_text_of_a_kubeconfig_may_be_a_subclass_of_str() -> None:
    class Tagged(str):
        """As ansible-core 2.19 has them in variables."""

    assert secrets_of_options({"kubeconfig": Tagged("users: [{name: u, user: {token: a-secret}}]\ncontexts: []")}) >= {
        "a-secret"
    }
