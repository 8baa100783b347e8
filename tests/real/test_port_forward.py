# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's own port-forward to the upload proxy: its two protocols, and what it says when nobody listens."""

from __future__ import annotations

import http.client
import ssl
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import FileIdentity
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CONFIG_MAP, POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.transfer import SourceFile, find_route, send
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.tunnel import CHANNELS, SPDY, TlsStream, Tunnel

from tests.cluster.versions import HELPER_IMAGE
from tests.real.clone_setup import until
from tests.real.uploads import Images

_LABELS = {"cdi.kubevirt.io": "cdi-uploadproxy"}
_CA = "cdi-uploadproxy-signer-bundle"


@pytest.mark.parametrize("protocol", [SPDY, CHANNELS])
def test_the_proxy_is_reached_by_the_protocol_of_any_api_server(connection: Connection, protocol: str) -> None:
    pods, _version = connection.list(POD, "cdi", label_selector="cdi.kubevirt.io=cdi-uploadproxy")
    websocket = connection.websocket(POD, "cdi", pods[0]["metadata"]["name"], "portforward", "ports=8443", [protocol])
    assert websocket.subprotocol == protocol.lower()
    context = ssl.create_default_context(cadata=connection.get(CONFIG_MAP, _CA, "cdi")["data"]["ca-bundle.crt"])
    client = http.client.HTTPConnection("cdi-uploadproxy.cdi.svc")
    client.sock = TlsStream(Tunnel(websocket, 8443, 30), context, "cdi-uploadproxy.cdi.svc")
    client.request("GET", "/healthz")
    assert client.getresponse().read() == b"OK"
    client.close()


def test_a_refusal_ends_the_sending(connection: Connection, images: Images) -> None:
    """Long before the end: of a disk of 2 TiB nobody wants to send the rest for nothing."""
    route = find_route(connection, None, None, None, pytest.fail)
    sent = []
    path = str(images.large)
    answer = send(
        route, "nobodys", SourceFile(path, FileIdentity.of(path), "", images.large.stat().st_size), 60, sent.append
    )
    assert answer.status == 401
    assert max(sent) < images.large.stat().st_size / 2


def test_a_proxy_that_does_not_answer_is_named(
    connection: Connection, images: Images, namespace: str, module: Any
) -> None:
    bundle = {"metadata": {"name": _CA}, "data": connection.get(CONFIG_MAP, _CA, "cdi")["data"]}
    connection.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **bundle}, namespace, dry_run=False)
    container = {"name": "sleeps", "image": HELPER_IMAGE, "command": ["sleep", "600"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "deaf", "labels": _LABELS}, "spec": spec}
    connection.create(POD, pod, namespace, dry_run=False)
    until(lambda: connection.get(POD, "deaf", namespace)["status"]["phase"] == "Running", 60, "the pod does not run")
    options = {"path": images.disks["raw"], "cdi_namespace": namespace, "retries": 0}
    result = module("volume_upload", name="disk", namespace=namespace, **options).result
    assert result["failed"]
    assert f"The upload proxy in Pod {namespace}/deaf does not answer (" in result["msg"]
    assert "connection refused" in result["msg"]
    assert "correct path" not in result["msg"]
