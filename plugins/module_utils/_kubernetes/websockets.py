# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens WebSockets to an API server with the credentials, TLS and proxy of requests."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

from .errors import ApiError, CdiError, target
from .failures import unreachable
from .refusals import api_error
from .resources import Resource
from .source import Credentials
from .transport import ANSWER_TIMEOUT_SECONDS, CONNECT_TIMEOUT_SECONDS, Transport


def open_websocket(
    transport: Transport,
    resource: Resource,
    namespace: str,
    name: str,
    subresource: str,
    query: str,
    subprotocols: t.Sequence[str],
) -> t.Any:
    """Open a WebSocket (of package `websocket-client`) to a subresource, with credentials, TLS and proxy."""
    import websocket

    verb = f"{subresource} to"
    try:
        path = f"{resource.path(namespace, name)}/{subresource}?{query}"
        return _accepted(transport, path, subprotocols)
    except websocket.WebSocketBadStatusException as exc:
        # The API server also requires `create` for this GET. Old releases of the package drop the body.
        right = f'"get" and "create" on {resource.plural}/{subresource}'
        raise api_error(
            verb, resource, namespace, name, exc.status_code, getattr(exc, "resp_body", None) or b"", right
        ) from exc
    except (websocket.WebSocketException, OSError) as exc:
        raise ApiError(
            f"Cannot {verb} {target(resource, namespace, name)}: no WebSocket to {transport.host} ({exc}).", 0
        ) from exc


def _accepted(transport: Transport, path: str, subprotocols: t.Sequence[str]) -> t.Any:
    """Rejected credentials are renewed once."""
    import websocket

    credentials = transport.source.current()
    try:
        return _opened(transport, credentials, path, subprotocols)
    except websocket.WebSocketBadStatusException as exc:
        other = transport.renewed(credentials) if exc.status_code == 401 else credentials
        if other == credentials:
            raise
    return _opened(transport, other, path, subprotocols)


def _opened(transport: Transport, credentials: Credentials, path: str, subprotocols: t.Sequence[str]) -> t.Any:
    import websocket
    from urllib3 import exceptions

    headers = [f"{name}: {value}" for name, value in transport.headers_of(credentials)]
    try:
        carrier = _carrier(transport, credentials)
    except (exceptions.HTTPError, OSError) as exc:
        raise websocket.WebSocketException(unreachable(transport.access, exc)) from exc
    opened: t.Any = websocket.WebSocket(skip_utf8_validation=True)
    opened.settimeout(ANSWER_TIMEOUT_SECONDS)
    carrier.settimeout(ANSWER_TIMEOUT_SECONDS)
    url = transport.host.replace("http", "ws", 1) + path
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


def _carrier(transport: Transport, credentials: Credentials) -> t.Any:
    """A socket to the API server, through proxy and TLS, as urllib3 opens one for a request."""
    proxy = transport.access.proxy
    if proxy and proxy.scheme == "https":
        # A socket of TLS within TLS does not report whether there is data to read.
        raise CdiError(
            f"{proxy.source} is {proxy.url}, but port-forwards support only http and socks proxies; "
            "publish the upload proxy and set its URL as upload_proxy_url."
        )
    manager = transport.pool_of(credentials)
    pool = manager.connection_from_url(transport.host)
    connection = pool._new_conn()
    connection.timeout = CONNECT_TIMEOUT_SECONDS
    if proxy and proxy.scheme == "http":
        parts = urlsplit(transport.host)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        connection.set_tunnel(
            host, parts.port or (443 if parts.scheme == "https" else 80), headers=dict(transport.access.proxy_headers)
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
