# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scratch space on a real CDI: the claims of the document on scratch space (S1 to S21), each as CDI holds it today."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
)
from kubernetes import client

from tests.cluster.build.disk_images import DISK_BYTES
from tests.cluster.digests import digests
from tests.modules import Ran, official_client, run_on_cluster
from tests.real.clone_setup import warnings_about
from tests.real.objects import create, until
from tests.real.scratch_setup import (
    CELLS,
    HTTP,
    IMAGES,
    REGISTRY,
    SIZE,
    Cell,
    ScratchWatch,
    markdown,
    namespace_with_credentials,
    requested,
    worker_pods,
)

KUBECONFIG = os.environ["KUBECONFIG"]
PAGE = Path(__file__).parents[2] / "docs" / "scratch-matrix.md"
RETAINED = {"cdi.kubevirt.io/storage.pod.retainAfterCompletion": "true"}
MEBIBYTE = 1 << 20


def _facts(ran: Ran) -> dict[str, dict[str, Any]]:
    """The facts of each volume, by name."""
    return {each["name"]: each for each in ran.result["data_volumes"]}


class Matrix(NamedTuple):
    """The predictions, results and facts for each volume, and the observed scratch claims."""

    namespace: str
    predicted: dict[str, dict[str, Any]]
    results: dict[str, dict[str, Any]]
    watch: ScratchWatch
    info: dict[str, dict[str, Any]]


OTHERS: list[dict[str, Any]] = [
    {"name": "http-raw-zst", "source": {"http": {"url": f"{HTTP}/disk.raw.zst"}}, "storage": SIZE},
    {
        "name": "block",
        "source": {"http": {"url": f"{HTTP}/disk.qcow2"}},
        "storage": {**SIZE, "volume_mode": "Block"},
    },
    {
        "name": "node-pull",
        "source": {"registry": {"url": f"docker://{REGISTRY}/container-disk:1", "pull_method": "node"}},
        "storage": SIZE,
    },
]
REFUSED = [cell for cell in CELLS if (cell.file, cell.endpoint) == ("tar", "Registry")]


@pytest.fixture(scope="module")
def matrix(connection: Connection) -> Iterator[Matrix]:
    """A DataVolume for each cell and some others: all imports together, then the uploads, then a clone."""
    with namespace_with_credentials(connection) as namespace:
        watch = ScratchWatch(namespace).start()
        imports = [cell.volume for cell in CELLS if cell.endpoint != "Upload" and cell not in REFUSED] + OTHERS
        uploads = [cell for cell in CELLS if cell.endpoint == "Upload"]
        every = imports + [cell.volume for cell in uploads]
        predicted = _facts(run_on_cluster("data_volume", check=True, namespace=namespace, data_volumes=every))
        results = _facts(run_on_cluster("data_volume", namespace=namespace, data_volumes=imports, wait_timeout=300))
        sent = [
            {
                "name": cell.name,
                "path": str(IMAGES / f"disk.{cell.file}"),
                "storage": SIZE,
                # Keep the pod of the upload: the test reads its log.
                "annotations": RETAINED if cell.file in ("raw", "qcow2") else {},
            }
            for cell in uploads
        ]
        run_on_cluster("volume_upload", namespace=namespace, uploads=sent, wait_timeout=300)
        clone = {"name": "clone", "source": {"pvc": {"name": "http-raw"}}, "storage": SIZE}
        run_on_cluster("data_volume", namespace=namespace, data_volumes=[clone])
        info = _facts(run_on_cluster("data_volume_info", namespace=namespace))
        yield Matrix(namespace, predicted, results, watch, info)


def test_s1_volumes_are_imported_cloned_and_uploaded(matrix: Matrix) -> None:
    assert {matrix.info[name]["phase"] for name in ("http-qcow2", "clone", "upload-qcow2")} == {"Succeeded"}


def test_s2_volume_is_not_ready_before_it_is_filled(connection: Connection, ok: Any, namespace: str) -> None:
    """KubeVirt makes virtual machines wait for this phase."""
    slow = {"http": {"url": f"{HTTP}/slow/disk.qcow2"}}
    ok("data_volume", name="slow", namespace=namespace, source=slow, storage=SIZE, wait=False)
    phases = []
    for _kind, volume in connection.watch(DATA_VOLUME, namespace, "", timeout_seconds=90, quiet_seconds=90):
        status = volume.get("status") or {}
        ready = [each["status"] for each in status.get("conditions", []) if each["type"] == "Ready"]
        phases.append((status.get("phase"), ready == ["True"]))
        if phases[-1] == ("Succeeded", True):
            break
    assert phases[-1] == ("Succeeded", True) and "ImportInProgress" in [phase for phase, _ready in phases]
    assert not any(ready for phase, ready in phases if phase != "Succeeded")


def test_s3_imports_and_uploads_have_a_scratch_claim(connection: Connection, matrix: Matrix) -> None:
    assert matrix.watch.of(connection, "http-qcow2") and matrix.watch.of(connection, "upload-qcow2")


def test_s4_scratch_claim_has_the_size_of_the_target_in_mebibytes(connection: Connection, matrix: Matrix) -> None:
    scratch = matrix.watch.of(connection, "http-qcow2")
    target = connection.get(PERSISTENT_VOLUME_CLAIM, "http-qcow2", matrix.namespace)
    assert scratch and target
    assert requested(scratch) % MEBIBYTE == 0 and 0 <= requested(scratch) - requested(target) < MEBIBYTE


def test_s5_scratch_claim_is_deleted_after_completion(connection: Connection, matrix: Matrix) -> None:
    def left() -> list[str]:
        claims, _version = connection.list(PERSISTENT_VOLUME_CLAIM, matrix.namespace)
        return [each["metadata"]["name"] for each in claims if each["metadata"]["name"].endswith("-scratch")]

    kept = [matrix.watch.of(connection, name) for name in ("upload-raw", "upload-qcow2")]
    assert all(kept)
    retained = {scratch["metadata"]["name"] for scratch in kept if scratch}
    until(lambda: set(left()) == retained, 300, f"scratch claims are left: {left()}")


def test_s6_scratch_claim_is_deleted_with_its_volume(connection: Connection, ok: Any, namespace: str) -> None:
    watch = ScratchWatch(namespace).start()
    slow = {"http": {"url": f"{HTTP}/slow/disk.raw"}}
    ok("data_volume", name="slow", namespace=namespace, source=slow, storage=SIZE, wait=False)
    until(lambda: watch.seen, 300, "no scratch claim")
    (volume,) = ok("data_volume_info", namespace=namespace)["data_volumes"]
    scratch = volume["scratch"]
    assert scratch["observed"] and scratch["size"] == "68Mi" and scratch["left_over"] is None
    ok("data_volume", name="slow", namespace=namespace, state="absent")
    until(lambda: watch.gone >= set(watch.seen), 300, "the scratch claim still exists")


def test_s14_registry_needs_scratch_space_unless_the_node_pulls(connection: Connection, matrix: Matrix) -> None:
    assert matrix.watch.of(connection, "registry-qcow2")
    assert matrix.info["node-pull"]["phase"] == "Succeeded" and not matrix.watch.of(connection, "node-pull")
    assert matrix.info["node-pull"]["scratch"]["needed"] is False


@pytest.mark.parametrize(("name", "phase"), [("upload-qcow2", "TransferScratch"), ("upload-raw", "TransferDataFile")])
def test_s15_every_upload_has_it_and_only_what_is_converted_goes_through_it(
    connection: Connection, matrix: Matrix, name: str, phase: str
) -> None:
    assert matrix.watch.of(connection, name)
    claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, matrix.namespace)
    assert claim
    uid = claim["metadata"]["uid"]
    core = client.CoreV1Api(official_client())
    (pod,) = [
        each["metadata"]["name"]
        for each in connection.list(POD, matrix.namespace)[0]
        if uid in each["metadata"]["name"]
    ]
    log = core.read_namespaced_pod_log(pod, matrix.namespace)
    assert re.findall(r"New phase: (Transfer\w+)", log) == [phase]


@pytest.mark.parametrize("file", ["raw.gz", "raw.xz", "raw.zst", "qcow2.gz", "qcow2.xz"])
def test_s16_http_needs_scratch_space_for_compressed_images(connection: Connection, matrix: Matrix, file: str) -> None:
    assert matrix.watch.of(connection, f"http-{file.replace('.', '-')}")


def test_s17_http_needs_scratch_space_with_and_without_a_password(connection: Connection, matrix: Matrix) -> None:
    for name in ("http-raw", "http-qcow2", "http-basic-auth-raw"):
        claim = connection.get(PERSISTENT_VOLUME_CLAIM, name, matrix.namespace)
        assert claim and matrix.watch.of(connection, name), name
        # The first pod detects the need, and a second has the scratch claim. CDI does not count this as a restart.
        assert len(worker_pods(connection, matrix.namespace, claim["metadata"]["uid"])) >= 2, name
        assert matrix.info[name]["restarts"] == 0


def test_s18_https_needs_scratch_space_with_a_private_authority(connection: Connection, matrix: Matrix) -> None:
    assert matrix.watch.of(connection, "https-raw") and matrix.watch.of(connection, "https-qcow2")


def test_s11_scratch_claim_is_filesystem_for_a_block_target(connection: Connection, matrix: Matrix) -> None:
    scratch = matrix.watch.of(connection, "block")
    assert scratch and matrix.info["block"]["volume_mode"] == "Block"
    assert (scratch["spec"]["volumeMode"], scratch["spec"]["accessModes"]) == ("Filesystem", ["ReadWriteOnce"])


def _outcome(connection: Connection, matrix: Matrix, cell: Cell, read: dict[str, str], wanted: dict[str, str]) -> str:
    star = "*" if matrix.watch.of(connection, cell.name) else ""
    assert matrix.info[cell.name]["phase"] == "Succeeded", matrix.info[cell.name]
    good = read[f"{matrix.namespace}/{cell.name}"] == wanted["qcow2" if cell.file == "tar" else "raw"]
    return f"✓{star}" if good else f"✗ wrong data{star}"


def test_s20_matrix_equals_the_predictions_and_the_page(connection: Connection, matrix: Matrix) -> None:
    """In all 35 cells the prediction equals the observation, and the page in docs/ has this table."""
    assert len(CELLS) == 35
    wanted = {kind: (IMAGES / f"disk.{kind}.sha256").read_text().split()[0] for kind in ("raw", "qcow2")}
    made_cells = [cell for cell in CELLS if cell not in REFUSED]
    names = {cell: f"{matrix.namespace}/{cell.name}" for cell in made_cells}
    archives = [name for cell, name in names.items() if cell.file == "tar"]
    disks = [name for name in names.values() if name not in archives]
    read = digests(KUBECONFIG, disks, DISK_BYTES) | digests(KUBECONFIG, archives, DISK_BYTES, "disk.qcow2")
    now = {cell: _outcome(connection, matrix, cell, read, wanted) for cell in made_cells}
    for cell in made_cells:
        predicted, seen = matrix.predicted[cell.name]["scratch"], matrix.watch.of(connection, cell.name)
        assert seen and predicted["needed"], cell
        assert predicted["storage_class_name"] == seen["spec"]["storageClassName"], cell
        assert predicted["size"] == f"{requested(seen) // MEBIBYTE}Mi", cell
        assert matrix.info[cell.name]["scratch"]["observed"], cell
    for cell in REFUSED:
        refused = run_on_cluster("data_volume", namespace=matrix.namespace, data_volumes=[cell.volume]).result
        assert refused["failed"] and "content_type=archive" in refused["msg"]
        now[cell] = "✗"
    page = markdown(now)
    print(page)
    if os.environ.get("KUBEVIRT_CDI_TEST_WRITE_DOCS"):
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page)
    assert PAGE.read_text() == page


def test_s21_archive_is_refused_for_a_block_volume(connection: Connection, module: Any, matrix: Matrix) -> None:
    block = {**Cell("tar", "HTTP").volume, "name": "archive-block", "storage": {**SIZE, "volume_mode": "Block"}}
    refused = module("data_volume", namespace=matrix.namespace, data_volumes=[block]).result
    assert refused["failed"] and "volume_mode=Block" in refused["msg"]
    assert connection.get(DATA_VOLUME, "archive-block", matrix.namespace) is None
    # CDI accepts it, and reports in an event why it never creates the claim.
    storage = {"resources": {"requests": {"storage": "64Mi"}}, "storageClassName": "thin", "volumeMode": "Block"}
    spec = {"source": {"http": block["source"]["http"]}, "contentType": "archive", "storage": storage}
    create(connection, DATA_VOLUME, "archive-block", matrix.namespace, spec=spec)
    message = "ContentType Archive cannot have block volumeMode"
    until(lambda: message in str(warnings_about(connection, matrix.namespace, "archive-block")), 300, "no event")
    connection.delete(DATA_VOLUME, "archive-block", matrix.namespace, dry_run=False)


def test_left_over_scratch_space_is_reported(connection: Connection, matrix: Matrix, ok: Any) -> None:
    """A pod kept for debugging keeps its scratch claim."""
    scratch = matrix.watch.of(connection, "upload-raw")
    assert scratch

    def left() -> Any:
        volume = ok("data_volume_info", namespace=matrix.namespace, name="upload-raw")["data_volumes"][0]
        return volume["scratch"]["left_over"]

    until(left, 75, "it is not reported")
    assert left() == f"{matrix.namespace}/{scratch['metadata']['name']}"
