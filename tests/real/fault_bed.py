# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that are made to fail, each by a task of its own, and how long the task took to say so."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._connection import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._resources import DATA_VOLUME, NAMESPACE, Resource
from tests.modules import run_module

HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
HTTPS = os.environ["KUBEVIRT_CDI_TEST_HTTPS"]
NODE = HTTP.removeprefix("http://").partition(":")[0]
STORAGE = {
    "size": "128Mi",
    "storage_class_name": "thin",
    "access_modes": ["ReadWriteOnce"],
    "volume_mode": "Filesystem",
}
# A task must name the fault within so many seconds of its start.
LIMIT_SECONDS = 15
# It would wait for so long if it did not.
_TIME_OUT_SECONDS = 60
# More at once would wait for the two processors rather than for CDI.
_AT_ONCE = 4


@dataclass
class Fault:
    """A volume that is made to fail. Its error has `words` and `remedy`; without a `cause` it is refused at once."""

    cause: str
    words: str
    remedy: str
    options: dict[str, Any]
    namespace: str = "main"
    connection: dict[str, Any] = field(default_factory=dict)


@dataclass
class Seen:
    """What a task said, and after how many seconds."""

    result: dict[str, Any]
    output: str
    seconds: float
    slowness: float


def _slowness() -> float:
    """1, and more on a machine that has much else to do than the tests and the cluster."""
    return max(1.0, os.getloadavg()[0] / 4 / (os.cpu_count() or 1))


def http(url: str = f"{HTTP}/disk.qcow2", **source: Any) -> dict[str, Any]:
    return {"source": {"http": {"url": url, **source}}, "storage": STORAGE}


def blank(**storage: Any) -> dict[str, Any]:
    return {"source": {"blank": {}}, "storage": {**STORAGE, "size": "64Mi", **storage}}


class Bed:
    """Namespaces of the tests' own, by short names, and what is made in them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._prefix = f"faults-{uuid.uuid4().hex[:6]}"
        self._made: list[tuple[Resource, str, str | None]] = []
        self._names: set[str] = set()

    def namespace(self, name: str) -> str:
        full = f"{self._prefix}-{name}"
        if name not in self._names:
            self._names.add(name)
            self.make(NAMESPACE, full)
        return full

    def name(self, name: str) -> str:
        """The full name of an object of the whole cluster."""
        return f"{self._prefix}-{name}"

    def make(self, resource: Resource, name: str, namespace: str | None = None, **fields: Any) -> None:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **fields}
        body["metadata"] = {"name": name, **fields.get("metadata", {})}
        self._connection.create(resource, body, namespace, dry_run=False)
        if namespace is None:
            self._made.append((resource, name, None))

    def remove(self) -> None:
        for resource, name, namespace in reversed(self._made):
            self._connection.delete(resource, name, namespace, dry_run=False)

    def declare(self, name: str, fault: Fault) -> Seen:
        """Run the task that declares the volume `name`."""
        started = time.monotonic()
        options = {"namespace": self.namespace(fault.namespace), "wait_timeout": _TIME_OUT_SECONDS, **fault.options}
        ran = run_module(
            "data_volume", {"kubeconfig": os.environ["KUBECONFIG"], "name": name, **fault.connection, **options}
        )
        return Seen(ran.result, ran.output, time.monotonic() - started, _slowness())

    def induce(self, name: str, fault: Fault) -> Seen:
        """Declare the volume, and delete it when all is said: CDI and the provisioner would try again and again."""
        seen = self.declare(name, fault)
        self._connection.delete(DATA_VOLUME, name, self.namespace(fault.namespace), dry_run=False)
        return seen

    def all(self, step: Callable[[str, Fault], Seen], faults: dict[str, Fault]) -> dict[str, Seen]:
        """What each volume's task said; `step` is declare or induce."""
        for fault in faults.values():
            self.namespace(fault.namespace)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            seen = dict(zip(faults, pool.map(lambda item: step(*item), faults.items()), strict=True))
        for name, fault in faults.items():
            # Now and then CDI and the binder of claims collide, which takes them 15 s: a second look, alone, then counts.
            if fault.cause and seen[name].seconds >= LIMIT_SECONDS * seen[name].slowness:
                seen[name] = min(seen[name], step(name, fault), key=lambda each: each.seconds)
        return seen


def check(fault: Fault, seen: Seen) -> None:
    """The task failed in time, and said what is wrong and what helps."""
    assert seen.result.get("failed"), seen.result
    message = seen.result["msg"]
    print(f"{seen.seconds:.1f} s (of {LIMIT_SECONDS * seen.slowness:.0f}): {message}")
    assert fault.words in message and fault.remedy in message, message
    assert "\n" not in message and "Traceback" not in seen.output
    if fault.cause:
        diagnosis = seen.result["diagnosis"]
        assert diagnosis["cause"] == fault.cause, diagnosis
        assert fault.words in diagnosis["message"] and fault.remedy in diagnosis["remedy"], diagnosis
    assert seen.seconds < LIMIT_SECONDS * seen.slowness
