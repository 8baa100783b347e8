# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns authentication options into an access: checks options, reads kubeconfigs and the environment."""

from __future__ import annotations

import os
import typing as t

from .access import Access, Oidc, Params, Plugin, TokenFile, access_of, check_host
from .entries import NO_CHOICE, NO_KUBECONFIG, Choice, Kubeconfig
from .errors import CdiError, why_unreadable
from .public import without_secrets
from .secrets import remember, remember_options, settle_on
from .source import Source

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_FILES = ("client_cert", "client_key", "ca_cert")


def settle(params: Params, service_account: str = SERVICE_ACCOUNT) -> Access:
    """The access that the options, the kubeconfig and the environment lead to. Nothing is sent.

    `service_account` is the directory in which a pod finds its token. Raises CdiError, without secrets, when they do
    not lead to a cluster.
    """
    given = _given(params)
    remember_options(params)
    _check(given)
    config = _load(given)
    choice = _choose(config, given.get("context") or "")
    access = access_of(given, config, choice, os.environ)
    if access is None and not given.get("kubeconfig"):
        from .environment import in_cluster_access

        access = in_cluster_access(given, service_account)
    if access is None and not config.origins:
        from .environment import nothing_given

        raise CdiError(nothing_given())
    if access is None:
        from .kubeconfig import missing

        raise missing(config, choice)
    if access.proxy:
        remember({access.proxy.secret})
    return access


def _load(given: Params) -> Kubeconfig:
    """The kubeconfig that applies; empty if the options are enough."""
    enough = given.get("host") and any(map(given.get, ("api_key", "username", "client_cert")))
    if enough and given.get("kubeconfig") is None and not given.get("context"):
        return NO_KUBECONFIG
    from .environment import load

    return load(given.get("kubeconfig"))


def _choose(config: Kubeconfig, context: str) -> Choice:
    """The entries of the context. From now on, only their secrets are those of the run."""
    if not config.origins and not context:
        return NO_CHOICE
    from .kubeconfig import choose
    from .kubeconfig_secrets import secrets_of

    choice = choose(config, context)
    settle_on(secrets_of([choice.user.raw, choice.cluster.raw]))
    for entry, kind, fields in (
        (choice.user, "users", ("client_certificate", "client_key")),
        (choice.cluster, "clusters", ("certificate_authority",)),
    ):
        for field in fields:
            path = getattr(entry.value, field)
            if path:
                _must_be_readable(entry.where(kind, field.replace("_", "-")), path)
    return choice


def source_of(access: Access, *, persist: bool, clock: t.Callable[[], float]) -> Source:
    """The source of the credentials of this access.

    `persist`: renewed OIDC tokens are written to the kubeconfig. `clock`: monotonic seconds.
    """
    identity = access.identity
    if isinstance(identity, TokenFile):
        from .file_source import FileSource

        return FileSource(identity, clock)
    if isinstance(identity, Plugin):
        from .plugin_source import PluginSource

        return PluginSource(identity, access)
    if isinstance(identity, Oidc):
        from .oidc_source import OidcSource

        return OidcSource(identity, persist)
    if identity is None and access.certificate and access.key:
        from .file_source import CertificateSource

        return CertificateSource(access.certificate, access.key, clock)
    return Source(identity)


def _given(params: Params) -> dict[str, t.Any]:
    """The options without empty ones, which surveys and compose files set, and without surrounding white space."""
    given = {
        name: value.strip() if isinstance(value, str) and name not in ("password", "kubeconfig") else value
        for name, value in params.items()
    }
    groups = [group for group in given.get("impersonate_groups") or [] if group]
    empty = {name for name, value in given.items() if isinstance(value, str) and not value.strip()}
    return {**given, **dict.fromkeys(empty - {"password"}), "impersonate_groups": groups}


def _check(given: Params) -> None:
    """Reject options that cannot work."""
    if not all("!" <= character <= "~" for character in given.get("api_key") or ""):
        raise CdiError("api_key contains white space or characters that no token has; set it to the token alone.")
    if given.get("impersonate_groups") and not given.get("impersonate_user"):
        raise CdiError("impersonate_groups is set without impersonate_user; also set impersonate_user.")
    for value in (given.get("impersonate_user"), *given["impersonate_groups"]):
        if value and not value.isprintable():
            raise CdiError(f"The name to impersonate, {value!r}, contains non-printable characters; correct it.")
    for option, other in (("client_cert", "client_key"), ("client_key", "client_cert")):
        if given.get(option) and not given.get(other):
            raise CdiError(
                f"{option} is set without {other}; set both, to the same path if one file holds certificate and key."
            )
    if given.get("password") and not given.get("username"):
        raise CdiError("password is set without username; set both.")
    for option in _FILES:
        if given.get(option):
            _must_be_readable(option, given[option])
    if given.get("host"):
        check_host(given["host"])


def _must_be_readable(what: str, path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as exc:
        raise CdiError(f"{what} {path!r} {why_unreadable(exc)}; give the path of a PEM file.") from exc
    except ValueError as exc:
        raise CdiError(f"{what} is not a path; give the path of a PEM file.") from exc


def public_params(params: Params) -> dict[str, t.Any]:
    """A module's options for the log of its host and for its result. Of a kubeconfig, only the path is shown."""
    public: dict[str, t.Any] = without_secrets(params)
    kubeconfig = params.get("kubeconfig")
    if kubeconfig:
        from .kubeconfig_secrets import is_content

        if not isinstance(kubeconfig, str) or is_content(kubeconfig):
            public["kubeconfig"] = "***"
    return public
