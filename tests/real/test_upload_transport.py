# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads reach the upload proxy of CDI by a URL or a port-forward, and never send data to another server."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CONFIG_MAP,
    DATA_VOLUME,
    ROLE,
    ROLE_BINDING,
)

from tests.cluster.runtime.control_plane import ADMIN_TOKEN
from tests.modules import run_module
from tests.real.objects import create, existing
from tests.real.uploads import THIN, ForeignProxy, Images
from tests.wire import Wire, counting_proxy

CA_NAME = "cdi-uploadproxy-signer-bundle"


@contextmanager
def _with_websockets(wire: Wire) -> Iterator[str]:
    """The URL of a server that passes websockets on to the API server, and all other connections to `wire`."""
    context = ssl.create_default_context(cafile=os.environ["KUBEVIRT_CDI_TEST_CA"])
    api, plain = (urlsplit(url) for url in (os.environ["KUBEVIRT_CDI_TEST_SERVER"], wire.url))

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    class Passing(BaseRequestHandler):
        def handle(self) -> None:
            head = b""
            while b"\r\n\r\n" not in head:
                head = self.request.recv(65536, socket.MSG_PEEK)
            upgrades = b"upgrade: websocket" in head.lower()
            target = api if upgrades else plain
            with socket.create_connection((target.hostname or "", target.port or 0)) as upstream:
                if upgrades:
                    upstream = context.wrap_socket(upstream, server_hostname=target.hostname)
                threading.Thread(target=copy, args=(upstream, self.request), daemon=True).start()
                copy(self.request, upstream)

    with ThreadingTCPServer(("127.0.0.1", 0), Passing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_server_with_an_untrusted_certificate_receives_nothing(
    images: Images, namespace: str, module: Any, tmp_path: Path
) -> None:
    with ForeignProxy(tmp_path) as foreign:
        result = module(
            "volume_upload",
            name="disk",
            namespace=namespace,
            path=images.disks["raw"],
            upload_proxy_url=foreign.url,
        ).result
    assert result["failed"] and "is not trusted" in result["msg"] and "upload_proxy_ca" in result["msg"]
    assert foreign.received == [] and result["bytes_sent"] == 0


def test_url_with_another_ca_is_refused(
    images: Images, namespace: str, module: Any, connection: Connection, proxy_url: str, tmp_path: Path
) -> None:
    """Neither the given CA nor that of the cluster signed the certificate of the proxy."""
    with ForeignProxy(tmp_path) as foreign:
        create(connection, CONFIG_MAP, CA_NAME, namespace, data={"ca-bundle.crt": foreign.ca})
        result = module(
            "volume_upload",
            name="disk",
            namespace=namespace,
            path=images.disks["raw"],
            cdi_namespace=namespace,
            upload_proxy_url=proxy_url,
            upload_proxy_ca=foreign.ca,
        ).result
    assert result["failed"] and "is not trusted" in result["msg"] and result["bytes_sent"] == 0


def test_port_forward_with_another_ca_is_refused(
    images: Images, namespace: str, connection: Connection, tmp_path: Path
) -> None:
    """The proxy is that of CDI, but the cluster has the CA of another server."""
    bundle = existing(connection, CONFIG_MAP, CA_NAME, "cdi")
    target = {"name": "disk", "namespace": namespace, "path": images.disks["raw"], "storage": THIN}
    with (
        ForeignProxy(tmp_path) as foreign,
        counting_proxy(os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]) as wire,
        _with_websockets(wire) as url,
    ):
        options = {**target, "host": url, "api_key": ADMIN_TOKEN}
        replaced = {**bundle, "data": {"ca-bundle.crt": foreign.ca}}
        wire.answers[f"/api/v1/namespaces/cdi/configmaps/{CA_NAME}"] = json.dumps(replaced).encode()
        refused = run_module("volume_upload", options).result
        assert refused["failed"] and not refused["changed"] and refused["bytes_sent"] == 0, refused
        assert "The certificate of the upload proxy at Pod cdi/cdi-uploadproxy-" in refused["msg"]
        assert "is not trusted" in refused["msg"] and "upload_proxy_ca" not in refused["msg"]
        assert connection.get(DATA_VOLUME, "disk", namespace) is None
        # Only the CA is the obstacle.
        wire.answers.clear()
        sent = run_module("volume_upload", options).result
        assert (sent["phase"], sent["transport"]) == ("Succeeded", "port-forward"), sent


def test_volume_is_not_deleted_if_the_proxy_is_unreachable(
    images: Images, namespace: str, ok: Any, module: Any, connection: Connection
) -> None:
    """The account has all rights except to forward ports."""
    disk = {"name": "disk", "namespace": namespace, "overwrite": "different"}
    ok("volume_upload", **disk, path=images.disks["qcow2"], storage=THIN)
    rules = [
        {"apiGroups": ["cdi.kubevirt.io", "upload.cdi.kubevirt.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims", "configmaps", "pods"], "verbs": ["*"]},
    ]
    for where in (namespace, "cdi"):
        create(connection, ROLE, namespace, where, rules=rules)
        reference = {"apiGroup": ROLE.group, "kind": "Role", "name": namespace}
        subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]
        create(connection, ROLE_BINDING, namespace, where, roleRef=reference, subjects=subjects)
    before = existing(connection, DATA_VOLUME, "disk", namespace)
    limited = {"impersonate_user": f"system:serviceaccount:{namespace}:default"}
    try:
        refused = module("volume_upload", **disk, **limited, path=images.iso).result
    finally:
        for resource in (ROLE, ROLE_BINDING):
            connection.delete(resource, namespace, "cdi", dry_run=False)
    assert refused["failed"] and 'grant "get" and "create" on pods/portforward' in refused["msg"], refused["msg"]
    assert existing(connection, DATA_VOLUME, "disk", namespace)["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.fixture
def published(ok: Any) -> Iterator[Callable[[str], None]]:
    """Publishes a URL of the proxy until the test ends."""
    yield lambda url: ok("cdi_config", upload_proxy_url_override=url)
    ok("cdi_config", upload_proxy_url_override="")


@pytest.mark.alone("changes uploadProxyURLOverride")
def test_published_or_given_url_is_used_and_verified(
    images: Images, namespace: str, ok: Any, proxy_url: str, published: Callable[[str], None]
) -> None:
    """The certificate of CDI contains only the name of the service, not the address in the URL."""
    options = {"namespace": namespace, "path": images.disks["qcow2"], "storage": THIN}
    given = ok("volume_upload", name="given", upload_proxy_url=proxy_url, **options)
    assert given["transport"] == "url" and given["phase"] == "Succeeded"
    published(proxy_url)
    assert ok("volume_upload", name="published", **options)["transport"] == "published-url"
    published("https://127.0.0.1:1")
    fallen_back = ok("volume_upload", name="unreachable", **options)
    assert fallen_back["transport"] == "port-forward"
    assert "No upload proxy answers at https://127.0.0.1:1" in json.dumps(fallen_back["warnings"])
