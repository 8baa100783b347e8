# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CSI controller service: creates, expands and deletes volumes and snapshots."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from tests.cluster.csi import capabilities, devices, ext4, pool
from tests.cluster.csi.errors import CsiError
from tests.cluster.csi.protos import csi
from tests.cluster.csi.volumes import FILESYSTEM, Record, Snapshot, State, Volume, new_id

_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f-]{36}")


class Controller:
    """The volumes of one driver in a pool, with these features (of snapshot, clone, expand)."""

    def __init__(self, state: State, pool_directory: Path, features: Set[str]) -> None:
        self._state = state
        self._pool = pool_directory
        self._features = features

    def ControllerGetCapabilities(self, request: Any, context: Any) -> csi.ControllerGetCapabilitiesResponse:
        names = ["CREATE_DELETE_VOLUME", "LIST_VOLUMES", "GET_CAPACITY", "SINGLE_NODE_MULTI_WRITER"]
        if "snapshot" in self._features:
            names += ["CREATE_DELETE_SNAPSHOT", "LIST_SNAPSHOTS"]
        if "clone" in self._features:
            names.append("CLONE_VOLUME")
        if "expand" in self._features:
            names.append("EXPAND_VOLUME")
        kind = csi.ControllerServiceCapability.RPC
        found = [csi.ControllerServiceCapability(rpc=kind(type=kind.Type.Value(name))) for name in names]
        return csi.ControllerGetCapabilitiesResponse(capabilities=found)

    def CreateVolume(self, request: Any, context: Any) -> csi.CreateVolumeResponse:
        name = capabilities.required(request.name, "name")
        mode = capabilities.requested_mode(request.volume_capabilities, capabilities.volume_modes(request.parameters))
        kind, source_id = _content_source(request.volume_content_source)
        with self._state.locked(name):
            volume = self._state.volumes.named(name)
            if volume is None:
                volume = self._make(name, mode, request.capacity_range, kind, source_id)
            elif (volume.mode, volume.source_kind, volume.source_id) != (mode, kind, source_id) or not (
                capabilities.in_range(volume.size_bytes, request.capacity_range)
            ):
                text = f"volume {name} exists with {volume.size_bytes} bytes, mode {volume.mode} or another source"
                raise CsiError(grpc.StatusCode.ALREADY_EXISTS, text)
        return csi.CreateVolumeResponse(volume=_volume_message(volume))

    def _make(self, name: str, mode: str, capacity: csi.CapacityRange, kind: str, source_id: str) -> Volume:
        source = self._source(kind, source_id, mode)
        size = capabilities.size_bytes(capacity, *([source.size_bytes] if source else []))
        if source and size < source.size_bytes:
            text = f"{size} bytes are less than the {source.size_bytes} bytes of the {kind} {source_id}"
            raise CsiError(grpc.StatusCode.OUT_OF_RANGE, text)
        image_bytes = ext4.image_bytes(size) if mode == FILESYSTEM else size
        pool.require_free(self._pool, image_bytes)
        volume = Volume(new_id(), name, mode, size, kind, source_id)
        image = self._state.volumes.image(volume.id)
        try:
            if isinstance(source, Snapshot):
                pool.clone_file(self._state.snapshots.image(source.id), image)
            elif source:
                self._copy_volume(source, image)
            else:
                image.touch()
            # A file system copied from the source grows when the volume is staged.
            os.truncate(image, image_bytes)
            if mode == FILESYSTEM and not source:
                ext4.make(image)
            self._state.volumes.put(volume)
        except Exception:
            image.unlink(missing_ok=True)
            raise
        return volume

    def _source(self, kind: str, source_id: str, mode: str) -> Volume | Snapshot | None:
        if not kind:
            return None
        if {"volume": "clone", "snapshot": "snapshot"}[kind] not in self._features:
            text = f"the driver creates no volumes from a {kind}: use a class of a driver with that feature"
            raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, text)
        store = self._state.volumes if kind == "volume" else self._state.snapshots
        source: Volume | Snapshot | None = store.get(source_id)
        if source is None:
            raise CsiError(grpc.StatusCode.NOT_FOUND, f"source {kind} {source_id} does not exist")
        if source.mode != mode:
            text = f"source {kind} {source_id} is a {source.mode} volume: request that volumeMode, not {mode}"
            raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, text)
        return source

    def _copy_volume(self, volume: Volume, target: Path) -> None:
        """Copy the bytes of a volume consistently, even when it is in use."""
        with self._state.locked(volume.id):
            try:
                image = self._state.volumes.image(volume.id)
                with _quiesced(devices.find_loop(image)):
                    pool.clone_file(image, target)
            except FileNotFoundError:
                raise CsiError(grpc.StatusCode.NOT_FOUND, f"volume {volume.id} was deleted during the copy") from None

    def DeleteVolume(self, request: Any, context: Any) -> csi.DeleteVolumeResponse:
        volume_id = capabilities.required(request.volume_id, "volume_id")
        with self._state.locked(volume_id):
            if self._state.volumes.get(volume_id):
                device = devices.find_loop(self._state.volumes.image(volume_id))
                if device:
                    text = f"volume {volume_id} is in use as {device}: unstage it first"
                    raise CsiError(grpc.StatusCode.FAILED_PRECONDITION, text)
                self._state.volumes.delete(volume_id)
        return csi.DeleteVolumeResponse()

    def ControllerExpandVolume(self, request: Any, context: Any) -> csi.ControllerExpandVolumeResponse:
        self._need("expand")
        volume_id = capabilities.required(request.volume_id, "volume_id")
        if not request.HasField("capacity_range"):
            raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, "capacity_range is missing from the request")
        with self._state.locked(volume_id):
            volume = self._volume(volume_id)
            size = max(volume.size_bytes, capabilities.size_bytes(request.capacity_range, volume.size_bytes))
            image = self._state.volumes.image(volume_id)
            image_bytes = ext4.image_bytes(size) if volume.mode == FILESYSTEM else size
            if image_bytes > image.stat().st_size:
                pool.require_free(self._pool, image_bytes - image.stat().st_size)
                os.truncate(image, image_bytes)
            device = devices.find_loop(image)
            if device:
                devices.run("losetup", "--set-capacity", str(device))
            self._state.volumes.put(replace(volume, size_bytes=size))
        return csi.ControllerExpandVolumeResponse(
            capacity_bytes=size, node_expansion_required=volume.mode == FILESYSTEM
        )

    def CreateSnapshot(self, request: Any, context: Any) -> csi.CreateSnapshotResponse:
        self._need("snapshot")
        name = capabilities.required(request.name, "name")
        source_id = capabilities.required(request.source_volume_id, "source_volume_id")
        with self._state.locked(name):
            snapshot = self._state.snapshots.named(name)
            if snapshot is None:
                volume = self._volume(source_id)
                snapshot = Snapshot(new_id(), name, volume.mode, volume.size_bytes, source_id, time.time_ns())
                self._copy_volume(volume, self._state.snapshots.image(snapshot.id))
                self._state.snapshots.put(snapshot)
            elif snapshot.source_id != source_id:
                text = f"snapshot {name} exists, of volume {snapshot.source_id}"
                raise CsiError(grpc.StatusCode.ALREADY_EXISTS, text)
        return csi.CreateSnapshotResponse(snapshot=_snapshot_message(snapshot))

    def DeleteSnapshot(self, request: Any, context: Any) -> csi.DeleteSnapshotResponse:
        self._need("snapshot")
        snapshot_id = capabilities.required(request.snapshot_id, "snapshot_id")
        with self._state.locked(snapshot_id):
            if self._state.snapshots.get(snapshot_id):
                self._state.snapshots.delete(snapshot_id)
        return csi.DeleteSnapshotResponse()

    def ValidateVolumeCapabilities(self, request: Any, context: Any) -> csi.ValidateVolumeCapabilitiesResponse:
        volume_id = capabilities.required(request.volume_id, "volume_id")
        volume = self._volume(volume_id)
        if not request.volume_capabilities:
            raise CsiError(grpc.StatusCode.INVALID_ARGUMENT, "volume_capabilities is missing from the request")
        try:
            capabilities.requested_mode(request.volume_capabilities, frozenset((volume.mode,)))
        except CsiError as error:
            return csi.ValidateVolumeCapabilitiesResponse(message=str(error))
        confirmed = csi.ValidateVolumeCapabilitiesResponse.Confirmed(
            volume_capabilities=request.volume_capabilities, parameters=request.parameters
        )
        return csi.ValidateVolumeCapabilitiesResponse(confirmed=confirmed)

    def GetCapacity(self, request: Any, context: Any) -> csi.GetCapacityResponse:
        """The size in bytes of the largest volume that fits into the pool now."""
        allowed = capabilities.volume_modes(request.parameters)
        mode = FILESYSTEM
        if request.volume_capabilities:
            mode = capabilities.requested_mode(request.volume_capabilities, allowed)
        available = pool.free_bytes(self._pool)
        if mode == FILESYSTEM:
            available = max(0, 2 * available - ext4.image_bytes(available))
        return csi.GetCapacityResponse(available_capacity=available, maximum_volume_size={"value": available})

    def ListVolumes(self, request: Any, context: Any) -> csi.ListVolumesResponse:
        page, token = _page(self._state.volumes.all(), request)
        entries = [csi.ListVolumesResponse.Entry(volume=_volume_message(volume)) for volume in page]
        return csi.ListVolumesResponse(entries=entries, next_token=token)

    def ListSnapshots(self, request: Any, context: Any) -> csi.ListSnapshotsResponse:
        self._need("snapshot")
        found = [
            snapshot
            for snapshot in self._state.snapshots.all()
            if request.snapshot_id in ("", snapshot.id) and request.source_volume_id in ("", snapshot.source_id)
        ]
        page, token = _page(found, request)
        entries = [csi.ListSnapshotsResponse.Entry(snapshot=_snapshot_message(snapshot)) for snapshot in page]
        return csi.ListSnapshotsResponse(entries=entries, next_token=token)

    def _need(self, feature: str) -> None:
        if feature not in self._features:
            raise CsiError(grpc.StatusCode.UNIMPLEMENTED, f"the driver runs without the feature {feature}")

    def _volume(self, volume_id: str) -> Volume:
        volume = self._state.volumes.get(volume_id)
        if volume is None:
            raise CsiError(grpc.StatusCode.NOT_FOUND, f"volume {volume_id} does not exist")
        return volume


@contextmanager
def _quiesced(device: Path | None) -> Iterator[None]:
    """Freeze the file system of a device for the duration of the block, or flush a device without one."""
    if device is None:
        yield
        return
    file_systems = [mount.target for mount in devices.mounts_of(device) if mount.file_system == "ext4"]
    if not file_systems:
        devices.flush(device)
        yield
        return
    devices.freeze(file_systems[0])
    try:
        yield
    finally:
        devices.thaw(file_systems[0])


def _content_source(source: csi.VolumeContentSource) -> tuple[str, str]:
    """The kind ("", "volume" or "snapshot") and the id of the source of a new volume."""
    kind = source.WhichOneof("type") or ""
    source_id = {"": "", "volume": source.volume.volume_id, "snapshot": source.snapshot.snapshot_id}[kind]
    return kind, capabilities.required(source_id, f"the id of the source {kind}") if kind else ""


def _page(records: Sequence[Record], request: Any) -> tuple[Sequence[Record], str]:
    """The records that start at the request's token, at most max_entries of them, and the token of the next page."""
    token = request.starting_token
    if token and not _ID.fullmatch(token):
        raise CsiError(grpc.StatusCode.ABORTED, f"starting_token {token!r} is not from this driver: start again")
    rest = [record for record in records if record.id >= token]
    if not request.max_entries or len(rest) <= request.max_entries:
        return rest, ""
    return rest[: request.max_entries], rest[request.max_entries].id


def _volume_message(volume: Volume) -> csi.Volume:
    source = None
    if volume.source_kind:
        source = csi.VolumeContentSource(**{volume.source_kind: {f"{volume.source_kind}_id": volume.source_id}})
    return csi.Volume(volume_id=volume.id, capacity_bytes=volume.size_bytes, content_source=source)


def _snapshot_message(snapshot: Snapshot) -> csi.Snapshot:
    message = csi.Snapshot(
        snapshot_id=snapshot.id,
        source_volume_id=snapshot.source_id,
        size_bytes=snapshot.size_bytes,
        ready_to_use=True,
    )
    message.creation_time.FromNanoseconds(snapshot.created)
    return message
