# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encoding of an upload, and why it is chosen."""

from __future__ import annotations

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._disk.blocks import BLOCK_BYTES, Survey
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.encoding import choose

from tests.upload_samples import upload_options

MIB = 1024 * 1024
BLOCKS_PER_MIB = MIB // BLOCK_BYTES


def image(form: str | None = "raw", compression: str | None = None, size: int = 1024) -> Image:
    return Image(form, compression, size * MIB, size * MIB, size * MIB)


def survey(data: int, size: int = 1024) -> Survey:
    """The survey of a disk with so many MiB of data."""
    has_data = bytes([1]) * (data * BLOCKS_PER_MIB) + bytes((size - data) * BLOCKS_PER_MIB)
    return Survey(size * MIB, has_data, "0" * 64)


@pytest.mark.parametrize(
    ("found", "disk", "name", "words"),
    [
        (image(), survey(1024), "file", "1024 MiB of 1024 MiB are not zero"),
        (image(), survey(900), "file", "900 MiB of 1024 MiB"),
        (image(), survey(500), "raw_gz", "500 MiB of 1024 MiB are not zero"),
        (image(), survey(94), "raw_gz", "94 MiB of 1024 MiB are not zero"),
        (image(), survey(93), "qcow2", "93 MiB of 1024 MiB are not zero"),
        (image(size=100), survey(50, 100), "file", "50 MiB of 100 MiB"),
        (image(), survey(0), "qcow2", "0 MiB of 1024 MiB"),
        (image("raw", "gz"), survey(1000), "file", "1000 MiB of 1024 MiB"),
        (image("raw", "gz"), survey(10), "qcow2", "10 MiB of 1024 MiB"),
        (image("raw", "gz"), survey(500), "raw_gz", "500 MiB of 1024 MiB"),
        (image("raw", "xz"), survey(10), "qcow2", "10 MiB of 1024 MiB are not zero, and CDI decompresses xz slowly"),
        (image("raw", "xz"), survey(500), "raw_gz", "CDI decompresses xz slowly"),
        (image("raw", "xz"), survey(1024), "raw_gz", "CDI decompresses xz slowly"),
        (image("raw", "zst"), survey(1024), "raw_gz", "CDI decompresses zst slowly"),
        (image("qcow2"), survey(10), "file", "a qcow2 image leaves out zeros"),
        (image("vmdk"), None, "file", "only raw disks and qcow2 images in files are encoded"),
        (image("tar"), None, "file", "only raw disks and qcow2 images in files are encoded"),
        (image(None, "zst"), None, "file", "only raw disks and qcow2 images in files are encoded"),
    ],
)
def test_encoding_is_chosen_by_the_format_and_the_zeros(
    found: Image, disk: Survey | None, name: str, words: str
) -> None:
    encoding = choose(upload_options(encoding="auto"), found, disk)
    assert encoding.name == name and words in encoding.reason
    assert (encoding.stream is None) == (name == "file")


def test_file_on_a_web_server_is_sent_as_it_is() -> None:
    encoding = choose(upload_options(encoding="auto", path="https://example.com/disk.raw"), image(), None)
    assert (encoding.name, encoding.reason) == ("file", "a file on a web server is sent as it is")


@pytest.mark.parametrize("found", [image(), image("qcow2"), image("raw", "gz"), image("raw", "xz")])
@pytest.mark.parametrize("name", ["file", "raw_gz", "qcow2"])
def test_requested_encoding_is_used(found: Image, name: str) -> None:
    encoding = choose(upload_options(encoding=name), found, survey(1024))
    assert (encoding.name, encoding.reason) == (name, f"encoding is {name}")


@pytest.mark.parametrize("name", ["raw_gz", "qcow2"])
@pytest.mark.parametrize(
    ("found", "shown"),
    [
        (image("vmdk"), "(vmdk)"),
        (image("iso"), "(iso)"),
        (image("qcow2", "gz"), "(qcow2 in gz)"),
        (image(None, "zst"), "(unknown in zst)"),
    ],
)
def test_impossible_encoding_is_refused(found: Image, name: str, shown: str) -> None:
    with pytest.raises(CdiError) as refused:
        choose(upload_options(encoding=name), found, None)
    text = str(refused.value)
    assert f"encoding of disk is {name}" in text and shown in text and "set encoding=auto" in text


def test_qcow2_has_its_length_before_the_first_byte() -> None:
    stream = choose(upload_options(encoding="qcow2"), image(), survey(100)).stream
    assert stream and stream.length and 100 * MIB < stream.length < 102 * MIB
