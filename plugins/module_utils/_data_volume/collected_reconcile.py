# Copyright (c) 2026, kubevirt.cdi contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings volumes to their declared state of which CDI has left the claim; all others as before."""

from __future__ import annotations

import typing as t

from .._kubernetes.compare import diff_of
from .._kubernetes.errors import ApiError, CdiError
from .._kubernetes.objects import Object
from .._kubernetes.resources import DATA_VOLUME, PERSISTENT_VOLUME_CLAIM
from . import spec as rules
from .reconcile import Collected, Item, Run, create, drift_of, ensure, grow_claim, refuse_newer, until_gone


def ensure_any(run: Run, item: Item) -> None:
    """Bring one volume to its declared state, be it collected."""
    if not item.collected:
        try:
            ensure(run, item)
            return
        except Collected:
            pass
    if item.present:
        _ensure(run, item, rules.desired(item.volume))
    elif not item.volume["keep_claim"]:
        _delete_claim(run, item, wait=run.task.params["wait"])


def _ensure(run: Run, item: Item, wanted: Object) -> None:
    """What is left of a volume that has succeeded is its claim: it is the volume."""
    drift = drift_of(item)
    if not drift.lines:
        item.drift = "none"
    elif drift.grows_to is not None and _grows(run, item, wanted, drift.grows_to):
        item.grows, item.drift = True, item.drift or "none"
    elif item.volume["on_drift"] != "recreate":
        raise CdiError(
            f"DataVolume {item.title} was deleted by CDI after it had succeeded, and the claim that it left differs from the requested spec: "
            f"{'; '.join(drift.lines)}; correct the options, or set on_drift=recreate to delete the claim with its data and create the volume again."
        )
    else:
        _replace_collected(run, item, wanted, f"on_drift=recreate, and {'; '.join(drift.lines)}")


def _grows(run: Run, item: Item, wanted: Object, size: int) -> bool:
    """Whether it can; else it is made anew, or CdiError says that this was not allowed."""
    try:
        grow_claim(run, item, wanted, size)
        return True
    except ApiError:
        raise
    except CdiError:
        if item.volume["on_drift"] != "recreate":
            raise
        return False


def _replace_collected(run: Run, item: Item, wanted: Object, reason: str) -> None:
    if item.refusal:
        raise CdiError(item.refusal)
    refuse_newer(run, item)
    before = item.claim
    _delete_claim(run, item, wait=True)
    item.drift, item.reason = "recreate", f"deleted and not created again, because {reason}"
    if run.task.check_mode:
        item.stored = {"apiVersion": DATA_VOLUME.api_version, "kind": DATA_VOLUME.kind, **wanted}
    else:
        create(run, item, wanted)
    item.reason, item.diff = f"recreated because {reason}", diff_of(before, item.stored)


def _delete_claim(run: Run, item: Item, *, wait: bool) -> None:
    """Delete the claim of a collected volume, with its data."""
    claim = t.cast(Object, item.claim)
    owners = [owner for owner in claim["metadata"].get("ownerReferences") or [] if owner.get("controller")]
    if owners:
        raise CdiError(
            f"PersistentVolumeClaim {item.title} belongs to {owners[0]['kind']} {owners[0]['name']}; delete that, or remove the volume from it."
        )
    if item.volume["when_in_use"] == "fail":
        run.users.refuse(f"PersistentVolumeClaim {item.title}", item.key)
    namespace, name = item.key
    run.task.connection.delete(
        PERSISTENT_VOLUME_CLAIM, name, namespace, dry_run=run.task.check_mode, uid=claim["metadata"]["uid"]
    )
    item.claim, item.changed, item.diff = None, True, diff_of(claim, None)
    if wait:
        until_gone(run, item, PERSISTENT_VOLUME_CLAIM)
