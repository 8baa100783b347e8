# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the cluster where the options are not enough: in kubeconfigs, or by the service account of this pod."""

from __future__ import annotations

import os
import typing as t

from .access import Access, Params, access_of
from .entries import NO_KUBECONFIG, Choice, Cluster, Context, Entry, Kubeconfig, Origin, User
from .errors import CdiError, why_unreadable
from .kubeconfig import merge
from .kubeconfig_file import parse, read
from .kubeconfig_secrets import decoded_content, is_content, secrets_of
from .secrets import remember_for_now

_REMEDY = "give kubeconfig, or host and api_key (or the variables K8S_AUTH_*)"


def load(kubeconfig: t.Any) -> Kubeconfig:
    """The kubeconfig of the option, else of KUBECONFIG or the home directory."""
    if isinstance(kubeconfig, dict):
        return read(kubeconfig, Origin())
    if kubeconfig is not None:
        return _load_files(_paths(kubeconfig), "kubeconfig", must_exist=True)
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
    configs = []
    existing = [path for path in dict.fromkeys(paths) if path]
    for path in existing:
        try:
            with open(path, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise CdiError(f"kubeconfig {path!r} {why_unreadable(exc)}; give the path of a kubeconfig.") from exc
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


def nothing_given() -> str:
    """Why nothing leads to a cluster, when there is no kubeconfig either."""
    variable = os.environ.get("KUBECONFIG")
    if variable:
        paths = [path for path in dict.fromkeys(variable.split(os.pathsep)) if path]
        missing_files = _none_exists("the variable KUBECONFIG", paths).partition(";")[0]
    else:
        missing_files = "there is no kubeconfig '~/.kube/config'"
    return f"Cannot load the cluster's credentials: {missing_files}; {_REMEDY}."


def in_cluster_access(given: Params, service_account: str) -> Access | None:
    """The service account of this pod, if it is one. As in kubectl, it is the last resort.

    The CA may be missing (client-go v0.34.4, `rest/config.go`).
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{name}") for name in ("HOST", "PORT"))
    token, ca = f"{service_account}/token", f"{service_account}/ca.crt"
    if not (host and port and os.path.isfile(token)) or given.get("context"):
        return None
    cluster = Cluster(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        certificate_authority=ca if os.path.isfile(ca) else "",
    )
    context = Context(namespace=_pods_namespace(service_account))
    choice = Choice(_entry(context), _entry(cluster), _entry(User(token_file=token)))
    return access_of(given, NO_KUBECONFIG, choice, os.environ)


def _entry(value: t.Any) -> Entry:
    return Entry("the pod's service account", Origin(), value)


def _pods_namespace(service_account: str) -> str:
    """POD_NAMESPACE, else that of the service account (client-go v0.34.4, `tools/clientcmd/client_config.go`)."""
    if os.environ.get("POD_NAMESPACE"):
        return os.environ["POD_NAMESPACE"]
    try:
        with open(f"{service_account}/namespace", encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError):
        return ""
