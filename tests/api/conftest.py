# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy that counts and breaks, in front of a real API server, and a runner of real modules."""

from __future__ import annotations

import http.client
import os
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection, connect
from tests.modules import Ran, run_module

ADMIN = "test-admin-token"
LIMITED = "test-limited-token"


@dataclass
class Wire:
    """What went over the wire: (method, path with query) of each request; `faults` are answered first, in their order."""

    url: str
    requests: list[tuple[str, str]] = field(default_factory=list)
    faults: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)

    def writes(self) -> list[tuple[str, str]]:
        return [request for request in self.requests if request[0] != "GET" and "dryRun=All" not in request[1]]


@pytest.fixture
def wire() -> Iterator[Wire]:
    """The API server of profile `api` behind a plain HTTP proxy; an answer with status 0 cuts the connection."""
    context = ssl.create_default_context(cafile=os.environ["KUBEVIRT_CDI_TEST_CA"])
    host, port = os.environ["KUBEVIRT_CDI_TEST_SERVER"].removeprefix("https://").split(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536
        disable_nagle_algorithm = True

        def _forward(self) -> None:
            record.requests.append((self.command, self.path))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if record.faults:
                self._answer(*record.faults.pop(0))
                return
            upstream = http.client.HTTPSConnection(host, int(port), context=context, timeout=30)
            headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "connection")}
            upstream.request(self.command, self.path, body=body or None, headers=headers)
            answer = upstream.getresponse()
            self._answer(answer.status, {"Content-Type": answer.headers.get("Content-Type", "")}, answer.read())
            upstream.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            if status == 0:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

        def log_message(self, *_arguments: Any) -> None:
            """The test prints what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    record = Wire(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield record
    server.shutdown()
    server.server_close()


@pytest.fixture
def connection(wire: Wire) -> Connection:
    return connect({"host": wire.url, "api_key": ADMIN})


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import NAMESPACE

    direct.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run=False)
    yield name
    direct.delete(NAMESPACE, name, dry_run=False)


@pytest.fixture
def module(wire: Wire) -> Callable[..., Ran]:
    """Runs a module of the collection as Ansible does, through the wire."""

    def run(name: str, /, *, check: bool = False, token: str = ADMIN, **options: Any) -> Ran:
        arguments = {"host": wire.url, "api_key": token, **options}
        return run_module(name, arguments, check=check)

    return run
