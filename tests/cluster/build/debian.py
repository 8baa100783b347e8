# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian packages under the images: one layer with what CDI's programs call."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

from tests.cluster.build.commands import output
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.errors import ClusterError

_PACKAGES = ("ca-certificates", "nbdkit", "qemu-utils")
_USERS = {"qemu": 107, "cdi": 1001}
_NOT_IN_LAYER = ("dev", "proc", "sys", "var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale")


def _suite() -> str:
    """The release of this machine, which is the one whose packages its apt sources have."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise ClusterError("/etc/os-release names no VERSION_CODENAME: build the images on a Debian release.")


def _mirror(suite: str) -> str:
    """The address that the machine's apt sources have for the main component of the release."""
    form = "$(CODENAME) $(COMPONENT) $(REPO_URI)"
    targets = output(["apt-get", "indextargets", "--format", form, "Identifier: Packages"], cwd=Path("/"))
    for line in targets.splitlines():
        codename, component, address = line.split()
        if (codename, component) == (suite, "main"):
            return address
    raise ClusterError(f"The apt sources have no main component of {suite}: add it, then run apt-get update.")


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leaves out what a container never reads or the runtime mounts over."""
    return None if entry.name.startswith(tuple(f"./{path}/" for path in _NOT_IN_LAYER)) else entry


def _build(target: Path, _built: Built) -> None:
    """Fill `target` with layer.tar."""
    if os.geteuid() != 0:
        raise ClusterError(f"The user with id {os.geteuid()} cannot make a Debian file system: run this as root.")
    if shutil.which("debootstrap") is None:
        raise ClusterError("debootstrap is not on this machine: run apt-get install debootstrap.")
    suite = _suite()
    root = target / "root"
    options = ["--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    # Its own mount namespace: what debootstrap mounts ends with it, even when it is killed.
    output(["unshare", "--mount", "debootstrap", *options, suite, str(root), _mirror(suite)], cwd=target)
    for name, number in _USERS.items():
        with (root / "etc/passwd").open("a") as passwd, (root / "etc/group").open("a") as group:
            passwd.write(f"{name}:x:{number}:{number}::/:/usr/sbin/nologin\n")
            group.write(f"{name}:x:{number}:\n")
    with tarfile.open(target / "layer.tar", "w") as layer:
        layer.add(root, arcname=".", filter=_kept)
    shutil.rmtree(root)


BASE = Recipe("base", (Path(__file__),), _build, compiles=False)
