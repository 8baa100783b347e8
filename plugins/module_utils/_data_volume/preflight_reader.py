# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at what DataVolumes need before they are created, in check mode, too. What cannot be read is no obstacle.

For one task: CDIConfig, CDI, storage profiles and classes; then each object that is named once, each claim that differs from the others once as a
dry run, which tells of a missing namespace as well, and without a claim to try each namespace once.
"""

from __future__ import annotations

import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.module import Task
from .._cdi.status import active, release
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CONFIG_NAME,
    NAMESPACE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS,
    STORAGE_PROFILE,
    Resource,
)
from .._storage.claims import Planned, claim_of, claim_refusal, too_large, too_small, trial
from .._storage.classes import DEFAULT_CLASS, DEFAULT_VIRTUALIZATION_CLASS, class_problem, default_class
from .._storage.scratch import Settings
from . import preflight as rules
from .preflight import Reference

if t.TYPE_CHECKING:
    from .._image.formats import Image


Key = tuple[str, str]
Errors = dict[Key, str]

_PARALLEL = 8
_TOLD_NAMES = 5
_OK, _MISSING = "ok", "missing"


class Preflight:
    """The checks of one task, whose items may come one by one. `made`: claims that the task makes itself, or that earlier tasks make."""

    def __init__(self, task: Task, made: t.Collection[Key] = ()) -> None:
        self.reader = Reader(task.connection)
        self.settings: Settings | None = None
        self.created_namespaces: list[str] = []
        self.source_images: dict[Key, dict[str, t.Any]] = {}
        self._task, self._connection, self._made = task, task.connection, set(made)
        self._classes: list[Object] | None = None
        self._planned: dict[Key, Planned] = {}
        self._namespaces: dict[str, str] = {}
        self._lock = threading.Lock()

    def require(self, planned: Planned, then: t.Callable[[], None]) -> None:
        """Raises CdiError when the DataVolume must not be created. `then` are further checks, before a namespace is created."""
        _raise(self.check([planned]), planned)
        then()
        _raise(self.create_namespaces([planned.key]), planned)

    def check(self, planned: t.Sequence[Planned], images: t.Mapping[Key, Image] | None = None) -> Errors:
        """Why DataVolumes cannot be created, by their keys. `images` are what is known of their sources."""
        if not planned:
            return {}
        with self._lock:
            if self.settings is None:
                self.settings = self._read_settings()
            with ThreadPoolExecutor(_PARALLEL) as pool:
                problems = self._checked(planned, images or {}, pool)
            self._planned.update({each.key: each for each in planned if not problems[each.key]})
        return _sentences(problems)

    def create_namespaces(self, keys: t.Collection[Key]) -> Errors:
        """Create the missing namespaces of checked DataVolumes, in check mode only try to; why those cannot be created whose namespace cannot."""
        inside = [self._planned[key] for key in keys if key in self._planned and self._is_missing(self._planned[key])]
        if not inside:
            return {}
        with self._lock, ThreadPoolExecutor(_PARALLEL) as pool:
            refused = {namespace: self._create(namespace) for namespace in sorted({each.key[0] for each in inside})}
            problems = {each.key: refused[each.key[0]] for each in inside}
            if not self._task.check_mode:
                # What a new namespace may be born with.
                self._look_at_claims([each for each in inside if not problems[each.key]], problems, pool)
        return _sentences(problems)

    def _checked(self, planned: t.Sequence[Planned], images: t.Mapping[Key, Image], pool: ThreadPoolExecutor) -> Errors:
        problems: Errors = {each.key: self._class_problem(each) for each in planned}
        for each in planned:
            if each.key in images and not problems[each.key]:
                problems[each.key] = too_small(each, t.cast(Settings, self.settings), images[each.key])

        def left() -> list[Planned]:
            return [each for each in planned if not problems[each.key]]

        self._look_at_claims(left(), problems, pool)
        self._look_at_namespaces({each.key[0] for each in left()} - set(self._namespaces), pool)
        if not self._task.params["create_namespace"]:
            problems.update(
                {each.key: rules.missing_namespace(each.key[0]) for each in left() if self._is_missing(each)}
            )
        self._look_at_references(left(), problems, pool)
        self._warn_of_defaults(left())
        return problems

    def _read_settings(self) -> Settings:
        reader = self.reader
        names = {CDI_CONFIG: CONFIG_NAME, CDI: "", STORAGE_PROFILE: "", STORAGE_CLASS: ""}
        with ThreadPoolExecutor(len(names)) as pool:
            config, cdis, profiles, classes = pool.map(
                lambda each: reader.try_read(each[0], None, each[1]), names.items()
            )
        # A forbidden list is not an empty one.
        self._classes = classes.items if classes.is_known else None
        settings = Settings(
            config.object or {}, release((active(cdis.items).get("status") or {}).get("observedVersion") or "")
        )
        settings.profiles = {each["metadata"]["name"]: each for each in profiles.items}
        settings.default_class = default_class(self._classes or [], DEFAULT_CLASS)
        settings.virtualization_class = (
            default_class(self._classes or [], DEFAULT_VIRTUALIZATION_CLASS) or settings.default_class
        )
        return settings

    def _class_problem(self, planned: Planned) -> str:
        return "" if self._classes is None else class_problem(planned, self._classes, self._persistent_volumes)

    def _persistent_volumes(self) -> list[Object] | None:
        volumes = self.reader.try_read(PERSISTENT_VOLUME)
        return volumes.items if volumes.is_known else None

    def _look_at_references(self, planned: t.Sequence[Planned], problems: Errors, pool: ThreadPoolExecutor) -> None:
        named = [(each, reference) for each in planned for reference in rules.references(each)]
        wanted = list(dict.fromkeys(reference[:3] for _planned, reference in named if not self._is_made(reference)))
        found = dict(zip(wanted, pool.map(lambda key: self.find(*key), wanted)))
        version = t.cast(Settings, self.settings).version
        for each, reference in named:
            key = each.key
            if reference[:3] in found and not problems[key]:
                stored = found[reference[:3]]
                if stored is None:
                    self._refuse_absent(key, reference, problems)
                elif reference.is_source:
                    problems[key] = rules.terminating(reference, stored) if stored else ""
                elif told := rules.without_ca(each, reference, stored, version):
                    self._task.warn(f"DataVolume {'/'.join(key)} may not be filled: {told}; rename a key.")

    def _is_made(self, reference: Reference) -> bool:
        return reference.resource == PERSISTENT_VOLUME_CLAIM and (reference.namespace, reference.name) in self._made

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object; None when it does not exist, empty when that is not known."""
        found = self.reader.try_read(resource, namespace or None, name)
        return found.object if found.error is None else {}

    def _refuse_absent(self, key: Key, reference: Reference, problems: Errors) -> None:
        elsewhere = reference.namespace not in ("", key[0])
        there = not elsewhere or self.find(NAMESPACE, "", reference.namespace) is not None
        others = self.reader.try_read(reference.resource, reference.namespace or None).items if there else []
        problem = rules.absent(reference, there, [item["metadata"]["name"] for item in others])
        if not self._task.check_mode:
            problems[key] = problem
        elif reference.is_source:
            is_claim = reference.resource == PERSISTENT_VOLUME_CLAIM
            problems[key] = problem + (
                "; if an earlier task creates it, name it in planned_sources" if is_claim else ""
            )
        else:
            # Which an earlier task may be about to make, and which nobody predicts.
            self._task.warn(f"DataVolume {'/'.join(key)} will fail without this: {problem}.")

    def _look_at_claims(self, planned: t.Sequence[Planned], problems: Errors, pool: ThreadPoolExecutor) -> None:
        settings = t.cast(Settings, self.settings)
        claims = {each.key: claim for each in planned if (claim := claim_of(each, settings)) is not None}
        for each in planned:
            if each.key in claims:
                problems[each.key] = too_large(each, claims[each.key])
        tried = {trial(claim): claim for key, claim in claims.items() if not problems[key]}
        answers = dict(zip(tried, pool.map(self._try, tried.values())))
        for each in planned:
            claim = claims.get(each.key)
            answer = answers.get(trial(claim)) if claim and not problems[each.key] else None
            if claim and answer and not self._is_missing(each):
                problems[each.key] = claim_refusal(each, claim, settings, answer)

    def _try(self, claim: Object) -> ApiError | None:
        namespace = claim["metadata"]["namespace"]
        if self._namespaces.get(namespace) == _MISSING:
            return None
        try:
            self._connection.create(PERSISTENT_VOLUME_CLAIM, claim, namespace, dry_run=True)
        except ApiError as exc:
            # A refused right says nothing about the namespace.
            if exc.code == 404:
                self._namespaces[namespace] = _MISSING
            elif exc.code in (400, 409, 422):
                self._namespaces.setdefault(namespace, _OK)
            return exc
        self._namespaces[namespace] = _OK
        return None

    def _is_missing(self, planned: Planned) -> bool:
        return self._namespaces.get(planned.key[0]) == _MISSING

    def _look_at_namespaces(self, namespaces: t.Collection[str], pool: ThreadPoolExecutor) -> None:
        for namespace, stored in zip(namespaces, pool.map(lambda name: self.find(NAMESPACE, "", name), namespaces)):
            self._namespaces[namespace] = _MISSING if stored is None else _OK

    def _create(self, namespace: str) -> str:
        """Create it, in check mode only try to; returns why that cannot be done."""
        body = {"apiVersion": NAMESPACE.api_version, "kind": NAMESPACE.kind, "metadata": {"name": namespace}}
        try:
            self._connection.create(NAMESPACE, body, dry_run=self._task.check_mode)
        except ApiError as exc:
            if exc.code != 409:
                return f"its namespace is missing. {str(exc).rstrip('.')}"
        else:
            self.created_namespaces.append(namespace)
        self._namespaces[namespace] = _OK
        return ""

    def _warn_of_defaults(self, planned: t.Iterable[Planned]) -> None:
        """kubectl's habit of a default namespace is seldom what a play means."""
        by_default = [each.key for each in planned if each.by_default]
        if by_default:
            names = ", ".join(name for _namespace, name in by_default[:_TOLD_NAMES])
            self._task.warn(
                f"No namespace is given for {names}: created in namespace {by_default[0][0]!r}; set namespace to say where."
            )


def _sentences(problems: Errors) -> Errors:
    return {
        key: f"Cannot create DataVolume {'/'.join(key)}: {problem}." for key, problem in problems.items() if problem
    }


def _raise(errors: Errors, planned: Planned) -> None:
    if planned.key in errors:
        raise CdiError(errors[planned.key])
