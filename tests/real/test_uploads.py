# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads on a real CDI: what arrives, what is left alone, and what is done when something breaks midway."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from ansible_collections.kubevirt.cdi.plugins.module_utils import _upload_sending, _upload_task
from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._module import Task
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import (
    CONFIG_MAP,
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    Resource,
)
from tests.cluster.digests import digests
from tests.real.uploads import KUBECONFIG, MIB, ForeignProxy, Images, aged, module_process, namespace_of, when_sent

SERVICE = Resource("", "v1", "services", "Service", True)
INGRESS = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", True)
VOLUME_UPLOAD_SOURCE = Resource("cdi.kubevirt.io", "v1beta1", "volumeuploadsources", "VolumeUploadSource", True)
UPLOADED = "kubevirt.cdi/uploaded-sha256"
THIN = {"storage_class_name": "thin"}
BLOCK = {**THIN, "volume_mode": "Block"}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return Images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def shared(connection: Connection) -> Iterator[str]:
    yield from namespace_of(connection)


@pytest.fixture(scope="module")
def uploaded(images: Images, shared: str) -> dict[str, dict[str, Any]]:
    """All formats by one task, four at a time, no size given; and what the volume can be."""
    uploads = [
        *({"name": name, "path": path, "storage": THIN} for name, path in images.disks.items()),
        {"name": "block-raw", "path": images.disks["raw"], "storage": BLOCK},
        {"name": "block-qcow2", "path": images.disks["qcow2"], "storage": BLOCK},
        {"name": "preallocated", "path": images.disks["qcow2"], "preallocation": True, "storage": THIN},
        {"name": "by-pvc", "path": images.disks["raw"], "pvc": {**THIN, "access_modes": ["ReadWriteOnce"]}},
        {"name": "iso", "path": images.iso, "storage": THIN},
        {"name": "archive", "path": images.archive, "storage": THIN},
        {"name": "missing", "path": "/nowhere/at/all.raw"},
    ]
    from tests.modules import run_module

    options = {"kubeconfig": KUBECONFIG, "namespace": shared, "uploads": uploads, "parallel": 4}
    result = run_module("volume_upload", options).result
    found = {item["name"]: item for item in result["uploads"]}
    assert {name: item.get("error") for name, item in found.items() if "error" in item} == {
        "missing": "Cannot read /nowhere/at/all.raw on the host that runs this task: No such file or directory; "
        "correct path."
    }
    assert result["failed"] and found["missing"]["action"] == "unchanged"
    return found


def test_every_format_is_uploaded_without_a_size(images: Images, shared: str, uploaded: dict[str, Any]) -> None:
    for name in images.disks:
        item = uploaded[name]
        form, _dash, compression = name.partition("-")
        assert (item["format"], item["compression"]) == (form, compression.removeprefix("fixed") or None), name
        assert item["phase"] == "Succeeded" and item["changed"] and item["retries"] == 0
        assert item["bytes_sent"] == item["file_size"] == os.path.getsize(images.disks[name])
        size = item["data_volume"]["spec"]["storage"]["resources"]["requests"]["storage"]
        assert size == ("65Mi" if name == "vhd-fixed" else "64Mi"), name
    names = [*images.disks, "block-raw", "block-qcow2", "preallocated", "by-pvc"]
    with ThreadPoolExecutor(4) as pool:
        read = pool.map(lambda name: next(iter(digests(KUBECONFIG, [f"{shared}/{name}"], images.size).values())), names)
    assert dict(zip(names, read)) == dict.fromkeys(names, images.sha256)


def test_an_iso_is_uploaded_as_it_is(images: Images, shared: str, uploaded: dict[str, Any], digest: Any) -> None:
    assert uploaded["iso"]["format"] == "iso" and uploaded["iso"]["virtual_size"] == 3 * MIB
    assert digest(shared, "iso", 3 * MIB) == uploaded["iso"]["sha256"]


def test_an_archive_is_unpacked(images: Images, shared: str, uploaded: dict[str, Any], digest: Any) -> None:
    assert uploaded["archive"]["format"] == "tar"
    assert uploaded["archive"]["data_volume"]["spec"]["contentType"] == "archive"
    assert digest(shared, "archive", images.size) == images.sha256


def test_nothing_is_exposed(connection: Connection, uploaded: dict[str, Any]) -> None:
    services, _version = connection.list(SERVICE, "cdi")
    assert {service["spec"]["type"] for service in services} == {"ClusterIP"}
    assert connection.list(INGRESS)[0] == []
    assert {item["transport"] for item in uploaded.values() if item["bytes_sent"]} == {"port-forward"}


def test_preallocation_is_applied(uploaded: dict[str, Any]) -> None:
    told = uploaded["preallocated"]["preallocation"]
    assert told["requested"] and told["applied"]
    assert not uploaded["qcow2"]["preallocation"]["applied"]


def test_a_second_run_sends_no_byte(images: Images, shared: str, uploaded: dict[str, Any], ok: Any) -> None:
    uploads = [{"name": name, "path": path} for name, path in {**images.disks, "archive": images.archive}.items()]
    again = ok("volume_upload", namespace=shared, uploads=uploads)
    assert not again["changed"]
    assert {(item["action"], item["bytes_sent"], item["transport"]) for item in again["uploads"]} == {
        ("unchanged", 0, None)
    }


def test_with_the_checksum_of_what_is_there_the_file_is_not_even_read(
    images: Images, shared: str, uploaded: dict[str, Any], ok: Any
) -> None:
    checksum = f"sha256:{uploaded['raw']['sha256'].upper()}"
    assert (
        ok("volume_upload", name="raw", namespace=shared, path="/nowhere", checksum=checksum)["action"] == "unchanged"
    )


def test_a_changed_file_is_replaced_only_when_that_is_said(
    images: Images, namespace: str, ok: Any, module: Any, digest: Any, connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "disk.raw"
    shutil.copy(images.disks["raw"], path)
    options = {"name": "disk", "namespace": namespace, "path": str(path), "storage": THIN}
    predicted = module("volume_upload", check=True, **options).result
    assert predicted["action"] == "uploaded" and connection.get(DATA_VOLUME, "disk", namespace) is None
    first = ok("volume_upload", **options)
    with open(path, "r+b") as file:
        file.seek(12345)
        file.write(b"changed")
    changed = hashlib.sha256(path.read_bytes()).hexdigest()

    refused = module("volume_upload", **options).result
    assert refused["failed"] and first["sha256"] in refused["msg"] and changed in refused["msg"]
    assert "overwrite=different" in refused["msg"] and refused["bytes_sent"] == 0

    predicted = module("volume_upload", check=True, overwrite="different", **options).result
    uid = connection.get(DATA_VOLUME, "disk", namespace)["metadata"]["uid"]
    assert predicted["action"] == "replaced" and uid == first["data_volume"]["metadata"]["uid"]
    replaced = ok("volume_upload", overwrite="different", **options)
    assert replaced["action"] == "replaced" and first["sha256"] in replaced["reason"]
    assert digest(namespace, "disk", images.size) == changed
    assert ok("volume_upload", overwrite="different", **options)["action"] == "unchanged"
    assert ok("volume_upload", overwrite="always", **options)["action"] == "replaced"


def test_a_foreign_certificate_gets_neither_token_nor_bytes(
    images: Images, namespace: str, module: Any, tmp_path: Path
) -> None:
    with ForeignProxy(tmp_path) as foreign:
        result = module(
            "volume_upload",
            **{"name": "disk", "namespace": namespace, "path": images.disks["raw"], "upload_proxy_url": foreign.url},
        ).result
    assert result["failed"] and "is not trusted" in result["msg"] and "upload_proxy_ca" in result["msg"]
    assert foreign.received == [] and result["bytes_sent"] == 0


def test_a_foreign_ca_does_not_vouch_for_the_proxy(
    images: Images, namespace: str, module: Any, connection: Connection, proxy_url: str, tmp_path: Path
) -> None:
    """Of an URL, and of the port-forward: here the cluster's CA is another one than the proxy's."""
    with ForeignProxy(tmp_path) as foreign:
        ca = {"metadata": {"name": "cdi-uploadproxy-signer-bundle"}, "data": {"ca-bundle.crt": foreign.ca}}
        connection.create(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", **ca}, namespace, dry_run=False)
        result = module(
            "volume_upload",
            **{"name": "disk", "namespace": namespace, "path": images.disks["raw"]},
            **{"cdi_namespace": namespace, "upload_proxy_url": proxy_url, "upload_proxy_ca": foreign.ca},
        ).result
    assert result["failed"] and "is not trusted" in result["msg"] and result["bytes_sent"] == 0


@pytest.fixture
def proxy_url(connection: Connection) -> str:
    """The proxy's service, which this machine reaches."""
    return f"https://{connection.get(SERVICE, 'cdi-uploadproxy', 'cdi')['spec']['clusterIP']}"


@pytest.fixture
def published(ok: Any) -> Iterator[Callable[[str], None]]:
    """Publishes a URL of the proxy while the test runs."""
    import fcntl

    with open(f"/tmp/cluster-{os.environ.get('KUBEVIRT_CDI_TEST_NUMBER', '0')}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lambda url: ok("cdi_config", upload_proxy_url_override=url)
        ok("cdi_config", upload_proxy_url_override="")


def test_a_published_or_given_url_is_used_and_verified(
    images: Images, namespace: str, ok: Any, proxy_url: str, published: Callable[[str], None]
) -> None:
    """CDI's certificate names only the service: the address in the URL is none of its names."""
    options = {"namespace": namespace, "path": images.disks["qcow2"], "storage": THIN}
    given = ok("volume_upload", name="given", upload_proxy_url=proxy_url, **options)
    assert given["transport"] == "url" and given["phase"] == "Succeeded"
    published(proxy_url)
    assert ok("volume_upload", name="published", **options)["transport"] == "published-url"
    published("https://127.0.0.1:1")
    fallen_back = ok("volume_upload", name="unreachable", **options)
    assert fallen_back["transport"] == "port-forward"
    assert "No upload proxy answers at https://127.0.0.1:1" in json.dumps(fallen_back["warnings"])


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
    result = ok(
        "volume_upload",
        **{
            "name": "disk",
            "namespace": namespace,
            "path": str(images.large),
            "progress_file": str(progress),
            "storage": THIN,
        },
    )
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
    options = {
        "name": "disk",
        "namespace": namespace,
        "path": str(path),
        "progress_file": str(progress),
        "storage": THIN,
    }
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
    options = {
        "name": "disk",
        "namespace": namespace,
        "path": str(path),
        "progress_file": str(progress),
        "storage": THIN,
    }
    result = module("volume_upload", **options).result
    changer.join()
    assert result["failed"] and "has changed" in result["msg"]
    assert connection.get(DATA_VOLUME, "disk", namespace)["status"]["phase"] != "Succeeded"
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
    storage = {**dict.fromkeys(_upload_task.SPEC.options["storage"]["options"]), **THIN}
    defaults = {option: spec.get("default") for option, spec in _upload_task.SPEC.options.items()}
    options = {**defaults, "name": "disk", "namespace": namespace, "path": images.disks["qcow2"], "storage": storage}
    result = _upload_task.run(Task({**options, "progress_file": str(tmp_path / "progress")}, connection, False, print))
    assert result["phase"] == "Succeeded" and len(handed) == 2 and result["retries"] == 1
    assert "(HTTP 401)" in (tmp_path / "progress").read_text()


def test_claims_that_take_uploads_need_no_data_volume(
    images: Images, namespace: str, ok: Any, module: Any, digest: Any, connection: Connection, tmp_path: Path
) -> None:
    source = {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "VolumeUploadSource", "metadata": {"name": "target"}}
    connection.create(VOLUME_UPLOAD_SOURCE, {**source, "spec": {}}, namespace, dry_run=False)
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "thin",
        "resources": {"requests": {"storage": "128Mi"}},
    }
    reference = {"apiGroup": "cdi.kubevirt.io", "kind": "VolumeUploadSource", "name": "target"}
    for name, annotations, more in (
        ("populated", {}, {"dataSourceRef": reference}),
        ("annotated", {"cdi.kubevirt.io/storage.upload.target": ""}, {}),
        ("plain", {}, {}),
    ):
        claim = {"metadata": {"name": name, "annotations": annotations}, "spec": {**spec, **more}}
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
        connection.create(PERSISTENT_VOLUME_CLAIM, body, namespace, dry_run=False)
    other = tmp_path / "other.raw"
    other.write_bytes(os.urandom(2 * MIB))
    for name in ("populated", "annotated"):
        options = {"name": name, "namespace": namespace}
        result = ok("volume_upload", path=images.disks["qcow2"], **options)
        assert result["action"] == "uploaded" and result["data_volume"] == {}
        assert digest(namespace, name, images.size) == images.sha256
        assert ok("volume_upload", path=images.disks["qcow2"], **options)["action"] == "unchanged"
        assert "overwrite=different" in module("volume_upload", path=str(other), **options).result["msg"]
        assert ok("volume_upload", path=str(other), overwrite="different", **options)["action"] == "replaced"
        assert digest(namespace, name, 2 * MIB) == hashlib.sha256(other.read_bytes()).hexdigest()
    refused = module("volume_upload", path=str(other), name="plain", namespace=namespace, overwrite="always").result
    assert refused["failed"] and "takes no uploads" in refused["msg"]


def test_a_declared_volume_that_waits_for_a_consumer_is_filled(
    images: Images, namespace: str, ok: Any, digest: Any
) -> None:
    declared = {"source": {"upload": {}}, "storage": {"size": "80Mi", "storage_class_name": "thin-wffc"}}
    assert ok("data_volume", name="disk", namespace=namespace, **declared)["phase"] == "PendingPopulation"
    result = ok("volume_upload", name="disk", namespace=namespace, path=images.disks["raw-xz"])
    assert result["data_volume"]["spec"]["storage"]["resources"]["requests"]["storage"] == "80Mi"
    assert digest(namespace, "disk", images.size) == images.sha256
    assert not ok("data_volume", name="disk", namespace=namespace, **declared)["changed"]


def test_what_cdi_says_of_an_image_is_told_and_not_tried_again(namespace: str, module: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    with open(path, "r+b") as file:
        file.seek(40)
        file.write(b"\xff" * 16)
    result = module("volume_upload", name="disk", namespace=namespace, path=str(path), storage=THIN).result
    assert result["failed"] and result["retries"] <= 1, result
    assert "could not process" in result["msg"] or "upload proxy said" in result["msg"], result["msg"]


def test_progress_is_shown_and_secrets_are_not(images: Images, namespace: str, tmp_path: Path) -> None:
    playbook = tmp_path / "upload.yml"
    options = {"name": "disk", "namespace": namespace, "path": str(images.large), "storage": THIN}
    tasks = [{"kubevirt.cdi.volume_upload": options}]
    playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    inventory = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n"
    (tmp_path / "inventory").write_text(inventory)
    started = time.monotonic()
    shown = subprocess.run(
        ["ansible-playbook", "-vvvv", "-i", str(tmp_path / "inventory"), str(playbook)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "ANSIBLE_DIFF_ALWAYS": "true"},
    )
    assert shown.returncode == 0, shown.stdout
    lines = [line for line in shown.stdout.splitlines() if line.startswith(f"volume_upload {namespace}/disk: ")]
    assert any("100 % of 256 MiB" in line for line in lines) and lines[-1].endswith("done"), lines
    assert 3 < len(lines) < 20, f"{lines} in {time.monotonic() - started:.0f} s"
    # A token is a JSON Web Token, which begins with {" in base64.
    assert "eyJ" not in shown.stdout + shown.stderr and "Bearer" not in shown.stdout + shown.stderr


def test_memory_stays_constant(images: Images, namespace: str) -> None:
    """A gigabyte, four files at a time, in less than 100 MiB of the module's process."""
    uploads = [{"name": f"disk-{number}", "path": str(images.large), "storage": THIN} for number in range(4)]
    options = {"kubeconfig": KUBECONFIG, "namespace": namespace, "uploads": uploads, "parallel": 4}
    measured = subprocess.run(
        [sys.executable, "-m", "tests.real.uploads"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        check=False,
        capture_output=True,
        text=True,
    )
    result, peak = json.loads(measured.stdout), int(measured.stderr.split()[-2]) * 1024
    assert not result.get("failed"), result
    assert sum(item["bytes_sent"] for item in result["uploads"]) == 4 * 256 * MIB
    assert peak < 100 * MIB, f"{peak / MIB:.0f} MiB"


def test_an_archive_in_the_wrong_place_is_refused(images: Images, namespace: str, module: Any) -> None:
    as_disk = {"name": "disk", "namespace": namespace, "path": images.archive, "content_type": "kubevirt"}
    assert "is a tar archive" in module("volume_upload", **as_disk).result["msg"]
    assert tarfile.is_tarfile(images.archive)
