# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads that something breaks midway: the server, the run, the file or the token. What becomes a disk is whole."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.kubevirt.cdi.plugins.module_utils._ansible.progress import Progress
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection, connect
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, POD
from ansible_collections.kubevirt.cdi.plugins.module_utils._upload import sender as _upload_sending
from kubernetes import client, config

from tests.cluster.digests import digests
from tests.real.uploads import KUBECONFIG, MIB, THIN, Images, aged, module_process, upload_here, when_sent
from tests.rotation import KINDS, rotating

UPLOADED = "kubevirt.cdi/uploaded-sha256"


def _upload(namespace: str, path: Path, progress: Path) -> dict[str, Any]:
    return {"name": "disk", "namespace": namespace, "path": str(path), "progress_file": str(progress), "storage": THIN}


def test_an_upload_goes_on_when_its_server_is_killed(
    images: Images, namespace: str, ok: Any, digest: Any, connection: Connection, tmp_path: Path
) -> None:
    progress = tmp_path / "progress"
    core = client.CoreV1Api(config.new_client_from_config(KUBECONFIG))
    killed: list[str] = []

    def kill() -> None:
        when_sent(progress, 20)
        for pod in connection.list(POD, namespace)[0]:
            if pod["metadata"]["name"].startswith("cdi-upload-"):
                core.delete_namespaced_pod(pod["metadata"]["name"], namespace, grace_period_seconds=0)
                killed.append(pod["metadata"]["name"])

    killer = threading.Thread(target=kill)
    killer.start()
    result = ok("volume_upload", **_upload(namespace, images.large, progress))
    killer.join()
    assert killed and result["retries"] >= 1 and result["phase"] == "Succeeded"
    assert digest(namespace, "disk", images.large.stat().st_size) == result["sha256"]


@pytest.mark.parametrize("step", ["midway", "while CDI converts"])
def test_a_run_that_is_killed_is_finished_by_the_next(
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
    assert result["persistent_volume_claim"]["metadata"]["annotations"][UPLOADED] == result["sha256"]
    expected = hashlib.sha256(path.read_bytes()).hexdigest() if step == "midway" else images.sha256
    assert digest(namespace, "disk", size) == expected
    assert ok("volume_upload", **options)["action"] == "unchanged"


def _killed_midway(options: dict[str, Any]) -> None:
    with module_process("volume_upload", options) as process:
        when_sent(Path(options["progress_file"]), 60)
        process.send_signal(signal.SIGKILL)


def test_an_archive_has_no_member_of_another_one_that_was_interrupted(
    images: Images, namespace: str, ok: Any, digest: Any, tmp_path: Path
) -> None:
    """CDI would unpack it over what is there."""
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as archive:
        archive.add(images.large, "of-the-other")
    options = {"name": "files", "namespace": namespace, "progress_file": str(tmp_path / "progress"), "storage": THIN}
    _killed_midway({**options, "path": str(other)})
    result = ok("volume_upload", **options, path=images.archive)
    assert result["action"] == "replaced"
    assert "the remains of an unfinished upload" in result["reason"]
    assert hashlib.sha256(other.read_bytes()).hexdigest() in result["reason"]
    assert digest(namespace, "files", images.size) == images.sha256
    read = digests(KUBECONFIG, [f"{namespace}/files"], MIB, "of-the-other")
    assert read == {f"{namespace}/files": hashlib.sha256(b"").hexdigest()}
    assert ok("volume_upload", **options, path=images.archive)["action"] == "unchanged"


def test_behind_a_smaller_disk_is_no_tail_of_another_one_that_was_interrupted(
    images: Images, namespace: str, ok: Any, digest: Any, tmp_path: Path
) -> None:
    """CDI would write over the beginning of the device."""
    options = {"name": "disk", "namespace": namespace, "progress_file": str(tmp_path / "progress")}
    options["storage"] = {**THIN, "volume_mode": "Block"}
    _killed_midway({**options, "path": str(images.large)})
    result = ok("volume_upload", **options, path=images.disks["raw"])
    assert result["action"] == "replaced" and "the remains of an unfinished upload" in result["reason"]
    device = Path(images.disks["raw"]).read_bytes().ljust(images.large.stat().st_size, b"\0")
    assert digest(namespace, "disk", len(device)) == hashlib.sha256(device).hexdigest()


def test_a_file_that_changes_while_it_is_sent_never_becomes_a_disk(
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


def test_a_token_older_than_five_minutes_is_renewed(
    images: Images, namespace: str, connection: Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """CDI's own token, made 301 seconds older and signed with CDI's key: the proxy itself says that it is too old."""
    real, handed = _upload_sending._token, []

    def first_an_old_one(session: Any, item: Any) -> str:
        token = real(session, item)
        handed.append(token if handed else aged(connection, token, 301))
        return handed[-1]

    monkeypatch.setattr(_upload_sending, "_token", first_an_old_one)
    options = {"name": "disk", "namespace": namespace, "path": images.disks["qcow2"]}
    result = upload_here(connection, **options, progress_file=str(tmp_path / "progress"))
    assert result["phase"] == "Succeeded" and len(handed) == 2 and result["retries"] == 1
    assert "(HTTP 401)" in (tmp_path / "progress").read_text()


@pytest.mark.parametrize("by_url", [False, True], ids=["port-forward", "url"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "expires" not in kind])
def test_an_upload_goes_on_when_the_account_is_rotated(
    images: Images,
    namespace: str,
    proxy_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    by_url: bool,
) -> None:
    """The API server rejects the first token from the middle of the file on. What was sent is not sent again."""
    cluster = yaml.safe_load(Path(KUBECONFIG).read_text())["clusters"][0]
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(cluster["cluster"]["certificate-authority-data"]))
    server = {"host": cluster["cluster"]["server"], "ca_cert": str(tmp_path / "ca.crt")}
    with rotating(kind, namespace, tmp_path, server) as rotation:
        context = {"cluster": cluster["name"], "user": "robot"}
        kubeconfig = {
            "clusters": [cluster],
            "users": [{"name": "robot", "user": rotation.user}],
            "contexts": [{"name": "x", "context": context}],
        }
        robot = connect({"kubeconfig": kubeconfig, "context": "x"})
        rotated: list[int] = []

        def rotate_midway(_progress: Any, _title: str, sent: int, size: int, _seconds: float) -> None:
            if not rotated and 2 * sent >= size:
                rotated.append(sent)
                rotation.rotate()

        monkeypatch.setattr(Progress, "sent", rotate_midway)
        options = {
            "name": "disk",
            "namespace": namespace,
            "path": str(images.large),
            "progress_file": str(tmp_path / "progress"),
        }
        result = upload_here(robot, **options, **({"upload_proxy_url": proxy_url} if by_url else {}))
        assert rotated and rotated[0] < result["bytes_sent"] == images.large.stat().st_size
        assert (result["phase"], result["retries"], result["changed"]) == ("Succeeded", 0, True)
        assert robot.transport.request("GET", "/api", {}).status == 200 and rotation.runs() in (
            (0,) if kind == "token file" else (2,)
        )
    sent = images.large.read_bytes()
    assert digests(KUBECONFIG, [f"{namespace}/disk"], len(sent)) == {
        f"{namespace}/disk": hashlib.sha256(sent).hexdigest()
    }
