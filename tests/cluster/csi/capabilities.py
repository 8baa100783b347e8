# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what a caller requests of a volume: access type, access mode, size and the parameters of its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc

from tests.cluster.csi.errors import CsiError
from tests.cluster.csi.protos import csi
from tests.cluster.csi.volumes import BLOCK, FILESYSTEM

_DEFAULT_BYTES = 1 << 30
_SECTOR_BYTES = 4096
_SIDECAR_PREFIX = "csi.storage.k8s.io/"


def required(value: str, field: str) -> str:
    """The value of a required field. Raises CsiError."""
    if not value:
        raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, f"{field} is missing from the request")
    return value


def volume_modes(parameters: Mapping[str, str]) -> frozenset[str]:
    """The volume modes that a class allows: the comma-separated parameter `volumeModes`, or both modes without it."""
    unknown = {name for name in parameters if not name.startswith(_SIDECAR_PREFIX)} - {"volumeModes"}
    if unknown:
        text = f"unknown class parameter {', '.join(sorted(unknown))}: the driver knows volumeModes"
        raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, text)
    value = parameters.get("volumeModes", f"{BLOCK},{FILESYSTEM}")
    modes = frozenset(mode.strip() for mode in value.split(","))
    if modes - {BLOCK, FILESYSTEM}:
        text = f"class parameter volumeModes is {value!r}: use {BLOCK}, {FILESYSTEM} or both with a comma"
        raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, text)
    return modes


def requested_mode(capabilities: Sequence[csi.VolumeCapability], allowed: frozenset[str]) -> str:
    """The volume mode that all capabilities request.

    Every access mode is accepted: the pool has one node, and all its pods can use the volume.
    """
    modes = set()
    for capability in capabilities:
        access_type = capability.WhichOneof("access_type")
        required(access_type or "", "volume_capability.access_type")
        if capability.access_mode.mode == csi.VolumeCapability.AccessMode.UNKNOWN:
            raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, "volume_capability.access_mode is missing or unknown")
        if access_type == "mount" and capability.mount.fs_type not in ("", "ext4"):
            text = f"file system {capability.mount.fs_type!r} is not supported: use ext4"
            raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, text)
        modes.add(BLOCK if access_type == "block" else FILESYSTEM)
    if len(modes) != 1:
        raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, "volume_capabilities must request one access type")
    (mode,) = modes
    if mode not in allowed:
        text = f"the class offers no {mode} volumes, only {' and '.join(sorted(allowed))}: request another volumeMode"
        raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, text)
    return mode


def size_bytes(capacity: csi.CapacityRange, default: int = _DEFAULT_BYTES) -> int:
    """The size for a range: the required bytes, rounded up to sectors; without them the default or a lower limit."""
    if capacity.required_bytes < 0 or capacity.limit_bytes < 0:
        raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, "capacity_range has a negative size")
    if not capacity.required_bytes:
        limit = capacity.limit_bytes // _SECTOR_BYTES * _SECTOR_BYTES
        return min(default, limit) if capacity.limit_bytes else default
    size = -(-capacity.required_bytes // _SECTOR_BYTES) * _SECTOR_BYTES
    check_range(size, capacity)
    return int(size)


def in_range(size: int, capacity: csi.CapacityRange) -> bool:
    """Whether a volume of that size fits the requested range."""
    return size >= capacity.required_bytes and (not capacity.limit_bytes or size <= capacity.limit_bytes)


def check_range(size: int, capacity: csi.CapacityRange) -> None:
    """Raises CsiError (OUT_OF_RANGE) if a volume of that size does not fit the requested range."""
    if not in_range(size, capacity):
        text = f"a volume of {size} bytes is not between {capacity.required_bytes} and {capacity.limit_bytes} bytes"
        raise CsiError(grpc.StatusCode.OUT_OF_RANGE, text)
