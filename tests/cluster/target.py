# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cluster the tests run on: the one that a kubeconfig names, else our own."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.cluster.runtime import bed
from tests.cluster.runtime.profile import PROFILES


@dataclass(frozen=True)
class Target:
    """A cluster to test on; `environment` holds KUBECONFIG and, for our own cluster, the addresses of its fixtures."""

    own: bool
    environment: dict[str, str]


def target() -> Target:
    """KUBEVIRT_CDI_TEST_KUBECONFIG or KUBECONFIG names another cluster; without them our own is started if need be."""
    kubeconfig = os.environ.get("KUBEVIRT_CDI_TEST_KUBECONFIG") or os.environ.get("KUBECONFIG")
    if kubeconfig and kubeconfig != str(PROFILES["full"].kubeconfig):
        return Target(False, {"KUBECONFIG": kubeconfig, "K8S_AUTH_KUBECONFIG": kubeconfig})
    bed.up(PROFILES["full"])
    return Target(True, bed.environment(PROFILES["full"]))
