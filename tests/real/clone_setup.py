# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources to clone, storage classes, snapshots and the CDI object's override, made for tests and taken away again."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    EVENT,
    NAMESPACE,
    STORAGE_CLASS,
    STORAGE_PROFILE,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
)

from tests.modules import run_on_cluster
from tests.real.settings import LOCK

THIN = "thin.csi.kubevirt-cdi.test"
PLAIN = "plain.csi.kubevirt-cdi.test"
NO_DRIVER = "no-driver.kubevirt-cdi.test"
SIZE = "128Mi"
BOTH_MODES = [
    {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"},
    {"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"},
]


def until(check: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer; an AssertionError that says what was waited for after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} after {seconds:.0f} s"
        time.sleep(0.3)


class StorageClasses:
    """Classes of the tests' own, so that nothing which others use changes."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        self._connection, self._prefix = connection, prefix
        self._made: list[str] = []

    def make(
        self,
        name: str,
        provisioner: str = THIN,
        *,
        strategy: str | None = None,
        expansion: bool = True,
        snapshot_class: str | None = None,
        binding: str = "Immediate",
        block_first: bool = False,
        annotations: dict[str, str] | None = None,
    ) -> str:
        """The full name of a new class; its profile is in effect after `wait`."""
        full = f"{self._prefix}-{name}"
        stored = {
            "metadata": {"name": full, "annotations": annotations or {}},
            "provisioner": provisioner,
            "volumeBindingMode": binding,
            "allowVolumeExpansion": expansion,
        }
        self._connection.create(STORAGE_CLASS, _typed(STORAGE_CLASS, stored), dry_run=False)
        self._made.append(full)
        spec: dict[str, Any] = {"claimPropertySets": BOTH_MODES[::-1] if block_first else BOTH_MODES}
        spec |= {"cloneStrategy": strategy} if strategy else {}
        spec |= {"snapshotClass": snapshot_class} if snapshot_class else {}
        until(lambda: self._connection.get(STORAGE_PROFILE, full), 30, f"no profile of {full}")
        self._connection.merge(STORAGE_PROFILE, full, None, {"spec": spec}, dry_run=False)
        return full

    def wait(self) -> None:
        """Until CDI has taken the spec of every profile over into its status."""
        until(lambda: all(map(self._in_effect, self._made)), 60, "profiles are not in effect")

    def _in_effect(self, name: str) -> bool:
        stored = self._connection.get(STORAGE_PROFILE, name) or {}
        spec, status = stored.get("spec", {}), stored.get("status", {})
        compared = ("claimPropertySets", "cloneStrategy")
        return all(status.get(key) == spec[key] for key in compared if key in spec) and "cloneStrategy" in status

    def remove(self) -> None:
        for name in self._made:
            self._connection.delete(STORAGE_CLASS, name, dry_run=False)


def snapshot(connection: Connection, namespace: str, name: str, claim: str) -> None:
    """A VolumeSnapshot of a claim, ready to be restored."""
    spec = {"volumeSnapshotClassName": "thin", "source": {"persistentVolumeClaimName": claim}}
    stored = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    connection.create(VOLUME_SNAPSHOT, _typed(VOLUME_SNAPSHOT, stored), namespace, dry_run=False)
    until(
        lambda: ((connection.get(VOLUME_SNAPSHOT, name, namespace) or {}).get("status") or {}).get("readyToUse"),
        60,
        f"VolumeSnapshot {name} is not ready",
    )


def make_snapshot_class(connection: Connection, name: str, driver: str) -> None:
    stored = {"metadata": {"name": name}, "driver": driver, "deletionPolicy": "Delete"}
    connection.create(VOLUME_SNAPSHOT_CLASS, _typed(VOLUME_SNAPSHOT_CLASS, stored), dry_run=False)


class CloneSetup(NamedTuple):
    """Two namespaces, classes of the tests' own by a short name, and sources in the first namespace."""

    namespace: str
    other: str
    classes: dict[str, str]

    def clone(
        self, name: str, target_class: str, source: str = "golden", kind: str = "pvc", **options: Any
    ) -> dict[str, Any]:
        """An item of data_volumes."""
        asked = {"size": SIZE, "storage_class_name": self.classes[target_class], **options.pop("asked", {})}
        volume = {"name": name, "source": {kind: {"name": source, "namespace": self.namespace}}, "storage": asked}
        return {"namespace": self.namespace, **volume, **options}


@contextlib.contextmanager
def sources_to_clone(connection: Connection) -> Iterator[CloneSetup]:
    """A disk and a device with a snapshot of each, and a class for every method and each fallback."""
    mark = f"clones{uuid.uuid4().hex[:5]}"
    names = (mark, f"{mark}-other")
    for name in names:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        connection.create(NAMESPACE, body, dry_run=False)
    made = StorageClasses(connection, mark)
    try:
        classes = {
            "snapshot": made.make("snapshot"),
            "csi": made.make("csi", strategy="csi-clone"),
            "csi-too": made.make("csi-too", strategy="csi-clone"),
            "copy": made.make("copy", strategy="copy"),
            "fixed": made.make("fixed", strategy="csi-clone", expansion=False),
            "snapshot-fixed": made.make("snapshot-fixed", strategy="snapshot", expansion=False),
            "plain": made.make("plain", PLAIN, expansion=False),
            "plain-snapshot": made.make("plain-snapshot", PLAIN, strategy="snapshot", expansion=False),
            "plain-csi": made.make("plain-csi", PLAIN, strategy="csi-clone", expansion=False),
            "wffc": made.make("wffc", binding="WaitForFirstConsumer"),
        }
        made.wait()
        url = f"{os.environ['KUBEVIRT_CDI_TEST_HTTP']}/disk.qcow2"
        source = {"http": {"url": url}}
        asked = {"size": SIZE, "storage_class_name": classes["snapshot"]}
        sources = [
            {"name": "golden", "source": source, "storage": asked},
            {"name": "device", "source": source, "storage": {**asked, "volume_mode": "Block"}},
        ]
        result = run("data_volume", namespace=mark, data_volumes=sources)
        assert not result.get("failed"), result["msg"]
        snapshot(connection, mark, "golden", "golden")
        snapshot(connection, mark, "device", "device")
        yield CloneSetup(*names, classes)
    finally:
        made.remove()
        for name in names:
            connection.delete(NAMESPACE, name, dry_run=False)


def run(module_name: str, /, **options: Any) -> dict[str, Any]:
    """The result of a module, be it a failure."""
    return run_on_cluster(module_name, **options).result


def warnings_about(connection: Connection, namespace: str, name: str) -> dict[str, str]:
    """Reason and message of the warnings about a volume and its claim."""
    events = connection.list(EVENT, namespace)[0]
    mine = [event for event in events if event["involvedObject"]["name"] == name and event["type"] == "Warning"]
    return {event["reason"]: event["message"] for event in mine}


@contextlib.contextmanager
def override(connection: Connection, strategy: str) -> Iterator[None]:
    """The CDI object's cloneStrategyOverride, which holds for everybody on the cluster."""
    assert LOCK.is_alone
    name = connection.list(CDI)[0][0]["metadata"]["name"]
    connection.merge(CDI, name, None, {"spec": {"cloneStrategyOverride": strategy}}, dry_run=False)
    try:
        yield
    finally:
        connection.merge(CDI, name, None, {"spec": {"cloneStrategyOverride": None}}, dry_run=False)


@contextlib.contextmanager
def without_default_class(connection: Connection) -> Iterator[None]:
    assert LOCK.is_alone

    def mark(value: str) -> None:
        annotations = {"storageclass.kubernetes.io/is-default-class": value}
        connection.merge(STORAGE_CLASS, "thin", None, {"metadata": {"annotations": annotations}}, dry_run=False)

    mark("false")
    try:
        yield
    finally:
        mark("true")


def _typed(resource: Any, stored: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": resource.api_version, "kind": resource.kind, **stored}
