# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process of the CSI driver under test, and the calls that the tests need."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc

from tests.cluster.csi.protos import csi, csi_grpc

REPOSITORY = Path(__file__).parents[2]
MIB = 1 << 20
THIN = "thin.csi.kubevirt-cdi.test"
PLAIN = "plain.csi.kubevirt-cdi.test"
ALL_FEATURES = "snapshot,clone,expand"
_SECONDS = 60


def capability(mode: str) -> csi.VolumeCapability:
    """The capability of a volume with that mode (Filesystem or Block) and a single writer."""
    access_mode = csi.VolumeCapability.AccessMode(mode=csi.VolumeCapability.AccessMode.SINGLE_NODE_WRITER)
    if mode == "Block":
        return csi.VolumeCapability(access_mode=access_mode, block={})
    return csi.VolumeCapability(access_mode=access_mode, mount={"fs_type": "ext4"})


class Driver:
    """A running driver; `controller` and `node` are its services."""

    def __init__(self, pool: Path, directory: Path, *options: str) -> None:
        self.socket = directory / "csi.sock"
        self.directory = directory
        self._command = [sys.executable, "-m", "tests.cluster.csi", "--endpoint", f"unix://{self.socket}"]
        self._command += ["--node-id", "node", "--pool", str(pool), *options]
        self.start()

    def start(self) -> None:
        """Start the process and wait until it serves."""
        self._process = subprocess.Popen(self._command, cwd=REPOSITORY)
        self._channel = grpc.insecure_channel(f"unix://{self.socket}")
        ready = grpc.channel_ready_future(self._channel)
        while self._process.poll() is None:
            with suppress(grpc.FutureTimeoutError):
                ready.result(timeout=0.5)
                break
        else:
            raise AssertionError(f"the driver ended with {self._process.returncode}")
        self.controller = csi_grpc.ControllerStub(self._channel)
        self.node = csi_grpc.NodeStub(self._channel)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """End the process and wait for it."""
        self._process.send_signal(with_signal)
        self._process.wait(timeout=_SECONDS)
        self._channel.close()

    def create(self, name: str, size: int, mode: str = "Filesystem", source: Any = None, **parameters: str) -> str:
        """Create a volume and return its id."""
        request = csi.CreateVolumeRequest(
            name=name,
            capacity_range={"required_bytes": size},
            volume_capabilities=[capability(mode)],
            volume_content_source=source,
            parameters=parameters,
        )
        volume_id: str = self.controller.CreateVolume(request).volume.volume_id
        return volume_id

    @contextmanager
    def staged(self, volume_id: str, mode: str = "Filesystem") -> Iterator[Path]:
        """The volume as a pod sees it: a directory or a block device."""
        staging, target = (self.directory / f"{kind}-{volume_id}" for kind in ("staging", "target"))
        volume = {"volume_id": volume_id, "volume_capability": capability(mode)}
        self.node.NodeStageVolume(csi.NodeStageVolumeRequest(**volume, staging_target_path=str(staging)))
        self.node.NodePublishVolume(
            csi.NodePublishVolumeRequest(**volume, staging_target_path=str(staging), target_path=str(target))
        )
        yield target
        self.node.NodeUnpublishVolume(csi.NodeUnpublishVolumeRequest(volume_id=volume_id, target_path=str(target)))
        self.node.NodeUnstageVolume(csi.NodeUnstageVolumeRequest(volume_id=volume_id, staging_target_path=str(staging)))


def snapshot_source(snapshot_id: str) -> Mapping[str, Any]:
    """The volume_content_source of a volume created from a snapshot."""
    return {"snapshot": {"snapshot_id": snapshot_id}}
