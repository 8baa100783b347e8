# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files to upload, interruptions, and an untrusted proxy. As a program: volume_upload with its peak memory."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import json
import os
import random
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    POD,
    UPLOAD_TOKEN_REQUEST,
    Resource,
)

KUBECONFIG = os.environ["KUBECONFIG"]
MIB = 1024 * 1024
THIN = {"storage_class_name": "thin"}
SERVICE = Resource("", "v1", "services", "Service", True)
SECRET = Resource("", "v1", "secrets", "Secret", True)
_CONVERT = {
    "qcow2": ["-O", "qcow2"],
    "vmdk": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
    "vhd": ["-O", "vpc", "-o", "force_size=on"],
    "vhd-fixed": ["-O", "vpc", "-o", "subformat=fixed,force_size=on"],
    "vhdx": ["-O", "vhdx"],
    "vdi": ["-O", "vdi"],
}
_PACKED = (
    *(("raw", "gz"), ("raw", "xz"), ("raw", "zst"), ("qcow2", "gz")),
    *(("vmdk", "zst"), ("vhd", "gz"), ("vhdx", "gz"), ("vdi", "xz")),
)
_COMPRESS = {"gz": ["gzip", "-1c"], "xz": ["xz", "-0c"], "zst": ["zstd", "-qc"]}


class Images:
    """A disk of 64 MiB in all formats that CDI reads, archives with it, and a large file."""

    size = 64 * MIB

    def __init__(self, folder: Path) -> None:
        chosen = random.Random(7)
        content = bytearray(self.size)
        content[: 6 * MIB] = chosen.randbytes(6 * MIB)
        content[40 * MIB : 42 * MIB] = (b"All work and no play. " * MIB)[: 2 * MIB]
        content[-MIB:] = chosen.randbytes(MIB)
        self.disks = {"raw": self._write(folder / "disk.raw", bytes(content))}
        self.sha256 = hashlib.sha256(content).hexdigest()
        for name, arguments in _CONVERT.items():
            self.disks[name] = str(folder / f"disk.{name}")
            subprocess.run(
                ["qemu-img", "convert", "-f", "raw", *arguments, self.disks["raw"], self.disks[name]], check=True
            )
        for inner, compression in _PACKED:
            name = f"{inner}-{compression}"
            self.disks[name] = self._packed(self.disks[inner], compression)
        self.unreadable = self._packed(self.disks["vhdx"], "xz")
        # The volume descriptor at 32 KiB makes it an ISO image; CDI treats it as a raw disk.
        descriptor = b"\x01CD001\x01".ljust(2048, b"\0")
        self.iso = self._write(folder / "disk.iso", bytes(32768) + descriptor + chosen.randbytes(3 * MIB - 34816))
        self.archive = str(folder / "files.tar")
        with tarfile.open(self.archive, "w") as archive:
            archive.add(self.disks["raw"], "disk.img")
        self.archive_gz = self._packed(self.archive, "gz")
        self.large = folder / "large.raw"
        with open(self.large, "wb") as file:
            for _mebibyte in range(256):
                file.write(chosen.randbytes(MIB))

    def _packed(self, path: str, compression: str) -> str:
        with open(f"{path}.{compression}", "wb") as file:
            subprocess.run([*_COMPRESS[compression], path], check=True, stdout=file)
        return file.name

    def _write(self, path: Path, content: bytes) -> str:
        path.write_bytes(content)
        return str(path)


def when_sent(progress: Path, reached: int | str, seconds: float = 300) -> None:
    """Wait until the progress file has reached a percentage or a step."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for line in progress.read_text().splitlines() if progress.exists() else []:
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if row.get("step") == reached:
                    return
                done, whole = ("sent", "size") if row.get("size") else ("disk", "disk_size")
                if isinstance(reached, int) and 100 * row.get(done, 0) >= reached * row.get(whole, 1) > 0:
                    return
        time.sleep(0.02)
    raise AssertionError(f"{reached} is not reached after {seconds:.0f} s")


@contextlib.contextmanager
def upload_server_killed(connection: Connection, namespace: str, progress: Path, percent: int) -> Iterator[list[str]]:
    """Kills the upload pods of the namespace in parallel with the body, when the progress file has reached so much.

    Gives their names, which are complete behind the body.
    """
    from kubernetes import client

    from tests.modules import official_client

    core = client.CoreV1Api(official_client())
    killed: list[str] = []

    def kill() -> None:
        when_sent(progress, percent)
        for pod in connection.list(POD, namespace)[0]:
            if pod["metadata"]["name"].startswith("cdi-upload-"):
                core.delete_namespaced_pod(pod["metadata"]["name"], namespace, grace_period_seconds=0)
                killed.append(pod["metadata"]["name"])

    killer = threading.Thread(target=kill)
    killer.start()
    yield killed
    killer.join()


@contextlib.contextmanager
def module_process(name: str, options: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A module that runs in parallel with the body, which can read its result from stdout."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"ansible_collections.kubevirt.cdi.plugins.modules.{name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {"kubeconfig": KUBECONFIG, **options}}).encode())
    process.stdin.close()
    yield process
    process.wait()
    if process.stdout:
        process.stdout.close()


def curl(connection: Connection, name: str, namespace: str, path: Path, proxy_url: str) -> int:
    """Upload a file to a volume that is UploadReady with curl, and return the HTTP status, 0 without a response."""
    spec = {"metadata": {"name": name}, "spec": {"pvcName": name}}
    request = {"apiVersion": UPLOAD_TOKEN_REQUEST.api_version, "kind": UPLOAD_TOKEN_REQUEST.kind, **spec}
    token = connection.create(UPLOAD_TOKEN_REQUEST, request, namespace, dry_run=False)["status"]["token"]
    command = [
        *("curl", "--silent", "--insecure", "--http1.1", "--output", "/dev/null", "--write-out", "%{http_code}"),
        *("--header", f"Authorization: Bearer {token}", "--request", "POST", "--upload-file", str(path)),
        f"{proxy_url}/v1beta1/upload",
    ]
    return int(subprocess.run(command, check=False, capture_output=True, text=True, timeout=180).stdout)


def aged(connection: Connection, token: str, seconds: int) -> str:
    """An upload token as if CDI had issued it earlier: with earlier times, signed with CDI's key (PS256)."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    stored = connection.get(SECRET, "cdi-api-signing-key", "cdi")
    assert stored is not None
    key: Any = serialization.load_pem_private_key(base64.b64decode(stored["data"]["id_rsa"]), None)
    header, payload, _signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    moved = {name: claims[name] - seconds - 10 for name in ("iat", "nbf", "exp") if name in claims}
    body = f"{header}.{_base64url(json.dumps({**claims, **moved}).encode())}"
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    return f"{body}.{_base64url(key.sign(body.encode(), scheme, hashes.SHA256()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class ForeignProxy:
    """A TLS server on 127.0.0.1 with an untrusted CA; `received` has the paths of its requests."""

    def __init__(self, folder: Path) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cdi-uploadproxy.cdi.svc")])
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("cdi-uploadproxy.cdi.svc")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.ca = certificate.public_bytes(serialization.Encoding.PEM).decode()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = folder / "foreign.pem"
        path.write_bytes(private + self.ca.encode())
        received: list[str] = []
        self.received = received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                """Keep the output of the tests free of requests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> ForeignProxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: Any) -> None:
        self._server.shutdown()
        self._server.server_close()


if __name__ == "__main__":
    from ansible_collections.kubevirt.cdi.plugins.modules.volume_upload import main

    try:
        main()
    finally:
        # Not from getrusage, which includes the peak of the parent.
        status = Path("/proc/self/status").read_text().splitlines()
        print(next(line for line in status if line.startswith("VmHWM")), file=sys.stderr)
