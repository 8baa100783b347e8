# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of all kinds: refused files create no volume, CDI refuses the same files, and failures leave nothing."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import lzma
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._image.formats import inspect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.errors import CdiError
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
)

from tests.cluster.digests import digests
from tests.image_files import luks, run
from tests.real.objects import Ok, create, existing, new_namespace, until
from tests.real.test_upload_interruptions import kill_midway
from tests.real.uploads import KUBECONFIG, MIB, THIN, Images, curl

Make = Callable[[Path, Images], object]
_CUT_FORMS = ("qcow2", "vdi", "vmdk", "vhd", "vhdx", "raw-gz", "raw-xz", "raw-zst", "vmdk-zst")


def _cut_form(form: str) -> Make:
    """Makes the first two thirds of an image."""

    def make(path: Path, images: Images) -> None:
        content = Path(images.disks[form]).read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])

    return make


REFUSED: dict[str, tuple[Make, str]] = {
    "page": (lambda p, _images: p.write_bytes(b"<html>" + b"There is no such file. " * 99), "is a web page"),
    "zip": (lambda p, images: run("7z", "a", "-tzip", "-bd", "-y", f"{p}", images.iso), "is a zip archive"),
    "luks": (lambda p, _images: luks(p, "4M"), "encrypted with LUKS"),
    "qed": (lambda p, _images: run("qemu-img", "create", "-f", "qed", p, "4M"), "is a QED image"),
    **{f"cut-{form}": (_cut_form(form), "is truncated") for form in _CUT_FORMS},
    "twice": (
        lambda p, images: p.write_bytes(gzip.compress(Path(images.disks["raw-xz"]).read_bytes())),
        "is compressed twice",
    ),
    "pipe": (lambda p, _images: os.mkfifo(p), "is a pipe"),
}


def _make(path: Path, images: Images, make: Make) -> str:
    made = path if path.suffix else path.with_suffix(".zip") if path.name == "zip" else path
    make(made, images)
    return str(made)


def test_refused_file_creates_no_volume(
    images: Images, namespace: str, module: Any, connection: Connection, tmp_path: Path
) -> None:
    uploads = [
        {"name": name, "path": _make(tmp_path / name, images, make), "storage": THIN}
        for name, (make, _message) in REFUSED.items()
    ]
    started = time.monotonic()
    result = module("volume_upload", namespace=namespace, uploads=uploads).result
    assert time.monotonic() - started < 150 and not result["changed"]
    for item in result["uploads"]:
        assert REFUSED[item["name"]][1] in item["error"], item["error"]
        assert (item["changed"], item["action"], item["bytes_sent"], item["retries"]) == (False, "unchanged", 0, 0)
    assert connection.list(DATA_VOLUME, namespace)[0] == connection.list(PERSISTENT_VOLUME_CLAIM, namespace)[0] == []


@pytest.fixture
def device(images: Images) -> Iterator[str]:
    path = run("losetup", "--show", "-f", images.disks["raw"]).decode().strip()
    yield path
    run("losetup", "-d", path)


def test_block_device_is_uploaded(images: Images, namespace: str, ok: Any, digest: Any, device: str) -> None:
    result = ok("volume_upload", name="disk", namespace=namespace, path=device, storage=THIN)
    assert (result["format"], result["virtual_size"], result["sha256"]) == ("raw", images.size, images.sha256)
    assert digest(namespace, "disk", images.size) == images.sha256
    assert not ok("volume_upload", name="disk", namespace=namespace, path=device, storage=THIN)["changed"]


def _pods(connection: Connection, namespace: str) -> list[str]:
    return [pod["metadata"]["name"] for pod in connection.list(POD, namespace)[0]]


def test_failed_uploads_leave_no_volumes_and_pods(
    namespace: str, module: Any, connection: Connection, tmp_path: Path
) -> None:
    """The image has an error that only QEMU finds: a header extension is longer than the header."""
    path = tmp_path / "bad.qcow2"
    run("qemu-img", "create", "-f", "qcow2", path, "8M")
    with open(path, "r+b") as file:
        file.seek(112)
        file.write(bytes.fromhex("12345678fffffff0"))
    for number in range(3):
        result = module(
            "volume_upload", name=f"disk-{number}", namespace=namespace, path=str(path), storage=THIN, retries=1
        ).result
        assert result["failed"] and "was deleted again" in result["msg"] and not result["changed"], result

    def left() -> list[Any]:
        volumes, claims = (
            connection.list(resource, namespace)[0] for resource in (DATA_VOLUME, PERSISTENT_VOLUME_CLAIM)
        )
        return _pods(connection, namespace) + volumes + claims

    until(lambda: not left(), 300, "volumes or pods are left")
    kept = module(
        "volume_upload", name="disk", namespace=namespace, path=str(path), storage=THIN, retries=1, on_failure="keep"
    ).result
    assert (kept["changed"], kept["action"]) == (True, "created") and connection.get(
        DATA_VOLUME, "disk", namespace
    ) is not None


def test_data_in_use_are_not_overwritten(
    images: Images, namespace: str, module: Any, ok: Any, digest: Any, connection: Connection
) -> None:
    options = {"name": "disk", "namespace": namespace, "storage": THIN}
    assert ok("volume_upload", path=images.disks["raw"], **options)["changed"]
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "disk"}}
    # The image does not exist: a pod that waits to use the data is sufficient.
    spec = {
        "containers": [{"name": "user", "image": "nothing.invalid/at/all"}],
        "volumes": [claim],
        "terminationGracePeriodSeconds": 0,
    }
    create(connection, POD, "user", namespace, spec=spec)
    for overwrite in ("different", "always"):
        result = module("volume_upload", path=images.iso, overwrite=overwrite, **options).result
        assert result["failed"] and f"is in use by pod {namespace}/user" in result["msg"], result["msg"]
        assert (result["changed"], result["action"]) == (False, "unchanged")
    connection.delete(POD, "user", namespace, dry_run=False)
    assert digest(namespace, "disk", images.size) == images.sha256


def test_unfinished_upload_is_reported(images: Images, namespace: str, ok: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "name": "disk",
        "namespace": namespace,
        "progress_file": str(tmp_path / "progress"),
        "storage": THIN,
    }
    kill_midway({**options, "path": str(images.large)})
    (volume,) = ok("data_volume_info", namespace=namespace)["data_volumes"]
    assert volume["diagnosis"]["cause"] == "upload_unfinished", volume["diagnosis"]
    assert "an upload was started at 20" in volume["diagnosis"]["message"]
    assert ok("volume_upload", **options, path=str(images.large))["phase"] == "Succeeded"
    assert ok("data_volume_info", namespace=namespace)["data_volumes"][0]["diagnosis"] is None


# Files that CDI accepts, and files that the module refuses because CDI does.


@pytest.fixture(scope="module")
def shared(connection: Connection) -> Iterator[str]:
    with new_namespace(connection) as name:
        yield name


RAW = b"\xeb\x63\x90\0" + os.urandom(4 * MIB - 4)
ACCEPTED: dict[str, Callable[[Path], object]] = {
    "gz-with-a-tail": lambda p: p.write_bytes(gzip.compress(RAW) + b"FWx0 metadata"),
    "gz-with-zeros": lambda p: p.write_bytes(gzip.compress(RAW) + bytes(4096)),
    "xz-with-a-tail": lambda p: p.write_bytes(lzma.compress(RAW) + b"tail"),
    "zst-with-a-tail": lambda p: p.write_bytes(run("zstd", "-qc", data=RAW) + b"tail of some bytes"),
    "zst-long-29": lambda p: p.write_bytes(run("zstd", "-qc", "--long=29", data=RAW)),
    "gz-of-two": lambda p: p.write_bytes(gzip.compress(RAW[:MIB]) + gzip.compress(RAW[MIB:])),
    "xz-of-two": lambda p: p.write_bytes(lzma.compress(RAW[:MIB]) + bytes(4) + lzma.compress(RAW[MIB:]) + bytes(8)),
}


def test_accepted_files_of_a_directory_are_uploaded(shared: str, module: Any, tmp_path: Path) -> None:
    for name, make in ACCEPTED.items():
        make(tmp_path / name)
    storage = {**THIN, "size": "8Mi"}
    result = module("volume_upload", namespace=shared, paths=[str(tmp_path)], storage=storage, parallel=2).result
    assert {item["name"]: item.get("error") for item in result["uploads"]} == dict.fromkeys(ACCEPTED)
    read = digests(KUBECONFIG, [f"{shared}/{name}" for name in ACCEPTED], len(RAW))
    assert set(read.values()) == {hashlib.sha256(RAW).hexdigest()}, read


def _tar(path: Path, *members: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))


def _member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.mode = kind, size, 0o755
    return member


REFUSED_BY_CDI: dict[str, Callable[[Path], object]] = {
    "gz-tail": ACCEPTED["gz-with-a-tail"],
    "gz-zeros": ACCEPTED["gz-with-zeros"],
    "xz-tail": ACCEPTED["xz-with-a-tail"],
    "zst-tail": ACCEPTED["zst-with-a-tail"],
    "xz-x86": lambda p: p.write_bytes(run("xz", "--x86", "--lzma2", "-c", data=RAW)),
    "xz-delta": lambda p: p.write_bytes(run("xz", "--delta", "--lzma2", "-c", data=RAW)),
    "zst-long-31": lambda p: p.write_bytes(run("zstd", "-qc", "--ultra", "--long=31", data=RAW)),
    "luks": lambda p: luks(p, "4M"),
    "qed": lambda p: run("qemu-img", "create", "-f", "qed", p, "4M"),
    "parallels": lambda p: run("qemu-img", "create", "-f", "parallels", p, "4M"),
    "tar-top": lambda p: _tar(p, _member("./", tarfile.DIRTYPE), _member("./file", size=5)),
    "tar-lost": lambda p: _tar(p, _member("lost+found", tarfile.DIRTYPE), _member("file", size=5)),
}


@pytest.mark.parametrize("name", REFUSED_BY_CDI)
def test_cdi_refuses_the_file(
    shared: str, ok: Ok, connection: Connection, proxy_url: str, tmp_path: Path, name: str
) -> None:
    """curl sends the file, because the module would refuse it."""
    path = tmp_path / name
    REFUSED_BY_CDI[name](path)
    found = None
    with contextlib.suppress(CdiError):
        found = inspect(str(path), lambda _data: None)
    assert found is None or found.tail, "the module accepts the file"
    # CDI writes a LUKS image to a device without reading it, and the image is larger than its disk.
    storage = {**THIN, **({"size": "4Mi", "volume_mode": "Block"} if name == "luks" else {"size": "16Mi"})}
    content_type = "archive" if name.startswith("tar") else "kubevirt"
    target = {"name": name, "namespace": shared, "source": {"upload": {}}, "storage": storage}
    assert ok("data_volume", **target, content_type=content_type)["phase"] == "UploadReady"
    assert curl(connection, name, shared, path, proxy_url) != 200
    assert existing(connection, DATA_VOLUME, name, shared)["status"]["phase"] != "Succeeded"
    connection.delete(DATA_VOLUME, name, shared, dry_run=False)


@pytest.mark.parametrize("form", ["v7", "gnu", "pax"])
def test_archive_of_each_format_is_unpacked(shared: str, ok: Any, tmp_path: Path, form: str) -> None:
    (tmp_path / "disk.img").write_bytes(RAW)
    path = tmp_path / "files.tar"
    run("tar", f"--format={form}", "-C", tmp_path, "-cf", path, "./disk.img")
    assert (
        ok("volume_upload", name=f"tar-{form}", namespace=shared, path=str(path), content_type="archive", storage=THIN)[
            "phase"
        ]
        == "Succeeded"
    )
    read = digests(KUBECONFIG, [f"{shared}/tar-{form}"], len(RAW))
    assert set(read.values()) == {hashlib.sha256(RAW).hexdigest()}
