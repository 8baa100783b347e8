# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSI node service: makes volumes available as file systems and devices in the mount namespace of this process."""

from __future__ import annotations

import os
from collections.abc import Set
from pathlib import Path
from typing import Any

import grpc

from tests.cluster.csi import capabilities, devices, ext4
from tests.cluster.csi.errors import CsiError
from tests.cluster.csi.protos import csi
from tests.cluster.csi.volumes import BLOCK, FILESYSTEM, State, Volume


class Node:
    """Mounts the volumes of one driver."""

    def __init__(self, state: State, node_id: str, features: Set[str]) -> None:
        self._state = state
        self._node_id = node_id
        self._features = features

    def NodeGetInfo(self, request: Any, context: Any) -> csi.NodeGetInfoResponse:
        return csi.NodeGetInfoResponse(node_id=self._node_id)

    def NodeGetCapabilities(self, request: Any, context: Any) -> csi.NodeGetCapabilitiesResponse:
        names = ["STAGE_UNSTAGE_VOLUME", "GET_VOLUME_STATS", "SINGLE_NODE_MULTI_WRITER"]
        if "expand" in self._features:
            names.append("EXPAND_VOLUME")
        kind = csi.NodeServiceCapability.RPC
        found = [csi.NodeServiceCapability(rpc=kind(type=kind.Type.Value(name))) for name in names]
        return csi.NodeGetCapabilitiesResponse(capabilities=found)

    def NodeStageVolume(self, request: Any, context: Any) -> csi.NodeStageVolumeResponse:
        volume_id = capabilities.required(request.volume_id, "volume_id")
        staging = Path(capabilities.required(request.staging_target_path, "staging_target_path"))
        with self._state.locked(volume_id):
            volume = self._volume(volume_id, request)
            device = devices.attach(self._state.volumes.image(volume_id))
            if volume.mode == FILESYSTEM and not devices.is_mounted(device, staging):
                if ext4.file_system_bytes(device) < devices.device_bytes(device):
                    ext4.grow_unmounted(device)
                staging.mkdir(parents=True, exist_ok=True)
                options = ",".join(request.volume_capability.mount.mount_flags) or "defaults"
                devices.run("mount", "-t", "ext4", "-o", options, str(device), str(staging))
        return csi.NodeStageVolumeResponse()

    def NodeUnstageVolume(self, request: Any, context: Any) -> csi.NodeUnstageVolumeResponse:
        volume_id = capabilities.required(request.volume_id, "volume_id")
        staging = Path(capabilities.required(request.staging_target_path, "staging_target_path"))
        with self._state.locked(volume_id):
            devices.unmount(staging)
            if self._state.volumes.get(volume_id):
                device = devices.find_loop(self._state.volumes.image(volume_id))
                if device:
                    devices.detach(device)
        return csi.NodeUnstageVolumeResponse()

    def NodePublishVolume(self, request: Any, context: Any) -> csi.NodePublishVolumeResponse:
        volume_id = capabilities.required(request.volume_id, "volume_id")
        target = Path(capabilities.required(request.target_path, "target_path"))
        staging = Path(capabilities.required(request.staging_target_path, "staging_target_path"))
        with self._state.locked(volume_id):
            volume = self._volume(volume_id, request)
            device = self._staged_device(volume, staging)
            if request.volume_capability.access_mode.mode == csi.VolumeCapability.AccessMode.SINGLE_NODE_SINGLE_WRITER:
                others = {mount.target for mount in devices.mounts_of(device)} - {staging.resolve(), target.resolve()}
                if others:
                    text = f"volume {volume_id} has a single writer and is mounted at {', '.join(map(str, others))}"
                    raise CsiError(grpc.StatusCode.FAILED_PRECONDITION, text)
            if not devices.is_mounted(device, target):
                source = device if volume.mode == BLOCK else staging
                _bind(source, target, request.readonly)
        return csi.NodePublishVolumeResponse()

    def NodeUnpublishVolume(self, request: Any, context: Any) -> csi.NodeUnpublishVolumeResponse:
        volume_id = capabilities.required(request.volume_id, "volume_id")
        target = Path(capabilities.required(request.target_path, "target_path"))
        with self._state.locked(volume_id):
            devices.unmount(target)
            if target.is_dir():
                target.rmdir()
            else:
                target.unlink(missing_ok=True)
        return csi.NodeUnpublishVolumeResponse()

    def NodeGetVolumeStats(self, request: Any, context: Any) -> csi.NodeGetVolumeStatsResponse:
        volume_id = capabilities.required(request.volume_id, "volume_id")
        path = Path(capabilities.required(request.volume_path, "volume_path"))
        volume = self._volume(volume_id)
        device = self._device_at(volume, path)
        if volume.mode == BLOCK:
            usage = csi.VolumeUsage(unit=csi.VolumeUsage.BYTES, total=devices.device_bytes(device))
            return csi.NodeGetVolumeStatsResponse(usage=[usage])
        stats = os.statvfs(path)
        total, free, available = (blocks * stats.f_frsize for blocks in (stats.f_blocks, stats.f_bfree, stats.f_bavail))
        inodes_used = stats.f_files - stats.f_ffree
        return csi.NodeGetVolumeStatsResponse(
            usage=[
                csi.VolumeUsage(unit=csi.VolumeUsage.BYTES, total=total, available=available, used=total - free),
                csi.VolumeUsage(
                    unit=csi.VolumeUsage.INODES, total=stats.f_files, available=stats.f_favail, used=inodes_used
                ),
            ]
        )

    def NodeExpandVolume(self, request: Any, context: Any) -> csi.NodeExpandVolumeResponse:
        if "expand" not in self._features:
            raise CsiError(grpc.StatusCode.UNIMPLEMENTED, "the driver runs without the feature expand")
        volume_id = capabilities.required(request.volume_id, "volume_id")
        path = Path(capabilities.required(request.volume_path, "volume_path"))
        with self._state.locked(volume_id):
            volume = self._volume(volume_id)
            device = self._device_at(volume, path)
            if volume.mode == FILESYSTEM and not ext4.grow_mounted(device):
                text = f"growing a mounted ext4 needs CAP_SYS_RESOURCE: volume {volume_id} grows when it is staged next"
                raise CsiError(grpc.StatusCode.FAILED_PRECONDITION, text)
        return csi.NodeExpandVolumeResponse(capacity_bytes=volume.size_bytes)

    def thaw_all(self) -> list[Path]:
        """Thaw the volumes that a killed driver left frozen, and return their mount points."""
        images = [self._state.volumes.image(volume.id) for volume in self._state.volumes.all()]
        attached = [device.path for device in devices.loop_devices() if any(map(device.is_on, images))]
        first_mounts = [
            [m.target for m in devices.mounts_of(device) if m.file_system == "ext4"][:1] for device in attached
        ]
        return [target for targets in first_mounts for target in targets if devices.thaw(target)]

    def _volume(self, volume_id: str, request: Any = None) -> Volume:
        """The volume, after a check that a request to stage or publish matches it."""
        if request is not None and not request.HasField("volume_capability"):
            raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, "volume_capability is missing from the request")
        volume = self._state.volumes.get(volume_id)
        if volume is None:
            raise CsiError(grpc.StatusCode.NOT_FOUND, f"volume {volume_id} does not exist")
        if request is not None:
            capabilities.requested_mode([request.volume_capability], frozenset((volume.mode,)))
        return volume

    def _staged_device(self, volume: Volume, staging: Path) -> Path:
        device = devices.find_loop(self._state.volumes.image(volume.id))
        if device is None or (volume.mode == FILESYSTEM and not devices.is_mounted(device, staging)):
            raise CsiError(grpc.StatusCode.FAILED_PRECONDITION, f"volume {volume.id} is not staged at {staging}")
        return device

    def _device_at(self, volume: Volume, path: Path) -> Path:
        """The device of a volume that is staged or published at a path."""
        device = devices.find_loop(self._state.volumes.image(volume.id))
        if device is None or not devices.is_mounted(device, path):
            raise CsiError(grpc.StatusCode.NOT_FOUND, f"volume {volume.id} is not mounted at {path}")
        return device


def _bind(source: Path, target: Path, readonly: bool) -> None:
    """Bind a directory or a device node to another path, which is created if missing."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    devices.run("mount", "--bind", str(source), str(target))
    if readonly:
        devices.run("mount", "-o", "remount,bind,ro", str(target))
