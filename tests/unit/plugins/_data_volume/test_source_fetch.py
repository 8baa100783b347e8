# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on real HTTP servers, looked at before their import: what is accepted, refused, or no obstacle."""

from __future__ import annotations

import gzip
import lzma
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.source_fetch import Request, fetch_all
from ansible_collections.kubevirt.cdi.plugins.module_utils._data_volume.source_image import (
    Fetched,
    SourceImage,
    inspect_answer,
)

from tests.cluster.runtime.certificates import Authority
from tests.image_server import MIB, Server, qcow2, serving


@pytest.fixture
def serve() -> Iterator[Callable[[], Server]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(serving())


def look(url: str, content_type: str | None = None, seconds: float = 10, **options: Any) -> SourceImage:
    request = Request(url, **options)
    fetched: Fetched = fetch_all({request: seconds})[request]
    if fetched.answer is None:
        return SourceImage(reason=fetched.reason or fetched.refusal, refusal=fetched.refusal)
    return inspect_answer(url, fetched.answer, content_type)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("name", "content", "form", "compression", "disk"),
    [
        ("disk.qcow2", qcow2(64 * MIB), "qcow2", None, 64 * MIB),
        ("disk.raw", os.urandom(3 * MIB), "raw", None, 3 * MIB),
        ("small.raw", bytes(MIB), "raw", None, MIB),
        ("disk.qcow2.gz", gzip.compress(qcow2(64 * MIB)), "qcow2", "gz", 64 * MIB),
        ("disk.qcow2.xz", lzma.compress(qcow2(64 * MIB)), "qcow2", "xz", 64 * MIB),
        ("disk.raw.gz", gzip.compress(os.urandom(3 * MIB)), "raw", "gz", None),
    ],
)
def test_format_and_size_come_from_a_part_of_the_image(
    serve: Callable[[], Server],
    ranges: bool,
    name: str,
    content: bytes,
    form: str,
    compression: str | None,
    disk: int | None,
) -> None:
    server = serve()
    server.files[f"/{name}"], server.ranges = content, ranges
    found = look(f"{server.url}/{name}")
    assert found.image is not None and not found.refusal, found
    assert (found.image.format, found.image.compression, found.image.virtual_size) == (form, compression, disk)
    assert found.facts["file_size"] == len(content) and found.facts["checked"]
    assert 1 <= len(server.seen) <= 2


HTML = b"<!DOCTYPE html><html><head><title>Index of /images</title></head><body>" + b"<a href=x>x</a>" * 100


def _filtered(content: bytes) -> bytes:
    return lzma.compress(content, filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 0}])


TAR = b"disk.img".ljust(257, b"\0") + b"ustar\x0000".ljust(MIB, b"\0")
REFUSED: dict[str, tuple[tuple[int, dict[str, str], bytes], str]] = {
    "not-there": ((404, {}, b""), "returned 404; correct source.http.url"),
    "gone": ((410, {}, b""), "returned 410; correct source.http.url"),
    "password": ((401, {}, b""), "returned 401; give source.http.secret_ref"),
    "forbidden": ((403, {}, b""), "returned 403; give source.http.secret_ref"),
    "no-get": ((405, {}, b""), "returned 405; give the URL of a file"),
    "web-page": ((200, {}, HTML), "is a web page (HTML)"),
    "small-page": ((200, {}, b"<html><body>It works!</body></html>"), "CDI accepts no image below 512"),
    "nothing": ((200, {}, b""), "holds 0 bytes"),
    "zip": ((200, {}, b"PK\x03\x04".ljust(MIB, b"\1")), "is a zip archive"),
    "bzip2": ((200, {}, b"BZh9".ljust(MIB, b"\1")), "compressed with bzip2"),
    "filtered": ((200, {}, _filtered(os.urandom(MIB))), "was packed by xz with the filter x86, and CDI knows only"),
    "backing": ((200, {}, qcow2(MIB, 4096)), "needs a backing file"),
    "tar": ((200, {}, TAR), "is a tar archive, and CDI would store it as a raw disk"),
    "loop": ((302, {"Location": "/loop"}, b""), "was redirected 10 times"),
    "to-a-file": (
        (302, {"Location": "file:///etc/passwd"}, b""),
        "redirects to file:///etc/passwd, which is not http or https",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_file_that_cdi_cannot_import_is_refused_with_a_remedy(serve: Callable[[], Server], name: str) -> None:
    server = serve()
    answer, words = REFUSED[name]
    server.answers[f"/{name}"] = answer
    found = look(f"{server.url}/{name}?signature=hunter2")
    assert words in found.refusal and "hunter2" not in found.refusal, found
    assert not found.facts["checked"]


def test_content_type_has_to_match_archive_or_disk(serve: Callable[[], Server]) -> None:
    server = serve()
    server.answers["/tar"] = REFUSED["tar"][0]
    server.files["/disk"] = qcow2(MIB)
    assert look(f"{server.url}/tar", "archive").facts["format"] == "tar"
    assert "content_type is archive" in look(f"{server.url}/disk", "archive").refusal


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_server_error_is_no_obstacle(serve: Callable[[], Server], status: int) -> None:
    server = serve()
    server.answers["/disk"] = (status, {}, b"")
    found = look(f"{server.url}/disk")
    assert not found.refusal and f"returned {status}" in found.reason


def test_unreachable_server_is_no_obstacle_and_not_awaited(serve: Callable[[], Server]) -> None:
    with socket.socket() as silent, socket.socket() as closed:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        closed.bind(("127.0.0.1", 0))
        started = time.monotonic()
        places = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in (silent, closed)]
        for url in (*places, serve().url.replace("http", "https")):
            found = look(url, seconds=1)
            assert not found.refusal and found.reason and found.image is None, found
        assert time.monotonic() - started < 60


def test_certificate_is_verified_and_an_untrusted_one_is_no_obstacle(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("server", "images", addresses=["127.0.0.1"])
    with serving(tmp_path / "server") as server:
        server.files["/disk"] = qcow2(MIB)
        url = f"{server.url}/disk"
        found = look(url, ca=(tmp_path / "ca.crt").read_text(encoding="utf-8"))
        assert found.image is not None and found.image.format == "qcow2"
        found = look(url)
        assert not found.refusal and "its certificate is not trusted" in found.reason
        assert "certificates cannot be read" in look(url, ca="-----BEGIN CERTIFICATE-----").reason


def test_credentials_and_headers_are_sent_only_to_the_server_of_the_url(
    serve: Callable[[], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = serve(), serve()
    first.password = "user:hunter2"
    other.files["/disk"] = qcow2(MIB)
    first.answers["/moved"] = (302, {"Location": f"{other.url}/disk"}, b"")
    found = look(f"{first.url}/moved", credentials=("user", "hunter2"), headers=("X-Token: hunter3",))
    assert found.image is not None and found.image.format == "qcow2"
    assert first.seen[0][1]["Authorization"].startswith("Basic ") and first.seen[0][1]["X-Token"] == "hunter3"
    assert not any({"Authorization", "X-Token"} & set(headers) for _path, headers in other.seen)
    # CDI sends the credentials again, and may be accepted.
    other.password = "other:one"
    found = look(f"{first.url}/moved", credentials=("user", "hunter2"))
    assert not found.refusal and "returned 401" in found.reason


def test_refusal_of_a_proxy_is_no_obstacle(serve: Callable[[], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = serve()
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    found = look("http://images.invalid/disk", credentials=("a", "b"))
    assert not found.refusal and "returned 404" in found.reason and proxy.seen[0][0] == "http://images.invalid/disk"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = serve()
    server.files["/disk"] = qcow2(MIB)
    assert look(f"{server.url}/disk").image is not None
