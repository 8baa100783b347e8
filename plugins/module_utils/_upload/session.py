# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the uploads of one task share, and what is known of each."""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass, field

from .._ansible.module import Task
from .._cdi.status import active, release
from .._cdi.users import UserReader
from .._data_volume import resize as growth
from .._data_volume.preflight_reader import Preflight
from .._image.file import FileIdentity
from .._image.formats import Image
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CONFIG_NAME,
    DATA_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    SELF_SUBJECT_ACCESS_REVIEW,
    STORAGE_CLASS,
    UPLOAD_TOKEN_REQUEST,
    Resource,
)
from .._storage.classes import DEFAULT_CLASS, default_class
from .._storage.overhead import NO_OVERHEAD, Overhead
from .._storage.scratch import Settings, overhead_of, target_bytes
from . import plan as rules
from .transfer import Route, SourceFile, find_route


@dataclass
class Item:
    """One file on its way through the task.

    `plan` is what is to be done, `action` and `changed` what has been done (in check mode, what would be). `made` is the uid of a DataVolume that
    the task has made; `may_finish` says that CDI may be at work on all that it needs, so that the volume may be filled later.
    """

    upload: dict[str, t.Any]
    volume: Object | None = None
    claim: Object | None = None
    identity: FileIdentity | None = None
    image: Image | None = None
    digest: str = ""
    plan: str = rules.NOTHING
    action: str = rules.ACTION_LABELS[rules.NOTHING]
    reason: str = ""
    made: str = ""
    may_finish: bool = False
    error: str = ""
    bytes_sent: int = 0
    seconds: float = 0.0
    retries: int = 0
    transport: str | None = None
    diff: dict[str, t.Any] = field(default_factory=dict)
    changed: bool = False
    wanted: Object | None = None
    present: t.ClassVar[bool] = True

    @property
    def key(self) -> tuple[str, str]:
        return self.upload["namespace"], self.upload["name"]

    @property
    def title(self) -> str:
        return "/".join(self.key)

    @property
    def resource(self) -> Resource:
        """The kind of the target."""
        return PERSISTENT_VOLUME_CLAIM if self.volume is None else DATA_VOLUME

    @property
    def what(self) -> str:
        """`DataVolume demo/disk`."""
        return f"{self.resource.kind} {self.title}"

    @property
    def source(self) -> SourceFile:
        """The file, as it was when its digest was taken."""
        image = t.cast(Image, self.image)
        return SourceFile(self.upload["path"], t.cast(FileIdentity, self.identity), self.digest, image.sent_size)

    def done(self, action: str) -> None:
        """Note what has been written, whatever comes next."""
        self.action, self.changed = action, True

    def undo_creation(self) -> None:
        """The volume that the task has made is gone again; one before it stays deleted."""
        self.made, self.changed = "", self.action == rules.EMPTIED
        self.action = rules.DELETED if self.changed else rules.ACTION_LABELS[rules.NOTHING]
        if not self.changed:
            self.diff = {}


class Session:
    """What the uploads of one task share: the connection, and the way to the proxy, which is looked for once."""

    def __init__(self, task: Task) -> None:
        self.task, self.progress = task, task.progress
        self.connection, self.check_mode = task.connection, task.check_mode
        self.timeout = task.params["wait_timeout"]
        self.preflight = Preflight(task)
        self._lock = threading.Lock()
        self._route: Route | None = None
        self._allowed: set[str] = set()
        self._settings: Settings | None = None

    def route(self) -> Route:
        params = self.task.params
        with self._lock:
            if self._route is None:
                url, ca, namespace = (
                    (params[option] or "").strip()
                    for option in ("upload_proxy_url", "upload_proxy_ca", "cdi_namespace")
                )
                self._route = find_route(self.connection, url, ca, namespace, self.task.warn)
            return self._route

    def check_rights(self, key: tuple[str, str]) -> None:
        """Raises CdiError for a right that would be missed after the first write. One request for a namespace, and one for each claim."""
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
            return  # Nobody says, so it is seen.
        if allowed is False:
            what = resource.plural + (f".{resource.group}" if resource.group else "")
            raise CdiError(
                f'Cannot upload into namespace {namespace}: the account may not {verb} {what} there; grant the verb "{verb}" on {what}.'
            )

    def refuse_users(self, item: Item) -> None:
        """Raises CdiError while somebody uses the data that are about to be deleted."""
        if item.upload["when_in_use"] == "fail":
            UserReader(Reader(self.connection), self.task.warn, [item.key]).refuse(item.what, item.key)

    def overhead(self, target: t.Mapping[str, t.Any] | None) -> Overhead:
        """The share of a file system that CDI leaves alone, by the options (or the spec) of a claim."""
        target = target or {}
        if (target.get("volume_mode") or target.get("volumeMode")) == "Block":
            return NO_OVERHEAD
        name = target.get("storage_class_name") or target.get("storageClassName")
        settings = self._settings_for(name)
        return Overhead(overhead_of(settings, name), settings.version)

    def is_large_enough(self, claim: Object, spec: Object, size: int) -> bool:
        """Whether a claim has been made to grow to the `size` of a DataVolume's spec, by us or by somebody else."""
        name, is_block = claim["spec"].get("storageClassName"), claim["spec"].get("volumeMode") == "Block"
        needed = target_bytes(self._settings_for(name), spec, name, is_block) or 0
        return growth.grown_to(claim) == size or growth.requested(claim) >= needed

    def _settings_for(self, class_name: str | None) -> Settings:
        with self._lock:
            if self._settings is None:
                cdi = active(self.preflight.reader.read(CDI).items)  # Empty for who may not list it.
                version = release((cdi.get("status") or {}).get("observedVersion") or "")
                config = self.preflight.reader.read(CDI_CONFIG, name=CONFIG_NAME)
                self._settings = Settings(next(iter(config.unless_forbidden()), {}), version)
            if not class_name and self._settings.default_class is None:
                # For users who may not list classes, the global overhead counts.
                classes = self.preflight.reader.try_read(STORAGE_CLASS).items
                self._settings.default_class = default_class(classes, DEFAULT_CLASS)
            return self._settings
