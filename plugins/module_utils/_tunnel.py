# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""A pod's port through the API server, as a socket for `http.client`, with TLS inside.

The package `kubernetes` can forward ports, too, but moves each byte through a socket pair and a thread of its own, which costs half the speed.
"""

from __future__ import annotations

import io
import ssl
import struct
import typing as t

# Protocol v4.channel.k8s.io: each message begins with its channel; a port has one for data and one for errors.
SUBPROTOCOL = "v4.channel.k8s.io"
_DATA = 0
_MESSAGE_BYTES = 1024 * 1024


class Tunnel:
    """The data channel of a forwarded port over an open WebSocket."""

    def __init__(self, websocket: t.Any) -> None:
        self._websocket = websocket
        self._begun: set[int] = set()

    def sendall(self, data: bytes) -> None:
        """Send binary messages. They go to the socket directly and with an empty mask: TLS hides them already, and masking is slow in Python."""
        view = memoryview(data)
        for start in range(0, len(view), _MESSAGE_BYTES):
            piece = view[start : start + _MESSAGE_BYTES]
            self._websocket.sock.sendall(struct.pack(">BBQ4xB", 0x82, 0xFF, len(piece) + 1, _DATA))
            self._websocket.sock.sendall(piece)

    def recv(self) -> bytes:
        """The next bytes, empty at the end of the stream. Raises OSError with what the API server says."""
        import websocket

        while True:
            try:
                opcode, message = self._websocket.recv_data()
            except websocket.WebSocketTimeoutException as exc:
                raise TimeoutError(str(exc)) from exc
            except websocket.WebSocketException as exc:
                raise ConnectionError(str(exc)) from exc
            if opcode == 8 or not message:
                return b""
            channel, data = message[0], message[1:]
            if channel not in self._begun:
                self._begun.add(channel)  # The first message of a channel holds the port.
                continue
            if channel != _DATA:
                raise OSError(f"the port-forward ended: {data.decode('utf-8', 'replace').strip()}")
            return bytes(data)

    def close(self) -> None:
        self._websocket.shutdown()


class TlsStream:
    """TLS inside a tunnel; as much of a socket as `http.client` uses."""

    def __init__(self, tunnel: Tunnel, context: ssl.SSLContext, server_hostname: str) -> None:
        self._tunnel = tunnel
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._retried(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def read(self, length: int) -> bytes:
        """Up to `length` bytes, empty at the end."""
        try:
            return t.cast(bytes, self._retried(lambda: self._tls.read(length)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        self._tunnel.close()

    def _retried(self, step: t.Callable[[], t.Any]) -> t.Any:
        """Run a step of TLS, and bring it the bytes that it waits for."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._tunnel.recv()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._tunnel.sendall(data)


class _Reader(io.RawIOBase):
    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
