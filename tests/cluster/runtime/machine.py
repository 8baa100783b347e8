# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine needs: checked first, or installed from its own package sources."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.paths import cache_dir
from tests.cluster.runtime.profile import Profile

_FREE_BYTES = {"full": 15 << 30, "api": 3 << 30}
# Programs and the Debian packages that contain them.
_PROGRAMS = {
    "/usr/bin/containerd": "containerd",
    "/usr/bin/docker-registry": "docker-registry",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "/usr/sbin/conntrack": "conntrack",
    "/usr/sbin/debootstrap": "debootstrap",
    "/usr/sbin/ip": "iproute2",
    "/usr/sbin/iptables": "iptables",
    "/usr/sbin/mkfs.ext4": "e2fsprogs",
    "/usr/sbin/mkfs.xfs": "xfsprogs",
    "/usr/sbin/nginx": "nginx-full",
    "/usr/sbin/runc": "runc",
    "/usr/bin/curl": "curl",
    "/usr/bin/git": "git",
    "/usr/bin/openssl": "openssl",
    "/usr/bin/qemu-img": "qemu-utils",
    "/usr/bin/xz": "xz-utils",
    "/usr/bin/zstd": "zstd",
    "/usr/bin/socat": "socat",
}
# Of KubeVirt's programs, two call C. The guest for tests boots from an ISO image.
_KUBEVIRT = {
    "/usr/bin/gcc": "gcc",
    "/usr/bin/xorriso": "xorriso",
    "/usr/include/stdlib.h": "libc6-dev",
    "/usr/lib/ISOLINUX/isolinux.bin": "isolinux",
    "/usr/lib/syslinux/modules/bios/ldlinux.c32": "syslinux-common",
}
# Programs that create the files for the tests of uploads.
_FILE_TOOLS = {
    "/usr/bin/7z": "p7zip-full",
    "/usr/bin/bzip2": "bzip2",
    "/usr/bin/compress": "ncompress",
    "/usr/bin/cpio": "cpio",
    "/usr/bin/lz4": "lz4",
    "/usr/bin/lzip": "lzip",
    "/usr/bin/lzop": "lzop",
    "/usr/bin/openssl": "openssl",
    "/usr/bin/qemu-img": "qemu-utils",
    "/usr/bin/xorriso": "xorriso",
    "/usr/bin/xz": "xz-utils",
    "/usr/bin/zstd": "zstd",
    "/usr/sbin/mkfs.xfs": "xfsprogs",
    "/usr/sbin/sfdisk": "fdisk",
}
_BROWSER = {"/usr/bin/chromium": "chromium"}
_POLICY = Path("/usr/sbin/policy-rc.d")


def check_machine(profile: Profile) -> None:
    """Raises ClusterError with a remedy when a cluster of this profile cannot run here."""
    if os.geteuid() != 0:
        raise ClusterError(
            f"The test cluster creates namespaces and mounts, which user {os.geteuid()} cannot: run this as root."
        )
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        raise ClusterError("The test cluster installs Debian packages, and this machine has no apt-get: use Debian 12.")
    if profile.name == "full" and not Path("/sys/fs/cgroup").is_dir():
        raise ClusterError(
            "The kubelet needs cgroups at /sys/fs/cgroup, and there are none: mount them, or use --profile api."
        )
    for directory in (cache_dir(), profile.state):
        directory.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(directory).free
        if free < _FREE_BYTES[profile.name]:
            raise ClusterError(
                f"{directory} has {free >> 30} GiB of free space and needs {_FREE_BYTES[profile.name] >> 30} GiB: "
                "free some space, or set XDG_CACHE_HOME and XDG_STATE_HOME to a larger disk."
            )


def check_address(profile: Profile) -> None:
    """Raises ClusterError when the machine already uses the cluster's address."""
    with socket.socket() as probe:
        try:
            probe.bind((profile.host_address, 0))
        except OSError:
            return
    raise ClusterError(
        f"This machine already has the address {profile.host_address}: remove it from its interface first."
    )


def install_packages() -> None:
    """Install the programs that the cluster needs, without starting a service of the machine."""
    _install(_PROGRAMS)


def install_kubevirt_tools() -> None:
    """Install what the build of KubeVirt needs in addition."""
    _install(_KUBEVIRT)


def install_file_tools() -> None:
    """Install the programs that create images for tests; these tests need no cluster."""
    _install(_FILE_TOOLS)


def install_browser() -> None:
    """Install a browser, for the tests of a page."""
    _install(_BROWSER)


def _install(programs: dict[str, str]) -> None:
    if not _missing(programs):
        return
    cache_dir().mkdir(parents=True, exist_ok=True)
    # Stages that run side by side install packages, and apt-get fails while another one runs.
    with (cache_dir() / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if missing := _missing(programs):
            _install_packages(missing)


def _missing(programs: dict[str, str]) -> list[str]:
    return sorted({package for program, package in programs.items() if not Path(program).exists()})


def _install_packages(names: list[str]) -> None:
    print(f"installing Debian packages: {', '.join(names)}", file=sys.stderr, flush=True)
    with _no_services():
        for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", *names]):
            ended = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            )
            if ended.returncode:
                last = (ended.stderr or ended.stdout).strip().splitlines()[-1:]
                raise ClusterError(
                    f"`{' '.join(command[:2])}` failed ({' '.join(last)}): fix the machine's apt sources and try again."
                )


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian starts a service when its package is installed, unless this file denies it."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
