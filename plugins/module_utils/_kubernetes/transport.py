# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends requests to an API server, and opens WebSockets: TLS, proxies and credentials.

Connections are pooled by urllib3. Nothing of the package `kubernetes` is loaded, because its models take more time than
the rest of a module.
"""

from __future__ import annotations

import time
import typing as t

from .access import Access, Params, Pem
from .credentials import settle, source_of
from .errors import ApiError, CdiError
from .source import Credentials, Source
from .tls import context_of

CONNECT_TIMEOUT_SECONDS = 10
ANSWER_TIMEOUT_SECONDS = 60


def open_transport(params: Params, clock: t.Callable[[], float] = time.monotonic) -> Transport:
    """The transport for the authentication options (see the documentation fragment `_auth`).

    Sends no request to the API server, but may run a credential plugin. Raises CdiError when the dependencies of the
    package `kubernetes` are missing, or the options do not lead to a cluster.
    """
    try:
        access = settle(params)
        return Transport(access, source_of(access, persist=bool(params.get("persist_config")), clock=clock))
    except ImportError as exc:
        raise CdiError(
            "The Python package kubernetes is missing on the host that runs this task; "
            "install it there with: pip install 'kubernetes>=29'."
        ) from exc


class Transport:
    """Sends requests with the credentials of this run. A 401 renews them once, and the rejected request is sent again.

    `source` has the credentials. Raises errors of urllib3 and websocket-client, and CdiError if there are none.
    """

    def __init__(self, access: Access, source: Source) -> None:
        import urllib3

        self.host, self.namespace = access.host, access.namespace
        self.verifies_certificates = access.verify
        self.access = access
        self.source = source
        self._urllib3 = urllib3
        self._pools: dict[tuple[str, str], t.Any] = {}
        if not self.verifies_certificates:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        # Fails now, before anything is written, if certificates, plugins or proxies cannot be used.
        self._pool(source.current())

    def request(self, method: str, path: str, headers: t.Mapping[str, str], **options: t.Any) -> t.Any:
        """A response of urllib3, whose `request` takes the `options`. Redirects would send the token to other hosts."""
        credentials = self.source.current()
        response = self._request(credentials, method, path, headers, options)
        if response.status == 401:
            other = self._renewed(credentials)
            if other != credentials:
                response.drain_conn()
                response.release_conn()
                response = self._request(other, method, path, headers, options)
        return response

    def _request(
        self, credentials: Credentials, method: str, path: str, headers: t.Mapping[str, str], options: dict[str, t.Any]
    ) -> t.Any:
        from urllib3._collections import HTTPHeaderDict  # Public only since urllib3 2.

        sent = HTTPHeaderDict(self._headers(credentials))
        sent.update(headers)
        return self._pool(credentials).request(method, self.host + path, headers=sent, redirect=False, **options)

    def _renewed(self, rejected: Credentials) -> Credentials:
        try:
            return self.source.renewed(rejected)
        except CdiError as exc:
            raise ApiError(
                f"The API server rejected the credentials (HTTP 401), and they cannot be renewed: {exc}",
                401,
                "Unauthorized",
            ) from exc

    def _headers(self, credentials: Credentials) -> list[tuple[str, str]]:
        """Headers for impersonation, which can be repeated, and authorization, in UTF-8 for http.client's Latin-1."""
        headers = [*self.access.headers]
        if credentials.authorization:
            headers.append(("Authorization", credentials.authorization))
        return [(name, value.encode().decode("latin-1")) for name, value in headers]

    def _pool(self, credentials: Credentials) -> t.Any:
        """The connection pool for this client certificate. A connection stays with the certificate that opened it."""
        mark = (credentials.certificate, credentials.key)
        if mark not in self._pools:
            for pool in self._pools.values():
                pool.clear()
            self._pools = {mark: self._new_pool(credentials)}
        return self._pools[mark]

    def _new_pool(self, credentials: Credentials) -> t.Any:
        access, urllib3 = self.access, self._urllib3
        certificate, key = access.certificate, access.key
        if credentials.certificate:
            source = getattr(access.identity, "source", "")
            certificate = (certificate or Pem(f"{source}: the plugin's clientCertificateData"))._replace(
                data=credentials.certificate.encode()
            )
            key = (key or Pem(f"{source}: the plugin's clientKeyData"))._replace(data=credentials.key.encode())
        options: dict[str, t.Any] = {"maxsize": 10}
        if self.host.startswith("https:"):
            options["ssl_context"] = context_of(verify=access.verify, ca=access.ca, certificate=certificate, key=key)
            if access.server_name:
                options["server_hostname"] = access.server_name
        proxy = access.proxy
        if proxy is None:
            return urllib3.PoolManager(**options)
        if proxy.scheme.startswith("socks"):
            try:
                from urllib3.contrib.socks import SOCKSProxyManager
            except ImportError as exc:
                raise CdiError(
                    f"{proxy.source} is {proxy.url}, and the Python package PySocks, which SOCKS proxies require, "
                    "is missing on the host that runs this task; install it there with: pip install PySocks."
                ) from exc
            return SOCKSProxyManager(
                proxy.url, username=proxy.username or None, password=proxy.password or None, **options
            )
        if proxy.scheme == "https":
            # The certificate of a proxy can be from an authority of the system, even if that of the API server is not.
            options["proxy_ssl_context"] = context_of(verify=access.verify, ca=access.ca, system_too=True)
        return urllib3.ProxyManager(proxy.url, proxy_headers=dict(access.proxy_headers), **options)

    def websocket(self, path: str, subprotocols: t.Sequence[str]) -> t.Any:
        """Open a WebSocket of package `websocket-client` with the credentials, TLS and proxy of requests."""
        import websocket

        credentials = self.source.current()
        try:
            return self._websocket(credentials, path, subprotocols)
        except websocket.WebSocketBadStatusException as exc:
            other = self._renewed(credentials) if exc.status_code == 401 else credentials
            if other == credentials:
                raise
        return self._websocket(other, path, subprotocols)

    def _websocket(self, credentials: Credentials, path: str, subprotocols: t.Sequence[str]) -> t.Any:
        import websocket

        headers = [f"{name}: {value}" for name, value in self._headers(credentials)]
        try:
            carrier = self._carrier(credentials)
        except (self._urllib3.exceptions.HTTPError, OSError) as exc:
            from .failures import unreachable

            raise websocket.WebSocketException(unreachable(self.access, exc)) from exc
        opened: t.Any = websocket.WebSocket(skip_utf8_validation=True)
        opened.settimeout(ANSWER_TIMEOUT_SECONDS)
        carrier.settimeout(ANSWER_TIMEOUT_SECONDS)
        url = self.host.replace("http", "ws", 1) + path
        # The package would follow redirects with all headers.
        options = {"subprotocols": subprotocols, "suppress_origin": True, "redirect_limit": 0}
        try:
            status = _handshake(opened, url, socket=carrier, header=headers, **options)
            if status != 101:
                raise websocket.WebSocketException(f"the answer is HTTP {status} and not a WebSocket")
        except BaseException:
            carrier.close()
            raise
        return opened

    def _carrier(self, credentials: Credentials) -> t.Any:
        """A socket to the API server, through proxy and TLS, as urllib3 opens one for a request."""
        proxy = self.access.proxy
        if proxy and proxy.scheme == "https":
            # A socket of TLS within TLS does not report whether there is data to read.
            raise CdiError(
                f"{proxy.source} is {proxy.url}, but port-forwards support only http and socks proxies; "
                "publish the upload proxy and set its URL as upload_proxy_url."
            )
        from urllib.parse import urlsplit

        manager = self._pool(credentials)
        pool = manager.connection_from_url(self.host)
        connection = pool._new_conn()
        connection.timeout = CONNECT_TIMEOUT_SECONDS
        if proxy and proxy.scheme == "http":
            parts = urlsplit(self.host)
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            connection.set_tunnel(
                host, parts.port or (443 if parts.scheme == "https" else 80), headers=dict(self.access.proxy_headers)
            )
        connection.connect()
        return connection.sock


def _handshake(opened: t.Any, url: str, **options: t.Any) -> int:
    """Open the WebSocket, and return the status of the answer if that is no error. Raises WebSocketException."""
    import websocket

    try:
        opened.connect(url, **options)
    except websocket.WebSocketException as exc:
        # A redirect is an error of release 1.9.2, and a connection for older ones.
        status = getattr(exc, "status_code", opened.getstatus())
        if status is None or status >= 400:
            raise
        return int(status)
    except (LookupError, ValueError) as exc:
        raise websocket.WebSocketException(f"the answer is not HTTP: {exc}") from exc
    return int(opened.getstatus())
