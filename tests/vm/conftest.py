# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real CDI and the real KubeVirt, both installed once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.cdi_setup import connection, install_cdi, module, namespace, ok
from tests.vm.guest import Guest
from tests.vm.kubevirt_setup import install_kubevirt
from tests.vm_disks.spec import Entry

__all__ = ["connection", "module", "namespace", "ok"]

_CDI = f"{os.environ['KUBEVIRT_CDI_TEST_MANIFESTS']}/v1.65.0/cdi-operator.yaml"


@pytest.fixture(scope="session", autouse=True)
def kubevirt(connection: Connection) -> None:
    """CDI and KubeVirt are installed."""
    install_cdi(_CDI)
    install_kubevirt(connection)


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
        guest.delete()
