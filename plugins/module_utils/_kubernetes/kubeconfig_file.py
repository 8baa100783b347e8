# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses one kubeconfig, a text or a dictionary, into named entries with the types of client-go. Pure rules, no I/O.

The rules are those of client-go v0.34.4: `tools/clientcmd/api/v1/types.go`, `conversion.go` and `defaults.go`. Errors
name file, entry and field, never the value.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import typing as t

from .entries import AuthProvider, Cluster, Context, Entry, Exec, Kubeconfig, Origin, User, refuse
from .errors import CdiError
from .kubeconfig_secrets import expands

EXEC_EXTENSION = "client.authentication.k8s.io/exec"
# tools/clientcmd/api/v1/defaults.go: newer versions require the field.
_EXEC_DEFAULT_MODE = {
    "client.authentication.k8s.io/v1beta1": "IfAvailable",
    "client.authentication.k8s.io/v1alpha1": "IfAvailable",
}


def parse(text: bytes, origin: Origin) -> t.Any:
    """The first YAML document, or the JSON, of a file; None when it is empty."""
    if not text:
        return None
    try:
        return json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        pass  # It may be YAML, a superset of JSON.
    import yaml

    try:
        # Not `safe_load`, which rejects a second document.
        content = next(yaml.load_all(text, Loader=_loader(yaml)), None)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        raise refuse(str(origin), "is not valid YAML" + (f" (line {mark.line + 1})" if mark else "")) from None
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise refuse(str(origin), "is not valid YAML") from None
    if expands(content):
        raise refuse(str(origin), "has endless or too many YAML aliases", "replace them with their values")
    return content


_loaders: dict[str, t.Any] = {}


def _loader(yaml: t.Any) -> t.Any:
    """The C loader, if available, with the scalar types of Go's YAML: no dates, no base-60 numbers."""
    if "loader" not in _loaders:
        base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        unlike = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int")
        resolvers = {
            first: [pair for pair in pairs if pair[0] not in unlike]
            for first, pairs in base.yaml_implicit_resolvers.items()
        }
        loader: t.Any = type("_Loader", (base,), {"yaml_implicit_resolvers": resolvers})
        number = re.compile(r"^[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[0-9][0-9_]*)$")
        loader.add_implicit_resolver("tag:yaml.org,2002:int", number, list("-+0123456789"))
        _loaders["loader"] = loader
    return _loaders["loader"]


def read(content: t.Any, origin: Origin) -> Kubeconfig:
    """The entries of a parsed kubeconfig, or of a dictionary. Raises CdiError for a field of a wrong type."""
    top = _mapping(content, str(origin))
    for field, expected in (("kind", "Config"), ("apiVersion", "v1")):
        if _text(top.get(field), f"{origin}, field {field}") not in ("", expected):
            raise refuse(f"{origin}, field {field}", f"is not {expected!r}", "give a kubeconfig")
    return Kubeconfig(
        _named(top, "clusters", "cluster", _cluster, origin),
        _named(top, "users", "user", _user, origin),
        _named(top, "contexts", "context", _context, origin),
        _text(top.get("current-context"), f"{origin}, field current-context"),
        (origin,),
    )


def _named(
    top: dict[str, t.Any], kind: str, key: str, read_one: t.Callable[[t.Any, str], t.Any], origin: Origin
) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for number, item in enumerate(_list(top.get(kind), f"{origin}, field {kind}")):
        where = f"{origin}, {kind}[{number}]"
        named = _mapping(item, where)
        name = _text(named.get("name"), f"{where}.name")
        if name in entries:
            raise refuse(f"{origin}, field {kind}", f"has two entries named {name!r}", "remove one of them")
        entries[name] = Entry(
            name, origin, read_one(named.get(key), f"{origin}, {kind}[{name!r}]"), {key: named.get(key)}
        )
    return entries


_NAMES_OF_TYPES = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "a mapping",
}


def _wrong(where: str, value: t.Any, expected: str) -> CdiError:
    return refuse(where, f"is {_NAMES_OF_TYPES.get(type(value), 'a ' + type(value).__name__)}, not {expected}")


def _mapping(value: t.Any, where: str) -> dict[str, t.Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(where, value, "a mapping")
    return value


def _list(value: t.Any, where: str) -> list[t.Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(where, value, "a list")
    return value


def _text(value: t.Any, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(where, value, "a string")
    return str(value)


def _flag(value: t.Any, where: str) -> bool:
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong(where, value, "true or false")
    return value


def _data(value: t.Any, where: str) -> bytes:
    """Decoded as Go's `encoding/json` does: line ends are skipped, everything else is strict."""
    text = _text(value, where).replace("\n", "").replace("\r", "")
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise refuse(where, "is not valid base64") from None


def _texts(value: t.Any, where: str) -> tuple[str, ...]:
    return tuple(_text(item, f"{where}[{number}]") for number, item in enumerate(_list(value, where)))


def _text_map(value: t.Any, where: str) -> tuple[tuple[str, str], ...]:
    return tuple((str(key), _text(item, f"{where}.{key}")) for key, item in _mapping(value, where).items())


def _text_lists(value: t.Any, where: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((str(key), _texts(item, f"{where}.{key}")) for key, item in _mapping(value, where).items())


def _fields(
    value: t.Any, where: str, fields: t.Mapping[str, tuple[str, t.Callable[[t.Any, str], t.Any]]]
) -> dict[str, t.Any]:
    given = _mapping(value, where)
    return {
        name: read_field(given.get(key), f"{where}.{key}")
        for key, (name, read_field) in fields.items()
        if given.get(key) is not None
    }


def _environment(value: t.Any, where: str) -> tuple[tuple[str, str], ...]:
    fields = {"name": ("name", _text), "value": ("value", _text)}
    read_all = [_fields(item, f"{where}[{number}]", fields) for number, item in enumerate(_list(value, where))]
    return tuple((item.get("name", ""), item.get("value", "")) for item in read_all)


def _exec(value: t.Any, where: str) -> Exec:
    plugin = Exec(**_fields(value, where, _EXEC_FIELDS))
    return (
        plugin
        if plugin.interactive_mode
        else plugin._replace(interactive_mode=_EXEC_DEFAULT_MODE.get(plugin.api_version, ""))
    )


def _auth_provider(value: t.Any, where: str) -> AuthProvider:
    return AuthProvider(**_fields(value, where, {"name": ("name", _text), "config": ("config", _text_map)}))


def _exec_config(value: t.Any, where: str) -> t.Any:
    items = [_mapping(item, f"{where}[{number}]") for number, item in enumerate(_list(value, where))]
    return next((item.get("extension") for item in items if item.get("name") == EXEC_EXTENSION), None)


_EXEC_FIELDS: dict[str, t.Any] = {
    "command": ("command", _text),
    "args": ("args", _texts),
    "env": ("env", _environment),
    "apiVersion": ("api_version", _text),
    "installHint": ("install_hint", _text),
    "provideClusterInfo": ("provide_cluster_info", _flag),
    "interactiveMode": ("interactive_mode", _text),
}
_CLUSTER_FIELDS: dict[str, t.Any] = {
    "server": ("server", _text),
    "tls-server-name": ("tls_server_name", _text),
    "insecure-skip-tls-verify": ("insecure_skip_tls_verify", _flag),
    "certificate-authority": ("certificate_authority", _text),
    "certificate-authority-data": ("certificate_authority_data", _data),
    "proxy-url": ("proxy_url", _text),
    "disable-compression": ("disable_compression", _flag),
    "extensions": ("exec_config", _exec_config),
}
_USER_FIELDS: dict[str, t.Any] = {
    "client-certificate": ("client_certificate", _text),
    "client-certificate-data": ("client_certificate_data", _data),
    "client-key": ("client_key", _text),
    "client-key-data": ("client_key_data", _data),
    "token": ("token", _text),
    "tokenFile": ("token_file", _text),
    "as": ("impersonate", _text),
    "as-uid": ("impersonate_uid", _text),
    "as-groups": ("impersonate_groups", _texts),
    "as-user-extra": ("impersonate_extra", _text_lists),
    "username": ("username", _text),
    "password": ("password", _text),
    "auth-provider": ("auth_provider", _auth_provider),
    "exec": ("exec", _exec),
}
_CONTEXT_FIELDS: dict[str, t.Any] = {
    "cluster": ("cluster", _text),
    "user": ("user", _text),
    "namespace": ("namespace", _text),
}


def _cluster(value: t.Any, where: str) -> Cluster:
    return Cluster(**_fields(value, where, _CLUSTER_FIELDS))


def _user(value: t.Any, where: str) -> User:
    return User(**_fields(value, where, _USER_FIELDS))


def _context(value: t.Any, where: str) -> Context:
    return Context(**_fields(value, where, _CONTEXT_FIELDS))
