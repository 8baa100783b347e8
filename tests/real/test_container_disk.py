# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module container_disk pushes, imported by CDI."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import CONFIG_MAP

from tests.modules import run_module
from tests.real.objects import Ok, create

IMAGES = Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"])
REGISTRY = os.environ["KUBEVIRT_CDI_TEST_REGISTRY"]
# The same registry with TLS, which CDI reads without further settings.
HTTPS = os.environ["KUBEVIRT_CDI_TEST_HTTPS"].removeprefix("https://")
DISK_BYTES = 64 << 20


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_pushed_disk_is_imported_unchanged(
    ok: Ok, connection: Connection, namespace: str, digest: Callable[..., str], form: str
) -> None:
    options = {"path": str(IMAGES / f"disk.{form}"), "image": f"{REGISTRY}/{namespace}/disk:1", "plain_http": True}
    pushed, again = (run_module("container_disk", options).result for _run in range(2))
    assert (pushed["changed"], again["changed"]) == (True, False), (pushed, again)
    ca = Path(os.environ["KUBEVIRT_CDI_TEST_CA"]).read_text()
    create(connection, CONFIG_MAP, "ca", namespace, data={"ca.crt": ca})
    url = f"docker://{HTTPS}/{pushed['reference'].partition('/')[2]}"
    source = {"registry": {"url": url, "cert_config_map": "ca"}}
    ok("data_volume", name="disk", namespace=namespace, source=source, storage={"size": "128Mi"})
    assert digest(namespace, "disk", DISK_BYTES) == (IMAGES / "disk.raw.sha256").read_text().split()[0]
