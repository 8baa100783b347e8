# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what is around the volumes of a namespace: three LISTs, and one more for each thing that these leave open.

Which these are: snapshots of clones; the classes, and the drivers, of claims that are not bound; the pods that use a clone's source; the end of the
log of a worker that seems to do nothing; what the namespace of a refused pod lets in; a trial of a claim that CDI has not made; and CDI's controller,
when nothing else explains a volume.
"""

from __future__ import annotations

import time
import typing as t

from .._cdi.names import COMPONENT, CONTROLLER, CREATED_BY_CDI
from .._cdi.status import active, release
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
from .._storage.classes import DEFAULT_CLASS, DEFAULT_VIRTUALIZATION_CLASS, default_class
from .._storage.scratch import Settings
from .diagnose import CLAIM_MISSING, claim_in_use, diagnose, may_be_silent, unexplained
from .evidence import Evidence, RelatedObjects
from .refusals import QUOTA_EXCEEDED, Room, Worker, refused_because, trial_pod, why_refused
from .rules import CLAIM_PENDING, CLASS_MISSING, CLONE_SOURCE_IN_USE, WORKER_REFUSED

_SECONDS = 10.0
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
# More of a kind have the same fault, for all that is known.
_MOST_READ = 3


class EvidenceReader:
    """One namespace, or all. Forbidden resources are skipped and remembered."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection, self._namespace = connection, namespace
        self._reader = Reader(connection)

    def probe(
        self, asked_for: t.Iterable[Object | None], seconds: float = _SECONDS, claims: t.Iterable[Object] | None = None
    ) -> Evidence:
        """What is around these volumes; CDI's controller only if that does not explain each of them. `claims` may be known."""
        seconds = min(seconds, _SECONDS)
        reader = self._reader = self._reader.again(seconds)
        if claims is None:
            claims = reader.try_read(PERSISTENT_VOLUME_CLAIM, self._namespace, label_selector=CREATED_BY_CDI).items
        volumes = [volume for volume in asked_for if volume is not None]
        around = Evidence(
            reader.try_read(EVENT, self._namespace, field_selector="type=Warning").items,
            reader.try_read(POD, self._namespace, label_selector=CREATED_BY_CDI).items,
            claims,
            self._snapshots(volumes),
        )
        causes: dict[str, list[Object]] = {}
        in_use: set[str] = set()
        for volume in volumes:
            found = diagnose(volume, around)
            causes.setdefault(found.cause if found else "", []).append(volume)
            if found and found.cause == CLONE_SOURCE_IN_USE and (key := claim_in_use(found.message)):
                in_use.add(key[0])
        if CLASS_MISSING in causes or CLAIM_PENDING in causes:
            around.classes = self._listed(STORAGE_CLASS)
        if CLAIM_PENDING in causes and around.classes:
            around.drivers = self._drivers()
        for namespace in sorted(in_use):
            pods = self._listed(POD, namespace)
            if pods is not None:
                around.users[namespace] = pods
        silent = [pod for volume in causes.get("", ()) for pod in may_be_silent(volume, around)]
        around.logs = {pod["metadata"]["uid"]: self._log(pod, seconds) for pod in silent[:_MOST_READ]}
        workers = []
        for volume in [*causes.get(WORKER_REFUSED, ()), *causes.get(QUOTA_EXCEEDED, ())]:
            worker, namespace = (
                RelatedObjects(volume, around).refused(volume),
                volume["metadata"].get("namespace") or "",
            )
            if worker:
                workers.append(worker)
            elif namespace not in around.quotas and (quotas := self._listed(RESOURCE_QUOTA, namespace)) is not None:
                around.quotas[namespace] = quotas
        around.rooms = self._rooms(workers, seconds)
        if any(unexplained(volume, around) for volume in volumes):
            around.controllers = self._listed(DEPLOYMENT, label_selector=f"{COMPONENT}={CONTROLLER}")
            unmade = [
                volume for volume in volumes if (found := diagnose(volume, around)) and found.cause == CLAIM_MISSING
            ]
            around.refused_claims = {
                volume["metadata"]["uid"]: self._try_claim(volume, seconds) for volume in unmade[:_MOST_READ]
            }
        return around

    def _try_claim(self, volume: Object, seconds: float) -> str:
        """Why the API server refuses the claim that CDI would make, by a dry run; `` when that is not known."""
        reader = self._reader
        config = reader.try_read(CDI_CONFIG, name=CONFIG_NAME).object
        if config is None or not ({"storage", "pvc"} & set(volume.get("spec") or ())):
            return ""
        installed = active(reader.try_read(CDI).items)
        classes = reader.try_read(STORAGE_CLASS).items
        settings = Settings(config, release(((installed or {}).get("status") or {}).get("observedVersion") or ""))
        settings.profiles = {each["metadata"]["name"]: each for each in reader.try_read(STORAGE_PROFILE).items}
        settings.default_class = default_class(classes, DEFAULT_CLASS)
        settings.virtualization_class = default_class(classes, DEFAULT_VIRTUALIZATION_CLASS) or settings.default_class
        planned = Planned(volume)
        claim = claim_of(planned, settings)
        try:
            if claim:
                self._until(seconds).create(PERSISTENT_VOLUME_CLAIM, claim, planned.key[0], dry_run=True)
        except ApiError as exc:
            return claim_refusal(planned, t.cast(Object, claim), settings, exc)
        return ""

    def _drivers(self) -> set[str] | None:
        """The provisioners that have registered, or have made a volume; None when they may not be read."""
        drivers = self._listed(CSI_DRIVER)
        volumes = self._listed(PERSISTENT_VOLUME)
        if drivers is None or volumes is None:
            return None
        return {
            *(driver["metadata"]["name"] for driver in drivers),
            *((volume["metadata"].get("annotations") or {}).get(_PROVISIONED_BY, "") for volume in volumes),
        }

    def _rooms(self, workers: t.Sequence[Worker], seconds: float) -> dict[Worker, Room]:
        """What is known of the namespaces that refuse pods; for pods that differ in nothing but their names once."""
        rooms: dict[tuple[str, ...], Room] = {}
        for worker in workers:
            key = (worker.namespace, *worker[2:])
            if key not in rooms and len(rooms) < _MOST_READ:
                rooms[key] = self._room(worker, seconds)
        return {worker: rooms[key] for worker in workers if (key := (worker.namespace, *worker[2:])) in rooms}

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
        """Why the API server refuses a pod like this, by a dry run; nothing when it would take it, None when that cannot be tried."""
        try:
            self._until(seconds).create(POD, trial_pod(worker, resources), worker.namespace, dry_run=True)
        except ApiError as exc:
            return refused_because(str(exc))
        return ""

    def _is_missing(self, resource: Resource, name: str, namespace: str | None = None) -> bool:
        found = self._reader.try_read(resource, namespace, name)
        return not found.items and not found.error

    def _log(self, pod: Object, seconds: float) -> str:
        """The end of the log of a pod; `` when it may not be read."""
        try:
            return self._until(seconds).log(pod["metadata"]["namespace"], pod["metadata"]["name"])
        except ApiError:
            return ""

    def _until(self, seconds: float) -> Connection:
        return self._connection.until(time.monotonic() + seconds)

    def _snapshots(self, volumes: list[Object]) -> list[Object]:
        """What clones are restored from; no event tells of a snapshot that fails. They are in the sources' namespaces."""
        cloning = [
            volume
            for volume in volumes
            if (volume.get("status") or {}).get("phase") == "SnapshotForSmartCloneInProgress"
        ]
        sources = [((volume["spec"].get("source") or {}).get("pvc") or {}) for volume in cloning]
        namespaces = {
            source.get("namespace") or volume["metadata"]["namespace"] for source, volume in zip(sources, cloning)
        }
        return [
            item
            for name in sorted(namespaces)
            for item in self._reader.try_read(VOLUME_SNAPSHOT, name, label_selector=CREATED_BY_CDI).items
        ]

    def _listed(
        self, resource: Resource, namespace: str | None = None, label_selector: str = ""
    ) -> list[Object] | None:
        """None when it is not known what there is."""
        found = self._reader.try_read(resource, namespace, label_selector=label_selector)
        return found.items if found.error is None else None
