# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns authentication options into an access: checks options, reads kubeconfigs and the environment."""

from __future__ import annotations

import os
import typing as t

from .access import Access, Oidc, Params, Plugin, TokenFile, access_of, check_host, in_cluster_access
from .entries import NO_CHOICE, NO_KUBECONFIG, Choice, Kubeconfig, Origin
from .errors import CdiError
from .public import without_secrets
from .secrets import decoded_content, is_content, remember, remember_for_now, remember_options, secrets_of, settle_on
from .source import Source

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_FILES = ("client_cert", "client_key", "ca_cert")
_REMEDY = "give kubeconfig, or host and api_key (or the variables K8S_AUTH_*)"


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
    settle_on(secrets_of([choice.user.raw, choice.cluster.raw]))
    for entry, kind, fields in (
        (choice.user, "users", ("client_certificate", "client_key")),
        (choice.cluster, "clusters", ("certificate_authority",)),
    ):
        for field in fields:
            path = getattr(entry.value, field)
            if path:
                _must_be_readable(entry.where(kind, field.replace("_", "-")), path)
    access = access_of(given, config, choice, os.environ)
    if access is None and not given.get("kubeconfig"):
        access = _in_cluster(given, service_account)
    if access is None and not config.origins:
        raise CdiError(_nothing_given())
    if access is None:
        from .kubeconfig import missing

        raise missing(config, choice)
    if access.proxy:
        remember({access.proxy.secret})
    return access


def _choose(config: Kubeconfig, context: str) -> Choice:
    if not config.origins and not context:
        return NO_CHOICE
    from .kubeconfig import choose

    return choose(config, context)


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
        raise CdiError(f"{what} {path!r} {_why(exc)}; give the path of a PEM file.") from exc
    except ValueError as exc:
        raise CdiError(f"{what} is not a path; give the path of a PEM file.") from exc


def _why(exc: OSError) -> str:
    if isinstance(exc, FileNotFoundError):
        return "does not exist"
    return "is a directory" if isinstance(exc, IsADirectoryError) else f"cannot be read ({exc.strerror})"


def public_params(params: Params) -> dict[str, t.Any]:
    """A module's options for the log of its host and for its result. Of a kubeconfig, only the path is shown."""
    public: dict[str, t.Any] = without_secrets(params)
    kubeconfig = params.get("kubeconfig")
    if kubeconfig and (not isinstance(kubeconfig, str) or is_content(kubeconfig)):
        public["kubeconfig"] = "***"
    return public


def _load(given: Params) -> Kubeconfig:
    """The kubeconfig of the option, else of KUBECONFIG or the home directory; empty if the options are enough."""
    kubeconfig = given.get("kubeconfig")
    if isinstance(kubeconfig, dict):
        from .kubeconfig_file import read

        return read(kubeconfig, Origin())
    if kubeconfig is not None:
        return _load_files(_paths(kubeconfig), "kubeconfig", must_exist=True)
    if given.get("host") and any(map(given.get, ("api_key", "username", "client_cert"))) and not given.get("context"):
        return NO_KUBECONFIG
    if os.environ.get("KUBECONFIG"):
        return _load_files(os.environ["KUBECONFIG"].split(os.pathsep), "the variable KUBECONFIG", must_exist=False)
    return _load_files([os.path.expanduser("~/.kube/config")], "", must_exist=False)


def _paths(kubeconfig: t.Any) -> list[str]:
    """One path, or several separated by colons, as in kubectl's variable KUBECONFIG."""
    if not isinstance(kubeconfig, str):
        raise CdiError(
            f"kubeconfig is a {type(kubeconfig).__name__}; "
            "set it to a path, to several paths separated by colons, or to a dictionary."
        )
    if is_content(kubeconfig):
        encoded = "base64 text" if decoded_content(kubeconfig) else "text"
        filters = "filters b64decode and from_yaml" if decoded_content(kubeconfig) else "filter from_yaml"
        raise CdiError(
            f"kubeconfig is the {encoded} of a kubeconfig and not a path; "
            f"set it to the path, or convert the text to a dictionary with the {filters}."
        )
    paths = kubeconfig.split(os.pathsep)
    return [path if os.path.isfile(path) else os.path.expanduser(os.path.expandvars(path.strip())) for path in paths]


def _load_files(paths: list[str], source: str, must_exist: bool) -> Kubeconfig:
    """The files merged as in kubectl: an empty file is an empty kubeconfig, and some of several may be missing."""
    from .kubeconfig import merge
    from .kubeconfig_file import parse, read

    configs = []
    existing = [path for path in dict.fromkeys(paths) if path]
    for path in existing:
        try:
            with open(path, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise CdiError(f"kubeconfig {path!r} {_why(exc)}; give the path of a kubeconfig.") from exc
        except ValueError as exc:
            raise CdiError(f"{source} contains a character that no path has; give the path of a kubeconfig.") from exc
        content = parse(text, Origin(path))
        remember_for_now(secrets_of(content))
        configs.append(read(content, Origin(path)))
    if must_exist and not configs:
        raise CdiError(_none_exists(source, existing))
    return merge(configs)


def _none_exists(source: str, paths: list[str]) -> str:
    named = ", ".join(map(repr, paths))
    if not paths:
        return f"{source} names no file; give the path of a kubeconfig."
    if len(paths) == 1:
        return f"{source} file {named} does not exist; give the path of a kubeconfig."
    return f"none of the files of {source} exists ({named}); give the path of a kubeconfig."


def _nothing_given() -> str:
    """Why nothing leads to a cluster, when there is no kubeconfig either."""
    variable = os.environ.get("KUBECONFIG")
    if variable:
        paths = [path for path in dict.fromkeys(variable.split(os.pathsep)) if path]
        missing_files = _none_exists("the variable KUBECONFIG", paths).partition(";")[0]
    else:
        missing_files = "there is no kubeconfig '~/.kube/config'"
    return f"Cannot load the cluster's credentials: {missing_files}; {_REMEDY}."


def _in_cluster(given: Params, service_account: str) -> Access | None:
    """The service account of this pod, if it is one. As in kubectl, it is the last resort."""
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    token, ca = f"{service_account}/token", f"{service_account}/ca.crt"
    if not (host and port and os.path.isfile(token)) or given.get("context"):
        return None
    namespace = _pods_namespace(service_account)
    return in_cluster_access(given, host, port, token, ca if os.path.isfile(ca) else "", namespace, os.environ)


def _pods_namespace(service_account: str) -> str:
    """POD_NAMESPACE, else that of the service account (client-go v0.34.4, `tools/clientcmd/client_config.go`)."""
    if os.environ.get("POD_NAMESPACE"):
        return os.environ["POD_NAMESPACE"]
    try:
        with open(f"{service_account}/namespace", encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""
