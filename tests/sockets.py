# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets of servers and proxies in tests."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Callable

_PIECE = 65536


def accept_each(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Call `serve` for each connection in a thread of its own, until the listener is closed."""

    def accept() -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def read_head(client: socket.socket) -> bytes:
    """The head of a request, and what follows in its last piece; empty if the client closes the connection earlier."""
    head = b""
    while b"\r\n\r\n" not in head:
        received = client.recv(_PIECE)
        if not received:
            return b""
        head += received
    return head


def relay(one: socket.socket, two: socket.socket) -> None:
    """Pass bytes in both directions until one side closes the connection."""
    ends = {one: two, two: one}
    while True:
        pending = [end for end in ends if isinstance(end, ssl.SSLSocket) and end.pending()]
        for ready in pending or select.select(list(ends), [], [])[0]:
            data = ready.recv(_PIECE)
            if not data:
                return
            ends[ready].sendall(data)
