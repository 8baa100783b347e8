# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Features of the CSI driver, beyond the CSI specification, that the tests of the collection rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from tests.cluster.csi import devices, ext4
from tests.cluster.csi.pool import create_pool, remove_pool
from tests.cluster.csi.protos import csi, registration, registration_grpc
from tests.cluster.errors import ClusterError
from tests.cluster_tests.csi_driver import ALL_FEATURES, MIB, PLAIN, REPOSITORY, THIN, Driver, snapshot_source

Start = Callable[..., Driver]
_THIN_OPTIONS = ("--driver-name", THIN, "--features", ALL_FEATURES)


def failure(call: Callable[..., object], *arguments: object, **keywords: object) -> tuple[grpc.StatusCode, str]:
    """The status code and the details with which a call fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **keywords)
    return caught.value.code(), caught.value.details() or ""


@pytest.mark.parametrize("size", [1 * MIB, 10 * MIB, 1024 * MIB, 20 * 1024 * MIB])
def test_file_system_has_the_requested_free_space(start_driver: Start, pool: Path, size: int) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    volume_id = driver.create("sized", size)
    with driver.staged(volume_id) as directory:
        stats = os.statvfs(directory)
        assert stats.f_bavail * stats.f_frsize >= size
    image = pool / THIN / "volumes" / f"{volume_id}.img"
    assert image.stat().st_size <= size * 1.03 + 8 * MIB
    assert image.stat().st_blocks * 512 < 4 * MIB, "a new volume uses almost no space of the pool"


def test_mounted_volume_grows_when_it_is_staged_again(start_driver: Start) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    volume_id = driver.create("growing", 64 * MIB)
    with driver.staged(volume_id) as directory:
        (directory / "data").write_bytes(b"kept")
        request = csi.ControllerExpandVolumeRequest(volume_id=volume_id, capacity_range={"required_bytes": 256 * MIB})
        assert driver.controller.ControllerExpandVolume(request).node_expansion_required
        expand = csi.NodeExpandVolumeRequest(volume_id=volume_id, volume_path=str(directory))
        if _may_resize():
            driver.node.NodeExpandVolume(expand)
        else:
            code, details = failure(driver.node.NodeExpandVolume, expand)
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert "CAP_SYS_RESOURCE" in details
    with driver.staged(volume_id) as directory:
        stats = os.statvfs(directory)
        assert stats.f_bavail * stats.f_frsize >= 255 * MIB
        assert (directory / "data").read_bytes() == b"kept"


def _may_resize() -> bool:
    """Whether this process has CAP_SYS_RESOURCE (bit 24 in linux/capability.h)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> 24 & 1)


def test_block_volume_grows_while_in_use(start_driver: Start) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    volume_id = driver.create("device", 64 * MIB, "Block")
    with driver.staged(volume_id, "Block") as device:
        assert devices.device_bytes(device) == 64 * MIB
        request = csi.ControllerExpandVolumeRequest(volume_id=volume_id, capacity_range={"required_bytes": 128 * MIB})
        driver.controller.ControllerExpandVolume(request)
        assert devices.device_bytes(device) == 128 * MIB


def test_snapshot_under_load_has_a_clean_file_system(start_driver: Start, pool: Path) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    volume_id = driver.create("busy", 256 * MIB)
    stop = threading.Event()

    def load(directory: Path) -> None:
        number = 0
        while not stop.is_set():
            (directory / str(number % 50)).write_bytes(os.urandom(MIB))
            number += 1

    with driver.staged(volume_id) as directory:
        writer = threading.Thread(target=load, args=(directory,))
        writer.start()
        try:
            for number in range(5):
                request = csi.CreateSnapshotRequest(name=f"snapshot-{number}", source_volume_id=volume_id)
                snapshot = driver.controller.CreateSnapshot(request).snapshot
                restored = driver.create(f"restored-{number}", 256 * MIB, source=snapshot_source(snapshot.snapshot_id))
                check = ["e2fsck", "-f", "-n", str(pool / THIN / "volumes" / f"{restored}.img")]
                assert subprocess.run(check, capture_output=True, check=False).returncode == 0
        finally:
            stop.set()
            writer.join()


def test_clone_can_be_larger_and_is_independent(start_driver: Start) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    source_id = driver.create("origin", 64 * MIB)
    with driver.staged(source_id) as directory:
        (directory / "data").write_bytes(b"origin")
        clone_id = driver.create("clone", 128 * MIB, source={"volume": {"volume_id": source_id}})
        (directory / "data").write_bytes(b"changed")
    with driver.staged(clone_id) as directory:
        assert (directory / "data").read_bytes() == b"origin"
        stats = os.statvfs(directory)
        assert stats.f_bavail * stats.f_frsize >= 127 * MIB


def test_concurrent_calls_keep_volumes_apart(start_driver: Start) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    origin = driver.create("origin", 64 * MIB)

    def use(number: int) -> bytes:
        clone = driver.create(f"clone-{number}", 64 * MIB, source={"volume": {"volume_id": origin}})
        with driver.staged(clone) as directory:
            (directory / "data").write_text(str(number), encoding="ascii")
        with driver.staged(clone) as directory:
            content = (directory / "data").read_bytes()
        driver.controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=clone))
        return content

    with ThreadPoolExecutor(16) as executor:
        assert list(executor.map(use, range(64))) == [str(number).encode() for number in range(64)]


def test_preallocation_is_visible_in_the_volume(start_driver: Start) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    with driver.staged(driver.create("thick", 64 * MIB)) as directory:
        with (directory / "disk.img").open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, 64 * MIB)
            assert os.fstat(stream.fileno()).st_blocks * 512 >= 64 * MIB
        stats = os.statvfs(directory)
        assert stats.f_bavail * stats.f_frsize < 8 * MIB


def test_full_pool_refuses_volumes(start_driver: Start) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    free = driver.controller.GetCapacity(csi.GetCapacityRequest()).available_capacity
    volume_id = driver.create("fits", free)
    code, details = failure(driver.create, "too-large", free + 1024 * MIB)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "bytes free" in details
    request = csi.ControllerExpandVolumeRequest(volume_id=volume_id, capacity_range={"required_bytes": 3 * free})
    assert failure(driver.controller.ControllerExpandVolume, request)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    remaining = driver.controller.GetCapacity(csi.GetCapacityRequest()).available_capacity
    with driver.staged(driver.create("filler", remaining // 2)) as directory, (directory / "data").open("wb") as stream:
        stream.write(bytes(64 * MIB))
        os.fsync(stream.fileno())
        after = driver.controller.GetCapacity(csi.GetCapacityRequest()).available_capacity
        assert remaining - after >= 60 * MIB


def test_block_only_class_refuses_file_systems(start_driver: Start) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    code, details = failure(driver.create, "files", 64 * MIB, "Filesystem", volumeModes="Block")
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "the class offers no Filesystem volumes, only Block: request another volumeMode"
    assert driver.create("device", 64 * MIB, "Block", volumeModes="Block")
    code, details = failure(driver.create, "typo", 64 * MIB, "Block", volumeMode="Block")
    assert (code, details) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "unknown class parameter volumeMode: the driver knows volumeModes",
    )


def test_plain_driver_has_no_features(start_driver: Start) -> None:
    driver = start_driver("--driver-name", PLAIN)
    volume_id = driver.create("plain", 64 * MIB)
    code, details = failure(driver.create, "clone", 64 * MIB, source={"volume": {"volume_id": volume_id}})
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "creates no volumes from a volume" in details
    request = csi.CreateSnapshotRequest(name="snapshot", source_volume_id=volume_id)
    assert failure(driver.controller.CreateSnapshot, request)[0] is grpc.StatusCode.UNIMPLEMENTED


def test_killed_driver_recovers(start_driver: Start, pool: Path) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    volume_id = driver.create("survivor", 64 * MIB)
    with driver.staged(volume_id) as directory:
        driver.stop(signal.SIGKILL)
        # What a driver leaves that is killed during a snapshot and the creation of a volume.
        devices.freeze(directory)
        orphan = pool / THIN / "volumes" / "orphan.img"
        orphan.touch()
        driver.start()
        assert not devices.thaw(directory), "the new driver thaws the file system"
        (directory / "data").write_bytes(b"written")
        assert not orphan.exists()
        listed = driver.controller.ListVolumes(csi.ListVolumesRequest()).entries
        assert [entry.volume.volume_id for entry in listed] == [volume_id]
        assert driver.create("survivor", 64 * MIB) == volume_id


def test_second_node_mounts_what_the_first_manages(start_driver: Start, pool: Path) -> None:
    first = start_driver(*_THIN_OPTIONS)
    unfinished = pool / THIN / "volumes" / "unfinished.img"
    unfinished.touch()
    with tempfile.TemporaryDirectory() as directory:
        second = Driver(pool, Path(directory), *_THIN_OPTIONS, "--node-only")
        try:
            assert unfinished.exists(), "a start removes what another driver is creating"
            volume_id = first.create("moving", 64 * MIB)
            with first.staged(volume_id) as mounted:
                (mounted / "data").write_bytes(b"of the first node")
            with second.staged(volume_id) as mounted:
                assert (mounted / "data").read_bytes() == b"of the first node"
                (mounted / "data").write_bytes(b"of the second node")
            with first.staged(volume_id) as mounted:
                assert (mounted / "data").read_bytes() == b"of the second node"
            with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
                second.create("refused", 64 * MIB)
            first.controller.DeleteVolume(csi.DeleteVolumeRequest(volume_id=volume_id))
            with pytest.raises(grpc.RpcError, match="NOT_FOUND"), second.staged(volume_id):
                pass
        finally:
            second.stop()


def test_driver_registers_with_the_kubelet(start_driver: Start) -> None:
    with tempfile.TemporaryDirectory() as directory:
        driver = start_driver(*_THIN_OPTIONS, "--registration-dir", directory)
        socket = Path(directory) / f"{THIN}-reg.sock"
        with grpc.insecure_channel(f"unix://{socket}") as channel:
            stub = registration_grpc.RegistrationStub(channel)
            info = stub.GetInfo(registration.InfoRequest(), wait_for_ready=True, timeout=10)
    assert (info.type, info.name, info.endpoint) == ("CSIPlugin", THIN, str(driver.socket))


def test_remove_pool_removes_mounts_and_loop_devices(start_driver: Start, tmp_path: Path) -> None:
    image, mount_point = tmp_path / "second.img", tmp_path / "second"
    create_pool(image, mount_point, 1024 * MIB)
    create_pool(image, mount_point, 1024 * MIB)
    driver = start_driver(*_THIN_OPTIONS, "--pool", str(mount_point))
    files, device = driver.create("files", 64 * MIB), driver.create("device", 64 * MIB, "Block")
    staged = driver.staged(files), driver.staged(device, "Block")
    paths = [volume.__enter__() for volume in staged]
    devices.freeze(paths[0])
    devices.attach(paths[1])  # as the kubelet does for a pod's block volume
    driver.stop(signal.SIGKILL)

    remove_pool(image, mount_point)

    assert not image.exists()
    gone = (mount_point, driver.directory)
    assert not [mount for mount in devices.mounts() if any(map(mount.target.is_relative_to, gone))]
    assert not [loop for loop in devices.loop_devices() if any(map(Path(loop.back_file).is_relative_to, gone))]


def test_remove_pool_names_a_mount_in_use(start_driver: Start, pool: Path) -> None:
    driver = start_driver(*_THIN_OPTIONS)
    with (
        driver.staged(driver.create("busy", MIB)) as directory,
        (directory / "data").open("wb"),
        pytest.raises(ClusterError, match=r"target is busy.*end the processes"),
    ):
        remove_pool(pool.with_suffix(".img"), pool, seconds=0)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--pool", "/nonexistent", "error: The pool /nonexistent is not a directory: mount an XFS file system"),
        ("--pool", "/proc", "error: The pool /proc cannot clone files"),
        ("--features", "snapshots", "error: --features contains snapshots: use clone, expand, snapshot."),
        ("--endpoint", "csi.sock", "error: --endpoint is 'csi.sock': use unix:///path/csi.sock."),
        ("--endpoint", "unix:///" + "long/" * 21 + "csi.sock", "error: The socket path /long/"),
    ],
)
def test_wrong_option_prints_one_sentence(pool: Path, option: str, value: str, message: str) -> None:
    options = {"--driver-name": THIN, "--node-id": "node", "--endpoint": "unix:///nonexistent/csi.sock"}
    options |= {"--pool": str(pool), option: value}
    command = [sys.executable, "-m", "tests.cluster.csi", *(word for pair in options.items() for word in pair)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(message) and len(result.stderr.splitlines()) == 1


def test_image_bytes_are_whole_blocks() -> None:
    assert ext4.image_bytes(1_000_001) % ext4.BLOCK_BYTES == 0
