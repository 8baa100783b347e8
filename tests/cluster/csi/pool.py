# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage pool: an XFS file system with reflink in a sparse file, mounted at a directory that the drivers share."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.cluster.csi import devices
from tests.cluster.errors import ClusterError

# From linux/fs.h: _IOW(0x94, 9, int).
FICLONE = 0x40049409
_RELEASE_SECONDS = 10


def create_pool(image: Path, mount_point: Path, size_bytes: int) -> None:
    """Mount the pool, and create its file if missing. A mounted pool stays unchanged. Raises ClusterError."""
    mount_point.mkdir(parents=True, exist_ok=True)
    try:
        if not image.exists():
            image.parent.mkdir(parents=True, exist_ok=True)
            partial = image.with_suffix(".partial")
            with partial.open("wb") as stream:
                stream.truncate(size_bytes)
            devices.run("mkfs.xfs", "-q", "-f", "-m", "reflink=1", str(partial))
            partial.rename(image)
        if not os.path.ismount(mount_point):
            devices.run("mount", "-o", "loop", str(image), str(mount_point))
    except FileNotFoundError as error:
        raise ClusterError(f"{error.filename} is not on this machine: install the package that contains it.") from None
    except subprocess.CalledProcessError as error:
        text = error.stderr.strip().replace("\n", " ")
        raise ClusterError(
            f"The pool {image} cannot be mounted at {mount_point}: {text} (requires root, loop devices and XFS)."
        ) from None


def remove_pool(image: Path, mount_point: Path, seconds: float = _RELEASE_SECONDS) -> None:
    """Unmount all volumes and the pool, free their loop devices and delete the file of the pool.

    Pods and drivers must have ended, or end within `seconds`. Raises ClusterError that names what is still in use.
    """
    deadline = time.monotonic() + seconds
    while os.path.ismount(mount_point):
        try:
            for device in _attached(mount_point):
                _release(device)
            devices.unmount(mount_point)
        except (OSError, subprocess.CalledProcessError) as error:
            if time.monotonic() > deadline:
                text = str(error) if isinstance(error, OSError) else error.stderr.strip()
                raise ClusterError(
                    f"The pool {mount_point} is in use ({text}): end the processes that use it."
                ) from None
            time.sleep(0.1)
    image.unlink(missing_ok=True)


def _release(device: Path) -> None:
    for mount in reversed(devices.mounts_of(device)):
        if mount.file_system == "ext4":
            devices.thaw(mount.target)  # a frozen file system would remain, unmounted and unreachable
        devices.unmount(mount.target)
    devices.detach(device)


def _attached(mount_point: Path) -> list[Path]:
    """The loop devices on a mounted pool, the topmost first: the kubelet adds a loop device to each block volume."""
    pool_device = mount_point.stat().st_dev
    attached = devices.loop_devices()
    volumes = [device for device in attached if device.back_device == pool_device]
    above = [device for device in attached if any(device.is_on(volume.path) for volume in volumes)]
    return [device.path for device in [*above, *volumes]]


def check_pool(pool: Path) -> None:
    """Raises ClusterError when the pool cannot hold snapshots."""
    if not pool.is_dir():
        raise ClusterError(f"The pool {pool} is not a directory: mount an XFS file system with reflink there.")
    source, target = (pool / f".reflink-{os.getpid()}-{end}" for end in ("source", "target"))
    try:
        source.write_bytes(b"reflink")
        clone_file(source, target)
    except OSError as error:
        raise ClusterError(
            f"The pool {pool} cannot clone files ({error.strerror}): mount an XFS file system with reflink."
        ) from None
    finally:
        source.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


def clone_file(source: Path, target: Path) -> None:
    """Copy a file by sharing its blocks; the target appears only when it is complete.

    Raises OSError: ENOENT without the source, ENOSPC in a full pool.
    """
    partial = target.with_suffix(".partial")
    with source.open("rb") as reader, partial.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
            os.fsync(writer.fileno())
        except OSError:
            partial.unlink()
            raise
    partial.rename(target)


def free_bytes(pool: Path) -> int:
    """The free space of the pool in bytes."""
    return shutil.disk_usage(pool).free


def require_free(pool: Path, needed_bytes: int) -> None:
    """Raises OSError (ENOSPC) if the pool has less free space."""
    free = free_bytes(pool)
    if needed_bytes > free:
        raise OSError(errno.ENOSPC, f"{needed_bytes} bytes requested, {free} bytes free in {pool}")
