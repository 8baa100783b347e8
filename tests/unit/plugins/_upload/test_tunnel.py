# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A forwarded port over a WebSocket, in both protocols: sending, receiving, and the end."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import websocket
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.tunnel import CHANNELS, SPDY, TlsStream, Tunnel

Ends = Callable[[str], tuple[Tunnel, Any]]
FIN = 1 << 24


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Creates a tunnel with a protocol, and the API server's end of its WebSocket."""
    opened = []

    def make(protocol: str) -> tuple[Tunnel, Any]:
        both: list[Any] = []
        for end in socket.socketpair():
            both.append(websocket.WebSocket(skip_utf8_validation=True))
            both[-1].sock, both[-1].connected = end, True
            both[-1].handshake_response = SimpleNamespace(subprotocol=protocol.lower())
            opened.append(end)
        both[1].settimeout(5)
        return Tunnel(both[0], 8443, 0.2), both[1]

    yield make
    for end in opened:
        end.close()


def _frame(stream: int, data: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">II", stream, flags | len(data)) + data


def _headers(block: bytes) -> dict[str, str]:
    words, block = [], block[4:]
    while block:
        (length,) = struct.unpack_from(">I", block)
        words.append(block[4 : 4 + length].decode())
        block = block[4 + length :]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_spdy_opens_a_half_closed_stream_for_errors_and_one_for_data(ends: Ends) -> None:
    _tunnel, server = ends(SPDY)
    opening, unpacker = server.recv(), zlib.decompressobj()
    for stream, kind, flags in ((1, "error", FIN), (3, "data", 0)):
        first, sizes, identifier, associated = struct.unpack_from(">IIII", opening)
        length = sizes & 0xFFFFFF
        assert (first, sizes - length, identifier, associated) == (0x80030001, flags, stream, 0)
        assert _headers(unpacker.decompress(opening[18 : 8 + length])) == {
            "streamtype": kind,
            "port": "8443",
            "requestid": "0",
        }
        opening = opening[8 + length :]
    assert opening == b""


def test_spdy_frames_may_span_messages(ends: Ends) -> None:
    tunnel, server = ends(SPDY)
    server.recv()
    tunnel.sendall(b"x" * 70_000)
    assert server.recv() == _frame(3, b"x" * 70_000)
    settings = struct.pack(">III", 0x80030004, 4, 0)
    reply = struct.pack(">III", 0x80030002, 6, 3) + b"zz"
    stream = reply + settings + _frame(3, b"hello") + _frame(3, b"again")
    for byte in range(0, len(stream), 7):
        server.send_binary(stream[byte : byte + 7])
    assert tunnel.recv() == b"hello"
    assert tunnel.recv() == b"again"


@pytest.mark.parametrize(
    "end",
    [
        _frame(3, b"", FIN) + _frame(1, b"", FIN),
        struct.pack(">IIII", 0x80030003, 8, 3, 5),
        struct.pack(">IIII", 0x80030007, 8, 3, 0),
    ],
    ids=["no more data", "stream reset", "go away"],
)
def test_last_data_is_received_and_nothing_is_sent_after_the_other_side_ended(ends: Ends, end: bytes) -> None:
    tunnel, server = ends(SPDY)
    server.send_binary(_frame(3, b"refused") + end)
    with pytest.raises(ConnectionError, match="the port-forward ended"):
        tunnel.sendall(b"x")
    assert [tunnel.recv(), tunnel.recv(), tunnel.recv()] == [b"refused", b"", b""]


def test_blocked_sender_detects_the_end(ends: Ends) -> None:
    """Its socket is full: waiting only to write would never end."""
    tunnel, server = ends(SPDY)
    threading.Timer(0.05, server.send_binary, [_frame(1, b"", FIN)]).start()
    with pytest.raises(ConnectionError):
        tunnel.sendall(b"x" * 8_000_000)


def test_blocked_sender_times_out(ends: Ends) -> None:
    tunnel, _server = ends(SPDY)
    with pytest.raises(TimeoutError, match=r"no byte moved for 0.2 s"):
        tunnel.sendall(b"x" * 8_000_000)


@pytest.mark.parametrize(
    ("protocol", "messages"),
    [(SPDY, [_frame(1, b"no such pod")]), (CHANNELS, [b"\0\xfb\x20", b"\1\xfb\x20", b"\1no such pod"])],
)
def test_error_is_the_message_of_the_api_server(ends: Ends, protocol: str, messages: list[bytes]) -> None:
    tunnel, server = ends(protocol)
    for message in messages:
        server.send_binary(message)
    with pytest.raises(OSError, match="the port-forward ended: no such pod"):
        tunnel.recv()


@pytest.mark.parametrize(
    "act", [lambda tunnel: tunnel.recv(), lambda tunnel: tunnel.sendall(b"x" * 8_000_000)], ids=["reading", "sending"]
)
def test_reason_is_read_after_the_end_of_the_data(ends: Ends, act: Callable[[Tunnel], None]) -> None:
    """containerd ends a port without a listener this way. Each frame is a separate message."""
    tunnel, server = ends(SPDY)
    server.send_binary(_frame(3, b"", FIN))
    threading.Timer(0.05, server.send_binary, [_frame(1, b"connection refused")]).start()
    with pytest.raises(OSError, match="the port-forward ended: connection refused"):
        act(tunnel)


def test_each_channel_begins_with_the_port(ends: Ends) -> None:
    tunnel, server = ends(CHANNELS)
    for message in (b"\0\xfb\x20", b"\1\xfb\x20", b"\0hello"):
        server.send_binary(message)
    assert tunnel.recv() == b"hello"
    tunnel.sendall(b"x" * 70_000)
    assert server.recv() == b"\0" + b"x" * 70_000


@pytest.mark.parametrize("protocol", [SPDY, CHANNELS])
def test_reader_without_an_answer_times_out(ends: Ends, protocol: str) -> None:
    tunnel, _server = ends(protocol)
    with pytest.raises(TimeoutError, match=r"no byte moved for 0.2 s"):
        tunnel.recv()


@pytest.mark.parametrize("end", ["in words", "in silence"])
def test_tunnel_fails_when_it_ends_during_the_handshake(ends: Ends, end: str) -> None:
    tunnel, server = ends(SPDY)
    if end == "in words":
        server.send_close()
    else:
        server.sock.close()
    with pytest.raises(OSError):
        TlsStream(tunnel, ssl.create_default_context(), "cdi-uploadproxy.cdi.svc")


@pytest.mark.parametrize("protocol", [SPDY, CHANNELS])
@pytest.mark.parametrize("when", ["while sending", "while reading", "between"])
def test_ping_is_answered_between_frames(ends: Ends, protocol: str, when: str) -> None:
    """Inside a half-sent frame, the answer would be taken for a part of the data."""
    tunnel, server = ends(protocol)
    if protocol == SPDY:
        server.recv()
    data = bytes(range(256)) * 16384
    # The frame is larger than what the sockets hold: a ping arrives when half of it is on its way.
    sender = threading.Thread(target=tunnel.sendall, args=(data,))
    if when != "while sending":
        server.ping("are you there")
    if when == "while reading":
        with pytest.raises(TimeoutError):
            tunnel.recv()
    sender.start()
    if when == "while sending":
        server.ping("are you there")
    frames = [server.recv_frame(), server.recv_frame()]
    received = {frame.opcode: bytes(frame.data) for frame in frames}
    assert received[websocket.ABNF.OPCODE_PONG] == b"are you there"
    assert received[websocket.ABNF.OPCODE_BINARY].endswith(data)
    sender.join()


def test_fragmented_messages_are_joined(ends: Ends) -> None:
    tunnel, server = ends(CHANNELS)
    server.send_binary(b"\0\xfb\x20")
    server.send_frame(websocket.ABNF.create_frame(b"\0hel", websocket.ABNF.OPCODE_BINARY, 0))
    server.pong("unasked")
    server.send_frame(websocket.ABNF.create_frame(b"lo", websocket.ABNF.OPCODE_CONT, 1))
    assert tunnel.recv() == b"hello"
