# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of a pod through the API server, and TLS over it or over a socket, for `http.client`.

The package `kubernetes` can forward ports, too, but moves each byte through a socket pair and a thread of its own,
which costs half the speed.
"""

from __future__ import annotations

import collections
import contextlib
import io
import select
import socket
import ssl
import struct
import typing as t
import zlib

# What kubectl speaks since Kubernetes 1.31, and what came before, whose server unpacks every byte by itself: it
# reaches half the speed.
SPDY, CHANNELS = "SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io"
SUBPROTOCOLS = [SPDY, CHANNELS]
_END = None
_RECEIVED_BYTES = 64 * 1024
_BUSY = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Channels:
    """Each message begins with its channel: one is for data and one for errors.

    The first message of each holds the port.
    """

    _DATA = 0

    def __init__(self) -> None:
        self._begun: set[int] = set()

    def opening(self, _port: int) -> bytes:
        return b""  # The request's query has named the port.

    def head(self, _length: int) -> bytes:
        return bytes([self._DATA])

    def unpacked(self, message: bytes) -> t.Iterator[bytes | None]:
        channel, data = message[0], message[1:]
        if channel not in self._begun:
            self._begun.add(channel)
        elif channel == self._DATA:
            yield data
        else:
            raise _ended(data)


class _Spdy:
    """SPDY 3.1 as far as Kubernetes has it: a stream for errors and one for data, and no windows.

    Messages do not keep to its frames.
    """

    _ERROR, _DATA = 1, 3
    _SYN_STREAM, _RST_STREAM, _GOAWAY = (0x80030000 | kind for kind in (1, 3, 7))
    _FIN = 1

    def __init__(self) -> None:
        self._headers = zlib.compressobj()
        self._received = bytearray()

    def opening(self, port: int) -> bytes:
        return self._stream(self._ERROR, "error", port, self._FIN) + self._stream(self._DATA, "data", port, 0)

    def _stream(self, stream: int, kind: str, port: int, flags: int) -> bytes:
        words = [
            word.encode() for pair in (("streamtype", kind), ("port", str(port)), ("requestid", "0")) for word in pair
        ]
        block = struct.pack(">I", len(words) // 2) + b"".join(struct.pack(">I", len(word)) + word for word in words)
        block = self._headers.compress(block) + self._headers.flush(zlib.Z_SYNC_FLUSH)
        return struct.pack(">IIIIH", self._SYN_STREAM, flags << 24 | 10 + len(block), stream, 0, 0) + block

    def head(self, length: int) -> bytes:
        return struct.pack(">II", self._DATA, length)

    def unpacked(self, message: bytes) -> t.Iterator[bytes | None]:
        self._received += message
        while len(self._received) >= 8:
            kind, sizes = struct.unpack_from(">II", self._received)
            flags, end = sizes >> 24, 8 + (sizes & 0xFFFFFF)
            if len(self._received) < end:
                return
            data = bytes(self._received[8:end])
            del self._received[:end]
            if kind == self._ERROR and data:
                raise _ended(data)
            if kind == self._DATA and data:
                yield data
            # The runtime ends the data first, and only then says why; the stream for errors it ends in any case
            # (portForward in k8s.io/kubelet, pkg/cri/streaming/portforward/httpstream.go, v0.34).
            if kind in (self._RST_STREAM, self._GOAWAY) or (kind == self._ERROR and flags & self._FIN):
                yield _END


def _ended(data: bytes) -> OSError:
    return OSError(f"the port-forward ended: {data.decode('utf-8', 'replace').strip()}")


class Tunnel:
    """The data of a forwarded port over an open WebSocket, in the protocol that the API server has chosen.

    Without a byte moving for `patience` seconds it raises TimeoutError.
    """

    def __init__(self, websocket: t.Any, port: int, patience: float) -> None:
        self._websocket, self._patience = websocket, patience
        self._protocol = _Spdy() if (websocket.subprotocol or "").upper() == SPDY.upper() else _Channels()
        self._arrived: collections.deque[bytes | None] = collections.deque()
        self._message = bytearray()
        self._ping: bytes | None = None
        websocket.settimeout(0)
        opening = self._protocol.opening(port)
        if opening:
            self._send(opening)

    def settimeout(self, patience: float) -> None:
        self._patience = patience

    def sendall(self, data: bytes | memoryview) -> None:
        """Send less than 16 MiB.

        Raises ConnectionError when the other side has ended: in SPDY nothing else would stop a sender.
        """
        if select.select([self._websocket.sock], [], [], 0)[0]:
            self._receive()
        self._send(self._protocol.head(len(data)), data)

    def _send(self, *pieces: bytes | memoryview) -> None:
        """A binary message.

        It goes to the socket directly and with an empty mask: TLS hides it already, and masking is slow in Python.
        """
        self._transmit(struct.pack(">BBQ4x", 0x82, 0xFF, sum(map(len, pieces))), *pieces)
        self._answer_ping()

    def _answer_ping(self) -> None:
        """Answer the last ping, between frames: inside of one the answer would be taken for a part of it."""
        if self._ping is not None:
            data, self._ping = self._ping, None
            self._transmit(struct.pack(">BB4x", 0x8A, 0x80 | len(data)), data)

    def _transmit(self, *pieces: bytes | memoryview) -> None:
        rest = memoryview(b"".join(pieces))
        while rest:
            if _END in self._arrived:
                raise ConnectionError("the port-forward ended")
            try:
                rest = rest[self._websocket.sock.send(rest) :]
            except _BUSY:
                if self._wait(writing=True):
                    self._receive()

    def recv(self, _length: int = 0) -> bytes:
        """The next bytes, however many came together, empty at the end of the stream.

        Raises OSError with what the API server says.
        """
        while not self._arrived:
            if not self._receive():
                self._wait()
            self._answer_ping()
        return b"" if self._arrived[0] is _END else t.cast(bytes, self._arrived.popleft())

    def _wait(self, *, writing: bool = False) -> bool:
        """Wait until the socket can be read from, which is true, or written to."""
        sockets = [self._websocket.sock]
        readable, writable, _exceptional = select.select(sockets, sockets if writing else [], [], self._patience)
        if not readable and not writable:
            raise TimeoutError(f"no byte moved for {self._patience:g} s")
        return bool(readable)

    def _receive(self) -> bool:
        """Take a frame in, and return whether there was a whole one: what is readable may be half of it, or TLS's own.

        The package's own `recv` would answer a ping, or the end, at once.
        """
        import websocket

        try:
            frame = self._websocket.recv_frame()
        except _BUSY:
            return False
        except websocket.WebSocketException as exc:
            raise ConnectionError(str(exc)) from exc
        if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
            self._arrived.append(_END)
        elif frame.opcode == websocket.ABNF.OPCODE_PING:
            self._ping = bytes(frame.data)
        elif frame.opcode != websocket.ABNF.OPCODE_PONG:
            self._message += frame.data
            if frame.fin:
                message, self._message = bytes(self._message), bytearray()
                self._arrived.extend(self._protocol.unpacked(message) if message else [_END])
        return True

    def close(self) -> None:
        self._websocket.shutdown()


class TlsStream:
    """TLS over a tunnel or a socket; as much of a socket as `http.client` uses.

    An `ssl.SSLSocket` sends each record of 16 KiB by itself, which costs more packets and time than all of a chunk at
    once.
    """

    def __init__(self, carrier: Tunnel | socket.socket, context: ssl.SSLContext, server_hostname: str) -> None:
        self._carrier = carrier
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._retried(self._tls.do_handshake)

    @property
    def names(self) -> list[str]:
        """The DNS names of the certificate that was verified."""
        certificate: t.Mapping[str, t.Any] = self._tls.getpeercert() or {}
        return [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]

    def settimeout(self, patience: float) -> None:
        """For how many seconds no byte may move."""
        self._carrier.settimeout(patience)

    def sendall(self, data: bytes | memoryview) -> None:
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
        self._carrier.close()

    def _retried(self, step: t.Callable[[], t.Any]) -> t.Any:
        """Run a step of TLS, and bring it the bytes that it waits for."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._carrier.recv(_RECEIVED_BYTES)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # A closed connection does not receive TLS's alert.
                    self._flush()
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._carrier.sendall(data)


class _Reader(io.RawIOBase):
    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
