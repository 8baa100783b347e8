# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The secret values of this run: what options, kubeconfigs and credential plugins hold. Grows whenever one of them is read."""

from __future__ import annotations

import re
import typing as t

_known: set[str] = set()

_SECRET_KEYS = ("access-token", "client-key-data", "client-secret", "id-token", "password", "refresh-token", "token")
# Fields of a user that identify and do not prove. Any other text below a user may be a secret below a misspelt key.
_PUBLIC_KEYS = (
    *("name", "username", "as", "as-uid", "as-groups", "as-user-extra", "client-certificate", "client-certificate-data", "client-key", "tokenFile"),
    *("idp-issuer-url", "idp-certificate-authority", "idp-certificate-authority-data", "client-id", "extra-scopes", "extensions", "exec"),
)
_SECRET_NAME = re.compile("token|passw|pwd|secret|key|credential", re.IGNORECASE)
# Characters of what may be a secret: with a name that speaks of one, and with any name.
_SHORTEST, _LONG = 8, 16


def remember(values: t.Iterable[str]) -> None:
    """Make these values known to `known_secrets`, from here to the end of the process."""
    _known.update(value for value in values if value)


def known_secrets() -> set[str]:
    """All that were remembered so far."""
    return set(_known)


def secrets_of(kubeconfig: t.Any) -> set[str]:
    """The secret values in a kubeconfig's data, whatever its shape."""
    return _secrets_below(kubeconfig, of_user=False)


def _secrets_below(value: t.Any, of_user: bool) -> set[str]:
    if isinstance(value, list):
        return set().union(*(_secrets_below(item, of_user) for item in value))
    if isinstance(value, str):
        return {value} if of_user and len(value) >= _SHORTEST else set()
    if not isinstance(value, dict):
        return set()
    found = {item for key, item in value.items() if key in _SECRET_KEYS and isinstance(item, str)} - {""}
    found.update(*(secrets_of_url(value.get(key)) for key in ("proxy-url", "server", "idp-issuer-url")), _plugin_secrets(value.get("exec")))
    for key, item in value.items():
        # An entry of a list of users holds its name and the user; what stands there below other keys is as secret.
        inside = key == "users" or of_user and not (key in _PUBLIC_KEYS or key == "auth-provider")
        found |= _secrets_below(item, inside) if key != "auth-provider" else _provider_secrets(item, of_user)
    return found


def _provider_secrets(provider: t.Any, of_user: bool) -> set[str]:
    config = provider.get("config") if isinstance(provider, dict) else None
    return _secrets_below(config if isinstance(config, dict) else provider, of_user)


def secrets_of_url(url: t.Any) -> set[str]:
    """The password in a URL, as it is written there and decoded; none when there is no URL."""
    from ._public import password

    written = password(url)
    if "%" not in written:
        return {written} - {""}
    from urllib.parse import unquote

    return {written, unquote(written)}


def _plugin_secrets(plugin: t.Any) -> set[str]:
    """Of a credential plugin, values whose names speak of secrets (`--token=VALUE`, `--token VALUE`, variables), and long values of variables.

    What is known as a secret is hidden wherever a result has it: words such as `get-token`, `default` or a region must stay.
    """
    if not isinstance(plugin, dict):
        return set()
    words = [word for word in _items(plugin.get("args")) if isinstance(word, str)]
    after = [(flag, word) for flag, word in zip(words, words[1:]) if flag.startswith("-") and "=" not in flag and not word.startswith("-")]
    within = [word.partition("=")[::2] for word in words]
    variables = [(entry.get("name"), entry["value"]) for entry in _items(plugin.get("env")) if isinstance(entry, dict) and isinstance(entry.get("value"), str)]
    spoken = {value for name, value in (*after, *within, *variables) if len(value) >= _SHORTEST and _SECRET_NAME.search(str(name))}
    return spoken.union(value for _name, value in variables if len(value) >= _LONG)


def _items(value: t.Any) -> list[t.Any]:
    return value if isinstance(value, list) else []
