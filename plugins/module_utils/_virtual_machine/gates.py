# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which feature gates of KubeVirt are enabled, and how it attaches disks to a running machine. Pure rules."""

from __future__ import annotations

import re
import typing as t

from .._kubernetes.errors import ApiError
from .._kubernetes.objects import Object

HOTPLUG_GATE, DECLARATIVE_GATE = "HotplugVolumes", "DeclarativeHotplugVolumes"

# KubeVirt plugs what changes in the template (pkg/storage/hotplug/hotplug.go, v1.8.2 and v1.9.0).
DECLARATIVE: t.Final = "declarative"
# KubeVirt plugs what is requested by subresources of the instance, and ignores changes of the template. HotplugVolumes
# also turns the declarative way off (pkg/virt-controller/watch/vm/vm.go handleDeclarativeVolumeHotplug, v1.8.2).
IMPERATIVE: t.Final = "imperative"
# Neither gate is enabled.
OFF: t.Final = "off"
# Neither the KubeVirt object nor the subresource shows it.
UNKNOWN: t.Final = "unknown"

# Gates that are enabled by default, and the first release in which (pkg/virt-config/featuregate, v1.9.0).
_ENABLED_SINCE = {DECLARATIVE_GATE: (1, 9), "PersistentReservation": (1, 9)}
_ALWAYS = ("PersistentReservation",)


def enabled_gates(kubevirt: Object) -> frozenset[str]:
    """The enabled feature gates by the KubeVirt object, those of its release included.

    The order is that of pkg/virt-config/featuregate/feature-gates.go IsEnabled, v1.9.0.
    """
    configuration = ((kubevirt.get("spec") or {}).get("configuration") or {}).get("developerConfiguration") or {}
    release = release_of(kubevirt) or (0,)
    default = {gate for gate, since in _ENABLED_SINCE.items() if release >= since}
    disabled = set(configuration.get("disabledFeatureGates") or []).difference(_ALWAYS)
    return frozenset((default - disabled) | set(configuration.get("featureGates") or []))


def release_of(kubevirt: Object) -> tuple[int, ...] | None:
    """Major and minor number of the release that runs, None if the KubeVirt object does not show it."""
    found = re.match(r"v?(\d+)\.(\d+)", str((kubevirt.get("status") or {}).get("observedKubeVirtVersion") or ""))
    return tuple(map(int, found.groups())) if found else None


def way_of(gates: t.Collection[str]) -> str:
    """How KubeVirt plugs with these gates: DECLARATIVE, IMPERATIVE or OFF."""
    if HOTPLUG_GATE in gates:
        return IMPERATIVE
    return DECLARATIVE if DECLARATIVE_GATE in gates else OFF


def way_by_refusal(refused: ApiError) -> str | None:
    """The way by the answer to a removal, as a dry run, of a volume that no instance has; None if it does not show.

    For users who may not read the KubeVirt object. pkg/virt-api/rest/volumes.go removeVolumeRequestHandler and
    vmiVolumePatch, v1.8.2: without a gate the API is not enabled, with the declarative one the machine owns its
    instance, with HotplugVolumes the instance does not run or the volume does not exist.
    """
    if refused.code == 400 and "feature gate to use this API" in str(refused):
        return OFF
    if refused.code == 400 and "is owned by a VM" in str(refused):
        return DECLARATIVE
    return IMPERATIVE if refused.code == 409 else None
