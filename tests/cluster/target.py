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


def given() -> str | None:
    """The kubeconfig of KUBEVIRT_CDI_TEST_KUBECONFIG or KUBECONFIG, unless it is that of the test cluster."""
    kubeconfig = os.environ.get("KUBEVIRT_CDI_TEST_KUBECONFIG") or os.environ.get("KUBECONFIG")
    return kubeconfig if kubeconfig and kubeconfig != str(PROFILES["full"].kubeconfig) else None


def target(*, empty: bool = False) -> Target:
    """The given cluster, or the test cluster, which is started; if it has to be `empty`, a new one."""
    if kubeconfig := given():
        return Target(False, {"KUBECONFIG": kubeconfig, "K8S_AUTH_KUBECONFIG": kubeconfig})
    if empty:
        commands.reset(PROFILES["full"])
    else:
        commands.up(PROFILES["full"])
    return Target(True, commands.environment(PROFILES["full"]))
