# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kubelet learns of the driver: a socket in its plugin directory that it calls by itself."""

from __future__ import annotations

import logging
import os
from typing import Any

from tests.cluster.csi.protos import registration, registration_grpc

log = logging.getLogger(__name__)


class Registration(registration_grpc.RegistrationServicer):  # type: ignore[misc]
    """Answers the kubelet's plugin watcher."""

    def __init__(self, driver_name: str, socket: str) -> None:
        self._driver_name = driver_name
        self._socket = socket

    def GetInfo(self, request: Any, context: Any) -> registration.PluginInfo:
        return registration.PluginInfo(
            type="CSIPlugin", name=self._driver_name, endpoint=self._socket, supported_versions=["1.0.0"]
        )

    def NotifyRegistrationStatus(self, request: Any, context: Any) -> registration.RegistrationStatusResponse:
        """Ends the process on a refusal: the kubelet asks again when the socket is made anew."""
        if not request.plugin_registered:
            log.error("the kubelet refuses %s: %s", self._driver_name, request.error)
            os._exit(1)
        return registration.RegistrationStatusResponse()
