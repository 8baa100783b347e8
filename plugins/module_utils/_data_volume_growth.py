# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to kubevirt.cdi: may change in any release.
"""A volume grows by its claim, as CDI lets no DataVolume's size change. Pure rules."""

from __future__ import annotations

import typing as t
from decimal import Decimal

from ._clone import annotations
from ._errors import CdiError
from ._quantity import parse, short
from ._verdict import FAILED, REACHED, WAITING, Verdict

Object = t.Dict[str, t.Any]

# On the claim: the size that its DataVolume was last made to grow to. Another overhead of file systems must not make it grow again.
GROWN_TO = "kubevirt.cdi/grown-to"


def grown_to(claim: Object) -> Decimal | None:
    """The size that a claim was last made to grow to."""
    try:
        return parse(annotations(claim)[GROWN_TO])
    except (KeyError, ValueError):
        return None


def requested(claim: Object) -> Decimal:
    return parse(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", 0))


def refuse_growth(volume: Object, claim: Object | None, size: int) -> None:
    """Raises CdiError when a volume cannot grow to `size` bytes, and says when it can."""
    metadata, phase = volume["metadata"], (volume.get("status") or {}).get("phase") or "Pending"
    title = f"DataVolume {metadata['namespace']}/{metadata['name']}"
    recorded = grown_to(claim) if claim else None
    if recorded is not None:
        if recorded > size:
            raise CdiError(f"{title} has grown to {short(recorded)} and cannot shrink to {short(Decimal(size))}; ask for at least {short(recorded)}.")
        return
    if claim is None or phase != "Succeeded" or (claim.get("status") or {}).get("phase") != "Bound":
        raise CdiError(
            f"{title} cannot grow to {short(Decimal(size))} in phase {phase}; "
            "wait until it is filled, or say on_drift=recreate to delete it with its data and make it anew."
        )


def judge_growth(claim: Object | None) -> Verdict:
    """Whether a claim has got the size that it requests.

    A file system that grows when a pod next uses the claim (FileSystemResizePending) is as far as storage alone can get it.
    """
    if claim is None:
        return Verdict(FAILED, "its claim was deleted while it grew")
    status = claim.get("status") or {}
    capacity = parse((status.get("capacity") or {}).get("storage", 0))
    found = {condition["type"]: condition for condition in status.get("conditions") or [] if condition.get("status") == "True"}
    if capacity >= requested(claim) or "FileSystemResizePending" in found:
        return Verdict(REACHED)
    refused = next((found[kind] for kind in ("ControllerResizeError", "NodeResizeError") if kind in found), None)
    states = (status.get("allocatedResourceStatuses") or {}).get("storage", "")
    if states.endswith("Infeasible"):
        return Verdict(FAILED, f"the storage cannot grow it ({states}): {(refused or {}).get('message') or 'no message'}")
    told = f", {refused['type']}: {refused.get('message') or 'no message'}" if refused else ""
    return Verdict(WAITING, f"its claim has {short(capacity)} of {short(requested(claim))}{told}")
