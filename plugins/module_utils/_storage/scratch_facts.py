# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a volume's scratch space, predicted and observed. Pure rules."""

from __future__ import annotations

import typing as t

from .._kubernetes.objects import Object
from .._kubernetes.quantity import MIB, parse
from .scratch_need import need

if t.TYPE_CHECKING:
    from .scratch import Settings


class VolumeAndClaim(t.NamedTuple):
    """A DataVolume and its claim."""

    volume: Object
    claim: Object | None


class ObservedScratch(t.NamedTuple):
    """A volume's scratch claim if it exists, and whether it exists or existed (None: no trace of it)."""

    claim: Object | None = None
    observed: bool | None = None


def scratch_facts(
    volume: Object, claim: Object | None, settings: Settings | None, seen: ObservedScratch
) -> dict[str, t.Any]:
    spec = volume.get("spec") or {}
    needed, rule = need(spec)
    facts: dict[str, t.Any] = {
        "needed": needed,
        "rule": rule,
        "storage_class_name": None,
        "storage_class_rule": None,
        "size": None,
        "problems": [],
        "observed": seen.observed,
        "left_over": None,
    }
    if seen.claim:
        facts["storage_class_name"] = seen.claim["spec"].get("storageClassName")
        facts["size"] = _mebibytes(int(parse(seen.claim["spec"]["resources"]["requests"]["storage"])))
        from .scratch import left_over

        if left_over(volume, seen.claim):
            facts["left_over"] = "/".join((seen.claim["metadata"]["namespace"], seen.claim["metadata"]["name"]))
    elif settings and needed is not False:
        facts.update(_predicted(spec, claim, settings))
    if settings and needed is not False and (volume.get("status") or {}).get("phase") != "Succeeded":
        from .scratch import problems

        facts["problems"] = problems(settings, facts["storage_class_name"])
    return facts


def _predicted(spec: Object, claim: Object | None, settings: Settings) -> dict[str, t.Any]:
    """Class and size of the scratch claim that CDI would create now for the target's claim, existing or planned."""
    from .scratch import claim_bytes, storage_class, target_bytes

    claimed = (claim or {}).get("spec") or {}
    target_class = claimed.get("storageClassName") or settings.class_of(spec)
    block = claimed.get("volumeMode", settings.volume_mode(spec, target_class)) == "Block"
    if claim:
        request: int | None = int(parse(claim["spec"]["resources"]["requests"]["storage"]))
    else:
        request = target_bytes(settings, spec, target_class, block)
    scratch_class, rule = storage_class(settings, target_class)
    size = None if request is None else claim_bytes(settings, request, target_class, block, scratch_class)
    return {
        "storage_class_name": scratch_class,
        "storage_class_rule": rule,
        "size": None if size is None else _mebibytes(size),
    }


def _mebibytes(size: int) -> str:
    """CDI always requests whole MiB."""
    return f"{size // MIB}Mi"
