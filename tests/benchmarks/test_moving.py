# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The speed of uploads and clones on a real CDI, compared with other programs in the same run.

The programs upload in several rounds, each round in another order, and the ratios within a round count: other load
affects all programs alike. Each program creates a hundred clones once.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CONFIG_MAP,
    DATA_VOLUME,
    NAMESPACE,
    UPLOAD_TOKEN_REQUEST,
    Resource,
)

from tests.benchmarks.measure import Cost, cost_of, play
from tests.benchmarks.peers import peer_collections, program
from tests.real.conftest import KUBECONFIG

SIZE_MIB = 1024
VOLUME_SIZE = f"{SIZE_MIB + 16}Mi"
# Each of the three programs comes first, second and third in two rounds.
ROUNDS = 6
OF_CURL_AT_LEAST = 0.9
PEAK_MIB = 100
CLONES = 100
OF_A_LOOP_AT_LEAST = 1.2

SMALL = {"size": "64Mi", "storage_class_name": "thin"}
READY = {"wait": True, "wait_timeout": 600, "wait_sleep": 1, "wait_condition": {"type": "Ready", "status": "True"}}

SERVICE_NAME = "cdi-uploadproxy.cdi.svc"
SERVICE = Resource("", "v1", "services", "Service", True)


@dataclass(frozen=True)
class Proxy:
    """The address of the upload proxy; `url` is None for the port-forward of the module."""

    name: str
    host: str
    port: int
    url: str | None


@dataclass(frozen=True)
class Upload:
    """The cost of an upload: the speed of the transfer, and the time from the declaration to Succeeded."""

    mib_per_second: float
    seconds: float
    cpu_seconds: float
    peak_mib: float


class Ratio(NamedTuple):
    """The ratio of two speeds, as the geometric mean of the rounds, and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, ours: list[Upload], theirs: list[Upload]) -> Ratio:
        logarithms = [
            math.log(our.mib_per_second / their.mib_per_second) for our, their in zip(ours, theirs, strict=True)
        ]
        mean = math.exp(statistics.mean(logarithms))
        return cls(mean, mean * statistics.stdev(logarithms) / math.sqrt(len(logarithms)))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same random bytes as a raw and a qcow2 image."""
    raw = tmp_path_factory.mktemp("images") / "disk.raw"
    with raw.open("wb") as file:
        for _mib in range(SIZE_MIB):
            file.write(os.urandom(1 << 20))
    qcow2 = raw.with_suffix(".qcow2")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, qcow2], check=True)
    return {"raw": raw, "qcow2": qcow2}


@pytest.fixture(scope="module")
def ca(connection: Connection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = connection.get(CONFIG_MAP, "cdi-uploadproxy-signer-bundle", "cdi")
    assert bundle
    file = tmp_path_factory.mktemp("ca") / "ca.crt"
    file.write_text(bundle["data"]["ca-bundle.crt"])
    return file


@contextmanager
def _kubectl_forwards() -> Iterator[Proxy]:
    """kubectl port-forward, for curl and virtctl; the module has its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program("kubectl"), "port-forward", "--namespace=cdi", "service/cdi-uploadproxy", f"{port}:443"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout and "Forwarding from" in process.stdout.readline()
            yield Proxy("port-forward", "127.0.0.1", port, None)
        finally:
            process.terminate()


@contextmanager
def _service(connection: Connection) -> Iterator[Proxy]:
    stored = connection.get(SERVICE, "cdi-uploadproxy", "cdi")
    assert stored
    address = stored["spec"]["clusterIP"]
    yield Proxy("service address", address, 443, f"https://{address}")


class Uploader:
    """Uploads an image to new volumes of a namespace with one of three programs."""

    def __init__(self, connection: Connection, namespace: str, ca: Path, proxy: Proxy) -> None:
        self.connection, self.namespace, self.ca, self.proxy = connection, namespace, ca, proxy

    def module(self, name: str, image: Path) -> Upload:
        options = {
            "kubeconfig": KUBECONFIG,
            "path": str(image),
            "name": name,
            "namespace": self.namespace,
            "upload_proxy_url": self.proxy.url,
            "storage": _storage(),
        }
        cost = cost_of(
            [sys.executable, "-m", "ansible_collections.kubevirt.cdi.plugins.modules.volume_upload"],
            given=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        )
        result = json.loads(cost.output)
        assert result["bytes_sent"] == image.stat().st_size, result
        return Upload(result["mib_per_second"], cost.seconds, cost.cpu_seconds, cost.peak_mib)

    def curl(self, name: str, image: Path) -> Upload:
        """Upload with curl: declare the volume, request a token, send, and wait."""
        started = time.monotonic()
        body = {
            "apiVersion": DATA_VOLUME.api_version,
            "kind": DATA_VOLUME.kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "annotations": {"cdi.kubevirt.io/storage.bind.immediate.requested": "true"},
            },
            "spec": {
                "source": {"upload": {}},
                "storage": {"storageClassName": "thin", "resources": {"requests": {"storage": VOLUME_SIZE}}},
            },
        }
        self.connection.create(DATA_VOLUME, body, self.namespace, dry_run=False)
        self._wait(name, "UploadReady")
        request = {
            "apiVersion": UPLOAD_TOKEN_REQUEST.api_version,
            "kind": UPLOAD_TOKEN_REQUEST.kind,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"pvcName": name},
        }
        token = self.connection.create(UPLOAD_TOKEN_REQUEST, request, self.namespace, dry_run=False)["status"]["token"]
        sent = cost_of(
            [
                *("curl", "--silent", "--show-error", "--fail", "--http1.1", "--cacert", str(self.ca)),
                *("--resolve", f"{SERVICE_NAME}:{self.proxy.port}:{self.proxy.host}"),
                *("--header", f"Authorization: Bearer {token}", "--header", "Expect:", "--request", "POST"),
                *("--upload-file", str(image), "--write-out", "%{time_total}"),
                f"https://{SERVICE_NAME}:{self.proxy.port}/v1beta1/upload-async",
            ]
        )
        self._wait(name, "Succeeded")
        rate = image.stat().st_size / (1 << 20) / float(sent.output)
        return Upload(rate, time.monotonic() - started, sent.cpu_seconds, sent.peak_mib)

    def virtctl(self, name: str, image: Path) -> Upload:
        cost = cost_of(
            [
                *(program("virtctl"), "image-upload", "dv", name, f"--namespace={self.namespace}", "--force-bind"),
                *(f"--image-path={image}", f"--size={VOLUME_SIZE}", "--storage-class=thin", "--insecure"),
                f"--uploadproxy-url=https://{self.proxy.host}:{self.proxy.port}",
            ]
        )
        # Before the empty line, it requests a token and checks the proxy. Its bar measures only from its first drawing.
        announced = cost.moment("Uploading data to")
        begins = next(moment for moment, line in cost.lines if moment > announced and not line.strip())
        seconds = cost.moment("Uploading data completed") - begins
        rate = image.stat().st_size / (1 << 20) / seconds
        return Upload(rate, cost.seconds, cost.cpu_seconds, cost.peak_mib)

    def _wait(self, name: str, phase: str) -> None:
        deadline = time.monotonic() + 600
        while (volume := self.connection.get(DATA_VOLUME, name, self.namespace)) is not None:
            if (volume.get("status") or {}).get("phase") == phase:
                return
            assert time.monotonic() < deadline, volume.get("status")
            time.sleep(0.2)

    def remove(self, name: str) -> None:
        """Delete a volume outside of the measured time, because the pool is small."""
        self.connection.delete(DATA_VOLUME, name, self.namespace, dry_run=False)
        while self.connection.get(DATA_VOLUME, name, self.namespace):
            time.sleep(0.2)


def _storage() -> dict[str, str]:
    return {"size": VOLUME_SIZE, "storage_class_name": "thin"}


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
@pytest.mark.parametrize("way", ["port-forward", "service address"])
def test_upload_is_as_fast_as_curl_and_virtctl_with_little_memory(
    connection: Connection,
    namespace: str,
    images: dict[str, Path],
    ca: Path,
    figure: Callable[..., None],
    kind: str,
    way: str,
) -> None:
    ways = ["module", "curl", "virtctl"]
    took: dict[str, list[Upload]] = {by: [] for by in ways}
    with _kubectl_forwards() if way == "port-forward" else _service(connection) as proxy:
        uploader = Uploader(connection, namespace, ca, proxy)
        uploader.module("warm-up", images[kind])  # The first upload fills caches: it does not count.
        uploader.remove("warm-up")
        for attempt in range(ROUNDS):
            for by in ways:
                name = f"{by}-{attempt}"
                os.sync()  # Write the data of the previous upload to the disk first.
                took[by].append(getattr(uploader, by)(name, images[kind]))
                uploader.remove(name)
            ways = ways[1:] + ways[:1]
    shown = {"module": "kubevirt.cdi.volume_upload", "curl": "curl", "virtctl": "virtctl"}
    ratios = {by: Ratio.of(took["module"], took[by]) for by in shown}
    for by, uploads in took.items():
        figure(
            f"upload of {SIZE_MIB} MiB {kind}, {way}" if by == "module" else "",
            shown[by],
            f"{statistics.median(upload.mib_per_second for upload in uploads):.0f} MiB/s",
            f"{statistics.median(upload.seconds for upload in uploads):.1f} s in all",
            f"{statistics.median(upload.cpu_seconds for upload in uploads):.1f} s of CPU",
            f"peak {max(upload.peak_mib for upload in uploads):.0f} MiB",
            *([] if by == "module" else [f"ours is {ratios[by].mean:.2f} of it, ± {ratios[by].error:.2f}"]),
        )
    assert max(upload.peak_mib for upload in took["module"]) < PEAK_MIB
    assert ratios["curl"].mean >= OF_CURL_AT_LEAST
    assert ratios["virtctl"].mean >= 1


@pytest.fixture(scope="module")
def clones(
    connection: Connection, figure: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, float]]:
    """A namespace with the volume `source`, and the clones per minute of one task of the collection."""
    name = f"clones-{uuid.uuid4().hex[:8]}"
    connection.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run=False)
    directory = tmp_path_factory.mktemp("clones")
    source = {"name": "source", "namespace": name, "source": {"blank": {}}, "storage": SMALL}
    play(directory, [{"kubevirt.cdi.data_volume": source}])
    volumes = [
        {"name": f"ours-{number}", "source": {"pvc": {"name": "source"}}, "storage": SMALL} for number in range(CLONES)
    ]
    options = {"namespace": name, "data_volumes": "{{ volumes }}", "wait_timeout": 1800}
    ours = play(directory, [{"kubevirt.cdi.data_volume": options, "register": "made"}, _METHODS], volumes=volumes)
    assert set(re.findall(r'"msg": "methods: (.*)"', ours.output)) == {"snapshot"}
    rate = _per_minute(CLONES, ours)
    figure(f"{CLONES} snapshot clones", "kubevirt.cdi.data_volume", f"{rate:.0f} a minute", f"{ours.seconds:.0f} s")
    yield name, rate
    connection.delete(NAMESPACE, name, dry_run=False)


def test_clones_per_minute_of_a_loop_that_waits_for_each(
    clones: tuple[str, float], figure: Callable[..., None], tmp_path: Path
) -> None:
    namespace, rate = clones
    names = [f"each-{number}" for number in range(CLONES)]
    task = {"kubernetes.core.k8s": {**_clone(namespace), **READY}, "loop": names}
    theirs = play(tmp_path, [task], collections=peer_collections())
    _show(figure, "loop of kubernetes.core.k8s that waits for each", rate, theirs, len(names))
    assert rate >= OF_A_LOOP_AT_LEAST * _per_minute(len(names), theirs)


def test_clones_per_minute_of_a_loop_that_creates_and_one_that_waits(
    clones: tuple[str, float], figure: Callable[..., None], tmp_path: Path
) -> None:
    """For information only: the clones per minute depend on CDI alone."""
    namespace, rate = clones
    names = [f"all-{number}" for number in range(CLONES)]
    look = {"api_version": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, "name": "{{ item }}"}
    tasks = [
        {"kubernetes.core.k8s": _clone(namespace), "loop": names},
        {"kubernetes.core.k8s_info": {**look, "namespace": namespace, **READY}, "loop": names},
    ]
    theirs = play(tmp_path, tasks, collections=peer_collections())
    _show(figure, "loop of kubernetes.core.k8s that creates, and one that waits", rate, theirs, len(names))


def _clone(namespace: str) -> dict[str, Any]:
    definition = {
        "apiVersion": DATA_VOLUME.api_version,
        "kind": DATA_VOLUME.kind,
        "metadata": {"name": "{{ item }}", "namespace": namespace},
        "spec": {
            "source": {"pvc": {"name": "source", "namespace": namespace}},
            "storage": {"storageClassName": "thin", "resources": {"requests": {"storage": SMALL["size"]}}},
        },
    }
    return {"state": "present", "definition": definition}


_METHODS = {
    "ansible.builtin.debug": {
        "msg": "methods: {{ made.data_volumes | map(attribute='clone.method') | unique | join(', ') }}"
    }
}


def _show(figure: Callable[..., None], by: str, ours: float, cost: Cost, count: int) -> None:
    rate = _per_minute(count, cost)
    figure("", by, f"{rate:.0f} a minute", f"{cost.seconds:.0f} s", f"ours is {ours / rate:.1f} times as fast")


def _per_minute(count: int, cost: Cost) -> float:
    return count / cost.seconds * 60
