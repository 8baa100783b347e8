# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian file systems for images, and the layer under CDI's with what its programs call."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.build.commands import output
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.errors import ClusterError

_PACKAGES = ("ca-certificates", "nbdkit", "qemu-utils")
_USERS = {"qemu": (107, "/"), "cdi": (1001, "/")}
_NOT_IN_LAYER = ("dev", "proc", "sys", "var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale")


def own_suite() -> str:
    """The release of this machine, which is the one whose packages its apt sources have."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise ClusterError("/etc/os-release names no VERSION_CODENAME: build the images on a Debian release.")


def mirror() -> str:
    """The address that the machine's apt sources have for the main component of its own release."""
    suite = own_suite()
    form = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
    targets = output(["apt-get", "indextargets", "--format", form, "Identifier: Packages"], cwd=Path("/"))
    for line in targets.splitlines():
        codename, component, address = line.split()
        if (codename, component) == (suite, "main"):
            return address
    raise ClusterError(f"The apt sources have no main component of {suite}: add it, then run apt-get update.")


def bootstrap(root: Path, suite: str, packages: Sequence[str] = ()) -> None:
    """Make the file system of a Debian release, with these packages, at `root`. Raises ClusterError."""
    if os.geteuid() != 0:
        raise ClusterError(f"The user with id {os.geteuid()} cannot make a Debian file system: run this as root.")
    if shutil.which("debootstrap") is None:
        raise ClusterError("debootstrap is not on this machine: run apt-get install debootstrap.")
    options = ["--variant=minbase", *([f"--include={','.join(packages)}"] if packages else [])]
    # Its own mount namespace: what debootstrap mounts ends with it, even when it is killed.
    output(["unshare", "--mount", "debootstrap", *options, suite, str(root), mirror()], cwd=root.parent)


def add_users(root: Path, users: Mapping[str, tuple[int, str]]) -> None:
    """Add users, each with a group of the same name and number: the number and the home directory by the name."""
    for name, (number, home) in users.items():
        with (root / "etc/passwd").open("a") as passwd, (root / "etc/group").open("a") as group:
            passwd.write(f"{name}:x:{number}:{number}::{home}:/usr/sbin/nologin\n")
            group.write(f"{name}:x:{number}:\n")


def write_layer(root: Path, archive: Path, without: Sequence[str] = ()) -> None:
    """Pack a file system without what a container never reads or the runtime mounts over, and without the contents
    of these directories."""
    left_out = tuple(f"./{path}/" for path in (*_NOT_IN_LAYER, *without))

    def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if entry.name.startswith(left_out) else entry

    with tarfile.open(archive, "w") as layer:
        layer.add(root, arcname=".", filter=kept)


def _build(target: Path, _built: Built) -> None:
    """Fill `target` with layer.tar."""
    root = target / "root"
    bootstrap(root, own_suite(), _PACKAGES)
    add_users(root, _USERS)
    write_layer(root, target / "layer.tar")
    shutil.rmtree(root)


BASE = Recipe("base", (Path(__file__),), _build, compiles=False)
