# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSI and kubelet registration protocols: `csi` and `registration` are the generated modules of gRPC.

`csi_grpc` and `registration_grpc` have the stubs for clients. Importing this module generates missing code.
"""

from __future__ import annotations

import sys

from tests.cluster.csi.proto_code import generate_code

sys.path.insert(0, str(generate_code()))

import csi_pb2 as csi
import csi_pb2_grpc as csi_grpc
import pluginregistration_pb2 as registration
import pluginregistration_pb2_grpc as registration_grpc

__all__ = ["csi", "csi_grpc", "registration", "registration_grpc"]
