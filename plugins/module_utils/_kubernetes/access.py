# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One frozen access (server, TLS, proxy, identity) from options, the chosen kubeconfig entries and the environment.

Pure rules, no I/O. As kubectl's flags, options override single fields of the kubeconfig (client-go v0.34.4,
`tools/clientcmd/client_config.go`).
"""

from __future__ import annotations

import base64
import typing as t
from urllib.parse import urlsplit

from .entries import (
    AuthProvider,
    Choice,
    Cluster,
    Entry,
    Exec,
    Kubeconfig,
    User,
    refuse,
)
from .errors import CdiError
from .public import public_url

if t.TYPE_CHECKING:
    from .proxy import Proxy

Params = t.Mapping[str, t.Any]
_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


class Pem(t.NamedTuple):
    """Certificates or a key. `source` names the option or field, `path` is the file unless there is `data`."""

    source: str
    path: str = ""
    data: bytes = b""


class TokenFile(t.NamedTuple):
    """A file whose token is read repeatedly. `token` is used while the file cannot be read."""

    source: str
    path: str
    token: str = ""


class Plugin(t.NamedTuple):
    """A credential plugin. `cluster` is what it gets to know of the cluster, None if it does not ask for that."""

    source: str
    exec: Exec
    cluster: dict[str, t.Any] | None = None


class Oidc(t.NamedTuple):
    """An OIDC provider of a kubeconfig. `user` and `path`: the entry and the file that hold its tokens."""

    source: str
    provider: AuthProvider
    user: str
    path: str


class Access(t.NamedTuple):
    """How to reach an API server, and as whom. `identity` is the value of an Authorization header, or what provides it.

    `namespace` is that of the kubeconfig's context or of the pod, empty when they name none.
    """

    host: str
    verify: bool = True
    server_name: str = ""
    ca: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None
    proxy: Proxy | None = None
    proxy_headers: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    identity: str | TokenFile | Plugin | Oidc | None = None
    namespace: str = ""

    @property
    def place(self) -> str:
        """The API server, and the proxy in front of it."""
        return f"{self.host} through the proxy {self.proxy.url}" if self.proxy else self.host


def access_of(params: Params, config: Kubeconfig, choice: Choice, environment: t.Mapping[str, str]) -> Access | None:
    """The access to the chosen cluster; None when neither the choice nor the options name one.

    Raises CdiError for what kubectl rejects.
    """
    cluster = _with_cluster_options(choice.cluster, params)
    if config.origins:
        # Only a kubeconfig can combine fields that kubectl rejects.
        from .kubeconfig import validate_cluster, validate_user

        validate_user(choice.user)
        validate_cluster(cluster)
    if cluster.value == Cluster():
        return None
    if not cluster.value.server:
        from .kubeconfig import missing

        raise missing(config, choice)
    user = _with_user_options(choice.user, params)
    host = server_url(cluster.value.server, cluster.where("clusters", "server"))
    secure = host.startswith("https:")
    if not secure and not _has_credential_options(params):
        # Without TLS, no credentials of a kubeconfig are sent.
        user = user._replace(
            value=User(**{name: getattr(user.value, name) for name in User._fields if name.startswith("impersonate")})
        )
    elif secure and not user.value.has_credentials():
        if params.get("host") and not choice.context.name:
            raise CdiError(
                "host is set, but neither api_key nor a client certificate is; "
                "set api_key, or client_cert and client_key."
            )
        from .kubeconfig import no_credentials

        raise no_credentials(config, choice)
    proxy, proxy_headers = _proxy(params, cluster, host, environment)
    return Access(
        host=host,
        verify=not cluster.value.insecure_skip_tls_verify,
        server_name=cluster.value.tls_server_name,
        ca=_pem(cluster, "clusters", "certificate_authority", params.get("ca_cert") and "ca_cert"),
        certificate=_pem(user, "users", "client_certificate", params.get("client_cert") and "client_cert"),
        key=_pem(user, "users", "client_key", params.get("client_key") and "client_key"),
        proxy=proxy,
        proxy_headers=proxy_headers,
        headers=_impersonation(user),
        identity=_identity(user, cluster),
        namespace=choice.context.value.namespace,
    )


def _with_cluster_options(entry: Entry, params: Params) -> Entry:
    cluster: Cluster = entry.value
    if params.get("host"):
        # The certificate of this server has a different name.
        cluster = cluster._replace(server=params["host"], tls_server_name="")
    if params.get("ca_cert"):
        cluster = cluster._replace(
            certificate_authority=params["ca_cert"], certificate_authority_data=b"", insecure_skip_tls_verify=False
        )
    if params.get("validate_certs") is False:
        cluster = cluster._replace(
            certificate_authority="", certificate_authority_data=b"", insecure_skip_tls_verify=True
        )
    elif params.get("validate_certs"):
        cluster = cluster._replace(insecure_skip_tls_verify=False)
    return entry._replace(value=cluster)


def _with_user_options(entry: Entry, params: Params) -> Entry:
    user: User = entry.value
    if params.get("api_key") or params.get("username"):
        kept = {name: getattr(user, name) for name in User._fields if name.startswith("impersonate")}
        user = User(**kept)
        if params.get("api_key"):
            user = user._replace(token=params["api_key"])
        else:
            user = user._replace(username=params["username"], password=params.get("password") or "")
    if params.get("client_cert"):
        user = user._replace(
            client_certificate=params["client_cert"],
            client_certificate_data=b"",
            client_key=params["client_key"],
            client_key_data=b"",
        )
    if params.get("impersonate_user"):
        groups = tuple(params.get("impersonate_groups") or ())
        user = user._replace(
            impersonate=params["impersonate_user"], impersonate_groups=groups, impersonate_uid="", impersonate_extra=()
        )
    return entry._replace(value=user)


def _has_credential_options(params: Params) -> bool:
    return bool(params.get("api_key") or params.get("username") or params.get("client_cert"))


def server_url(server: str, where: str) -> str:
    """The URL without query and fragment. HOST:PORT alone means http (client-go v0.34.4, `rest/url_utils.go`)."""
    try:
        parts = urlsplit(server)
        if not (parts.scheme and parts.netloc):
            parts = urlsplit(f"http://{server}")
            if parts.path.strip("/"):
                raise ValueError
        port, host = parts.port, parts.hostname
        usable = parts.scheme in ("http", "https") and host and port != 0 and server.isprintable() and " " not in server
    except ValueError:
        usable = False
    if not usable:
        raise refuse(where, "is not a valid API server URL", "write it as https://NAME:6443")
    if parts.username or parts.password:
        raise refuse(where, "contains a user name or a password", "set username and password instead")
    return parts._replace(query="", fragment="").geturl().rstrip("/")


def check_host(host: str) -> None:
    """Reject a bad option `host`. Unlike a kubeconfig's server, it must be a whole URL."""
    try:
        parts = urlsplit(host)
        if parts.username or parts.password:
            raise CdiError("host contains a user name or a password; set username and password instead.")
        usable = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0
            and host.isprintable()
            and " " not in host
        )
    except ValueError:
        usable = False
    if not usable:
        raise CdiError(f"host {public_url(host)!r} is not a valid API server URL; write it as https://NAME:6443.")


def _pem(entry: Entry, kind: str, field: str, option: str | None) -> Pem | None:
    path, data = getattr(entry.value, field), getattr(entry.value, f"{field}_data")
    name = field.replace("_", "-")
    if data:
        return Pem(entry.where(kind, f"{name}-data"), data=data)
    return Pem(f"{option} {path!r}" if option else f"{entry.where(kind, name)} ({path!r})", path) if path else None


def _impersonation(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Headers as in client-go v0.34.4, `transport/round_trippers.go`. Keys of extra fields are escaped."""
    user: User = entry.value
    if not user.impersonate:
        return ()
    headers = [("Impersonate-User", user.impersonate)]
    if user.impersonate_uid:
        headers.append(("Impersonate-Uid", user.impersonate_uid))
    headers += [("Impersonate-Group", group) for group in user.impersonate_groups]
    headers += [
        (f"Impersonate-Extra-{_header_key(key)}", value) for key, values in user.impersonate_extra for value in values
    ]
    for _name, value in headers:
        if not value.isprintable():
            raise refuse(entry.where("users"), "impersonates a name that contains non-printable characters")
    return tuple(headers)


def _header_key(key: str) -> str:
    legal = "!#$&'*+-.^_`|~"
    return "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or chr(byte) in legal else f"%{byte:02X}"
        for byte in key.encode()
    )


def _identity(entry: Entry, cluster: Entry) -> str | TokenFile | Plugin | Oidc | None:
    """What authenticates the user. A plugin only runs for a user without other credentials.

    client-go v0.34.4, `transport/transport.go` and `plugin/pkg/client/auth/exec/exec.go`.
    """
    user: User = entry.value
    if not is_sendable(user.token):
        raise refuse(entry.where("users", "token"), "contains a line end or another character that no token has")
    if user.token_file:
        return TokenFile(entry.where("users", "tokenFile"), user.token_file, user.token)
    if user.token:
        return f"Bearer {user.token}"
    if user.username or user.password:
        return basic(user.username, user.password)
    if user.auth_provider:
        return Oidc(entry.where("users", "auth-provider"), user.auth_provider, entry.name, entry.origin.path)
    if user.exec and not (user.client_certificate or user.client_certificate_data):
        return Plugin(
            entry.where("users", "exec"),
            user.exec,
            _cluster_info(cluster.value) if user.exec.provide_cluster_info else None,
        )
    return None


def is_sendable(text: str) -> bool:
    """Whether a header can contain the text, by the rule of Go."""
    return all((character >= " " and character != "\x7f") or character == "\t" for character in text)


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _cluster_info(cluster: Cluster) -> dict[str, t.Any]:
    """What a plugin gets to know (client-go v0.34.4, `rest/exec.go`). A CA in a file is added when it runs."""
    info = {
        "server": cluster.server,
        "tls-server-name": cluster.tls_server_name,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": base64.b64encode(cluster.certificate_authority_data).decode(),
        "proxy-url": cluster.proxy_url,
        "disable-compression": cluster.disable_compression,
    }
    return {**{key: value for key, value in info.items() if value}, "config": cluster.exec_config}


def _proxy(
    params: Params, cluster: Entry, host: str, environment: t.Mapping[str, str]
) -> tuple[Proxy | None, tuple[tuple[str, str], ...]]:
    """The proxy, and the headers that it gets."""
    proxy = None
    if params.get("proxy") or cluster.value.proxy_url or any(map(environment.get, _PROXY_VARIABLES)):
        proxy = _chosen_proxy(params, cluster, host, environment)
    given = params.get("proxy_headers") or {}
    headers = {}
    if proxy and (proxy.username or proxy.password):
        headers["proxy-authorization"] = basic(proxy.username, proxy.password)
    for option, header in (("proxy_basic_auth", "proxy-authorization"), ("basic_auth", "authorization")):
        if given.get(option):
            headers[header] = basic(*given[option].partition(":")[::2])
    if given.get("user_agent"):
        headers["user-agent"] = given["user_agent"]
    return proxy, tuple(headers.items())


def _chosen_proxy(params: Params, cluster: Entry, host: str, environment: t.Mapping[str, str]) -> Proxy | None:
    """The proxy of the option, else of the kubeconfig, else of the environment.

    NO_PROXY only applies to that of the environment, the option no_proxy to all.
    """
    from .proxy import address_of, environment_proxy, excluded, proxy_of

    target, no_proxy = address_of(host), params.get("no_proxy")
    proxy: Proxy | None
    if params.get("proxy"):
        proxy = proxy_of("proxy", params["proxy"])
    elif cluster.value.proxy_url:
        proxy = proxy_of(cluster.where("clusters", "proxy-url"), cluster.value.proxy_url)
    else:
        proxy = environment_proxy(target, {**environment, "NO_PROXY": no_proxy} if no_proxy else environment)
    return None if proxy and no_proxy and excluded(target, no_proxy) else proxy
