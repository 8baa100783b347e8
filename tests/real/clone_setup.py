# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of clones, storage classes and snapshots for tests, and changes of settings that end with a test."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.client import Connection
from ansible_collections.kubevirt.cdi.plugins.module_utils._kubernetes.resources import (
    CDI,
    EVENT,
    STORAGE_CLASS,
    STORAGE_PROFILE,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
)
from kubernetes import client

from tests.modules import official_client, run_on_cluster
from tests.real.objects import create, new_namespace, until
from tests.real.settings import LOCK

THIN = "thin.csi.kubevirt-cdi.test"
PLAIN = "plain.csi.kubevirt-cdi.test"
NO_DRIVER = "no-driver.kubevirt-cdi.test"
SIZE = "128Mi"
BOTH_MODES = [
    {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"},
    {"accessModes": ["ReadWriteOnce"], "volumeMode": "Block"},
]


class StorageClasses:
    """Storage classes for a test, so that it changes none that other tests use."""

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
        """Create a class and return its full name; its profile is in effect after `wait`."""
        full = f"{self._prefix}-{name}"
        create(
            self._connection,
            STORAGE_CLASS,
            full,
            metadata={"annotations": annotations or {}},
            provisioner=provisioner,
            volumeBindingMode=binding,
            allowVolumeExpansion=expansion,
        )
        self._made.append(full)
        spec: dict[str, Any] = {"claimPropertySets": BOTH_MODES[::-1] if block_first else BOTH_MODES}
        spec |= {"cloneStrategy": strategy} if strategy else {}
        spec |= {"snapshotClass": snapshot_class} if snapshot_class else {}
        until(lambda: self._connection.get(STORAGE_PROFILE, full), 300, f"{full} has no storage profile")
        self._connection.merge(STORAGE_PROFILE, full, None, {"spec": spec}, dry_run=False)
        return full

    def wait(self) -> None:
        """Wait until the status of all profiles agrees with their specs."""
        until(lambda: all(map(self._in_effect, self._made)), 300, "the profiles are not in effect")

    def _in_effect(self, name: str) -> bool:
        stored = self._connection.get(STORAGE_PROFILE, name) or {}
        spec, status = stored.get("spec", {}), stored.get("status", {})
        compared = ("claimPropertySets", "cloneStrategy")
        return all(status.get(key) == spec[key] for key in compared if key in spec) and "cloneStrategy" in status

    def remove(self) -> None:
        for name in self._made:
            self._connection.delete(STORAGE_CLASS, name, dry_run=False)


def snapshot(connection: Connection, namespace: str, name: str, claim: str) -> None:
    """Create a VolumeSnapshot of a claim and wait until it is ready."""
    spec = {"volumeSnapshotClassName": "thin", "source": {"persistentVolumeClaimName": claim}}
    create(connection, VOLUME_SNAPSHOT, name, namespace, spec=spec)
    until(
        lambda: ((connection.get(VOLUME_SNAPSHOT, name, namespace) or {}).get("status") or {}).get("readyToUse"),
        300,
        f"VolumeSnapshot {name} is not ready",
    )


def make_snapshot_class(connection: Connection, name: str, driver: str) -> None:
    create(connection, VOLUME_SNAPSHOT_CLASS, name, driver=driver, deletionPolicy="Delete")


class CloneSetup(NamedTuple):
    """Two namespaces, storage classes by their short names, and sources of clones in the first namespace."""

    namespace: str
    other: str
    classes: dict[str, str]

    def clone(
        self, name: str, target_class: str, source: str = "golden", kind: str = "pvc", **options: Any
    ) -> dict[str, Any]:
        """An item of data_volumes that clones `source`; `requested` are options of its storage."""
        storage = {"size": SIZE, "storage_class_name": self.classes[target_class], **options.pop("requested", {})}
        volume = {"name": name, "source": {kind: {"name": source, "namespace": self.namespace}}, "storage": storage}
        return {"namespace": self.namespace, **volume, **options}


@contextlib.contextmanager
def sources_to_clone(connection: Connection) -> Iterator[CloneSetup]:
    """A Filesystem and a Block volume with a snapshot of each, and a class for each method and each fallback."""
    with new_namespace(connection, "clones") as namespace, new_namespace(connection, "clones") as other:
        yield from _sources_to_clone(connection, namespace, other)


def _sources_to_clone(connection: Connection, namespace: str, other: str) -> Iterator[CloneSetup]:
    made = StorageClasses(connection, namespace)
    try:
        classes = {
            "snapshot": made.make("snapshot"),
            "csi": made.make("csi", strategy="csi-clone"),
            "csi-2": made.make("csi-2", strategy="csi-clone"),
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
        storage = {"size": SIZE, "storage_class_name": classes["snapshot"]}
        sources = [
            {"name": "golden", "source": source, "storage": storage},
            {"name": "device", "source": source, "storage": {**storage, "volume_mode": "Block"}},
        ]
        result = run("data_volume", namespace=namespace, data_volumes=sources)
        assert not result.get("failed"), result["msg"]
        for name in ("golden", "device"):
            snapshot(connection, namespace, name, name)
        yield CloneSetup(namespace, other, classes)
    finally:
        made.remove()


def run(module_name: str, /, **options: Any) -> dict[str, Any]:
    """Run a module and return its result, also that of a failure."""
    return run_on_cluster(module_name, **options).result


def warnings_about(connection: Connection, namespace: str, name: str) -> list[tuple[str, str]]:
    """The reasons and messages of the warning events about a volume and its claim. One reason has several messages."""
    events = connection.list(EVENT, namespace)[0]
    mine = [event for event in events if event["involvedObject"]["name"] == name and event["type"] == "Warning"]
    return [(event["reason"], event["message"]) for event in mine]


def logged_warnings(seconds: int) -> list[dict[str, Any]]:
    """The warnings that CDI's controller logged in the last seconds, with `object`, `reason` and `msg`.

    It logs each event, also those that its client then drops: those after 25 on one object in some minutes (client-go,
    tools/record/events_cache.go), which a clone that CDI tries again and again has.
    """
    core = client.CoreV1Api(official_client())
    (pod,) = core.list_pod_for_all_namespaces(label_selector="cdi.kubevirt.io=cdi-deployment").items
    log = core.read_namespaced_pod_log(pod.metadata.name, pod.metadata.namespace, since_seconds=seconds)
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{") and '"logger":"events"' in line]
    return [event for event in events if event["type"] == "Warning"]


@contextlib.contextmanager
def override(connection: Connection, strategy: str) -> Iterator[None]:
    """Set cloneStrategyOverride in the CDI object, which affects the whole cluster."""
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
