# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that sends arbitrary bytes, whether they are valid HTTP or not."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from tests.sockets import accept_each, read_head

_PIECE = 65536


class Hostile:
    """`answer(number, head)` returns the pieces that are sent for a request, and pauses in seconds as floats.

    After the last piece, the connection is closed. `heads` are the heads of the requests.
    """

    def __init__(self, url: str) -> None:
        self.answer: Callable[[int, bytes], Sequence[bytes | float]] = lambda _number, _head: ()
        self.url = url
        self.heads: list[bytes] = []


@contextmanager
def hostile_server(*, context: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    """A server on loopback, with TLS if `context` is given."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = Hostile(f"{'https' if context else 'http'}://127.0.0.1:{listener.getsockname()[1]}")
    ended = threading.Event()

    def serve(client: socket.socket) -> None:
        with suppress(OSError, ValueError), client:
            client.settimeout(30)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context:
                client = context.wrap_socket(client, server_side=True)
            with client:
                head = _request(client)
                if not head:
                    return
                server.heads.append(head)
                for piece in server.answer(len(server.heads) - 1, head):
                    if isinstance(piece, float):
                        ended.wait(piece)
                    else:
                        client.sendall(piece)
                    if ended.is_set():
                        return
                # A reset would discard what the client has not read yet.
                client.shutdown(socket.SHUT_WR)

    accept_each(listener, serve)
    try:
        yield server
    finally:
        ended.set()
        listener.close()
        time.sleep(0)


def _request(client: socket.socket) -> bytes:
    """Read a request with its body, and return its head."""
    head, _end, body = read_head(client).partition(b"\r\n\r\n")
    sizes = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while sizes and len(body) < sizes[0]:
        piece = client.recv(_PIECE)
        if not piece:
            break
        body += piece
    return head


def http(status: int, body: bytes, *headers: tuple[str, str], length: int | None = None) -> bytes:
    """An answer with the correct Content-Length, unless `length` is given."""
    lines = [
        f"HTTP/1.1 {status} Status",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
    ]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def chunked(status: int, pieces: Sequence[bytes], *headers: tuple[str, str], end: bytes = b"0\r\n\r\n") -> list[bytes]:
    """An answer in chunks, which are sent one by one."""
    lines = [
        f"HTTP/1.1 {status} Status",
        "Transfer-Encoding: chunked",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    head = "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n"
    return [head, *(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces), end]
