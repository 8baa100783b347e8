# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret values of this run: from options, kubeconfigs and credential plugins, added when each of them is read."""

from __future__ import annotations

import typing as t

from .public import SECRET_FIELDS, secrets_of_url, secrets_of_user, texts_in, user_of

# True for a value that this run certainly uses. One of the users of a kubeconfig is chosen later.
_known: dict[str, bool] = {}

_SECRET_OPTIONS = frozenset(("api_key", "password", *SECRET_FIELDS))
_MOST_OTHERS = 100


def forget() -> None:
    """Begin a run: what earlier runs of this process used is not a secret of this one."""
    _known.clear()


def remember(values: t.Iterable[str]) -> None:
    """Add these values to `known_secrets` until the run ends."""
    _known.update((value, True) for value in values if value and value.strip())


def remember_for_now(values: t.Iterable[str]) -> None:
    """Add these values until `settle_on` is called."""
    for value in values:
        if value and value.strip():
            _known.setdefault(value, False)


def settle_on(values: t.Iterable[str]) -> None:
    """Keep only the secrets of the chosen user of a kubeconfig, unless there are few.

    Searching all output for the secrets of hundreds of users would take minutes.
    """
    remember(values)
    others = [value for value, certain in _known.items() if not certain]
    for value in others if len(others) > _MOST_OTHERS else ():
        del _known[value]


def remember_options(options: t.Mapping[str, t.Any]) -> None:
    """Add the secrets of a task's options; those of a kubeconfig until `settle_on` is called."""
    kubeconfig = options.get("kubeconfig")
    remember(secrets_of_options({**options, "kubeconfig": kubeconfig if isinstance(kubeconfig, str) else None}))
    remember_for_now(_of_kubeconfig(kubeconfig))


def known_secrets() -> set[str]:
    """All secrets of this run so far."""
    return set(_known)


def secrets_of_options(options: t.Any) -> set[str]:
    """The secret values in options: secret options and headers, their parts, URLs, and the content of a kubeconfig."""
    if isinstance(options, (list, tuple)):
        return set().union(*map(secrets_of_options, options))
    if isinstance(options, str):
        return secrets_of_url(options)
    if not isinstance(options, dict):
        return set()
    found: set[str] = set()
    for name, value in options.items():
        if name in _SECRET_OPTIONS:
            found.update(*(_parts(text) for text in texts_in(value)))
        elif name == "kubeconfig":
            found |= _of_kubeconfig(value)
        elif name in ("host", "proxy") and isinstance(value, str):
            # Neither option accepts a path with an @.
            user = value.partition("://")[2].rpartition("@")[0] or user_of(value)
            found |= secrets_of_user(user) | secrets_of_url(value)
        else:
            found |= secrets_of_options(value)
    return found


def _parts(text: str) -> set[str]:
    """The secret parts of `value`, `user:password`, `Name: value` and `Authorization: Scheme value`."""
    after = text.partition(":")[2].strip()
    return {text, after, after.rpartition(" ")[2]} - {""}


def _of_kubeconfig(kubeconfig: t.Any) -> set[str]:
    if not kubeconfig:
        return set()
    from .kubeconfig_secrets import secrets_of_content

    return secrets_of_content(kubeconfig)
