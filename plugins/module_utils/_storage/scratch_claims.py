# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what CDI decides about scratch space by, and the scratch claims that exist or existed."""

from __future__ import annotations

import typing as t

from .._kubernetes.client import Connection
from .._kubernetes.objects import Key, Object, key_of
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
from .classes import cluster_settings
from .scratch import Settings, claim_name
from .scratch_facts import ObservedScratch, VolumeAndClaim, scratch_facts
from .scratch_need import need


def may_need(pairs: t.Iterable[VolumeAndClaim]) -> list[VolumeAndClaim]:
    return [pair for pair in pairs if need(pair.volume.get("spec") or {}).needed is not False]


def read_settings(
    connection: Connection, pairs: t.Iterable[VolumeAndClaim], known: Settings | None = None
) -> Settings | None:
    """The settings for these volumes: CDIConfig and release, and for unfilled volumes StorageProfiles and default
    classes.

    At most four requests; none, and None, when no volume can require scratch space; none when they are `known`.
    What is forbidden is left out.
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
    unfilled = [pair for pair in pairs if (pair.volume.get("status") or {}).get("phase") != "Succeeded"]
    return cluster_settings(
        config,
        reader.try_read(CDI).items,
        reader.try_read(STORAGE_PROFILE).items if unfilled else [],
        reader.try_read(STORAGE_CLASS).items if any(_class(pair) is None for pair in unfilled) else [],
    )


def _class(pair: VolumeAndClaim) -> str | None:
    spec = pair.volume.get("spec") or {}
    holders = ((pair.claim or {}).get("spec"), spec.get("storage"), spec.get("pvc"))
    return next((holder["storageClassName"] for holder in holders if holder and holder.get("storageClassName")), None)


def predicted_problems(settings: Settings | None, pairs: t.Iterable[VolumeAndClaim]) -> list[str]:
    """The problems that the scratch claims of these volumes will have, each once with the first volume."""
    first: dict[str, str] = {}
    for pair in may_need(pairs) if settings else []:
        facts = scratch_facts(pair.volume, pair.claim, settings, ObservedScratch())
        for problem in facts["problems"]:
            first.setdefault(problem, "/".join(key_of(pair.volume)))
    return [f"DataVolume {title} needs scratch space: {problem}" for problem, title in first.items()]


def look_for(
    connection: Connection,
    namespace: str | None,
    pairs: t.Iterable[VolumeAndClaim],
    claims: t.Iterable[Object] | None = None,
) -> dict[Key, ObservedScratch]:
    """The observed scratch claim of each volume that may require one, by the namespace and name of the volume.

    `claims`: all claims; without them, each scratch claim is read by its name. The events of a deleted claim exist for
    an hour: one LIST. No request when no volume can require scratch space.
    """
    scratch = {key_of(pair.volume): claim_name(pair.volume, pair.claim) for pair in may_need(pairs)}
    if not scratch:
        return {}
    reader = Reader(connection)
    if claims is None:
        read = [reader.try_read(PERSISTENT_VOLUME_CLAIM, key[0], name) for key, name in scratch.items() if name]
        claims = [claim for found in read for claim in found.items]
    there = {key_of(claim): claim for claim in claims}
    events = reader.try_read(
        EVENT, namespace, field_selector=f"involvedObject.kind={PERSISTENT_VOLUME_CLAIM.kind}"
    ).items
    were = {(event["metadata"]["namespace"], event["involvedObject"].get("name")) for event in events}
    seen = {}
    for key, name in scratch.items():
        mark = (key[0], name or "")
        seen[key] = ObservedScratch(there.get(mark), True if mark in there or mark in were else None)
    return seen
