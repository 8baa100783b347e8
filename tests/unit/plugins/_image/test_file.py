# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of other kinds than regular files."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.file import FileIdentity
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError

from tests.image_files import MIB, RAW, run


def test_size_of_a_block_device_is_read(folder: Path) -> None:
    (folder / "backing").write_bytes(RAW.ljust(4 * MIB))
    device = run("losetup", "--show", "-f", folder / "backing").decode().strip()
    try:
        image, identity = inspect(device), FileIdentity.of(device)
        assert (image.format, image.virtual_size, image.file_size) == ("raw", 4 * MIB, 4 * MIB)
        assert identity.size == 4 * MIB and identity.is_device
    finally:
        run("losetup", "-d", device)


@pytest.fixture
def others(tmp_path: Path) -> Iterator[dict[str, str]]:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        os.symlink(tmp_path / "pipe", tmp_path / "link")
        yield {
            "pipe": f"{tmp_path}/pipe",
            "link": f"{tmp_path}/link",
            "socket": f"{tmp_path}/socket",
            "directory": str(tmp_path),
            "zero": "/dev/zero",
            "null": "/dev/null",
        }


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("pipe", "a pipe"),
        ("link", "a pipe"),
        ("socket", "a socket"),
        ("directory", "a directory"),
        ("zero", "a character device"),
        ("null", "a character device"),
    ],
)
def test_other_kinds_of_files_are_refused_at_once(others: dict[str, str], name: str, what: str) -> None:
    for read in (inspect, FileIdentity.of):
        with pytest.raises(
            CdiError, match=f"{others[name]} is {what}, which cannot be uploaded; set a file or a block device"
        ):
            read(others[name])


def test_pipe_that_replaces_a_file_after_the_check_does_not_block(others: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(RAW)
    checked: list[bool] = []

    def replace(_frame: object, event: str, function: object) -> None:
        if event == "c_call" and function is os.open:
            checked.append(stat.S_ISREG(os.stat(path).st_mode))
            os.replace(others["pipe"], path)

    sys.setprofile(replace)
    try:
        with pytest.raises(CdiError, match="is a pipe"):
            inspect(str(path))
    finally:
        sys.setprofile(None)
    assert checked == [True]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/nowhere/disk.img", "File /nowhere/disk.img was not found on the host that runs the task .*; check path"),
        ("s3://bucket/disk.img", "of URLs, module volume_upload accepts those of http and https; download the file"),
        ("/etc/hostname/x", "Cannot read /etc/hostname/x on the host that runs the task .*Not a directory"),
        ("/" + "x" * 300, "File name too long"),
    ],
)
def test_unreadable_file_is_named_with_its_host(path: str, named: str) -> None:
    with pytest.raises(CdiError, match=named):
        inspect(path)


# Never a traceback
