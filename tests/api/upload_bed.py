# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uploads need of CDI, on an API server without it: a controller that makes claims and phases, and an upload proxy."""

from __future__ import annotations

import contextlib
import datetime
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes import client, config

from tests.wire import Wire

SERVICE = "cdi-uploadproxy.cdi.svc"
CA_PATH = "/api/v1/namespaces/cdi/configmaps/cdi-uploadproxy-signer-bundle"


def token_path(namespace: str) -> str:
    return f"/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/{namespace}/uploadtokenrequests"


def ca_bundle(data: dict[str, str]) -> bytes:
    """CDI's ConfigMap with the CA of its upload proxy."""
    metadata = {"name": "cdi-uploadproxy-signer-bundle", "namespace": "cdi", "uid": "of-the-bundle"}
    return json.dumps({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data}).encode()


class UploadBed:
    """`proxy_url` takes uploads, answers `status` with `headers`, and fills the volume; `taken` is how many bytes came each time."""

    def __init__(self, connection: Connection, kubeconfig: str, namespace: str, folder: Path) -> None:
        self._connection, self._namespace = connection, namespace
        self._objects = client.CustomObjectsApi(config.new_client_from_config(kubeconfig))
        self.status, self.headers, self.taken, self.tokens = 200, {}, [], []  # type: ignore[var-annotated]
        self._stopped = threading.Event()
        self.ca, path = _certificate(folder)
        bed = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                read = 0
                while read < length and (data := self.rfile.read(min(65536, length - read))):
                    read += len(data)
                bed.taken.append(read)
                bed.tokens.append(self.headers["Authorization"])
                if bed.status == 200:
                    bed.fill()
                self.send_response(bed.status)
                for name, value in {**bed.headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """The test prints what matters."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_arguments: Any) -> None:
                """Each client tries the host's own CAs first."""

        self._server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.proxy_url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, wire: Wire) -> None:
        """Have the API server's proxy answer for CDI's own API and its ConfigMap, too."""
        wire.answers[CA_PATH] = ca_bundle({"ca-bundle.crt": self.ca})
        token = {"kind": "UploadTokenRequest", "metadata": {"name": "disk"}, "status": {"token": "secret-upload-token"}}
        wire.answers[token_path(self._namespace)] = json.dumps(token).encode()

    def fill(self) -> None:
        for volume in self._connection.list(DATA_VOLUME, self._namespace)[0]:
            if (volume.get("status") or {}).get("phase") == "UploadReady":
                self._phase(volume["metadata"]["name"], "Succeeded")

    def _phase(self, name: str, phase: str) -> None:
        kind = (DATA_VOLUME.group, DATA_VOLUME.version, self._namespace, DATA_VOLUME.plural, name)
        with contextlib.suppress(client.ApiException):
            self._objects.patch_namespaced_custom_object_status(*kind, {"status": {"phase": phase}})

    def control(self) -> None:
        """Each volume gets a claim and waits for data; the claim goes with it."""
        while not self._stopped.wait(0.05):
            with contextlib.suppress(ApiError):
                volumes = {
                    volume["metadata"]["name"]: volume
                    for volume in self._connection.list(DATA_VOLUME, self._namespace)[0]
                }
                claims = {
                    claim["metadata"]["name"]: claim
                    for claim in self._connection.list(PERSISTENT_VOLUME_CLAIM, self._namespace)[0]
                }
                for name, volume in volumes.items():
                    if not (volume.get("status") or {}).get("phase"):
                        if name not in claims:
                            self.claim(name, volume["metadata"]["uid"])
                        self._phase(name, "UploadReady")
                for name, claim in claims.items():
                    owner = (claim["metadata"].get("annotations") or {}).get("test/owner")
                    if owner and owner != (volumes.get(name) or {"metadata": {"uid": ""}})["metadata"]["uid"]:
                        self._connection.delete(PERSISTENT_VOLUME_CLAIM, name, self._namespace, dry_run=False)
                        # No controller looks for pods that use it.
                        self._connection.merge(
                            PERSISTENT_VOLUME_CLAIM,
                            name,
                            self._namespace,
                            {"metadata": {"finalizers": None}},
                            dry_run=False,
                        )

    def claim(self, name: str, owner: str) -> None:
        body = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "annotations": {"test/owner": owner}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Mi"}}},
        }
        self._connection.create(PERSISTENT_VOLUME_CLAIM, body, self._namespace, dry_run=False)

    def settled(self, name: str) -> bool:
        """Whether there is a volume of this name, after what was asked of the API server has been done."""
        time.sleep(0.02)
        return self._connection.get(DATA_VOLUME, name, self._namespace) is not None

    def remove(self, name: str) -> None:
        """Delete a volume, and wait until its claim is gone."""
        self._connection.delete(DATA_VOLUME, name, self._namespace, dry_run=False)
        deadline = time.monotonic() + 20
        while self._connection.get(PERSISTENT_VOLUME_CLAIM, name, self._namespace):
            assert time.monotonic() < deadline, name
            time.sleep(0.05)

    def __enter__(self) -> UploadBed:
        for run in (self._server.serve_forever, self.control):
            threading.Thread(target=run, daemon=True).start()
        return self

    def __exit__(self, *_exception: Any) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()


def _certificate(folder: Path) -> tuple[str, Path]:
    """A CA's certificate for the proxy's service, and a file with its key, too."""
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
def running(bed: UploadBed, wire: Wire) -> Iterator[UploadBed]:
    bed.serve(wire)
    with bed:
        yield bed
