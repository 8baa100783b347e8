# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a disk while it is decompressed: all of it, without its zeros, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import Surveyor, surveyed
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.spool import Spool

MIB = 1024 * 1024
DISK = bytes(2 * MIB) + os.urandom(MIB) + bytes(5 * MIB) + os.urandom(MIB + 512) + bytes(MIB)
EVERYTHING = 1 << 62


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_disk_is_kept_without_its_zeros(directory: Path) -> None:
    with Spool() as spool:
        surveyor = Surveyor(spool.add)
        surveyor.feed(DISK)
        survey = surveyor.survey(len(DISK))
        disk = spool.disk(survey.size)
        assert disk and surveyed(disk) == survey
        assert not list(directory.iterdir())


@pytest.mark.parametrize("left_free, name", [(EVERYTHING, ""), (0, "missing")], ids=["full", "no directory"])
def test_nothing_is_kept_without_space(
    directory: Path, monkeypatch: pytest.MonkeyPatch, left_free: int, name: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(directory / name))
    with Spool(left_free) as spool:
        surveyor = Surveyor(spool.add)
        surveyor.feed(DISK)
        assert surveyor.survey(len(DISK)).data_bytes and spool.disk(len(DISK)) is None


def test_disk_of_zeros_needs_no_file(directory: Path) -> None:
    with Spool() as spool:
        Surveyor(spool.add).feed(bytes(MIB))
        assert spool.disk(MIB) is None
