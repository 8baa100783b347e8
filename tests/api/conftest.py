# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server behind a proxy that counts and breaks, and a runner of real modules."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection, connect
from tests.modules import Ran, run_module
from tests.wire import Wire, counting_proxy

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
    from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import NAMESPACE

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
