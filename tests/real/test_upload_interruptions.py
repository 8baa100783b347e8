# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupted uploads: of the server, the process, the file or the token. A disk is always complete."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    UPLOAD_TOKEN_REQUEST,
)

from tests.cluster.digests import digests
from tests.cluster.runtime.control_plane import ADMIN_TOKEN
from tests.modules import run_module
from tests.real.uploads import KUBECONFIG, MIB, THIN, Images, aged, module_process, upload_server_killed, when_sent
from tests.rotation import KINDS, rotating
from tests.wire import counting_proxy

UPLOADED = "kubevirt.cdi/uploaded-sha256"


def _upload(namespace: str, path: Path, progress: Path) -> dict[str, Any]:
    return {"name": "disk", "namespace": namespace, "path": str(path), "progress_file": str(progress), "storage": THIN}


def test_upload_continues_after_its_server_is_killed(
    images: Images, namespace: str, ok: Any, digest: Any, connection: Connection, tmp_path: Path
) -> None:
    progress = tmp_path / "progress"
    with upload_server_killed(connection, namespace, progress, 20) as killed:
        result = ok("volume_upload", **_upload(namespace, images.large, progress))
    assert killed and result["retries"] >= 1 and result["phase"] == "Succeeded"
    content = images.large.read_bytes()
    assert digest(namespace, "disk", len(content)) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("step", ["midway", "while CDI converts"])
def test_next_run_completes_a_killed_run(
    images: Images, namespace: str, ok: Any, digest: Any, tmp_path: Path, step: str
) -> None:
    progress = tmp_path / "progress"
    path = images.large if step == "midway" else Path(images.disks["qcow2"])
    size = path.stat().st_size if step == "midway" else images.size
    options = _upload(namespace, path, progress)
    with module_process("volume_upload", options) as process:
        when_sent(progress, 20 if step == "midway" else 100)
        if step != "midway":
            when_sent(progress, "sent; CDI writes the disk")
        process.send_signal(signal.SIGKILL)
    result = ok("volume_upload", **options)
    assert result["changed"] and result["phase"] == "Succeeded"
    assert result["action"] in (["uploaded"] if step == "midway" else ["uploaded", "recorded"])
    assert result["persistent_volume_claim"]["metadata"]["annotations"][UPLOADED] == result["digest"]
    expected = hashlib.sha256(path.read_bytes()).hexdigest() if step == "midway" else images.sha256
    assert digest(namespace, "disk", size) == expected
    assert ok("volume_upload", **options)["action"] == "unchanged"


def kill_midway(options: dict[str, Any]) -> None:
    with module_process("volume_upload", options) as process:
        when_sent(Path(options["progress_file"]), 60)
        process.send_signal(signal.SIGKILL)


def test_archive_has_no_member_of_an_interrupted_one(
    images: Images, namespace: str, ok: Any, digest: Any, tmp_path: Path
) -> None:
    """CDI would unpack the archive on top of the existing files."""
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as archive:
        archive.add(images.large, "of-the-other")
    options = {"name": "files", "namespace": namespace, "progress_file": str(tmp_path / "progress"), "storage": THIN}
    kill_midway({**options, "path": str(other)})
    result = ok("volume_upload", **options, path=images.archive)
    assert result["action"] == "replaced"
    assert "the remains of an unfinished upload" in result["reason"]
    assert hashlib.sha256(other.read_bytes()).hexdigest() in result["reason"]
    assert digest(namespace, "files", images.size) == images.sha256
    read = digests(KUBECONFIG, [f"{namespace}/files"], MIB, "of-the-other")
    assert read == {f"{namespace}/files": hashlib.sha256(b"").hexdigest()}
    assert ok("volume_upload", **options, path=images.archive)["action"] == "unchanged"


def test_small_disk_has_no_tail_of_an_interrupted_one(
    images: Images, namespace: str, ok: Any, digest: Any, tmp_path: Path
) -> None:
    """CDI would overwrite only the start of the device."""
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "progress_file": str(tmp_path / "progress")}
    options["storage"] = {**THIN, "volume_mode": "Block"}
    kill_midway({**options, "path": str(images.large)})
    result = ok("volume_upload", **options, path=images.disks["raw"])
    assert result["action"] == "replaced" and "the remains of an unfinished upload" in result["reason"]
    device = Path(images.disks["raw"]).read_bytes().ljust(images.large.stat().st_size, b"\0")
    assert digest(namespace, "disk", len(device)) == hashlib.sha256(device).hexdigest()


def test_file_that_changes_during_the_upload_is_refused(
    images: Images, namespace: str, module: Any, ok: Any, connection: Connection, tmp_path: Path
) -> None:
    path, progress = tmp_path / "growing.raw", tmp_path / "progress"
    shutil.copy(images.large, path)

    def change() -> None:
        when_sent(progress, 10)
        with open(path, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"!")

    changer = threading.Thread(target=change)
    changer.start()
    options = _upload(namespace, path, progress)
    result = module("volume_upload", **options).result
    changer.join()
    assert result["failed"] and "changed during the upload" in result["msg"] and not result["changed"]
    volume = connection.get(DATA_VOLUME, "disk", namespace)
    assert volume is None or (volume["metadata"]["deletionTimestamp"] and volume["status"]["phase"] != "Succeeded")
    assert ok("volume_upload", **options)["phase"] == "Succeeded"


class _Once(dict[str, bytes]):
    """Answers that the proxy gives once for each path."""

    def __getitem__(self, path: str) -> bytes:
        return self.pop(path)


def test_token_older_than_five_minutes_is_renewed(
    images: Images, namespace: str, connection: Connection, proxy_url: str, tmp_path: Path
) -> None:
    """The API server's first token is 301 seconds old and has CDI's signature, so CDI's upload proxy rejects it."""
    spec = {"metadata": {"name": "disk"}, "spec": {"pvcName": "disk"}}
    request = {"apiVersion": UPLOAD_TOKEN_REQUEST.api_version, "kind": UPLOAD_TOKEN_REQUEST.kind, **spec}
    issued = connection.create(UPLOAD_TOKEN_REQUEST, request, namespace, dry_run=False)
    issued["status"]["token"] = aged(connection, issued["status"]["token"], 301)
    path = f"/apis/{UPLOAD_TOKEN_REQUEST.api_version}/namespaces/{namespace}/uploadtokenrequests"
    progress = tmp_path / "progress"
    options = {"name": "disk", "namespace": namespace, "path": images.disks["qcow2"], "storage": THIN}
    with counting_proxy(os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"]) as wire:
        wire.answers = _Once({path: json.dumps(issued).encode()})
        server = {"host": wire.url, "api_key": ADMIN_TOKEN, "upload_proxy_url": proxy_url}
        result = run_module("volume_upload", {**options, **server, "progress_file": str(progress)}).result
        requests = wire.count("POST", "uploadtokenrequests")
    assert result["phase"] == "Succeeded" and requests == 2 and result["retries"] == 1
    assert "(HTTP 401)" in progress.read_text()


@pytest.mark.parametrize("by_url", [False, True], ids=["port-forward", "url"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "expires" not in kind])
def test_upload_continues_when_the_account_is_rotated(
    images: Images, namespace: str, proxy_url: str, tmp_path: Path, kind: str, by_url: bool
) -> None:
    """The module is stopped during the rotation. Then the API server rejects its token, and it sends no byte twice."""
    cluster = yaml.safe_load(Path(KUBECONFIG).read_text())["clusters"][0]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["cluster"]["certificate-authority-data"]))
    server = {"host": cluster["cluster"]["server"], "ca_cert": str(tmp_path / "ca.crt")}
    progress = tmp_path / "progress"
    with rotating(kind, namespace, tmp_path, server) as rotation:
        kubeconfig = {
            "clusters": [cluster],
            "users": [{"name": "robot", "user": rotation.user}],
            "contexts": [{"name": "x", "context": {"cluster": cluster["name"], "user": "robot"}}],
        }
        options = {**_upload(namespace, images.large, progress), "kubeconfig": kubeconfig, "context": "x"}
        with module_process("volume_upload", options | ({"upload_proxy_url": proxy_url} if by_url else {})) as process:
            when_sent(progress, 20)
            process.send_signal(signal.SIGSTOP)
            sent_before = _last_sent(progress)
            rotation.rotate()
            process.send_signal(signal.SIGCONT)
            assert process.stdout
            result = json.loads(process.stdout.read())
        assert not result.get("failed"), result["msg"]
        assert 0 < sent_before < result["bytes_sent"] == images.large.stat().st_size
        assert (result["phase"], result["retries"], result["changed"]) == ("Succeeded", 0, True)
        assert rotation.runs() in ((0,) if kind == "token file" else (2,))
        robot = connect({"kubeconfig": kubeconfig, "context": "x"})
        assert robot.transport.request("GET", "/api", {}).status == 200
    sent = images.large.read_bytes()
    claim = f"{namespace}/disk"
    assert digests(KUBECONFIG, [claim], len(sent)) == {claim: hashlib.sha256(sent).hexdigest()}


def _last_sent(progress: Path) -> int:
    """The bytes that the module had sent when it wrote the progress file."""
    rows = [json.loads(line) for line in progress.read_text().splitlines() if line.endswith("}")]
    return max(int(row.get("sent", 0)) for row in rows)
