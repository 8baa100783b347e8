# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that the tests run on: that of a kubeconfig, else the test cluster."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.cluster.runtime import commands
from tests.cluster.runtime.profile import PROFILES


@dataclass(frozen=True)
class Target:
    """A cluster to test on; `environment` has KUBECONFIG and, for the test cluster, the addresses of its fixtures."""

    own: bool
    environment: dict[str, str]


def target() -> Target:
    """The cluster of KUBEVIRT_CDI_TEST_KUBECONFIG or KUBECONFIG; without them the test cluster, which is started."""
    kubeconfig = os.environ.get("KUBEVIRT_CDI_TEST_KUBECONFIG") or os.environ.get("KUBECONFIG")
    if kubeconfig and kubeconfig != str(PROFILES["full"].kubeconfig):
        return Target(False, {"KUBECONFIG": kubeconfig, "K8S_AUTH_KUBECONFIG": kubeconfig})
    commands.up(PROFILES["full"])
    return Target(True, commands.environment(PROFILES["full"]))
