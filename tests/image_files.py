# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw disks, and their formats and compressions by QEMU and other tools."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

MIB = 1024 * 1024
# A raw disk without the signature of another format.
RAW = b"\xeb\x63\x90\0" + os.urandom(MIB)
TOOLS = {"gz": "gzip", "xz": "xz", "zst": "zstd", "bz2": "bzip2"}
# Options of `qemu-img convert` by format and variant.
CREATE = {
    "qcow2": ["-O", "qcow2"],
    "qcow2-compressed": ["-c", "-O", "qcow2"],
    "qcow2-zstd": ["-c", "-O", "qcow2", "-o", "compression_type=zstd"],
    "qcow2-extended": ["-O", "qcow2", "-o", "extended_l2=on,cluster_size=128k"],
    "qcow2-old": ["-O", "qcow2", "-o", "compat=0.10"],
    "qcow2-small": ["-O", "qcow2", "-o", "cluster_size=512"],
    "qcow2-metadata": ["-O", "qcow2", "-o", "preallocation=metadata"],
    "qcow2-falloc": ["-O", "qcow2", "-o", "preallocation=falloc"],
    "qcow2-full": ["-O", "qcow2", "-o", "preallocation=full"],
    "qcow2-sparse": ["-S", "4k", "-O", "qcow2"],
    "vmdk": ["-O", "vmdk"],
    "vmdk-stream": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
    "vdi": ["-O", "vdi"],
    "vdi-static": ["-O", "vdi", "-o", "static=on"],
    "vhd": ["-O", "vpc"],
    "vhdx": ["-O", "vhdx"],
    "vhdx-fixed": ["-O", "vhdx", "-o", "subformat=fixed"],
}


def convert(source: Path, kind: str, target: Path) -> Path:
    run("qemu-img", "convert", "-f", "raw", *CREATE[kind], source, target)
    return target


def run(*command: str | Path, data: bytes | None = None, cwd: Path | None = None) -> bytes:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, input=data, cwd=cwd).stdout


def luks(path: Path, size: str) -> None:
    """Make a LUKS disk. QEMU measures the CPU time of a calculation for it, which fails now and then on a busy machine
    (crypto/pbkdf.c, 7.2).
    """
    options = ("--object", "secret,id=s,data=x", "-o", "key-secret=s,iter-time=10")
    for attempts_left in reversed(range(10)):
        try:
            run("qemu-img", "create", "-f", "luks", *options, path, size)
            return
        except subprocess.CalledProcessError:
            if not attempts_left:
                raise


def pack(path: Path, compression: str) -> Path:
    packed = path.with_name(f"{path.name}.{compression}")
    packed.write_bytes(run(TOOLS[compression], "-1", "-c", path))
    return packed


def tar(path: Path, members: dict[str, bytes], form: int = tarfile.GNU_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if name.endswith("/"):
                member.type = tarfile.DIRTYPE
            archive.addfile(member, io.BytesIO(content))
    return path
