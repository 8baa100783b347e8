# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches the ends of a file on an HTTP server as CDI's importer will: with its CA, credentials and headers.

Pods may reach servers that this host does not, and vice versa: only the server's own refusal is an obstacle.
"""

from __future__ import annotations

import base64
import ssl
import threading
import time
import typing as t
from urllib.parse import urljoin, urlsplit

from .._kubernetes.public import public_url
from .._kubernetes.quantity import MIB
from .source_image import Answer, Fetched

# A host that drops packets is recognized by the connection, a slow server by its answer.
_CONNECT_SECONDS = 5.0
_HEAD_BYTES = MIB
# The metadata region of a VHDX, with its size, begins at 2 or 3 MiB.
_VHDX_BYTES = 4 * MIB
_END_BYTES = 64 * 1024
_MOST_REDIRECTS = 10
_PIECE_BYTES = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
# Answers that are about the file, and not about the state of the server.
_REFUSALS = {
    401: "give source.http.secret_ref with the right user and password",
    403: "give source.http.secret_ref with the right to read it, or correct source.http.url",
    404: "correct source.http.url",
    405: "give the URL of a file that can be downloaded",
    410: "correct source.http.url",
}


class Request(t.NamedTuple):
    """One file. `ca` is PEM, `credentials` are user and password, `headers` are lines."""

    url: str
    ca: str = ""
    credentials: tuple[str, str] | None = None
    headers: tuple[str, ...] = ()


class _Stopped(Exception):
    """Why nothing was fetched, and with `refusal` why an import is impossible."""

    def __init__(self, reason: str, refusal: str = "") -> None:
        super().__init__(reason)
        self.outcome = Fetched(reason=reason, refusal=refusal)


def fetch_all(requests: t.Mapping[Request, float]) -> dict[Request, Fetched]:
    """Send all requests at once, and wait for each as many seconds as it maps to. A missing answer has a reason."""
    found: dict[Request, Fetched] = {}
    start = time.monotonic()

    def fetch_into(request: Request) -> None:
        found[request] = fetch(request, start + requests[request])

    # Not a pool: at the interpreter's end that waits for a name server that does not answer.
    threads = {request: threading.Thread(target=fetch_into, args=(request,), daemon=True) for request in requests}
    for thread in threads.values():
        thread.start()
    for request, thread in threads.items():
        thread.join(max(start + requests[request] + 0.5 - time.monotonic(), 0))
    return {
        request: found.get(request) or Fetched(reason=f"no answer within {seconds:g} s")
        for request, seconds in requests.items()
    }


def fetch(request: Request, deadline: float) -> Fetched:
    """Fetch the ends of one file until `deadline`, by time.monotonic."""
    import urllib3

    try:
        context = _context(request)
        answer = _get(urllib3, request, context, f"bytes=0-{_HEAD_BYTES - 1}", _HEAD_BYTES, deadline)
        if answer.head[:8] == b"vhdxfile":
            answer = _get(urllib3, request, context, f"bytes=0-{_VHDX_BYTES - 1}", _VHDX_BYTES, deadline)
        size = answer.size
        if not answer.partial or size is None or size <= len(answer.head):
            return Fetched(answer)
        try:
            last = _get(
                urllib3,
                request,
                context,
                f"bytes={max(size - _END_BYTES, len(answer.head))}-{size - 1}",
                _END_BYTES,
                deadline,
            )
        except (_Stopped, urllib3.exceptions.HTTPError, OSError):
            return Fetched(answer)
        return Fetched(answer._replace(end=last.head) if last.partial else answer)
    except _Stopped as exc:
        return exc.outcome
    except urllib3.exceptions.ReadTimeoutError:
        return Fetched(reason=f"{public_url(request.url)} did not answer in time")
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
        return Fetched(
            reason=f"{public_url(request.url)} cannot be reached from the host that runs the task ({_cause(exc)})"
        )


def _context(request: Request) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if request.ca:
        try:
            context.load_verify_locations(cadata=request.ca)
        except ssl.SSLError as exc:
            raise _Stopped("the ConfigMap's certificates cannot be read") from exc
    return context


def _get(urllib3: t.Any, request: Request, context: ssl.SSLContext, wanted: str, most: int, deadline: float) -> Answer:
    """Up to `most` bytes of the `wanted` range, or of the whole file from a server that knows no ranges."""
    url, own = request.url, _place(request.url)
    for _redirect in range(_MOST_REDIRECTS + 1):
        left = deadline - time.monotonic()
        if left <= 0:
            raise _Stopped(f"{public_url(request.url)} did not answer in time")
        at_home = _place(url) == own
        proxied, pool = _pool(urllib3, url, context)
        response = pool.request(
            "GET",
            url,
            headers=_headers(request, wanted, at_home),
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(left, _CONNECT_SECONDS), read=left),
        )
        try:
            if response.status in _REDIRECTS and response.headers.get("Location"):
                url = urljoin(url, response.headers["Location"])
                if urlsplit(url).scheme not in ("http", "https"):
                    redirected = f"GET {public_url(request.url)} redirects to {public_url(url)}"
                    raise _Stopped("", f"{redirected}, which is not http or https; correct source.http.url")
                continue
            trusted = at_home and not (proxied and url.startswith("http:"))
            return _read(request, url, response, most, deadline, trusted=trusted)
        finally:
            response.close()
            pool.clear()
    raise _Stopped("", f"GET {public_url(request.url)} was redirected {_MOST_REDIRECTS} times; correct source.http.url")


def _read(request: Request, url: str, response: t.Any, most: int, deadline: float, *, trusted: bool) -> Answer:
    status = response.status
    if status == 416:
        return Answer(b"", b"", 0)
    if status not in (200, 206):
        reason = f"GET {public_url(url)} returned {status}"
        # A proxy may refuse a host that it does not know, and another host gets no credentials.
        certain = status in _REFUSALS and (
            trusted or (status in (404, 410) and not (request.credentials or request.headers))
        )
        raise _Stopped(reason, f"{reason}; {_REFUSALS[status]}" if certain else "")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _Stopped("the server compresses its answer")
    head = b""
    while len(head) < most and time.monotonic() < deadline:
        piece = response.read(min(_PIECE_BYTES, most - len(head)), decode_content=False)
        if not piece:
            break
        head += piece
    partial = status == 206
    total = (
        response.headers.get("Content-Range", "").rpartition("/")[2]
        if partial
        else response.headers.get("Content-Length", "")
    )
    size = int(total) if total.isdecimal() else None
    if len(head) < min(_PIECE_BYTES, size if size is not None else _PIECE_BYTES) and time.monotonic() >= deadline:
        raise _Stopped("the server is too slow to look at the file")
    if size is None and len(head) < most and time.monotonic() < deadline:
        size = len(head)  # The whole file.
    return Answer(head, b"", size, partial)


def _headers(request: Request, wanted: str, at_home: bool) -> dict[str, str]:
    """Only the server of the URL itself gets headers that may be secret."""
    headers = {"Accept-Encoding": "identity", "Range": wanted, "User-Agent": "kubevirt.cdi"}
    if not at_home:
        return headers
    if request.credentials:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(request.credentials).encode()).decode()
    for line in request.headers:
        name, _colon, value = line.partition(":")
        headers[name.strip()] = value.strip()
    return headers


def _place(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _pool(urllib3: t.Any, url: str, context: ssl.SSLContext) -> tuple[bool, t.Any]:
    """Whether the URL is requested through the proxy of the environment, and the pool that does it."""
    from urllib.request import getproxies_environment, proxy_bypass

    parts = urlsplit(url)
    proxy = getproxies_environment().get(parts.scheme)
    if not proxy or proxy_bypass(parts.hostname or ""):
        return False, urllib3.PoolManager(ssl_context=context)
    user = urlsplit(proxy)
    headers = urllib3.make_headers(proxy_basic_auth=f"{user.username}:{user.password or ''}") if user.username else {}
    return True, urllib3.ProxyManager(proxy, ssl_context=context, proxy_headers=headers)


def _cause(exc: BaseException) -> str:
    cause: t.Any = getattr(exc, "reason", None) or exc
    while getattr(cause, "args", ()) and isinstance(cause.args[-1], BaseException):
        cause = cause.args[-1]
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    return type(cause).__name__ if "0x" in str(cause) else str(cause)
