# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server behind a proxy that counts and breaks, and a runner of real modules."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.plugins.loader import init_plugin_loader
from kubernetes import client

# The lookup is found only when Ansible has been told of collections before the first import from one.
init_plugin_loader()

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import resources  # noqa: E402
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect  # noqa: E402
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import ApiError  # noqa: E402

from tests.cluster.runtime.profile import first_number  # noqa: E402
from tests.light_cluster import light_cluster  # noqa: E402
from tests.modules import Ran, official_client, run_module  # noqa: E402
from tests.wire import Wire, counting_proxy  # noqa: E402

# For the clusters of a worker: its own, and those that one of its tests brings up.
_NUMBERS = 6
_CLUSTERS = contextlib.ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Each worker of pytest-xdist but the first has a cluster of its own: tests change what is common to all of a cluster."""
    index = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    if index:
        number = first_number() + index * _NUMBERS
        folder = _CLUSTERS.enter_context(tempfile.TemporaryDirectory())
        os.environ.update(_CLUSTERS.enter_context(light_cluster(number, Path(folder))))
        os.environ["KUBEVIRT_CDI_TEST_NUMBER"] = str(number)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How fast the mistakes of users were answered."""
    reports = terminalreporter.stats.get("passed", [])
    seconds = [
        report.duration
        for report in reports
        if report.when == "call" and "::test_a_mistake_ends_before_a_write[" in report.nodeid
    ]
    if seconds:
        terminalreporter.write_line(
            f"{len(seconds)} mistakes ended in {statistics.median(seconds):.1f} s, the slowest in {max(seconds):.1f} s"
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    _CLUSTERS.close()


ADMIN = "test-admin-token"
LIMITED = "test-limited-token"


@pytest.fixture
def wire() -> Iterator[Wire]:
    """The API server of profile `api`, with every request counted."""
    with counting_proxy(os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]) as record:
        yield record


@pytest.fixture
def connection(wire: Wire) -> Connection:
    return connect({"host": wire.url, "api_key": ADMIN})


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import NAMESPACE

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


@pytest.fixture
def reach(connection: Connection) -> Callable[..., None]:
    """Says of a volume what CDI would say."""
    volumes = client.CustomObjectsApi(official_client())

    def say(namespace: str, name: str, phase: str = "Succeeded", **status: Any) -> None:
        kind = resources.DATA_VOLUME
        volumes.patch_namespaced_custom_object_status(
            kind.group, kind.version, namespace, kind.plural, name, {"status": {"phase": phase, **status}}
        )

    return say


@pytest.fixture
def no_cdi() -> Iterator[Connection]:
    """Neither CDI nor its operator nor volumes, before and after. Its CRDs stay, and its namespace, which nobody empties here.

    No controller takes away what other tests' namespaces held, and CDI is not removed while there are volumes. A claim may be a collected one.
    """
    direct = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    for kind in (resources.DATA_VOLUME, resources.PERSISTENT_VOLUME_CLAIM):
        for left in direct.list(kind)[0]:
            direct.delete(kind, left["metadata"]["name"], left["metadata"]["namespace"], dry_run=False)
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
    """A cluster with a HyperConverged, as far as anybody can see who asks for one."""
    names = {"plural": "hyperconvergeds", "singular": "hyperconverged", "kind": "HyperConverged"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": schema}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "hyperconvergeds.hco.kubevirt.io"},
        "spec": {"group": "hco.kubevirt.io", "names": names, "scope": "Namespaced", "versions": [version]},
    }
    no_cdi.create(resources.CUSTOM_RESOURCE_DEFINITION, definition, dry_run=False)
    item = {"apiVersion": "hco.kubevirt.io/v1beta1", "kind": "HyperConverged", "metadata": {"name": "the-owner"}}
    for _attempt in range(100):
        try:
            no_cdi.create(resources.HYPER_CONVERGED, item, "default", dry_run=False)
            break
        except ApiError:
            time.sleep(0.1)
    yield
    no_cdi.delete(resources.CUSTOM_RESOURCE_DEFINITION, "hyperconvergeds.hco.kubevirt.io", dry_run=False)
    while no_cdi.get(resources.CUSTOM_RESOURCE_DEFINITION, "hyperconvergeds.hco.kubevirt.io"):
        time.sleep(0.1)
