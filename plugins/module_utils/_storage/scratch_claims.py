# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what CDI goes by for scratch space, and what there is or was of scratch claims."""

from __future__ import annotations

import typing as t

from .._cdi.status import release
from .._kubernetes.client import Connection
from .._kubernetes.objects import Object
from .._kubernetes.reader import Reader
from .._kubernetes.resources import (
    CDI,
    CDI_CONFIG,
    CONFIG_NAME,
    EVENT,
    PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS,
    STORAGE_PROFILE,
)
from .classes import DEFAULT_CLASS, DEFAULT_VIRTUALIZATION_CLASS, default_class
from .scratch import Settings, claim_name, need
from .scratch_facts import ObservedScratch, VolumeAndClaim, scratch_facts


def may_need(pairs: t.Iterable[VolumeAndClaim]) -> list[VolumeAndClaim]:
    return [pair for pair in pairs if need(pair.volume.get("spec") or {}).needed is not False]


def read_settings(
    connection: Connection, pairs: t.Iterable[VolumeAndClaim], known: Settings | None = None
) -> Settings | None:
    """CDIConfig, release and, for volumes that are still to be filled, storage profiles and the default class: at most four requests.

    None, without a request, when no volume can need scratch space. What may not be read is left out. No request either when they are `known`.
    """
    pairs = may_need(pairs)
    if not pairs:
        return None
    if known is not None:
        return known if known.config else None
    reader = Reader(connection)
    config = reader.try_read(CDI_CONFIG, name=CONFIG_NAME).object
    if config is None:
        return None
    versions = [(each.get("status") or {}).get("observedVersion") for each in reader.try_read(CDI).items]
    settings = Settings(config, release(next(filter(None, versions), "")))
    unfilled = [pair for pair in pairs if (pair.volume.get("status") or {}).get("phase") != "Succeeded"]
    if unfilled:
        settings.profiles = {each["metadata"]["name"]: each for each in reader.try_read(STORAGE_PROFILE).items}
    if any(_class(pair) is None for pair in unfilled):
        classes = reader.try_read(STORAGE_CLASS).items
        settings.default_class = default_class(classes, DEFAULT_CLASS)
        settings.virtualization_class = default_class(classes, DEFAULT_VIRTUALIZATION_CLASS) or settings.default_class
    return settings


def _class(pair: VolumeAndClaim) -> str | None:
    spec = pair.volume.get("spec") or {}
    for holder in ((pair.claim or {}).get("spec"), spec.get("storage"), spec.get("pvc")):
        if (holder or {}).get("storageClassName"):
            return str(holder["storageClassName"])  # type: ignore[index]
    return None


def predicted_problems(settings: Settings | None, pairs: t.Iterable[VolumeAndClaim]) -> list[str]:
    """What will go wrong with the scratch claims of these volumes, each once, naming the first volume."""
    told: dict[str, str] = {}
    for pair in may_need(pairs) if settings else []:
        facts = scratch_facts(pair.volume, pair.claim, settings, ObservedScratch())
        for problem in facts["problems"]:
            told.setdefault(problem, "/".join(_key(pair.volume)))
    return [f"DataVolume {title} needs scratch space: {problem}" for problem, title in told.items()]


def look_for(
    connection: Connection,
    namespace: str | None,
    pairs: t.Iterable[VolumeAndClaim],
    claims: t.Iterable[Object] | None = None,
) -> dict[tuple[str, str], ObservedScratch]:
    """What is known of each volume's scratch claim, by the volume's namespace and name; no request when none can need it.

    `claims` are all claims that there are; without them each scratch claim is read by its name. Of a claim that is gone its events tell
    for an hour: one LIST.
    """
    scratch = {_key(pair.volume): claim_name(pair.volume, pair.claim) for pair in may_need(pairs)}
    if not scratch:
        return {}
    reader = Reader(connection)
    if claims is None:
        read = [reader.try_read(PERSISTENT_VOLUME_CLAIM, key[0], name) for key, name in scratch.items() if name]
        claims = [claim for found in read for claim in found.items]
    there = {_key(claim): claim for claim in claims}
    events = reader.try_read(
        EVENT, namespace, field_selector=f"involvedObject.kind={PERSISTENT_VOLUME_CLAIM.kind}"
    ).items
    were = {(event["metadata"]["namespace"], event["involvedObject"].get("name")) for event in events}
    seen = {}
    for key, name in scratch.items():
        mark = (key[0], name or "")
        seen[key] = ObservedScratch(there.get(mark), True if mark in there or mark in were else None)
    return seen


def _key(stored: Object) -> tuple[str, str]:
    return stored["metadata"]["namespace"], stored["metadata"]["name"]
