# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module vm_disks changes media and disks of a machine that runs, when KubeVirt follows its template alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.vm.claims import written
from tests.vm.guest import Guest
from tests.vm.kubevirt_setup import FEATURE_GATES, enable_gates
from tests.vm.test_vm_disks_module import FILE, actions, declare, make_volumes, run
from tests.vm_disks.spec import Entry

GUEST_ISO = Path(os.environ["KUBEVIRT_CDI_TEST_GUEST"])
DRIVE: Entry = {"name": "drive", "type": "cdrom", "bus": "sata"}
FULL_DRIVE: Entry = {**DRIVE, "persistent_volume_claim": {"claim_name": "iso"}}


@contextmanager
def only_declarative(connection: Connection) -> Iterator[None]:
    """KubeVirt plugs volumes by the template of a machine alone."""
    enable_gates(
        connection, ["DeclarativeHotplugVolumes" if gate == "HotplugVolumes" else gate for gate in FEATURE_GATES]
    )
    try:
        yield
    finally:
        enable_gates(connection, FEATURE_GATES)


@pytest.mark.alone("the feature gates of KubeVirt")
def test_media_and_disks_are_changed_by_the_template_alone(
    start: Callable[..., Guest], connection: Connection, namespace: str
) -> None:
    make_volumes(namespace)
    run("volume_upload", namespace=namespace, name="iso", path=str(GUEST_ISO), storage={"size": "64Mi"})
    with only_declarative(connection):
        guest = start("machine", [DRIVE])
        guest.report("sr0")
        assert actions(declare(guest, FULL_DRIVE, FILE)) == {"drive": "inserted", "file": "attached"}
        guest.report("datafile")
        guest.until(lambda: "isolinux.cfg" in guest.reports()[-1].files.get("sr0", {}), "does not see the medium")
        guest.beat("datafile")
        assert actions(declare(guest, DRIVE)) == {"drive": "ejected"}
        guest.until(lambda: "sr0" not in guest.reports()[-1].files, "still sees the medium")
        assert actions(declare(guest, {"name": "file", "state": "absent"})) == {"file": "detached"}
        guest.report("sr0", absent=["datafile"])
    assert written(connection, namespace, "file")[0] == "boots 1"
