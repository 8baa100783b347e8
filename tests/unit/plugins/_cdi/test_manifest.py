# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and checking a release manifest, and pulling its images from another registry."""

from __future__ import annotations

import copy
import hashlib
import socket
import ssl
from email.message import Message
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi import manifest as rules
from ansible_collections.kubevirt.cdi.plugins.module_utils._cdi.status import operator_environment
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.cluster.runtime.certificates import Authority
from tests.hostile import hostile_server, http

DIGEST = "@sha256:" + "0" * 64
CRD: dict[str, Any] = {
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "cdis.cdi.kubevirt.io"},
    "status": {"conditions": None},
}
OPERATOR: dict[str, Any] = {
    "kind": "Deployment",
    "metadata": {"name": "cdi-operator", "namespace": "cdi", "creationTimestamp": None},
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {
                        "image": "quay.io/kubevirt/cdi-operator:v1.65.0",
                        "env": [
                            {"name": "OPERATOR_VERSION", "value": "v1.65.0"},
                            {"name": "IMPORTER_IMAGE", "value": "quay.io/kubevirt/cdi-importer" + DIGEST},
                            {"name": "UPLOAD_SERVER_IMAGE", "value": "localhost:5000/cdi-uploadserver:v1.65.0"},
                            {"name": "MONITORING_NAMESPACE"},
                        ],
                    }
                ]
            }
        }
    },
}
NAMESPACE = {"kind": "Namespace", "metadata": {"name": "cdi"}}


def test_manifest_objects_are_in_order_of_creation_without_a_status() -> None:
    objects = rules.manifest_objects(copy.deepcopy([OPERATOR, None, CRD, NAMESPACE]), "m")
    assert [item["kind"] for item in objects] == ["Namespace", "CustomResourceDefinition", "Deployment"]
    assert "status" not in objects[1] and "creationTimestamp" not in objects[2]["metadata"]
    assert operator_environment(rules.operator_deployment(objects))["OPERATOR_VERSION"] == "v1.65.0"


@pytest.mark.parametrize(
    "documents",
    [
        [],
        ["text"],
        [{"kind": "Pod", "metadata": {}}],
        [{"kind": ["Deployment"]}],
        [{"kind": "Deployment"}],
        [{"kind": "Deployment", "metadata": "cdi-operator"}],
        [OPERATOR, NAMESPACE],
        [CRD, NAMESPACE],
        [CRD, {**OPERATOR, "spec": {}}],
        [CRD, {**OPERATOR, "spec": {"template": {"spec": {"containers": ["text"]}}}}],
    ],
)
def test_manifest_objects_refuses_other_documents(documents: list[Any]) -> None:
    with pytest.raises(CdiError, match=r"use the cdi-operator.yaml of a release"):
        rules.manifest_objects(copy.deepcopy(documents), "m")


def test_a_version_that_the_operator_removed_is_not_restored() -> None:
    versions = [{"name": "v1alpha1"}, {"name": "v1beta1"}]
    desired = {"kind": "CustomResourceDefinition", "spec": {"versions": versions}}
    stored = {"spec": {"versions": [{"name": "v1beta1"}]}}
    assert rules.without_removed_version(desired, None) == desired
    assert rules.without_removed_version(desired, stored)["spec"]["versions"] == [{"name": "v1beta1"}]
    assert rules.without_removed_version(NAMESPACE, NAMESPACE) == NAMESPACE


def test_pull_from_keeps_names_tags_and_digests() -> None:
    deployment = copy.deepcopy(OPERATOR)
    deployment["spec"]["template"]["spec"]["initContainers"] = [{"image": "quay.io/kubevirt/setup:1"}]
    rules.pull_from(deployment, "registry.example.com:5000/mirror", ["credentials"])
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.example.com:5000/mirror/cdi-operator:v1.65.0"
    assert pod["initContainers"][0]["image"] == "registry.example.com:5000/mirror/setup:1"
    assert pod["imagePullSecrets"] == [{"name": "credentials"}]
    assert operator_environment(deployment) == {
        "OPERATOR_VERSION": "v1.65.0",
        "IMPORTER_IMAGE": "registry.example.com:5000/mirror/cdi-importer" + DIGEST,
        "UPLOAD_SERVER_IMAGE": "registry.example.com:5000/mirror/cdi-uploadserver:v1.65.0",
        "MONITORING_NAMESPACE": "",
    }


def test_pull_from_changes_nothing_without_a_registry() -> None:
    deployment = copy.deepcopy(OPERATOR)
    rules.pull_from(deployment, None, None)
    assert deployment == OPERATOR


@pytest.mark.parametrize("registry", ["r.example.com", "10.0.0.1:5000", "r.example.com/a/b-c", "r:5000/x_y"])
def test_check_registry_accepts_a_host_with_port_and_path(registry: str) -> None:
    rules.check_registry(registry)


@pytest.mark.parametrize("registry", ["https://r.example.com", "r.example.com/", "/mirror", "a b", "r:port"])
def test_check_registry_refuses_anything_else(registry: str) -> None:
    with pytest.raises(CdiError, match="image_registry is"):
        rules.check_registry(registry)


@pytest.mark.parametrize("version", ["v1.65.0", "1.65.0", "v1.66.0-rc.1"])
def test_release_url_accepts_a_version_with_and_without_v(version: str) -> None:
    assert f"/download/v{version.removeprefix('v')}/cdi-operator.yaml" in rules.release_url(version)


@pytest.mark.parametrize("version", ["latest", "v1.65", "", "../v1.65.0"])
def test_release_url_refuses_anything_else(version: str) -> None:
    with pytest.raises(CdiError, match="set it to a release"):
        rules.release_url(version)


@pytest.mark.parametrize("checksum", ["0" * 64, "sha256:abc", "md5:" + "0" * 64, "sha256:" + "g" * 64, ""])
def test_check_checksum_requires_a_sha256(checksum: str) -> None:
    with pytest.raises(CdiError, match="64 hexadecimal digits"):
        rules.check_checksum(checksum)


def _written(path: Path) -> tuple[str, str]:
    text = yaml.safe_dump_all([OPERATOR, CRD]).encode()
    path.write_bytes(text)
    return str(path), hashlib.sha256(text).hexdigest()


def test_read_manifest_checks_the_checksum(tmp_path: Path) -> None:
    source, digest = _written(tmp_path / "cdi-operator.yaml")
    rules.check_checksum(f"sha256:{digest.upper()}")
    assert len(rules.read_manifest(source, f"sha256:{digest.upper()}")) == 2
    with pytest.raises(CdiError, match=f"does not match checksum: expected .*, got sha256:{digest}"):
        rules.read_manifest(source, "sha256:" + "0" * 64)


def test_a_manifest_is_read_from_a_url(tmp_path: Path) -> None:
    source, _digest = _written(tmp_path / "cdi-operator.yaml")
    assert len(rules.read_manifest(f"file://{source}", None)) == 2


def test_read_manifest_names_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CdiError, match="does not exist"):
        rules.read_manifest(str(tmp_path / "nothing"), None)
    with pytest.raises(CdiError, match=r"cannot be downloaded \(Connection refused"):
        rules.read_manifest("http://127.0.0.1:9/cdi-operator.yaml", None)
    (tmp_path / "broken").write_text("a: [")
    with pytest.raises(CdiError, match="is not YAML"):
        rules.read_manifest(str(tmp_path / "broken"), None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            URLError(socket.gaierror(-2, "Name or service not known")),
            "(the name does not resolve); offline, download it elsewhere and set manifest to its path",
        ),
        (URLError(ConnectionRefusedError(111, "Connection refused")), "(Connection refused); offline"),
        (URLError(TimeoutError("timed out")), "(no answer within 60 s); offline"),
        (TimeoutError("The read operation timed out"), "(no answer within 60 s); offline"),
        (URLError("unknown url type: ftpx"), "(unknown url type: ftpx); correct manifest."),
        (ValueError("Invalid IPv6 URL"), "(Invalid IPv6 URL); correct manifest."),
        (
            HTTPError("https://host/x", 404, "Not Found", Message(), None),
            "(the server answers HTTP 404 Not Found); correct version or manifest.",
        ),
        (
            HTTPError("https://host/x", 403, "Forbidden", Message(), None),
            "(the server answers HTTP 403 Forbidden); set manifest to a URL that requires no login",
        ),
        (HTTPError("https://host/x", 502, "", Message(), None), "(the server answers HTTP 502); offline"),
        (IncompleteRead(b"half"), "(IncompleteRead(4 bytes read)); offline"),
    ],
)
def test_failed_download_has_a_cause_and_a_remedy(error: Exception, expected: str) -> None:
    why, remedy = rules.why_not_downloaded(error)
    assert f"({why}); {remedy}.".startswith(expected)


OFFLINE = "offline, download it elsewhere and set manifest to its path; behind a proxy, set HTTPS_PROXY."


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "the server answers HTTP 404 Not Found); correct version or manifest."),
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "the server answers HTTP 403 Forbidden); set manifest to a URL that requires no login, or to a path.",
        ),
        (
            b"HTTP/1.1 404 " + b"x" * 999 + b"\r\n\r\n",
            f"the server answers HTTP 404 {'x' * 100} ... {'x' * 100}); correct version or manifest.",
        ),
        (b"HTTP/1.1 502\r\n\r\n", f"the server answers HTTP 502); {OFFLINE}"),
        (http(200, b"half", length=9), f"IncompleteRead(4 bytes read, 5 more expected)); {OFFLINE}"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", f"SSH-2.0-OpenSSH_9.6); {OFFLINE}"),
    ],
)
@pytest.mark.usefixtures("plain_environment")
def test_read_manifest_gives_cause_and_remedy_when_a_server_refuses(answer: bytes, expected: str) -> None:
    with hostile_server() as server:
        server.answer = lambda _number, _head: [answer]
        with pytest.raises(CdiError) as raised:
            rules.read_manifest(f"{server.url.replace('://', '://ann:s3cret@')}/cdi-operator.yaml?sig=s3cret", None)
    place = server.url.replace("://", "://***@")
    assert str(raised.value) == f"manifest {place}/cdi-operator.yaml?*** cannot be downloaded ({expected}"
    assert server.heads[0].startswith(b"GET /cdi-operator.yaml?sig=s3cret ")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://cluster.invalid/x", f"the name does not resolve); {OFFLINE}"),
        ("https://127.0.0.1:9/x", f"Connection refused); {OFFLINE}"),
        ("ftpx://host/x", "unknown url type: ftpx); correct manifest."),
        ("https://[::1/x", "Invalid IPv6 URL); correct manifest."),
    ],
)
@pytest.mark.usefixtures("plain_environment")
def test_read_manifest_gives_cause_and_remedy_when_no_server_answers(source: str, expected: str) -> None:
    with pytest.raises(CdiError) as raised:
        rules.read_manifest(source, None)
    assert str(raised.value) == f"manifest {source} cannot be downloaded ({expected}"


@pytest.mark.usefixtures("plain_environment")
def test_manifest_of_an_untrusted_server_is_refused(tmp_path: Path) -> None:
    Authority(tmp_path).issue("server", "server", addresses=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with (
        hostile_server(context=context) as server,
        pytest.raises(CdiError, match=r"the certificate of the server is not trusted: .*; make this host trust its CA"),
    ):
        rules.read_manifest(f"{server.url}/cdi-operator.yaml", None)
    assert server.heads == []


@pytest.mark.usefixtures("plain_environment")
def test_manifest_is_downloaded_and_checked(tmp_path: Path) -> None:
    path, digest = _written(tmp_path / "cdi-operator.yaml")
    with hostile_server() as server:
        server.answer = lambda _number, _head: [http(200, Path(path).read_bytes())]
        assert len(rules.read_manifest(f"{server.url}/cdi-operator.yaml", f"sha256:{digest}")) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "does not exist on the host that runs the task"),
        (b"<html><body>Not found: {</body>", "is not YAML|has an object of kind"),
        (b"\xff\xfe\x00\xd8", "is not YAML"),
        (b"date: 2026-99-99", "is not YAML"),
    ],
)
def test_read_manifest_names_a_file_that_is_not_a_manifest(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "cdi-operator.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CdiError, match=f"^manifest {path} ({expected})"):
        rules.read_manifest(str(path), None)
