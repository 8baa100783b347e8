# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file sent over TLS to somebody who answers early, late or in pieces, and a file that does not stay as it was."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import FileIdentity
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.answers import Answer
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.source import (
    Chunk,
    FileChanged,
    SourceFile,
    unchanged_chunks,
)
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.transfer import Route, route_by_url, send
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.tunnel import TlsStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAME = "cdi-uploadproxy.cdi.svc"
Server = Callable[[Callable[[ssl.SSLSocket], None]], Route]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path


@pytest.fixture
def server(certificate: Path) -> Server:
    """A route to a server that behaves as requested on its only connection."""

    def start(serve: Callable[[ssl.SSLSocket], None]) -> Route:
        ours, theirs = socket.socketpair()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

        def run() -> None:
            with context.wrap_socket(theirs, server_side=True) as stream:
                serve(stream)

        threading.Thread(target=run, daemon=True).start()
        trusted = ssl.create_default_context(cafile=str(certificate))
        return Route("url", NAME, lambda: TlsStream(ours, trusted, NAME))

    return start


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(os.urandom(600_000))
    return path


def _source(file: Path) -> SourceFile:
    """The file as it is now, all of it to be sent."""
    return SourceFile(
        str(file), FileIdentity.of(str(file)), hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_size
    )


class Parts(NamedTuple):
    """A source whose size is not known before its end."""

    parts: list[bytes]
    error: CdiError | None = None
    sent_size: int | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[Iterator[Chunk]]:
        yield self._chunks()

    def _chunks(self) -> Iterator[Chunk]:
        for number, part in enumerate(self.parts, 1):
            yield part, (number, len(self.parts))
        if self.error:
            raise self.error


def _take(stream: ssl.SSLSocket, length: int) -> bytes:
    """A request with a body of this length."""
    data = b""
    while len(data) < data.find(b"\r\n\r\n") + 4 + length or b"\r\n\r\n" not in data:
        data += stream.recv(65536)
    return data


def test_file_arrives_unchanged_and_is_answered(server: Server, file: Path) -> None:
    taken = []

    def serve(stream: ssl.SSLSocket) -> None:
        taken.append(_take(stream, 600_000))
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    sent: list[int] = []
    ends: list[bool] = []

    def progress(bytes_sent: int, _reached: object, all_sent: bool) -> None:
        sent.append(bytes_sent)
        ends.append(all_sent)

    answer = send(server(serve), "token", _source(file), 10, progress)
    assert answer == Answer(200, "")
    head, _empty, body = taken[0].partition(b"\r\n\r\n")
    assert body == file.read_bytes() and b"Authorization: Bearer token" in head and b"Content-Length: 600000" in head
    assert sent[-1] == 600_000 and sent == sorted(sent)
    assert ends == [False] * (len(sent) - 1) + [True]


PARTS = [os.urandom(300_000), b"x", os.urandom(70_000), b"end"]


def _until_the_end(stream: ssl.SSLSocket) -> bytes:
    data = b""
    while not data.endswith(b"0\r\n\r\n") and (more := stream.recv(65536)):
        data += more
    return data


def test_body_of_unknown_size_arrives_and_ends(server: Server) -> None:
    taken = []

    def serve(stream: ssl.SSLSocket) -> None:
        taken.append(_until_the_end(stream))
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    progress: list[tuple[object, ...]] = []
    answer = send(server(serve), "token", Parts(PARTS), 10, lambda *values: progress.append(values))
    assert answer == Answer(200, "")
    head, _empty, body = taken[0].partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head and b"Content-Length" not in head
    assert _joined(body) == PARTS
    ends = [300_000, 300_001, 370_001, 370_004]
    assert progress == [
        *((end, (number, 4), False) for number, end in enumerate(ends, 1)),
        (370_004, (4, 4), True),
    ]


def _joined(body: bytes) -> list[bytes]:
    """The chunks of a body, which has to be complete."""
    chunks: list[bytes] = []
    while True:
        size, _end, body = body.partition(b"\r\n")
        chunk, end, body = body[: int(size, 16)], body[int(size, 16) :][:2], body[int(size, 16) + 2 :]
        assert end == b"\r\n"
        if not chunk:
            return chunks
        chunks.append(chunk)


def test_body_of_unknown_size_does_not_end_if_the_source_fails(server: Server) -> None:
    taken, has_ended = [], threading.Event()

    def serve(stream: ssl.SSLSocket) -> None:
        while data := stream.recv(65536):
            taken.append(data)
        has_ended.set()

    progress: list[tuple[object, ...]] = []
    with pytest.raises(FileChanged, match="changed during the upload, which was aborted"):
        source = Parts(PARTS[:3], FileChanged("disk.raw"))
        send(server(serve), "token", source, 10, lambda *values: progress.append(values))
    assert has_ended.wait(60)
    assert progress[-1] == (370_001, (3, 3), False) and b"".join(taken).endswith(PARTS[2] + b"\r\n")


def test_refusal_of_a_body_of_unknown_size_is_read(server: Server) -> None:
    """The proxy refuses a token before the body ends."""

    def serve(stream: ssl.SSLSocket) -> None:
        stream.recv(100)
        stream.sendall(b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    ends: list[bool] = []
    many = Parts([bytes(1_000_000)] * 64)
    answer = send(server(serve), "token", many, 10, lambda _sent, _reached, all_sent: ends.append(all_sent))
    assert answer.status in (0, 401) and True not in ends


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_answer_that_closes_the_connection_is_read_completely(server: Server, file: Path, version: str) -> None:
    """An Ingress that takes no body of this size answers so."""

    def serve(stream: ssl.SSLSocket) -> None:
        _take(stream, 600_000)
        stream.sendall(f"{version} 413 Too Large\r\nConnection: close\r\n\r\n".encode())
        time.sleep(0.05)
        stream.sendall(b"<p>Too&nbsp;large</p>\n")

    answer = send(server(serve), "token", _source(file), 10, lambda *_progress: None)
    assert answer == Answer(413, "<p>Too large</p>")


@pytest.mark.parametrize("early", [True, False])
def test_answer_that_is_not_http_is_reported_on_one_line(server: Server, file: Path, early: bool) -> None:
    def serve(stream: ssl.SSLSocket) -> None:
        if not early:
            _take(stream, 600_000)
        stream.sendall(b"SSH-2.0-OpenSSH_9.6 " + b"x" * 999 + b"\r\n")

    answer = send(server(serve), "token", _source(file), 10, lambda *_progress: None)
    assert answer.status == 0 and "\n" not in answer.text and len(answer.text) < 300
    assert early or answer.text.startswith("SSH-2.0-OpenSSH_9.6 xxx")


def test_server_gets_the_timeout_of_the_user_to_write_the_data(server: Server, file: Path) -> None:
    """It answers when all is on the disk."""

    def serve(stream: ssl.SSLSocket) -> None:
        _take(stream, 600_000)
        time.sleep(0.5)
        with contextlib.suppress(OSError):
            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def answer(patience: float) -> Answer:
        return send(server(serve), "token", _source(file), patience, lambda *_progress: None)

    assert answer(0.2) == Answer(0, "no byte moved for 0.2 s")
    assert answer(5) == Answer(200, "")


def _take_some(stream: ssl.SSLSocket) -> None:
    stream.recv(100)


def test_server_that_goes_away_gives_no_answer(server: Server, file: Path) -> None:
    answer = send(server(_take_some), "t", _source(file), 10, lambda *_progress: None)
    assert answer.status == 0 and answer.text


@pytest.mark.parametrize("when", ["before", "while sending"])
def test_end_of_a_changed_file_is_not_sent(server: Server, file: Path, when: str) -> None:
    taken = []

    def serve(stream: ssl.SSLSocket) -> None:
        while data := stream.recv(65536):
            taken.append(data)

    def change(*_progress: object) -> None:
        with file.open("r+b") as opened:
            opened.write(b"!")

    source = _source(file)
    if when == "before":
        time.sleep(0.02)  # A tick of the file system's clock.
        change()
    with pytest.raises(FileChanged, match="changed during the upload, which was aborted"):
        send(server(serve), "token", source, 10, change)
    assert sum(map(len, taken)) < (600_000 if when == "while sending" else 1000)


def test_unreadable_file_is_not_reported_as_a_broken_connection(file: Path) -> None:
    with file.open("ab", buffering=0) as opened, pytest.raises(CdiError, match=f"{file} can no longer be read"):
        next(unchanged_chunks(opened, _source(file)))


def test_invalid_port_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(CdiError, match="upload_proxy_url is https://host:abc; correct it: "):
        route_by_url("url", "https://host:abc", None, "", NAME)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://host", "/v1beta1/upload-async"),
        ("host:31001/", "/v1beta1/upload-async"),
        ("https://host/cdi/", "/cdi/v1beta1/upload-async"),
        ("https://host/v1beta1/upload-async", "/v1beta1/upload-async"),
    ],
)
def test_path_of_the_url_is_kept(certificate: Path, url: str, path: str) -> None:
    assert route_by_url("url", url, None, certificate.read_text(), NAME).path == path


@pytest.mark.parametrize("url", ["http://ann:s3cret@host?s3cret", "ann:s3cret@host:abc?s3cret"])
def test_unusable_url_is_named_without_its_secrets(url: str) -> None:
    with pytest.raises(CdiError, match=r"upload_proxy_url is (http://)?\*\*\*@host(:abc)?\?\*\*\*; ") as raised:
        route_by_url("url", url, None, "", NAME)
    assert "s3cret" not in str(raised.value)
