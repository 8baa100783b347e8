# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes volumes fail, each in its own task, and measures how long the task takes to report it.

How long that takes on an idle cluster is a figure that the run prints, and no test: other tests use the processors.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    DATA_VOLUME,
    NAMESPACE,
    PERSISTENT_VOLUME,
    POD,
    RESOURCE_QUOTA,
    STORAGE_CLASS,
    Resource,
)

from tests.cluster.csi.faults import clear_faults, set_faults
from tests.modules import run_module
from tests.real.objects import create, create_pod, existing, until
from tests.real.settings import LOCK
from tests.runner.figures import SECONDS_TO_REPORT

HTTP = os.environ["KUBEVIRT_CDI_TEST_HTTP"]
HTTPS = os.environ["KUBEVIRT_CDI_TEST_HTTPS"]
IMAGE = f"{os.environ['KUBEVIRT_CDI_TEST_IMAGES']}/disk.qcow2"
NODE = HTTP.removeprefix("http://").partition(":")[0]
STORAGE = {
    "size": "128Mi",
    "storage_class_name": "thin",
    "access_modes": ["ReadWriteOnce"],
    "volume_mode": "Filesystem",
}
# Without a report, a task waits for so many seconds. A busy CDI may do nothing for a minute.
_TIME_OUT_SECONDS = 300
# More concurrent tasks would wait for the two processors instead of CDI.
_AT_ONCE = 4


@dataclass
class Fault:
    """A volume that fails. Its error contains `words` and `remedy`, and appears before the task times out.

    Without a `cause`, the module refuses the volume, or it is an upload: both results have no diagnosis.
    """

    cause: str
    words: str
    remedy: str
    options: dict[str, Any]
    namespace: str = "main"
    connection: dict[str, Any] = field(default_factory=dict)


@dataclass
class Seen:
    """The result of a task, and its seconds."""

    result: dict[str, Any]
    output: str
    seconds: float


def http(url: str = f"{HTTP}/disk.qcow2", **source: Any) -> dict[str, Any]:
    """An import whose fault CDI finds, because the module does not check the image."""
    return {"source": {"http": {"url": url, **source}}, "storage": STORAGE, "check_source": "never"}


def blank(**storage: Any) -> dict[str, Any]:
    return {"source": {"blank": {}}, "storage": {**STORAGE, "size": "64Mi", **storage}}


def upload(path: str = IMAGE, **storage: Any) -> dict[str, Any]:
    return {"path": path, "storage": {**STORAGE, **storage}}


@contextlib.contextmanager
def storage_faults(**faults: dict[str, Any]) -> Iterator[None]:
    """Inject faults. Each must `match` namespaces of the test only: other tests use the storage at the same time."""
    with open(f"{os.environ['KUBECONFIG']}.faults", "w", encoding="utf-8") as lock:
        # All tests share the list of faults of the storage driver. Who waits for it must not stop one that has it, and
        # waits to be alone.
        with LOCK.held(alone=None):
            fcntl.flock(lock, fcntl.LOCK_EX)
        set_faults("full", faults)
        try:
            yield
        finally:
            clear_faults("full")


class FaultSetup:
    """The namespaces of the tests, by short names, and the objects in them."""

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
        """The full name of a cluster-scoped object."""
        return f"{self._prefix}-{name}"

    def make(self, resource: Resource, name: str, namespace: str | None = None, **fields: Any) -> None:
        create(self._connection, resource, name, namespace, **fields)
        if namespace is None:
            self._made.append((resource, name, None))

    def namespace_with_quota(self, claims: int) -> str:
        """A namespace whose quota allows so many claims."""
        full = self.namespace(f"quota-{claims}")
        self.make(RESOURCE_QUOTA, "quota", full, spec={"hard": {"persistentvolumeclaims": str(claims)}})
        return full

    def use(self, claim: str, namespace: str) -> None:
        """Create pod `user`, which mounts a claim, and wait until it runs."""
        create_pod(self._connection, "user", namespace, claim)

        def running() -> bool:
            return bool(existing(self._connection, POD, "user", namespace)["status"]["phase"] == "Running")

        until(running, 300, "pod user does not run")

    def make_class_elsewhere(self) -> None:
        """Create the class `elsewhere`, whose only volume is on a node that does not exist."""
        name = self.name("elsewhere")
        node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["elsewhere"]}
        volume = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "local": {"path": "/nowhere"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        }
        self.make(STORAGE_CLASS, name, provisioner="kubernetes.io/no-provisioner")
        self.make(PERSISTENT_VOLUME, name, spec=volume)

    def remove(self) -> None:
        for resource, name, namespace in reversed(self._made):
            self._connection.delete(resource, name, namespace, dry_run=False)

    def declare(self, name: str, fault: Fault) -> Seen:
        """Run the task that declares the volume `name` or uploads to it."""
        started = time.monotonic()
        options = {"namespace": self.namespace(fault.namespace), "wait_timeout": _TIME_OUT_SECONDS, **fault.options}
        module = "volume_upload" if "path" in options else "data_volume"
        ran = run_module(module, {"kubeconfig": os.environ["KUBECONFIG"], "name": name, **fault.connection, **options})
        return Seen(ran.result, ran.output, time.monotonic() - started)

    def induce(self, name: str, fault: Fault) -> Seen:
        """Declare the volume, then delete it, because CDI and the provisioner would retry for ever."""
        seen = self.declare(name, fault)
        self._connection.delete(DATA_VOLUME, name, self.namespace(fault.namespace), dry_run=False)
        return seen

    def all(self, step: Callable[[str, Fault], Seen], faults: dict[str, Fault]) -> dict[str, Seen]:
        """The results of the tasks of all volumes; `step` is `declare` or `induce`."""
        for fault in faults.values():
            self.namespace(fault.namespace)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(faults, pool.map(lambda item: step(*item), faults.items()), strict=True))


def check(fault: Fault, seen: Seen, record_property: Callable[[str, object], None]) -> None:
    """The task failed before its time-out, and reported cause and remedy."""
    record_property(SECONDS_TO_REPORT, round(seen.seconds, 1))
    assert seen.result.get("failed"), seen.result
    message = seen.result["msg"]
    assert fault.words in message and fault.remedy in message, message
    assert "\n" not in message and "Traceback" not in seen.output
    seconds = fault.options.get("wait_timeout", _TIME_OUT_SECONDS)
    assert (f" after {seconds} s" in message) == ("wait_timeout" in fault.options), message
    if fault.cause:
        diagnosis = seen.result["diagnosis"]
        assert diagnosis["cause"] == fault.cause, diagnosis
        assert fault.words in diagnosis["message"] and fault.remedy in diagnosis["remedy"], diagnosis
