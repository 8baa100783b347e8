# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opens the file or block device of an upload without blocking, and detects later changes."""

from __future__ import annotations

import io
import os
import re
import stat
import typing as t

from .._kubernetes.errors import CdiError

_TO_FILE = "Write the output of a program to a file first."
_OTHERS: tuple[tuple[t.Callable[[int], bool], str, str], ...] = (
    (stat.S_ISDIR, "a directory", "With option paths, module volume_upload uploads the files in a directory."),
    (stat.S_ISFIFO, "a pipe", _TO_FILE),
    (stat.S_ISSOCK, "a socket", _TO_FILE),
    (stat.S_ISCHR, "a character device", _TO_FILE),
)


def open_source(path: str) -> io.FileIO:
    """Open a file or block device.

    Raises CdiError for anything without a size or that cannot be read twice, and for a missing file.
    """
    try:
        _refuse_others(path, os.stat(path).st_mode)
        # Do not block if the path has become a pipe since the check.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as exc:
        hint = "check path"
        if re.match(r"\w+:/", path):
            hint = "of URLs, module volume_upload accepts those of http and https; download the file first"
        raise CdiError(
            f"File {path} was not found on the host that runs the task ({os.uname().nodename}); {hint}."
        ) from exc
    except OSError as exc:
        raise unreadable(path, exc) from exc
    file = io.FileIO(descriptor, "rb")
    try:
        _refuse_others(path, os.fstat(descriptor).st_mode)
    except CdiError:
        file.close()
        raise
    return file


def unreadable(path: str, exc: OSError) -> CdiError:
    """The error of the operating system, with a remedy."""
    remedy = "run the task as a user who may read it (become)" if isinstance(exc, PermissionError) else "check path"
    return CdiError(
        f"Cannot read {path} on the host that runs the task ({os.uname().nodename}): {exc.strerror or exc}; {remedy}."
    )


def _refuse_others(path: str, mode: int) -> None:
    for test, what, remedy in _OTHERS:
        if test(mode):
            raise CdiError(f"{path} is {what}, which cannot be uploaded; set a file or a block device. {remedy}")


def size_of(descriptor: int) -> int:
    """The size in bytes, also of a block device, whose status has none."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return size


class FileIdentity(t.NamedTuple):
    """Detects a changed file by its times, because hashing it again would take as long as sending it.

    Two writes within one tick of the file system's clock, or to a memory map, are not detected. The times of a device
    do not change.
    """

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int
    is_device: bool

    @classmethod
    def of(cls, file: str | int) -> FileIdentity:
        """The identity of a path, or of an open file by its descriptor."""
        if isinstance(file, str):
            with open_source(file) as opened:
                return cls.of(opened.fileno())
        status = os.fstat(file)
        if stat.S_ISBLK(status.st_mode):
            position = os.lseek(file, 0, os.SEEK_CUR)
            size = os.lseek(file, 0, os.SEEK_END)
            os.lseek(file, position, os.SEEK_SET)
            return cls(status.st_rdev, 0, size, 0, 0, True)
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, False)
