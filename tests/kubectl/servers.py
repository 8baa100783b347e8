# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers and proxies on loopback that record requests; kubectl and a connection, each of which reads one object."""

from __future__ import annotations

import base64
import contextlib
import json
import os
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
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.failures import unreachable
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.transport import open_transport

from tests.cluster.build.golang import programs
from tests.cluster.build.scheduler import run
from tests.cluster.runtime.certificates import Authority
from tests.sockets import accept_each, read_head, relay

PATH = "/api/v1/namespaces/default"
SECRET = "planted-secret-0123456789"
# No loopback address for readers of NO_PROXY, but it reaches this host.
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
    """The path of a kubectl of the test cluster's release, which is built once."""
    recipe = programs("kubectl", "kubectl", ".")
    return str(run({recipe.name: recipe}, [recipe.name])["kubectl"] / "kubectl")


@dataclass
class Servers:
    """Ports of the servers and proxies, files with keys and certificates, and the recorded requests.

    `reject` has credentials and names of certificates that get 401.
    """

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
        """Replace placeholders: @https@ is a port, @file:ca.crt@ a path, @data:ca.crt@ the file in base64."""
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
        return text.replace("@servers@", str(self.directory))


def _names(subject: Any) -> dict[str, str]:
    """A subject as ssl.SSLSocket.getpeercert returns it: a tuple of sets of pairs."""
    return dict(pair for (pair,) in subject)


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Servers]:
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
    servers = Servers(directory, 0, 0, 0, 0)
    listening = [_serve(servers, "https", context), _serve(servers, "http", None)]
    servers.https, servers.http = (server.server_port for server in listening)
    listeners = [_proxy(servers, "proxy", None), _proxy(servers, "tls_proxy", plain_context)]
    servers.proxy, servers.tls_proxy = (listener.getsockname()[1] for listener in listeners)
    try:
        yield servers
    finally:
        for server in listening:
            server.shutdown()
            server.server_close()
        for listener in listeners:
            listener.close()


def _serve(servers: Servers, name: str, context: ssl.SSLContext | None) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            subject = _names(certificate["subject"]) if certificate else {}
            headers = [(key.lower(), value) for key, value in self.headers.items()]
            authorization = self.headers.get("Authorization", "")
            rejected = authorization in servers.reject or subject.get("commonName") in servers.reject
            servers.seen.append(
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


def _proxy(servers: Servers, name: str, context: ssl.SSLContext | None) -> socket.socket:
    """An HTTP proxy that connects each name to a server on loopback, by its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError), client:
            if context:
                client = context.wrap_socket(client, server_side=True)
            head = read_head(client)
            if not head:
                return
            method, target = head.split()[:2]
            lines = [line.lower() for line in head.split(b"\r\n")]
            credentials = next(
                (line.partition(b": ")[2] for line in lines if line.startswith(b"proxy-authorization")), b""
            )
            place = target.decode().removeprefix("http://").partition("/")[0]
            servers.proxied.append(f"{name} {place} {credentials.decode()}".strip())
            with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2]))) as server:
                if method == b"CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(head.replace(f"http://{place}".encode(), b"", 1))
                relay(client, server)

    accept_each(listener, serve)
    return listener


@dataclass(frozen=True)
class Case:
    """`files` by their paths in the home directory; options `kubeconfig` and `context` of kubectl and the module."""

    name: str
    files: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    kubeconfig: str = ""
    context: str = ""


@dataclass(frozen=True)
class Outcome:
    """Whether the object was read, the requests to servers and proxies, and the output or error."""

    succeeded: bool
    requests: list[dict[str, Any]]
    proxied: list[str]
    message: str

    def comparable(self) -> tuple[Any, ...]:
        """The last request and the proxies of a success. A failure may happen at the server or before."""
        return (True, self.requests[-1], sorted(set(self.proxied))) if self.succeeded else (False,)


def _environment(case: Case, servers: Servers, home: Path) -> dict[str, str]:
    names = {*_PLAIN, *_LOWER_AND_UPPER, *(name.lower() for name in _LOWER_AND_UPPER)}
    kept = {name: value for name, value in os.environ.items() if name not in names and not name.startswith("K8S_AUTH_")}
    own = {name: servers.text(value).replace("@home@", str(home)) for name, value in case.environment.items()}
    return {**kept, "HOME": str(home), "FROM_TEST": "yes", **own}


def _write(case: Case, servers: Servers, home: Path) -> None:
    for name, text in case.files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
            continue
        path.write_bytes(servers.text(text).replace("@home@", str(home)).encode("utf-8", "surrogateescape"))
        if path.suffix == ".sh":
            path.chmod(0o755)


def by_kubectl(program: str, case: Case, servers: Servers, home: Path, *command: str) -> Outcome:
    """The outcome of this command, or of reading the object."""
    options = [
        *(["--kubeconfig", case.kubeconfig] if case.kubeconfig else []),
        *(["--context", case.context] if case.context else []),
    ]
    servers.seen.clear()
    servers.proxied.clear()
    _write(case, servers, home)
    ended = subprocess.run(
        [program, *(command or ("get", "--raw", PATH)), "--request-timeout=10s", *options],
        cwd=home,
        env=_environment(case, servers, home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(ended.returncode == 0, list(servers.seen), list(servers.proxied), ended.stdout + ended.stderr)


@contextlib.contextmanager
def in_home(case: Case, servers: Servers, home: Path) -> Iterator[dict[str, Any]]:
    """Give this process the files, working directory and environment of the case; yield its options."""
    servers.seen.clear()
    servers.proxied.clear()
    _write(case, servers, home)
    before, directory = dict(os.environ), os.getcwd()
    os.environ.clear()
    os.environ.update(_environment(case, servers, home))
    os.chdir(home)
    try:
        yield {"kubeconfig": case.kubeconfig or None, "context": case.context or None}
    finally:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(before)


def by_connection(case: Case, servers: Servers, home: Path) -> Outcome:
    """The outcome of a module, in this process. Any other exception than the collection's fails the test."""
    with in_home(case, servers, home) as params:
        try:
            transport = open_transport(params)
            try:
                answer = transport.request("GET", PATH, {"Accept": "application/json"}, retries=False, timeout=10)
                succeeded, message = answer.status == 200, ""
            except urllib3.exceptions.HTTPError as exc:
                succeeded, message = False, unreachable(transport.access, exc)
        except CdiError as exc:
            succeeded, message = False, str(exc)
    return Outcome(succeeded, list(servers.seen), list(servers.proxied), message)
