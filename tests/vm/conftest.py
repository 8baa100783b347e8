# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real CDI and the real KubeVirt, both installed once, and the order of the tests, which run in two processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.cdi_setup import connection, install_cdi, module, namespace, ok
from tests.real.settings import LOCK
from tests.shared_lock import once
from tests.vm.guest import Guest
from tests.vm.kubevirt_setup import install_kubevirt
from tests.vm_disks.spec import Entry

__all__ = ["connection", "module", "namespace", "ok"]

_CDI = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"


# The slowest files, which start first. The last ones change what all machines use, and wait for all others.
_LONGEST = (
    *("test_disks_in_the_guest.py", "test_io_threads.py", "test_start_rules.py", "test_instance_in_the_guest.py"),
    *("test_faults_of_machines.py", "test_vm_disks_module.py", "test_migration.py"),
)
_LAST = ("test_faults_of_attaching.py", "test_vm_disks_media.py")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone(what): no other test uses KubeVirt at the same time, because of what")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (item.path.name in _LAST, *(item.path.name != name for name in _LONGEST), item.path))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have measured."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hold the lock from the setup of a test to the end of its teardown."""
    with LOCK.held(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def kubevirt(connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> None:
    """CDI and KubeVirt are installed."""

    def install() -> None:
        install_cdi(_CDI)
        install_kubevirt(connection)

    once(tmp_path_factory.getbasetemp(), "kubevirt", install)


@pytest.fixture
def start(connection: Connection, namespace: str) -> Iterator[Callable[..., Guest]]:
    """Starts machines with the guest that reports its disks, as Guest.create; they end with the test."""
    guests: list[Guest] = []

    def run(name: str, disks: list[Entry], options: Entry | None = None, **more: Any) -> Guest:
        guest = Guest(connection, namespace, name)
        guests.append(guest)
        guest.create(disks, options, **more)
        return guest

    yield run
    for guest in guests:
        guest.begin_to_delete()
    for guest in guests:
        guest.delete()
