# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs as kubectl combines them: which cluster and which user a context leads to, and what is refused. Pure rules, no I/O.

The rules are those of client-go v0.34.4: `tools/clientcmd/loader.go` (merging, relative paths), `client_config.go` (context, user,
cluster) and `validation.go`. What is refused is named by file, entry and field, never by value.
"""

from __future__ import annotations

import os
import typing as t

from .entries import Choice, Cluster, Context, Entry, Exec, Kubeconfig, Origin, User, refuse
from .errors import CdiError

_EXEC_VERSIONS = ("client.authentication.k8s.io/v1beta1", "client.authentication.k8s.io/v1")
_EXEC_MODES = ("Never", "IfAvailable", "Always")
_PROXY_SCHEMES = ("http", "https", "socks5")


def merge(configs: t.Sequence[Kubeconfig]) -> Kubeconfig:
    """Of entries with the same name, and of current contexts, the first wins whole."""
    merged = Kubeconfig({}, {}, {}, "", tuple(origin for config in configs for origin in config.origins))
    for config in configs:
        for kind in ("clusters", "users", "contexts"):
            for name, entry in getattr(config, kind).items():
                getattr(merged, kind).setdefault(name, entry)
    current = next((config.current_context for config in configs if config.current_context), "")
    return merged._replace(current_context=current)


def choose(config: Kubeconfig, context: str) -> Choice:
    """What the context `context`, or else the current one, leads to, with paths that are absolute."""
    name = context or config.current_context
    origin = config.origins[0] if config.origins else Origin()
    if name and name not in config.contexts:
        shown = ", ".join(map(repr, sorted(config.contexts))) or "none"
        what = "context" if context else "current-context"
        raise CdiError(f"{what} {name!r} does not exist in {_all(config)}; available: {shown}.")
    chosen = config.contexts.get(name) or Entry(name, origin, Context())
    cluster = config.clusters.get(chosen.value.cluster) or Entry(chosen.value.cluster, origin, Cluster())
    user = config.users.get(chosen.value.user) or Entry(chosen.value.user, origin, User())
    return Choice(
        chosen,
        _resolved(cluster, ("certificate_authority",)),
        _resolved(user, ("client_certificate", "client_key", "token_file")),
    )


def _all(config: Kubeconfig) -> str:
    return " and ".join(map(str, config.origins)) or "the kubeconfig"


def _resolved(entry: Entry, paths: t.Sequence[str]) -> Entry:
    """Relative paths count from the directory of the file that has them (`ResolveLocalPaths`)."""
    if not entry.origin.path:
        return entry
    directory = os.path.dirname(os.path.abspath(entry.origin.path))
    changed: dict[str, t.Any] = {
        path: os.path.join(directory, value) for path in paths if (value := getattr(entry.value, path))
    }
    plugin = getattr(entry.value, "exec", None)
    if plugin and "/" in plugin.command:
        changed["exec"] = plugin._replace(command=os.path.normpath(os.path.join(directory, plugin.command)))
    return entry._replace(value=entry.value._replace(**changed))


def missing(config: Kubeconfig, choice: Choice) -> CdiError:
    """The sentence for a choice that leads to no cluster: there is nothing at all, no current context, or no such cluster."""
    if not config.clusters and not config.contexts:
        return CdiError(f"{_all(config)} has no clusters; give a kubeconfig, or host and api_key.")
    if not choice.context.name:
        shown = ", ".join(map(repr, sorted(config.contexts))) or "none"
        return CdiError(f"{_all(config)} has no current-context; set context, available: {shown}.")
    if choice.cluster.name not in config.clusters:
        return refuse(
            choice.context.where("contexts", "cluster"),
            f"names the cluster {choice.cluster.name!r}, which does not exist",
        )
    return refuse(choice.cluster.where("clusters", "server"), "is missing", "add the URL of the API server")


def no_credentials(config: Kubeconfig, choice: Choice) -> CdiError:
    """The sentence for a user without credentials, who would be anonymous."""
    if not choice.context.value.user:
        return refuse(choice.context.where("contexts", "user"), "is missing", "name a user, or give api_key")
    if choice.user.name not in config.users:
        return refuse(
            choice.context.where("contexts", "user"), f"names the user {choice.user.name!r}, who does not exist"
        )
    return refuse(
        choice.user.where("users"),
        "has no credentials",
        "add a token, a client certificate or a credential plugin below 'user', or give api_key",
    )


def validate_cluster(entry: Entry) -> None:
    """`validateClusterInfo`, but for files that cannot be read."""
    cluster: Cluster = entry.value
    if cluster.proxy_url and cluster.proxy_url.partition(":")[0].lower() not in _PROXY_SCHEMES:
        raise refuse(
            entry.where("clusters", "proxy-url"),
            "is not a proxy URL",
            "write it as http://, https:// or socks5://NAME:PORT",
        )
    if cluster.certificate_authority and cluster.certificate_authority_data:
        raise refuse(
            entry.where("clusters"),
            "has both certificate-authority and certificate-authority-data",
            "remove one of them",
        )
    if cluster.insecure_skip_tls_verify and (cluster.certificate_authority or cluster.certificate_authority_data):
        raise refuse(
            entry.where("clusters"),
            "has both a certificate authority and insecure-skip-tls-verify",
            "remove one of them",
        )


def validate_user(entry: Entry) -> None:
    """`validateAuthInfo`, but for files that cannot be read, and what the transport refuses later."""
    user: User = entry.value
    where = entry.where("users")
    if (user.token or user.token_file) and (user.username or user.password):
        raise refuse(where, "has both a token and a user name with password", "remove one of them")
    if user.client_certificate or user.client_certificate_data:
        for kind in ("client_certificate", "client_key"):
            if getattr(user, kind) and getattr(user, f"{kind}_data"):
                name = kind.replace("_", "-")
                raise refuse(where, f"has both {name} and {name}-data", "remove one of them")
        if not (user.client_key or user.client_key_data):
            raise refuse(where, "has a client certificate without its key", "add client-key or client-key-data")
    if user.exec:
        _validate_exec(user, user.exec, entry)
    if user.auth_provider and user.auth_provider.name != "oidc":
        hint = (
            "use its credential plugin (exec) instead"
            if user.auth_provider.name in ("gcp", "azure")
            else "use 'oidc', or a credential plugin (exec)"
        )
        raise refuse(
            entry.where("users", "auth-provider.name"), f"is {user.auth_provider.name!r}, which is not supported", hint
        )
    if (user.impersonate_uid or user.impersonate_groups or user.impersonate_extra) and not user.impersonate:
        raise refuse(where, "has as-uid, as-groups or as-user-extra without as", "name the user to act as in 'as', too")


def _validate_exec(user: User, plugin: Exec, entry: Entry) -> None:
    if user.auth_provider:
        raise refuse(entry.where("users"), "has both auth-provider and exec", "remove one of them")
    for field, value in (
        ("command", plugin.command),
        ("apiVersion", plugin.api_version),
        ("interactiveMode", plugin.interactive_mode),
    ):
        if not value:
            raise refuse(entry.where("users", f"exec.{field}"), "is missing", "add it")
    if not all(name for name, _value in plugin.env):
        raise refuse(entry.where("users", "exec.env"), "has a variable without a name", "add its name")
    if plugin.interactive_mode not in _EXEC_MODES:
        raise refuse(entry.where("users", "exec.interactiveMode"), f"is not one of {', '.join(_EXEC_MODES)}")
    if plugin.api_version not in _EXEC_VERSIONS:
        raise refuse(
            entry.where("users", "exec.apiVersion"),
            f"is not one of {', '.join(_EXEC_VERSIONS)}",
            "upgrade the plugin, then this field",
        )
