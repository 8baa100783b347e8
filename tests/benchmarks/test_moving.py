# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The speed of uploads and clones on a real CDI, compared with other programs in the same run.

The programs upload in several rounds, each round in another order, and the ratios within a round count: other load
affects all programs alike. Each program creates a hundred clones once.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME, NAMESPACE

from tests.benchmarks.measure import Cost, play
from tests.benchmarks.peers import peer_collections
from tests.benchmarks.uploading import PROGRAMS, WAYS, Ratio, Uploader, in_turn, proxy_ca
from tests.cdi_setup import connection, namespace

__all__ = ["connection", "namespace"]

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
    return proxy_ca(connection, tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
@pytest.mark.parametrize("way", WAYS)
def test_upload_is_as_fast_as_curl_and_virtctl_with_little_memory(
    connection: Connection,
    namespace: str,
    images: dict[str, Path],
    ca: Path,
    figure: Callable[..., None],
    kind: str,
    way: str,
) -> None:
    with WAYS[way](connection) as proxy:
        took = in_turn(Uploader(connection, namespace, ca, proxy, VOLUME_SIZE), images[kind], ROUNDS)
    assert {upload.encoding for upload in took["module"]} == {"file"}
    ratios = {by: Ratio.of_rates(took["module"], took[by]) for by in took}
    for by, uploads in took.items():
        figure(
            f"upload of {SIZE_MIB} MiB {kind}, {way}" if by == "module" else "",
            PROGRAMS[by],
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
