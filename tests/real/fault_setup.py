# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that are made to fail, each by a task of its own, and how long the task took to say so."""

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
from tests.cluster.versions import HELPER_IMAGE
from tests.modules import run_module
from tests.real.clone_setup import until
from tests.real.settings import LOCK

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
# A task must name the fault within so many seconds of its start.
LIMIT_SECONDS = 15
# It would wait for so long if it did not.
_TIME_OUT_SECONDS = 60
# More at once would wait for the two processors rather than for CDI.
_AT_ONCE = 4
_LOOKS_ALONE = 2


@dataclass
class Fault:
    """A volume that is made to fail. Its error has `words` and `remedy`, and comes `within` so many seconds.

    Without a `cause` it is refused at once, or is an upload, whose result has no diagnosis.
    """

    cause: str
    words: str
    remedy: str
    options: dict[str, Any]
    namespace: str = "main"
    connection: dict[str, Any] = field(default_factory=dict)
    within: float = LIMIT_SECONDS


@dataclass
class Seen:
    """What a task said, and after how many seconds; `slower` is what the same task said before, when it took longer."""

    result: dict[str, Any]
    output: str
    seconds: float
    slower: list[Seen] = field(default_factory=list)


def http(url: str = f"{HTTP}/disk.qcow2", **source: Any) -> dict[str, Any]:
    """An import of which CDI itself finds out what is wrong: the image is not looked at before."""
    return {"source": {"http": {"url": url, **source}}, "storage": STORAGE, "check_source": "never"}


def blank(**storage: Any) -> dict[str, Any]:
    return {"source": {"blank": {}}, "storage": {**STORAGE, "size": "64Mi", **storage}}


def upload(path: str = IMAGE, **storage: Any) -> dict[str, Any]:
    return {"path": path, "storage": {**STORAGE, **storage}}


@contextlib.contextmanager
def storage_faults(**faults: dict[str, Any]) -> Iterator[None]:
    """Each should `match` the test's own namespaces only: other tests use the storage at the same time."""
    with open(f"{os.environ['KUBECONFIG']}.faults", "w", encoding="utf-8") as lock:
        # The storage driver has one list of faults.
        fcntl.flock(lock, fcntl.LOCK_EX)
        set_faults("full", faults)
        try:
            yield
        finally:
            clear_faults("full")


class FaultSetup:
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

    def namespace_with_quota(self, claims: int) -> str:
        """A namespace that has room for so many claims."""
        full = self.namespace(f"quota-{claims}")
        self.make(RESOURCE_QUOTA, "quota", full, spec={"hard": {"persistentvolumeclaims": str(claims)}})
        return full

    def use(self, claim: str, namespace: str) -> None:
        """A pod, `user`, that runs and mounts a claim."""
        mounts = [{"name": "volume", "mountPath": "/volume"}]
        container = {"name": "user", "image": HELPER_IMAGE, "command": ["sleep", "600"], "volumeMounts": mounts}
        volumes = [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}]
        self.make(
            POD,
            "user",
            namespace,
            spec={"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0},
        )
        until(
            lambda: (
                ((self._connection.get(POD, "user", namespace) or {}).get("status") or {}).get("phase") == "Running"
            ),
            60,
            "no pod",
        )

    def make_class_elsewhere(self) -> None:
        """The class `elsewhere`, whose one volume is on a node that the cluster does not have."""
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
        """Run the task that declares the volume `name`, or uploads into it."""
        started = time.monotonic()
        options = {"namespace": self.namespace(fault.namespace), "wait_timeout": _TIME_OUT_SECONDS, **fault.options}
        module = "volume_upload" if "path" in options else "data_volume"
        ran = run_module(module, {"kubeconfig": os.environ["KUBECONFIG"], "name": name, **fault.connection, **options})
        return Seen(ran.result, ran.output, time.monotonic() - started)

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
            # Now and then CDI and the binder of claims collide, which takes them 15 s; and other tests take the
            # processors. Another look, without other tests, then counts.
            for _look in range(_LOOKS_ALONE):
                if (fault.cause or "path" in fault.options) and seen[name].seconds >= fault.within:
                    with LOCK.alone_for_now():
                        looks = [seen[name], *seen[name].slower, step(name, fault)]
                    seen[name], *seen[name].slower = sorted(looks, key=lambda each: each.seconds)
        return seen


def check(fault: Fault, seen: Seen) -> None:
    """The task failed in time, and said what is wrong and what helps: also when it took longer before."""
    for look in [*seen.slower, seen]:
        assert look.result.get("failed"), look.result
        message = look.result["msg"]
        print(f"{look.seconds:.1f} s: {message}")
        assert fault.words in message and fault.remedy in message, message
        assert "\n" not in message and "Traceback" not in look.output
        if fault.cause:
            diagnosis = look.result["diagnosis"]
            assert diagnosis["cause"] == fault.cause, diagnosis
            assert fault.words in diagnosis["message"] and fault.remedy in diagnosis["remedy"], diagnosis
    assert seen.seconds < fault.within
