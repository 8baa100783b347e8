# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the evidence on the volumes of a namespace: three LISTs, and what these leave open.

That can be: snapshots of clones; the classes and drivers of unbound claims; the pods that use the source of a clone;
the end of the log of a silent worker; what limits the pods of a namespace that rejects a pod; a trial of a claim that
CDI has not created; and CDI's controller, if nothing else explains a volume.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from .._cdi.names import COMPONENT, CONTROLLER, CREATED_BY_CDI
from .._kubernetes.client import Connection
from .._kubernetes.errors import ApiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CONFIG_NAME,
    CSI_DRIVER,
    DEPLOYMENT,
    EVENT,
    LIMIT_RANGE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    PRIORITY_CLASS,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
    STORAGE_CLASS,
    STORAGE_PROFILE,
    VOLUME_SNAPSHOT,
    Resource,
)
from .._storage.claims import Planned, claim_of, claim_refusal
from .._storage.classes import cluster_settings
from .diagnose import unexplained
from .evidence import Evidence
from .needs import needs, without_claim
from .refusals import Room, Worker, refused_because, trial_pod, why_refused

_SECONDS = 10.0
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
# So many of a kind are read: more of them probably have the same problem.
_MOST_READ = 3


class EvidenceReader:
    """One namespace, or all. Forbidden resources are skipped and remembered."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection, self._namespace = connection, namespace
        self._refused: set[tuple[Resource, str | None]] = set()

    def probe(
        self, asked_for: t.Iterable[Object | None], seconds: float = _SECONDS, claims: t.Iterable[Object] | None = None
    ) -> Evidence:
        """The evidence on these volumes. CDI's controller is read only if nothing else explains each volume. `claims`
        may be known."""
        if claims is None:
            claims = self._list(PERSISTENT_VOLUME_CLAIM, self._namespace, seconds, label_selector=CREATED_BY_CDI) or ()
        volumes = [volume for volume in asked_for if volume is not None]
        evidence = Evidence(
            self._list(EVENT, self._namespace, seconds, field_selector="type=Warning") or (),
            self._list(POD, self._namespace, seconds, label_selector=CREATED_BY_CDI) or (),
            tuple(claims),
            self._snapshots(volumes, seconds),
        )
        missing = needs(volumes, evidence)
        classes = self._list(STORAGE_CLASS, None, seconds) if missing.classes else None
        evidence = replace(
            evidence,
            classes=classes,
            drivers=self._drivers(seconds) if missing.drivers and classes else None,
            users=self._by_namespace(POD, missing.users, seconds),
            logs={pod["metadata"]["uid"]: self._log(pod, seconds) for pod in missing.silent[:_MOST_READ]},
            quotas=self._by_namespace(RESOURCE_QUOTA, missing.quotas, seconds),
            rooms=self._rooms(missing.workers, seconds),
        )
        if not any(unexplained(volume, evidence) for volume in volumes):
            return evidence
        controllers = self._list(DEPLOYMENT, None, seconds, label_selector=f"{COMPONENT}={CONTROLLER}")
        evidence = replace(evidence, controllers=controllers)
        return replace(
            evidence,
            refused_claims={
                volume["metadata"]["uid"]: self._try_claim(volume, seconds)
                for volume in without_claim(volumes, evidence)[:_MOST_READ]
            },
        )

    def _by_namespace(self, resource: Resource, namespaces: t.Iterable[str], seconds: float) -> dict[str, list[Object]]:
        """The objects of each namespace in which they can be read."""
        read = {namespace: self._list(resource, namespace, seconds) for namespace in namespaces}
        return {namespace: items for namespace, items in read.items() if items is not None}

    def _try_claim(self, volume: Object, seconds: float) -> str:
        """Why the API server rejects the claim that CDI would create, by a dry run; `` when that is unknown."""
        config = self._get(CDI_CONFIG, CONFIG_NAME, None, seconds)
        if config is None or not ({"storage", "pvc"} & set(volume.get("spec") or ())):
            return ""
        settings = cluster_settings(
            config, *(self._list(resource, None, seconds) or () for resource in (CDI, STORAGE_PROFILE, STORAGE_CLASS))
        )
        planned = Planned(volume)
        claim = claim_of(planned, settings)
        try:
            if claim:
                self._until(seconds).create(PERSISTENT_VOLUME_CLAIM, claim, planned.key[0], dry_run=True)
        except ApiError as exc:
            return claim_refusal(planned, t.cast(Object, claim), settings, exc)
        return ""

    def _drivers(self, seconds: float) -> set[str] | None:
        """The provisioners that are registered, or have created a volume; None when they cannot be read."""
        drivers = self._list(CSI_DRIVER, None, seconds)
        volumes = self._list(PERSISTENT_VOLUME, None, seconds)
        if drivers is None or volumes is None:
            return None
        return {
            *(driver["metadata"]["name"] for driver in drivers),
            *((volume["metadata"].get("annotations") or {}).get(_PROVISIONED_BY, "") for volume in volumes),
        }

    def _rooms(self, workers: t.Sequence[Worker], seconds: float) -> dict[Worker, Room]:
        """What limits the rejected pods in their namespaces, read once for pods that differ only in their names."""
        rooms: dict[tuple[str, ...], Room] = {}
        for worker in workers:
            key = (worker.namespace, *worker[2:])
            if key not in rooms and len(rooms) < _MOST_READ:
                rooms[key] = self._room(worker, seconds)
        return {worker: rooms[key] for worker in workers if (key := (worker.namespace, *worker[2:])) in rooms}

    def _room(self, worker: Worker, seconds: float) -> Room:
        missing_class = bool(worker.priority_class) and self._is_missing(
            PRIORITY_CLASS, worker.priority_class, None, seconds
        )
        missing_account = bool(worker.account) and self._is_missing(
            SERVICE_ACCOUNT, worker.account, worker.namespace, seconds
        )
        room = Room(missing_class=missing_class, missing_account=missing_account)
        if why_refused(worker, room):
            return room
        config = self._get(CDI_CONFIG, CONFIG_NAME, None, seconds) or {}
        room = room._replace(
            limit_ranges=self._list(LIMIT_RANGE, worker.namespace, seconds) or (),
            quotas=self._list(RESOURCE_QUOTA, worker.namespace, seconds) or (),
            resources=(config.get("status") or {}).get("defaultPodResourceRequirements") or {},
        )
        return room if why_refused(worker, room) else room._replace(trial=self._try(worker, room.resources, seconds))

    def _try(self, worker: Worker, resources: t.Mapping[str, t.Any], seconds: float) -> str | None:
        """Why the API server rejects such a pod, by a dry run; `` when it accepts it, None when that cannot be
        tried."""
        try:
            self._until(seconds).create(POD, trial_pod(worker, resources), worker.namespace, dry_run=True)
        except ApiError as exc:
            return refused_because(str(exc))
        return ""

    def _is_missing(self, resource: Resource, name: str, namespace: str | None, seconds: float) -> bool:
        try:
            return self._until(seconds).get(resource, name, namespace) is None
        except ApiError:
            return False

    def _get(self, resource: Resource, name: str, namespace: str | None, seconds: float) -> Object | None:
        try:
            return self._until(seconds).get(resource, name, namespace)
        except ApiError:
            return None

    def _log(self, pod: Object, seconds: float) -> str:
        """The end of the log of a pod; `` when it cannot be read."""
        try:
            return self._until(seconds).log(pod["metadata"]["namespace"], pod["metadata"]["name"])
        except ApiError:
            return ""

    def _until(self, seconds: float) -> Connection:
        return self._connection.until(time.monotonic() + min(seconds, _SECONDS))

    def _snapshots(self, volumes: list[Object], seconds: float) -> list[Object]:
        """The snapshots that CDI clones by, in the namespaces of the sources. No event reports that a snapshot
        failed."""
        cloning = [
            volume
            for volume in volumes
            if (volume.get("status") or {}).get("phase") == "SnapshotForSmartCloneInProgress"
        ]
        sources = [((volume["spec"].get("source") or {}).get("pvc") or {}) for volume in cloning]
        namespaces = {
            source.get("namespace") or volume["metadata"]["namespace"]
            for source, volume in zip(sources, cloning, strict=True)
        }
        return [
            item
            for name in sorted(namespaces)
            for item in self._list(VOLUME_SNAPSHOT, name, seconds, label_selector=CREATED_BY_CDI) or ()
        ]

    def _list(
        self, resource: Resource, namespace: str | None, seconds: float, **selectors: t.Any
    ) -> list[Object] | None:
        if (resource, namespace) in self._refused:
            return None
        try:
            return self._connection.list(resource, namespace, within_seconds=min(seconds, _SECONDS), **selectors)[0]
        except ApiError as exc:
            if exc.code == 403:
                self._refused.add((resource, namespace))
            return None  # It only adds detail.
