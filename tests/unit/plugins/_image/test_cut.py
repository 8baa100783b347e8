# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Truncated and damaged images are detected, and complete ones are accepted."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image, inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.image_files import CREATE, MIB, convert, run, tar


@pytest.mark.parametrize("kind", CREATE)
def test_complete_image_is_accepted_and_each_truncation_is_detected(folder: Path, disk: Path, kind: str) -> None:
    path = convert(disk, kind, folder / f"whole-{kind}")
    whole = path.read_bytes()
    assert inspect(str(path)).virtual_size in (64 * MIB + 512, None) or kind == "vhd"
    for part in (0.99, 0.9, 0.5, 0.1, 0.02):
        path.write_bytes(whole[: int(len(whole) * part)])
        if part >= 0.9 and _is_only_zeros(whole[int(len(whole) * part) :]):
            continue
        with pytest.raises(CdiError, match="is truncated"):
            inspect(str(path))
    path.unlink()


def _is_only_zeros(data: bytes) -> bool:
    return not data.strip(b"\0")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(CREATE)),
    sectors=st.integers(1, 20_000),
    writes=st.lists(st.tuples(st.integers(0, 19_999), st.integers(1, 300)), max_size=8),
)
def test_image_made_by_qemu_is_never_reported_as_truncated(
    folder: Path, kind: str, sectors: int, writes: list[tuple[int, int]]
) -> None:
    source = folder / "random.img"
    with open(source, "wb") as file:
        file.truncate(sectors * 512)
        for first, count in writes:
            if first < sectors:
                file.seek(first * 512)
                file.write(os.urandom(min(count, sectors - first) * 512))
    target = folder / "random"
    target.unlink(missing_ok=True)
    convert(source, kind, target)
    inspect(str(target))


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from(["qcow2", "qcow2-extended", "vdi", "vmdk", "vhd", "vhdx"]),
    commands=st.lists(
        st.tuples(st.sampled_from(["write -P 7", "discard", "write -z"]), st.integers(0, 4000), st.integers(1, 200)),
        max_size=8,
    ),
)
def test_image_written_by_a_guest_is_never_reported_as_truncated(
    folder: Path, kind: str, commands: list[tuple[str, int, int]]
) -> None:
    source, target = folder / "guest.img", folder / "guest"
    source.write_bytes(bytes(2_200_064 + 448))
    target.unlink(missing_ok=True)
    convert(source, kind, target)
    form = {"qcow2-extended": "qcow2", "vhd": "vpc"}.get(kind, kind)
    for command, first, count in commands:
        subprocess.run(
            ["qemu-io", "-f", form, "-c", f"{command} {first * 512} {count * 512}", str(target)],
            check=False,
            capture_output=True,
        )
    inspect(str(target))


def test_truncated_iso_or_gpt_disk_is_refused_unless_the_format_is_raw(folder: Path) -> None:
    (folder / "tree").mkdir(exist_ok=True)
    (folder / "tree" / "file").write_bytes(os.urandom(MIB))
    iso, gpt = folder / "cut.iso", folder / "cut.img"
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", iso, folder / "tree")
    run("truncate", "-s", "64M", gpt)
    run("sfdisk", "-q", gpt, data=b"label: gpt\n,,L\n")
    assert (inspect(str(iso)).format, inspect(str(gpt)).format) == ("iso", "raw")
    for path, named in (
        (iso, "its volume ends at byte"),
        (gpt, f"its partition table ends at byte {64 * MIB}, and it has {32 * MIB}"),
    ):
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(CdiError, match=f"is truncated: {named}"):
            inspect(str(path))
        assert inspect(str(path), insist=True).format == "raw"


@pytest.fixture(scope="module")
def whole_images(folder: Path, disk: Path) -> dict[str, bytes]:
    made = {}
    small = folder / "small.img"
    small.write_bytes(disk.read_bytes()[: 3 * MIB + 512])
    for kind in CREATE:
        made[kind] = convert(small, kind, folder / f"mutated-{kind}").read_bytes()
    made["tar"] = tar(folder / "mutated.tar", {"a": b"x" * 3000, "b": b"y" * 20_000}).read_bytes()
    made["iso"] = (
        (folder / "tiny.iso").read_bytes()
        if (folder / "tiny.iso").exists()
        else bytes(32768) + b"\1CD001\1".ljust(4096, b"\0")
    )
    made["gz"], made["xz"] = gzip.compress(made["qcow2"]), lzma.compress(made["vhdx"])
    made["zst"], made["tar.gz"] = run("zstd", "-q", "-c", data=made["vdi"]), gzip.compress(made["tar"])
    made["bz2"] = bz2.compress(made["tar"])
    return made


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_image_never_causes_a_traceback(
    folder: Path, whole_images: dict[str, bytes], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(whole_images)))
    content = bytearray(whole_images[kind])
    end = min(len(content), 400_000)
    places = st.one_of(st.integers(0, 600), st.integers(0, end))
    bits = st.one_of(st.binary(max_size=8), st.sampled_from([b"\xff" * 8, bytes(8), b"\x7f" + b"\xff" * 7]))
    for at, new in data.draw(st.lists(st.tuples(places, bits), max_size=6)):
        content[at : at + len(new)] = new
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path = folder / "mutated"
    path.write_bytes(content)
    for insist in (False, True):
        try:
            image = inspect(str(path), lambda _data: None, insist=insist)
        except CdiError as exc:
            assert str(path) in str(exc) and "\n" not in str(exc)
        else:
            assert isinstance(image, Image) and image.file_size == len(content)
