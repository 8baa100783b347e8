# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain HTTP proxy in front of a real API server: it counts requests, and injects faults on request."""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_DISCOVERY = re.compile(r"/(version|openapi/.*|api(/[^/]+)?|apis(/[^/]+){0,2})/?")
_PASSED_ON = ("Content-Type", "Retry-After", "Warning")


Fault = tuple[int, dict[str, str], bytes]


@dataclass
class Wire:
    """`requests`: method and path with query of each request; `answered`: also status and token, from the API server.

    A fault is (status, headers, body); status 0 cuts the connection. After `faults_after` requests, each of `faults`
    answers one request. The request with number `break_at`, from 1, gets `fault`; if `late`, after the API server has
    executed it. `answers` replace the bodies of paths.

    For each other request, `trouble(method, path)` returns "" or one of: `unsent` (cut before it is forwarded),
    `lost` (cut after the API server has answered), `silent` (no answer), `slow` (one byte per second), `held` (only
    the head of an answer), `over` (an empty answer), `endless`, `fault` (answered with `fault`).

    A list has at most `page_size` objects per page, if that is set.
    """

    url: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    answered: list[tuple[str, str, int, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)
    break_at: int = 0
    fault: Fault = (500, {}, b"")
    late: bool = False
    faults_after: int = 0
    trouble: Callable[[str, str], str] = lambda _method, _path: ""
    page_size: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def count(self, method: str, part: str = "") -> int:
        return len([request for request in self.requests if request[0] == method and part in request[1]])

    def writes(self) -> list[tuple[str, str]]:
        return [request for request in self.requests if request[0] != "GET" and "dryRun=All" not in request[1]]

    def discoveries(self) -> list[tuple[str, str]]:
        """Requests for the kinds that the server serves."""
        return [request for request in self.requests if _DISCOVERY.fullmatch(request[1].partition("?")[0])]


@contextmanager
def counting_proxy(server: str, ca_file: str, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """A proxy for `server` (https://host:port), with TLS if `tls`. Each connection has its own to the server."""
    context = ssl.create_default_context(cafile=ca_file)
    host, port = server.removeprefix("https://").split(":")

    counting = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self.upstream = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)

        def finish(self) -> None:
            self.upstream.close()
            super().finish()

        def _forward(self) -> None:
            with counting:
                record.requests.append((self.command, self.path))
                breaks = len(record.requests) == record.break_at
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if record.faults and len(record.requests) > record.faults_after:
                self._answer(*record.faults.pop(0))
                return
            if breaks and not record.late:
                self._answer(*record.fault)
                return
            trouble = record.trouble(self.command, self.path)
            if self.path.partition("?")[0] in record.answers:
                self._answer(200, {"Content-Type": "application/json"}, record.answers[self.path.partition("?")[0]])
                return
            if trouble and not self._passes(trouble):
                return
            path = re.sub(r"\blimit=\d+", f"limit={record.page_size}", self.path) if record.page_size else self.path
            # Not as a dictionary: a header may occur more than once.
            self.upstream.putrequest(self.command, path, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("host", "connection"):
                    self.upstream.putheader(name, value)
            self.upstream.endheaders(body or None)
            answer = self.upstream.getresponse()
            with counting:
                record.answered.append(
                    (self.command, self.path, answer.status, self.headers.get("Authorization", "").partition(" ")[2])
                )
            if breaks:
                answer.read()
                self._answer(*record.fault)
                return
            kept = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
            if trouble == "lost":
                answer.read()
                self._answer(0, {}, b"")
            elif trouble == "slow":
                self._drip(answer.status, kept, answer.read())
            elif "watch=true" in self.path:
                self._stream(answer, kept)
            else:
                self._answer(answer.status, kept, answer.read())

        def _passes(self, trouble: str) -> bool:
            """Whether the request is forwarded. Otherwise it is answered here, or not at all."""
            self.close_connection = True
            if trouble == "unsent":
                self._answer(0, {}, b"")
            elif trouble == "silent":
                record.ended.wait(120)
            elif trouble in ("held", "over"):
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.flush()
                if trouble == "held":
                    record.ended.wait(120)
                self.wfile.write(b"0\r\n\r\n")
            elif trouble == "fault":
                self._answer(*record.fault)
            elif trouble == "endless":
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not record.ended.is_set():
                        self.wfile.write(b" " * 65536)
            return trouble in ("lost", "slow")

        def _drip(self, status: int, headers: dict[str, str], body: bytes) -> None:
            """Send one byte per second."""
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if record.ended.wait(1):
                        return

        def _stream(self, answer: http.client.HTTPResponse, headers: dict[str, str]) -> None:
            """Forward each chunk as it arrives, while the client listens."""
            self.send_response(answer.status)
            for key, value in {**headers, "Transfer-Encoding": "chunked"}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.flush()
            self.close_connection = True
            with contextlib.suppress(OSError):
                while data := answer.read1(65536):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            if status == 0:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

        def log_message(self, *_arguments: Any) -> None:
            """The test prints what matters."""

    class Proxy(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            # In the thread of the connection: a handshake may take long.
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                super().finish_request(tls.wrap_socket(request, server_side=True) if tls else request, client_address)

    proxy = Proxy(("127.0.0.1", 0), Handler)
    record = Wire(f"{'https' if tls else 'http'}://127.0.0.1:{proxy.server_address[1]}")
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield record
    finally:
        record.ended.set()
        proxy.shutdown()
        proxy.server_close()
