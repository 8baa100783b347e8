# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that option `paths` names, and the names of their volumes. Only `files_of` looks at the file system."""

from __future__ import annotations

import glob
import os
import re
import stat
import typing as t

from .._ansible.values import name_problem
from .._image.file import unreadable
from .._kubernetes.errors import CdiError

# Of images, archives and compressions.
_SUFFIXES = re.compile(r"(\.(qcow2|img|raw|iso|vmdk|vdi|vhdx?|tar|gz|xz|zst|tgz|txz|tzst))+\Z")


def volume_name(path: str) -> str:
    """The name of a file as that of a volume: `Debian_12.5.raw.xz` is `debian-12-5`. It can be empty or too long."""
    stem = _SUFFIXES.sub("", os.path.basename(path).lower())
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")


def named(files: t.Iterable[str]) -> dict[str, str]:
    """The files by the names of their volumes. Raises CdiError for a file without a valid name of its own."""
    found: dict[str, str] = {}
    for path in files:
        name = volume_name(path)
        problem = name_problem(name) if name else "is empty"
        if problem:
            raise CdiError(
                f"The name of the volume for {path} would be {name!r}, which {problem}. Rename the file, or set it in "
                "uploads with a name."
            )
        if name in found:
            raise CdiError(
                f"{found[name]} and {path} would both be uploaded to volume {name}; set them in uploads with different "
                "names."
            )
        found[name] = path
    return found


def files_of(items: t.Iterable[str]) -> list[str]:
    """The files and block devices that the items name, sorted. Each is listed once.

    An item is a file, a directory (the files in it that are not hidden) or a pattern of Python's `glob`, in which `**`
    matches any directories. Raises CdiError if an item has no file, and for what cannot be read: also a broken link.
    """
    found: dict[tuple[str, str], str] = {}
    for item in items:
        files = [path for path in _candidates(item) if _is_file(path)]
        if not files:
            raise CdiError(
                f"No file was found for {item!r} in paths on the host that runs the task ({os.uname().nodename}); "
                "correct it, or run the task as a user who may read the directory (become)."
            )
        for path in files:
            folder, name = os.path.split(path)
            found.setdefault((os.path.realpath(folder), name), path)
    return sorted(found.values())


def _candidates(item: str) -> list[str]:
    if not os.path.isdir(item):
        return [item] if os.path.exists(item) else glob.glob(item, recursive=True)
    try:
        return [os.path.join(item, name) for name in os.listdir(item) if not name.startswith(".")]
    except OSError as exc:
        raise unreadable(item, exc) from exc


def _is_file(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError as exc:
        raise unreadable(path, exc) from exc
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)
