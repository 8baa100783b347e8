# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials that are rotated during a wait or a task of many volumes.

The task continues, writes nothing twice, and runs a credential plugin at most twice.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import DATA_VOLUME

from tests.api.objects import SetStatus, kubeconfig
from tests.cluster.runtime.certificates import Authority
from tests.modules import Ran, run_module
from tests.rotation import KINDS, SECOND, Rotation, rotating
from tests.wire import Wire, counting_proxy

BLANK: dict[str, Any] = {"source": {"blank": {}}, "storage": {"size": "1Gi"}}


@pytest.fixture
def tls_wire(tmp_path: Path) -> Iterator[Wire]:
    """The API server behind a proxy with TLS, because credentials of a kubeconfig are not sent over plain HTTP."""
    Authority(tmp_path).issue("server", "server", addresses=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with counting_proxy(os.environ["KUBEVIRT_CDI_TEST_SERVER"], os.environ["KUBEVIRT_CDI_TEST_CA"], context) as record:
        yield record


@pytest.fixture(params=KINDS)
def rotation(request: pytest.FixtureRequest, namespace: str, tmp_path: Path) -> Iterator[Rotation]:
    server = {"host": os.environ["KUBEVIRT_CDI_TEST_SERVER"], "ca_cert": os.environ["KUBEVIRT_CDI_TEST_CA"]}
    with rotating(request.param, namespace, tmp_path, server) as made:
        yield made


@pytest.fixture
def run(tls_wire: Wire, rotation: Rotation, namespace: str, tmp_path: Path) -> Callable[..., Ran]:
    def module(**options: Any) -> Ran:
        cluster = {"server": tls_wire.url, "certificate-authority": str(tmp_path / "ca.crt")}
        config = kubeconfig(cluster, rotation.user, namespace=namespace)
        return run_module("data_volume", {"kubeconfig": config, **options})

    return module


def _assert_continued(wire: Wire, rotation: Rotation, ran: Ran) -> None:
    assert not ran.result.get("failed"), ran.result["msg"]
    assert ran.result["changed"] is True
    assert {token for *_request, status, token in wire.answered if status < 300} == set(rotation.tokens.values())
    written = Counter(
        (method, path)
        for method, path, status, _token in wire.answered
        if method != "GET" and "dryRun" not in path and status < 300
    )
    assert set(written.values()) == {1}, written
    assert rotation.runs() in ((0,) if "tokenFile" in rotation.user else (1, 2))
    assert not [token for token in rotation.tokens.values() if token in ran.output]


def test_wait_continues_after_a_rotation(
    tls_wire: Wire,
    rotation: Rotation,
    run: Callable[..., Ran],
    set_status: SetStatus,
    connection: Connection,
    namespace: str,
) -> None:
    """Each watch ends at once, as with some proxies, so that there are requests to reject."""
    tls_wire.trouble = lambda method, path: "over" if "watch=true" in path else ""
    ended: list[Ran] = []
    task = threading.Thread(target=lambda: ended.append(run(name="disk", **BLANK, wait_timeout=120)))
    task.start()
    while not [each for each in tls_wire.answered if each[0] == "PATCH" and "dryRun" not in each[1]]:
        assert task.is_alive(), ended
        time.sleep(0.1)
    rotating = threading.Thread(target=rotation.rotate)
    rotating.start()
    # A volume that makes progress is not diagnosed.
    percent = 0
    while rotating.is_alive() or rotation.tokens[SECOND] not in {each[3] for each in tls_wire.answered}:
        percent += 1
        set_status(namespace, "disk", "ImportInProgress", progress=f"{percent}%")
        assert task.is_alive(), ended
        time.sleep(0.5)
    set_status(namespace, "disk")
    task.join()
    _assert_continued(tls_wire, rotation, ended[0])
    assert ended[0].result["phase"] == "Succeeded"
    assert len([each for each in tls_wire.answered if each[2] == 401]) <= 1


def test_batch_continues_after_a_rotation(
    tls_wire: Wire, rotation: Rotation, run: Callable[..., Ran], direct: Connection, namespace: str
) -> None:
    """From the twentieth write on, requests wait until the first token is rejected, as in a long batch."""
    turn, rotated = threading.Lock(), threading.Event()

    def trouble(method: str, path: str) -> str:
        if method == "PATCH" and "dryRun" not in path and tls_wire.count("PATCH", "/disk-") > 20:
            with turn:
                if not rotated.is_set():
                    rotation.rotate()
                    rotated.set()
        return ""

    tls_wire.trouble = trouble
    names = [f"disk-{number}" for number in range(60)]
    ran = run(data_volumes=[{"name": name, **BLANK} for name in names], wait=False)
    assert rotated.is_set()
    _assert_continued(tls_wire, rotation, ran)
    assert sorted(volume["metadata"]["name"] for volume in direct.list(DATA_VOLUME, namespace)[0]) == sorted(names)
    assert [volume["changed"] for volume in ran.result["data_volumes"]] == [True] * 60
