# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The allocated bytes of a volume grow while KubeVirt fills it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.vm.guest import Guest
from tests.vm.test_interrupted_moves import slow
from tests.vm.test_volume_migration import DATA, SIZE, Ok, migrate

__all__ = ["migrate", "slow"]


def test_samples_rise_while_a_volume_is_moved(
    start: Callable[..., Guest], slow: ExitStack, migrate: Ok, ok: Ok, namespace: str, tmp_path: Path
) -> None:
    """F9. The image is dense, and the migration slow."""
    image = tmp_path / "random.raw"
    image.write_bytes(os.urandom(SIZE))
    ok("volume_upload", name="source", namespace=namespace, path=str(image), storage={"size": "64Mi"})
    guest = start("machine", [DATA])
    guest.report()
    moved = migrate(to={"storage_class_name": "plain", "access_modes": ["ReadWriteOnce"]}, sample_growth=True)
    allocated = [sample["allocated_bytes"] for sample in moved["growth"]]
    assert allocated == sorted(allocated) and len(allocated) >= 3, moved
    assert allocated[0] < allocated[-1]
