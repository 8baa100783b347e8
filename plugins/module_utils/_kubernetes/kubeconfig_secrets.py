# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret values in a kubeconfig: of its users, their credential plugins, and the URLs of its clusters."""

from __future__ import annotations

import base64
import binascii
import re
import typing as t

from .public import LONG, SECRET_NAME, SHORTEST, secrets_of_url, secrets_of_user, texts_in, user_of

# Fields of a user, its plugin and its provider that identify but do not authenticate. Any other field of a user may be
# a secret, also with a misspelled key.
_PUBLIC_KEYS = frozenset(
    (
        *(
            "name",
            "username",
            "as",
            "as-uid",
            "as-groups",
            "as-user-extra",
            "client-certificate",
            "client-certificate-data",
            "client-key",
            "tokenFile",
        ),
        *(
            "idp-issuer-url",
            "idp-certificate-authority",
            "idp-certificate-authority-data",
            "client-id",
            "extra-scopes",
            "extensions",
        ),
        *("command", "apiVersion", "interactiveMode", "installHint", "provideClusterInfo", "expiry", "args", "env"),
    )
)
# Fields of a cluster that may be written without a scheme.
_ADDRESSES = ("server", "proxy-url")
# Flags and variables of credential plugins with public values.
_PUBLIC_NAME = re.compile(
    "(region|zone|cluster|cluster-name|cluster-id|profile|output|format|role|role-arn|server-id|client-id|tenant-id|"
    "environment|login|context|namespace|project|api-version|kubeconfig|config|path|home|host|endpoint|issuer-url|url|"
    "user|name|dir)$",
    re.IGNORECASE,
)
# Words of commands, such as `get-token` or `default`, versions and paths.
_WORD = re.compile("[A-Za-z]{1,15}(-[a-z]{1,15})*|v?[0-9.]+|true|false|[~.]?(/[\\w.@-]+)+")
# Fields that every kubeconfig has and no path.
_FIELD = re.compile(r"\b(apiVersion|clusters?|contexts?|users?|current-context|token|client-key-data)[\"']?:(\s|$)")
_FLAG = re.compile(r"-{0,2}[A-Za-z_][\w.-]*")
_LONGEST_NAME = 255
_MOST_VALUES = 1_000_000


def secrets_of_content(kubeconfig: t.Any) -> set[str]:
    """The secret values of option `kubeconfig`: data, YAML, or YAML in base64 as in CI variables. A path has none."""
    if not isinstance(kubeconfig, str):
        return secrets_of(kubeconfig)
    decoded = decoded_content(kubeconfig)
    if decoded:
        return {kubeconfig, decoded} | secrets_of_text(decoded)
    return {kubeconfig} | secrets_of_text(kubeconfig) if is_content(kubeconfig) else set()


def _has_long_name(path: str) -> bool:
    """Whether a text is too long for the name of a file, and so cannot be a path."""
    return any(len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME for name in path.replace(":", "/").split("/"))


def is_content(kubeconfig: str) -> bool:
    """Whether a text is the content of a kubeconfig instead of its path: plain, on one line, or in base64."""
    text = kubeconfig.strip()
    return (
        "\n" in text
        or text.startswith(("{", "["))
        or bool(_FIELD.search(text) or decoded_content(text))
        or _has_long_name(text)
    )


def decoded_content(kubeconfig: str) -> str:
    """The kubeconfig that a text, or its beginning, encodes in base64, else an empty text."""
    text = "".join(kubeconfig.split())
    try:
        content = base64.b64decode(text[: len(text) // 4 * 4], validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
    return content if any(word in content for word in ("apiVersion", "clusters", "contexts", "users")) else ""


def secrets_of_text(text: str) -> set[str]:
    """The secret values in the text of a kubeconfig, none if it is not valid YAML."""
    try:
        import yaml

        # As bytes, because PyYAML refuses subclasses of str, which variables of Ansible are.
        documents = list(
            yaml.load_all(text.encode("utf-8", "replace"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        )
    except (ImportError, ValueError, RecursionError):
        return set()
    except Exception as exc:  # yaml.YAMLError, if the package exists.
        if type(exc).__module__.partition(".")[0] != "yaml":
            raise
        return set()
    return set() if expands(documents) else secrets_of(documents)


def expands(value: t.Any) -> bool:
    """Whether YAML aliases make the data endless or too large to search."""
    sizes: dict[int, float] = {}

    def size(item: t.Any) -> float:
        if not isinstance(item, (dict, list)):
            return 1
        if id(item) not in sizes:
            sizes[id(item)] = float("inf")  # For data that contains itself.
            sizes[id(item)] = 1 + sum(map(size, item.values() if isinstance(item, dict) else item))
        return sizes[id(item)]

    try:
        return size(value) > _MOST_VALUES
    except RecursionError:
        return True


def secrets_of(kubeconfig: t.Any) -> set[str]:
    """The secret values in the data of a kubeconfig of any shape."""
    return _below(kubeconfig, of_user=False)


def _below(value: t.Any, of_user: bool) -> set[str]:
    if isinstance(value, list):
        return set().union(*(_below(item, of_user) for item in value))
    if not isinstance(value, dict):
        return set(texts_in(value)) if of_user else set()
    found: set[str] = set().union(*map(secrets_of_url, texts_in(list(value.values()))))
    for key, item in value.items():
        if of_user and key == "args":
            found |= _of_arguments(item)
        elif of_user and key == "env":
            found |= _of_variables(item)
        elif of_user and key in _PUBLIC_KEYS:
            continue
        elif key in _ADDRESSES and isinstance(item, str) and not of_user:
            found |= secrets_of_user(user_of(item))
        else:
            # Also for a user outside the list of users, because only users have these fields.
            found |= _below(
                item, of_user or (key in ("users", "user") and isinstance(item, (dict, list))) or _is_secret_field(key)
            )
    return found | {_decoded(text) for text in texts_in(value.get("client-key-data")) if text in found} - {""}


def _decoded(data: str) -> str:
    try:
        return base64.b64decode("".join(data.split())).decode()
    except (binascii.Error, ValueError):
        return ""


def _is_secret_field(key: t.Any) -> bool:
    return isinstance(key, str) and bool(SECRET_NAME.search(key)) and key not in _PUBLIC_KEYS


def _of_arguments(arguments: t.Any) -> set[str]:
    """The arguments of a credential plugin, without flags, plain words and the values of public flags."""
    words = list(texts_in(arguments))
    found: set[str] = set()
    for flag, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        # Base64 can also end with it.
        equals = equals if _FLAG.fullmatch(name) and value.strip("=") else ""
        if equals:
            found |= _named(name, value)
        if flag.startswith("-") and "=" not in flag and not word.startswith("-"):
            found |= _named(flag, word)
        elif not equals and not word.startswith("-"):
            found |= _named("", word)
    return found


def _of_variables(variables: t.Any) -> set[str]:
    entries = variables if isinstance(variables, list) else [variables]
    found: set[str] = set()
    for entry in entries:
        if isinstance(entry, dict):
            found.update(*(_named(str(entry.get("name")), text) for text in texts_in(entry.get("value"))))
    return found


def _named(name: str, value: str) -> set[str]:
    """The value if it may be a secret, judged by its name and its length."""
    if SECRET_NAME.search(name):
        return {value} if len(value) >= SHORTEST and value.lower() not in ("none", "null", "true", "false") else set()
    plain = _WORD.fullmatch(value) and (len(value) < LONG or "/" in value)
    return set() if _PUBLIC_NAME.search(name) or plain or len(value) < SHORTEST else {value}
