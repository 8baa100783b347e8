# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real CDI, installed and configured by the collection's own playbooks, and fixtures of tests on it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect

from tests.modules import Ran, run_on_cluster
from tests.real.objects import new_namespace
from tests.runner.site import INVENTORY, OWN_VARIABLES


def install_cdi(manifest: str) -> None:
    """Install a release, without preallocation, with scratch space on `thin` and filled-in storage profiles."""
    ended = subprocess.run(
        [
            *("ansible-playbook", f"--inventory={INVENTORY}", f"--extra-vars=@{OWN_VARIABLES}"),
            *("--extra-vars", json.dumps({"cdi_manifest": manifest, "cdi_preallocation": False})),
            *("kubevirt.cdi.install", "kubevirt.cdi.config"),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="session")
def connection() -> Connection:
    return connect({"kubeconfig": os.environ["KUBECONFIG"]})


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

    def run(module_name: str, /, **options: Any) -> dict[str, Any]:
        result = module(module_name, **options).result
        assert not result.get("failed"), result["msg"]
        return result

    return run
