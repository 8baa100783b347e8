# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the allocated bytes of targets are sampled, of which claims, and the samples of a volume. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object
from .._storage.allocation import BLOCK, bound, is_measuring, using

_EVERY_SECONDS = 10.0
# What CDI fills, named by the UID of the target: a host-assisted clone, and other sources (pkg/controller/clone/
# planner.go createDesiredClaim, pkg/controller/populators/util.go, v1.65.0).
_FILLED_FIRST = ("tmp-pvc-", "prime-")


class Growth(t.NamedTuple):
    """`samples` of a volume, oldest first, and why the last one that is missing could not be taken."""

    samples: tuple[t.Mapping[str, float], ...] = ()
    missing: str | None = None


class Due(t.NamedTuple):
    """What to measure now, by the names of the targets, and why some targets cannot be measured at all."""

    claims: dict[str, Object]
    missing: dict[str, str]


def seconds_to_next(elapsed: float) -> float:
    """Samples are due every 10 seconds since the beginning. One that was due during another is left out."""
    return _EVERY_SECONDS - elapsed % _EVERY_SECONDS


def due(
    targets: t.Iterable[str], claims: t.Iterable[Object], pods: t.Collection[Object], *, ended: bool = False
) -> Due:
    """What can be sampled without harm to the move.

    Until the move has ended, a target is only measured while a pod of the move uses it: a pod that came first would
    bind the volume or hold it on another node.
    """
    stored = {claim["metadata"]["name"]: claim for claim in claims}
    found = Due({}, {})
    for target in targets:
        claim = stored.get(target)
        if claim is not None and claim["spec"].get("volumeMode") == "Block":
            found.missing[target] = BLOCK
            continue
        filled = claim if ended else _filled_now(claim, stored)
        if filled is not None and bound(filled) and (ended or _is_in_use(filled, pods)):
            found.claims[target] = filled
        elif ended:
            found.missing[target] = "The claim is not bound."
    return found


def _filled_now(claim: Object | None, stored: t.Mapping[str, Object]) -> Object | None:
    if claim is None or bound(claim):
        return claim
    names = (f"{prefix}{claim['metadata'].get('uid')}" for prefix in _FILLED_FIRST)
    return next((stored[name] for name in names if name in stored), None)


def _is_in_use(claim: Object, pods: t.Iterable[Object]) -> bool:
    return any(
        (pod.get("status") or {}).get("phase") == "Running" and not is_measuring(pod)
        for pod in using(pods, claim["metadata"]["name"])
    )


def added(growth: Growth, seconds: float, facts: t.Mapping[str, t.Any]) -> Growth:
    """With what a measurement found `seconds` after the beginning."""
    if facts["allocated_bytes"] is None:
        return growth._replace(missing=facts["not_measured"])
    sample = {"seconds": round(seconds, 1), "allocated_bytes": facts["allocated_bytes"]}
    return growth._replace(samples=(*growth.samples, sample))
