# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real CDI, installed and configured by the collection's own playbooks, and its modules and lookup on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.cdi_setup import connection, install_cdi, module, namespace, ok
from tests.cluster.digests import digests
from tests.real.settings import LOCK, differences, settings
from tests.real.uploads import SERVICE, Images
from tests.shared_lock import once

__all__ = ["connection", "module", "namespace", "ok"]

KUBECONFIG = os.environ["KUBECONFIG"]
# Stage real-1.61 gives another one.
RELEASE = os.environ.get("KUBEVIRT_CDI_TEST_RELEASE", "v1.65.0")
MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/{RELEASE}/cdi-operator.yaml"
# Of the other release, which cannot follow a newer one.
collect_ignore = [] if RELEASE == "v1.61.1" else ["test_release_1_61.py", "test_release_1_61_collected.py"]


# The slowest files, which start first: the processes of pytest-xdist then end at about the same time. The files with
# faults of the storage take turns: a process that ends one of them starts the next one.
_LONGEST = (
    *("test_faults.py", "test_uploads.py", "test_upload_files.py", "test_upload_interruptions.py"),
    *("test_faults_of_uploads.py", "test_scratch.py", "test_faults_beside_others.py", "test_clone_plan.py"),
    *("test_clone_obstacles.py", "test_volume_changes.py", "test_volumes.py"),
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "alone(what, for_good=False): no other test uses the cluster at the same time, because of what it changes;"
        " it restores the settings of the cluster, unless it changes them for good",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slowest files. Tests that change the cluster for good are the last ones."""
    items.sort(key=lambda item: (_is_for_good(item), *(item.path.name != name for name in _LONGEST), item.path))


def _is_for_good(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("alone")
    return mark is not None and bool(mark.kwargs.get("for_good"))


def _is_alone(item: pytest.Item | None) -> bool:
    return item is not None and item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Hold the lock from the setup of a test to the end of its teardown. Consecutive tests that run alone keep it."""
    LOCK.take(alone=_is_alone(item))
    try:
        return (yield)
    finally:
        if not (LOCK.is_alone and _is_alone(nextitem)):
            LOCK.release()


@pytest.fixture(scope="session", autouse=True)
def cdi(tmp_path_factory: pytest.TempPathFactory, connection: Connection) -> dict[str, Any]:
    """CDI is installed, preallocation is off, scratch space is on `thin`, and the storage profiles are filled in.

    Returns the settings of the cluster.
    """

    def install() -> dict[str, Any]:
        install_cdi(MANIFEST)
        return settings(connection)

    return once(tmp_path_factory.getbasetemp(), "settings", install)


def _update(known: dict[str, Any], now: dict[str, Any]) -> None:
    """Take over the new values of known settings. Storage classes of tests that run side by side come and go."""
    known.update({name: now.get(name) for name in known})


@pytest.fixture(autouse=True)
def settings_stay(request: pytest.FixtureRequest, cdi: dict[str, Any], connection: Connection) -> Iterator[None]:
    """Fail a test that leaves other settings of the cluster behind, whether it declares that it changes them or not."""
    yield
    if _is_for_good(request.node):
        _update(cdi, settings(connection))
        return
    deadline = time.monotonic() + 180
    # CDI needs some time to restore its objects.
    while (changed := differences(cdi, settings(connection))) and time.monotonic() < deadline:
        time.sleep(0.5)
    _update(cdi, settings(connection))
    remedy = "restore them"
    if not _is_alone(request.node):
        remedy += ', and mark the test with @pytest.mark.alone("what it changes")'
    assert not changed, f"The test changed settings that all tests share; {remedy}:\n" + "\n".join(changed)


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
    return once(tmp_path_factory.getbasetemp(), "images", lambda: Images(tmp_path_factory.mktemp("images")))


@pytest.fixture
def proxy_url(connection: Connection) -> str:
    """The proxy's service, which this machine reaches."""
    service = connection.get(SERVICE, "cdi-uploadproxy", "cdi")
    assert service is not None
    return f"https://{service['spec']['clusterIP']}"
