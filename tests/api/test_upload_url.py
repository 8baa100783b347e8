# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads of files on a real web server: what is fetched, how often, and that no other file becomes a disk."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import PERSISTENT_VOLUME_CLAIM

from tests.api.objects import fetch
from tests.api.upload_service import Upload, UploadService
from tests.image_server import MIB, Server, qcow2, serving
from tests.modules import RunModule
from tests.wire import Wire

DISK = qcow2(64 * MIB) + os.urandom(4 * MIB)
RAW = b"\xeb\x63\x90\0" + os.urandom(8 * MIB - 4)
FILES = {
    "/disk.qcow2": DISK,
    "/disk.raw": RAW,
    "/disk.raw.gz": gzip.compress(RAW, 1),
    "/router.img.gz": gzip.compress(RAW, 1) + b"metadata",
    "/cut.raw.gz": gzip.compress(RAW, 1)[: 5 * MIB],
    "/index.html": b"<!DOCTYPE html><html>".ljust(4096, b" "),
    "/files.zip": b"PK\x03\x04".ljust(4096, b"\1"),
    "/cut.qcow2": DISK[: 3 * 65536],
    "/files.tar": b"disk.img".ljust(257, b"\0") + b"ustar\x0000".ljust(4096, b"\0"),
}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def checksum(name: str) -> str:
    return f"sha256:{sha256(FILES[name])}"


@pytest.fixture
def images() -> Iterator[Server]:
    with serving() as server:
        server.files = dict(FILES)
        yield server


@pytest.mark.parametrize("with_checksum", [True, False])
@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("/disk.qcow2", {}, "64Mi"),
        ("/disk.raw", {"encoding": "file"}, "8Mi"),
        ("/disk.raw.gz", {"storage": {"size": "8Mi"}}, "8Mi"),
        ("/files.zip", {"format": "raw"}, "1Mi"),
        ("/files.tar", {"storage": {"size": "16Mi"}}, "16Mi"),
    ],
)
def test_file_is_sent_as_it_is_and_fetched_once_with_a_checksum(
    upload: Upload,
    service: UploadService,
    images: Server,
    with_checksum: bool,
    name: str,
    options: dict[str, Any],
    size: str,
) -> None:
    options = {**options, **({"checksum": checksum(name)} if with_checksum else {})}
    result = upload(name="disk", path=images.url + name, **options)
    assert (result.get("msg"), result["action"], result["changed"]) == (None, "uploaded", True)
    assert service.body == FILES[name] and service.received == [len(FILES[name])]
    assert result["digest"] == result["sha256"] == sha256(FILES[name]) and result["file_size"] == len(FILES[name])
    reason = "encoding is file" if "encoding" in options else "a file on a web server is sent as it is"
    assert (result["encoding"], result["encoding_reason"]) == ("file", reason)
    assert result["data_volume"]["spec"]["storage"]["resources"]["requests"]["storage"] == size
    assert result["data_volume"]["spec"].get("contentType") == ("archive" if name.endswith("tar") else None)
    assert images.whole == (1 if with_checksum else 2) and len(images.seen) <= images.whole + 2


def test_unchanged_file_with_a_checksum_is_not_even_looked_at(upload: Upload, images: Server) -> None:
    options: dict[str, Any] = {"name": "disk", "path": f"{images.url}/disk.qcow2", "checksum": checksum("/disk.qcow2")}
    assert upload(**options)["changed"]
    images.seen.clear()
    result = upload(**options)
    assert not result["changed"] and result["digest"] == sha256(DISK) and images.seen == []
    # With a size, which has to be compared with the image, only its ends are fetched.
    result = upload(**options, storage={"size": "64Mi"})
    assert not result["changed"] and result["format"] == "qcow2" and images.whole == 0 and len(images.seen) <= 2


def test_unchanged_file_without_a_checksum_is_fetched_and_not_sent(
    upload: Upload, service: UploadService, images: Server
) -> None:
    assert upload(name="disk", path=f"{images.url}/disk.qcow2")["changed"]
    images.seen.clear()
    images.sent = 0
    result = upload(name="disk", path=f"{images.url}/disk.qcow2")
    assert (result["changed"], result["action"], result["digest"]) == (False, "unchanged", sha256(DISK))
    assert images.whole == 1 and images.sent <= len(DISK) + 2 * MIB and len(service.received) == 1


def test_same_file_on_disk_is_not_sent_again(
    upload: Upload, service: UploadService, images: Server, tmp_path: Any
) -> None:
    assert upload(name="disk", path=f"{images.url}/disk.qcow2")["changed"]
    (tmp_path / "disk.qcow2").write_bytes(DISK)
    assert not upload(name="disk", path=str(tmp_path / "disk.qcow2"))["changed"] and len(service.received) == 1


def test_other_file_replaces_the_volume_only_on_request(upload: Upload, service: UploadService, images: Server) -> None:
    assert upload(name="disk", path=f"{images.url}/disk.qcow2")["changed"]
    images.files["/disk.qcow2"] = changed = DISK[:-1] + bytes([DISK[-1] ^ 1])
    refused = upload(name="disk", path=f"{images.url}/disk.qcow2")
    assert refused["failed"] and f"has {sha256(changed)}" in refused["msg"] and "overwrite=different" in refused["msg"]
    replaced = upload(name="disk", path=f"{images.url}/disk.qcow2", overwrite="different")
    assert replaced["action"] == "replaced" and service.body == changed


@pytest.mark.parametrize("name", ["/disk.qcow2", "/disk.raw.gz"])
def test_volume_is_not_deleted_for_a_file_that_is_not_that_of_the_checksum(
    wire: Wire, upload: Upload, service: UploadService, images: Server, name: str
) -> None:
    options: dict[str, Any] = {"name": "disk", "path": images.url + name, "storage": {"size": "64Mi"}}
    assert upload(**options)["changed"]
    wire.requests.clear()
    result = upload(**options, checksum=f"sha256:{'1' * 64}", overwrite="different")
    assert result["failed"] and not result["changed"] and len(service.received) == 1
    assert f"/{name[1:]} does not match checksum: expected sha256:1111" in result["msg"], result["msg"]
    assert not [path for method, path in wire.writes() if method in ("DELETE", "PATCH", "PUT")]


def test_last_bytes_of_a_file_with_another_checksum_are_not_sent(
    upload: Upload, service: UploadService, images: Server
) -> None:
    result = upload(name="disk", path=f"{images.url}/disk.qcow2", checksum=f"sha256:{'1' * 64}")
    assert result["failed"] and f"got sha256:{sha256(DISK)}; its last bytes were not sent" in result["msg"]
    assert all(received < len(DISK) for received in service.received)
    assert "which the task created, was deleted again" in result["msg"] and not service.settled("disk")


@pytest.mark.parametrize("marks", [True, False])
@pytest.mark.parametrize("with_checksum", [True, False])
def test_file_that_changes_before_it_is_sent_is_not_uploaded(
    wire: Wire, upload: Upload, service: UploadService, images: Server, marks: bool, with_checksum: bool
) -> None:
    """By the ETag, before anything is sent, or by the digest."""
    images.marks = marks

    def change(method: str, path: str) -> str:
        if method == "POST" and "/uploadtokenrequests" in path:
            images.files["/disk.qcow2"] = DISK[:-1] + bytes([DISK[-1] ^ 1])
        return ""

    wire.trouble = change
    options = {"checksum": checksum("/disk.qcow2")} if with_checksum else {}
    result = upload(name="disk", path=f"{images.url}/disk.qcow2", **options)
    words = "does not match checksum" if with_checksum and not marks else "/disk.qcow2 changed during the upload"
    assert result["failed"] and words in result["msg"] and not result["changed"], result["msg"]
    assert all(received < len(DISK) for received in service.received) and bool(service.received) == (not marks)


def test_interrupted_upload_is_completed_by_the_next_run(
    upload: Upload, service: UploadService, images: Server, direct: Connection, namespace: str
) -> None:
    images.cuts = [len(DISK), 5 * MIB, 5 * MIB]
    result = upload(name="disk", path=f"{images.url}/disk.qcow2", on_failure="keep")
    assert result["failed"] and (result["action"], result["retries"]) == ("created", 1), result
    assert "failed after 2 attempts; last error: the connection broke (The file cannot be fetched" in result["msg"]
    claim = fetch(direct, PERSISTENT_VOLUME_CLAIM, "disk", namespace)
    assert claim["metadata"]["annotations"]["kubevirt.cdi/upload-sha256"] == sha256(DISK)
    result = upload(name="disk", path=f"{images.url}/disk.qcow2")
    assert result["action"] == "uploaded" and service.body == DISK, result


def test_connection_that_breaks_before_anything_is_sent_leaves_nothing(
    upload: Upload, service: UploadService, images: Server
) -> None:
    images.cuts = [5 * MIB]
    result = upload(name="disk", path=f"{images.url}/disk.qcow2")
    assert result["failed"] and "The file cannot be fetched: the connection to " in result["msg"], result["msg"]
    assert (result["changed"], result["action"]) == (False, "unchanged")
    assert service.received == [] and not service.settled("disk")


def test_broken_connection_to_the_web_server_is_tried_again(
    upload: Upload, service: UploadService, images: Server
) -> None:
    images.cuts = [3 * MIB]
    result = upload(name="disk", path=f"{images.url}/disk.qcow2", checksum=checksum("/disk.qcow2"))
    assert (result["action"], result["retries"]) == ("uploaded", 1) and service.body == DISK


def test_web_server_that_sends_nothing_more_is_named(upload: Upload, service: UploadService, images: Server) -> None:
    images.cuts, images.stall = [3 * MIB], 60
    options: dict[str, Any] = {"checksum": checksum("/disk.qcow2"), "retries": 0, "wait_timeout": 3}
    result = upload(name="disk", path=f"{images.url}/disk.qcow2", **options)
    assert result["failed"] and f"{images.url}/disk.qcow2 sent no byte for 3 s" in result["msg"], result["msg"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("/nothing", {}, "returned 404; correct path"),
        ("/secret", {}, "returned 403; give a URL in path with the right to read it, or correct path"),
        ("/busy", {}, "returned 503; check the web server, and that the host"),
        ("/index.html", {}, "is a web page (HTML)"),
        ("/files.zip", {}, "If these bytes are the disk, set format=raw."),
        ("/cut.qcow2", {}, "is truncated"),
        ("/cut.raw.gz", {}, "is truncated or damaged: its gzip stream ends too early"),
        ("/disk.qcow2", {"content_type": "archive"}, "is a disk image (qcow2)"),
        ("/disk.qcow2", {"storage": {"size": "32Mi"}}, "needs 64Mi"),
        ("/files.tar", {}, "the first and the last bytes of the file at this URL do not reveal it; give storage.size"),
        ("/tar", {}, "is a tar archive, perhaps an exported volume"),
    ],
)
def test_file_that_cannot_be_uploaded_is_refused_before_a_write(
    wire: Wire, upload: Upload, images: Server, check: bool, name: str, options: dict[str, Any], words: str
) -> None:
    images.files["/tar"] = FILES["/files.tar"]
    images.answers = {"/secret": (403, {}, b"no"), "/busy": (503, {}, b"later")}
    result = upload(check=check, name="disk", path=images.url + name, **options)
    assert result["failed"] and words in result["msg"] and wire.writes() == [], result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "qcow2"}, "encoding of disk is qcow2, and {url} is a URL, whose file is sent as it is; set"),
        ({"encoding": "raw_gz"}, "set encoding=auto, or download the file first (ansible.builtin.get_url)"),
        ({"verify_content": True}, "verify_content of disk is true, and {url} is a URL, whose disk is not read here"),
    ],
)
def test_option_that_needs_a_file_is_refused_before_a_request(
    wire: Wire, module: RunModule, namespace: str, images: Server, options: dict[str, Any], words: str
) -> None:
    url = f"{images.url}/disk.qcow2"
    result = module("volume_upload", name="disk", namespace=namespace, path=url, **options).result
    assert result["failed"] and words.format(url=url) in result["msg"], result["msg"]
    assert wire.requests == [] and images.seen == []


@pytest.mark.parametrize("ranges", [True, False])
def test_file_of_unknown_size_is_refused(wire: Wire, upload: Upload, images: Server, ranges: bool) -> None:
    images.lengths, images.ranges = False, ranges
    result = upload(name="disk", path=f"{images.url}/disk.qcow2")
    assert result["failed"] and "because the server sends no Content-Length; download the file" in result["msg"]
    assert wire.writes() == []


def test_server_without_ranges_is_enough(upload: Upload, service: UploadService, images: Server) -> None:
    images.ranges = False
    result = upload(name="disk", path=f"{images.url}/disk.qcow2", checksum=checksum("/disk.qcow2"))
    assert result["action"] == "uploaded" and service.body == DISK, result


def test_redirect_to_another_server_is_followed_without_the_password(
    upload: Upload, service: UploadService, images: Server
) -> None:
    with serving() as other:
        other.files, images.password = dict(FILES), "ann:p@ss/word"
        images.answers["/moved"] = (302, {"Location": f"{other.url}/disk.qcow2"}, b"")
        url = images.url.replace("://", "://ann:p%40ss%2Fword@")
        assert upload(name="disk", path=f"{url}/moved")["action"] == "uploaded" and service.body == DISK
        assert all("Authorization" in headers for _path, headers in images.seen)
        assert not any("Authorization" in headers for _path, headers in other.seen)
    images.password = "ann:another"
    assert "returned 401; give a URL in path with the right user" in upload(name="x", path=f"{url}/disk.qcow2")["msg"]


@pytest.mark.parametrize(
    ("name", "options", "whole"),
    [("/disk.qcow2", {}, 0), ("/disk.qcow2", {"checksum": checksum("/disk.qcow2")}, 0), ("/disk.raw.gz", {}, 1)],
)
def test_check_mode_sends_nothing(
    wire: Wire, upload: Upload, images: Server, name: str, options: dict[str, Any], whole: int
) -> None:
    """A compressed file is fetched, as a file is read: otherwise, the size of its disk is not known."""
    result = upload(check=True, name="disk", path=images.url + name, **options)
    assert (result["changed"], result["action"], result["encoding"]) == (True, "uploaded", "file"), result
    assert wire.writes() == [] and images.whole == whole and (whole or images.sent <= 2 * MIB)


def test_trailing_bytes_of_a_compressed_file_are_not_sent(
    upload: Upload, service: UploadService, images: Server
) -> None:
    result = upload(name="disk", path=f"{images.url}/router.img.gz")
    content = FILES["/router.img.gz"]
    assert result["action"] == "uploaded" and service.body == content[:-8] and result["sha256"] == sha256(content)
    assert any("The last 8 bytes of " in warning for warning in result["warnings"])
