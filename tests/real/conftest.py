# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real CDI, installed and configured by the collection's own playbooks, and its modules and lookup on it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible.plugins.loader import init_plugin_loader

# The lookup is found only when Ansible has been told of collections before the first import from one.
init_plugin_loader()

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect  # noqa: E402

from tests.cluster.digests import digests  # noqa: E402
from tests.modules import Ran, run_on_cluster  # noqa: E402
from tests.real.clone_bed import alone  # noqa: E402
from tests.real.uploads import SERVICE, Images, namespace_of  # noqa: E402
from tests.runner.site import INVENTORY, OWN_VARIABLES  # noqa: E402

KUBECONFIG = os.environ["KUBECONFIG"]
# Stage real-1.61 gives another one.
RELEASE = os.environ.get("KUBEVIRT_CDI_TEST_RELEASE", "v1.65.0")
MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/{RELEASE}/cdi-operator.yaml"
# Of the other release, which cannot follow a newer one.
collect_ignore = [] if RELEASE == "v1.61.1" else ["test_release_1_61.py"]


@pytest.fixture(scope="session", autouse=True)
def cdi() -> None:
    """CDI is installed, preallocation is off, scratch space is on `thin`, and the storage profiles are filled in."""
    with alone():
        ended = subprocess.run(
            [
                *("ansible-playbook", f"--inventory={INVENTORY}", f"--extra-vars=@{OWN_VARIABLES}"),
                *("--extra-vars", json.dumps({"cdi_manifest": MANIFEST, "cdi_preallocation": False})),
                *("kubevirt.cdi.install", "kubevirt.cdi.config"),
            ],
            check=False,
            capture_output=True,
            text=True,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="session")
def connection() -> Connection:
    return connect({"kubeconfig": KUBECONFIG})


@pytest.fixture
def namespace(connection: Connection) -> Iterator[str]:
    """A namespace of the test's own."""
    yield from namespace_of(connection)


@pytest.fixture
def module() -> Callable[..., Ran]:
    """Runs a module of the collection on the cluster."""
    return run_on_cluster


@pytest.fixture
def ok(module: Callable[..., Ran]) -> Callable[..., dict[str, Any]]:
    """Runs a module that has to succeed, and returns its result."""

    def run(name: str, /, **options: Any) -> dict[str, Any]:
        result = module(name, **options).result
        assert not result.get("failed"), result["msg"]
        return result

    return run


@pytest.fixture
def lookup() -> Callable[..., list[dict[str, Any]]]:
    """The lookup clone_method, as a template calls it."""
    from ansible.plugins.loader import lookup_loader

    def run(*terms: Any, **options: Any) -> list[dict[str, Any]]:
        plugin = lookup_loader.get("kubevirt.cdi.clone_method")
        found: list[dict[str, Any]] = plugin.run(list(terms), variables={}, kubeconfig=KUBECONFIG, **options)
        return found

    return run


@pytest.fixture
def digest() -> Callable[..., str]:
    """SHA-256 of the first bytes of a volume's disk, read in a pod."""

    def read(namespace: str, claim: str, size_bytes: int) -> str:
        name = f"{namespace}/{claim}"
        return digests(KUBECONFIG, [name], size_bytes)[name]

    return read


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Files to upload."""
    return Images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def proxy_url(connection: Connection) -> str:
    """The proxy's service, which this machine reaches."""
    service = connection.get(SERVICE, "cdi-uploadproxy", "cdi")
    assert service is not None
    return f"https://{service['spec']['clusterIP']}"
