# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""Reads what is around the volumes of a namespace: three LISTs, one more for snapshots of clones, one for CDI's controller, one for missing classes."""

from __future__ import annotations

import typing as t

from ._connection import Connection, Object
from ._diagnosis import CLASS_MISSING, diagnose, unexplained
from ._diagnosis_objects import Evidence
from ._errors import ApiError
from ._resources import DEPLOYMENT, EVENT, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS, VOLUME_SNAPSHOT, Resource

_SECONDS = 10.0
# Labels of all that CDI makes, and of its controller's Deployment (pkg/common/common.go, v1.65.0).
_MADE_BY_CDI = "app=containerized-data-importer"
_CONTROLLER = "cdi.kubevirt.io=cdi-deployment"


class EvidenceReader:
    """One namespace, or all. Forbidden resources are skipped and remembered."""

    def __init__(self, connection: Connection, namespace: str | None) -> None:
        self._connection, self._namespace = connection, namespace
        self._refused: set[Resource] = set()

    def probe(self, volumes: t.Iterable[Object | None], seconds: float = _SECONDS, claims: t.Iterable[Object] | None = None) -> Evidence:
        """What is around these volumes; CDI's controller only if that does not explain each of them. `claims` may be known."""
        if claims is None:
            claims = self._list(PERSISTENT_VOLUME_CLAIM, self._namespace, seconds, label_selector=_MADE_BY_CDI) or ()
        volumes = [volume for volume in volumes if volume is not None]
        around = Evidence(
            self._list(EVENT, self._namespace, seconds, field_selector="type=Warning") or (),
            self._list(POD, self._namespace, seconds, label_selector=_MADE_BY_CDI) or (),
            claims,
            self._snapshots(volumes, seconds),
        )
        if any((found := diagnose(volume, around)) and found.cause == CLASS_MISSING for volume in volumes):
            around.classes = self._list(STORAGE_CLASS, None, seconds)
        if any(unexplained(volume, around) for volume in volumes):
            around.controllers = self._list(DEPLOYMENT, None, seconds, label_selector=_CONTROLLER)
        return around

    def _snapshots(self, volumes: list[Object], seconds: float) -> list[Object]:
        """What clones are restored from; no event tells of a snapshot that fails. They are in the sources' namespaces."""
        cloning = [volume for volume in volumes if (volume.get("status") or {}).get("phase") == "SnapshotForSmartCloneInProgress"]
        sources = [((volume["spec"].get("source") or {}).get("pvc") or {}) for volume in cloning]
        namespaces = {source.get("namespace") or volume["metadata"]["namespace"] for source, volume in zip(sources, cloning)}
        return [item for name in sorted(namespaces) for item in self._list(VOLUME_SNAPSHOT, name, seconds, label_selector=_MADE_BY_CDI) or ()]

    def _list(self, resource: Resource, namespace: str | None, seconds: float, **selectors: t.Any) -> list[Object] | None:
        if resource in self._refused:
            return None
        try:
            return self._connection.list(resource, namespace, within_seconds=min(seconds, _SECONDS), **selectors)[0]
        except ApiError as exc:
            if exc.code == 403:
                self._refused.add(resource)
            return None  # It only says more about what is told anyway.
