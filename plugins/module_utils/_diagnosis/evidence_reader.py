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
from .._kubernetes.reader import Reader
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
    """Reads the evidence of one namespace, or of all. Forbidden resources are skipped and remembered."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection, self._namespace = connection, namespace
        self._reader = Reader(connection)

    def probe(
        self, asked_for: t.Iterable[Object | None], seconds: float = _SECONDS, claims: t.Iterable[Object] | None = None
    ) -> Evidence:
        """The evidence on these volumes. CDI's controller is read only if nothing else explains each volume.

        `seconds`: the limit of each request. `claims`: all claims that CDI has created, if they are known.
        """
        seconds = min(seconds, _SECONDS)
        reader = self._reader = self._reader.again(seconds)
        if claims is None:
            claims = reader.try_read(PERSISTENT_VOLUME_CLAIM, self._namespace, label_selector=CREATED_BY_CDI).items
        volumes = [volume for volume in asked_for if volume is not None]
        evidence = Evidence(
            reader.try_read(EVENT, self._namespace, field_selector="type=Warning").items,
            reader.try_read(POD, self._namespace, label_selector=CREATED_BY_CDI).items,
            tuple(claims),
            self._snapshots(volumes),
        )
        missing = needs(volumes, evidence)
        classes = self._listed(STORAGE_CLASS) if missing.classes else None
        evidence = replace(
            evidence,
            classes=classes,
            drivers=self._drivers() if missing.drivers and classes else None,
            users=self._by_namespace(POD, missing.users),
            logs={pod["metadata"]["uid"]: self._log(pod, seconds) for pod in missing.silent[:_MOST_READ]},
            quotas=self._by_namespace(RESOURCE_QUOTA, missing.quotas),
            rooms=self._rooms(missing.workers, seconds),
        )
        if not any(unexplained(volume, evidence) for volume in volumes):
            return evidence
        evidence = replace(evidence, controllers=self._listed(DEPLOYMENT, label_selector=f"{COMPONENT}={CONTROLLER}"))
        return replace(
            evidence,
            refused_claims={
                volume["metadata"]["uid"]: self._try_claim(volume, seconds)
                for volume in without_claim(volumes, evidence)[:_MOST_READ]
            },
        )

    def _by_namespace(self, resource: Resource, namespaces: t.Iterable[str]) -> dict[str, list[Object]]:
        """The objects of each namespace in which they can be read."""
        read = {namespace: self._listed(resource, namespace) for namespace in namespaces}
        return {namespace: items for namespace, items in read.items() if items is not None}

    def _try_claim(self, volume: Object, seconds: float) -> str:
        """Why the API server rejects the claim that CDI would create, by a dry run; `` when that is unknown."""
        reader = self._reader
        config = reader.try_read(CDI_CONFIG, name=CONFIG_NAME).object
        if config is None or not ({"storage", "pvc"} & set(volume.get("spec") or ())):
            return ""
        settings = cluster_settings(
            config, *(reader.try_read(resource).items for resource in (CDI, STORAGE_PROFILE, STORAGE_CLASS))
        )
        planned = Planned(volume)
        claim = claim_of(planned, settings)
        try:
            if claim:
                self._until(seconds).create(PERSISTENT_VOLUME_CLAIM, claim, planned.key[0], dry_run=True)
        except ApiError as exc:
            return claim_refusal(planned, t.cast(Object, claim), settings, exc)
        return ""

    def _drivers(self) -> set[str] | None:
        """The provisioners that are registered, or have created a volume; None when they cannot be read."""
        drivers = self._listed(CSI_DRIVER)
        volumes = self._listed(PERSISTENT_VOLUME)
        if drivers is None or volumes is None:
            return None
        return {
            *(driver["metadata"]["name"] for driver in drivers),
            *((volume["metadata"].get("annotations") or {}).get(_PROVISIONED_BY, "") for volume in volumes),
        }

    def _rooms(self, workers: t.Sequence[Worker], seconds: float) -> dict[Worker, Room]:
        """What limits the rejected pods in their namespaces, read once for pods that differ only in their names.

        Of further pods it is unknown.
        """
        rooms: dict[tuple[str, ...], Room] = {}
        for worker in workers:
            key = (worker.namespace, *worker[2:])
            if key not in rooms and len(rooms) < _MOST_READ:
                rooms[key] = self._room(worker, seconds)
        return {worker: rooms.get((worker.namespace, *worker[2:]), Room()) for worker in workers}

    def _room(self, worker: Worker, seconds: float) -> Room:
        missing_class = bool(worker.priority_class) and self._is_missing(PRIORITY_CLASS, worker.priority_class)
        missing_account = bool(worker.account) and self._is_missing(SERVICE_ACCOUNT, worker.account, worker.namespace)
        room = Room(missing_class=missing_class, missing_account=missing_account)
        if why_refused(worker, room):
            return room
        config = self._reader.try_read(CDI_CONFIG, name=CONFIG_NAME).object or {}
        room = room._replace(
            limit_ranges=self._reader.try_read(LIMIT_RANGE, worker.namespace).items,
            quotas=self._reader.try_read(RESOURCE_QUOTA, worker.namespace).items,
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

    def _is_missing(self, resource: Resource, name: str, namespace: str | None = None) -> bool:
        found = self._reader.try_read(resource, namespace, name)
        return not found.items and not found.error

    def _log(self, pod: Object, seconds: float) -> str:
        """The end of the log of a pod; `` when it cannot be read."""
        try:
            return self._until(seconds).log(pod["metadata"]["namespace"], pod["metadata"]["name"])
        except ApiError:
            return ""

    def _until(self, seconds: float) -> Connection:
        return self._connection.until(time.monotonic() + seconds)

    def _snapshots(self, volumes: list[Object]) -> list[Object]:
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
            for item in self._reader.try_read(VOLUME_SNAPSHOT, name, label_selector=CREATED_BY_CDI).items
        ]

    def _listed(
        self, resource: Resource, namespace: str | None = None, label_selector: str = ""
    ) -> list[Object] | None:
        """The objects; None when it is unknown which exist."""
        found = self._reader.try_read(resource, namespace, label_selector=label_selector)
        return found.items if found.error is None else None
