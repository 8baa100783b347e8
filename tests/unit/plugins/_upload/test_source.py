# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent of a disk: the same disk in each encoding, and never one that has changed since it was surveyed."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import FileIdentity
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.encoding import choose
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.outcome import File
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.reading import inspected, with_survey
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.source import (
    Chunk,
    FileChanged,
    SourceDisk,
    SourceFile,
)

from tests.upload_samples import upload_options

MIB = 1024 * 1024
CONTENT = os.urandom(3 * MIB) + bytes(20 * MIB) + os.urandom(MIB + 512) + bytes(5 * MIB)


def _raw(folder: Path) -> Path:
    path = folder / "disk.raw"
    path.write_bytes(CONTENT)
    return path


def _sparse(folder: Path) -> Path:
    path = folder / "sparse.raw"
    with path.open("wb") as file:
        file.write(CONTENT[: 3 * MIB])
        file.seek(23 * MIB)
        file.write(CONTENT[23 * MIB : 24 * MIB + 512])
        file.truncate(len(CONTENT))
    return path


def _qcow2(folder: Path) -> Path:
    path = folder / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", str(_raw(folder)), str(path)], check=True)
    return path


def _gz(folder: Path) -> Path:
    path = folder / "disk.raw.gz"
    path.write_bytes(gzip.compress(CONTENT, 1))
    return path


def _xz(folder: Path) -> Path:
    path = folder / "disk.raw.xz"
    path.write_bytes(lzma.compress(CONTENT, preset=0))
    return path


INPUTS = [_raw, _sparse, _qcow2, _gz, _xz]


def surveyed(path: Path) -> File:
    upload = upload_options(path=str(path), format="auto")
    return with_survey(upload, inspected(upload, print, 60, whole=True), print)


def source(path: Path, encoding: str) -> SourceDisk:
    file = surveyed(path)
    stream = choose(upload_options(path=str(path), encoding=encoding), file.image, file.survey).stream
    assert stream and file.survey and isinstance(file.identity, FileIdentity)
    return SourceDisk(str(path), file.identity, file.image, file.survey, stream)


def sent(disk: SourceDisk) -> bytes:
    with disk.opened() as chunks:
        return b"".join(bytes(chunk) for chunk, _reached in chunks)


def decoded(folder: Path, data: bytes, encoding: str) -> bytes:
    if encoding == "raw_gz":
        return gzip.decompress(data)
    packed, unpacked = folder / "sent.qcow2", folder / "sent.raw"
    packed.write_bytes(data)
    subprocess.run(["qemu-img", "check", "-q", str(packed)], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(packed), str(unpacked)], check=True)
    return unpacked.read_bytes()


@pytest.mark.parametrize("encoding", ["raw_gz", "qcow2"])
@pytest.mark.parametrize("made", INPUTS)
def test_each_encoding_of_each_input_is_the_same_disk(
    tmp_path: Path, made: Callable[[Path], Path], encoding: str
) -> None:
    disk = source(made(tmp_path), encoding)
    first = sent(disk)
    assert len(first) < 5 * MIB and disk.sent_size in (None, len(first)) and first == sent(disk)
    assert decoded(tmp_path, first, encoding) == CONTENT


@pytest.mark.parametrize("encoding", ["raw_gz", "qcow2"])
@pytest.mark.parametrize("made", [_sparse, _xz])
def test_progress_of_the_disk_follows_its_data(tmp_path: Path, made: Callable[[Path], Path], encoding: str) -> None:
    disk, data_sent, places = source(made(tmp_path), encoding), 0, []
    with disk.opened() as chunks:
        for chunk, reached in chunks:
            data_sent += len(chunk)
            assert reached and reached[1] == len(CONTENT)
            # The data before the place, and the piece that the stream has taken and not sent.
            data_before = min(reached[0], 3 * MIB) + max(0, min(reached[0], 24 * MIB + 512) - 23 * MIB)
            assert data_sent - MIB < data_before <= data_sent + 2 * MIB
            places.append(reached[0])
    assert places == sorted(places) and places[-1] == len(CONTENT) and 3 * MIB in places


class ClockOfThreads:
    """A clock for each thread, which stands still but for what the thread itself does."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}

    def __call__(self) -> float:
        return self._times.get(threading.get_ident(), 0.0)

    def advance(self, seconds: float) -> None:
        self._times[threading.get_ident()] = self() + seconds


@pytest.mark.parametrize(
    ("compressible", "mib_per_second", "least", "most"),
    [
        (True, 0, 48, 49),  # As fast as it can be.
        (True, 11, 1, 25),  # What is read ahead before the pace is known is stored.
        (False, 11, 48, 49),
    ],
)
def test_data_are_compressed_while_the_network_is_slow(
    tmp_path: Path, compressible: bool, mib_per_second: float, least: int, most: int
) -> None:
    content = b"\xeb\x63\x90\0" * (12 * MIB) if compressible else os.urandom(48 * MIB)
    path = tmp_path / "disk.raw"
    path.write_bytes(content)
    clock, received = ClockOfThreads(), b""
    disk = source(path, "raw_gz")._replace(clock=clock)
    with disk.opened() as chunks:
        for chunk, _reached in chunks:
            received += chunk
            clock.advance(len(chunk) / MIB / mib_per_second if mib_per_second else 0)
    assert gzip.decompress(received) == content
    assert least <= len(received) / MIB < most


def test_disk_of_zeros_is_done_with_its_only_chunk(tmp_path: Path) -> None:
    path = tmp_path / "zeros.raw"
    path.write_bytes(bytes(9 * MIB))
    with source(path, "raw_gz").opened() as chunks:
        assert [reached for _chunk, reached in chunks] == [(9 * MIB, 9 * MIB)]


def test_file_as_it_is_has_no_progress_of_the_disk(tmp_path: Path) -> None:
    path = _gz(tmp_path)
    file = SourceFile(str(path), FileIdentity.of(str(path)), "", path.stat().st_size)
    with file.opened() as chunks:
        assert {reached for _chunk, reached in chunks} == {None}


def test_digest_is_the_same_for_each_input(tmp_path: Path) -> None:
    digests = {made: (file := surveyed(made(tmp_path))).survey and file.survey.digest for made in INPUTS}
    assert len(set(digests.values())) == 1 and None not in digests.values()


def _overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def _another_block(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(10 * MIB)
        file.write(b"new")


def _shortened(path: Path) -> None:
    os.truncate(path, 24 * MIB)


@pytest.mark.parametrize("encoding", ["raw_gz", "qcow2"])
@pytest.mark.parametrize("change", [_overwritten, _another_block, _shortened])
@pytest.mark.parametrize("made", INPUTS)
def test_changed_file_is_not_sent_again(
    tmp_path: Path, made: Callable[[Path], Path], change: Callable[[Path], None], encoding: str
) -> None:
    path = made(tmp_path)
    disk = source(path, encoding)
    change(path)
    with pytest.raises(FileChanged, match="changed during the upload"):
        sent(disk)


@pytest.mark.parametrize("encoding", ["raw_gz", "qcow2"])
@pytest.mark.parametrize("change", [_overwritten, _another_block, _shortened])
def test_end_of_a_file_that_changes_while_it_is_sent_is_held_back(
    tmp_path: Path, change: Callable[[Path], None], encoding: str
) -> None:
    path = tmp_path / "large.raw"
    path.write_bytes(bytes(MIB) + os.urandom(31 * MIB))  # More than is read ahead.
    disk, received = source(path, encoding), b""
    complete = len(sent(disk))

    def received_until_the_error(chunks: Iterator[Chunk]) -> Iterator[bytes]:
        with suppress(FileChanged):
            for number, (chunk, _reached) in enumerate(chunks):
                if number == 0:
                    change(path)
                yield bytes(chunk)
            raise AssertionError("all was sent")

    with disk.opened() as chunks:
        received = b"".join(received_until_the_error(chunks))
    assert 0 < len(received) < complete


@pytest.mark.parametrize("encoding", ["raw_gz", "qcow2"])
def test_missing_file_is_an_error_with_a_remedy(tmp_path: Path, encoding: str) -> None:
    path = _raw(tmp_path)
    disk = source(path, encoding)
    path.unlink()
    with pytest.raises(CdiError, match="was not found"):
        sent(disk)


def test_packed_qcow2_and_other_formats_have_no_survey(tmp_path: Path) -> None:
    qcow2 = _qcow2(tmp_path)
    packed = tmp_path / "disk.qcow2.gz"
    packed.write_bytes(gzip.compress(qcow2.read_bytes(), 1))
    vmdk = tmp_path / "disk.vmdk"
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", str(qcow2), str(vmdk)], check=True)
    assert [surveyed(path).survey for path in (packed, vmdk)] == [None, None]
