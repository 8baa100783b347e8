# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of CDI that an upload needs: a controller that creates claims and sets phases, and an upload proxy."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    Resource,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.api.objects import body, patch_status
from tests.wire import Wire

MIB = 1024 * 1024
# Runs module volume_upload with these options, and returns its result.
Upload = Callable[..., dict[str, Any]]
SERVICE = "cdi-uploadproxy.cdi.svc"
CA_PATH = "/api/v1/namespaces/cdi/configmaps/cdi-uploadproxy-signer-bundle"


def token_path(namespace: str) -> str:
    return f"/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/{namespace}/uploadtokenrequests"


def ca_bundle(data: dict[str, str]) -> bytes:
    """CDI's ConfigMap with the CA of its upload proxy."""
    metadata = {"name": "cdi-uploadproxy-signer-bundle", "namespace": "cdi", "uid": "of-the-bundle"}
    return json.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data}).encode()


class UploadService:
    """`proxy_url` receives uploads, answers them with `statuses`, then `status`, and `headers`, and fills the volume.

    `on_request` is called when a request begins. `received` has the number of bytes of each upload, `tokens` their
    credentials, `body` the bytes of the last one. A body without its end is not answered, and fills nothing.
    """

    def __init__(self, connection: Connection, namespace: str, folder: Path) -> None:
        self._connection, self._namespace = connection, namespace
        self.status = 200
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.on_request: Callable[[], object] = lambda: None
        self.received: list[int] = []
        self.tokens: list[str] = []
        self.body = b""
        self._stopped = threading.Event()
        self.ca, path = _certificate(folder)
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                service.on_request()
                service.body, is_complete = _body(self.headers, self.rfile)
                service.received.append(len(service.body))
                service.tokens.append(self.headers["Authorization"])
                if not is_complete:  # CDI makes no disk of it.
                    self.close_connection = True
                    return
                status = service.statuses.pop(0) if service.statuses else service.status
                if status == 200:
                    service.fill()
                self.send_response(status)
                for name, value in {**service.headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """The test prints what matters."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_arguments: Any) -> None:
                """Clients first try the CAs of the host, and end the handshake."""

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.proxy_url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, wire: Wire) -> None:
        """Answer requests for CDI's upload API and its ConfigMap at the counting proxy."""
        wire.answers[CA_PATH] = ca_bundle({"ca-bundle.crt": self.ca})
        token = {"kind": "UploadTokenRequest", "metadata": {"name": "disk"}, "status": {"token": "secret-upload-token"}}
        wire.answers[token_path(self._namespace)] = json.dumps(token).encode()

    def fill(self) -> None:
        for volume in self._connection.list(DATA_VOLUME, self._namespace)[0]:
            if (volume.get("status") or {}).get("phase") == "UploadReady":
                self._phase(volume["metadata"]["name"], "Succeeded")

    def _phase(self, name: str, phase: str) -> None:
        # The volume may have been deleted.
        with contextlib.suppress(AssertionError):
            patch_status(self._connection, DATA_VOLUME, name, self._namespace, {"phase": phase})

    def control(self) -> None:
        """Give each volume a claim and phase UploadReady; delete the claims of deleted volumes."""
        while not self._stopped.wait(0.05):
            with contextlib.suppress(ApiError):
                # The claims first: a claim whose volume was created in between must not be taken for an orphan.
                claims = self._by_name(PERSISTENT_VOLUME_CLAIM)
                volumes = self._by_name(DATA_VOLUME)
                for name, volume in volumes.items():
                    if not (volume.get("status") or {}).get("phase"):
                        if name not in claims:
                            self.claim(name, volume["metadata"]["uid"])
                        self._phase(name, "UploadReady")
                for name, claim in claims.items():
                    owner = (claim["metadata"].get("annotations") or {}).get("test/owner")
                    if owner and (name not in volumes or owner != volumes[name]["metadata"]["uid"]):
                        self._delete_claim(name)

    def _by_name(self, kind: Resource) -> dict[str, dict[str, Any]]:
        return {item["metadata"]["name"]: item for item in self._connection.list(kind, self._namespace)[0]}

    def _delete_claim(self, name: str) -> None:
        """No controller removes the finalizer here."""
        kind, without = PERSISTENT_VOLUME_CLAIM, {"metadata": {"finalizers": None}}
        self._connection.delete(kind, name, self._namespace, dry_run=False)
        self._connection.merge(kind, name, self._namespace, without, dry_run=False)

    def claim(self, name: str, owner: str) -> None:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Mi"}}}
        content = body(PERSISTENT_VOLUME_CLAIM, name, metadata={"annotations": {"test/owner": owner}}, spec=spec)
        self._connection.create(PERSISTENT_VOLUME_CLAIM, content, self._namespace, dry_run=False)

    def settled(self, name: str) -> bool:
        """Whether the volume exists, after the API server has executed earlier requests."""
        time.sleep(0.02)
        return self._connection.get(DATA_VOLUME, name, self._namespace) is not None

    def remove(self, name: str) -> None:
        """Delete a volume, and wait until its claim is gone."""
        self._connection.delete(DATA_VOLUME, name, self._namespace, dry_run=False)
        deadline = time.monotonic() + 120
        while self._connection.get(PERSISTENT_VOLUME_CLAIM, name, self._namespace):
            assert time.monotonic() < deadline, name
            time.sleep(0.05)

    def __enter__(self) -> UploadService:
        for run in (self._server.serve_forever, self.control):
            threading.Thread(target=run, daemon=True).start()
        return self

    def __exit__(self, *_exception: Any) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()


def _body(headers: Message, stream: io.BufferedIOBase) -> tuple[bytes, bool]:
    """The body of a request, and whether all of it came."""
    if headers["Transfer-Encoding"] != "chunked":
        length = int(headers["Content-Length"])
        body = stream.read(length)
        return body, len(body) == length
    body, size = b"", -1
    while size:
        line = stream.readline()
        size = int(line, 16) if line.endswith(b"\r\n") else -1
        chunk = stream.read(max(size, 0))
        body += chunk
        if len(chunk) != size or stream.read(2) != b"\r\n":
            return body, False
    return body, True


def _certificate(folder: Path) -> tuple[str, Path]:
    """A certificate for the service of the proxy, which is its own CA, and a file with certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SERVICE)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), 1, now - datetime.timedelta(days=1), now + datetime.timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVICE)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "proxy.pem"
    path.write_bytes(private + pem)
    return pem.decode(), path


@contextlib.contextmanager
def running(service: UploadService, wire: Wire) -> Iterator[UploadService]:
    service.serve(wire)
    with service:
        yield service
