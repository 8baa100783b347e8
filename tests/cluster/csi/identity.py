# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSI identity service: the name and the features of the driver."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from tests.cluster.csi.protos import csi


class Identity:
    """A driver with this name and these features (of snapshot, clone, expand)."""

    def __init__(self, driver_name: str, features: Set[str]) -> None:
        self._driver_name = driver_name
        self._features = features

    def GetPluginInfo(self, request: Any, context: Any) -> csi.GetPluginInfoResponse:
        return csi.GetPluginInfoResponse(name=self._driver_name, vendor_version="1")

    def GetPluginCapabilities(self, request: Any, context: Any) -> csi.GetPluginCapabilitiesResponse:
        service = csi.PluginCapability.Service(type=csi.PluginCapability.Service.CONTROLLER_SERVICE)
        capabilities = [csi.PluginCapability(service=service)]
        if "expand" in self._features:
            online = csi.PluginCapability.VolumeExpansion(type=csi.PluginCapability.VolumeExpansion.ONLINE)
            capabilities.append(csi.PluginCapability(volume_expansion=online))
        return csi.GetPluginCapabilitiesResponse(capabilities=capabilities)

    def Probe(self, request: Any, context: Any) -> csi.ProbeResponse:
        return csi.ProbeResponse()
