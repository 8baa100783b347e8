# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories with fixed paths that belong to the cluster, in its own mount namespace."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.csi import devices

_VAR_LIB = Path("/var/lib")
_SOURCE = "kubevirt-cdi-test"


def isolate(directories: Mapping[str, str], leave: Sequence[str] = ()) -> None:
    """Share mounts of pods inside the cluster only, and give programs with fixed paths private directories.

    First, leave the mounts of another node at and below these paths, which would otherwise keep its volumes in use.

    `directories` has for names in /var/lib the directories that hold their files. The machine's own /var/lib stays
    unchanged: it gets neither these directories nor those that components create, such as /var/lib/cni.
    """
    for mounted in reversed(devices.mounts()):
        if any(mounted.target.is_relative_to(path) for path in leave):
            subprocess.run(["umount", "--lazy", str(mounted.target)], check=True, stdin=subprocess.DEVNULL)
    mount("--make-rshared", "/")
    for directory in ("/run", "/var/log"):
        mount("-t", "tmpfs", _SOURCE, directory)
    _replace_var_lib(set(directories))
    for name, source in directories.items():
        Path(source).mkdir(parents=True, exist_ok=True)
        bind(Path(source), _VAR_LIB / name)


def bind(source: Path, target: Path) -> None:
    """Bind a directory so that the mounts below `target` do not appear below `source` as well."""
    target.mkdir(exist_ok=True)
    mount("--bind", str(source), str(target))
    mount("--make-private", str(target))
    mount("--make-shared", str(target))


def mount(*options: str) -> None:
    subprocess.run(["mount", *options], check=True, stdin=subprocess.DEVNULL)


def _replace_var_lib(without: set[str]) -> None:
    """Mount an empty directory at /var/lib, and in it the entries that the machine's has, except those `without`."""
    machine = Path("/run/machine-var-lib")
    machine.mkdir()
    mount("--rbind", str(_VAR_LIB), str(machine))
    mount("--make-rprivate", str(machine))
    mount("-t", "tmpfs", "-o", "mode=755", _SOURCE, str(_VAR_LIB))
    for entry in machine.iterdir():
        if entry.name in without:
            continue
        target = _VAR_LIB / entry.name
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
            continue
        target.mkdir() if entry.is_dir() else target.touch()
        mount("--rbind", str(entry), str(target))
    subprocess.run(["umount", "--recursive", "--lazy", str(machine)], check=True, stdin=subprocess.DEVNULL)
    machine.rmdir()
