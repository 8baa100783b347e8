# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds a route to CDI's upload proxy, and sends a file through it.

The proxy's certificate is always verified. It must be for the host of the URL and issued by a CA of the machine, the
user or CDI's configuration, or for CDI's service and issued by the cluster's own CA: CDI's certificate has only the
names of that service (pkg/operator/resources/cert/factory.go, v1.65.0).
"""

from __future__ import annotations

import contextlib
import html
import http.client
import socket
import ssl
import typing as t
from urllib.parse import urlsplit

from .._cdi.installation import likely_namespace
from .._cdi.names import COMPONENT, UPLOAD_PROXY
from .._kubernetes.answers import short
from .._kubernetes.client import Connection
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.public import public_url
from .._kubernetes.reader import Reader
from .._kubernetes.resources import CDI_CONFIG, CONFIG_MAP, CONFIG_NAME, POD
from .._kubernetes.websockets import open_websocket
from .answers import Answer
from .source import Reached, Source
from .tunnel import SUBPROTOCOLS, TlsStream, Tunnel

GIVEN, PUBLISHED, FORWARDED = "url", "published-url", "port-forward"
_CA_CONFIG_MAP, _CA_KEY = "cdi-uploadproxy-signer-bundle", "ca-bundle.crt"
_POD_LABEL = f"{COMPONENT}={UPLOAD_PROXY}"
_POD_PORT = 8443
_PATH = "/v1beta1/upload-async"
_CONNECT_SECONDS = 10
_HANDSHAKE_SECONDS = 30


class Unreachable(CdiError):
    """The upload proxy does not answer at its address."""


class Route(t.NamedTuple):
    """A route to the proxy: its name for results, its host, a function that opens a TLS stream, and the path."""

    name: str
    host: str
    open: t.Callable[[], t.Any]
    path: str = _PATH


def find_route(
    connection: Connection, url: str | None, ca: str | None, namespace: str | None, warn: t.Callable[[str], None]
) -> Route:
    """The route by the given `url`, else by the URL that CDI publishes, else by a port-forward. It is tried once.

    A port-forward that does not work yet is also returned. Raises CdiError if a certificate is not trusted, ApiError if
    a permission is missing, and Unreachable if nothing answers at the given URL.
    """
    namespace = namespace or likely_namespace(connection)
    own_ca = _own_ca(connection, namespace, needed=not (url and ca))
    service = f"cdi-uploadproxy.{namespace}.svc"
    published = None
    if not url:
        status = (connection.get(CDI_CONFIG, CONFIG_NAME) or {}).get("status") or {}
        url, published = status.get("uploadProxyURL"), status.get("uploadProxyURL")
        ca = ca or status.get("uploadProxyCA")
    if url:
        route = route_by_url(PUBLISHED if published else GIVEN, url, ca, own_ca, service)
        try:
            route.open().close()
            return route
        except Unreachable as exc:
            if not published:
                raise
            warn(f"{exc} The upload goes through the API server instead.")
    context = _trusting(own_ca, f"ConfigMap {namespace}/{_CA_CONFIG_MAP}")

    def forward() -> TlsStream:
        name = _ready_pod(connection, namespace)
        opened = open_websocket(
            connection.transport, POD, namespace, name, "portforward", f"ports={_POD_PORT}", SUBPROTOCOLS
        )
        try:
            return TlsStream(Tunnel(opened, _POD_PORT, _HANDSHAKE_SECONDS), context, service)
        except ssl.SSLCertVerificationError as exc:
            raise CdiError(
                _distrust(
                    f"Pod {namespace}/{name}", service, exc, "run the task again when CDI has renewed its certificates"
                )
            ) from exc
        except OSError as exc:
            raise Unreachable(f"The upload proxy in Pod {namespace}/{name} does not answer ({exc}).") from exc

    try:
        forward().close()
    except (Unreachable, ApiError) as exc:
        if is_forbidden(exc):
            raise
    return Route(FORWARDED, service, forward)


def is_forbidden(exc: CdiError) -> bool:
    """Whether the API server rejected the credentials or refused permission, so that a retry cannot succeed."""
    return isinstance(exc, ApiError) and exc.code in (401, 403)


def route_by_url(name: str, url: str, ca: str | None, own_ca: str, service: str) -> Route:
    """The route to a URL, which is not opened yet. `name` is GIVEN or PUBLISHED.

    `ca` and `own_ca` are PEM: the CAs for the host of the URL, and those for the name of CDI's `service`. Raises
    CdiError if the URL or a CA cannot be used.
    """
    option = "upload_proxy_url" if name == GIVEN else "The published upload proxy URL (CDIConfig.status.uploadProxyURL)"
    shown = f"{option} is {public_url(url)}"
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        host, port = parts.hostname, parts.port or 443
    except ValueError as exc:
        raise CdiError(f"{shown}; correct it: {exc}.") from exc
    if parts.scheme != "https" or not host:
        raise CdiError(f"{shown}; give an https URL: the upload token must not travel in the clear.")
    shown = public_url(url)
    given = ssl.create_default_context()
    if ca:
        given = _trusting(ca, "upload_proxy_ca" if name == GIVEN else "CDIConfig.status.uploadProxyCA", given)
    own = _trusting(own_ca, f"ConfigMap {_CA_CONFIG_MAP}") if own_ca else None
    if own:
        own.check_hostname = False  # CDI's certificate does not have the URL's host; its own name is compared below.

    def connect(context: ssl.SSLContext) -> TlsStream:
        plain = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
        plain.settimeout(_HANDSHAKE_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = TlsStream(plain, context, host)
        if context is own and service not in stream.names:
            stream.close()
            raise ssl.SSLCertVerificationError(f"it is not for {service}")
        return stream

    contexts = [context for context in (given, own) if context]

    def open_stream() -> TlsStream:
        distrust: list[ssl.SSLCertVerificationError] = []
        for context in tuple(contexts):
            try:
                stream = connect(context)
            except ssl.SSLCertVerificationError as exc:
                distrust.append(exc)
            except OSError as exc:
                remedy = (
                    "; correct upload_proxy_url, or leave it out to go through the API server" if name == GIVEN else ""
                )
                raise Unreachable(f"No upload proxy answers at {shown} ({exc}){remedy}.") from exc
            else:
                contexts[:] = [context]  # The others need not be tried again.
                return stream
        raise CdiError(_distrust(shown, host, distrust[0], "give the CA in upload_proxy_ca")) from distrust[0]

    before = parts.path.rstrip("/")
    return Route(
        name, parts.netloc.rpartition("@")[2], open_stream, before if before.endswith(_PATH) else before + _PATH
    )


def _trusting(ca: str, where: str, context: ssl.SSLContext | None = None) -> ssl.SSLContext:
    """A context that trusts only these CAs, or `context` with these CAs added. Raises CdiError."""
    try:
        if context is None:
            return ssl.create_default_context(cadata=ca)
        context.load_verify_locations(cadata=ca)
    except (ssl.SSLError, ValueError) as exc:
        raise CdiError(
            f"The CA of the upload proxy in {where} cannot be read ({exc}); it must hold PEM certificates."
        ) from exc
    return context


def _distrust(where: str, host: str, exc: ssl.SSLCertVerificationError, remedy: str) -> str:
    return (
        f"The certificate of the upload proxy at {where} is not trusted: {exc.verify_message or exc} for {host}, and "
        "it is not of the cluster's own CA "
        f"({_CA_CONFIG_MAP}); {remedy}."
    )


def _own_ca(connection: Connection, namespace: str, *, needed: bool = True) -> str:
    """The CAs with which CDI signs the certificate of its upload proxy. Raises CdiError if they cannot be read.

    If they are not `needed`, the result is an empty text instead: with a URL and its CA, no permission in CDI's
    namespace is required.
    """
    found = Reader(connection).read(CONFIG_MAP, namespace, _CA_CONFIG_MAP)
    items = found.unless_forbidden() if needed else found.items
    ca = (items[0].get("data") or {}).get(_CA_KEY) if items else None
    if not ca and not needed:
        return ""
    if not ca:
        what = f"ConfigMap {namespace}/{_CA_CONFIG_MAP} with the upload proxy's CA"
        raise CdiError(f"There is no {what}; install CDI first, or name its namespace in cdi_namespace.")
    return str(ca)


def _ready_pod(connection: Connection, namespace: str) -> str:
    pods, _version = connection.list(POD, namespace, label_selector=_POD_LABEL)
    for pod in pods:
        conditions = {
            condition["type"]: condition["status"] for condition in (pod.get("status") or {}).get("conditions") or []
        }
        if conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp"):
            return str(pod["metadata"]["name"])
    raise Unreachable(f"No pod of the upload proxy is ready in namespace {namespace}; see Deployment cdi-uploadproxy.")


def send(
    route: Route, token: str, source: Source, patience: float, progress: t.Callable[[int, Reached | None, bool], None]
) -> Answer:
    """Send the source, and return the proxy's answer.

    After each chunk, `progress` gets the number of bytes sent, how far the disk is (see Source), and whether that was
    all.

    The connection counts as broken when no byte moves for `patience` seconds. CDI reads nothing while it writes
    decompressed data, and answers when all data are on the disk: a compressed disk of zeros is sent in a moment, and
    writing it takes minutes.

    Raises FileChanged if the file has changed since its digest was computed. Neither the last chunk nor the end of a
    body of unknown size (RFC 9112, section 7.1) is then sent, so CDI never accepts such a file. Redirects are not
    followed, because the token is only for this proxy.
    """
    with source.opened() as chunks:
        stream = route.open()
        stream.settimeout(patience)
        client = http.client.HTTPConnection(route.host)
        client.sock = stream
        try:
            client.putrequest("POST", route.path)
            client.putheader("Authorization", f"Bearer {token}")
            client.putheader("Content-Type", "application/octet-stream")
            size, sent = source.sent_size, 0
            reached: Reached | None = None
            if size is None:
                client.putheader("Transfer-Encoding", "chunked")
            else:
                client.putheader("Content-Length", str(size))
            client.endheaders()
            for chunk, reached in chunks:
                client.send(b"".join((b"%x\r\n" % len(chunk), chunk, b"\r\n")) if size is None else chunk)
                sent += len(chunk)
                progress(sent, reached, sent == size)
            if size is None:
                client.send(b"0\r\n\r\n")
                progress(sent, reached, True)
            return _read_answer(stream)
        except TimeoutError:
            return Answer(0, f"no byte moved for {patience:g} s")
        except OSError as exc:
            return _early_answer(stream) or Answer(0, str(exc) or type(exc).__name__)
        except http.client.HTTPException as exc:
            return Answer(0, short(str(exc)) or type(exc).__name__)
        finally:
            stream.close()


def _read_answer(stream: t.Any) -> Answer:
    """Read the answer without HTTPConnection, which closes the stream if the server ends the connection first."""
    answer = http.client.HTTPResponse(stream, method="POST")
    answer.begin()
    if 300 <= answer.status < 400:
        return Answer(answer.status, f"it redirects to {public_url(answer.headers.get('Location') or 'nowhere')}")
    return Answer(answer.status, " ".join(html.unescape(answer.read(4096).decode("utf-8", "replace")).split()))


def _early_answer(stream: t.Any) -> Answer | None:
    """The answer that the proxy sent before it closed the connection, if any."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        return _read_answer(stream)
    return None
