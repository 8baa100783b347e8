# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a full cluster has only on request."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from tests.cluster.errors import ClusterError
from tests.cluster.runtime.profile import Profile

KUBEVIRT = "kubevirt"


@dataclass(frozen=True)
class Extras:
    """`kubevirt`: the images of KubeVirt and of a guest are in containerd. `nodes`: one or two."""

    kubevirt: bool = False
    nodes: int = 1

    def covers(self, wanted: Extras) -> bool:
        """Whether a cluster with these has all that is wanted."""
        return self.kubevirt >= wanted.kubevirt and self.nodes >= wanted.nodes

    def option(self) -> str:
        """As options of `up`."""
        kubevirt = f" --with {KUBEVIRT}" if self.kubevirt else ""
        return kubevirt + (f" --nodes {self.nodes}" if self.nodes > 1 else "")


def from_options(profile: Profile, names: list[str], nodes: int) -> Extras:
    """Raises ClusterError for unknown names, another number of nodes, and a profile that cannot have them."""
    if unknown := [name for name in names if name != KUBEVIRT]:
        raise ClusterError(f"There is no extra {unknown[0]!r}: use --with {KUBEVIRT}.")
    if nodes not in (1, 2):
        raise ClusterError(f"--nodes is {nodes}: use 1 or 2.")
    extras = Extras(kubevirt=bool(names), nodes=nodes)
    if profile.name != "full" and extras != Extras():
        raise ClusterError(f"The {profile.name} cluster runs no pods: use{extras.option()} with --profile full.")
    return extras


def saved(profile: Profile) -> Extras:
    """Those of the last start."""
    file = profile.state / "extras.json"
    return Extras(**json.loads(file.read_text())) if file.exists() else Extras()


def save(profile: Profile, extras: Extras) -> None:
    (profile.state / "extras.json").write_text(json.dumps(asdict(extras)))
