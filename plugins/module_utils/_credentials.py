# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""From authentication options to a configuration of the package `kubernetes`, which reads kubeconfigs and runs credential plugins.

What its releases 29 to 37 do differently is settled here: proxies of kubeconfigs and of the environment, and what becomes of
credential plugins that fail, which they only log.
"""

from __future__ import annotations

import copy
import logging
import os
import typing as t
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment

from ._errors import CdiError
from ._public import public_url, without_secrets
from ._secrets import secrets_of_options

Params = t.Mapping[str, t.Any]

_FILES = {"client_cert": "cert_file", "client_key": "key_file", "ca_cert": "ssl_ca_cert"}
_REMEDY = "give kubeconfig, or host and api_key (or the variables K8S_AUTH_*)"


def configure(params: Params) -> t.Any:
    """A `kubernetes.client.Configuration` from options that `check` let pass; nothing is sent.

    Raises CdiError when they lead to no cluster. Its sentence holds no secret.
    """
    import yaml
    from kubernetes import client
    from kubernetes.config.config_exception import ConfigException

    configuration = client.Configuration()
    configuration.proxy = configuration.no_proxy = None
    with _logged_errors() as complaints:
        try:
            _load(configuration, params)
        except (ConfigException, OSError) as exc:
            raise CdiError(f"Cannot load the cluster's credentials: {_one_line(exc)}; {_REMEDY}.") from exc
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None)
            where = f" (line {mark.line + 1})" if mark else ""
            raise CdiError(f"Cannot load the cluster's credentials: the kubeconfig is no valid YAML{where}; {_REMEDY}.") from exc
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise CdiError(f"Cannot load the cluster's credentials: the kubeconfig is malformed ({type(exc).__name__}); {_REMEDY}.") from exc
    _keep_overrides(configuration)
    _override(configuration, params)
    if complaints and not (configuration.api_key or configuration.username or configuration.cert_file):
        raise CdiError(f"The kubeconfig's credential plugin gives no credentials: {_one_line('; '.join(complaints))}.")
    _check_host(configuration.host)
    _use_proxy(configuration, params)
    return configuration


def _one_line(message: t.Any) -> str:
    return " ".join(str(message).split()).rstrip(".")


def check(params: Params) -> None:
    """Refuse options that can lead nowhere, in a sentence instead of the client's traceback."""
    token = params.get("api_key")
    if token and not all("!" <= character <= "~" for character in token.strip()):
        raise CdiError("api_key holds white space or characters that no token has; give the token alone.")
    if params.get("impersonate_groups") and not params.get("impersonate_user"):
        raise CdiError("impersonate_groups is given without impersonate_user; name the user to act as, too.")
    for value in (params.get("impersonate_user"), *(params.get("impersonate_groups") or [])):
        if value and not value.isprintable():
            raise CdiError(f"{value!r} to impersonate holds characters that no name has; correct it.")
    for option in _FILES:
        path = params.get(option)
        if path and not os.path.isfile(path):
            raise CdiError(f"{option} is {path}, and there is no such file; give the path of a PEM file.")
    if params.get("host"):
        _check_host(params["host"])


def public_params(params: Params) -> dict[str, t.Any]:
    """A module's options as the log of its host and its result may show them: of a kubeconfig nothing but its path."""
    kubeconfig = params.get("kubeconfig")
    hidden = kubeconfig and (not isinstance(kubeconfig, str) or _is_text(kubeconfig))
    return {**without_secrets(params), "kubeconfig": "***" if hidden else kubeconfig}


def secrets(params: Params) -> set[str]:
    """The secret values inside the options."""
    return secrets_of_options(params)


def _is_text(kubeconfig: str) -> bool:
    """Whether this is a kubeconfig's content, given where its path belongs."""
    return "\n" in kubeconfig or kubeconfig.lstrip().startswith("{")


def _load(configuration: t.Any, params: Params) -> None:
    """Choose the source of credentials in kubernetes.core's order."""
    from kubernetes import config
    from kubernetes.config import kube_config

    complete = params.get("host") and (
        params.get("api_key")
        or (params.get("username") and params.get("password"))
        or (params.get("client_cert") and params.get("client_key"))
    )
    if complete:
        return
    kubeconfig, context = params.get("kubeconfig"), params.get("context")
    if isinstance(kubeconfig, dict):
        config.load_kube_config_from_dict(kubeconfig, context=context, client_configuration=configuration, persist_config=False)
        configuration.proxy = _proxy_url(kube_config.ConfigNode("kubeconfig", kubeconfig), context)
        return
    if not kubeconfig and not context:
        try:
            config.load_incluster_config(client_configuration=configuration)
            return
        except config.ConfigException:
            pass  # Not in a pod: the default kubeconfig is next.
    paths = _paths(kubeconfig) if kubeconfig else kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    config.load_kube_config(config_file=paths, context=context, client_configuration=configuration, persist_config=bool(params.get("persist_config")))
    configuration.proxy = _proxy_url(kube_config.KubeConfigMerger(paths).config, context)


def _paths(kubeconfig: t.Any) -> str:
    """One path, or several with colons between them, as in kubectl's variable KUBECONFIG; of several, some may be missing."""
    if not isinstance(kubeconfig, str):
        raise CdiError(f"kubeconfig is a {type(kubeconfig).__name__}; give a path, several with colons between them, or a dictionary.")
    if _is_text(kubeconfig):
        raise CdiError("kubeconfig is the text of a kubeconfig; give its path, or make a dictionary of it with the filter from_yaml.")
    paths = [os.path.expanduser(os.path.expandvars(path)) for path in kubeconfig.split(os.pathsep) if path]
    if not any(map(os.path.isfile, paths)):
        raise CdiError(f"kubeconfig is {kubeconfig}, and there is no such file; give the path of a kubeconfig.")
    return os.pathsep.join(paths)


def _proxy_url(kubeconfig: t.Any, context: str | None) -> str | None:
    """`proxy-url` of the cluster in use, which the package knows only from release 37 on."""
    used = kubeconfig["contexts"].get_with_name(context or kubeconfig["current-context"])["context"]["cluster"]
    return kubeconfig["clusters"].get_with_name(used)["cluster"].safe_get("proxy-url")


def _keep_overrides(configuration: t.Any) -> None:
    """The hook that renews a token sets all again that the kubeconfig says: it gets a copy, which shares only the dictionary of tokens."""
    renew = configuration.refresh_api_key_hook
    if renew:
        loaded = copy.copy(configuration)
        configuration.refresh_api_key_hook = lambda _configuration: renew(loaded)


def _override(configuration: t.Any, params: Params) -> None:
    """Options win over what the kubeconfig says."""
    names = {"host": "host", "username": "username", "password": "password", **_FILES, "validate_certs": "verify_ssl"}
    for option, attribute in names.items():
        if params.get(option) is not None:
            setattr(configuration, attribute, params[option])
    if params.get("api_key") or params.get("username"):
        configuration.refresh_api_key_hook = None
        configuration.api_key = {"authorization": f"Bearer {params['api_key'].strip()}"} if params.get("api_key") else {}
        configuration.api_key_prefix = {}


def _check_host(host: str) -> None:
    try:
        url = urlsplit(host)
        if url.username or url.password:
            raise CdiError("host holds a user name or a password; give them as username and password.")
        usable = url.scheme in ("http", "https") and url.hostname and (url.port or True)
    except ValueError:
        usable = False
    if not usable:
        raise CdiError(f"host is {public_url(host)}, which is not a valid API server URL; write it as https://NAME:6443.")


def _use_proxy(configuration: t.Any, params: Params) -> None:
    """The option, else the kubeconfig's, else the environment's for the scheme of `host`, with what its URL holds of credentials."""
    import urllib3

    environment = getproxies_environment()
    proxy = params.get("proxy") or configuration.proxy or environment.get(urlsplit(configuration.host).scheme)
    configuration.no_proxy = params.get("no_proxy") or environment.get("no")
    configuration.proxy = None
    headers = {name: value for name, value in (params.get("proxy_headers") or {}).items() if value is not None}
    if proxy:
        try:
            url = urlsplit(proxy)
            usable = url.scheme in ("http", "https", "socks4", "socks4a", "socks5", "socks5h") and url.hostname and (url.port or True)
        except ValueError:
            usable = False
        if not usable:
            raise CdiError("proxy is not a valid proxy URL; write it as http://NAME:3128.")
        if url.username:
            headers.setdefault("proxy_basic_auth", f"{unquote(url.username)}:{unquote(url.password or '')}")
        configuration.proxy = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
    if headers:
        configuration.proxy_headers = urllib3.util.make_headers(**headers)


@contextmanager
def _logged_errors() -> t.Iterator[list[str]]:
    """What the package logs as an error meanwhile: nothing else tells that a credential plugin failed."""
    messages: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield messages
    finally:
        logging.getLogger().removeHandler(handler)
