# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures for unit tests of the plugins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.secrets import forget

from tests.image_files import MIB


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    """Each test is a separate run: the password of one is not a secret of the next."""
    forget()


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig, proxy or service account of the machine."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def disk(folder: Path) -> Path:
    """Data at the start, in the middle and at the very end, with holes between, and a size that is no whole cluster."""
    path = folder / "source.img"
    with open(path, "wb") as file:
        for at, length in ((0, 3 * MIB), (20 * MIB + 4096, 70_000), (64 * MIB - 7 * 512, 8 * 512)):
            file.seek(at)
            file.write(os.urandom(length))
    return path
