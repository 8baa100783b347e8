# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball of the collection, and its installation."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runner import tarball
from tests.runner.tree import copy_checkout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tarball of this checkout."""
    directory = tmp_path_factory.mktemp("built")
    copy_checkout(directory / "cdi")
    return tarball.build(directory / "cdi", directory)


@pytest.fixture(scope="session")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path with only the installed tarball."""
    path = tmp_path_factory.mktemp("installed")
    tarball.install(built, path)
    return path
