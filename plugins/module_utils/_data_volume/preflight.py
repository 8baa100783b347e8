# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at what DataVolumes need before they are created, also in check mode. What cannot be read is no obstacle.

A task reads CDIConfig, CDI, storage profiles and classes; then each object that a volume names, once. It tries each
claim that differs from the others once by a dry run, which also shows whether the namespace exists. Without a claim
to try it reads the namespace.
"""

from __future__ import annotations

import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

from .._ansible.module import Task
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Key, Object
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
from .._storage.classes import class_problem, cluster_settings
from .._storage.scratch import Settings
from . import preflight_rules as rules
from .preflight_rules import Reference

if t.TYPE_CHECKING:
    from .._image.formats import Image


Errors = dict[Key, str]

_PARALLEL = 8
_MOST_NAMES = 5
_EXISTS, _MISSING = "exists", "missing"


class Preflight:
    """The preflight of one task, whose volumes may come one by one.

    `created`: the claims that the task creates itself, or that earlier tasks create.
    """

    def __init__(self, task: Task, created: t.Collection[Key] = ()) -> None:
        self.reader = Reader(task.connection)
        self.settings: Settings | None = None
        self.created_namespaces: list[str] = []
        self._task, self._connection, self._created = task, task.connection, set(created)
        self._classes: list[Object] | None = None
        self._planned: dict[Key, Planned] = {}
        self._namespaces: dict[str, str] = {}
        self._lock = threading.Lock()

    def require(self, planned: Planned, then: t.Callable[[], None]) -> None:
        """Raises CdiError when the DataVolume must not be created. `then` is called before a namespace is created."""
        _raise(self.find_problems([planned]), planned)
        then()
        _raise(self.create_namespaces([planned.key]), planned)

    def find_problems(self, planned: t.Sequence[Planned], images: t.Mapping[Key, Image] | None = None) -> Errors:
        """Why DataVolumes cannot be created, by their keys. `images`: what is known of their sources."""
        if not planned:
            return {}
        with self._lock:
            if self.settings is None:
                self.settings = self._read_settings()
            with ThreadPoolExecutor(_PARALLEL) as pool:
                problems = self._problems_of(planned, images or {}, pool)
            self._planned.update({each.key: each for each in planned if not problems[each.key]})
        return _sentences(problems)

    def create_namespaces(self, keys: t.Collection[Key]) -> Errors:
        """Create the missing namespaces of DataVolumes without problems, in check mode by a dry run.

        Returns why DataVolumes cannot be created whose namespace cannot.
        """
        inside = [self._planned[key] for key in keys if key in self._planned and self._is_missing(self._planned[key])]
        if not inside:
            return {}
        with self._lock, ThreadPoolExecutor(_PARALLEL) as pool:
            refused = {namespace: self._create(namespace) for namespace in sorted({each.key[0] for each in inside})}
            problems = {each.key: refused[each.key[0]] for each in inside}
            if not self._task.check_mode:
                # A new namespace may start with quotas and limits.
                self._look_at_claims([each for each in inside if not problems[each.key]], problems, pool)
        return _sentences(problems)

    def _problems_of(
        self, planned: t.Sequence[Planned], images: t.Mapping[Key, Image], pool: ThreadPoolExecutor
    ) -> Errors:
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
        names = {CDI_CONFIG: CONFIG_NAME, CDI: "", STORAGE_PROFILE: "", STORAGE_CLASS: ""}
        with ThreadPoolExecutor(len(names)) as pool:
            read = pool.map(lambda each: self.reader.try_read(each[0], None, each[1]), names.items())
            config, cdis, profiles, classes = read
        # A forbidden list is not an empty one.
        self._classes = classes.items if classes.is_known else None
        return cluster_settings(config.object or {}, cdis.items, profiles.items, classes.items)

    def _class_problem(self, planned: Planned) -> str:
        return "" if self._classes is None else class_problem(planned, self._classes, self._persistent_volumes)

    def _persistent_volumes(self) -> list[Object] | None:
        volumes = self.reader.try_read(PERSISTENT_VOLUME)
        return volumes.items if volumes.is_known else None

    def _look_at_references(self, planned: t.Sequence[Planned], problems: Errors, pool: ThreadPoolExecutor) -> None:
        named = [(each, reference) for each in planned for reference in rules.references(each)]
        wanted = list(dict.fromkeys(reference[:3] for _each, reference in named if not self._is_created(reference)))
        found = dict(zip(wanted, pool.map(lambda key: self.find(*key), wanted), strict=True))
        version = t.cast(Settings, self.settings).version
        for each, reference in named:
            key = each.key
            if reference[:3] in found and not problems[key]:
                stored = found[reference[:3]]
                if stored is None:
                    self._refuse_absent(key, reference, problems)
                elif reference.is_source:
                    problems[key] = rules.problem_of_terminating(reference, stored) if stored else ""
                elif problem := rules.problem_of_ca(each, reference, stored, version):
                    self._task.warn(f"DataVolume {'/'.join(key)} may not be filled: {problem}; rename a key.")

    def _is_created(self, reference: Reference) -> bool:
        key = (reference.namespace, reference.name)
        return reference.resource == PERSISTENT_VOLUME_CLAIM and key in self._created

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """The object; None when it does not exist, empty when that is not known."""
        found = self.reader.try_read(resource, namespace or None, name)
        return found.object if found.error is None else {}

    def _refuse_absent(self, key: Key, reference: Reference, problems: Errors) -> None:
        elsewhere = reference.namespace not in ("", key[0])
        exists = not elsewhere or self.find(NAMESPACE, "", reference.namespace) is not None
        others = self.reader.try_read(reference.resource, reference.namespace or None).items if exists else []
        problem = rules.problem_of_absent(reference, exists, [other["metadata"]["name"] for other in others])
        if not self._task.check_mode:
            problems[key] = problem
        elif reference.is_source and "planned_sources" in self._task.params:
            is_claim = reference.resource == PERSISTENT_VOLUME_CLAIM
            problems[key] = problem + (
                "; if an earlier task creates it, name it in planned_sources" if is_claim else ""
            )
        else:
            # An earlier task may create it, which cannot be predicted.
            self._task.warn(f"DataVolume {'/'.join(key)} will fail without this: {problem}.")

    def _look_at_claims(self, planned: t.Sequence[Planned], problems: Errors, pool: ThreadPoolExecutor) -> None:
        settings = t.cast(Settings, self.settings)
        claims = {each.key: claim for each in planned if (claim := claim_of(each, settings)) is not None}
        for each in planned:
            if each.key in claims:
                problems[each.key] = too_large(each, claims[each.key])
        tried = {trial(claim): claim for key, claim in claims.items() if not problems[key]}
        answers = dict(zip(tried, pool.map(self._try, tried.values()), strict=True))
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
            # A forbidden request says nothing about the namespace.
            if exc.code == 404:
                self._namespaces[namespace] = _MISSING
            elif exc.code in (400, 409, 422):
                self._namespaces.setdefault(namespace, _EXISTS)
            return exc
        self._namespaces[namespace] = _EXISTS
        return None

    def _is_missing(self, planned: Planned) -> bool:
        return self._namespaces.get(planned.key[0]) == _MISSING

    def _look_at_namespaces(self, namespaces: t.Collection[str], pool: ThreadPoolExecutor) -> None:
        found = pool.map(lambda name: self.find(NAMESPACE, "", name), namespaces)
        for namespace, stored in zip(namespaces, found, strict=True):
            self._namespaces[namespace] = _MISSING if stored is None else _EXISTS

    def _create(self, namespace: str) -> str:
        """Create it, in check mode by a dry run. Returns why it cannot be created, `` when it can."""
        body = {"apiVersion": NAMESPACE.api_version, "kind": NAMESPACE.kind, "metadata": {"name": namespace}}
        try:
            self._connection.create(NAMESPACE, body, dry_run=self._task.check_mode)
        except ApiError as exc:
            if exc.code != 409:
                return f"its namespace is missing. {str(exc).rstrip('.')}"
        else:
            self.created_namespaces.append(namespace)
        self._namespaces[namespace] = _EXISTS
        return ""

    def _warn_of_defaults(self, planned: t.Iterable[Planned]) -> None:
        """A play seldom means kubectl's default namespace."""
        by_default = [each.key for each in planned if each.by_default]
        if by_default:
            names = ", ".join(name for _namespace, name in by_default[:_MOST_NAMES])
            self._task.warn(
                f"No namespace is given for {names}: created in namespace {by_default[0][0]!r}; set namespace."
            )


def _sentences(problems: Errors) -> Errors:
    return {
        key: f"Cannot create DataVolume {'/'.join(key)}: {problem}." for key, problem in problems.items() if problem
    }


def _raise(errors: Errors, planned: Planned) -> None:
    if planned.key in errors:
        raise CdiError(errors[planned.key])
