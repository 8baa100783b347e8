# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port-forward of the module to the upload proxy: its two protocols, and a proxy that does not answer."""

from __future__ import annotations

import http.client
import ssl
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import FileIdentity
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CONFIG_MAP, POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.websockets import open_websocket
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.source import SourceFile
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.transfer import find_route, send
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.tunnel import CHANNELS, SPDY, TlsStream, Tunnel

from tests.cluster.versions import HELPER_IMAGE
from tests.real.objects import create, existing, until
from tests.real.uploads import Images

_LABELS = {"cdi.kubevirt.io": "cdi-uploadproxy"}
_CA = "cdi-uploadproxy-signer-bundle"


@pytest.mark.parametrize("protocol", [SPDY, CHANNELS])
def test_proxy_is_reachable_by_both_protocols(connection: Connection, protocol: str) -> None:
    pods, _version = connection.list(POD, "cdi", label_selector="cdi.kubevirt.io=cdi-uploadproxy")
    websocket = open_websocket(
        connection.transport, POD, "cdi", pods[0]["metadata"]["name"], "portforward", "ports=8443", [protocol]
    )
    assert websocket.subprotocol == protocol.lower()
    context = ssl.create_default_context(cadata=existing(connection, CONFIG_MAP, _CA, "cdi")["data"]["ca-bundle.crt"])
    client = http.client.HTTPConnection("cdi-uploadproxy.cdi.svc")
    client.sock = TlsStream(Tunnel(websocket, 8443, 30), context, "cdi-uploadproxy.cdi.svc")
    client.request("GET", "/healthz")
    assert client.getresponse().read() == b"OK"
    client.close()


def test_refusal_ends_the_transfer(connection: Connection, images: Images) -> None:
    """It ends long before the last byte, which matters for a large disk."""
    route = find_route(connection, None, None, None, pytest.fail)
    sent: list[int] = []
    path = str(images.large)
    file = SourceFile(path, FileIdentity.of(path), "", images.large.stat().st_size)
    answer = send(route, "nobodys", file, 60, lambda bytes_sent, *_rest: sent.append(bytes_sent))
    assert answer.status == 401
    assert max(sent) < images.large.stat().st_size / 2


def test_silent_proxy_is_reported(connection: Connection, images: Images, namespace: str, module: Any) -> None:
    create(connection, CONFIG_MAP, _CA, namespace, data=existing(connection, CONFIG_MAP, _CA, "cdi")["data"])
    container = {"name": "sleeps", "image": HELPER_IMAGE, "command": ["sleep", "600"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    create(connection, POD, "deaf", namespace, metadata={"labels": _LABELS}, spec=spec)
    until(
        lambda: existing(connection, POD, "deaf", namespace)["status"]["phase"] == "Running", 60, "the pod does not run"
    )
    options = {"path": images.disks["raw"], "cdi_namespace": namespace, "retries": 0}
    result = module("volume_upload", name="disk", namespace=namespace, **options).result
    assert result["failed"]
    assert f"The upload proxy in Pod {namespace}/deaf does not answer (" in result["msg"]
    assert "connection refused" in result["msg"]
    assert "correct path" not in result["msg"]
