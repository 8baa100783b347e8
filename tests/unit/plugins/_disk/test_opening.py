# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images are read in place, and which are sent as they are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.opening import open_disk
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.image_files import MIB, RAW, convert, pack, run, tar
from tests.unit.plugins._disk.reading import Extent, make, read, write


def _other(kind: str) -> Callable[[Path], Path]:
    return lambda path: convert(write(path.with_suffix(".raw"), MIB, [Extent(0, 4096, "noise")]), kind, path)


def _packed(path: Path) -> Path:
    return pack(_other("qcow2")(path), "gz")


def _iso(path: Path) -> Path:
    path.write_bytes(bytes(32768) + b"\x01CD001\x01" + bytes(100_000))
    return path


@pytest.mark.parametrize(
    "make_other",
    [
        *(pytest.param(_other(kind), id=kind) for kind in ("vmdk", "vdi", "vhd", "vhdx")),
        pytest.param(_packed, id="packed qcow2"),
        pytest.param(_iso, id="iso"),
        pytest.param(lambda path: tar(path, {"disk.img": RAW}), id="tar"),
        pytest.param(lambda path: pack(tar(path, {"disk.img": RAW}), "xz"), id="packed tar"),
    ],
)
def test_other_images_are_not_read(folder: Path, make_other: Callable[[Path], Path]) -> None:
    path = make_other(folder / "other")
    with open_disk(str(path), inspect(str(path))) as disk:
        assert disk is None


def test_what_needs_too_much_memory_is_not_read(folder: Path) -> None:
    path = folder / "large-dictionary.xz"
    path.write_bytes(run("xz", "--lzma2=preset=0,dict=512MiB", data=RAW))
    image = inspect(str(path))
    assert (image.format, image.virtual_size) == ("raw", len(RAW))
    with open_disk(str(path), image) as disk:
        assert disk is None


def test_insisting_on_raw_does_not_change_what_is_read(folder: Path) -> None:
    path = folder / "text"
    path.write_bytes(b"plain text\n" * 7000)
    assert read(path, inspect(str(path), insist=True)) == path.read_bytes()


def test_file_that_is_gone_is_named(folder: Path) -> None:
    path = write(folder / "gone", MIB, [Extent(0, 512, "noise")])
    image = inspect(str(path))
    path.unlink()
    with pytest.raises(CdiError, match=f"File {path} was not found"), open_disk(str(path), image):
        pass


_WITHOUT_LIBRARY = """
import sys
sys.modules.update({"compression.zstd": None, "backports.zstd": None})
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.opening import open_disk
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
image = inspect(sys.argv[1], insist=len(sys.argv) > 2)
with open_disk(sys.argv[1], image) as disk:
    print(image.format, image.compression, disk and disk.size)
"""


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("qcow2", f"qcow2 None {MIB}"),
        ("qcow2-zstd", "qcow2 None None"),
        ("zst", "raw zst None"),
        ("gz", f"raw gz {MIB}"),
    ],
)
def test_without_the_library_zstd_is_not_read(folder: Path, kind: str, found: str) -> None:
    path = make(write(folder / "disk", MIB, [Extent(0, 4096, "noise")]), kind, folder / kind)
    insist = ["raw"] if kind == "zst" else []
    assert run(sys.executable, "-c", _WITHOUT_LIBRARY, path, *insist).decode().strip() == found


def test_disk_that_is_too_large_for_a_map_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(3 << 40)
    with open_disk(str(path), inspect(str(path))) as disk:
        assert disk is None
