# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a clone depends on, and plans it. The number of requests grows with the namespaces and not with the
clones."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Key, Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CONFIG_NAME,
    CSI_DRIVER,
    DATA_SOURCE,
    DATA_VOLUME,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STORAGE_CLASS,
    STORAGE_PROFILE,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
    VOLUME_SNAPSHOT_CONTENT,
    Resource,
)
from .._storage.claims import Planned
from .._storage.classes import class_problem
from . import facts as facts_of
from .model import Facts, Plan, Source
from .record import is_clone
from .remedy import plan
from .source import data_source_key, source_reference

_NEEDED = (CDI, STORAGE_CLASS, STORAGE_PROFILE, CSI_DRIVER, VOLUME_SNAPSHOT_CLASS)
_NEEDED_OF_SOURCE = {"pvc": (PERSISTENT_VOLUME_CLAIM,), "snapshot": (VOLUME_SNAPSHOT, VOLUME_SNAPSHOT_CONTENT)}


class Prediction(t.NamedTuple):
    """A clone's plan. `source` is (kind, namespace, name); `users`: the pods that keep CDI from beginning. `absent`:
    there is no source yet."""

    plan: Plan
    source: tuple[str, str, str] | None
    users: tuple[str, ...] = ()
    absent: bool = False

    @property
    def facts(self) -> dict[str, t.Any]:
        """As results show it."""
        return {
            "method": self.plan.method,
            "fallback": self.plan.fallback_reason is not None,
            "fallback_reason": self.plan.fallback_reason,
            "forced": self.plan.forced,
            "reason": self.plan.reason,
            "remedy": self.plan.remedy,
            "error": self.plan.error,
            "waits_for": list(self.plan.waits_for),
        }


def _cluster(reader: Reader) -> facts_of.Cluster:
    """Six requests."""
    config = reader.read(CDI_CONFIG, name=CONFIG_NAME).object or {}
    resources = (STORAGE_CLASS, STORAGE_PROFILE, CSI_DRIVER, VOLUME_SNAPSHOT_CLASS)
    return facts_of.cluster(reader.read(CDI).items, config, *(reader.read(resource).items for resource in resources))


def predict(reader: Reader, volumes: t.Sequence[Object]) -> list[Prediction | None]:
    """The plan of each DataVolume, stored or to be made; None for one that is no clone."""
    clones = [volume for volume in volumes if is_clone(volume, None)]
    if not clones:
        return [None for _volume in volumes]
    data_source_of = {id(volume): data_source_key(volume["spec"], volume["metadata"]["namespace"]) for volume in clones}
    data_sources = reader.objects(DATA_SOURCE, {key for key in data_source_of.values() if key})
    references = {
        id(volume): source_reference(volume["spec"], volume["metadata"]["namespace"], data_sources) for volume in clones
    }
    known = _cluster(reader)
    sources = _sources(reader, {reference for reference in references.values() if reference}, known)

    def predicted(volume: Object) -> Prediction | None:
        if id(volume) not in references:
            return None
        reference = references[id(volume)]
        missing = _missing(reader, reference, data_source_of[id(volume)])
        if missing:
            return Prediction(Plan(None, f"It cannot be predicted: {missing}"), reference)
        source = sources.get(reference) if reference else None
        unusable = class_problem(
            Planned(volume), reader.read(STORAGE_CLASS).items, lambda: reader.read(PERSISTENT_VOLUME).items
        )
        if unusable:
            return Prediction(
                Plan(None, f"CDI will not clone: {unusable}.", error=unusable), reference, absent=source is None
            )
        absent = (
            f"the source {reference[0]} {reference[1]}/{reference[2]}, which does not exist"
            if reference
            else "a source of the DataSource"
        )
        facts = Facts(
            facts_of.target(volume, known),
            source,
            absent,
            known.override,
            known.snapshot_classes,
            tuple(known.classes.values()),
            known.version,
        )
        return Prediction(plan(facts), reference, source.users if source else (), absent=source is None)

    return [predicted(volume) for volume in volumes]


def _missing(reader: Reader, reference: tuple[str, str, str] | None, data_source: Key | None) -> str:
    """What a plan needs and could not be read, `` when there is nothing."""
    needed: list[tuple[Resource, str | None]] = [(resource, None) for resource in _NEEDED]
    if reference:
        needed += [
            (resource, reference[1] if resource.namespaced else None) for resource in _NEEDED_OF_SOURCE[reference[0]]
        ]
    elif data_source:
        needed.append((DATA_SOURCE, data_source[0]))
    return next(filter(None, (reader.refusal(*key) for key in needed)), "")


def _sources(
    reader: Reader, references: set[tuple[str, str, str]], known: facts_of.Cluster
) -> dict[tuple[str, str, str], Source]:
    """Claims with their volumes, owners and pods; snapshots with their contents."""
    claims = reader.objects(
        PERSISTENT_VOLUME_CLAIM, {(namespace, name) for kind, namespace, name in references if kind == "pvc"}
    )
    snapshots = reader.objects(
        VOLUME_SNAPSHOT, {(namespace, name) for kind, namespace, name in references if kind == "snapshot"}
    )
    bound = {key: ("", name) for key, claim in claims.items() if (name := claim["spec"].get("volumeName"))}
    volumes = reader.objects(PERSISTENT_VOLUME, set(bound.values()))
    owned = {key: (key[0], name) for key, claim in claims.items() if (name := facts_of.owner_name(claim))}
    owners = reader.objects(DATA_VOLUME, set(owned.values()))
    contents_of = {
        key: ("", (item.get("status") or {}).get("boundVolumeSnapshotContentName") or "")
        for key, item in snapshots.items()
    }
    contents = reader.objects(VOLUME_SNAPSHOT_CONTENT, {key for key in contents_of.values() if key[1]})
    sources = {}
    for key, claim in claims.items():
        volume, owner = volumes.get(bound.get(key, ("", ""))), owners.get(owned.get(key, ("", "")))
        sources[("pvc", *key)] = facts_of.claim_source(claim, volume, owner, reader.read(POD, key[0]).items, known)
    for key, snapshot in snapshots.items():
        sources[("snapshot", *key)] = facts_of.snapshot_source(snapshot, contents.get(contents_of[key]), known)
    return sources
