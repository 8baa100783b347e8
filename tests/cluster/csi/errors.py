# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error response of a CSI call."""

from __future__ import annotations

import errno
import subprocess

import grpc


class CsiError(Exception):
    """A gRPC status: the code and one sentence."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def from_exception(error: Exception) -> CsiError:
    """The error response for an exception: a full pool and a busy device are no internal errors."""
    if isinstance(error, CsiError):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return CsiError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"the storage pool is full: {error}")
    if isinstance(error, OSError) and error.errno == errno.EBUSY:
        return CsiError(grpc.StatusCode.FAILED_PRECONDITION, f"in use: {error}")
    if isinstance(error, subprocess.CalledProcessError):
        output = (error.stderr or error.stdout or "").strip()
        return CsiError(grpc.StatusCode.INTERNAL, f"{error.cmd[0]} ended with {error.returncode}: {output}")
    return CsiError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
