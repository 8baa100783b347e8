# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The speed of uploads of images with zeros on a real CDI, compared with curl and virtctl in the same run.

The time is that from the declaration to Succeeded. A part of it is the same for each program, because CDI starts pods
and makes claims: it is measured with an image of 1 MiB.
"""

from __future__ import annotations

import functools
import os
import shutil
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection

from tests.benchmarks.uploading import PROGRAMS, WAYS, Proxy, Ratio, Upload, Uploader, in_turn, proxy_ca
from tests.cdi_setup import connection, namespace
from tests.cluster.build.debian import bootstrap, own_suite

__all__ = ["connection", "namespace"]

MIB, GIB = 1 << 20, 1 << 30
PEAK_MIB = 150
SYSTEM = ("linux-image-amd64", "systemd-sysv", "openssh-server", "python3", "sudo")


class Case(NamedTuple):
    """An image, and how many times as fast as the best of the others its upload has to be, in all and without what is
    the same for each.
    """

    size: int
    rounds: int
    in_all: float
    without_fixed: float


CASES = {
    "raw of 8 GiB with 1 GiB of data": Case(8 * GIB, 6, 3, 5),
    "raw of 32 GiB with 1 GiB of data": Case(32 * GIB, 2, 8, 0),
    "xz of a system image of 4 GiB": Case(4 * GIB, 3, 3, 0),
    "xz of one block of a system image of 4 GiB": Case(4 * GIB, 2, 2, 0),
}


def _sparse(path: Path, size: int) -> Path:
    """A raw image with 1 GiB of random bytes in 64 runs."""
    with path.open("wb") as file:
        for run in range(64):
            file.seek(run * (size // 64))
            for _mib in range(16):
                file.write(os.urandom(MIB))
        file.truncate(size)
    return path


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw image with a Debian system and its kernel."""
    folder = tmp_path_factory.mktemp("system")
    bootstrap(folder / "tree", own_suite(), SYSTEM)
    raw = folder / "disk.raw"
    with raw.open("wb") as file:
        file.write(os.urandom(MIB))
        file.truncate(4 * GIB)
    offset = ["-E", f"offset={MIB}", str(raw), f"{(4 * GIB - MIB) // 1024}k"]
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(folder / "tree"), *offset], check=True)
    shutil.rmtree(folder / "tree")
    return raw


@functools.cache
def _packed(raw: Path, *options: str) -> Path:
    path = raw.parent / f"disk{''.join(options)}.raw.xz"
    with path.open("wb") as file:
        subprocess.run(["xz", "-c", *options, str(raw)], stdout=file, check=True)
    return path


@pytest.fixture(scope="module")
def ca(connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return proxy_ca(connection, tmp_path_factory.mktemp("ca"))


def _fixed(connection: Connection, namespace: str, ca: Path, proxy: Proxy, folder: Path) -> float:
    """The seconds of an upload of 1 MiB, of the program that takes least."""
    tiny = folder / "tiny.raw"
    tiny.write_bytes(os.urandom(MIB))
    took = in_turn(Uploader(connection, namespace, ca, proxy, "16Mi"), tiny, 3)
    return min(statistics.median(upload.seconds for upload in uploads) for uploads in took.values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_zeros_are_not_sent(
    connection: Connection,
    namespace: str,
    ca: Path,
    figure: Callable[..., None],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    name: str,
    way: str,
) -> None:
    case = CASES[name]
    if "xz" in name:
        image = _packed(request.getfixturevalue("system"), *(["-1", "-T1"] if "one block" in name else ["-T2"]))
    else:
        image = _sparse(tmp_path / "disk.raw", case.size)
    with WAYS[way](connection) as proxy:
        fixed = _fixed(connection, namespace, ca, proxy, tmp_path)
        took = in_turn(Uploader(connection, namespace, ca, proxy, f"{case.size // GIB + 1}Gi"), image, case.rounds)
    ours = took.pop("module")
    ratios = {by: Ratio.of_times(ours, uploads) for by, uploads in took.items()}
    net = {by: Ratio.of_times(ours, uploads, fixed) for by, uploads in took.items()}
    _show(figure, f"upload of a {name}, {way}", PROGRAMS["module"], ours, f"as {ours[0].encoding}, {fixed:.1f} s fixed")
    for by, uploads in took.items():
        times = f"{ratios[by].mean:.1f} ± {ratios[by].error:.1f} times, {net[by].mean:.1f} without the fixed part"
        _show(figure, "", PROGRAMS[by], uploads, times)
    assert max(upload.peak_mib for upload in ours) < PEAK_MIB
    assert min(ratio.mean + 2 * ratio.error for ratio in ratios.values()) >= case.in_all
    assert min(ratio.mean + 2 * ratio.error for ratio in net.values()) >= case.without_fixed


def _show(figure: Callable[..., None], subject: str, by: str, uploads: list[Upload], more: str) -> None:
    figure(
        subject,
        by,
        f"{statistics.median(upload.seconds for upload in uploads):.1f} s in all",
        f"{statistics.median(upload.cpu_seconds for upload in uploads):.1f} s of CPU",
        f"peak {max(upload.peak_mib for upload in uploads):.0f} MiB",
        more,
    )


def test_upload_without_scratch_space_takes_little_longer(
    connection: Connection, namespace: str, ca: Path, figure: Callable[..., None], tmp_path: Path
) -> None:
    """A qcow2 image as it is, which CDI converts in the scratch space, and as a gzip stream, which it does not."""
    raw = _sparse(tmp_path / "disk.raw", 4 * GIB)
    image = raw.with_suffix(".qcow2")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(image)], check=True)
    took: dict[str, list[Upload]] = {"file": [], "raw_gz": []}
    with WAYS["service address"](connection) as proxy:
        uploader = Uploader(connection, namespace, ca, proxy, "5Gi")
        uploader.module("warm-up", image)
        uploader.remove("warm-up")
        for attempt in range(4):
            for encoding in sorted(took, reverse=bool(attempt % 2)):
                took[encoding].append(
                    uploader.module(f"{encoding.replace('_', '-')}-{attempt}", image, encoding=encoding)
                )
                uploader.remove(f"{encoding.replace('_', '-')}-{attempt}")
    ratio = Ratio.of_times(took["file"], took["raw_gz"])
    _show(figure, "upload of a qcow2 of 4 GiB with 1 GiB of data", "encoding: file", took["file"], "with scratch space")
    more = f"without scratch space, {ratio.mean:.2f} ± {ratio.error:.2f} times as long"
    _show(figure, "", "encoding: raw_gz", took["raw_gz"], more)
    assert ratio.mean - 2 * ratio.error <= 1.3
