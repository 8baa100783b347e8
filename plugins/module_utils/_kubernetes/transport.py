# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends requests to an API server: TLS, proxies and credentials.

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

    `source` has the credentials. Raises errors of urllib3, and CdiError if there are none.
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
        self.pool_of(source.current())

    def request(self, method: str, path: str, headers: t.Mapping[str, str], **options: t.Any) -> t.Any:
        """A response of urllib3, whose `request` takes the `options`. Redirects would send the token to other hosts."""
        credentials = self.source.current()
        response = self._request(credentials, method, path, headers, options)
        if response.status == 401:
            other = self.renewed(credentials)
            if other != credentials:
                response.drain_conn()
                response.release_conn()
                response = self._request(other, method, path, headers, options)
        return response

    def _request(
        self, credentials: Credentials, method: str, path: str, headers: t.Mapping[str, str], options: dict[str, t.Any]
    ) -> t.Any:
        from urllib3._collections import HTTPHeaderDict  # Public only since urllib3 2.

        sent = HTTPHeaderDict(self.headers_of(credentials))
        sent.update(headers)
        return self.pool_of(credentials).request(method, self.host + path, headers=sent, redirect=False, **options)

    def renewed(self, rejected: Credentials) -> Credentials:
        try:
            return self.source.renewed(rejected)
        except CdiError as exc:
            raise ApiError(
                f"The API server rejected the credentials (HTTP 401), and they cannot be renewed: {exc}",
                401,
                "Unauthorized",
            ) from exc

    def headers_of(self, credentials: Credentials) -> list[tuple[str, str]]:
        """Headers for impersonation, which can be repeated, and authorization, in UTF-8 for http.client's Latin-1."""
        headers = [*self.access.headers]
        if credentials.authorization:
            headers.append(("Authorization", credentials.authorization))
        return [(name, value.encode().decode("latin-1")) for name, value in headers]

    def pool_of(self, credentials: Credentials) -> t.Any:
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
