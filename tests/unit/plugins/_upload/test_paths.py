# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of option `paths`, and the names of their volumes."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.values import name_problem
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.paths import files_of, named, volume_name
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/images/debian.qcow2", "debian"),
        ("debian", "debian"),
        ("/images/disk.raw.xz", "disk"),
        ("/images/disk.raw.gz.zst", "disk"),
        ("/images/WINDOWS.VHDX", "windows"),
        ("/images/data.tar.gz", "data"),
        ("/images/data.tgz", "data"),
        ("/images/debian-12.5.qcow2", "debian-12-5"),
        ("/images/Debian_12.5.raw.xz", "debian-12-5"),
        ("/images/fedora 42 (x86_64).iso", "fedora-42-x86-64"),
        ("/images/gz", "gz"),
        ("/images/gz.gz", "gz"),
        ("/images/disk.img.old", "disk-img-old"),
        ("/images/disk.img\n", "disk-img"),
        ("/images/--disk--.img", "disk"),
        ("/images/übung.img", "bung"),
        ("/raw.d/disk", "disk"),
        ("/images/.img", ""),
        ("/images/___.img", ""),
    ],
)
def test_volume_has_the_name_of_the_file_without_its_suffixes(path: str, name: str) -> None:
    assert volume_name(path) == name


@given(st.text(alphabet=st.characters(exclude_characters="/\0"), max_size=60))
def test_each_name_is_one_of_kubernetes_or_empty(name: str) -> None:
    assert name_problem(volume_name(f"/images/{name}")) == ""


def test_files_have_names() -> None:
    assert named(["/a/two.img", "/b/one.img"]) == {"two": "/a/two.img", "one": "/b/one.img"}


@pytest.mark.parametrize(
    ("files", "error"),
    [
        (
            ["/a/x.img", "/a/X.raw.xz"],
            "/a/x.img and /a/X.raw.xz would both be uploaded to volume x; set them in uploads",
        ),
        (["/a/x.img", "/b/x.img"], "/a/x.img and /b/x.img would both be uploaded to volume x"),
        (["/a/___.img"], "The name of the volume for /a/___.img would be '', which is empty. Rename the file"),
        (
            [f"/a/{'x' * 254}"],
            "which has 254 characters; a name has at most 253. Rename the file, or set it in uploads",
        ),
    ],
)
def test_file_without_a_name_of_its_own_is_refused(files: list[str], error: str) -> None:
    with pytest.raises(CdiError) as refused:
        named(files)
    assert error in str(refused.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files, and what is none."""
    for name in ("b.img", "a.img", "c.qcow2", ".hidden.img", "below/d.img", "below/deep/e.img"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    os.mkfifo(tmp_path / "pipe.img")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.img"))
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("items", "names"),
    [
        (["."], ["a.img", "b.img", "c.qcow2"]),
        (["./"], ["a.img", "b.img", "c.qcow2"]),
        (["*.img"], ["a.img", "b.img"]),
        (["[bc].*"], ["b.img", "c.qcow2"]),
        (["b.img"], ["b.img"]),
        ([".hidden.img"], [".hidden.img"]),
        (["*"], ["a.img", "b.img", "c.qcow2"]),
        (["**/*.img"], ["a.img", "b.img", "below/d.img", "below/deep/e.img"]),
        (["c.qcow2", ".", "below/../a.img", "c.qcow2"], ["a.img", "b.img", "c.qcow2"]),
        (["below", "b.img"], ["b.img", "below/d.img"]),
        ([], []),
    ],
)
def test_files_are_found_once_and_sorted(folder: Path, items: list[str], names: list[str]) -> None:
    found = files_of([f"{folder}/{item}" for item in items])
    assert [os.path.relpath(path, folder) for path in found] == names


def test_brackets_of_a_name_are_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "images[1]"
    folder.mkdir()
    (folder / "disk[2].img").touch()
    assert files_of([str(folder)]) == files_of([str(folder / "disk[2].img")]) == [str(folder / "disk[2].img")]


@pytest.mark.parametrize("item", ["", "d.img", "*.iso", "empty", "nowhere", "pipe.img", "nowhere/*"])
def test_item_without_a_file_is_refused(folder: Path, item: str) -> None:
    path = f"{folder}/{item}" if item else ""
    with pytest.raises(CdiError) as refused:
        files_of([f"{folder}/a.img", path])
    assert f"No file was found for '{path}' in paths on the host that runs the task (" in str(refused.value)


def test_broken_link_is_refused(folder: Path) -> None:
    (folder / "empty" / "latest.img").symlink_to("gone.img")
    with pytest.raises(CdiError, match=r"Cannot read .*/empty/latest.img on the host that runs the task .*check path"):
        files_of([f"{folder}/empty"])


@pytest.fixture(params=[0o311, 0o444, 0o000])
def unreadable(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory that cannot be listed, or whose files cannot be looked at, by another user than root."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # Other users cannot enter the directories of pytest.
        (Path(folder) / "disk.img").touch()
        os.chmod(folder, request.param)
        if user == 0:
            os.seteuid(65534)
        yield Path(folder)
        os.seteuid(user)
        os.chmod(folder, 0o700)


def test_unreadable_directory_is_refused_with_a_remedy(unreadable: Path) -> None:
    with pytest.raises(CdiError, match=r"Cannot read .*run the task as a user who may read it \(become\)"):
        files_of([str(unreadable)])
    with pytest.raises(CdiError, match=r"(No file was found|Cannot read) .* a user who may read .* \(become\)"):
        files_of([f"{unreadable}/*.img"])
