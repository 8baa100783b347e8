# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads by the module, curl and virtctl, and the ratios of their speed."""

from __future__ import annotations

import json
import math
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CONFIG_MAP,
    DATA_VOLUME,
    UPLOAD_TOKEN_REQUEST,
    Resource,
)

from tests.benchmarks.measure import cost_of
from tests.benchmarks.peers import program
from tests.real.conftest import KUBECONFIG

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
    encoding: str = "file"


class Ratio(NamedTuple):
    """How many times as fast we are, as the geometric mean of the rounds, and its standard error."""

    mean: float
    error: float

    @classmethod
    def of_rates(cls, ours: list[Upload], theirs: list[Upload]) -> Ratio:
        return cls._of([our.mib_per_second / their.mib_per_second for our, their in zip(ours, theirs, strict=True)])

    @classmethod
    def of_times(cls, ours: list[Upload], theirs: list[Upload], without: float = 0.0) -> Ratio:
        """By the time from the declaration to Succeeded, `without` so many seconds of each."""
        return cls._of(
            [(their.seconds - without) / (our.seconds - without) for our, their in zip(ours, theirs, strict=True)]
        )

    @classmethod
    def _of(cls, ratios: list[float]) -> Ratio:
        logarithms = [math.log(ratio) for ratio in ratios]
        mean = math.exp(statistics.mean(logarithms))
        return cls(mean, mean * statistics.stdev(logarithms) / math.sqrt(len(logarithms)))


@contextmanager
def kubectl_forwards(_connection: Connection) -> Iterator[Proxy]:
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
def service(connection: Connection) -> Iterator[Proxy]:
    stored = connection.get(SERVICE, "cdi-uploadproxy", "cdi")
    assert stored
    address = stored["spec"]["clusterIP"]
    yield Proxy("service address", address, 443, f"https://{address}")


class Uploader:
    """Uploads an image to new volumes of a namespace, of `size`, with one of three programs."""

    def __init__(self, connection: Connection, namespace: str, ca: Path, proxy: Proxy, size: str) -> None:
        self.connection, self.namespace, self.ca, self.proxy, self.size = connection, namespace, ca, proxy, size

    def module(self, name: str, image: Path, **more: Any) -> Upload:
        options = {
            "kubeconfig": KUBECONFIG,
            "path": str(image),
            "name": name,
            "namespace": self.namespace,
            "upload_proxy_url": self.proxy.url,
            "storage": {"size": self.size, "storage_class_name": "thin"},
            **more,
        }
        cost = cost_of(
            [sys.executable, "-m", "ansible_collections.kubevirt.cdi.plugins.modules.volume_upload"],
            given=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        )
        result = json.loads(cost.output)
        return Upload(result["mib_per_second"], cost.seconds, cost.cpu_seconds, cost.peak_mib, result["encoding"])

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
                "storage": {"storageClassName": "thin", "resources": {"requests": {"storage": self.size}}},
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
                *(f"--image-path={image}", f"--size={self.size}", "--storage-class=thin", "--insecure"),
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


def proxy_ca(connection: Connection, folder: Path) -> Path:
    """A file with the CA of the upload proxy."""
    bundle = connection.get(CONFIG_MAP, "cdi-uploadproxy-signer-bundle", "cdi")
    assert bundle
    file = folder / "ca.crt"
    file.write_text(bundle["data"]["ca-bundle.crt"])
    return file


WAYS: dict[str, Callable[[Connection], Any]] = {"port-forward": kubectl_forwards, "service address": service}
PROGRAMS = {"module": "kubevirt.cdi.volume_upload", "curl": "curl", "virtctl": "virtctl"}


def in_turn(uploader: Uploader, image: Path, rounds: int) -> dict[str, list[Upload]]:
    """The uploads of each program, which are each first, second and third in the same number of rounds."""
    ways = list(PROGRAMS)
    took: dict[str, list[Upload]] = {by: [] for by in ways}
    uploader.module("warm-up", image)  # The first upload fills caches: it does not count.
    uploader.remove("warm-up")
    for attempt in range(rounds):
        for by in ways:
            name = f"{by}-{attempt}"
            os.sync()  # Write the data of the previous upload to the disk first.
            took[by].append(getattr(uploader, by)(name, image))
            uploader.remove(name)
        ways = ways[1:] + ways[:1]
    return took
