# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A virtual machine for tests: Debian's kernel, and an initramfs whose only program reports the disks that it sees.

The machine boots from an image with ISOLINUX, as a hard disk or as a CD-ROM. KubeVirt could also boot the kernel from a
container, but the pods that it moves a machine to can then hang when they end.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
from collections.abc import Callable, Sequence, Set
from pathlib import Path

from tests.cluster.build.commands import output
from tests.cluster.build.recipe import Built, Recipe
from tests.cluster.errors import ClusterError

# Drivers of disks, and of the file system on the disks of cloud-init.
_MODULES = (
    *("virtio_pci", "virtio_blk", "virtio_scsi", "virtio_net", "sd_mod", "sr_mod", "ahci", "isofs"),
    *("nls_utf8", "nls_ascii"),
)
_INIT = Path(__file__).with_name("guest_init.sh")
# From the Debian packages isolinux and syslinux-common.
_BOOT_SECTOR = Path("/usr/lib/ISOLINUX/isohdpfx.bin")
_BOOT_FILES = (Path("/usr/lib/ISOLINUX/isolinux.bin"), Path("/usr/lib/syslinux/modules/bios/ldlinux.c32"))
_BOOT_MENU = """default guest
label guest
linux /vmlinuz
initrd /initrd
append console=ttyS0 quiet
"""


def _build(target: Path, built: Built) -> None:
    """Fill `target` with guest.iso."""
    unpacked, root, disk = target / "unpacked", target / "root", target / "disk"
    disk.mkdir()
    for package in (built["kubevirt-base"] / "guest").glob("*.deb"):
        if package.name.startswith(("linux-image-", "busybox-static")):
            output(["dpkg-deb", "--extract", str(package), str(unpacked)], cwd=target)
    shutil.copyfile(next((unpacked / "boot").glob("vmlinuz-*")), disk / "vmlinuz")
    for name in ("bin", "dev", "mnt", "modules", "proc", "sys"):
        (root / name).mkdir(parents=True)
    shutil.copy2(unpacked / "usr/bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    modules = _modules(unpacked)
    for name, content in modules.items():
        (root / f"modules/{name}.ko").write_bytes(content)
    (root / "modules/order").write_text("\n".join(modules) + "\n")
    shutil.copyfile(_INIT, root / "init")
    (root / "init").chmod(0o755)
    # The guest's own program packs the archive: not every machine has cpio.
    output(["sh", "-c", "find . | bin/busybox cpio -o -H newc > ../archive"], cwd=root)
    (disk / "initrd").write_bytes(gzip.compress((target / "archive").read_bytes(), mtime=0))
    for file in _BOOT_FILES:
        shutil.copyfile(file, disk / file.name)
    (disk / "isolinux.cfg").write_text(_BOOT_MENU)
    boot = ("-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-isohybrid-mbr", str(_BOOT_SECTOR))
    image = str(target / "guest.iso")
    output(
        ["xorriso", "-as", "mkisofs", "-o", image, "-b", "isolinux.bin", "-c", "boot.cat", *boot, str(disk)],
        cwd=target,
    )
    for directory in (unpacked, root, disk):
        shutil.rmtree(directory)
    (target / "archive").unlink()


def _modules(unpacked: Path) -> dict[str, bytes]:
    """The contents of _MODULES and of what they need, as far as the kernel has not built them in."""
    directory = next((unpacked / "usr/lib/modules").iterdir())
    files = {_name(path.name): path for path in directory.rglob("*.ko*")}
    built_in = {_name(Path(line).name) for line in (directory / "modules.builtin").read_text().splitlines()}
    return in_load_order(_MODULES, lambda name: _content(files[name]) if name in files else None, built_in)


def in_load_order(wanted: Sequence[str], read: Callable[[str], bytes | None], built_in: Set[str]) -> dict[str, bytes]:
    """The contents of the wanted modules, each after those that it names itself as its needs.

    Raises ClusterError when one is neither there (`read` returns None) nor built in.
    """
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name in built_in:
            return
        content = read(name)
        if content is None:
            raise ClusterError(f"The kernel of the guest has no module {name}: correct the list in build/guest.py.")
        needs = re.search(rb"\0depends=([^\0]*)\0", content)
        for need in needs[1].decode().split(",") if needs and needs[1] else []:
            add(_name(need))
        found[name] = content

    for name in wanted:
        add(name)
    return found


def _name(file: str) -> str:
    """The name of a module in `depends`, from the name of its file."""
    return file.partition(".")[0].replace("-", "_")


def _content(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


GUEST = Recipe("guest", (Path(__file__), _INIT), _build, needs=("kubevirt-base",), compiles=False)
