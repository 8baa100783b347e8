# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registration of the driver: the kubelet calls a socket in its plugin directory."""

from __future__ import annotations

import logging
import os
from typing import Any

from tests.cluster.csi.protos import registration

log = logging.getLogger(__name__)


class Registration:
    """Answers the plugin watcher of the kubelet."""

    def __init__(self, driver_name: str, socket: str) -> None:
        self._driver_name = driver_name
        self._socket = socket

    def GetInfo(self, request: Any, context: Any) -> registration.PluginInfo:
        return registration.PluginInfo(
            type="CSIPlugin", name=self._driver_name, endpoint=self._socket, supported_versions=["1.0.0"]
        )

    def NotifyRegistrationStatus(self, request: Any, context: Any) -> registration.RegistrationStatusResponse:
        """End the process when the kubelet refuses the driver: it calls again when the socket is created again."""
        if not request.plugin_registered:
            log.error("the kubelet refuses %s: %s", self._driver_name, request.error)
            os._exit(1)
        return registration.RegistrationStatusResponse()
