# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script that computes the SHA-256 of the disk in a volume, run by bash."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._storage.allocation import VOLUME
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.content import script


@pytest.mark.parametrize("mode", ["Filesystem", "Block"])
@pytest.mark.parametrize("size", [0, 1, 100_000, 300_000])
def test_sha256_is_that_of_the_disk_in_a_larger_volume(tmp_path: Path, mode: str, size: int) -> None:
    disk, result = tmp_path / "disk.img", tmp_path / "result"
    content = bytes(range(256)) * 1200
    disk.write_bytes(content)
    command = script({"spec": {"volumeMode": mode}}, size).replace("/dev/termination-log", str(result))
    subprocess.run(["bash", "-c", command.replace(VOLUME, str(disk))], check=True, cwd=tmp_path)
    assert result.read_text().split()[0] == hashlib.sha256(content[:size]).hexdigest()


def test_missing_disk_is_an_error(tmp_path: Path) -> None:
    command = script({"spec": {}}, 100).replace("/dev/termination-log", str(tmp_path / "result"))
    assert subprocess.run(["bash", "-c", command], check=False, cwd=tmp_path, capture_output=True).returncode != 0
