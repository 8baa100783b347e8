# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches a file on an HTTP server: its ends as CDI's importer will, with its CA, credentials and headers, or all of
it for an upload.

Pods may reach servers that this host does not, and vice versa: only the server's own refusal is an obstacle to an
import.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
import threading
import time
import typing as t
from urllib.parse import urljoin, urlsplit

from .._kubernetes.public import public_url
from .._kubernetes.quantity import MIB
from .source_image import Answer, Fetched, Place, Version

# A host that drops packets is recognized by the connection, a slow server by its answer.
_CONNECT_SECONDS = 5.0
_HEAD_BYTES = MIB
# The metadata region of a VHDX, with its size, begins at 2 or 3 MiB.
_VHDX_BYTES = 4 * MIB
_END_BYTES = 64 * 1024
_MOST_REDIRECTS = 10
_PIECE_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
# Answers that are about the file, and not about the state of the server.
_REFUSALS = {
    401: "give {credentials} with the right user and password",
    403: "give {credentials} with the right to read it, or correct {url}",
    404: "correct {url}",
    405: "give the URL of a file that can be downloaded",
    410: "correct {url}",
}


class Names(t.NamedTuple):
    """What remedies call the option with the URL, and the place for user and password."""

    url: str = "source.http.url"
    credentials: str = "source.http.secret_ref"


class Request(t.NamedTuple):
    """One file. `ca` is PEM, `credentials` are user and password, `headers` are lines."""

    url: str
    ca: str = ""
    credentials: tuple[str, str] | None = None
    headers: tuple[str, ...] = ()
    names: Names = Names()


class Stopped(Exception):
    """Why nothing was fetched, and with `refusal` why no later request can fetch the file, either."""

    def __init__(self, reason: str, refusal: str = "") -> None:
        super().__init__(reason)
        self.outcome = Fetched(reason=reason, refusal=refusal)


class Whole(t.NamedTuple):
    """A file from its first byte. `size` is None if the server does not declare it.

    `pieces` may end early, if the server does. They raise Stopped.
    """

    size: int | None
    version: Version
    pieces: t.Iterator[bytes]


class _Response(t.NamedTuple):
    """The answer of the last server after all redirects. `trusted`: a refusal is about the file of the request."""

    url: str
    raw: t.Any
    trusted: bool


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
        with _explained(urllib3, request):
            return Fetched(_ends(urllib3, request, _context(request), deadline))
    except Stopped as exc:
        return exc.outcome


@contextlib.contextmanager
def fetched_whole(request: Request, patience: float) -> t.Iterator[Whole]:
    """Fetch all of one file. Raises Stopped, also if the server sends nothing for `patience` seconds."""
    import urllib3

    with contextlib.ExitStack() as stack:
        with _explained(urllib3, request):
            found = stack.enter_context(_response(urllib3, request, _context(request), None, lambda: patience))
            _check(request, found, (200,))
        length = found.raw.headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else None
        yield Whole(size, _version(found), _pieces(urllib3, request, found.raw, patience))


@contextlib.contextmanager
def _explained(urllib3: t.Any, request: Request) -> t.Iterator[None]:
    """Raises Stopped for each error of the connection."""
    shown = public_url(request.url)
    try:
        yield
    except urllib3.exceptions.ReadTimeoutError as exc:
        raise Stopped(f"{shown} did not answer in time") from exc
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as exc:
        raise Stopped(f"{shown} cannot be reached from the host that runs the task ({_cause(exc)})") from exc


def _ends(urllib3: t.Any, request: Request, context: ssl.SSLContext, deadline: float) -> Answer:
    answer = _get(urllib3, request, context, f"bytes=0-{_HEAD_BYTES - 1}", _HEAD_BYTES, deadline)
    if answer.head[:8] == b"vhdxfile":
        answer = _get(urllib3, request, context, f"bytes=0-{_VHDX_BYTES - 1}", _VHDX_BYTES, deadline)
    size = answer.size
    if not answer.partial or size is None or size <= len(answer.head):
        return answer
    wanted = f"bytes={max(size - _END_BYTES, len(answer.head))}-{size - 1}"
    try:
        last = _get(urllib3, request, context, wanted, _END_BYTES, deadline)
    except (Stopped, urllib3.exceptions.HTTPError, OSError):
        return answer
    return answer._replace(end=last.head) if last.partial and last.size == size else answer


def _pieces(urllib3: t.Any, request: Request, response: t.Any, patience: float) -> t.Iterator[bytes]:
    shown = public_url(request.url)
    while True:
        try:
            piece = response.read(_CHUNK_BYTES, decode_content=False)
        except urllib3.exceptions.ReadTimeoutError as exc:
            raise Stopped(f"{shown} sent no byte for {patience:g} s") from exc
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise Stopped(f"the connection to {shown} broke ({_cause(exc)})") from exc
        if not piece:
            return
        yield piece


def _context(request: Request) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if request.ca:
        try:
            context.load_verify_locations(cadata=request.ca)
        except ssl.SSLError as exc:
            raise Stopped("the ConfigMap's certificates cannot be read") from exc
    return context


def _get(urllib3: t.Any, request: Request, context: ssl.SSLContext, wanted: str, most: int, deadline: float) -> Answer:
    """Up to `most` bytes of the `wanted` range, or of the whole file from a server that knows no ranges."""
    with _response(urllib3, request, context, wanted, lambda: deadline - time.monotonic()) as found:
        return _read(request, found, most, deadline)


@contextlib.contextmanager
def _response(
    urllib3: t.Any, request: Request, context: ssl.SSLContext, wanted: str | None, left: t.Callable[[], float]
) -> t.Iterator[_Response]:
    """The answer of the last server, whose body is not read yet. `left`: how many seconds each answer can take."""
    url, own = request.url, _place(request.url)
    for _redirect in range(_MOST_REDIRECTS + 1):
        seconds = left()
        if seconds <= 0:
            raise Stopped(f"{public_url(request.url)} did not answer in time")
        at_home = _place(url) == own
        proxied, pool = _pool(urllib3, url, context)
        response = pool.request(
            "GET",
            url,
            headers=_headers(request, wanted, at_home),
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(seconds, _CONNECT_SECONDS), read=seconds),
        )
        try:
            if response.status in _REDIRECTS and response.headers.get("Location"):
                url = urljoin(url, response.headers["Location"])
                if urlsplit(url).scheme not in ("http", "https"):
                    redirected = f"GET {public_url(request.url)} redirects to {public_url(url)}"
                    raise Stopped("", f"{redirected}, which is not http or https; correct {request.names.url}")
                continue
            yield _Response(url, response, at_home and not (proxied and url.startswith("http:")))
            return
        finally:
            response.close()
            pool.clear()
    shown = public_url(request.url)
    raise Stopped("", f"GET {shown} was redirected {_MOST_REDIRECTS} times; correct {request.names.url}")


def _check(request: Request, found: _Response, accepted: tuple[int, ...]) -> None:
    status = found.raw.status
    if status not in accepted:
        reason = f"GET {public_url(found.url)} returned {status}"
        # A proxy may refuse a host that it does not know, and another host gets no credentials.
        certain = status in _REFUSALS and (
            found.trusted or (status in (404, 410) and not (request.credentials or request.headers))
        )
        remedy = _REFUSALS[status].format(**request.names._asdict()) if certain else ""
        raise Stopped(reason, f"{reason}; {remedy}" if certain else "")
    if found.raw.headers.get("Content-Encoding", "identity") != "identity":
        raise Stopped(f"the server of {public_url(found.url)} compresses its answer")


def _read(request: Request, found: _Response, most: int, deadline: float) -> Answer:
    response = found.raw
    if response.status == 416:
        return Answer(b"", b"", 0)
    _check(request, found, (200, 206))
    head = b""
    while len(head) < most and time.monotonic() < deadline:
        piece = response.read(min(_PIECE_BYTES, most - len(head)), decode_content=False)
        if not piece:
            break
        head += piece
    partial = response.status == 206
    total = (
        response.headers.get("Content-Range", "").rpartition("/")[2]
        if partial
        else response.headers.get("Content-Length", "")
    )
    size = int(total) if total.isdecimal() else None
    if len(head) < min(_PIECE_BYTES, size if size is not None else _PIECE_BYTES) and time.monotonic() >= deadline:
        raise Stopped(f"the server of {public_url(found.url)} is too slow to look at the file")
    if size is None and len(head) < most and time.monotonic() < deadline:
        size = len(head)  # The whole file.
    return Answer(head, b"", size, partial, _version(found))


def _version(found: _Response) -> Version:
    headers = found.raw.headers
    return Version(_place(found.url), headers.get("ETag", "").removeprefix("W/") or headers.get("Last-Modified", ""))


def _headers(request: Request, wanted: str | None, at_home: bool) -> dict[str, str]:
    """Only the server of the URL itself gets headers that may be secret."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "kubevirt.cdi"}
    if wanted:
        headers["Range"] = wanted
    if not at_home:
        return headers
    if request.credentials:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(request.credentials).encode()).decode()
    for line in request.headers:
        name, _colon, value = line.partition(":")
        headers[name.strip()] = value.strip()
    return headers


def _place(url: str) -> Place:
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
