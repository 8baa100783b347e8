# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The allocated bytes of a volume grow while KubeVirt fills it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.vm.guest import Guest
from tests.vm.test_interrupted_moves import POLICY, slow
from tests.vm.test_volume_migration import DATA, SIZE, Ok, migrate

__all__ = ["migrate"]


def test_samples_rise_while_a_volume_is_moved(
    start: Callable[..., Guest], migrate: Ok, ok: Ok, connection: Connection, namespace: str, tmp_path: Path
) -> None:
    """F9. The image is dense, and the migration slow."""
    image = tmp_path / "random.raw"
    image.write_bytes(os.urandom(SIZE))
    ok("volume_upload", name="source", namespace=namespace, path=str(image), storage={"size": "64Mi"})
    slow(connection, namespace)
    guest = start("machine", [DATA])
    guest.report()
    moved = migrate(to={"storage_class_name": "plain", "access_modes": ["ReadWriteOnce"]}, sample_growth=True)
    allocated = [sample["allocated_bytes"] for sample in moved["growth"]]
    assert allocated == sorted(allocated) and len(allocated) >= 3, moved
    assert allocated[0] < allocated[-1]
    connection.delete(POLICY, namespace, dry_run=False)
