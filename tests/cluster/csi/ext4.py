# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system of Filesystem volumes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster.csi.devices import run

MIB = 1 << 20
BLOCK_BYTES = 4096
_JOURNAL_MIB = 4
_BYTES_PER_INODE = 65536
_INODE_BYTES = 256


def image_bytes(usable_bytes: int) -> int:
    """The size of a device on which an empty file system has `usable_bytes` for its user."""
    tables = usable_bytes * _INODE_BYTES // _BYTES_PER_INODE
    group_metadata = usable_bytes // 1024
    # The kernel reserves 2 % or 4096 clusters, whichever is less, for delayed allocation.
    kernel_reserve = min(usable_bytes // 50, 4096 * BLOCK_BYTES)
    size = usable_bytes + tables + group_metadata + kernel_reserve + (_JOURNAL_MIB + 4) * MIB
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def make(image: Path) -> None:
    """Format an image file.

    Always with blocks of 4 KiB: for small volumes mkfs uses 1 KiB, which a device with 4 KiB sectors cannot mount.
    """
    run(
        *("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^resize_inode", "-b", str(BLOCK_BYTES)),
        *("-i", str(_BYTES_PER_INODE), "-I", str(_INODE_BYTES), "-J", f"size={_JOURNAL_MIB}"),
        *("-E", "lazy_journal_init=1,nodiscard", str(image)),
    )


def file_system_bytes(device: Path) -> int:
    """The size in bytes in the superblock of an ext4 file system."""
    with device.open("rb") as stream:
        stream.seek(1024)
        superblock = stream.read(1024)
    low, log_block_kib, high = (int.from_bytes(superblock[at : at + 4], "little") for at in (0x4, 0x18, 0x150))
    return (high << 32 | low) * (1024 << log_block_kib)


def grow_unmounted(device: Path) -> None:
    """Grow the file system to the size of its device."""
    try:
        run("e2fsck", "-f", "-p", str(device))
    except subprocess.CalledProcessError as error:
        if error.returncode != 1:  # 1: errors found and corrected
            raise
    run("resize2fs", str(device))


def grow_mounted(device: Path) -> bool:
    """Grow a mounted file system. Returns False if this process lacks the capability (CAP_SYS_RESOURCE)."""
    try:
        run("resize2fs", str(device))
    except subprocess.CalledProcessError as error:
        if "Permission denied" not in error.stderr:
            raise
        return False
    return True
