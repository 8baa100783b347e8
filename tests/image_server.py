# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server of images for tests without a cluster: it records requests, and supports Range."""

from __future__ import annotations

import base64
import re
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

MIB = 1024 * 1024


def qcow2(disk: int, backing: int = 0) -> bytes:
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, backing, 0, 16, disk, 0, 1, 3 * 65536, 65536, 1, 0, 0)
    return (header + struct.pack(">QQQII", 0, 0, 0, 4, 104)).ljust(4 * 65536 + MIB, b"\0")


@dataclass
class Server:
    """`files` and `answers` by their paths; `seen` has path and headers of each request, `sent` the bytes of all
    bodies.

    `cuts`: after so many bytes of a whole file, the connection ends, or nothing more comes for `stall` seconds.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    ranges: bool = True
    password: str = ""
    delay: float = 0
    lengths: bool = True
    marks: bool = True
    cuts: list[int] = field(default_factory=list)
    stall: float = 0
    sent: int = 0

    @property
    def whole(self) -> int:
        """The number of requests for a whole file."""
        return sum("Range" not in headers for _path, headers in self.seen)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.seen.append((self.path, dict(self.headers)))
            time.sleep(server.delay)
            right = "Basic " + base64.b64encode(server.password.encode()).decode()
            if server.password and self.headers.get("Authorization") != right:
                self._send(401, {}, b"who are you")
            elif (path := self.path.partition("?")[0]) in server.answers:
                self._send(*server.answers[path])
            elif path in server.files:
                self._file(server.files[path])
            else:
                self._send(404, {}, b"<html>not found</html>")

        def _file(self, content: bytes) -> None:
            mark = {"ETag": f'"{zlib.crc32(content)}"'} if server.marks else {}
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if not server.ranges or not wanted:
                self._send(200, mark, content, None if wanted or not server.cuts else server.cuts.pop(0))
                return
            first, last = (int(number) for number in wanted.groups())
            part = content[first : last + 1]
            total = len(content) if server.lengths else "*"
            self._send(206, {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{total}", **mark}, part)

        def _send(self, status: int, headers: dict[str, str], body: bytes, cut: int | None = None) -> None:
            self.send_response(status)
            length = {"Content-Length": str(len(body))} if server.lengths else {}
            for key, value in {**length, **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.close_connection = cut is not None or not server.lengths
            try:
                for place in range(0, len(body[:cut]), MIB):
                    piece = body[:cut][place : place + MIB]
                    self.wfile.write(piece)
                    server.sent += len(piece)
            except OSError:
                """The client has closed the connection."""
            if cut is not None:
                time.sleep(server.stall)

        def log_message(self, *_arguments: object) -> None:
            """The test prints what matters."""

    return Handler


class _Listening(ThreadingHTTPServer):
    def handle_error(self, *_arguments: object) -> None:
        """Clients close connections in the middle of a file."""


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Server]:
    """A server on a free port. With `certificate`, a path without suffix, it uses TLS with the files .crt and .key."""
    server = Server()
    listening = _Listening(("127.0.0.1", 0), _handler(server))
    if certificate:
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.with_suffix(".crt"), certificate.with_suffix(".key"))
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    server.url = f"{'https' if certificate else 'http'}://127.0.0.1:{listening.server_address[1]}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
