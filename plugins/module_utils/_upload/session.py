# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the uploads of one task share."""

from __future__ import annotations

import dataclasses
import threading
import time
import typing as t

from .._ansible.module import Task
from .._cdi.status import active, release
from .._data_volume import resize as growth
from .._data_volume.preflight import Preflight
from .._kubernetes.client import Connection
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Key, Object
from .._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CONFIG_NAME,
    PERSISTENT_VOLUME_CLAIM,
    SELF_SUBJECT_ACCESS_REVIEW,
    STORAGE_CLASS,
    UPLOAD_TOKEN_REQUEST,
    Resource,
)
from .._kubernetes.wait import Outcome, wait_for, wait_gone
from .._storage.allocation import Environment
from .._storage.allocation_pod import read_environment
from .._storage.classes import DEFAULT_CLASS, default_class
from .._storage.overhead import NO_OVERHEAD, Overhead
from .._storage.scratch import Settings, overhead_of, target_bytes
from .answers import Answer
from .transfer import Route, find_route, send


class Outside(t.NamedTuple):
    """What an upload does outside this process, and its clock: tests pass their own."""

    clock: t.Callable[[], float] = time.monotonic
    sleep: t.Callable[[float], None] = time.sleep
    find_route: t.Callable[..., Route] = find_route
    send: t.Callable[..., Answer] = send
    wait_for: t.Callable[..., dict[str, Outcome]] = wait_for
    wait_gone: t.Callable[[Connection, Resource, str, str, float], None] = wait_gone


OUTSIDE = Outside()


class Session:
    """What the uploads of one task share: the connection, and the route to the proxy, which is searched for once."""

    def __init__(self, task: Task, outside: Outside = OUTSIDE) -> None:
        self.outside = outside
        self.task, self.progress = task, task.progress
        self.connection, self.check_mode = task.connection, task.check_mode
        self.timeout = task.params["wait_timeout"]
        self.preflight = Preflight(task)
        self._lock = threading.Lock()
        self._route: Route | None = None
        self._allowed: set[str] = set()
        self._settings: Settings | None = None
        self._environment: Environment | None = None

    def wait_gone(self, resource: Resource, key: Key) -> None:
        """Wait until an object that was deleted is no longer there. Raises CdiError."""
        self.outside.wait_gone(self.connection, resource, *key, self.timeout)

    def route(self) -> Route:
        """The route to the upload proxy. Raises CdiError."""
        params = self.task.params
        with self._lock:
            if self._route is None:
                url, ca, namespace = (
                    (params[option] or "").strip()
                    for option in ("upload_proxy_url", "upload_proxy_ca", "cdi_namespace")
                )
                self._route = self.outside.find_route(self.connection, url, ca, namespace, self.task.warn)
            return self._route

    def environment(self) -> Environment:
        """How pods that read volumes run. Raises CdiError if that cannot be read."""
        with self._lock:
            if self._environment is None:
                self._environment = read_environment(self.connection)
            return self._environment

    def check_rights(self, key: Key) -> None:
        """Refuse to write if a permission for the rest is missing.

        Raises CdiError. One request for a namespace, and one for each claim.
        """
        namespace, name = key
        with self._lock:
            if namespace not in self._allowed:
                self._check_right(UPLOAD_TOKEN_REQUEST, "create", namespace, "")
            self._allowed.add(namespace)
        self._check_right(PERSISTENT_VOLUME_CLAIM, "patch", namespace, name)

    def _check_right(self, resource: Resource, verb: str, namespace: str, name: str) -> None:
        review = SELF_SUBJECT_ACCESS_REVIEW
        asked = {
            "namespace": namespace,
            "name": name,
            "verb": verb,
            "group": resource.group,
            "resource": resource.plural,
        }
        body = {"apiVersion": review.api_version, "kind": review.kind, "spec": {"resourceAttributes": asked}}
        try:
            allowed = (self.connection.create(review, body, dry_run=False).get("status") or {}).get("allowed")
        except ApiError as exc:
            if exc.code != 403:
                raise
            return  # The API server does not say: the upload finds out.
        if allowed is False:
            what = resource.plural + (f".{resource.group}" if resource.group else "")
            raise CdiError(
                f"Cannot upload into namespace {namespace}: the account may not {verb} {what} there; "
                f'grant the verb "{verb}" on {what}.'
            )

    def overhead(self, target: t.Mapping[str, t.Any] | None) -> Overhead:
        """The share of a file system that CDI keeps free, by the options (or the spec) of a claim."""
        target = target or {}
        if (target.get("volume_mode") or target.get("volumeMode")) == "Block":
            return NO_OVERHEAD
        name = target.get("storage_class_name") or target.get("storageClassName")
        settings = self._settings_for(name)
        return Overhead(overhead_of(settings, name), settings.version)

    def is_large_enough(self, claim: Object, spec: Object, size: int) -> bool:
        """Whether a claim was already expanded to the `size` of a DataVolume's spec, by any client."""
        name, is_block = claim["spec"].get("storageClassName"), claim["spec"].get("volumeMode") == "Block"
        needed = target_bytes(self._settings_for(name), spec, name, is_block) or 0
        return growth.grown_to(claim) == size or growth.requested_bytes(claim) >= needed

    def _settings_for(self, class_name: str | None) -> Settings:
        with self._lock:
            if self._settings is None:
                cdi = active(self.preflight.reader.read(CDI).items)  # Empty for users who may not list it.
                version = release((cdi.get("status") or {}).get("observedVersion") or "")
                config = self.preflight.reader.read(CDI_CONFIG, name=CONFIG_NAME)
                self._settings = Settings(next(iter(config.unless_forbidden()), {}), version)
            if not class_name and self._settings.default_class is None:
                # For users who may not list classes, the global overhead counts.
                classes = self.preflight.reader.try_read(STORAGE_CLASS).items
                default = default_class(classes, DEFAULT_CLASS)
                self._settings = dataclasses.replace(self._settings, default_class=default)
            return self._settings
