# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two kinds of test cluster, with their addresses and directories."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.paths import state_dir

# Of the pods of all nodes.
POD_RANGE = "10.244.0.0/23"
API_PORT = 6443


@dataclass(frozen=True)
class Profile:
    """`full` has a node that runs pods; `api` has etcd, an API server and CRDs. Both can run at the same time."""

    name: str
    number: int

    @property
    def state(self) -> Path:
        return state_dir(self.name)

    @property
    def host_address(self) -> str:
        return f"10.203.{self.number}.1"

    @property
    def address(self) -> str:
        """The node's address: the inner end of the veth pair."""
        return f"10.203.{self.number}.2"

    @property
    def second_network(self) -> str:
        """Of the veth pair between the nodes: the end at the first node, then the second node."""
        return f"10.203.{self.number}.4/30"

    @property
    def second_gateway(self) -> str:
        return f"10.203.{self.number}.5"

    @property
    def second_address(self) -> str:
        return f"10.203.{self.number}.6"

    @property
    def service_range(self) -> str:
        """Different for each cluster: the machine has a route to it."""
        return f"10.204.{self.number}.0/24"

    @property
    def api_service_address(self) -> str:
        """The first address of the range, which the API server uses."""
        return f"10.204.{self.number}.1"

    @property
    def interface(self) -> str:
        """The outer end of the veth pair."""
        return f"kubevirt-cdi{self.number}"

    @property
    def server(self) -> str:
        return f"https://{self.address}:{API_PORT}"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def certificates(self) -> Path:
        return self.state / "pki"

    @property
    def cgroup(self) -> str:
        return f"kubevirt-cdi{self.number}-{self.name}"


def first_number() -> int:
    """The number in the addresses of this checkout's clusters, so that several checkouts can have clusters."""
    given = os.environ.get("KUBEVIRT_CDI_TEST_NUMBER", "1")
    if not given.isdecimal() or not 1 <= int(given) <= 254:
        raise SystemExit(f"error: KUBEVIRT_CDI_TEST_NUMBER is {given!r}: give a number from 1 to 254.")
    return int(given)


PROFILES = {"full": Profile("full", first_number()), "api": Profile("api", first_number() + 1)}


def profile_named(name: str) -> Profile:
    """Raises ClusterError for an unknown name."""
    if name not in PROFILES:
        raise ClusterError(f"There is no profile {name!r}: use one of {', '.join(PROFILES)}.")
    return PROFILES[name]
