# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""The way to an API server: TLS, proxies, credentials, and what a request or a WebSocket needs of them.

Requests go through the urllib3 pool of the package `kubernetes`: that part is the same in every release from 29 to 37. The
Authorization header is set here, because 36.0.0 and 36.0.1 drop it.
"""

from __future__ import annotations

import base64
import re
import ssl
import typing as t

from ._answers import short
from ._credentials import check, configure, secrets
from ._errors import CdiError

Params = t.Mapping[str, t.Any]

CONNECT_TIMEOUT_SECONDS = 10
ANSWER_TIMEOUT_SECONDS = 60

# How urllib3 begins its messages.
_OBJECT_SHOWN = re.compile(r"^(<[^>]*>|HTTPS?Connection(Pool)?\([^)]*\)): ")


def open_transport(params: Params) -> Transport:
    """The way that the authentication options lead (see the documentation fragment `_auth`).

    Nothing is sent yet. Raises CdiError when the package `kubernetes` is missing or the options lead to no cluster.
    """
    check(params)
    try:
        import urllib3
        from kubernetes import client
    except ImportError as exc:
        raise CdiError(
            "The Python package kubernetes is missing on the host that runs this task; install it there with: pip install 'kubernetes>=29'."
        ) from exc
    configuration = configure(params)
    try:
        api_client = client.ApiClient(configuration)
    except (urllib3.exceptions.HTTPError, ImportError) as exc:
        raise CdiError(f"proxy is {configuration.proxy}, which the Python package urllib3 cannot use: {exc}.") from exc
    return Transport(api_client, configuration, _headers(params), secrets(params))


def _headers(params: Params) -> list[tuple[str, str]]:
    headers = []
    if params.get("impersonate_user"):
        headers.append(("Impersonate-User", params["impersonate_user"]))
    headers += [("Impersonate-Group", group) for group in params.get("impersonate_groups") or []]
    return headers


class Transport:
    """Sends requests with this run's credentials. All that it raises by itself are the errors of urllib3 and of websocket-client."""

    def __init__(self, api_client: t.Any, configuration: t.Any, headers: list[tuple[str, str]], known_secrets: set[str]) -> None:
        import urllib3

        self.api_client = api_client
        self.host = configuration.host.rstrip("/")
        self.verifies_certificates = bool(configuration.verify_ssl)
        self._configuration = configuration
        self._headers = headers
        self._secrets = known_secrets
        self._urllib3 = urllib3
        if not self.verifies_certificates:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def secrets(self) -> set[str]:
        """The secret values of this run that are known so far: tokens that are renewed are added."""
        return set(self._secrets)

    def request(self, method: str, path: str, headers: t.Mapping[str, str], **options: t.Any) -> t.Any:
        """An answer of urllib3, whose `request` takes the `options`."""
        sent = self._urllib3.HTTPHeaderDict(self._headers)
        sent.update(headers)
        authorization = self._authorization()
        if authorization:
            sent["Authorization"] = authorization
        return self.api_client.rest_client.pool_manager.request(method, self.host + path, headers=sent, **options)

    def websocket(self, path: str, subprotocols: list[str]) -> t.Any:
        """Open a WebSocket of package `websocket-client`, by the same credentials, TLS and proxy as all requests."""
        import websocket

        configuration = self._configuration
        options: dict[str, t.Any] = {"cert_reqs": ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE}
        names = {"ca_certs": "ssl_ca_cert", "certfile": "cert_file", "keyfile": "key_file", "server_hostname": "tls_server_name"}
        options.update({name: getattr(configuration, attribute, None) for name, attribute in names.items() if getattr(configuration, attribute, None)})
        proxy, proxy_errors = _websocket_proxy(configuration, self.api_client.rest_client.pool_manager)
        headers = [f"{key}: {value}" for key, value in self._headers]
        authorization = self._authorization()
        if authorization:
            headers.append(f"Authorization: {authorization}")
        opened = websocket.WebSocket(sslopt=options, skip_utf8_validation=True)
        opened.settimeout(ANSWER_TIMEOUT_SECONDS)
        try:
            opened.connect(self.host.replace("http", "ws", 1) + path, header=headers, subprotocols=subprotocols, suppress_origin=True, **proxy)
        except proxy_errors as exc:
            raise websocket.WebSocketException(str(exc)) from exc
        return opened

    def _authorization(self) -> str | None:
        """The header's value; the hook renews a token that a plugin, or a pod's service account, has given for some time."""
        if self._configuration.refresh_api_key_hook:
            self._configuration.refresh_api_key_hook(self._configuration)
        # Releases differ in the key, and none of them understands all of its own.
        token = self._configuration.api_key.get("BearerToken") or self._configuration.api_key.get("authorization")
        if token:
            return str(token).strip()
        if self._configuration.username:
            return str(self._configuration.get_basic_auth_token())
        return None

    def unreachable(self, exc: BaseException) -> str:
        """Why there is no answer, in words and with a remedy, out of what urllib3 wrapped."""
        cause = getattr(exc, "reason", None) or exc
        while cause.args and isinstance(cause.args[-1], BaseException):
            cause = cause.args[-1]
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {self.host} is not valid ({cause.verify_message}); give its CA as ca_cert"
        through = f" through the proxy {self._configuration.proxy}" if self._configuration.proxy else ""
        return (
            f"no answer from the Kubernetes API at {self.host}{through} ({short(_OBJECT_SHOWN.sub('', str(cause)))}); "
            "check host, proxy, ca_cert and that the API server runs"
        )


def _websocket_proxy(configuration: t.Any, pool: t.Any) -> tuple[dict[str, t.Any], tuple[type[Exception], ...]]:
    """Options of websocket-client for the proxy that the pool of all other requests uses, and what it raises for it alone.

    Also that there is none has to be said: the package would look at the environment, and at lists of exceptions by other rules.
    """
    from urllib.parse import urlsplit

    if not (pool.proxy or getattr(pool, "proxy_url", None)):
        return {"http_proxy_host": "none", "http_no_proxy": ["*"]}, ()
    parts = urlsplit(configuration.proxy)
    told = f"proxy is {configuration.proxy}, and"
    if parts.scheme == "https":
        raise CdiError(f"{told} port-forwards go through http and socks proxies only; publish the upload proxy and give its URL as upload_proxy_url.")
    port = parts.port or 80
    errors: tuple[type[Exception], ...] = ()
    if parts.scheme != "http":
        try:
            from python_socks import ProxyError
        except ImportError as exc:
            raise CdiError(
                f"{told} the Python package python-socks, which port-forwards through it need, is missing on the host that runs this task; "
                "install it there with: pip install python-socks."
            ) from exc
        port, errors = parts.port or 1080, (ProxyError,)
    options = {"proxy_type": parts.scheme, "http_proxy_host": parts.hostname, "http_proxy_port": port, "http_no_proxy": [""]}
    basic = (configuration.proxy_headers or {}).get("proxy-authorization", "").removeprefix("Basic ")
    if basic:
        options["http_proxy_auth"] = tuple(base64.b64decode(basic).decode().split(":", 1))
    return options, errors
