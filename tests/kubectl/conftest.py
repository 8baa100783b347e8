# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import forget

from tests.kubectl.servers import Servers, kubectl, running


@pytest.fixture(scope="session")
def program() -> str:
    return kubectl()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with running(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(autouse=True)
def no_known_secrets() -> None:
    """Start without the secrets of earlier tests, which would be redacted in messages of this one."""
    forget()
