# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads: the content of volumes, unchanged volumes, replacements, progress and resources."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    Resource,
)

from tests.cluster.digests import digests
from tests.image_server import serving
from tests.modules import run_on_cluster
from tests.real.conftest import RELEASE
from tests.real.objects import create, existing, new_namespace
from tests.real.uploads import KUBECONFIG, MIB, SERVICE, THIN, Images

INGRESS = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", True)
VOLUME_UPLOAD_SOURCE = Resource("cdi.kubevirt.io", "v1beta1", "volumeuploadsources", "VolumeUploadSource", True)
BLOCK = {**THIN, "volume_mode": "Block"}
# Before 1.65, the proxy of CDI connects to the address of a Service. A connection that it opens before the node knows
# the Service is lost after two minutes.
RETRIES = range(1) if RELEASE == "v1.65.0" else range(2)


@pytest.fixture(scope="module")
def shared(connection: Connection) -> Iterator[str]:
    with new_namespace(connection) as name:
        yield name


@pytest.fixture(scope="module")
def uploaded(images: Images, shared: str) -> dict[str, dict[str, Any]]:
    """The results of one task that uploads all formats without a size, and to all kinds of volumes, four at a time."""
    uploads = [
        *({"name": name, "path": path, "storage": THIN} for name, path in images.disks.items()),
        {"name": "block-raw", "path": images.disks["raw"], "storage": BLOCK},
        {"name": "block-qcow2", "path": images.disks["qcow2"], "storage": BLOCK},
        {"name": "preallocated", "path": images.disks["qcow2"], "preallocation": True, "storage": THIN},
        {"name": "by-pvc", "path": images.disks["raw"], "pvc": {**THIN, "access_modes": ["ReadWriteOnce"]}},
        {"name": "iso", "path": images.iso, "storage": THIN},
        {"name": "archive", "path": images.archive, "storage": THIN},
        {"name": "archive-gz", "path": images.archive_gz, "storage": THIN, "content_type": "archive"},
        {"name": "not-preallocated", "path": images.archive_gz, "preallocation": True, "storage": THIN},
        {"name": "missing", "path": "/nowhere/at/all.raw"},
    ]
    ran = run_on_cluster("volume_upload", namespace=shared, uploads=uploads, parallel=4)
    result = ran.result
    found = {item["name"]: item for item in result["uploads"]}
    assert ran.warnings == [
        f"DataVolume {shared}/not-preallocated is not preallocated: CDI does not preallocate archives."
    ]
    errors = {name: item["error"] for name, item in found.items() if "error" in item}
    assert (
        list(errors) == ["missing"]
        and "File /nowhere/at/all.raw was not found on the host that runs the task" in errors["missing"]
    )
    assert result["failed"] and found["missing"]["action"] == "unchanged"
    return found


def test_each_format_is_uploaded_without_a_size(images: Images, shared: str, uploaded: dict[str, Any]) -> None:
    for name in images.disks:
        item = uploaded[name]
        form, _dash, compression = name.partition("-")
        assert (item["format"], item["compression"]) == (form, compression.removeprefix("fixed") or None), name
        assert item["phase"] == "Succeeded" and item["changed"] and item["retries"] in RETRIES
        assert item["encoding"] == ("raw_gz" if name in ("raw-xz", "raw-zst") else "file"), name
        assert item["file_size"] == os.path.getsize(images.disks[name])
        assert item["encoding"] != "file" or item["bytes_sent"] == item["file_size"], name
        size = item["data_volume"]["spec"]["storage"]["resources"]["requests"]["storage"]
        assert size == ("65Mi" if name == "vhd-fixed" else "64Mi"), name
    names = [*images.disks, "block-raw", "block-qcow2", "preallocated", "by-pvc"]
    claims = [f"{shared}/{name}" for name in names]
    assert digests(KUBECONFIG, claims, images.size) == dict.fromkeys(claims, images.sha256)


def test_iso_is_uploaded_unchanged(images: Images, shared: str, uploaded: dict[str, Any], digest: Any) -> None:
    assert uploaded["iso"]["format"] == "iso" and uploaded["iso"]["virtual_size"] == 3 * MIB
    assert digest(shared, "iso", 3 * MIB) == uploaded["iso"]["sha256"]


@pytest.mark.parametrize(("name", "compression"), [("archive", None), ("archive-gz", "gz")])
def test_archive_is_unpacked(
    images: Images, shared: str, uploaded: dict[str, Any], digest: Any, name: str, compression: str | None
) -> None:
    assert (uploaded[name]["format"], uploaded[name]["compression"]) == ("tar", compression)
    assert uploaded[name]["data_volume"]["spec"]["contentType"] == "archive"
    assert digest(shared, name, images.size) == images.sha256


def test_upload_exposes_no_service(connection: Connection, uploaded: dict[str, Any]) -> None:
    services, _version = connection.list(SERVICE, "cdi")
    assert {service["spec"]["type"] for service in services} == {"ClusterIP"}
    assert connection.list(INGRESS)[0] == []
    assert {item["transport"] for item in uploaded.values() if item["bytes_sent"]} == {"port-forward"}


def test_preallocation_is_applied(uploaded: dict[str, Any]) -> None:
    facts = uploaded["preallocated"]["preallocation"]
    assert facts["requested"] and facts["applied"]
    assert not uploaded["qcow2"]["preallocation"]["applied"]
    facts = uploaded["not-preallocated"]["preallocation"]
    assert facts["requested"] and facts["ignored"] and not facts["applied"] and not facts["supported"]


def test_second_run_sends_no_byte(images: Images, shared: str, uploaded: dict[str, Any], ok: Any) -> None:
    paths = {**images.disks, "archive": images.archive, "archive-gz": images.archive_gz}
    uploads = [{"name": name, "path": path} for name, path in paths.items()]
    again = ok("volume_upload", namespace=shared, uploads=uploads)
    assert not again["changed"]
    assert {(item["action"], item["bytes_sent"], item["transport"]) for item in again["uploads"]} == {
        ("unchanged", 0, None)
    }


def test_file_is_not_read_if_the_checksum_matches_the_volume(
    images: Images, shared: str, uploaded: dict[str, Any], ok: Any
) -> None:
    checksum = f"sha256:{uploaded['iso']['sha256'].upper()}"
    assert (
        ok("volume_upload", name="iso", namespace=shared, path="/nowhere", checksum=checksum)["action"] == "unchanged"
    )


def test_changed_file_replaces_the_volume_only_on_request(
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
    assert refused["failed"] and refused["digest"] != first["digest"]
    assert first["digest"] in refused["msg"] and refused["digest"] in refused["msg"]
    assert "overwrite=different" in refused["msg"] and refused["bytes_sent"] == 0

    predicted = module("volume_upload", check=True, overwrite="different", **options).result
    uid = existing(connection, DATA_VOLUME, "disk", namespace)["metadata"]["uid"]
    assert predicted["action"] == "replaced" and uid == first["data_volume"]["metadata"]["uid"]
    replaced = ok("volume_upload", overwrite="different", **options)
    assert replaced["action"] == "replaced" and first["digest"] in replaced["reason"]
    assert digest(namespace, "disk", images.size) == changed
    assert ok("volume_upload", overwrite="different", **options)["action"] == "unchanged"
    assert ok("volume_upload", overwrite="always", **options)["action"] == "replaced"


def test_claim_accepts_an_upload_without_a_data_volume(
    images: Images, namespace: str, ok: Any, module: Any, digest: Any, connection: Connection, tmp_path: Path
) -> None:
    create(connection, VOLUME_UPLOAD_SOURCE, "target", namespace, spec={})
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "thin",
        "resources": {"requests": {"storage": "128Mi"}},
    }
    reference = {"apiGroup": "cdi.kubevirt.io", "kind": "VolumeUploadSource", "name": "target"}
    target = {"annotations": {"cdi.kubevirt.io/storage.upload.target": ""}}
    create(connection, PERSISTENT_VOLUME_CLAIM, "populated", namespace, spec={**spec, "dataSourceRef": reference})
    create(connection, PERSISTENT_VOLUME_CLAIM, "annotated", namespace, spec=spec, metadata=target)
    create(connection, PERSISTENT_VOLUME_CLAIM, "plain", namespace, spec=spec)
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
    assert refused["failed"] and "accepts no uploads" in refused["msg"]


def test_uploaded_volume_grows_with_its_data(images: Images, namespace: str, ok: Any, module: Any, digest: Any) -> None:
    upload = {"name": "disk", "namespace": namespace, "path": images.disks["qcow2"]}
    assert ok("volume_upload", **upload, storage=THIN)["action"] == "uploaded"
    larger = {**THIN, "size": "128Mi"}
    refused = module("volume_upload", **upload, storage=larger, overwrite="different").result
    assert refused["failed"] and "to expand it with its data, declare it" in refused["msg"], refused
    declared = {"name": "disk", "namespace": namespace, "source": {"upload": {}}, "storage": larger}
    assert ok("data_volume", **declared, binding="immediate")["drift"] == "growable"
    again = ok("volume_upload", **upload, storage=larger, overwrite="different")
    assert (again["changed"], again["action"], again["bytes_sent"]) == (False, "unchanged", 0)
    assert digest(namespace, "disk", images.size) == images.sha256


def test_declared_volume_that_waits_for_a_consumer_is_filled(
    images: Images, namespace: str, ok: Any, digest: Any
) -> None:
    declared = {"source": {"upload": {}}, "storage": {"size": "80Mi", "storage_class_name": "thin-wffc"}}
    assert ok("data_volume", name="disk", namespace=namespace, **declared)["phase"] == "PendingPopulation"
    result = ok("volume_upload", name="disk", namespace=namespace, path=images.disks["raw-xz"])
    assert result["data_volume"]["spec"]["storage"]["resources"]["requests"]["storage"] == "80Mi"
    assert digest(namespace, "disk", images.size) == images.sha256
    assert not ok("data_volume", name="disk", namespace=namespace, **declared)["changed"]


def test_error_of_cdi_about_an_image_is_reported_without_a_retry(namespace: str, module: Any, tmp_path: Path) -> None:
    path = tmp_path / "broken.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "8M"], check=True)
    with open(path, "r+b") as file:
        # A header extension that is longer than the header.
        file.seek(112)
        file.write(bytes.fromhex("12345678fffffff0"))
    result = module("volume_upload", name="disk", namespace=namespace, path=str(path), storage=THIN).result
    assert result["failed"] and result["retries"] <= 1, result
    assert "could not process" in result["msg"] or "upload proxy said" in result["msg"], result["msg"]


def test_image_that_cdi_corrupts_is_reported_with_a_remedy(images: Images, namespace: str, module: Any) -> None:
    """CDI decompresses the first bytes to the buffer that it reads from (pkg/importer/format-readers.go, v1.65.0).

    The import fails if the first bytes compress so well that the whole dictionary fits into 512 bytes.
    """
    result = module("volume_upload", name="disk", namespace=namespace, path=images.unreadable, storage=THIN).result
    assert result["failed"] and result["retries"] in RETRIES, result
    assert "distance out of range" in result["msg"]
    assert " decompress the file, or compress it with gzip." in result["msg"]
    served = Path(os.environ["KUBEVIRT_CDI_TEST_IMAGES"]) / f"{namespace}.vhdx.xz"
    shutil.copy(images.unreadable, served)
    try:
        source = {"http": {"url": f"{os.environ['KUBEVIRT_CDI_TEST_HTTP']}/{served.name}"}}
        imported = {
            "name": "imported",
            "namespace": namespace,
            "source": source,
            "storage": {**THIN, "size": "128Mi"},
            "check_source": "never",
        }
        failed = module("data_volume", **imported).result
    finally:
        served.unlink()
    assert failed["failed"] and failed["diagnosis"]["cause"] == "image_unreadable", failed
    assert "compress it with gzip" in failed["msg"]


@pytest.mark.parametrize("with_checksum", [True, False])
def test_file_on_a_web_server_is_passed_through_to_a_volume(
    images: Images, namespace: str, ok: Any, digest: Any, with_checksum: bool
) -> None:
    """The host that runs the task fetches it."""
    content = Path(images.disks["qcow2"]).read_bytes()
    options: dict[str, Any] = {"name": "disk", "namespace": namespace, "storage": THIN}
    if with_checksum:
        options["checksum"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with serving() as server:
        server.files["/disk.qcow2"] = content
        result = ok("volume_upload", path=f"{server.url}/disk.qcow2?token=hidden", **options)
        assert (result["action"], result["encoding"], result["bytes_sent"]) == ("uploaded", "file", len(content))
        assert result["virtual_size"] == images.size and server.whole == (1 if with_checksum else 2)
        assert digest(namespace, "disk", images.size) == images.sha256
        server.seen.clear()
        again = ok("volume_upload", path=f"{server.url}/disk.qcow2?token=hidden", **options)
        assert not again["changed"] and server.whole == (0 if with_checksum else 1)


def test_progress_of_parallel_uploads_is_printed_without_secrets(
    images: Images, namespace: str, ok: Any, tmp_path: Path
) -> None:
    names = ["one", "two"]
    # Declared first, so that no upload waits for its server during the other upload.
    volumes = [{"name": name, "source": {"upload": {}}, "storage": {**THIN, "size": "256Mi"}} for name in names]
    ok("data_volume", namespace=namespace, data_volumes=volumes)
    uploads = [{"name": name, "path": str(images.large)} for name in names]
    shown: list[tuple[float, str]] = []
    with subprocess.Popen(
        [*_playbook(tmp_path, {"namespace": namespace, "uploads": uploads}), "-vvvv"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ANSIBLE_DIFF_ALWAYS": "true"},
    ) as running:
        assert running.stdout is not None
        shown.extend((time.monotonic(), line.rstrip()) for line in running.stdout)
    output = "\n".join(line for _when, line in shown)
    assert running.returncode == 0, output
    ended = next(when for when, line in shown if line.startswith("changed: [localhost]"))
    begun, sent = [], []
    for name in names:
        printed = [(when, line) for when, line in shown if line.startswith(f"volume_upload {namespace}/{name}: ")]
        lines = [line for _when, line in printed]
        assert lines[-1].endswith("done") and 3 < len(lines) < 20, lines
        moving = [(when, line) for when, line in printed if " % of 256 MiB" in line]
        assert ": 100 % of" in moving[-1][1] and ": 100 % of" not in moving[0][1], lines
        # Two lines are half a second apart, and CDI works after the last one.
        assert moving[0][0] < moving[-1][0] < ended and ended - moving[0][0] > 0.5, printed
        begun.append(shown.index(moving[0]))
        sent.append(shown.index(moving[-1]))
    assert max(begun) < min(sent), output
    # A token is a JSON Web Token, which starts with {" in base64.
    assert "eyJ" not in output and "Bearer" not in output


def test_terminal_shows_progress_in_one_line(images: Images, namespace: str, tmp_path: Path) -> None:
    terminal, ansibles = pty.openpty()
    command = _playbook(tmp_path, {"namespace": namespace, "name": "disk", "path": str(images.large), "storage": THIN})
    output = b""
    with subprocess.Popen(
        command, stdout=ansibles, stderr=ansibles, env={**os.environ, "ANSIBLE_NOCOLOR": "true"}
    ) as running:
        os.close(ansibles)
        with contextlib.suppress(OSError):  # A terminal ends with this error when its last writer has gone.
            while piece := os.read(terminal, 65536):
                output += piece
    os.close(terminal)
    assert running.returncode == 0, output
    clear = "\r\x1b[K"
    lines = output.decode().replace("\r\n", "\n").split("\n")
    moving = rf"{re.escape(clear)}{namespace}/disk: \d?\d % of 256 MiB, \d+ MiB/s{re.escape(clear)}"
    assert any(re.search(moving, line) for line in lines), lines
    stay = [line.rpartition(clear)[2] for line in lines]
    assert (
        [line for line in stay if " % of " in line] == [line for line in stay if ": 100 % of 256 MiB, " in line] != []
    )
    assert f"volume_upload {namespace}/disk: done" in stay and any(
        line.startswith("changed: [localhost]") for line in stay
    )


def _playbook(folder: Path, options: dict[str, Any]) -> list[str]:
    """The command that runs a playbook with one upload on this host."""
    tasks = [{"kubevirt.cdi.volume_upload": options}]
    (folder / "upload.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    inventory = "localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'\n"
    (folder / "inventory").write_text(inventory)
    return ["ansible-playbook", "-i", str(folder / "inventory"), str(folder / "upload.yml")]


def test_bytes_seconds_and_speed_agree(images: Images, namespace: str, ok: Any) -> None:
    started = time.monotonic()
    result = ok("volume_upload", name="disk", namespace=namespace, path=str(images.large), storage=THIN)
    lasted = time.monotonic() - started
    assert result["bytes_sent"] == result["file_size"] == 256 * MIB
    assert 0 < result["seconds"] < result["duration"] < lasted + 0.1
    assert result["mib_per_second"] == pytest.approx(256 / result["seconds"], rel=0.05)


def test_memory_stays_constant(images: Images, namespace: str) -> None:
    """Four parallel uploads of a gigabyte in total need less than 100 MiB in the process of the module."""
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


def test_archive_as_a_disk_is_refused(images: Images, namespace: str, module: Any) -> None:
    as_disk = {"name": "disk", "namespace": namespace, "path": images.archive, "content_type": "kubevirt"}
    assert "is a tar archive" in module("volume_upload", **as_disk).result["msg"]
    assert tarfile.is_tarfile(images.archive)
