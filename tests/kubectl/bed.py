# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers and proxies on loopback that write down who came, and by which way; kubectl and a connection, each asked for one object."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.transport import open_transport

from tests.cluster.build.golang import programs
from tests.cluster.build.scheduler import run
from tests.cluster.runtime.certificates import Authority

PATH = "/api/v1/namespaces/default"
SECRET = "planted-secret-0123456789"
# Not a loopback address for whoever reads NO_PROXY, and yet one that leads here.
HERE = "0.0.0.0"
NAMES = ["localhost", "127.0.0.1", HERE, "::1", "api.test", "www.api.test", "other.test"]
_LOWER_AND_UPPER = ("KUBECONFIG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_PLAIN = (
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "KUBERNETES_MASTER",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUEST_METHOD",
)


def kubectl() -> str:
    """The path of a kubectl that is built from the modules the test cluster is built from; made once."""
    recipe = programs("kubectl", "kubectl", ".")
    return str(run({recipe.name: recipe}, [recipe.name])["kubectl"] / "kubectl")


@dataclass
class Bed:
    """Where the servers and proxies are, and the files with keys and certificates."""

    directory: Path
    https: int
    http: int
    proxy: int
    tls_proxy: int
    seen: list[dict[str, Any]] = field(default_factory=list)
    proxied: list[str] = field(default_factory=list)
    reject: list[str] = field(default_factory=list)

    def file(self, name: str) -> str:
        return str(self.directory / name)

    def data(self, name: str) -> str:
        return base64.b64encode((self.directory / name).read_bytes()).decode()

    def text(self, text: str) -> str:
        """A case's text with what only this run knows: @https@ is a port, @file:ca.crt@ a path, @data:ca.crt@ its base64."""
        for name in ("https", "http", "proxy", "tls_proxy"):
            text = text.replace(f"@{name}@", str(getattr(self, name)))
        for name in (
            "ca.crt",
            "ca.key",
            "admin.crt",
            "admin.key",
            "other.key",
            "foreign.crt",
            "broken.crt",
            "mixed.crt",
        ):
            text = text.replace(f"@file:{name}@", self.file(name)).replace(f"@data:{name}@", self.data(name))
            text = text.replace(f"@text:{name}@", (self.directory / name).read_text())
            text = text.replace(f"@json:{name}@", json.dumps((self.directory / name).read_text()))
        return text.replace("@bed@", str(self.directory))


@contextlib.contextmanager
def make(directory: Path) -> Iterator[Bed]:
    authority = Authority(directory)
    authority.issue("server", "server", addresses=NAMES)
    authority.issue("admin", "admin", "people")
    authority.issue("other", "other")
    Authority(directory / "foreign")
    shutil.copy(directory / "foreign" / "ca.crt", directory / "foreign.crt")
    (directory / "broken.crt").write_text(
        "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
    )
    (directory / "mixed.crt").write_text((directory / "ca.crt").read_text() + (directory / "foreign.crt").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    plain_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    plain_context.load_cert_chain(directory / "server.crt", directory / "server.key")
    context.load_verify_locations(directory / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    bed = Bed(directory, 0, 0, 0, 0)
    servers = [_serve(bed, "https", context), _serve(bed, "http", None)]
    bed.https, bed.http = (server.server_port for server in servers)
    listeners = [_proxy(bed, "proxy", None), _proxy(bed, "tls_proxy", plain_context)]
    bed.proxy, bed.tls_proxy = (listener.getsockname()[1] for listener in listeners)
    try:
        yield bed
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for listener in listeners:
            listener.close()


def _serve(bed: Bed, name: str, context: ssl.SSLContext | None) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            subject = dict(pair for (pair,) in certificate["subject"]) if certificate else {}
            headers = [(key.lower(), value) for key, value in self.headers.items()]
            authorization = self.headers.get("Authorization", "")
            rejected = authorization in bed.reject or subject.get("commonName") in bed.reject
            bed.seen.append(
                {
                    "server": name,
                    "path": self.path.partition("?")[0],
                    "authorization": authorization,
                    "certificate": subject.get("commonName", ""),
                    "impersonation": sorted(pair for pair in headers if pair[0].startswith("impersonate-")),
                }
            )
            body: dict[str, Any] = {
                "kind": "Namespace",
                "apiVersion": "v1",
                "metadata": {"name": "default", "uid": "1"},
            }
            if rejected:
                body = {
                    "kind": "Status",
                    "apiVersion": "v1",
                    "status": "Failure",
                    "code": 401,
                    "reason": "Unauthorized",
                    "message": "Unauthorized",
                }
            encoded = json.dumps(body).encode()
            self.send_response(401 if rejected else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            if context:
                try:
                    request = context.wrap_socket(request, server_side=True)
                except (OSError, ssl.SSLError):
                    return
            super().finish_request(request, client_address)

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


def _proxy(bed: Bed, name: str, context: ssl.SSLContext | None) -> socket.socket:
    """An HTTP proxy that leads every name to the servers of this bed, by their ports."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError), client:
            if context:
                client = context.wrap_socket(client, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                received = client.recv(65536)
                if not received:
                    return
                head += received
            method, target = head.split()[:2]
            lines = [line.lower() for line in head.split(b"\r\n")]
            credentials = next(
                (line.partition(b": ")[2] for line in lines if line.startswith(b"proxy-authorization")), b""
            )
            place = target.decode().removeprefix("http://").partition("/")[0]
            bed.proxied.append(f"{name} {place} {credentials.decode()}".strip())
            with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2]))) as server:
                if method == b"CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(head.replace(f"http://{place}".encode(), b"", 1))
                _pump(client, server)

    def accept() -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener


def _pump(one: socket.socket, two: socket.socket) -> None:
    ends = {one: two, two: one}
    while True:
        pending = [end for end in ends if isinstance(end, ssl.SSLSocket) and end.pending()]
        for ready in pending or select.select(list(ends), [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            ends[ready].sendall(data)


@dataclass(frozen=True)
class Case:
    """`files` by their names below the home directory; `kubeconfig` and `context` are options of both."""

    name: str
    files: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    kubeconfig: str = ""
    context: str = ""


@dataclass(frozen=True)
class Outcome:
    """Whether the object came, who asked whom for it, and through what. `told` is what was printed, or the sentence."""

    came: bool
    requests: list[dict[str, Any]]
    proxied: list[str]
    told: str

    def shown(self) -> tuple[Any, ...]:
        """What two outcomes are compared by. Who is refused may have been refused by the server or before."""
        return (True, self.requests[-1], sorted(set(self.proxied))) if self.came else (False,)


def _environment(case: Case, bed: Bed, home: Path) -> dict[str, str]:
    names = {*_PLAIN, *_LOWER_AND_UPPER, *(name.lower() for name in _LOWER_AND_UPPER)}
    kept = {name: value for name, value in os.environ.items() if name not in names and not name.startswith("K8S_AUTH_")}
    own = {name: bed.text(value).replace("@home@", str(home)) for name, value in case.environment.items()}
    return {**kept, "HOME": str(home), "FROM_TEST": "yes", **own}


def _write(case: Case, bed: Bed, home: Path) -> None:
    for name, text in case.files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
            continue
        path.write_bytes(bed.text(text).replace("@home@", str(home)).encode("utf-8", "surrogateescape"))
        if path.suffix == ".sh":
            path.chmod(0o755)


def by_kubectl(program: str, case: Case, bed: Bed, home: Path, *command: str) -> Outcome:
    """What becomes of a command, or of asking for the object."""
    options = [
        *(["--kubeconfig", case.kubeconfig] if case.kubeconfig else []),
        *(["--context", case.context] if case.context else []),
    ]
    bed.seen.clear()
    bed.proxied.clear()
    _write(case, bed, home)
    ended = subprocess.run(
        [program, *(command or ("get", "--raw", PATH)), "--request-timeout=10s", *options],
        cwd=home,
        env=_environment(case, bed, home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(ended.returncode == 0, list(bed.seen), list(bed.proxied), ended.stdout + ended.stderr)


@contextlib.contextmanager
def at_home(case: Case, bed: Bed, home: Path) -> Iterator[dict[str, Any]]:
    """This process has the case's files, directory and environment. The case's options."""
    bed.seen.clear()
    bed.proxied.clear()
    _write(case, bed, home)
    before, directory = dict(os.environ), os.getcwd()
    os.environ.clear()
    os.environ.update(_environment(case, bed, home))
    os.chdir(home)
    try:
        yield {"kubeconfig": case.kubeconfig or None, "context": case.context or None}
    finally:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(before)


def by_connection(case: Case, bed: Bed, home: Path) -> Outcome:
    """In this process, as a module does it. Anything but the collection's own error is a failure of the test."""
    with at_home(case, bed, home) as params:
        try:
            transport = open_transport(params)
            try:
                answer = transport.request("GET", PATH, {"Accept": "application/json"}, retries=False, timeout=10)
                came, told = answer.status == 200, ""
            except urllib3.exceptions.HTTPError as exc:
                came, told = False, transport.unreachable(exc)
        except CdiError as exc:
            came, told = False, str(exc)
    return Outcome(came, list(bed.seen), list(bed.proxied), told)
