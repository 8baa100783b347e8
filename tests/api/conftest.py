# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server behind a proxy that counts requests and injects faults, and a runner of real modules."""

from __future__ import annotations

import contextlib
import os
import socket
import statistics
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import volume_upload
from kubernetes import client

from tests.api.objects import ADMIN, HttpProxy, SetStatus, body, custom_resource, patch_status
from tests.api.upload_service import MIB, Upload, UploadService, running
from tests.api.virt_controller import Machines
from tests.api.virt_controller import kubevirt as kubevirt_object
from tests.cluster.runtime.profile import first_number
from tests.light_cluster import light_cluster
from tests.modules import Ran, RunModule, no_sleep, official_client, run_module, run_task
from tests.sockets import accept_each, read_head, relay
from tests.wire import Wire, counting_proxy

# Of a worker's cluster, and of those that its tests start.
_NUMBERS = 6
_CLUSTERS = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start a cluster for each worker of pytest-xdist except the first: tests change cluster-wide settings."""
    index = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    if index:
        number = first_number() + index * _NUMBERS
        folder = _CLUSTERS.enter_context(tempfile.TemporaryDirectory())
        os.environ.update(_CLUSTERS.enter_context(light_cluster(number, Path(folder))))
        os.environ["KUBEVIRT_CDI_TEST_NUMBER"] = str(number)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how fast mistakes of users were refused."""
    seconds = [
        report.duration
        for report in terminalreporter.stats.get("passed", [])
        if report.when == "call" and "::test_mistake_is_refused_before_a_write[" in report.nodeid
    ]
    if seconds:
        terminalreporter.write_line(
            f"{len(seconds)} mistakes ended in {statistics.median(seconds):.1f} s, the slowest in {max(seconds):.1f} s"
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    _CLUSTERS.close()


@pytest.fixture
def wire() -> Iterator[Wire]:
    """The API server, with every request counted. A watch's answer passes, but may be delayed."""
    with counting_proxy(os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]) as record:
        yield record


@pytest.fixture
def connection(wire: Wire) -> Connection:
    """The administrator's connection through the counting proxy."""
    return connect({"host": wire.url, "api_key": ADMIN})


@pytest.fixture
def direct() -> Connection:
    """The administrator's connection to the API server itself, whose requests are not counted."""
    return connect({"kubeconfig": os.environ["KUBECONFIG"]})


@pytest.fixture
def namespace(direct: Connection) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    direct.create(resources.NAMESPACE, body(resources.NAMESPACE, name), dry_run=False)
    yield name
    direct.delete(resources.NAMESPACE, name, dry_run=False)


@pytest.fixture
def module(wire: Wire) -> RunModule:
    """Runs a module of the collection through the counting proxy, as the administrator by default."""

    def run(name: str, /, *, check: bool = False, token: str = ADMIN, **options: Any) -> Ran:
        return run_module(name, {"host": wire.url, "api_key": token, **options}, check=check)

    return run


@pytest.fixture(scope="session")
def api_client() -> client.ApiClient:
    """The client of the Python package kubernetes, which writes as any field manager."""
    return official_client()


@pytest.fixture
def set_status(direct: Connection) -> SetStatus:
    def write(namespace: str, name: str, phase: str = "Succeeded", **status: Any) -> None:
        patch_status(direct, resources.DATA_VOLUME, name, namespace, {"phase": phase, **status})

    return write


@pytest.fixture
def no_cdi(direct: Connection) -> Iterator[Connection]:
    """No CDI, no operator and no volumes, before and after the test. CRDs and CDI's namespace stay.

    No controller empties a deleted namespace here, and CDI is not removed while volumes exist. A claim may be
    that of a collected DataVolume.
    """
    for kind in (resources.DATA_VOLUME, resources.PERSISTENT_VOLUME_CLAIM):
        for item in direct.list(kind)[0]:
            direct.delete(kind, item["metadata"]["name"], item["metadata"]["namespace"], dry_run=False)
    _remove_cdi(direct)
    yield direct
    _remove_cdi(direct)


def _remove_cdi(direct: Connection) -> None:
    for resource, name, namespace in (
        (resources.CDI, "cdi", None),
        (resources.CDI_CONFIG, "config", None),
        (resources.DEPLOYMENT, "cdi-operator", "cdi"),
        (resources.ROLE_BINDING, "cdi-operator", "cdi"),
        (resources.ROLE, "cdi-operator", "cdi"),
        (resources.SERVICE_ACCOUNT, "cdi-operator", "cdi"),
        (resources.CLUSTER_ROLE_BINDING, "cdi-operator", None),
        (resources.CLUSTER_ROLE, "cdi-operator-cluster", None),
    ):
        direct.delete(resource, name, namespace, dry_run=False)


@pytest.fixture
def hyperconverged(no_cdi: Connection) -> Iterator[None]:
    """A HyperConverged object, without its operator."""
    with custom_resource(no_cdi, resources.HYPER_CONVERGED):
        owner = body(resources.HYPER_CONVERGED, "the-owner")
        no_cdi.create(resources.HYPER_CONVERGED, owner, "default", dry_run=False)
        yield


@pytest.fixture
def kubevirt(direct: Connection) -> Iterator[None]:
    """The kind VirtualMachine, without KubeVirt."""
    with custom_resource(direct, resources.VIRTUAL_MACHINE):
        yield


@pytest.fixture(scope="module")
def kinds() -> Iterator[Connection]:
    """KubeVirt's kinds, without KubeVirt."""
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    with contextlib.ExitStack() as stack:
        for kind in (
            resources.VIRTUAL_MACHINE,
            resources.VIRTUAL_MACHINE_INSTANCE,
            resources.INSTANCE_MIGRATION,
            resources.KUBEVIRT,
        ):
            stack.enter_context(custom_resource(direct, kind))
        yield direct


@pytest.fixture
def machines(kinds: Connection, namespace: str) -> Iterator[Machines]:
    """Machines of the namespace, and a KubeVirt object without feature gates."""
    kinds.create(resources.KUBEVIRT, kubevirt_object(), namespace, dry_run=False)
    yield Machines(kinds, namespace)
    kinds.delete(resources.KUBEVIRT, "kubevirt", namespace, dry_run=False)


@pytest.fixture
def proxy() -> Iterator[HttpProxy]:
    """A proxy that requires the credentials ann:pw."""
    listener = socket.create_server(("127.0.0.1", 0))
    found = HttpProxy(f"127.0.0.1:{listener.getsockname()[1]}", [])

    def serve(client: socket.socket) -> None:
        with client:
            head = read_head(client)
            if not head:
                return
            found.heads.append(head)
            if b"proxy-authorization: basic yw5uonb3" not in head.lower():
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            host, port = head.split()[1].decode().split(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                relay(client, server)

    accept_each(listener, serve)
    yield found
    listener.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A raw disk of 2 MiB."""
    path = tmp_path / "disk.raw"
    path.write_bytes(os.urandom(2 * MIB))
    return path


@pytest.fixture
def service(direct: Connection, wire: Wire, namespace: str, tmp_path: Path) -> Iterator[UploadService]:
    with running(UploadService(direct, namespace, tmp_path), wire) as started:
        yield started


@pytest.fixture
def upload(wire: Wire, namespace: str, service: UploadService) -> Upload:
    """Runs volume_upload in this process, through the counting proxy."""
    defaults = {
        "namespace": namespace,
        "upload_proxy_url": service.proxy_url,
        "wait_timeout": 6,
        "retries": 1,
        "parallel": 1,
    }

    def run(*, check: bool = False, **options: Any) -> dict[str, Any]:
        connection = connect({"host": wire.url, "api_key": ADMIN}, sleep=no_sleep)
        return run_task(volume_upload, {**defaults, **options}, connection, check=check)

    return run
