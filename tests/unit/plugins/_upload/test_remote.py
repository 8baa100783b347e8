# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on a real web server: what is known of them, and what is sent of them. Never of another file."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import subprocess
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.source_image import Version
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import Image
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.remote import Remote, SourceUrl, look, read_whole
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload.source import FileChanged, Interrupted

from tests.cluster.runtime.certificates import Authority
from tests.image_server import MIB, Server, qcow2, serving

RAW = b"\xeb\x63\x90\0" + os.urandom(3 * MIB) + bytes(2 * MIB)


def _zst(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=content, check=True, capture_output=True).stdout


SHA256 = hashlib.sha256(RAW).hexdigest()
OTHER = RAW[:-1] + b"\1"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as started:
        started.files["/disk"] = RAW
        yield started


def looked(server: Server, content: bytes | None = None, patience: float = 10) -> tuple[Remote, Image]:
    if content is not None:
        server.files["/disk"] = content
    return look(f"{server.url}/disk?token=secret", patience, insist=False)


def source(server: Server, digest: str = SHA256, tail: int = 0, is_expected: bool = False) -> SourceUrl:
    return SourceUrl(looked(server)[0], digest, len(RAW) - tail, is_expected)


def sent(url: SourceUrl) -> Iterator[bytes]:
    with url.opened() as chunks:
        yield from (bytes(chunk) for chunk, _reached in chunks)


def sent_until_the_error(url: SourceUrl, error: type[CdiError], words: str) -> int:
    """How many bytes are sent before the error."""
    count = 0
    with pytest.raises(error, match=words) as raised:
        for chunk in sent(url):
            count += len(chunk)
    assert "secret" not in str(raised.value)
    return count


def test_file_is_sent_completely_and_again(server: Server) -> None:
    url = source(server)
    assert b"".join(sent(url)) == b"".join(sent(url)) == RAW and url.sent_size == len(RAW)
    assert server.whole == 2


@pytest.mark.parametrize("tail", [1, MIB, len(RAW) - 1])
def test_tail_is_hashed_and_not_sent(server: Server, tail: int) -> None:
    assert b"".join(sent(source(server, tail=tail))) == RAW[:-tail]
    assert sent_until_the_error(source(server, "0" * 64, tail), FileChanged, "changed") < len(RAW) - tail


@pytest.mark.parametrize(
    ("is_expected", "error", "words"),
    [(True, CdiError, "does not match checksum: expected sha256:0000.*got sha256:"), (False, FileChanged, "changed")],
)
def test_last_bytes_are_held_back_until_the_digest_is_right(
    server: Server, is_expected: bool, error: type[CdiError], words: str
) -> None:
    assert 0 < sent_until_the_error(source(server, "0" * 64, is_expected=is_expected), error, words) < len(RAW)


@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize("content", [OTHER, RAW + b"\0", RAW[:-1]])
def test_changed_file_is_detected(server: Server, content: bytes, marks: bool) -> None:
    server.marks = marks
    url = source(server)
    server.files["/disk"] = content
    count = sent_until_the_error(url, FileChanged, "/disk.* changed during the upload")
    assert count < len(RAW) and bool(count) == (not marks and len(content) == len(RAW))


@pytest.mark.parametrize("lengths", [True, False])
def test_file_that_ends_early_may_be_fetched_again(server: Server, lengths: bool) -> None:
    url = source(server)
    server.cuts, server.lengths = [2 * MIB], lengths
    count = sent_until_the_error(url, Interrupted, "the connection to .*/disk.* (broke|ended after 2097152 of)")
    assert count < 2 * MIB and b"".join(sent(url)) == RAW


def test_file_that_becomes_longer_is_not_sent(server: Server) -> None:
    url = source(server)
    server.files["/disk"], server.lengths, server.marks = RAW + b"\0", False, False
    assert sent_until_the_error(url, FileChanged, "changed") < len(RAW)


def test_silent_server_is_given_up_after_the_time(server: Server) -> None:
    url = SourceUrl(looked(server, patience=1)[0], SHA256, len(RAW), False)
    server.cuts, server.stall = [MIB], 30
    assert sent_until_the_error(url, Interrupted, "sent no byte for 1 s; check the web server") < MIB


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, CdiError, "returned 404; correct path"),
        (403, CdiError, "returned 403; give a URL in path with the right to read it"),
        (503, Interrupted, "returned 503; check the"),
    ],
)
def test_refusal_of_the_server_is_an_error(server: Server, status: int, error: type[CdiError], words: str) -> None:
    url = source(server)
    server.answers["/disk"] = (status, {}, b"secret")
    assert sent_until_the_error(url, error, words) == 0
    with pytest.raises(error, match=words):
        looked(server)


@pytest.mark.parametrize("place", ["http://127.0.0.1:1/disk?token=secret", "http://127.0.0.1:999999/disk?token=secret"])
def test_words_of_libraries_have_no_secrets(server: Server, place: str) -> None:
    server.answers["/disk"] = (302, {"Location": place}, b"")
    with pytest.raises(Interrupted, match="cannot be reached from the host that runs the task") as raised:
        looked(server)
    assert "secret" not in str(raised.value)


def test_answer_that_the_server_compresses_is_refused(server: Server) -> None:
    server.answers["/disk"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(RAW))
    with pytest.raises(Interrupted, match=r"the server of http://.*/disk\?\*\*\* compresses its answer"):
        looked(server)


def test_certificate_is_verified_by_the_cas_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    authority.issue("server", "images", addresses=["127.0.0.1"])
    with serving(tmp_path / "server") as server:
        with pytest.raises(Interrupted, match=r"its certificate is not trusted: .*; check .* reaches and trusts it"):
            looked(server, RAW)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
        assert b"".join(sent(source(server))) == RAW


def test_mirrors_need_not_agree_on_the_version() -> None:
    first, other = ("http", "a.example.com", None), ("http", "b.example.com", None)
    assert Version(first, "1").differs(Version(first, "2"))
    assert not Version(first, "1").differs(Version(other, "2")) and not Version(first, "1").differs(Version(first, "1"))


@pytest.mark.parametrize(
    ("content", "form", "compression", "disk", "tail"),
    [
        (RAW, "raw", None, len(RAW), 0),
        (gzip.compress(RAW, 1), "raw", "gz", len(RAW), 0),
        (gzip.compress(RAW, 1) + b"metadata", "raw", "gz", len(RAW), 8),
        (lzma.compress(RAW, preset=0), "raw", "xz", len(RAW), 0),
        (lzma.compress(RAW, preset=0) + b"metadata", "raw", "xz", len(RAW), 8),
        (_zst(RAW), "raw", "zst", len(RAW), 0),
        (gzip.compress(qcow2(64 * MIB)), "qcow2", "gz", 64 * MIB, 0),
    ],
)
def test_whole_file_is_hashed_and_its_disk_measured(
    server: Server, content: bytes, form: str, compression: str | None, disk: int, tail: int
) -> None:
    remote, image = looked(server, content)
    assert remote.shown == f"{server.url}/disk?***" and remote.size == image.file_size == len(content)
    digest, image = read_whole(remote, image)
    assert digest == hashlib.sha256(content).hexdigest()
    assert (image.format, image.compression, image.virtual_size, image.tail) == (form, compression, disk, tail)


@pytest.mark.parametrize("packed", [gzip.compress(RAW, 1), lzma.compress(RAW, preset=0), _zst(RAW)])
def test_damaged_content_is_refused(server: Server, packed: bytes) -> None:
    remote, image = looked(server, packed[: 2 * MIB] + b"damaged" + packed[2 * MIB + 7 :])
    with pytest.raises(CdiError, match=r"/disk.* is truncated or damaged: its .* (stream|frame) is damaged"):
        read_whole(remote, image)


def test_file_that_needs_too_much_memory_is_only_hashed(server: Server) -> None:
    """The header of a block claims a dictionary of 1 GiB."""
    packed = bytearray(lzma.compress(RAW, preset=0))
    header = bytes([packed[12]]) + b"\0\x21\x01" + bytes([36]) + bytes(packed[12] * 4 + 4 - 4 - 5)
    packed[12 : 12 + len(header) + 4] = header + zlib.crc32(header).to_bytes(4, "little")
    remote, image = looked(server, bytes(packed))
    digest, read = read_whole(remote, image)
    assert digest == hashlib.sha256(packed).hexdigest() and read == image and image.compression == "xz"


def test_memory_does_not_grow_with_the_file(server: Server) -> None:
    content = bytes(64 * MIB)
    remote, _image = looked(server, content)
    tracemalloc.start()
    try:
        assert sum(map(len, sent(SourceUrl(remote, hashlib.sha256(content).hexdigest(), len(content), False))))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB, peak
