# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real CDI, installed and configured by the collection's own playbooks, and its modules and lookup on it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect

from tests.cluster.digests import digests
from tests.modules import Ran, run_on_cluster
from tests.real.objects import new_namespace
from tests.real.settings import LOCK, differences, settings
from tests.real.uploads import SERVICE, Images
from tests.runner.site import INVENTORY, OWN_VARIABLES

KUBECONFIG = os.environ["KUBECONFIG"]
# Stage real-1.61 gives another one.
RELEASE = os.environ.get("KUBEVIRT_CDI_TEST_RELEASE", "v1.65.0")
MANIFEST = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/{RELEASE}/cdi-operator.yaml"
# Of the other release, which cannot follow a newer one.
collect_ignore = [] if RELEASE == "v1.61.1" else ["test_release_1_61.py", "test_release_1_61_collected.py"]


# They have no fixture that their tests share, so each test of them can run anywhere.
_OF_LOOSE_TESTS = ("test_cdi.py", "test_data_in_use.py", "test_upload_interruptions.py", "test_upload_transport.py")
# Those that take longest begin first, so that the processes end together.
_FIRST = ("test_uploads.py", "test_scratch.py", "test_clone_plan.py", "test_clone_methods.py", "test_upload_files.py")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "alone(what, for_good=False): no other test runs on the cluster at the same time, for what the test does to it;"
        " the settings of the cluster are as before afterwards, unless they change for good",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups that pytest-xdist keeps in one process: the tests that are alone, then each file whose tests share a fixture."""
    places = {}
    for item in items:
        # What it needs besides is made while others run.
        with_its_file = "setup" in getattr(item, "fixturenames", ())
        first = _is_alone(item) and not with_its_file
        if first:
            item.add_marker(pytest.mark.xdist_group("alone"))
        elif item.path.name not in _OF_LOOSE_TESTS:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        places[item] = (not first, *(item.path.name != name for name in _FIRST))
    items.sort(key=places.__getitem__)


def _is_alone(item: pytest.Item | None) -> bool:
    return item is not None and item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """A test that is alone has the lock alone, from its fixtures to their end, and several in a row keep it."""
    LOCK.take(alone=_is_alone(item))
    try:
        return (yield)
    finally:
        if not (LOCK.is_alone and _is_alone(nextitem)):
            LOCK.release()


@pytest.fixture(scope="session", autouse=True)
def cdi(tmp_path_factory: pytest.TempPathFactory, connection: Connection) -> dict[str, Any]:
    """CDI is installed, preallocation is off, scratch space is on `thin`, and the storage profiles are filled in.

    One process of pytest-xdist installs it. Returns the settings of the cluster for all of them.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "settings.json").open("a+") as stored:
        fcntl.flock(stored, fcntl.LOCK_EX)
        stored.seek(0)
        content = stored.read()
        if not content:
            _install()
            content = json.dumps(settings(connection))
            stored.write(content)
    found: dict[str, Any] = json.loads(content)
    return found


def _install() -> None:
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


@pytest.fixture(autouse=True)
def settings_stay(request: pytest.FixtureRequest, cdi: dict[str, Any], connection: Connection) -> Iterator[None]:
    """A test that is not declared to change the settings of the cluster fails if it does, and one that is puts them back."""
    yield
    mark = request.node.get_closest_marker("alone")
    changed = differences(cdi, settings(connection))
    if mark and mark.kwargs.get("for_good"):
        cdi.update(settings(connection))
    elif changed:
        # CDI takes a moment to put its own objects back.
        deadline = time.monotonic() + 60
        while (changed := differences(cdi, settings(connection))) and time.monotonic() < deadline:
            time.sleep(0.5)
        cdi.update(settings(connection))
        remedy = "put them back" if mark else 'mark it with @pytest.mark.alone("what it changes"), and put them back'
        assert not changed, f"the test has changed settings that all tests share: {remedy}:\n" + "\n".join(changed)


@pytest.fixture(scope="session")
def connection() -> Connection:
    return connect({"kubeconfig": KUBECONFIG})


@pytest.fixture
def namespace(connection: Connection) -> Iterator[str]:
    """A namespace of the test's own."""
    with new_namespace(connection) as name:
        yield name


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
