# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

# Ansible has to be told of collections before the first import from one.
init_plugin_loader()

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes import secrets as _secrets  # noqa: E402

from tests.kubectl import bed as beds  # noqa: E402


@pytest.fixture(scope="session")
def program() -> str:
    return beds.kubectl()


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[beds.Bed]:
    with beds.make(tmp_path_factory.mktemp("bed")) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """Each test is a run of its own: a short token of one must not be taken out of the words of the next."""
    _secrets._known.clear()
