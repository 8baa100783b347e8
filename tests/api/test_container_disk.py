# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container disks in a real registry: what is pushed, what is not sent again, and what the errors say."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import ssl
import subprocess
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.runtime.certificates import Authority
from tests.hostile import hostile_server, http
from tests.image_files import MIB
from tests.image_server import qcow2
from tests.modules import Ran, run_module

USER, PASSWORD = "test-user", "test-password"
# bcrypt, the only hash that the registry reads.
_LOGIN = f"{USER}:$2b$04$svWL3JBEh5F74EgZ4NPOM.gPVJBQjZJeWWKCr8msWUH2k1UiyQigq\n"


@dataclass(frozen=True)
class Registry:
    """A running registry: HOST:PORT, the scheme, and the directory of its storage."""

    address: str
    scheme: str
    storage: Path

    def stored(self, path: str) -> bytes:
        accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
        request = urllib.request.Request(f"{self.scheme}://{self.address}/v2/{path}", headers=accept)
        with urllib.request.urlopen(request) as answer:
            return bytes(answer.read())


@contextlib.contextmanager
def registry(folder: Path, *, tls: bool = False, login: bool = False, read_only: bool = False) -> Iterator[Registry]:
    """Debian's docker-registry on the loopback address, with a certificate for `localhost`."""
    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    storage = {"filesystem": {"rootdirectory": str(folder / "storage")}}
    settings: dict[str, Any] = {"version": 0.1, "storage": storage, "http": {"addr": f"127.0.0.1:{port}"}}
    if read_only:
        settings["storage"]["maintenance"] = {"readonly": {"enabled": True}}
    if tls:
        Authority(folder).issue("server", "registry", addresses=["localhost"])
        settings["http"]["tls"] = {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key")}
    if login:
        (folder / "users").write_text(_LOGIN)
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "users")}}
    (folder / "config.yml").write_text(json.dumps(settings))
    command = ["/usr/bin/docker-registry", "serve", str(folder / "config.yml")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_for(port, process)
            yield Registry(f"localhost:{port}", "https" if tls else "http", folder / "storage")
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Registry]:
    with registry(tmp_path / "registry") as started:
        yield started


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(qcow2(4 * MIB))
    return path


def push(where: Registry | str, path: Path, *, check: bool = False, **options: Any) -> Ran:
    address = where if isinstance(where, str) else where.address
    return run_module(
        "container_disk", {"path": str(path), "image": f"{address}/disks/debian:13", **options}, check=check
    )


def test_image_has_the_disk_as_its_only_file_readable_for_qemu(plain: Registry, disk: Path) -> None:
    result = push(plain, disk, plain_http=True).result
    assert result["changed"] and result["previous_digest"] is None
    assert (result["format"], result["virtual_size"], result["file_size"]) == ("qcow2", 4 * MIB, disk.stat().st_size)
    assert result["reference"] == f"{plain.address}/disks/debian@{result['digest']}"
    manifest = json.loads(plain.stored(f"disks/debian/manifests/{result['digest']}"))
    (layer,) = manifest["layers"]
    config = json.loads(plain.stored(f"disks/debian/blobs/{manifest['config']['digest']}"))
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    assert (config["architecture"], config["os"]) == ("amd64", "linux")
    with tarfile.open(fileobj=io.BytesIO(plain.stored(f"disks/debian/blobs/{layer['digest']}"))) as archive:
        folder, file = archive.getmembers()
        content = archive.extractfile(file)
        assert content is not None and content.read() == disk.read_bytes()
    assert (folder.name, folder.mode, folder.uid) == ("disk", 0o555, 107)
    assert (file.name, file.mode, file.uid, file.gid) == ("disk/disk.img", 0o440, 107, 107)


def test_second_run_sends_nothing(plain: Registry, disk: Path) -> None:
    first = push(plain, disk, plain_http=True).result
    disk.touch()
    log = plain.storage.parent / "log"
    before = log.read_text().count("http.request.method")
    again = push(plain, disk, plain_http=True).result
    assert first["changed"] and not again["changed"] and again["diff"] == {}
    assert again["previous_digest"] == again["digest"] == first["digest"]
    assert log.read_text().count("http.request.method") - before == 1


def test_check_mode_writes_nothing(plain: Registry, disk: Path) -> None:
    checked = push(plain, disk, plain_http=True, check=True).result
    with pytest.raises(urllib.error.HTTPError):
        plain.stored("disks/debian/manifests/13")
    pushed = push(plain, disk, plain_http=True).result
    assert checked == pushed


def test_tag_of_a_different_image_is_replaced(plain: Registry, disk: Path) -> None:
    first = push(plain, disk, plain_http=True).result
    disk.write_bytes(qcow2(8 * MIB))
    second = push(plain, disk, plain_http=True).result
    assert second["changed"] and second["previous_digest"] == first["digest"] != second["digest"]
    assert first["digest"] in second["diff"]["before"] and second["digest"] in second["diff"]["after"]
    assert json.loads(plain.stored("disks/debian/manifests/13")) == json.loads(
        plain.stored(f"disks/debian/manifests/{second['digest']}")
    )
    assert plain.stored(f"disks/debian/manifests/{first['digest']}"), "the previous image is kept"


def test_architecture_is_part_of_the_image(plain: Registry, disk: Path) -> None:
    digests = {push(plain, disk, plain_http=True, architecture=name).result["digest"] for name in ("amd64", "arm64")}
    assert len(digests) == 2


def test_registry_with_tls_and_a_login(tmp_path: Path, disk: Path) -> None:
    with registry(tmp_path / "registry", tls=True, login=True) as secured:
        login: dict[str, Any] = {
            "username": USER,
            "password": PASSWORD,
            "ca_cert": str(tmp_path / "registry" / "ca.crt"),
        }
        first = push(secured, disk, **login)
        assert first.result["changed"] and not push(secured, disk, **login).result["changed"]
        without = push(secured, disk, ca_cert=login["ca_cert"]).refusal
        wrong = push(secured, disk, **{**login, "password": "planted-secret"})
        untrusted = push(secured, disk).refusal
        other = push(secured.address.replace("localhost", "127.0.0.1"), disk, **login).refusal
    cannot = f"Cannot read image {secured.address}/disks/debian:13: "
    remedy = "set username and password of an account that may push to the repository."
    assert without == f"{cannot}the registry requires a login (HTTP 401); {remedy}"
    assert wrong.refusal == f"{cannot}the registry rejected the credentials (HTTP 401); {remedy}"
    assert "planted-secret" not in wrong.output and PASSWORD not in first.output
    assert f"the certificate of {secured.address} is not valid (" in untrusted and "set ca_cert" in untrusted
    assert "IP address mismatch" in other and "use a name of the certificate in image" in other


def test_password_is_not_sent_over_plain_http(tmp_path: Path, disk: Path) -> None:
    with registry(tmp_path / "registry", login=True) as open_to_all:
        refusal = push(open_to_all, disk, plain_http=True, username=USER, password=PASSWORD).refusal
    assert "requires a login, which is not sent over plain HTTP; leave out plain_http" in refusal


def test_read_only_registry_is_an_error(tmp_path: Path, disk: Path) -> None:
    with registry(tmp_path / "registry", read_only=True) as frozen:
        refusal = push(frozen, disk, plain_http=True).refusal
    cannot = f"Cannot push image {frozen.address}/disks/debian:13: the registry refused it"
    assert refusal == f"{cannot} (HTTP 405); allow writes, if the registry is read-only."


def test_wrong_scheme_is_named(tmp_path: Path, plain: Registry, disk: Path) -> None:
    assert "set plain_http=true if the registry does not use TLS" in push(plain, disk).refusal
    with registry(tmp_path / "secured", tls=True) as secured:
        assert "(HTTP 400)" in push(secured, disk, plain_http=True).refusal


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (http(404, b"<html>nginx</html>"), "refused it (HTTP 404); correct the repository"),
        (http(200, b"<html>portal</html>"), "is not that of a registry"),
        (http(401, b""), "is not that of a registry"),
        (http(401, b"", ("WWW-Authenticate", "Bearer realm=")), "is not that of a registry"),
        (http(500, b'{"errors": [{"code": "UNKNOWN", "message": ["x"]}]}'), "UNKNOWN (HTTP 500); check the log"),
        (http(429, b'{"errors": "slow down"}'), "(HTTP 429); run the task again later"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "no answer from"),
        (b"", "no answer from"),
    ],
    ids=["web server", "portal", "no challenge", "odd challenge", "odd error", "too many", "ssh", "nothing"],
)
def test_answer_of_another_server_is_one_sentence(answer: bytes, finding: str, tmp_path: Path, disk: Path) -> None:
    Authority(tmp_path).issue("server", "web", addresses=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with hostile_server(context=context) as server:
        server.answer = lambda _number, _head: [answer]
        refusal = push(server.url.removeprefix("https://"), disk, ca_cert=str(tmp_path / "ca.crt")).refusal
    assert refusal.startswith("Cannot read image ") and finding in refusal


def test_server_that_is_not_there_is_named(disk: Path) -> None:
    refusal = push("localhost:9", disk).refusal
    assert "no answer from localhost:9 (" in refusal and "object at 0x" not in refusal


def test_file_that_changes_is_not_pushed(tmp_path: Path, plain: Registry) -> None:
    """The tag is set after the content has arrived, so it never refers to a mixture."""
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(64 * MIB))
    progress = tmp_path / "progress"
    ended = threading.Event()

    def change() -> None:
        while not ended.wait(0.001):
            if progress.exists() and '"sent"' in progress.read_text():
                with path.open("r+b") as file:
                    file.write(b"changed")
                return

    changing = threading.Thread(target=change)
    changing.start()
    ran = push(plain, path, plain_http=True, progress_file=str(progress))
    ended.set()
    changing.join()
    assert "was changed while it was read" in ran.refusal
    with pytest.raises(urllib.error.HTTPError):
        plain.stored("disks/debian/manifests/13")
