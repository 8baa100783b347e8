# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with KubeVirt, a machine that runs and a second node leaves nothing on the machine.

The name keeps pytest from collecting it with the other tests, because it ends their cluster. Stage `vm` runs it last.
"""

from __future__ import annotations

import os

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import NAMESPACE

from tests.cluster.runtime import commands
from tests.cluster.runtime.profile import PROFILES
from tests.cluster_tests.leftovers import assert_nothing_left, firewall, node_directories
from tests.real.objects import create
from tests.vm.guest import Guest
from tests.vm.kubevirt_setup import install_kubevirt

FULL = PROFILES["full"]


def test_down_ends_a_running_machine_and_leaves_nothing() -> None:
    before, directories = firewall(), node_directories()
    connection = connect({"kubeconfig": os.environ["KUBECONFIG"]})
    install_kubevirt(connection)
    create(connection, NAMESPACE, "running")
    guest = Guest(connection, "running", "machine")
    guest.create([{"name": "data", "serial": "DATA1", "bus": "virtio", "empty_disk": {"capacity": "16Mi"}}])
    assert guest.report().disks["DATA1"]["bytes"] == 16 << 20
    commands.down(FULL)
    assert_nothing_left(FULL)
    assert firewall() == before
    assert node_directories() <= directories
