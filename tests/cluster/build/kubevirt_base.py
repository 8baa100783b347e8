# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian release with libvirt and QEMU for KubeVirt: the layer under its images, and packages of a kernel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.cluster.build.commands import output
from tests.cluster.build.debian import add_users, bootstrap, write_layer
from tests.cluster.build.recipe import Built, Recipe

# The first release whose libvirt and QEMU are new enough, whatever release this machine has.
_SUITE = "trixie"
_PACKAGES = (
    *("qemu-system-x86", "qemu-utils", "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients"),
    *("swtpm", "swtpm-tools", "passt", "nftables", "xorriso", "procps", "iproute2", "acl"),
)
_GUEST_PACKAGES = ("linux-image-cloud-amd64", "busybox-static")
_QEMU = 107
_USERS = {"qemu": (_QEMU, "/home/qemu"), "kubevirt": (1001, "/")}
# Directories that QEMU's user writes to.
_OF_QEMU = ("home/qemu", "var/cache/libvirt/qemu", "var/log/libvirt/qemu")
_NOT_IN_LAYER = ("usr/share/info", "usr/share/man", "var/cache/debconf", "var/cache/ldconfig")
_APT = ("apt-get", "--yes", "--quiet", "-o", "Dpkg::Use-Pty=0")
# Debian has no virtqemud: libvirtd serves the same. KubeVirt looks for a process and a socket of that name.
_VIRTQEMUD = """#!/bin/sh
mkdir -p /var/run/libvirt
ln -sf libvirt-sock /var/run/libvirt/virtqemud-sock
exec /usr/libexec/kubevirt/virtqemud "$@"
"""


def _build(target: Path, _built: Built) -> None:
    """Fill `target` with layer.tar, and with `guest`, which has the packages of a kernel and of busybox."""
    root = target / "root"
    bootstrap(root, _SUITE)
    # Before the packages, which take free numbers for their own users.
    add_users(root, _USERS)
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    _inside(root, *_APT, "install", "--no-install-recommends", *_PACKAGES)
    _inside(root, "apt-get", "clean")
    _inside(root, *_APT, "install", "--download-only", "--no-install-recommends", *_GUEST_PACKAGES)
    (target / "guest").mkdir()
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        package.rename(target / "guest" / package.name)
    _prepare(root)
    write_layer(root, target / "layer.tar", _NOT_IN_LAYER)
    shutil.rmtree(root)


def _inside(root: Path, *command: str) -> None:
    """Run a command in the file system, with its own mounts and processes."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--root={root}", "--mount-proc=/proc"]
    output([*namespaces, *command], cwd=root.parent, env={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})


def _prepare(root: Path) -> None:
    """Make the file system as KubeVirt requires it."""
    # Relative, because virt-handler follows it from outside of the container.
    (root / "var/run").unlink()
    (root / "var/run").symlink_to("../run")
    daemon = root / "usr/libexec/kubevirt/virtqemud"
    daemon.parent.mkdir(parents=True)
    shutil.copy2(root / "usr/sbin/libvirtd", daemon)
    script = root / "usr/sbin/virtqemud"
    script.write_text(_VIRTQEMUD)
    script.chmod(0o755)
    for log in (root / "var/log").rglob("*"):
        if log.is_file():
            log.unlink()
    for name in _OF_QEMU:
        directory = root / name
        directory.mkdir(parents=True, exist_ok=True)
        os.chown(directory, _QEMU, _QEMU)


BASE = Recipe("kubevirt-base", (Path(__file__), Path(__file__).with_name("debian.py")), _build, compiles=False)
