# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices and their mounts, always read from the kernel: this module keeps no state."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# From linux/fs.h: _IOWR('X', 119, int) and _IOWR('X', 120, int).
FIFREEZE = 0xC0045877
FITHAW = 0xC0045878
_RELEASE_SECONDS = 5


def run(*command: str) -> str:
    """The output of the command. Raises subprocess.CalledProcessError, with the error output."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class LoopDevice:
    """An attached loop device; the device and inode numbers identify its file."""

    path: Path
    back_file: str
    back_device: int
    back_inode: int

    def is_on(self, file: Path) -> bool:
        """Whether this device is attached to the file (or block device) at that path."""
        status = file.stat()
        return (self.back_device, self.back_inode) == (status.st_dev, status.st_ino)


@dataclass(frozen=True)
class Mount:
    """A line of the mount table: a file system on a device, or the node of the device itself (a block volume)."""

    target: Path
    source: str
    root: str
    file_system: str

    def is_of(self, device: Path) -> bool:
        """Whether this mounts the device's file system or binds the device node itself."""
        node = self.file_system == "devtmpfs" and self.root == f"/{device.name}"
        return node or self.source.partition("[")[0] == str(device)


def _rows(output: str, key: str) -> list[dict[str, Any]]:
    """The table in the JSON output of a util-linux command, which prints nothing for an empty table."""
    rows: list[dict[str, Any]] = json.loads(output)[key] if output.strip() else []
    return rows


def loop_devices() -> list[LoopDevice]:
    """All attached loop devices of the machine."""
    rows = _rows(run("losetup", "--json", "--list", "--output", "NAME,BACK-FILE,BACK-MAJ:MIN,BACK-INO"), "loopdevices")
    devices = []
    for row in rows:
        if row["back-maj:min"] is None:  # freed while the table was read
            continue
        major, minor = (int(number) for number in row["back-maj:min"].split(":"))
        devices.append(
            LoopDevice(Path(row["name"]), row["back-file"] or "", os.makedev(major, minor), int(row["back-ino"]))
        )
    return devices


def find_loop(file: Path) -> Path | None:
    """The loop device of a file, or None."""
    return next((device.path for device in loop_devices() if device.is_on(file)), None)


def attach(file: Path) -> Path:
    """Attach a file to a loop device, or return its device. Writes bypass the page cache, so reflinks contain them."""
    output = run("losetup", "--find", "--show", "--nooverlap", "--direct-io=on", str(file))
    return Path(output.strip())


def detach(device: Path) -> None:
    """Free a loop device. Raises OSError (EBUSY) if other processes keep it open.

    The kernel frees it at the last close, and every `losetup` on the machine briefly opens all devices.
    """
    before = _backing_file(device)
    run("losetup", "--detach", str(device))
    deadline = time.monotonic() + _RELEASE_SECONDS
    while before and _backing_file(device) == before:
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, f"{device} is still open")
        time.sleep(0.01)


def _backing_file(device: Path) -> str:
    """The file of the device as the kernel names it, "" for a free device."""
    try:
        return Path("/sys/block", device.name, "loop/backing_file").read_text(encoding="utf-8")
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
        return ""


def device_bytes(device: Path) -> int:
    """The current size of a block device in bytes."""
    descriptor = os.open(device, os.O_RDONLY)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


def mounts() -> list[Mount]:
    """The mount table of this process, in the order of mounting."""
    rows = _rows(run("findmnt", "--json", "--list", "--output", "TARGET,SOURCE,FSROOT,FSTYPE"), "filesystems")
    return [Mount(Path(row["target"]), row["source"] or "", row["fsroot"] or "", row["fstype"]) for row in rows]


def mounts_of(device: Path) -> list[Mount]:
    """The mounts of a device: of its file system or its node."""
    return [mount for mount in mounts() if mount.is_of(device)]


def is_mounted(device: Path, target: Path) -> bool:
    """Whether the device is mounted or bound at that path."""
    return target.resolve() in [mount.target for mount in mounts_of(device)]


def unmount(target: Path) -> None:
    """Unmount everything at a path."""
    resolved = target.resolve()
    for mount in mounts():
        if mount.target == resolved:
            run("umount", str(resolved))


def flush(device: Path) -> None:
    """Write the cached pages of a block device to it."""
    descriptor = os.open(device, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _freeze_ioctl(mount_point: Path, request: int) -> None:
    descriptor = os.open(mount_point, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, request, 0)
    finally:
        os.close(descriptor)


def freeze(mount_point: Path) -> None:
    """Write a clean file system to its device and block all writes until `thaw`."""
    _freeze_ioctl(mount_point, FIFREEZE)


def thaw(mount_point: Path) -> bool:
    """Allow writes to a frozen file system again. Returns False if it was not frozen."""
    try:
        _freeze_ioctl(mount_point, FITHAW)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True
