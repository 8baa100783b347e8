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
    """`kubevirt`: the images of KubeVirt and of a guest are in containerd."""

    kubevirt: bool = False

    def covers(self, wanted: Extras) -> bool:
        """Whether a cluster with these has all that is wanted."""
        return self.kubevirt or not wanted.kubevirt

    def option(self) -> str:
        """As options of `up`."""
        return f" --with {KUBEVIRT}" if self.kubevirt else ""


def from_options(profile: Profile, names: list[str]) -> Extras:
    """Raises ClusterError for unknown names, and for a profile that cannot have them."""
    if unknown := [name for name in names if name != KUBEVIRT]:
        raise ClusterError(f"There is no extra {unknown[0]!r}: use --with {KUBEVIRT}.")
    extras = Extras(kubevirt=bool(names))
    if profile.name != "full" and extras != Extras():
        raise ClusterError(f"The {profile.name} cluster runs no pods: use{extras.option()} with --profile full.")
    return extras


def saved(profile: Profile) -> Extras:
    """Those of the last start."""
    file = profile.state / "extras.json"
    return Extras(**json.loads(file.read_text())) if file.exists() else Extras()


def save(profile: Profile, extras: Extras) -> None:
    (profile.state / "extras.json").write_text(json.dumps(asdict(extras)))
